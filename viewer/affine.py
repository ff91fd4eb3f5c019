# SPDX-License-Identifier: Apache-2.0
"""Affine maps between grids, as 4 × 4 matrices.

A grid index is (slice, row, column); its integer values are the *centres* of the cells, so cell 0
covers -0.5 … 0.5. A matrix acts on homogeneous column vectors: `target = matrix @ (s, r, c, 1)`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

EDGE = 1e-6
"""A cell's border computed through an inverse matrix is off by rounding."""


def frozen(array: ArrayLike) -> Matrix:
    """A read-only float64 copy."""
    copy = np.array(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy


def scale_offset(scale: ArrayLike, offset: ArrayLike) -> Matrix:
    """`target = scale * index + offset` along each of the three axes; a negative scale flips."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(np.asarray(scale, dtype=np.float64))
    matrix[:3, 3] = np.asarray(offset, dtype=np.float64)
    return matrix


def apply(matrix: Matrix, points: ArrayLike) -> Matrix:
    """Map points of shape (..., 3) from the matrix' source grid to its target grid."""
    points = np.asarray(points, dtype=np.float64)
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def inverse(matrix: Matrix) -> Matrix:
    """The map back from the target grid to the source grid."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def inside(position: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Whether indices lie in one of `count` cells: in −0.5 … count − 0.5."""
    place = np.asarray(position)
    return np.asarray((place >= -0.5 - EDGE) & (place <= count - 0.5 + EDGE))


def cells(coarse: tuple[int, int, int], fine: tuple[int, int, int]) -> Matrix:
    """From the index of a coarse grid to that of a fine one covering the same field of view.

    Both grids cover the field evenly (the convention of `align_corners=False`), e.g. 7 × 7 cells
    of a feature map over 224 × 224 input pixels: cell 0 has its centre at pixel 15.5.
    """
    scale = np.asarray(fine, dtype=np.float64) / np.asarray(coarse, dtype=np.float64)
    return scale_offset(scale, (scale - 1) / 2)
