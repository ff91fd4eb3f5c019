# SPDX-License-Identifier: Apache-2.0
"""Views that turn around an axis: rotating projections, radial slices, cuts along a curve."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from viewer.affine import Matrix
from viewer.dicom.facts import Cosines, Slice

LEAST = 4
"""Views from which on they are a run: three planes at right angles are a pilot to plan on."""
_SAME_AXIS = 5.0
"""Degrees by which the axes of two turns may differ, and below which a turn has no axis worth the name."""
_LEAST_STEP = 0.9
"""Degrees of the usual step; less is a patient or a table that drifts."""
_NEXT = 50.0
"""Degrees up to which a view is the next one of a turn, about whatever axis."""


def turned(views: Sequence[Slice]) -> bool:
    """Whether views, each of an orientation of its own and in their order, turn from one to the next.

    They do where all turns are about one axis, or each is a small one. Planes that scanners plan on stand
    at right angles to each other, three and three.
    """
    frames = [_axes(one.frame.orientation) for one in views if one.frame.orientation is not None]
    if len(frames) < max(LEAST, len(views)):
        return False
    turns = [_turn(one, frames[0]) for one in frames[1:]]
    axes = np.asarray([axis for axis, angle in turns if angle > _SAME_AXIS])
    steps = [_turn(after, before)[1] for before, after in pairwise(frames)]
    if np.median(steps) < _LEAST_STEP:
        return False
    if max(steps) <= _NEXT:
        return True
    square = np.asarray([angle for _, angle in turns]) % 90
    if bool(np.all(np.minimum(square, 90 - square) < _SAME_AXIS)):
        return False
    return len(axes) > 0 and bool(np.all(np.abs(axes @ axes[0]) > np.cos(np.radians(_SAME_AXIS))))


def _axes(orientation: Cosines) -> Matrix:
    """Rows, columns and normal of a slice as the columns of a rotation."""
    row, column = np.asarray(orientation).reshape(2, 3)
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _turn(one: Matrix, other: Matrix) -> tuple[Matrix, float]:
    """Axis (unit vector, either way) and angle in degrees of the turn from one view to another."""
    rotation = one @ other.T
    angle = float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
    axis: Matrix = np.linalg.svd(rotation - np.eye(3))[2][-1]
    return axis, angle
