# SPDX-License-Identifier: Apache-2.0
"""A thorax in three dimensions, made of simple solids, different in every patient.

Coordinates are DICOM's LPS in millimetres: x to the patient's left, y to the back, z to the head; the
origin lies in the middle of the chest. Values are Hounsfield units. Everything follows from a seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Point = tuple[float, float, float]

AIR, LUNG, FAT, MUSCLE, BLOOD, MARROW, CORTEX, DISC = -1000, -860, -95, 50, 42, 230, 750, 90


@dataclass(frozen=True)
class Lesion:
    """A round, slightly lobed nodule: centre and radius in millimetres, Hounsfield units."""

    centre: Point
    radius: float
    density: float


@dataclass(frozen=True)
class Grid:
    """Voxels: the centre of voxel (0, 0, 0), millimetres between them and how many, as (z, y, x)."""

    origin: Point
    spacing: Point
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, spacing: float, slice_spacing: float | None = None) -> "Grid":
        """The whole chest at a spacing."""
        dz = slice_spacing or spacing
        shape = (round(300 / dz), round(272 / spacing), round(384 / spacing))
        step = (dz, spacing, spacing)
        z, y, x = (-(n - 1) / 2 * s for n, s in zip(shape, step, strict=True))
        return cls((z, y, x), step, shape)

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """z, y, x of the voxels, shaped to broadcast."""
        z, y, x = (
            (o + s * np.arange(n)).astype(np.float32)
            for o, s, n in zip(self.origin, self.spacing, self.shape, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]


class Patient:
    """One anatomy, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng([2026, seed])
        u = random.uniform
        self.seed = seed
        self.size = u(0.92, 1.06)
        self.fat = u(8, 22)
        self.width, self.depth = 158 * u(0.95, 1.05), 106 * u(0.93, 1.07)
        self.dome = {-1: u(-88, -72), 1: u(-98, -82)}  # height of the diaphragm, right and left
        self.heart = (u(20, 30), u(-32, -24), u(-52, -40))
        self.heart_size = (u(58, 72), u(44, 52), u(54, 62))
        self.rib_gap = u(25, 29)
        self.rib_slope = u(38, 55)
        self.lean = u(-4, 4)
        self.lung = LUNG + u(-25, 25)
        self.arch = (u(10, 16), u(52, 62))
        self._vessels = list(self._branches(random))

    # --- solids ---------------------------------------------------------------------------------

    def _cage(self, z: Floats) -> tuple[Floats, Floats]:
        """Half axes of the inner chest wall at a height: narrow at the apex, wide below."""
        t = np.clip((z + 120) / 250, 0, 1)
        taper = np.sqrt(np.clip(1 - (np.clip(t - 0.40, 0, 1) / 0.56) ** 2.4, 1e-4, 1))
        return (self.width - 34) * taper * self.size, (self.depth - 24) * np.sqrt(taper) * self.size

    def volume(self, grid: Grid, lesion: Lesion | None = None) -> Floats:
        """Hounsfield units on a grid, shape (z, y, x)."""
        z, y, x = grid.axes()
        soft = max(grid.spacing[1], 1.0)
        rise = np.clip((z - 40) / 90, 0, 1)
        shoulders = 1 + 0.24 * rise * rise * (3 - 2 * rise)
        body = _inside(
            _ellipse(x, y, self.width * self.size * shoulders, self.depth * self.size, 2.5), soft, self.depth
        )
        inner = _inside(
            _ellipse(
                x,
                y,
                (self.width - self.fat) * self.size * shoulders,
                (self.depth - self.fat) * self.size,
                2.5,
            ),
            soft,
            self.depth,
        )
        volume = np.full(grid.shape, AIR, np.float32)
        _mix(volume, body, FAT)
        _mix(volume, inner, MUSCLE)
        lungs = self.lungs(z, y, x, soft)
        _mix(volume, lungs, self.lung + 0.35 * y)
        self._draw_vessels(volume, grid, lungs)
        self._draw_trachea(volume, grid)
        self._draw_bones(volume, grid, inner)
        if lesion is not None:
            insert(volume, grid, lesion, self.seed)
        return volume

    def lungs(self, z: Floats, y: Floats, x: Floats, soft: float) -> Floats:
        """How much of a voxel is lung, 0 … 1."""
        a, b = self._cage(z)
        cage = _inside(_ellipse(x, y + 4, a, b, 2.2), soft, 80) * _step((a - 12) / soft)
        middle = (
            17
            + 9 * np.exp(-(((z - 25) / 45) ** 2))
            + 6 * np.exp(-(((z - 100) / 30) ** 2))
            + 12 * np.exp(-(((y - 48) / 30) ** 2)) * (y > 0)
        )
        middle = middle * np.clip((y + 96) / 62, 0.28, 1)  # the lungs nearly meet behind the sternum
        medial = _step((np.abs(x - 2) - middle) / soft)
        result = cage * medial
        hx, hy, hz = self.heart
        rx, ry, rz = self.heart_size
        heart = np.sqrt(((x - hx) / rx) ** 2 + ((y - hy) / ry) ** 2 + ((z - hz) / rz) ** 2)
        result = result * (1 - _inside(heart, soft, 50))
        for side in (-1, 1):
            top = self.dome[side] + 34 * (1 - ((x - side * 72) / 95) ** 2 - ((y + 12) / 110) ** 2)
            here = (x * side) > 0
            result = np.where(here, result * _step((z - top) / soft), result)
        return result.astype(np.float32)

    def _branches(self, random: np.random.Generator) -> Iterator[tuple[Point, Point, float]]:
        """Vessels: (from, to, radius), branching outward from both hila."""
        for side in (-1, 1):
            hilum = np.array([side * 30.0, 6.0, -2.0])
            for _ in range(9):
                aim = np.array([side * random.uniform(20, 100), random.normal(5, 55), random.normal(-10, 75)])
                yield from self._branch(random, hilum, aim / np.linalg.norm(aim), random.uniform(4.0, 5.6), 0)

    def _branch(
        self,
        random: np.random.Generator,
        start: NDArray[np.float64],
        aim: NDArray[np.float64],
        radius: float,
        depth: int,
    ) -> Iterator[tuple[Point, Point, float]]:
        if radius < 0.7 or depth > 6:
            return
        end = start + aim * random.uniform(13, 24)
        yield tuple(start), tuple(end), radius
        for _ in range(2):
            turned = aim + random.normal(0, 0.45, 3)
            yield from self._branch(
                random, end, turned / np.linalg.norm(turned), radius * random.uniform(0.62, 0.84), depth + 1
            )

    def _draw_vessels(self, volume: Floats, grid: Grid, lungs: Floats) -> None:
        tubes = np.zeros(grid.shape, np.float32)
        for start, end, radius in self._vessels:
            _tube(tubes, grid, start, end, radius)
        # A vessel thinner than a voxel fills part of it, as it does in a scanner.
        _mix(volume, tubes * lungs, BLOOD)
        x, y = self.arch
        big: list[tuple[Point, Point, float]] = [
            ((18, 48, -140), (18, 50, 30), 12), ((18, 50, 30), (x, 22, y), 12),
            ((x, 22, y), (-12, -12, 40), 13), ((-12, -12, 40), (0, -20, -20), 14),
            ((-24, -8, 10), (-24, -4, 100), 9),
        ]  # fmt: skip
        aorta = np.zeros(grid.shape, np.float32)
        for start, end, radius in big:
            _tube(aorta, grid, start, end, radius)
        _mix(volume, aorta, BLOOD)

    def _draw_trachea(self, volume: Floats, grid: Grid) -> None:
        air = np.zeros(grid.shape, np.float32)
        _tube(air, grid, (0, 4, 150), (2, 12, 22), 8.5)
        _tube(air, grid, (2, 12, 22), (-30, 12, -4), 6.5)
        _tube(air, grid, (2, 12, 22), (36, 16, -8), 5.5)
        _mix(volume, air, AIR)

    def _draw_bones(self, volume: Floats, grid: Grid, inner: Floats) -> None:
        z, y, x = grid.axes()
        soft = max(grid.spacing[1], 1.0)
        back = 62 * self.size
        phase = (z + 150) % 23
        disc = (_step((phase - 18.5) / 1.0) * _step((23 - phase) / 1.0)).astype(np.float32)
        vertebra = _inside(
            _ellipse(x - 0.02 * self.lean * z, y - back, 17 - 1.5 * disc, 14.5 - 1.0 * disc, 2.0), soft, 15
        )
        core = _inside(_ellipse(x - 0.02 * self.lean * z, y - back, 14.5, 12, 2.0), soft, 13)
        _mix(volume, vertebra * (1 - disc), CORTEX * 0.75)
        _mix(volume, core * (1 - disc), MARROW)
        _mix(volume, vertebra * disc, DISC)
        arch = _inside(_ellipse(x, y - back - 24, 15, 11, 2.0), soft, 12) * (1 - disc)
        _mix(volume, arch, MARROW + 150)
        _mix(volume, _inside(_ellipse(x, y - back - 21, 8.5, 7, 2.0), soft, 8), 25)
        spine = _step((3 - np.abs(x)) / soft) * _step((y - back - 30) / soft) * _step((back + 48 - y) / soft)
        _mix(volume, inner * spine * (np.sin(phase / 23 * np.pi) > 0.35), MARROW + 200)
        bone, marrow = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
        for start, end, radius in self._long_bones():
            _tube(bone, grid, start, end, radius)
            _tube(marrow, grid, start, end, radius - 2.0)
        _mix(volume, bone, CORTEX)
        _mix(volume, marrow, MARROW)
        plate = _inside(_ellipse(x, y + (self.depth - 20) * self.size * 0.985, 17, 5, 2.4), soft, 5)
        plate = plate * _step((z + 70) / 2) * _step((95 - z) / 2)
        _mix(volume, plate, MARROW + 120)
        for side in (-1, 1):
            _mix(volume, self._scapula(z, y, x, side), CORTEX * 0.7)

    def _scapula(self, z: Floats, y: Floats, x: Floats, side: int) -> Floats:
        across = x * side
        sheet = np.abs(y - (74 * self.size - 0.012 * (across - 92) ** 2)) - 2.2
        edge = _step((across - (66 + 0.22 * (z + 40))) / 2) * _step((128 - across) / 2)
        return _step(-sheet / 1.2) * edge * _step((z + 45 + 0.55 * (across - 66)) / 2) * _step((112 - z) / 2)

    def _long_bones(self) -> Iterator[tuple[Point, Point, float]]:
        """Ribs and collar bones as short tubes."""
        for k in range(11):
            top = 118 - self.rib_gap * k
            for side in (-1, 1):
                before: Point | None = None
                for t in np.linspace(0.06, 0.93 if k < 7 else 0.66, 36):
                    angle = np.pi * t
                    height = top - self.rib_slope * np.sin(angle * 0.62) ** 1.3 * 1.25
                    a, b = (float(v) for v in self._cage(np.array(min(height + 4, 118), np.float32)))
                    a, b = max(a, 38) + 7, max(b, 42) + 5
                    here: Point = (side * a * np.sin(angle) ** 0.85, -4 + b * np.cos(angle), height)
                    if before is not None:
                        yield before, here, 5.4
                    before = here
        for side in (-1, 1):
            yield (side * 16.0, -68.0 * self.size, 104.0), (side * 70.0, -58.0 * self.size, 122.0), 6.0
            yield (side * 70.0, -58.0 * self.size, 122.0), (side * 132.0, -8.0, 130.0), 6.0

    # --- lesions --------------------------------------------------------------------------------

    def lesion(self, number: int = 0) -> Lesion:
        """A nodule inside a lung, clear of its walls; the same number gives the same nodule."""
        random = np.random.default_rng([7, self.seed, number])
        radius = float(random.uniform(8, 14))
        for _ in range(4000):
            x = float(random.choice((-1, 1)) * random.uniform(30, 112))
            y, z = float(random.uniform(-75, 70)), float(random.uniform(-75, 100))
            around = [(0, 0, 0)] + [
                tuple(radius * 1.2 * s if i == j else 0 for j in range(3)) for i in range(3) for s in (-1, 1)
            ]
            points = np.array([(z + dz, y + dy, x + dx) for dz, dy, dx in around], np.float32)
            if self.lungs(points[:, 0], points[:, 1], points[:, 2], 1.0).min() > 0.95:
                # Partly chalk, as an old granuloma: plain enough for networks as small as the demo's.
                density = self.lung + 1.25 * (float(random.uniform(10, 60)) - self.lung)
                return Lesion((x, y, z), radius, density)
        raise RuntimeError("no room for a lesion")


def insert(volume: Floats, grid: Grid, lesion: Lesion, seed: int = 0) -> Floats:
    """Put a lesion into a volume; gives its mask, how much of a voxel it fills, on the whole grid."""
    box, (z, y, x) = _box(grid, lesion.centre, lesion.centre, lesion.radius * 1.4)
    dx, dy, dz = x - lesion.centre[0], y - lesion.centre[1], z - lesion.centre[2]
    away = np.sqrt(dx**2 + dy**2 + dz**2)
    random = np.random.default_rng([3, seed])
    waves = zip(random.normal(0, 2.2, (5, 3)), random.uniform(0, 6.3, 5), strict=True)
    lobes = sum(np.cos((i * dx + j * dy + k * dz) / (away + 1e-3) + p) for (i, j, k), p in waves)
    radius = lesion.radius * (1 + 0.035 * lobes)
    mask = np.zeros(grid.shape, np.float32)
    mask[box] = _step((radius - away) / max(grid.spacing[1], 1.0))
    part = volume[box]
    _mix(part, mask[box], lesion.density)
    return mask


# --- shapes ---------------------------------------------------------------------------------------


def _ellipse(x: Floats, y: Floats, a: Floats | float, b: Floats | float, power: float) -> Floats:
    """A super-ellipse: below 1 inside, 1 on the edge."""
    edge: Floats = (np.abs(x / a) ** power + np.abs(y / b) ** power) ** (1 / power)
    return edge


def _inside(reach: Floats, soft: float, scale: float) -> Floats:
    """1 inside, 0 outside, with an edge of `soft` millimetres on a shape of about `scale`."""
    return _step((1 - reach) * scale / soft)


def _step(distance: Floats) -> Floats:
    """A voxel's filling, from the signed distance of its middle in voxels."""
    return np.asarray(np.clip(distance + 0.5, 0, 1))


def _mix(volume: Floats, share: Floats, value: Floats | float) -> None:
    volume += share * (value - volume)


def _box(
    grid: Grid, start: Point, end: Point, reach: float
) -> tuple[tuple[slice, ...], tuple[Floats, Floats, Floats]]:
    """The voxels around a stretch, and their z, y, x."""
    low = np.minimum(start, end)[::-1] - reach
    high = np.maximum(start, end)[::-1] + reach
    first = np.clip(np.floor((low - grid.origin) / grid.spacing), 0, grid.shape).astype(int)
    last = np.clip(np.ceil((high - grid.origin) / grid.spacing) + 1, 0, grid.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    z, y, x = grid.axes()
    return box, (z[box[0]], y[:, box[1]], x[:, :, box[2]])


def _tube(volume: Floats, grid: Grid, start: Point, end: Point, radius: float) -> None:
    """Fill a round stick; thinner than a voxel it fills as much of it as it has cross-section."""
    soft = max(grid.spacing[1], 1.0)
    box, (z, y, x) = _box(grid, start, end, radius + soft)
    if any(s.start >= s.stop for s in box):
        return
    (ax, ay, az), (bx, by, bz) = start, end
    ux, uy, uz = bx - ax, by - ay, bz - az
    length = max(ux * ux + uy * uy + uz * uz, 1e-6)
    t = np.clip(((x - ax) * ux + (y - ay) * uy + (z - az) * uz) / length, 0, 1)
    away = np.sqrt((x - ax - t * ux) ** 2 + (y - ay - t * uy) ** 2 + (z - az - t * uz) ** 2)
    fill = _step((radius - away) / soft) * min(1.0, (2 * radius / soft) ** 2)
    volume[box] = np.maximum(volume[box], fill)
