# SPDX-License-Identifier: Apache-2.0
"""Thick slabs that lie askew in the voxel grid: rays through it, sampled at its layers and halfway.

The layers are those of the voxel axis that the rays follow most. In them a value lies between four voxels
instead of eight: as Joseph (IEEE Trans. Med. Imaging 1, 192, 1982) but with the samples halfway, which make
the mean five times as exact. Cost grows by two samples a pixel and layer, from that of the slab's two faces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.planes.interpolate import BAND, Doubles, Floats, Grid
from viewer.task import Task
from viewer.types import Array, Shape3

How = Literal["mean", "max", "min"]


def through_slab(
    voxels: Array, to: Matrix, shape: tuple[int, int], thickness: float, how: How, task: Task
) -> Floats:
    """The mean, the maximum or the minimum on each pixel's ray, float32 (rows, columns), NaN without any.

    `to` maps (millimetres behind the plane, row, column) to voxels. What counts of a ray is what lies in the
    slab and in the volume. A mean takes values between the samples as linear.
    """
    rows, columns = shape
    grid = Grid(voxels)
    result = np.full(shape, np.nan, dtype=np.float32)
    count = max(1, BAND // columns)
    for top in range(0, rows, count):
        task.check()
        band = (slice(top, min(top + count, rows)), slice(0, columns))
        for rays in _rays(to, band, thickness, grid.shape):
            result[band].reshape(-1)[rays.pixels] = _folded(grid, rays, how)
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Rays by place on the axis that they follow most: at `s` they are at `foot + slope * s`.

    `first` and `last` are where they enter and leave. Those with most samples come first, so that the ones
    which have an n-th sample are a slice of all; the first samples of all lie in layers, or all halfway.
    """

    pixels: NDArray[np.intp]
    axis: int
    layers: int
    slope: Matrix
    feet: Sequence[Doubles]
    first: Doubles
    last: Doubles
    middle: Doubles
    """Where they meet the plane itself, or as near as they come."""

    def samples(self) -> tuple[Doubles, NDArray[np.int32]]:
        """The first sample strictly inside each ray, counted in half layers, and how many there are."""
        lowest = np.maximum(np.floor(2 * self.first) + 1, 0)
        end = np.minimum(np.ceil(2 * self.last), 2 * self.layers - 1)
        return lowest, np.maximum(end - lowest, 0).astype(np.int32)

    def at(self, s: Doubles) -> dict[int, Doubles]:
        """Fractional voxel indices on the other two axes."""
        return {
            axis: foot + s * self.slope[axis]
            for axis, foot in enumerate(self.feet)
            if axis != self.axis
        }  # fmt: skip


def _rays(to: Matrix, band: tuple[slice, slice], thickness: float, voxels: Shape3) -> Iterator[_Rays]:
    """The rays of a part of a plane that meet the volume within the slab."""
    row, column = (np.arange(part.start, part.stop) for part in band)
    axis = int(np.argmax(np.abs(to[:3, 0])))
    slope = to[:3, 0] / to[axis, 0]
    half = abs(to[axis, 0]) * thickness / 2
    places = [start + down * row[:, None] + along * column for _depth, down, along, start in to[:3]]
    feet = [place - lean * places[axis] for place, lean in zip(places, slope, strict=True)]
    first, last = places[axis] - half, places[axis] + half
    for place, foot, lean, cells in zip(places, feet, slope, voxels, strict=True):
        low, high = -0.5 - affine.EDGE, cells - 0.5 + affine.EDGE
        if abs(lean) * 2 * half < affine.EDGE:
            first[(place < low) | (place > high)] = np.inf
            continue
        ends = ((low - foot) / lean, (high - foot) / lean)
        np.maximum(first, np.minimum(*ends), out=first)
        np.minimum(last, np.maximum(*ends), out=last)
    pixels = np.flatnonzero(first <= last)
    first = first.ravel()[pixels]
    last = np.maximum(last.ravel()[pixels], first + affine.EDGE)
    feet = [foot.ravel()[pixels] for foot in feet]
    middle = np.clip(places[axis].ravel()[pixels], first, last)
    all = _Rays(pixels, axis, voxels[axis], slope, feet, first, last, middle)
    lowest, counts = all.samples()
    order = np.argsort(-counts, kind="stable")
    for odd in (0, 1):
        some = order[lowest[order] % 2 == odd]
        if some.size:
            parts = {"first": first[some], "last": last[some], "middle": middle[some]}
            yield replace(all, pixels=pixels[some], feet=[foot[some] for foot in feet], **parts)


def _folded(grid: Grid, rays: _Rays, how: How) -> Floats:
    """What is shown of each ray: of its two ends and of what it meets between them."""
    first, last = rays.first, rays.last
    lowest, counts = rays.samples()
    ends = [grid.linear({**rays.at(s), rays.axis: s}) for s in (first, last)]
    if how == "mean":
        # The trapezoidal rule: a sample counts for half the way to the one before and to the next.
        ends[0] *= (np.minimum(lowest / 2, last) - first) / 2
        ends[1] *= (last - np.maximum((lowest + counts - 1) / 2, first)) / 2
    fold: np.ufunc = {"mean": np.add, "max": np.maximum, "min": np.minimum}[how]
    result: Floats = fold(*ends)
    if how != "mean":  # so that a slab never hides what the thin plane shows
        fold(result, grid.linear({**rays.at(rays.middle), rays.axis: rays.middle}), out=result)
    places, layer = rays.at(lowest / 2), np.floor(lowest / 2)
    halfway = bool(lowest[0] % 2)
    reach = np.searchsorted(-counts, -np.arange(int(counts[0]) + 1), side="left")
    for n in range(int(counts[0])):
        reached = slice(0, int(reach[n]))
        here = {i: place[reached] for i, place in places.items()}
        sample = grid.in_layers(here, rays.axis, layer[reached], halfway)
        if how == "mean":
            # Within a ray the way to either neighbour is half a layer; its first and last are weighed.
            edge = slice(0 if n == 0 else int(reach[n + 1]), reached.stop)
            at = (lowest[edge] + n) / 2
            sample[: edge.start] *= np.float32(0.5)
            sample[edge] *= (np.minimum(at + 0.5, last[edge]) - np.maximum(at - 0.5, first[edge])) / 2
        fold(result[reached], sample, out=result[reached])
        for i, place in here.items():
            place += rays.slope[i] / 2
        if halfway:
            layer += 1
        halfway = not halfway
    if how == "mean":
        result /= last - first
    return result
