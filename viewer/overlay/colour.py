# SPDX-License-Identifier: Apache-2.0
"""Colours one slice of a map on the source grid.

A map stays as its method gave it; what is resampled, scaled and blanked here is only what is shown.
Opacity is constant wherever something is drawn: value never drives it.
"""

import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.overlay.style import DIVERGING, NAMES, as_drawn, shown_range, visible
from viewer.planes import Plane
from viewer.planes.interpolate import Grid
from viewer.task import Task
from viewer.types import Array, Attribution, Map, Overlay, Style

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Interpolation = Literal["bilinear", "nearest"]

_BAND = 2**16
"""Values that are computed together: few enough to stay in the processor's cache."""


def on_source(map: Map, slice: int, interpolation: Interpolation = "bilinear") -> Floats:
    """The map's values on one slice of its series, float32 (rows, columns), in the map's unit.

    NaN where the pixel lies outside the field that the map covers: the model never saw it. Between
    cells linear, within half a cell of the border the border's value; where cells are smaller than
    pixels, the mean of the cells over the pixel, so that none is skipped.
    """
    here = affine.scale_offset((1, 1, 1), (slice, 0, 0))
    return on_grid(map, here, map.series.shape[1:], interpolation)


def on_grid(
    map: Map, matrix: Matrix, shape: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> Floats:
    """`on_source` for any picture of `shape`: `matrix` maps its index (0, row, column) to source voxels.

    The matrix' first column is what one pixel is thick.
    """
    to = np.linalg.inv(map.matrix) @ matrix
    depends = np.abs(to[:3, 1:3]) * shape > affine.EDGE
    if (depends.sum(axis=0) == 1).all() and (depends.sum(axis=1) <= 1).all():
        return _separable(map, to, shape, interpolation, depends)
    return _general(map, to, shape, interpolation)


def on_plane(
    map: Map, plane: Plane, interpolation: Interpolation = "bilinear", task: Task | None = None
) -> Floats:
    """The map's values on a plane of its series, float32 (rows, columns), in the map's unit.

    NaN outside the field that the map covers, outside the volume, and wherever `off_plane` says why. Of a
    slab the value of the largest size on each ray, so that no evidence is lost in it.
    """
    if off_plane(map, plane) is not None:
        return np.full(plane.shape, np.nan, dtype=np.float32)
    to = plane.matrix_to(map.series)
    cells = float(np.abs(np.linalg.inv(map.matrix)[:3, :3] @ to[:3, 0]).max()) * plane.thickness
    # Every half cell, the middle and both faces among them: a slab shows no less than a thin plane.
    parts = 2 * math.ceil(cells - affine.EDGE)
    result: Floats | None = None
    for depth in np.linspace(-plane.thickness / 2, plane.thickness / 2, parts + 1) if parts else (0.0,):
        if task is not None:
            task.check()
        here = np.array(to)
        here[:3, 3] += to[:3, 0] * depth
        here[:3, 0] *= plane.thickness / parts if parts else plane.pixel
        found = on_grid(map, here, plane.shape, interpolation)
        if result is not None:
            np.copyto(found, result, where=~(np.abs(found) > np.abs(result)) & ~np.isnan(result))
        result = found
    assert result is not None
    result[~plane.inside(map.series)] = np.nan
    return result


def off_plane(map: Map, plane: Plane) -> str | None:
    """Why nothing of a map is drawn on a plane, in one sentence; None where some of it may be."""
    slice = map.slice if isinstance(map, Attribution) else None
    if slice is None:
        return None
    place = plane.among(map.series)
    if place is None:
        return "No map here: the model read single slices."
    reach = 0.5 + plane.thickness / 2 * abs(float(plane.matrix_to(map.series)[0, 0]))
    return None if abs(place - slice) <= reach else f"The map is of slice {slice + 1}, not of this one."


def _separable(
    map: Map, to: Matrix, shape: tuple[int, int], interpolation: Interpolation, depends: NDArray[np.bool_]
) -> Floats:
    """Resample axis by axis, where each native axis follows one axis of the picture only."""
    rows, columns = shape
    along_row, along_column = (int(np.argmax(depends[:, i])) for i in (0, 1))
    fixed = 3 - along_row - along_column
    start = to[:3, 3]
    row_at = start[along_row] + to[along_row, 1] * np.arange(rows)
    column_at = start[along_column] + to[along_column, 2] * np.arange(columns)
    values = map.values.transpose(fixed, along_row, along_column)
    depth, height, width = values.shape
    if not affine.inside(start[fixed : fixed + 1], depth).all():
        return np.full((rows, columns), np.nan, dtype=np.float32)
    steps = np.abs((to[fixed, 0], to[along_row, 1], to[along_column, 2]))
    plane = _along(values, 0, start[fixed : fixed + 1], steps[0], interpolation)[0]
    plane = np.asarray(plane, dtype=np.float32)  # after all other planes have gone: a volume is large
    # Columns first: the rows are still few, and the second step then copies whole rows.
    plane = _along(plane, 1, column_at, steps[2], interpolation)
    plane = _along(plane, 0, row_at, steps[1], interpolation)
    plane[~affine.inside(row_at, height)] = np.nan
    plane[:, ~affine.inside(column_at, width)] = np.nan
    return plane


def _nearest(position: Array, cells: int) -> NDArray[np.intp]:
    """The cell that holds each native index, clamped to the map."""
    return np.clip(np.floor(position + 0.5).astype(np.intp), 0, cells - 1)


def _neighbours(position: Array, cells: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Lower cell, upper cell and the upper's share for linear interpolation, clamped to the border."""
    clamped = np.clip(position, 0, cells - 1)
    low = np.floor(clamped).astype(np.intp)
    return low, np.minimum(low + 1, cells - 1), (clamped - low).astype(np.float32)


def _along(values: Floats, axis: int, position: Array, step: float, interpolation: Interpolation) -> Floats:
    """The values at fractional indices along one axis; `step` is the cells from pixel to pixel."""
    cells = values.shape[axis]
    if interpolation == "nearest":
        return np.take(values, _nearest(position, cells), axis=axis)
    if step > 1 + affine.EDGE and cells > 1:
        mixed = np.tensordot(values, _overlap(position, step, cells), axes=(axis, 1))
        return np.ascontiguousarray(np.moveaxis(mixed, -1, axis))
    return between(values, axis, position)


def between(values: Floats, axis: int, position: Array) -> Floats:
    """The values at fractional indices along one axis, linear between cells, the last one's beyond them."""
    low, high, share = _neighbours(position, values.shape[axis])
    result = np.empty((*values.shape[:axis], len(position), *values.shape[axis + 1 :]), dtype=np.float32)
    before = (slice(None),) * axis
    shape = [1] * values.ndim
    shape[axis] = -1
    count = max(1, _BAND * len(position) // max(result.size, 1))
    for first in range(0, len(position), count):
        part = slice(first, first + count)
        band = result[*before, part]
        band[...] = np.take(values, high[part], axis=axis)
        below = np.take(values, low[part], axis=axis)
        band -= below  # low + (high − low) · share keeps a constant map exactly constant
        band *= share[part].reshape(shape)
        band += below
    return result


def _overlap(position: Array, step: float, cells: int) -> Floats:
    """Shares (pixels, cells) of each cell in a pixel `step` cells wide; at 1 this is linear."""
    borders = np.arange(cells + 1) - 0.5
    ends = np.clip(borders[None, :], (position - step / 2)[:, None], (position + step / 2)[:, None])
    share = np.diff(ends, axis=1)
    total = share.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(share, total, where=total > 0, out=np.zeros_like(share)), dtype=np.float32)


def _general(map: Map, to: Matrix, shape: tuple[int, int], interpolation: Interpolation) -> Floats:
    """Gather at every pixel through the whole matrix, for oblique maps; in bands to bound memory."""
    rows, columns = shape
    values = np.asarray(map.values, dtype=np.float32)
    result = np.full((rows, columns), np.nan, dtype=np.float32)
    column = np.arange(columns)
    band = max(1, 2**18 // columns)
    for first in range(0, rows, band):
        row = np.arange(first, min(first + band, rows))[:, None]
        position = [a[1] * row + a[2] * column + a[3] for a in to[:3]]
        pairs = zip(position, values.shape, strict=True)
        inside = np.logical_and.reduce([affine.inside(p, n) for p, n in pairs])
        if inside.any():
            seen = [p[inside] for p in position]
            result[first : first + band][inside] = _gather(values, seen, interpolation)
    return result


def _gather(values: Floats, position: Sequence[Array], interpolation: Interpolation) -> Floats:
    """The values at points given as three arrays of native indices."""
    if interpolation == "nearest":
        cell = tuple(_nearest(p, n) for p, n in zip(position, values.shape, strict=True))
        return np.asarray(values[cell])
    return Grid(values).linear(dict(enumerate(position)))


@cache
def colour_table(name: str, one_sign: bool = False) -> Bytes:
    """256 colours, uint8 (256, 3), lowest value first; the names are in `NAMES`.

    For `one_sign` the table of both is its upper half: white stays zero, and blue speaks of nothing else
    than evidence against.
    """
    if name not in NAMES:
        raise ValueError(f"there is no colour table {name!r}; there are {', '.join(NAMES)}")
    if name == "grey":
        table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    else:
        text = (files("resources") / "colours" / f"{name}.txt").read_text("ascii")
        table = np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(256, 3)
    if one_sign and name == DIVERGING:
        table = table[np.rint(np.linspace(127.5, 255.0, 256)).astype(int)]
    table.setflags(write=False)
    return table


def coloured(values: Array, style: Style) -> Bytes:
    """RGBA, uint8 (…, 4), of values in the map's unit; alpha is one number or 0."""
    low, high = shown_range(style)
    shown = np.abs(values) if style.sign == "magnitude" else values
    some = visible(values, style)
    scale = 255.0 / (high - low) if high > low else 0.0
    level = np.subtract(shown, np.float32(low), dtype=np.float32)
    level *= np.float32(scale)
    level += np.float32(0.5)
    np.clip(level, 0.0, 255.0, out=level)
    np.copyto(level, 0.0, where=~some)
    table = np.empty((256, 4), dtype=np.uint8)
    table[:, :3] = colour_table(style.colours, style.sign != "signed")
    table[:, 3] = round(255 * min(max(style.opacity, 0.0), 1.0))
    packed = table.view(np.uint32)[:, 0]  # one look-up per pixel instead of four
    result = np.take(packed, level.astype(np.uint8))
    result *= some
    return result.view(np.uint8).reshape(*values.shape, 4)


def rgba(overlay: Overlay, slice: int) -> Bytes:
    """The overlay of one slice on the source grid, uint8 (rows, columns, 4)."""
    values = as_drawn(overlay.map, on_source(overlay.map, slice, overlay.style.interpolation))
    return coloured(values, overlay.style)


def composite(image: Bytes, colours: Bytes) -> Bytes:
    """RGBA over a grey (rows, columns) or colour (rows, columns, 3) picture; uint8 (rows, columns, 3)."""
    base = image if image.ndim == 3 else np.broadcast_to(image[..., None], (*image.shape, 3))
    alpha = colours[..., 3].astype(np.uint16)
    keep = 255 - alpha
    result = np.empty(base.shape, dtype=np.uint8)
    for channel in range(3):
        mixed = base[..., channel] * keep + colours[..., channel] * alpha
        mixed += 128
        mixed += mixed >> 8  # x / 255 rounded, exact for 16 bits
        result[..., channel] = mixed >> 8
    return result


def hatched(colours: Bytes, period: int | None = None) -> Bytes:
    """The same with every other diagonal stripe blank: "explains a negative".

    `period` is the width of a pair of stripes in pixels; without it, one that shows at any size.
    """
    rows, columns = colours.shape[:2]
    half = max(2, (max(rows, columns) // 48 if period is None else period) // 2)
    stripe = (np.arange(rows)[:, None] + np.arange(columns)) // half % 2 == 0
    return np.asarray(colours * stripe[..., None])


def native_value(map: Map, place: ArrayLike) -> float | None:
    """The value of the map's cell at a source voxel (slice, row, column); None outside its field."""
    at = affine.apply(affine.inverse(map.matrix), place)
    if not all(affine.inside(i, n).all() for i, n in zip(at, map.values.shape, strict=True)):
        return None
    cell = np.clip(np.floor(at + 0.5), 0, np.asarray(map.values.shape) - 1).astype(int)
    return float(map.values[tuple(cell)])
