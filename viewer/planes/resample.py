# SPDX-License-Identifier: Apache-2.0
"""Images on a plane: trilinear through the real affine, thin or as the mean or extreme of a slab."""

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.dicom import Graphics
from viewer.dicom.volume import Volume
from viewer.planes import Plane, reach
from viewer.planes.interpolate import BAND, Floats, Grid, neighbours
from viewer.planes.slab import How, through_slab
from viewer.task import Task
from viewer.types import Array, Series

_NEAR = 1e-3
"""Voxels by which a plane may lean against the grid and still count as lying in it."""


def resampled(volume: Volume, plane: Plane, how: How = "mean", task: Task | None = None) -> Floats:
    """Modality values on a plane, float32 (rows, columns): trilinear, NaN outside the volume.

    A slab is the mean, the maximum or the minimum of what its rays meet inside the volume.
    """
    task = task or Task()
    to, shape = plane.matrix_to(volume.series), plane.shape
    if volume.slope < 0 and how != "mean":
        how = "min" if how == "max" else "max"  # of stored values, which run the other way
    if not lies_straight(plane, volume.series):
        if plane.thickness > 0:
            result = through_slab(volume.voxels, to, shape, plane.thickness, how, task)
        else:
            result = _gathered(volume.voxels, to, shape, task)
    else:
        result = _straight(volume, plane, how, task)
    if (volume.slope, volume.intercept) != (1.0, 0.0):
        result *= np.float32(volume.slope)
        result += np.float32(volume.intercept)
    return result


def lies_straight(plane: Plane, series: Series) -> bool:
    """Whether rows, columns and the way through a slab each follow one axis of the voxel grid."""
    to = plane.matrix_to(series)
    depends = _depends(to, plane.shape)
    in_grid = bool((depends.sum(axis=0) == 1).all() and (depends.sum(axis=1) <= 1).all())
    return in_grid and float(np.abs(to[list(_axes(depends)[1:]), 0]).max()) * plane.thickness < _NEAR


def graphics_on(graphics: Graphics, slice: int, plane: Plane, series: Series) -> Graphics | None:
    """What a file lays over a slice, on a plane that lies on it; None where it crosses the slices."""
    place = plane.among(series)
    if place is None or abs(place - slice) > 0.5 + affine.EDGE:
        return None
    to = plane.matrix_to(series)
    row, column = np.ogrid[: plane.shape[0], : plane.shape[1]]
    at = [np.rint(to[i, 1] * row + to[i, 2] * column + to[i, 3]).astype(np.intp) for i in (1, 2)]
    inside = plane.inside(series)
    clamped = tuple(np.clip(i, 0, n - 1) for i, n in zip(at, series.shape[1:], strict=True))
    overlay, shutter = (
        None if mask is None else mask[clamped] & inside for mask in (graphics.overlay, graphics.shutter)
    )
    return Graphics(overlay, shutter, graphics.shade)


def _depends(to: Matrix, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which voxel axes (first) the plane's rows and columns (second) move along."""
    return np.asarray(np.abs(to[:3, 1:3]) * shape > _NEAR)


def _straight(volume: Volume, plane: Plane, how: How, task: Task) -> Floats:
    """A plane or slab that lies in the voxel grid: layers are mixed or folded, nothing is gathered."""
    to, shape, voxels = plane.matrix_to(volume.series), plane.shape, volume.voxels
    axes = _axes(_depends(to, shape))
    if how == "mean" or plane.thickness == 0:
        count = max(1, int(np.ceil(plane.thickness / (plane.step(volume.series) / 2) - affine.EDGE)))
        middles = ((np.arange(count) + 0.5) / count - 0.5) * plane.thickness
        return _aligned(voxels, to, shape, axes, middles)
    fold = np.fmax if how == "max" else np.fmin  # what lies outside the volume (NaN) counts for nothing
    faces = np.array([-0.5, 0.5]) * plane.thickness
    result = np.full(shape, np.nan, dtype=np.float32)
    for depth in _corners(to[axes[0]], faces, voxels.shape[axes[0]]):
        task.check()
        fold(result, _aligned(voxels, to, shape, axes, np.array([depth])), out=result)
    return result


def _corners(axis: Array, depths: Array, layers: int) -> Array:
    """The depths where a ray along a voxel axis has its extremes: the layers and the slab's two faces.

    Between them values are linear. `axis` is the row of the matrix that gives the place on that axis.
    """
    at_layers = (np.arange(layers) - axis[3]) / axis[0]
    within = (at_layers > depths[0]) & (at_layers < depths[-1])
    return np.unique(np.concatenate([depths[[0, -1]], at_layers[within]]))


def _axes(depends: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The voxel axes that a plane lying in the grid crosses, follows down its columns and along its rows."""
    down, along = (int(np.argmax(depends[:, i])) for i in (0, 1))
    return (3 - down - along, down, along)


def _aligned(
    voxels: Array, to: Matrix, shape: tuple[int, int], axes: tuple[int, int, int], depths: Array
) -> Floats:
    """The mean of parallel planes in the voxel grid: layers are mixed, then rows, then columns."""
    across, down, along = axes
    layer = _mixed(voxels.transpose(axes), to[across, 3] + to[across, 0] * depths)
    if layer is None:
        return np.full(shape, np.nan, dtype=np.float32)
    start = to[:3, 3] + to[:3, 0] * depths.mean()
    row_at = start[down] + to[down, 1] * np.arange(shape[0])
    column_at = start[along] + to[along, 2] * np.arange(shape[1])
    cells = layer.shape
    # Columns first: the rows are still few, and the second step then copies whole rows.
    result = _between(_between(layer, 1, column_at), 0, row_at)
    result[~affine.inside(row_at, cells[0])] = np.nan
    result[:, ~affine.inside(column_at, cells[1])] = np.nan
    return result


def _mixed(layers: Array, positions: Array) -> Floats | None:
    """The mean of the layers at fractional places on the first axis; None where all lie outside."""
    positions = positions[affine.inside(positions, len(layers))]
    if not positions.size:
        return None
    low, share = neighbours(positions, len(layers))
    lower = low.astype(np.intp)
    weight = np.zeros(len(layers) + 1)
    np.add.at(weight, lower, 1 - share.astype(np.float64))
    np.add.at(weight, lower + 1, share)
    weight /= len(positions)
    taken = np.flatnonzero(np.abs(weight) > affine.EDGE)
    result: Floats = np.multiply(layers[taken[0]], np.float32(weight[taken[0]]), dtype=np.float32)
    for i in taken[1:]:
        result += np.multiply(layers[i], np.float32(weight[i]), dtype=np.float32)
    return result


def _between(values: Floats, axis: int, position: Array) -> Floats:
    """The values at fractional indices along one axis, linear between them."""
    below_at, share = neighbours(position, values.shape[axis])
    low = below_at.astype(np.intp)
    if (np.minimum(share, 1 - share) < _NEAR).all():
        whole = low + (share > 0.5)
        if np.array_equal(whole, np.arange(values.shape[axis])):
            return values
        return np.take(values, whole, axis=axis)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = share.reshape([-1 if i == axis else 1 for i in range(2)])
    below = np.take(values, low, axis=axis)
    result: Floats = np.take(values, high, axis=axis)
    result -= below
    result *= share
    result += below
    return result


def _gathered(voxels: Array, to: Matrix, shape: tuple[int, int], task: Task) -> Floats:
    """A thin plane that lies askew in the voxel grid: eight neighbours of each pixel, in bands."""
    rows, columns = shape
    grid = Grid(voxels)
    first, last = reach(to, shape, voxels.shape)
    result = np.full(shape, np.nan, dtype=np.float32)
    count = max(1, BAND // columns)
    for top in range(0, rows, count):
        task.check()
        band = slice(top, min(top + count, rows))
        left, right = first[band], last[band]
        met = right > left
        if not met.any():
            continue
        part = slice(int(left[met].min()), int(right[met].max()))
        row = np.arange(band.start, band.stop)[:, None]
        column = np.arange(part.start, part.stop)
        lines = enumerate(to[:3])
        mixed = grid.linear({i: start + down * row + along * column for i, (_, down, along, start) in lines})
        np.copyto(result[band, part], mixed, where=(column >= left[:, None]) & (column < right[:, None]))
    return result
