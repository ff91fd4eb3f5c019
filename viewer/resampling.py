"""Images on a plane: trilinear through the real affine, thin or as the mean or extreme of a slab."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.dicom.volume import Volume
from viewer.planes import Plane, reach
from viewer.task import Task
from viewer.types import Array, Series

Floats = NDArray[np.float32]
How = Literal["mean", "max", "min"]

_BAND = 2**15
"""Pixels that are computed together: few enough to stay in the processor's cache."""
_NEAR = 1e-3
"""Voxels by which a plane may lean against the grid and still count as lying in it."""


def resampled(volume: Volume, plane: Plane, how: How = "mean", task: Task | None = None) -> Floats:
    """Modality values on a plane, float32 (rows, columns): trilinear, NaN outside the volume.

    A slab is the mean, the maximum or the minimum of what its rays meet inside the volume, sampled at
    least every half voxel.
    """
    task = task or Task()
    to, shape = plane.matrix_to(volume.series), plane.shape
    depends = np.abs(to[:3, 1:3]) * shape > _NEAR
    aligned = bool((depends.sum(axis=0) == 1).all() and (depends.sum(axis=1) <= 1).all())
    if volume.slope < 0 and how != "mean":
        how = "min" if how == "max" else "max"  # of stored values, which run the other way
    depths = _depths(plane, volume.series, how)
    if not aligned:
        pictures = (_gathered(volume.voxels, _behind(to, d), shape) for d in depths)
    else:
        axes = _axes(depends)
        straight = float(np.abs(to[list(axes[1:]), 0]).max()) * plane.thickness < _NEAR
        if straight and how != "mean":
            depths = _corners(to[axes[0]], depths, volume.voxels.shape[axes[0]])
        together = [depths] if straight and how == "mean" else [depths[i : i + 1] for i in range(len(depths))]
        pictures = (_aligned(volume.voxels, to, shape, axes, some) for some in together)
    result = _folded(pictures, how, task)
    if (volume.slope, volume.intercept) != (1.0, 0.0):
        result *= np.float32(volume.slope)
        result += np.float32(volume.intercept)
    return result


def _depths(plane: Plane, series: Series, how: How) -> Array:
    """Millimetres behind the plane of the samples of its slab.

    For a mean the middles of equal parts; for an extreme the slab's two faces are among them.
    """
    count = max(1, int(np.ceil(plane.thickness / (plane.step(series) / 2) - affine.EDGE)))
    if how == "mean" or plane.thickness == 0:
        return np.asarray(((np.arange(count) + 0.5) / count - 0.5) * plane.thickness)
    return np.linspace(-plane.thickness / 2, plane.thickness / 2, count + 1)


def _corners(axis: Array, depths: Array, layers: int) -> Array:
    """The depths where a ray along a voxel axis has its extremes: the layers and the slab's two faces.

    Between them values are linear. `axis` is the row of the matrix that gives the place on that axis.
    """
    at_layers = (np.arange(layers) - axis[3]) / axis[0]
    within = (at_layers > depths[0]) & (at_layers < depths[-1])
    return np.unique(np.concatenate([depths[[0, -1]], at_layers[within]]))


def _behind(to: Matrix, depth: float) -> Matrix:
    """The same matrix for the parallel plane that lies so many millimetres behind."""
    moved = np.array(to)
    moved[:3, 3] += moved[:3, 0] * depth
    return moved


def _axes(depends: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The voxel axes that a plane lying in the grid crosses, follows down its columns and along its rows."""
    down, along = (int(np.argmax(depends[:, i])) for i in (0, 1))
    return (3 - down - along, down, along)


def _folded(pictures: Iterable[Floats], how: How, task: Task) -> Floats:
    """The samples of a slab in one picture; what lies outside the volume (NaN) counts for nothing."""
    result: Floats | None = None
    seen: Array | None = None
    for picture in pictures:
        task.check()
        if result is None:
            result = picture
            continue
        if how != "mean":
            (np.fmax if how == "max" else np.fmin)(result, picture, out=result)
            continue
        if seen is None:
            seen = np.isfinite(result).astype(np.float32)
            np.nan_to_num(result, copy=False)
        here = ~np.isnan(picture)
        np.add(result, picture, out=result, where=here)
        seen += here
    assert result is not None
    if seen is not None:
        np.divide(result, seen, out=result, where=seen > 0)
        result[seen == 0] = np.nan
    return result


def _neighbours(position: Array, cells: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The lower of the two voxels around each index and the upper's share, clamped to the border."""
    clamped = np.clip(position, 0, cells - 1)
    low = np.minimum(clamped.astype(np.intp), max(cells - 2, 0))
    return low, np.asarray(clamped - low, dtype=np.float32)


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
    low, share = _neighbours(positions, len(layers))
    weight = np.zeros(len(layers) + 1)
    np.add.at(weight, low, 1 - share.astype(np.float64))
    np.add.at(weight, low + 1, share)
    weight /= len(positions)
    taken = np.flatnonzero(np.abs(weight) > affine.EDGE)
    result: Floats = np.multiply(layers[taken[0]], np.float32(weight[taken[0]]), dtype=np.float32)
    for i in taken[1:]:
        result += np.multiply(layers[i], np.float32(weight[i]), dtype=np.float32)
    return result


def _between(values: Floats, axis: int, position: Array) -> Floats:
    """The values at fractional indices along one axis, linear between them."""
    low, share = _neighbours(position, values.shape[axis])
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


def _gathered(voxels: Array, to: Matrix, shape: tuple[int, int]) -> Floats:
    """A thin plane that lies askew in the voxel grid: eight neighbours of each pixel, in bands."""
    rows, columns = shape
    first, last = reach(to, shape, voxels.shape)
    result = np.full(shape, np.nan, dtype=np.float32)
    flat = voxels.reshape(-1)
    strides = [n if cells > 1 else 0 for n, cells in zip(_strides(voxels), voxels.shape, strict=True)]
    count = max(1, _BAND // columns)
    for top in range(0, rows, count):
        band = slice(top, min(top + count, rows))
        left, right = first[band], last[band]
        met = right > left
        if not met.any():
            continue
        part = slice(int(left[met].min()), int(right[met].max()))
        row = np.arange(band.start, band.stop)[:, None]
        column = np.arange(part.start, part.stop)
        base = np.zeros((len(row), len(column)), dtype=np.intp)
        shares = []
        for (_depth, down, along, start), cells, stride in zip(to[:3], voxels.shape, strides, strict=True):
            low, share = _neighbours(start + down * row + along * column, cells)
            low *= stride
            base += low
            shares.append(share)
        mixed = _eight(flat, base, strides, shares)
        np.copyto(result[band, part], mixed, where=(column >= left[:, None]) & (column < right[:, None]))
    return result


def _strides(voxels: Array) -> tuple[int, int, int]:
    """Steps along the axes of a contiguous array, in elements."""
    return (voxels.shape[1] * voxels.shape[2], voxels.shape[2], 1)


def _eight(flat: Array, base: NDArray[np.intp], strides: Sequence[int], shares: Sequence[Floats]) -> Floats:
    """Linear between the eight voxels whose lowest has the place `base` in the flat array."""

    def mixed(axis: int, place: int) -> Floats:
        if axis == 3:
            return flat[place:].take(base)
        below = mixed(axis + 1, place)
        above = mixed(axis + 1, place + strides[axis])
        result = np.subtract(above, below, dtype=np.float32)
        result *= shares[axis]
        result += below
        return result

    return mixed(0, 0)
