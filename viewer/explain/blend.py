# SPDX-License-Identifier: Apache-2.0
"""The raw maps of blocks, blended into one.

Where blocks overlap, a place has the mean of what their maps say of it, weighted by a Gaussian about the
middle of each block (as predictions of patches are put together in Isensee et al., nnU-Net, Nature Methods
2021): near its border a block sees least of what lies around. Weighted by the score of each block too, the
many blocks in which the network finds nothing do not drown the few in which it does. Values are blended as
the method gave them, signed and unscaled, in the unit of one block's score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.models.tiling import Tiling
from viewer.types import Attribution, Evidence, Prediction, Shape3, Swept

_WIDTH = 1 / 8
"""Standard deviation of the weights ÷ side of a block."""
LEAST_WEIGHT = 1e-3
"""Of a block that the network rejects, beside 1 of one with the highest score that there is. Where all are
rejected they count alike."""


@dataclass(frozen=True, slots=True)
class _Side:
    """Along one axis: the first cell of the blend in a block, the cells of its map, and their weights."""

    first: int
    cells: NDArray[np.intp]
    weights: NDArray[np.float32]


class Blend:
    """The weighted mean of the maps of blocks, on cells as large as those of a grid have in common."""

    def __init__(self, tiling: Tiling, first: Attribution) -> None:
        self.first = first
        """The map of the first block that has one."""
        self._tiling = tiling
        facts = zip(tiling.size, first.values.shape, tiling.starts, strict=True)
        self._pixels = tuple(_common(size, cells, starts) for size, cells, starts in facts)
        whole = tiling.whole.shape
        self.shape: Shape3 = tuple(n // p for n, p in zip(whole, self._pixels, strict=True))  # type: ignore[assignment]
        self._side = lru_cache(maxsize=None)(self._find_side)
        self._sum = np.zeros(self.shape, np.float32)
        self._places: list[tuple[Shape3, float]] = []
        self._errors: list[float] = []
        self._resolution = first.resolution
        self._evidence: Evidence | None = None
        self._seconds = 0.0

    def add(self, offset: Shape3, attribution: Attribution, weight: float = 1.0) -> None:
        """Put the map of the block at an offset where it belongs."""
        sides = [self._side(axis, start) for axis, start in enumerate(offset)]
        values = attribution.values[np.ix_(*(side.cells for side in sides))]
        self._sum[_place(sides)] += np.float32(weight) * _outer([s.weights for s in sides]) * values
        self._places.append((offset, weight))
        self._seconds += attribution.seconds
        if attribution.evidence is not None:
            self._evidence = attribution.evidence.stronger(self._evidence)
        if attribution.resolution is not None:
            self._resolution = attribution.resolution.with_those_of(self._resolution)
        if attribution.completeness_error is not None:
            self._errors.append(attribution.completeness_error)

    def attribution(
        self,
        predictions: tuple[Prediction, ...],
        missing: Sequence[tuple[Shape3, float]],
        swept: Swept | None,
    ) -> Attribution:
        """The blended map; its completeness error is the largest of a block, its evidence the strongest.

        Blocks that are `missing` a map count as zero, with their weight.
        """
        total = np.zeros(self.shape, np.float32)
        for offset, weight in (*self._places, *missing):
            sides = [self._side(axis, start) for axis, start in enumerate(offset)]
            total[_place(sides)] += np.float32(weight) * _outer([s.weights for s in sides])
        whole = self._tiling.whole
        return replace(
            self.first,
            values=self._sum / total,
            matrix=whole.matrix @ affine.cells(self.shape, whole.shape),
            predictions=predictions,
            features={},  # a segment has a value in each block that it reaches, and none in all of them
            completeness_error=max(self._errors, default=None),
            resolution=self._resolution,
            evidence=self._evidence,
            seconds=self._seconds,
            swept=swept,
        )

    def _find_side(self, axis: int, start: int) -> _Side:
        """Which cells of the blend have their middle in a block that begins at this pixel."""
        pixels, size = self._pixels[axis], self._tiling.size[axis]
        first = math.ceil(start / pixels - 0.5)
        last = math.ceil((start + size) / pixels - 0.5)
        place = ((np.arange(first, last) + 0.5) * pixels - start) / size  # 0 … 1 along the block
        cells = np.minimum(
            (place * self.first.values.shape[axis]).astype(np.intp), self.first.values.shape[axis] - 1
        )
        weights = np.exp(-0.5 * ((place - 0.5) / _WIDTH) ** 2)
        return _Side(first, cells, weights.astype(np.float32))


def _place(sides: Sequence[_Side]) -> tuple[slice, ...]:
    return tuple(slice(side.first, side.first + len(side.cells)) for side in sides)


def _common(size: int, cells: int, starts: Sequence[int]) -> int:
    """The largest side of a cell, in pixels, on whose borders those of all maps fall; else one pixel."""
    return math.gcd(size // cells, *starts) if size % cells == 0 else 1


def _outer(sides: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    first, second, third = sides
    return np.asarray(first[:, None, None] * second[:, None] * third, np.float32)
