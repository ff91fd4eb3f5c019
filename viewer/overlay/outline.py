# SPDX-License-Identifier: Apache-2.0
"""The outline of a region on a slice or a plane, along the edges of its pixels, no smoother than it is."""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.planes import Plane
from viewer.types import Array, Field, Region, Shape3

Box = tuple[tuple[float, ...], tuple[float, ...]]
"""A first and a last voxel, as `Sweep.box` has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Straight pieces, float32 (n, 2, 2): both ends as (row, column) of the source's pixel centres."""

    region: Region
    lines: NDArray[np.float32]

    @property
    def name(self) -> str:
        """What the outlined region is called."""
        return self.region.name


def outlines(regions: tuple[Region, ...], slice: int) -> tuple[Outline, ...]:
    """The outlines of all regions that reach a slice of their series."""
    found = (Outline(region, _lines(region, slice)) for region in regions)
    return tuple(one for one in found if len(one.lines))


def on_plane(regions: tuple[Region, ...], plane: Plane) -> tuple[Outline, ...]:
    """The outlines of all regions that a plane through their series meets, on the plane's pixels."""
    found = (Outline(region, _cut(region, plane)) for region in regions)
    return tuple(one for one in found if len(one.lines))


def border(field: Field, picture: Matrix) -> NDArray[np.float32]:
    """Where a picture cuts the border of a field, as straight pieces (n, 2, 2) on the picture's pixels.

    `picture` maps (depth, row, column) of the picture to the same source voxels as the field's matrix. A
    field is a box, so the pieces go once round a convex polygon; there are none where it is not cut.
    """
    sides = list(product((0, 1), repeat=3))
    ends = np.array([[(-0.5, n - 0.5)[end] for end, n in zip(s, field.shape, strict=True)] for s in sides])
    depth, row, column = affine.apply(affine.inverse(picture) @ field.matrix, ends).T
    points = []
    for one, other in combinations(range(len(sides)), 2):
        along_edge = sum(a != b for a, b in zip(sides[one], sides[other], strict=True)) == 1
        if along_edge and (depth[one] >= 0) != (depth[other] >= 0):
            share = depth[one] / (depth[one] - depth[other])
            points.append([at[one] + share * (at[other] - at[one]) for at in (row, column)])
    if not points:
        return np.zeros((0, 2, 2), np.float32)
    corners = np.array(points)
    middle = corners.mean(axis=0)
    corners = corners[np.argsort(np.arctan2(*(corners - middle).T))]
    return np.stack([corners, np.roll(corners, -1, axis=0)], axis=1).astype(np.float32)


def box_field(box: Box) -> Field:
    """Where a box of voxels (slice, row, column) lies, to their edges."""
    slices, rows, columns = (round(last - first) + 1 for first, last in zip(*box, strict=True))
    return Field(affine.scale_offset((1, 1, 1), box[0]), (slices, rows, columns))


def box(region: Region, drawn: Outline | None = None) -> Box:
    """The first and the last voxel, both (slice, row, column), of the box that holds a trimmed region.

    With its outline on a slice, both are (row, column) there.
    """
    if drawn is not None:
        places: Array = drawn.lines.reshape(-1, 2)
    else:
        corners = list(product(*((-0.5, n - 0.5) for n in region.mask.shape)))
        places = affine.apply(region.matrix, corners)
    # Voxels whose middle lies in it; of what is thinner than a voxel, the one that holds it.
    low, high = places.min(axis=0), places.max(axis=0)
    first, last = np.ceil(low - affine.EDGE), np.floor(high + affine.EDGE)
    thin = first > last
    first[thin] = last[thin] = np.rint((low + high) / 2)[thin]
    most = np.asarray(region.series.shape[-places.shape[1] :]) - 1
    return tuple(np.clip(first, 0, most).tolist()), tuple(np.clip(last, 0, most).tolist())


def trimmed(region: Region) -> Region:
    """The same region on no more of its grid than it marks, so that planes look for it nowhere else."""
    return region.trimmed()


def _cut(region: Region, plane: Plane) -> NDArray[np.float32]:
    """The outline on a plane; only the part of the plane that the region's grid can meet is looked at."""
    to = plane.matrix_to(region.series)
    corners = list(product(*((-0.5, n - 0.5) for n in region.mask.shape)))
    reach = affine.apply(affine.inverse(to) @ region.matrix, corners)
    low, high = np.floor(reach.min(axis=0)), np.ceil(reach.max(axis=0)) + 1
    top, left = (max(int(v), 0) for v in low[1:])
    bottom, right = (min(int(v), n) for v, n in zip(high[1:], plane.shape, strict=True))
    if low[0] > 0 or high[0] < 1 or top >= bottom or left >= right:
        return np.zeros((0, 2, 2), np.float32)
    here = to @ affine.scale_offset((1, 1, 1), (0, top, left))
    lines = edges(region.on(here, (1, bottom - top, right - left))[0])
    return np.asarray(lines + np.array([top, left], np.float32), np.float32)


def slices_of(region: Region) -> range:
    """The slices of the series that a region can reach."""
    corners = np.stack(np.meshgrid(*((-0.5, n - 0.5) for n in region.mask.shape), indexing="ij"), -1)
    reach = affine.apply(region.matrix, corners.reshape(-1, 3))[:, 0]
    count = region.series.shape[0]
    low, high = int(np.floor(reach.min() + 0.5)), int(np.ceil(reach.max() + 0.5))
    return range(min(max(low, 0), count), max(min(high, count), 0))


def _lines(region: Region, slice: int) -> NDArray[np.float32]:
    matrix = region.matrix
    parallel = np.abs(matrix[0, 1:3]).max() < 1e-6 and np.abs(matrix[1:3, 0]).max() < 1e-6
    if not parallel:  # another plane than the slices': on their pixels
        shape: Shape3 = (1, *region.series.shape[1:])
        here = affine.scale_offset((1, 1, 1), (slice, 0, 0))
        return edges(region.on(here, shape)[0])
    plane = round(float((slice - matrix[0, 3]) / matrix[0, 0]))
    if not 0 <= plane < len(region.mask):
        return np.zeros((0, 2, 2), np.float32)
    lines = edges(region.mask[plane])
    points = np.concatenate([np.full((*lines.shape[:2], 1), plane), lines], axis=-1)
    return np.asarray(affine.apply(matrix, points)[..., 1:], np.float32)


def edges(mask: Array) -> NDArray[np.float32]:
    """The border between a mask's inside and outside, (n, 2, 2): ends of straight pieces as (row, column)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return np.zeros((0, 2, 2), np.float32)
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0
    inside = np.pad(box, 1)
    across = _runs(inside[1:] != inside[:-1])
    down = _runs((inside[:, 1:] != inside[:, :-1]).T)[..., ::-1]
    # Piece i of the padded box lies between its pixels i - 1 and i.
    corner = np.array([rows[0] - 0.5, columns[0] - 0.5], np.float32)
    return np.asarray(np.concatenate([across, down]) + corner, np.float32)


def _runs(border: Array) -> Array:
    """Neighbouring pieces of border in one row become one: (n, 2, 2) as (line, place)."""
    steps = np.diff(np.pad(border, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, first = np.nonzero(steps == 1)
    last = np.nonzero(steps == -1)[1]
    # The first column is the padding's, half a pixel outside of the box.
    return np.stack([np.stack([line, first - 1], -1), np.stack([line, last - 1], -1)], axis=1)
