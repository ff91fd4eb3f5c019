# SPDX-License-Identifier: Apache-2.0
"""What was found by showing a network of blocks (patches) many of them."""

import math
from dataclasses import dataclass

import numpy as np

from viewer import affine
from viewer.types.arrays import Shape3
from viewer.types.geometry import Geometry
from viewer.types.prediction import Field, Score


@dataclass(frozen=True, slots=True, eq=False)
class BestBlock:
    """A block of which no other within half a block has a higher score, and where it lies."""

    score: Score
    field: Field

    @property
    def place(self) -> tuple[float, float, float]:
        """Its middle, as a source voxel (slice, row, column)."""
        middle = [(n - 1) / 2 for n in self.field.shape]
        slice, row, column = (float(i) for i in affine.apply(self.field.matrix, middle))
        return (slice, row, column)

    def position(self, geometry: Geometry) -> tuple[float, float, float] | None:
        """The same in LPS millimetres; None where that is not known."""
        if not geometry.orientation_known or (geometry.between and not geometry.volume):
            return None
        x, y, z = (float(i) for i in affine.apply(geometry.matrix, self.place))
        return (x, y, z)


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """How blocks were laid for one label, the best of them, and what they may have missed.

    Sides, steps and shares are those of (depth, rows, columns) of the network's input.
    """

    label: str
    count: int
    """How many blocks were looked at, all together: the score of the best is the best of so many."""
    grid: int
    """How many of them are those of the even grid."""
    size: Shape3
    """The side of a block in pixels of the input."""
    stride: Shape3
    """The largest step between neighbours on the grid in the same pixels; 0 along an axis with one block."""
    best: tuple[BestBlock, ...]
    """The best blocks, the highest score first; see `BestBlock`."""
    refined: bool
    """Whether steps were halved around the best blocks of the grid."""
    half_width: tuple[float | None, float | None, float | None] = (None, None, None)
    """How far the best block may be moved until half of its rise is gone, ÷ its side; 0.5 stands for that or
    more, and None where it was not, or could not be, measured."""
    finer: int = 0
    """The blocks of a grid that would be fine enough for this half-width; 0 where this one is."""
    weighted: bool = False
    """Whether the map blends blocks by their score."""

    @property
    def least(self) -> float | None:
        """The share of its rise that a finding midway between blocks of the grid would show; None unless
        that is known. The net's answer is taken to fall off as a Gaussian of the measured half-width."""
        return least_share(self.stride, self.size, self.half_width)


def least_share(
    stride: Shape3, size: Shape3, half_width: tuple[float | None, float | None, float | None]
) -> float | None:
    """See `Swept.least`."""
    steps = np.array(stride) / np.array(size)
    moved = [i for i in range(3) if stride[i]]
    if not moved or any(half_width[i] is None for i in moved):
        return None
    return math.prod(float(2.0 ** -((steps[i] / 2 / (half_width[i] or 1e-6)) ** 2)) for i in moved)
