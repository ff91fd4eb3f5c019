# SPDX-License-Identifier: Apache-2.0
"""Planes through a volume: anatomical, as acquired or oblique, thin or as a thick slab.

A plane knows nothing of voxels: it lies in the patient. What is drawn on it is looked up through the real
affine, plane pixel → LPS millimetres → voxel, so a slanted, turned or anisotropic stack needs no case of
its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from viewer import affine
from viewer.affine import Matrix
from viewer.types import Array, Geometry, Series, Shape3, direction_letters

Point = tuple[float, float, float]
Orientation = Literal["axial", "coronal", "sagittal", "acquired"]

ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)
LARGEST = 2048
"""Pixels along a side of a plane, at most; a larger volume is drawn with larger pixels."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a picture lies in the patient: orthogonal unit LPS vectors along its rows and down its columns."""

    along: Point
    down: Point

    @property
    def normal(self) -> Matrix:
        """Unit vector away from the reader."""
        return np.cross(self.along, self.down)

    def turned(self, about: Matrix, angle: float) -> "Way":
        """The same turned about a unit vector, by radians, right-handed."""
        along, down = (_turned(np.asarray(v), about, angle) for v in (self.along, self.down))
        return _way(along, down)


Views = Mapping[str, Way]
"""By name, planes that are perpendicular to each other."""

ANATOMICAL: Views = {
    "axial": Way((1, 0, 0), (0, 1, 0)),
    "sagittal": Way((0, 1, 0), (0, 0, -1)),
    "coronal": Way((1, 0, 0), (0, 0, -1)),
}
"""The patient's right at the left of the picture, or his front; on top his head, or his front.
In the order of reading."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A picture in the patient: `matrix` maps (millimetres behind it, row, column) to LPS millimetres.

    Its first column is the unit normal, which points away from the reader; the others are the steps from
    row to row and from column to column, orthogonal and of one length. `shape` is (rows, columns),
    `thickness` that of the slab about the plane, 0 for a thin one.
    """

    name: str
    matrix: Matrix
    shape: tuple[int, int]
    thickness: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", affine.frozen(self.matrix))

    @property
    def normal(self) -> Matrix:
        """Unit vector away from the reader, in LPS."""
        return self.matrix[:3, 0]

    @property
    def pixel(self) -> float:
        """Millimetres from pixel to pixel, the same both ways."""
        return float(np.linalg.norm(self.matrix[:3, 1]))

    def letters(self) -> tuple[str, str, str, str]:
        """The patient's side at the picture's left, right, top and bottom."""
        left, top = (direction_letters(-self.matrix[:3, i]) for i in (2, 1))
        right, bottom = (direction_letters(self.matrix[:3, i]) for i in (2, 1))
        return left, right, top, bottom

    def place(self) -> str:
        """Where the plane lies on its normal, from the origin of the patient's frame, e.g. "A 12.5 mm"."""
        distance = round(float(self.normal @ self.matrix[:3, 3]), 1)
        towards = self.normal if distance >= 0 else -self.normal
        return f"{direction_letters(towards)} {abs(distance):.1f} mm"

    def point(self, row: float, column: float) -> Point:
        """The LPS position of a place in the picture."""
        x, y, z = (float(v) for v in affine.apply(self.matrix, (0.0, row, column)))
        return (x, y, z)

    def index(self, point: Point) -> tuple[float, float, float]:
        """(Millimetres behind the plane, row, column) of an LPS position."""
        behind, row, column = (float(v) for v in affine.apply(affine.inverse(self.matrix), point))
        return (behind, row, column)

    def through(self, point: Point) -> "Plane":
        """The same picture moved along its normal until it holds an LPS position."""
        matrix = np.array(self.matrix)
        matrix[:3, 3] += self.normal * self.index(point)[0]
        return replace(self, matrix=matrix)

    def among(self, series: Series) -> float | None:
        """Where a plane that runs along the slices of a series lies among them; None for one that crosses."""
        at = self.matrix_to(series)[0]
        rows, columns = self.shape
        if abs(at[1]) * rows > 0.5 or abs(at[2]) * columns > 0.5:
            return None
        return float(at[1] * (rows - 1) / 2 + at[2] * (columns - 1) / 2 + at[3])

    def matrix_to(self, series: Series) -> Matrix:
        """From (millimetres behind, row, column) to the voxel (slice, row, column) of a series."""
        return np.asarray(affine.inverse(series.geometry.matrix) @ self.matrix)

    def step(self, series: Series) -> float:
        """Millimetres along the normal from one layer of voxels to the next."""
        return 1 / float(np.abs(self.matrix_to(series)[:3, 0]).max())

    def inside(self, series: Series) -> NDArray[np.bool_]:
        """Which pixels lie in the volume of a series, (rows, columns)."""
        first, last = reach(self.matrix_to(series), self.shape, series.shape)
        column = np.arange(self.shape[1])
        return np.asarray((column >= first[:, None]) & (column < last[:, None]))


def middle(series: Series) -> Point:
    """The LPS position of the voxel in the middle of a volume."""
    x, y, z = (float(v) for v in affine.apply(series.geometry.matrix, [n // 2 for n in series.shape]))
    return (x, y, z)


def within(series: Series, point: Point) -> Point:
    """The position, or the nearest one along the voxel axes that lies in the volume."""
    voxel = affine.apply(affine.inverse(series.geometry.matrix), point)
    kept = np.clip(voxel, 0, np.asarray(series.shape) - 1)
    if np.abs(kept - voxel).max() < _ROUNDING:
        return point
    x, y, z = (float(v) for v in affine.apply(series.geometry.matrix, kept))
    return (x, y, z)


def acquired(series: Series) -> Views:
    """The anatomical views turned as one onto the axes of the stack, one of them onto its slices.

    Each goes to the axis that is nearest. Of a tilted gantry's slices their normal counts.
    """
    matrix = series.geometry.matrix
    across, down = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in (2, 1))
    down = _unit(down - across * (across @ down))
    axes = np.stack([across, down, np.cross(across, down)], axis=1)
    order = max(permutations(range(3)), key=lambda o: sum(abs(axes[i, o[i]]) for i in range(3)))
    basis = axes[:, order] * np.sign([axes[i, order[i]] for i in range(3)])
    if np.linalg.det(basis) < 0:  # turned so far that the nearest axes are mirrored: the least one gives way
        basis[:, int(np.argmin(np.abs(np.diag(basis))))] *= -1
    return {name: _way(basis @ way.along, basis @ way.down) for name, way in ANATOMICAL.items()}


def turned(views: Views, about: str, angle: float) -> Views:
    """All views but one turned about that one's normal, by radians clockwise as it is seen."""
    normal = views[about].normal
    return {name: way if name == about else way.turned(normal, angle) for name, way in views.items()}


def tilt(plane: Plane) -> float:
    """Degrees between a plane and the anatomical one of its name; 0 where there is no such one."""
    if plane.name not in ANATOMICAL:
        return 0.0
    normal = ANATOMICAL[plane.name].normal
    across = float(np.linalg.norm(np.cross(normal, plane.normal)))
    return float(np.degrees(np.arctan2(across, normal @ plane.normal)))


def through(series: Series, orientation: Orientation, point: Point | None = None) -> Plane:
    """The plane of an orientation through an LPS position, wide enough for the whole volume.

    Anatomical planes follow the patient's true axes, however the stack was acquired; "acquired" are the
    stack's own slices.
    """
    point = point or middle(series)
    if orientation != "acquired":
        return lying(series, orientation, ANATOMICAL[orientation], point)
    matrix = series.geometry.matrix
    along, down = (matrix[:3, i] / np.linalg.norm(matrix[:3, i]) for i in (2, 1))
    return _along_axes(orientation, series, along, down, point)


def lying(series: Series, name: str, way: Way, point: Point) -> Plane:
    """The plane through an LPS position that lies as `way` says, wide enough for the whole volume.

    Pixels are as small as the smallest voxel side, so no resolution is lost.
    """
    return _along_axes(
        name, series, np.asarray(way.along, np.float64), np.asarray(way.down, np.float64), point
    )


def oblique(series: Series, point: Point, normal: Point, up: Point) -> Plane:
    """The plane through an LPS position that is seen along `normal`, `up` as far up as it can be.

    Raises `ValueError` where `up` lies along the normal.
    """
    away = np.asarray(normal, np.float64) / np.linalg.norm(normal)
    down = away * (away @ np.asarray(up)) - np.asarray(up)
    length = float(np.linalg.norm(down))
    if not length > _ROUNDING * float(np.linalg.norm(up)):
        raise ValueError("the direction that is up lies along the normal")
    down = down / length
    return _along_axes("oblique", series, np.cross(down, away), down, point)


def _along_axes(name: str, series: Series, along: Array, down: Array, point: Point) -> Plane:
    """The plane with these unit vectors whose pixels cover the bounding box of the volume."""
    geometry, shape = series.geometry, series.shape
    corners = affine.apply(geometry.matrix, list(product(*((-0.5, n - 0.5) for n in shape))))
    ends = [(float((corners @ v).min()), float((corners @ v).max())) for v in (down, along)]
    pixel = max(_smallest(geometry), *((high - low) / LARGEST for low, high in ends))
    rows, columns = (max(1, int(np.ceil((high - low) / pixel - 1e-3))) for low, high in ends)
    normal = np.cross(along, down)
    first = normal * float(normal @ np.asarray(point))
    for direction, (low, _high) in zip((down, along), ends, strict=True):
        first = first + direction * (low + pixel / 2)
    matrix = np.eye(4)
    matrix[:3] = np.stack([normal, down * pixel, along * pixel, first], axis=1)
    return Plane(name, matrix, (rows, columns))


def _turned(vector: Matrix, about: Matrix, angle: float) -> Matrix:
    """Rodrigues' formula."""
    along = about * (about @ vector)
    return np.asarray(along + np.cos(angle) * (vector - along) + np.sin(angle) * np.cross(about, vector))


def _unit(vector: Matrix) -> Matrix:
    return np.asarray(vector / np.linalg.norm(vector))


def _way(along: Matrix, down: Matrix) -> Way:
    """The way along two vectors that are orthogonal but for rounding, which is taken out."""
    along = _unit(along)
    down = _unit(down - along * (along @ down))
    x, y = ((float(v[0]), float(v[1]), float(v[2])) for v in (along, down))
    return Way(x, y)


def _smallest(geometry: Geometry) -> float:
    return float(np.linalg.norm(geometry.matrix[:3, :3], axis=0).min())


def reach(to: Matrix, shape: tuple[int, int], voxels: Shape3) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first column of each row that lies in the volume, and the first one after it that does not.

    `to` maps plane to voxel indices, `voxels` is the volume's shape. A volume is convex, so each row of a
    plane meets it in one piece.
    """
    low = np.full(shape[0], 0.0)
    high = np.full(shape[0], float(shape[1] - 1))
    row = np.arange(shape[0])
    for (_depth, down, along, start), cells in zip(to[:3], voxels, strict=True):
        at = start + down * row
        if abs(along) * shape[1] < affine.EDGE:
            high[~affine.inside(at, cells)] = -1
            continue
        ends = ((-0.5 - affine.EDGE - at) / along, (cells - 0.5 + affine.EDGE - at) / along)
        low = np.maximum(low, np.minimum(*ends))
        high = np.minimum(high, np.maximum(*ends))
    first = np.ceil(low).astype(np.intp)
    return first, np.maximum(np.floor(high).astype(np.intp) + 1, first)


def nearest_slice(series: Series, point: Point) -> tuple[int, float]:
    """The slice whose plane lies nearest to an LPS position, even stack or not, and the distance in mm.

    Needs a series whose orientation is known.
    """
    geometry = series.geometry
    normal = np.cross(geometry.matrix[:3, 2], geometry.matrix[:3, 1])
    normal /= np.linalg.norm(normal)
    count = np.arange(series.shape[0])[:, None]
    origins = geometry.origins
    if origins is None:
        origins = geometry.matrix[:3, 3] + count * geometry.matrix[:3, 0]
    apart = np.abs((origins - np.asarray(point)) @ normal)
    slice = int(np.argmin(apart))
    return slice, float(apart[slice])
