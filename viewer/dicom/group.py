# SPDX-License-Identifier: Apache-2.0
"""From images to series: which belong together, in which order, and what a reader should know.

Images of one series are kept apart wherever they cannot be one stack: by size, kind, orientation and
spacing, then by echo, b-value, time and what else tells slices of one place apart. The frames of an
enhanced file are sorted like single images.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from viewer.dicom.copies import Copy, apart, told
from viewer.dicom.dimensions import TIMES, Branch, branches, in_order_of_time, places
from viewer.dicom.facts import GREYS, Image, Lut, Slice
from viewer.dicom.further import COMPONENTS, component_of
from viewer.dicom.geometry import PROJECTION, pixel_spacing, stacking
from viewer.dicom.image import told_by
from viewer.dicom.joined import whole
from viewer.dicom.turned import LEAST, turned
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import SeriesPoint

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Slices that make one series, its derived uid, and whether the order is that of positions.

    `images` are those that no group before uses. `kind` is what the image type has of its own among
    the stacks of the series. `across` names what tells slices of a single place apart, in whose order
    they are.
    """

    uid: str
    slices: tuple[Slice, ...]
    images: tuple[Image, ...]
    proven: bool
    part: SeriesPoint | None = None
    kind: str = ""
    across: str = ""
    turned: bool = False
    """Whether each slice is a view of its own orientation, turned from the one before."""
    warnings: tuple[str, ...] = ()

    @property
    def in_time(self) -> bool:
        """Whether the slices follow each other in time, at one place or in one file."""
        return self.across in TIMES or (not self.proven and self.slices[0].image.in_time)


def _lut_key(table: Lut | None) -> int:
    return 0 if table is None else hash((table[0], table[1].tobytes()))


def _apart(one: Slice) -> Key:
    """What two slices must share to lie in one stack, besides orientation and spacing."""
    image, frame = one.image, one.frame
    pixels = image.pixels
    placed = frame.position is not None and frame.orientation is not None
    projection = image.modality in PROJECTION and not placed
    single = pixels.frames > 1 and not (image.enhanced and placed)
    return (
        image.study_uid,
        image.identity.patient_id,
        image.sop_class,
        image.modality,
        frame.marks.image_type[:3],
        image.mosaic is not None,
        image.version,
        pixels.rows,
        pixels.columns,
        pixels.photometric if pixels.photometric in GREYS else "colour",
        pixels.allocated if pixels.photometric in GREYS else pixels.dtype.name,
        "enhanced" if image.enhanced else pixels.frames,
        placed,
        frame.stack if placed else "",
        image.frame_of_reference if placed else "",
        (image.sop_uid or told_by(image.path)) if single or projection else "",
    )


def _series_uid(image: Image) -> str:
    """The series' identifier, or one for the image alone where the file has none."""
    if image.series_uid:
        return image.series_uid
    return f"image:{image.sop_uid}" if image.sop_uid else f"file:{told_by(image.path)[:32]}"


_COSINES, _SPACING = 2e-3, 1e-3
"""What orientation is rounded to, and pixel spacing as a part of itself."""
_UNKNOWN = (math.nan,) * 6


class _Heads:
    """The first slice of each cluster as six cosines and two spacings: one is compared with all at once."""

    def __init__(self) -> None:
        self._rows = np.empty((4, 8))
        self._clusters: list[list[Slice]] = []

    def cluster(self, numbers: Sequence[float]) -> list[Slice]:
        """The first cluster that agrees, or a new one; an unknown orientation agrees with all."""
        count = len(self._clusters)
        heads = self._rows[:count]
        off = np.abs(heads - numbers)
        other = (off[:, :6] > _COSINES).any(axis=1) | (off[:, 6:] > _SPACING * heads[:, 6:7]).any(axis=1)
        if not other.all():
            return self._clusters[int(np.argmin(other))]
        if count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[count] = numbers
        self._clusters.append([])
        return self._clusters[-1]


def _rank(image: Image) -> Key:
    """A complete order of images that does not depend on how their files are named."""
    frame = image.frames[0]
    return (
        image.study_uid,
        image.identity.patient_id,
        image.version,
        image.instance is None,
        image.instance or 0,
        image.sop_uid,
        frame.position or (),
        frame.orientation or (),
        frame.spacing or (),
    )


def _clusters(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Split by orientation, spacing and tables: each slice joins the first cluster it agrees with."""
    found: dict[int, list[Slice]] = {}
    heads: dict[Key, _Heads] = defaultdict(_Heads)
    tables: dict[int, Key] = {}
    for one in slices:
        image, orientation = one.image, one.frame.orientation
        if id(image) not in tables:
            tables[id(image)] = (_lut_key(image.lut), _lut_key(image.voi_lut))
        mm, measured = pixel_spacing(image, one.frame)
        cluster = heads[measured, tables[id(image)]].cluster((*(orientation or _UNKNOWN), *mm))
        cluster.append(one)
        found[id(cluster)] = cluster
    return list(found.values())


def once(images: Iterable[Image], limits: Limits, task: Task) -> tuple[list[Image], list[Copy]]:
    """The images, each once, and the copies: same identifier, place, number, size and pixels."""
    by_name: dict[Key, list[Image]] = defaultdict(list)
    kept: list[Image] = []
    for image in images:
        if image.sop_uid:
            place = image.frames[0].position, image.instance, image.frames[0].orientation
            by_name[(_series_uid(image), image.sop_uid, place, *_apart(Slice(image, 0)))].append(image)
        else:
            kept.append(image)
    copies: list[Copy] = []
    for same in by_name.values():
        differing, others = (same, []) if len(same) == 1 else apart(same, limits, task)
        kept.extend(differing)
        copies.extend(others)
    return told(kept) if len({i.sop_uid for i in kept}) < len(kept) else kept, copies


def groups(images: Iterable[Image]) -> list[Group]:
    """Series in a fixed order, each with its slices in order."""
    by_series: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_series[_series_uid(image)].append(image)
    found: list[tuple[Key, Group]] = []
    for uid, members in whole(by_series).items():
        number = (min(i.study_uid for i in members), *min(_number(i) for i in members), uid)
        found += [((*number, k), group) for k, group in enumerate(_split(uid, members))]
    return [group for _, group in sorted(found, key=lambda entry: entry[0])]


def _split(uid: str, members: list[Image]) -> list[Group]:
    """The stacks of one series."""
    by_kind: dict[Key, list[Slice]] = defaultdict(list)
    for image in sorted(members, key=_tie(members)):
        for number in range(image.pixels.frames):
            one = Slice(image, number)
            by_kind[_apart(one)].append(one)
    types = {kind[0].frame.marks.image_type[:3] for kind in by_kind.values()}
    found: list[Group] = []
    for kind in by_kind.values():
        words = _type_words(kind[0].frame.marks.image_type[:3], types)
        version = kind[0].image.version
        words = " ".join(w for w in (words, f"copy {version + 1} with other pixels" if version else "") if w)
        views, clusters = _views(kind, _clusters(kind))
        found += [Group(uid, run, _images(run), True, kind=words, turned=True) for run in views]
        for cluster in clusters:
            found += [replace(group, kind=words) for group in _stacks(uid, tuple(cluster))]
    used: set[int] = set()
    for k, group in enumerate(found):
        fresh = tuple(i for i in group.images if id(i) not in used)
        used |= {id(i) for i in fresh}
        found[k] = replace(group, uid=uid if len(found) == 1 else f"{uid}#{k + 1}", images=fresh)
    return found


def _views(
    kind: list[Slice], clusters: list[list[Slice]]
) -> tuple[list[tuple[Slice, ...]], list[list[Slice]]]:
    """Runs of views that turn, out of slices alone in their orientation, and the clusters that are none.

    One view may come twice, as the first and the last of a full turn do.
    """
    if sum(len(cluster) == 1 for cluster in clusters) < LEAST:
        return [], clusters
    few = [c for c in clusters if len(c) == 1 or (len(c) == 2 and c[0].frame.position == c[1].frame.position)]
    alone = {id(one) for cluster in few for one in cluster}
    alike: dict[Key, list[Slice]] = defaultdict(list)
    for one in kind:
        if id(one) not in alone:
            continue
        image, marks = one.image, one.frame.marks
        spacing = tuple(float(f"{mm:.3g}") for mm in one.frame.spacing or ())
        tables = _lut_key(image.lut), _lut_key(image.voi_lut)
        alike[spacing, tables, marks.echo_number, marks.b_value, component_of(marks.image_type)].append(one)
    runs = [tuple(views) for views in alike.values() if turned(views)]
    joined = {id(one) for run in runs for one in run}
    left = [[one for one in cluster if id(one) not in joined] for cluster in clusters]
    return runs, [cluster for cluster in left if cluster]


def _type_words(one: tuple[str, ...], types: set[tuple[str, ...]]) -> str:
    """What of an image type differs from the others of the series, e.g. "localizer"; "" if all are alike."""
    parts = {each: component_of(each) for each in types}
    mine = parts[one]
    if mine is not None and len(set(parts.values())) == len(types) > 1 and len({t[:2] for t in types}) == 1:
        return COMPONENTS[mine]
    differing = [k for k in range(3) if len({t[k : k + 1] for t in types}) > 1]
    return " ".join(one[k] for k in differing if k < len(one)).lower()


def _stacks(uid: str, slices: tuple[Slice, ...]) -> list[Group]:
    """One group for each point of the fourth dimension in slices of one shape."""
    first = slices[0]
    classic = first.image.pixels.frames > 1 and not first.image.enhanced
    if classic or first.frame.position is None or first.frame.orientation is None:
        return [Group(uid, _as_numbered(slices), _images(slices), len(slices) == 1)]
    leaves = [leaf for branch in branches(slices) for leaf in _files_apart(branch)]
    everywhere = len(set(places(slices)))
    whole = [len(set(places(leaf.slices))) == everywhere for leaf in leaves]
    parts = [_part(uid, leaf, k, len(leaves)) if leaf.trail else None for k, leaf in enumerate(leaves)]
    return [
        _placed(uid, leaf, part and replace(part, complete=own, times=part.times if all(whole) else 1))
        for leaf, part, own in zip(leaves, parts, whole, strict=True)
    ]


def _part(uid: str, branch: Branch, index: int, count: int) -> SeriesPoint:
    times = (point.count for point in branch.trail if point.dimension.name in TIMES)
    return SeriesPoint(
        of=uid,
        by=", ".join(point.dimension.name for point in branch.trail),
        value=tuple(point.value for point in branch.trail),
        index=index,
        count=count,
        words=" · ".join(point.words for point in branch.trail),
        times=prod(times),
    )


def _files_apart(branch: Branch) -> list[Branch]:
    """Multi-frame files that together make no even stack stay as they are: each is a set of its own."""
    images = _images(branch.slices)
    orientation = branch.slices[0].frame.orientation
    own = Counter(id(s.image) for s in branch.slices)
    if len(images) == 1 or min(own.values()) == 1 or orientation is None:
        return [branch]
    together = _along_normal(branch.slices)
    if stacking(orientation, [s.frame.position for s in together if s.frame.position]).even:
        return [branch]
    return [replace(branch, slices=tuple(s for s in branch.slices if s.image is i)) for i in images]


def _placed(uid: str, branch: Branch, part: SeriesPoint | None) -> Group:
    """Slices with positions: along the normal, or those of a single place in their own order."""
    slices, across = _along_normal(branch.slices), ""
    if len(slices) > 1 and len(set(places(slices))) == 1:
        slices, across = in_order_of_time(branch.slices)
    return Group(uid, slices, _images(branch.slices), True, part, across=across, warnings=branch.warnings)


def _along_normal(slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Slices in the order of their places; those that share one in the order they came."""
    numbers = places(slices)
    return tuple(slices[i] for i in sorted(range(len(slices)), key=lambda i: (numbers[i], i)))


def _as_numbered(slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Slices without positions: by their dimension indices where all have them, else as they came."""
    indices = [s.frame.marks.index for s in slices]
    if len(_images(slices)) > 1 or not all(indices) or len({len(index) for index in indices}) > 1:
        return slices
    return tuple(slices[i] for i in sorted(range(len(slices)), key=lambda i: (indices[i], i)))


def _images(slices: Sequence[Slice]) -> tuple[Image, ...]:
    """The images of some slices, each once."""
    return tuple({id(s.image): s.image for s in slices}.values())


def _tie(members: list[Image]) -> Any:
    """`_rank`, and where that leaves two images equal, what is in their files."""
    ranks = [_rank(i) for i in members]
    twice = len(set(ranks)) < len(ranks)
    return (lambda i: (_rank(i), told_by(i.path))) if twice else _rank


def _number(image: Image) -> Key:
    return (image.series_number is None, image.series_number or 0)
