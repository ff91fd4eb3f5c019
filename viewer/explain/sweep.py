# SPDX-License-Identifier: Apache-2.0
"""Explaining a network that reads patches all over an image: raw maps of patches, blended into one.

Where patches overlap, a place has the mean of what their maps say of it, weighted by a Gaussian about the
middle of each patch (as predictions of patches are put together in Isensee et al., nnU-Net, Nature Methods
2021): near its border a patch sees least of what lies around. Values are blended as the method gave
them, signed and unscaled, in the unit of one patch's score.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.errors import ExplainerError
from viewer.explain.explainer import Explainer
from viewer.explain.run import Assignment, Explained, Outcome, outcome, suited
from viewer.models import Model
from viewer.models.tiling import Tiling
from viewer.task import Task
from viewer.types import Array, Asked, Attribution, ModelInput, Prediction, Region, Shape3, Target

_WIDTH = 1 / 8
"""Standard deviation of the weights ÷ side of a patch."""
_MOST_BYTES = 2**31
"""What the maps of one sweep may take together."""


def sweep(
    model: Model,
    tilings: Iterable[Tiling],
    methods: Sequence[Explainer],
    wishes: Sequence[Asked] = ("top",),
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    within: Region | None = None,
    features: Sequence[Region] = (),
) -> Explained:
    """Predict and explain every patch; one attribution for each tiling, method and target.

    "top" is the label with the highest score in any patch of a tiling. Where a method cannot explain a
    patch, such as one that no gradient passes, its map counts as zero there, and `refused` says of how many.
    """
    assignments = [Assignment(m, tuple(wishes), within, tuple(features)) for m in methods]
    return swept(model, tilings, assignments, task, batch, override).explained(assignments)


def swept(
    model: Model,
    tilings: Iterable[Tiling],
    assignments: Sequence[Assignment],
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
) -> Outcome:
    """Predict every patch and carry out assignments on each, all of them on one forward a batch; see `sweep`.

    An input of the outcome is a tiling, and what stands in `refused` may be said of some patches of a map.
    """
    task = task or Task()
    predictions: list[Prediction] = []
    maps: dict[int, list[tuple[int, int, Attribution]]] = {}
    refused: dict[int, str] = {}
    for number, tiling in enumerate(tilings):
        chosen = _chosen(model, tiling, assignments, task, batch)
        found = _Swept(model, tiling, chosen, task, batch, override).outcome()
        predictions += found.predictions
        for i, some in found.maps.items():
            maps.setdefault(i, []).extend((row, number, one) for row, _, one in some)
        refused = dict(found.refused) | refused
    return Outcome(tuple(predictions), maps, refused)


def _chosen(
    model: Model, tiling: Tiling, assignments: Sequence[Assignment], task: Task, batch: int
) -> Sequence[Assignment]:
    """The assignments with targets that are the same for every patch."""

    def left_open(one: Assignment) -> bool:
        return one.method.target_dependent and "top" in one.wishes

    if not any(map(left_open, assignments)):
        return assignments
    every = model.predict(list(tiling.patches()), task, batch)
    top = max((p.top for p in every), key=lambda score: score.probability).label
    named = Target(top, model.labels.index(top), plain=model.card.output.activation == "none")
    return [
        replace(a, wishes=tuple(named if w == "top" else w for w in a.wishes)) if left_open(a) else a
        for a in assignments
    ]


def _told(reason: str, missing: int, count: int) -> str:
    return reason if missing == count else f"The maps of {missing} of {count} patches count as zero. {reason}"


@dataclass(frozen=True, slots=True)
class _Swept:
    model: Model
    tiling: Tiling
    assignments: Sequence[Assignment]
    task: Task
    batch: int
    override: str | None

    def outcome(self) -> Outcome:
        """Maps of the whole tiling, some patches at a time: no map of a patch is kept."""
        patches, offsets = list(self.tiling.patches()), self.tiling.offsets
        fitting, unsuitable = suited([a.method for a in self.assignments], self.model)
        predictions: list[Prediction] = []
        reasons: dict[int, str] = {}
        missing: defaultdict[int, set[int]] = defaultdict(set)
        blends: dict[tuple[int, int], _Blend] = {}
        for first in range(0, len(patches), self.batch):
            some = patches[first : first + self.batch]
            share = _Share(self.task, first, len(some), len(patches))
            for place, found in self._parts(some, list(fitting), share):
                predictions += found.predictions
                for i, reason in found.refused.items():
                    reasons.setdefault(i, reason)
                    missing[i].add(first + place)
                for i, maps in found.maps.items():
                    for row, n, one in maps:
                        self._blend(blends, (i, row), one).add(offsets[first + place + n], one)
        every = tuple(predictions)
        told = unsuitable | {i: _told(why, len(missing[i]), len(patches)) for i, why in reasons.items()}
        blended: dict[int, list[tuple[int, int, Attribution]]] = {}
        for (i, row), blend in blends.items():
            blended.setdefault(i, []).append((row, 0, blend.attribution(every)))
        return Outcome(every, blended, told)

    def _parts(
        self, some: Sequence[ModelInput], numbers: Sequence[int], share: Task
    ) -> Iterator[tuple[int, Outcome]]:
        """What these assignments find of some patches, and where among them it begins.

        A method that refuses them together is asked patch by patch, so that one which it cannot explain
        takes nothing from those beside it.
        """
        together = self._found(some, numbers, share)
        again = list(together.refused) if len(some) > 1 else []
        yield 0, replace(together, refused={}) if again else together
        for i, patch in enumerate(some if again else ()):
            yield i, replace(self._found([patch], again, share), predictions=())

    def _found(self, patches: Sequence[ModelInput], numbers: Sequence[int], share: Task) -> Outcome:
        """What these assignments find, under their numbers."""
        asked = [self.assignments[i] for i in numbers]
        found = outcome(self.model, patches, asked, share, self.batch, self.override)
        maps = {numbers[k]: some for k, some in found.maps.items()}
        return Outcome(found.predictions, maps, {numbers[k]: why for k, why in found.refused.items()})

    def _blend(
        self, blends: dict[tuple[int, int], "_Blend"], key: tuple[int, int], one: Attribution
    ) -> "_Blend":
        """The one that the map of a patch belongs to; begun with its first patch."""
        if key not in blends:
            new = _Blend(self.tiling, one)
            if sum(4 * math.prod(blend.shape) for blend in (*blends.values(), new)) > _MOST_BYTES:
                raise ExplainerError(
                    "The maps of this sweep need too much memory; choose fewer labels, or a box of the image."
                )
            blends[key] = new
        return blends[key]


class _Blend:
    """The weighted mean of the maps of patches, on cells as large as all of them have in common."""

    def __init__(self, tiling: Tiling, first: Attribution) -> None:
        self.first = first
        """The map of the first patch that has one."""
        self._tiling = tiling
        facts = zip(tiling.size, first.values.shape, tiling.starts, strict=True)
        self._pixels = tuple(_common(size, cells, starts) for size, cells, starts in facts)
        whole = tiling.whole.shape
        self.shape: Shape3 = tuple(n // p for n, p in zip(whole, self._pixels, strict=True))  # type: ignore[assignment]
        self._sides = [_weights(n // p) for n, p in zip(tiling.size, self._pixels, strict=True)]
        self._index = np.ix_(
            *(
                _cell(size // pixels, cells)
                for size, pixels, cells in zip(tiling.size, self._pixels, first.values.shape, strict=True)
            )
        )
        self._weight = _outer(self._sides)
        self._sum = np.zeros(self.shape, np.float32)
        self._errors: list[float] = []
        self._resolution = first.resolution
        self._seconds = 0.0

    def add(self, offset: Shape3, attribution: Attribution) -> None:
        """Put the map of the patch at an offset where it belongs."""
        start = [o // p for o, p in zip(offset, self._pixels, strict=True)]
        place = tuple(slice(s, s + n) for s, n in zip(start, self._weight.shape, strict=True))
        self._sum[place] += self._weight * attribution.values[self._index]
        self._seconds += attribution.seconds
        if attribution.resolution is not None:
            self._resolution = attribution.resolution.with_those_of(self._resolution)
        if attribution.completeness_error is not None:
            self._errors.append(attribution.completeness_error)

    def attribution(self, predictions: tuple[Prediction, ...]) -> Attribution:
        """The blended map; its completeness error is the largest of a patch."""
        for axis, (side, starts) in enumerate(zip(self._sides, self._tiling.starts, strict=True)):
            total = np.zeros(self.shape[axis], np.float32)
            for start in starts:
                first = start // self._pixels[axis]
                total[first : first + len(side)] += side
            self._sum /= total.reshape([-1 if i == axis else 1 for i in range(3)])
        whole = self._tiling.whole
        return replace(
            self.first,
            values=self._sum,
            matrix=whole.matrix @ affine.cells(self.shape, whole.shape),
            predictions=predictions,
            features={},  # a segment has a value in each patch that it reaches, and none in all of them
            completeness_error=max(self._errors, default=None),
            resolution=self._resolution,
            seconds=self._seconds,
        )


def _common(size: int, cells: int, starts: Sequence[int]) -> int:
    """The largest side of a cell, in pixels, on whose borders those of all maps fall; else one pixel."""
    return math.gcd(size // cells, *starts) if size % cells == 0 else 1


def _cell(pieces: int, cells: int) -> NDArray[np.intp]:
    """Which of the cells of a map holds the middle of each of the equal pieces of its side."""
    return np.asarray((np.arange(pieces) + 0.5) * (cells / pieces)).astype(np.intp)


def _weights(pieces: int) -> NDArray[np.float32]:
    place = (np.arange(pieces) + 0.5) / pieces - 0.5
    return np.exp(-0.5 * (place / _WIDTH) ** 2).astype(np.float32)


def _outer(sides: Sequence[Array]) -> NDArray[np.float32]:
    first, second, third = sides
    return np.asarray(first[:, None, None] * second[:, None] * third, np.float32)


class _Share(Task):
    """The part of a task that some of its patches are."""

    def __init__(self, whole: Task, first: int, count: int, total: int) -> None:
        super().__init__()
        self._whole, self._first, self._count, self._total = whole, first, count, total
        self._done = 0

    @property
    def cancelled(self) -> bool:
        return self._whole.cancelled

    def check(self) -> None:
        self._whole.check()

    def progress(self, done: int, total: int, doing: str) -> None:
        # One method after another begins at nothing.
        self._done = max(self._done, self._count * done // max(total, 1))
        self._whole.progress(self._first + self._done, self._total, "sweeping patches")
