# SPDX-License-Identifier: Apache-2.0
"""The fourth dimension: slices of one orientation taken apart by echo, b-value, time and the like.

A contrast (echo, b-value) or a stated temporal position is never mixed in one stack. Everything else
takes slices apart only where positions repeat, and only where it explains the repetition: acquisitions
and times change within a single stack too. What nothing explains stays together, shown one by one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from viewer.dicom.facts import Marks, Slice
from viewer.dicom.further import COMPONENTS, Further, asked, component_of
from viewer.dicom.geometry import SAME_PLACE, along
from viewer.types import SeriesPoint

Value = Any
Values = list[Value]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that may tell slices at one place apart.

    `values` gives one comparable value per slice, None where the file is silent. A dimension that is
    `always` used splits wherever values differ; one that is `stated` does too, unless every slice has a
    value of its own; one of a `kind` of picture does also where there is but one place; one that is
    `ranked` may be counted from the first at each place, as trigger times drift from slice to slice; one
    that is `loose` also changes within a stack, and counts only where it explains every repetition.
    """

    name: str
    values: Callable[[Sequence[Slice]], Values]
    words: Callable[["Point"], str]
    always: bool = False
    stated: bool = False
    kind: bool = False
    loose: bool = False
    ranked: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a dimension: the `index`-th of `count`, from 0; `value` in DICOM's unit, for the list."""

    dimension: Dimension
    value: float | str | None
    index: int
    count: int
    slices: tuple[Slice, ...]

    @property
    def words(self) -> str:
        return self.dimension.words(self)


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """Slices that nothing divides further, the points that led to them, and what these lack."""

    slices: tuple[Slice, ...]
    trail: tuple[Point, ...] = ()
    warnings: tuple[str, ...] = ()


def _each(read: Callable[[Marks], Value]) -> Callable[[Sequence[Slice]], Values]:
    return lambda slices: [read(s.frame.marks) for s in slices]


def _echoes(slices: Sequence[Slice]) -> Values:
    """(number, time) of each echo; times within 1 % of each other are one, as they are rounded or tuned."""
    marks = [s.frame.marks for s in slices]
    starts: list[float] = []
    for time in sorted({m.echo_time for m in marks if m.echo_time is not None}):
        if not starts or time > 1.01 * starts[-1]:
            starts.append(time)
    return [
        (m.echo_number or 0, -1.0 if m.echo_time is None else max(t for t in starts if t <= m.echo_time))
        for m in marks
    ]


def _stations(slices: Sequence[Slice]) -> Values:
    """Where each slice lies in the first one's plane, in millimetres: stations of a moving table.

    Places closer than 1 mm are one station, named by its first slice.
    """
    plane = np.asarray(slices[0].frame.orientation).reshape(2, 3)
    found = np.asarray([s.frame.position for s in slices]) @ plane.T
    known = np.empty((0, 2))
    result: Values = []
    for place in found:
        near = np.flatnonzero(np.abs(known - place).max(axis=1) < 1)
        if not near.size:
            known = np.vstack([known, place])
        u, v = known[near[0]] if near.size else place
        result.append((float(u), float(v)))
    return result


def _echo_words(point: Point) -> str:
    number, time = point.slices[0].frame.marks.echo_number, point.value
    named = f"echo {number or point.index + 1}"
    return named if time is None else f"{named} · {time:g} ms"


def _b_words(point: Point) -> str:
    return "b not stated" if point.value is None else f"b {point.value:g}"


def _time_words(point: Point) -> str:
    """A phase of the heart where the trigger time says which, else a time."""
    triggers = [s.frame.marks.trigger_time for s in point.slices]
    known = [t for t in triggers if t is not None]
    if len(known) < len(triggers) or (not any(known) and point.index):
        return _counted("time")(point)
    return f"phase {point.index + 1} of {point.count} · {np.median(known):.0f} ms"


def _counted(name: str, unit: str = "") -> Callable[[Point], str]:
    def words(point: Point) -> str:
        counted = f"{name} {point.index + 1} of {point.count}"
        return f"{counted} · {point.value:g} {unit}" if unit and isinstance(point.value, float) else counted

    return words


def _stated(name: str, unit: str) -> Callable[[Point], str]:
    return lambda point: f"{name} {'not stated' if point.value is None else f'{point.value:g} {unit}'}"


def _type_words(point: Point) -> str:
    return str(point.value).replace("\\", " ").lower() or "image type not stated"


def _component_words(point: Point) -> str:
    return point.value if isinstance(point.value, str) else "complex part not stated"


def _quantity_words(point: Point) -> str:
    return str(point.value or "quantity not stated")


def _asked(read: Callable[[Further], Value]) -> Callable[[Sequence[Slice]], Values]:
    """A fact that is read from the files only now, as nothing before has told the slices apart."""
    return lambda slices: asked(read, slices, places(slices))


def _agent_words(point: Point) -> str:
    return f"contrast agent {point.value}" if point.value else "no contrast agent stated"


DIMENSIONS = (
    Dimension("echo", _echoes, _echo_words, always=True),
    Dimension("b-value", _each(lambda m: m.b_value), _b_words, always=True),
    Dimension("complex part", _each(lambda m: component_of(m.image_type)), _component_words, kind=True),
    Dimension("quantity", _each(lambda m: m.quantity or None), _quantity_words),
    Dimension("image type", _each(lambda m: m.image_type[3:]), _type_words),
    Dimension("inversion time", _each(lambda m: m.inversion_time), _stated("TI", "ms")),
    Dimension("flip angle", _each(lambda m: m.flip_angle), _stated("flip angle", "°")),
    Dimension("tube voltage", _each(lambda m: m.tube_voltage), _stated("tube voltage", "kV")),
    Dimension("kernel", _each(lambda m: m.kernel or None), lambda p: f"kernel {p.value or 'not stated'}"),
    Dimension("station", _stations, _counted("station")),
    Dimension("temporal position", _each(lambda m: m.temporal_position), _time_words, stated=True),
    Dimension("gradient direction", _each(lambda m: m.gradient), _counted("direction")),
    Dimension("complex part", _asked(lambda f: f.component), _component_words, kind=True),
    Dimension("quantity", _asked(lambda f: f.quantity or None), _quantity_words),
    Dimension("b-value", _asked(lambda f: f.b_value), _b_words),
    Dimension("contrast agent", _asked(lambda f: f.agent), _agent_words, kind=True),
    Dimension("trigger time", _each(lambda m: m.trigger_time), _time_words, loose=True, ranked=True),
    Dimension("acquisition", _each(lambda m: m.acquisition), _counted("acquisition"), loose=True),
    Dimension("acquisition time", _each(lambda m: m.acquired), _counted("time"), loose=True, ranked=True),
    Dimension("file", lambda slices: [_file(s) for s in slices], _counted("file")),
)
TIMES = ("temporal position", "trigger time", "acquisition time")


def in_time(part: SeriesPoint) -> bool:
    """Whether the points of a fourth dimension are moments."""
    return any(name in TIMES for name in part.by.split(", "))


def _file(one: Slice) -> Value:
    """A multi-frame file is a set of its own; single images are not."""
    image = one.image
    return (image.instance or 0, image.sop_uid) if image.enhanced else None


def places(slices: Sequence[Slice]) -> list[int]:
    """The number of each slice's place along the first one's normal; slices at one position share it."""
    orientation = slices[0].frame.orientation
    assert orientation is not None
    found = [along(orientation, s.frame.position) for s in slices if s.frame.position is not None]
    order = sorted(range(len(found)), key=found.__getitem__)
    numbers = [0] * len(found)
    for before, after in pairwise(order):
        apart = found[after] - found[before] >= SAME_PLACE
        numbers[after] = numbers[before] + int(apart)
    return numbers


def _most(numbers: Sequence[int]) -> int:
    """How often the most repeated place occurs."""
    return int(np.bincount(np.asarray(numbers, dtype=np.int64)).max())


def branches(
    slices: tuple[Slice, ...], dimensions: Sequence[Dimension] = DIMENSIONS, trail: tuple[Point, ...] = ()
) -> Iterator[Branch]:
    """The stacks in placed slices of one orientation, in the order of their values."""
    numbers = places(slices)
    for k, dimension in enumerate(dimensions):
        keys = _explained(dimension, slices, numbers)
        if keys is None:
            continue
        members: dict[Value, list[int]] = defaultdict(list)
        for i, key in enumerate(keys):
            members[key].append(i)
        everywhere = len(set(numbers))
        for index, key in enumerate(sorted(members, key=_sortable)):
            mine = tuple(slices[i] for i in members[key])
            point = Point(dimension, _shown(dimension, mine, key), index, len(members), mine)
            there = len({numbers[i] for i in members[key]})
            lack = () if there == everywhere else (_lacking(point, there, everywhere),)
            for branch in branches(mine, dimensions[k + 1 :], (*trail, point)):
                yield Branch(branch.slices, branch.trail, (*lack, *branch.warnings))
        return
    yield Branch(slices, trail)


def _lacking(point: Point, there: int, everywhere: int) -> str:
    words = point.words[0].upper() + point.words[1:]
    return f"{words} has {there} of the {everywhere} slice positions of its series."


def _sortable(key: Value) -> tuple[bool, Value]:
    return (key is not None, 0 if key is None else key)


def _explained(dimension: Dimension, slices: tuple[Slice, ...], numbers: list[int]) -> Values | None:
    """One key per slice by which a dimension divides the slices, or None where it should not."""
    repeats = _most(numbers)
    several = len(set(numbers)) > 1 or (dimension.kind and repeats > 1)
    if not dimension.always and (not several or (repeats == 1 and not dimension.stated)):
        return None  # nothing repeats, or nothing but one place does: that is a run of pictures
    keys = dimension.values(slices)
    kinds = len(set(keys))
    if dimension.always or kinds == 1:
        return keys if kinds > 1 else None
    if repeats == 1:
        return keys if 2 * kinds <= len(slices) else None
    members: dict[Value, list[int]] = defaultdict(list)
    for key, number in zip(keys, numbers, strict=True):
        members[key].append(number)
    parts = [sorted(part) for part in members.values()]
    if all(part == parts[0] for part in parts):
        return keys
    left = max(_most(part) for part in parts)
    if dimension.loose:
        return keys if left == 1 and kinds == repeats else _ranks(dimension, keys, numbers)
    return keys if left < repeats and 2 * kinds <= len(slices) else None


def _ranks(dimension: Dimension, keys: Values, numbers: list[int]) -> Values | None:
    """The rank of each slice among those at its place, where every place has as many, all different."""
    if not dimension.ranked or None in keys:
        return None
    at: dict[int, list[Value]] = defaultdict(list)
    for key, number in zip(keys, numbers, strict=True):
        at[number].append(key)
    counts = {len(values) for values in at.values()}
    if len(counts) > 1 or any(len(set(values)) < len(values) for values in at.values()):
        return None
    ordered = {number: sorted(values) for number, values in at.items()}
    return [ordered[number].index(key) for key, number in zip(keys, numbers, strict=True)]


def _shown(dimension: Dimension, slices: tuple[Slice, ...], key: Value) -> float | str | None:
    """The value of a part for the list, which has a key: a number in DICOM's unit, or words."""
    marks = slices[0].frame.marks
    match dimension.name:
        case "echo":
            number = None if marks.echo_number is None else float(marks.echo_number)
            return number if marks.echo_time is None else marks.echo_time
        case "trigger time":
            return float(np.median([s.frame.marks.trigger_time or 0.0 for s in slices]))
        case "image type":
            return "\\".join(key)
        case "gradient direction":
            return None if marks.gradient is None else " ".join(f"{v:.4g}" for v in marks.gradient)
        case "acquisition time":
            return None if marks.acquired is None else _clock(marks.acquired)
        case "station":
            return " ".join(f"{v:g}" for v in _stations(slices[:1])[0])
        case "file":
            return _file(slices[0])[1] if slices[0].image.enhanced else None
        case "complex part":
            return None if key is None else COMPONENTS[key]
    return key  # type: ignore[no-any-return]


def _clock(seconds: float) -> str:
    """The time of the day."""
    left = seconds % 86_400
    return f"{int(left // 3600):02}:{int(left // 60) % 60:02}:{left % 60:05.2f}"


def in_order_of_time(slices: Sequence[Slice]) -> tuple[tuple[Slice, ...], str]:
    """Slices of one place in the order of what tells them apart, and its name; as given if nothing does."""
    for dimension in DIMENSIONS:
        keys = dimension.values(slices)
        if dimension.name != "file" and None not in keys and len(set(keys)) == len(keys) > 1:
            order = sorted(range(len(keys)), key=keys.__getitem__)
            return tuple(slices[i] for i in order), dimension.name
    return tuple(slices), ""
