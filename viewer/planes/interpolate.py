# SPDX-License-Identifier: Apache-2.0
"""Values between the voxels of a volume: linear between the neighbours of each place."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from viewer.types import Array, Shape3

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BAND = 2**14
"""Pixels that are computed together: few enough to stay in the processor's cache."""


class Grid:
    """A contiguous volume, looked up at many places at once.

    Places in memory are counted in floats, which hold them exactly, and nothing is left for numpy to convert
    within an operation: that halves the time.
    """

    def __init__(self, voxels: Array) -> None:
        self.shape: Shape3 = voxels.shape
        self._flat = voxels.reshape(-1)
        steps = (voxels.shape[1] * voxels.shape[2], voxels.shape[2], 1)
        self._steps = tuple(n if cells > 1 else 0 for n, cells in zip(steps, voxels.shape, strict=True))

    def linear(self, places: Mapping[int, Doubles]) -> Floats:
        """The values at fractional indices, one array for each axis, clamped to the border."""
        base, sides = self._sides(places)
        return self._mixed(base.astype(np.intp), 0, sides)

    def in_layers(self, places: Mapping[int, Doubles], axis: int, layer: Doubles, halfway: bool) -> Floats:
        """The same in whole layers of one axis, between half as many neighbours, or halfway to the next."""
        base, sides = self._sides(places)
        base += layer * self._steps[axis]
        whole = base.astype(np.intp)
        result = self._mixed(whole, 0, sides)
        if halfway:
            result += self._mixed(whole, self._steps[axis], sides)
            result *= np.float32(0.5)
        return result

    def _sides(self, places: Mapping[int, Doubles]) -> tuple[Doubles, list[tuple[int, Floats]]]:
        """Where the lowest neighbours lie, and on each axis the step to the upper one and its share."""
        base = np.zeros(())
        sides = []
        for axis, place in places.items():
            low, share = neighbours(place, self.shape[axis])
            low *= self._steps[axis]
            base = np.add(base, low, out=low)
            sides.append((self._steps[axis], share))
        return base, sides

    def _mixed(self, base: NDArray[np.intp], place: int, sides: Sequence[tuple[int, Floats]]) -> Floats:
        if not sides:
            return self._flat[place:].take(base).astype(np.float32, copy=False)
        (step, share), *rest = sides
        below = self._mixed(base, place, rest)
        result = self._mixed(base, place + step, rest)
        result -= below
        result *= share
        result += below
        return result


def neighbours(position: Doubles, cells: int) -> tuple[Doubles, Floats]:
    """The lower of the two cells around each index and the upper's share, clamped to the border."""
    if position.size and (position.min() < 0 or position.max() >= cells - 1):
        position = np.clip(position, 0, cells - 1)
        low = np.minimum(np.floor(position), max(cells - 2, 0))
    else:
        low = np.floor(position)
    return low, (position - low).astype(np.float32)
