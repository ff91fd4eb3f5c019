# SPDX-License-Identifier: Apache-2.0
"""What is asked of a model: one configured method, of one target, at one place of one series.

A request is the key of all that is kept of answers, so that two which mean the same are equal: defaults
may be left out or written down, numbers be 1 or 1.0. What lies in files is told by its content, not its path.
"""

import operator
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from viewer.errors import SeriesError
from viewer.types.digest import canonical, digest, text
from viewer.types.maps import Method
from viewer.types.prediction import Region, Sweep, Target

Asked = Target | Literal["top"]
"""A target, or the label with the highest score."""


@dataclass(frozen=True, slots=True)
class Place:
    """What of a series a model is shown; raises `SeriesError` for what can be no place of any series.

    `slice` counts from 0; None is the volume. `at` is the middle of a patch as (row, column) or, in a volume,
    (slice, row, column); a sweep stands for patches all over, None for the middle or the whole.
    """

    slice: int | None = None
    at: tuple[float, ...] | Sweep | None = None

    def __post_init__(self) -> None:
        if self.slice is not None:
            number = operator.index(self.slice)
            if number < 0:
                raise SeriesError(f"There is no slice {number}; slices count from 0.")
            object.__setattr__(self, "slice", number)
        at = self.at
        if isinstance(at, Sweep):
            object.__setattr__(self, "at", replace(at, box=self._box(at), overlap=_share(at.overlap)))
        elif at is not None:
            object.__setattr__(self, "at", self._numbers(at))

    def _numbers(self, place: Iterable[float]) -> tuple[float, ...]:
        numbers = tuple(float(number) + 0.0 for number in place)  # −0 is 0
        axes = ("slice", "row", "column")[0 if self.slice is None else 1 :]
        if len(numbers) != len(axes) or not all(isfinite(n) and n >= 0 for n in numbers):
            raise SeriesError(f"A place here is {len(axes)} numbers of at least 0: {', '.join(axes)}.")
        return numbers

    def _box(self, sweep: Sweep) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        if sweep.box is None:
            return None
        first, last = (self._numbers(corner) for corner in sweep.box)
        if any(low > high for low, high in zip(first, last, strict=True)):
            raise SeriesError("The box of a sweep goes from its first corner to its last.")
        return first, last


def _share(overlap: float) -> float:
    if not 0 <= overlap < 1:
        raise SeriesError("The overlap of patches is a share from 0 up to, not including, 1.")
    return float(overlap) + 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One map that is wished for; equal, and of one hash, to every other request of the same map.

    `series` and `model` are digests, so that another study is never taken for this one, nor a model with
    another card for that with the same weights. `explainer` is the configured method itself: an instance is
    frozen, knows every default and has turned what it was given into the types of its fields, and it can be
    run without looking its name up. `layer` is a name, also of the suggested one. `contents` are the digests
    of what the files hold that settings name, by the name of the setting; they count in place of the path.
    """

    series: str
    model: str
    place: Place
    explainer: Method
    target: Asked | None = "top"
    """None for a method that is the same for every label, whatever was given."""
    layer: str | None = None
    within: Region | None = None
    """Where the method may change the image; None: anywhere."""
    features: tuple[Region, ...] = ()
    """What a method over segments takes as features, in this order."""
    contents: tuple[tuple[str, str], ...] = ()
    how: tuple[Any, ...] = field(init=False, repr=False)
    """All that is asked but place and target, in a form that compares: one method as it is set."""
    aim: tuple[str | None, ...] = field(init=False, repr=False)
    """The target in such a form."""

    def __post_init__(self) -> None:
        if not self.explainer.target_dependent:
            object.__setattr__(self, "target", None)
        how = (
            self.series,
            self.model,
            type(self.explainer),  # a stranger's method may have a name of ours
            text(self.settings),
            self.layer,
            _digest(self.within),
            tuple(region.digest for region in self.features),
        )
        object.__setattr__(self, "how", how)
        object.__setattr__(self, "aim", _aim(self.target))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return (self.place, self.aim, self.how) == (other.place, other.aim, other.how)

    def __hash__(self) -> int:
        return hash((self.place, self.aim, self.how))

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting but the layer by name, in its canonical form; digests in the place of paths."""
        found = self.explainer.settings() | dict(self.contents)
        return {name: canonical(found[name]) for name in sorted(found) if name != "layer"}

    def document(self) -> dict[str, Any]:
        """The request as JSON can hold it; regions and files as digests."""
        named = isinstance(self.target, Target)
        return {
            "series": self.series,
            "model": self.model,
            "place": canonical(self.place),
            "method": self.explainer.name,
            "program": _program(type(self.explainer)),
            "settings": self.settings,
            "target": dict(zip(_AIM, self.aim, strict=True)) if named else self.target,
            "layer": self.layer,
            "within": _digest(self.within),
            "features": [one.digest for one in self.features],
        }

    @property
    def key(self) -> str:
        """32 hexadecimal digits for stores: the same for equal requests, in every process."""
        return digest(self.document())


@cache
def _program(method: type) -> list[str | None]:
    """What tells a method from a stranger's of the same name: its class, and a digest of the file of that.

    The file is that of the class alone, not what it imports; where there is none, the class has to do.
    """
    path = getattr(sys.modules.get(method.__module__), "__file__", None)
    try:
        source = None if path is None else digest(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):  # within an archive, or compiled
        source = None
    return [f"{method.__module__}.{method.__qualname__}", source]


_AIM = ("label", "minus", "region")


def _aim(target: Asked | None) -> tuple[str | None, ...]:
    """(label, what it is compared with, region) of a target; shorter for what names no label."""
    if isinstance(target, Target):
        return target.label, target.minus, _digest(target.region)
    return () if target is None else (target,)


def _digest(region: Region | None) -> str | None:
    return None if region is None else region.digest


@dataclass(frozen=True, slots=True)
class Override:
    """The reader's word that a model is asked about a series for which it was not made: both as digests."""

    series: str
    model: str
