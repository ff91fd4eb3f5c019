# SPDX-License-Identifier: Apache-2.0
"""A box of voxels that is searched: drawn by the reader's hand in a slice or a plane."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from viewer import affine
from viewer.overlay.outline import Box
from viewer.planes import Point
from viewer.types import Array, Series
from viewer.ui.state import RequestState


def from_slice(slice: int, corners: Array) -> tuple[Array, int]:
    """The two voxels (2, 3) of a rectangle on a slice, (2, 2) rows and columns; the axis it leaves open."""
    return np.column_stack([np.full(2, float(slice)), corners]), 0


def from_plane(series: Series, first: Point, last: Point, normal: Array) -> tuple[Array, int]:
    """The same of a rectangle in a plane with this normal (LPS); askew, the box about its two corners."""
    inverse = affine.inverse(series.geometry.matrix)
    across = np.abs(inverse[:3, :3] @ np.asarray(normal, float))
    return affine.apply(inverse, np.array([first, last])), int(np.argmax(across))


def drawn(series: Series, corners: Array, open_axis: int, before: Box | None, depth: float) -> Box:
    """The box of whole voxels about two corners (2, 3), inside the series.

    Along the axis that the hand leaves open it goes as far as the box that stands, `before`, if it meets
    that; else `depth` voxels about the place.
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    here = float(corners[:, open_axis].mean())
    if before is not None and before[0][open_axis] <= round(here) <= before[1][open_axis]:
        low[open_axis], high[open_axis] = before[0][open_axis], before[1][open_axis]
    else:
        low[open_axis], high[open_axis] = here - (depth - 1) / 2, here + (depth - 1) / 2
    most = np.array(series.shape) - 1
    first, last = (np.clip(np.rint(end), 0, most) for end in (low, high))
    return tuple(map(float, first)), tuple(map(float, last))


def with_slices(series: Series, box: Box, first: int, last: int) -> Box:
    """The box from one slice to another, which may come in either order."""
    most = series.shape[0] - 1
    low, high = (float(min(max(i, 0), most)) for i in sorted((first, last)))
    return (low, *box[0][1:]), (high, *box[1][1:])


def in_stack(series: Series, request: RequestState) -> Mapping[str, Any]:
    """What is placed and searched, in a stack that may be shorter: the nearest voxels there are."""
    changes: dict[str, Any] = {}
    if request.placed is not None:
        most = series.shape[3 - len(request.placed) :]
        changes["placed"] = tuple(min(i, n - 1) for i, n in zip(request.placed, most, strict=True))
    if request.box is not None:
        first, last = (
            tuple(min(i, n - 1) for i, n in zip(corner, series.shape, strict=True)) for corner in request.box
        )
        changes["swept"] = first, last
    return changes
