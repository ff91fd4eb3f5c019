# SPDX-License-Identifier: Apache-2.0
"""A place in the patient is the same place in every plane, for images and maps, however the stack lies."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
from hypothesis import given, settings
from hypothesis import strategies as st

from viewer import affine, overlay, planes
from viewer.dicom import Graphics, scan
from viewer.dicom.volume import Volume, no_volume, volume
from viewer.errors import SeriesError
from viewer.overlay import outline
from viewer.overlay.outline import edges, trimmed
from viewer.planes import Plane
from viewer.planes.resample import graphics_on, resampled
from viewer.task import Cancelled, Task
from viewer.types import (
    Attribution,
    Display,
    Geometry,
    LoadedMap,
    ModelInput,
    Prediction,
    Region,
    Score,
    Series,
    Target,
    Window,
)

THREE: tuple[planes.Orientation, ...] = ("axial", "coronal", "sagittal")


def turned(x: float, y: float, z: float) -> np.ndarray:
    """A rotation by three angles in degrees."""
    (a, b, c), (d, e, f) = (g(np.deg2rad((z, y, x))) for g in (np.cos, np.sin))
    return (
        np.array([[a, -d, 0], [d, a, 0], [0, 0, 1]])
        @ np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
        @ np.array([[1, 0, 0], [0, c, -f], [0, f, c]])
    )


AXIAL = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
"""Columns: the steps of slice, row and column of an axial stack, lying on its back, from the feet up."""
STACKS = {
    "axial": AXIAL * (2.5, 0.7, 0.7),
    "unequal pixels": AXIAL * (3.0, 0.8, 0.5),
    "from the head down": AXIAL * (-2.0, 0.7, 0.7),
    "prone": AXIAL * (2.0, -0.7, -0.7),
    "sagittal": np.array([[-1.2, 0, 0], [0, 0, 0.6], [0, -0.6, 0]]),
    "oblique": turned(20, -35, 50) @ AXIAL * (2.0, 0.9, 0.6),
    "tilted gantry": AXIAL * (3.0, 0.7, 0.7) + np.array([[0, 0, 0], [0.9, 0, 0], [0, 0, 0]]),
    "tilted and oblique": turned(5, 10, 15)
    @ (AXIAL * (3.0, 0.7, 0.9) + np.array([[0, 0, 0], [0.9, 0, 0], [0, 0, 0]])),
}


def placed(steps: np.ndarray, origin: tuple[float, ...] = (-40.0, 30.0, -100.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = steps
    matrix[:3, 3] = origin
    return matrix


def series(voxels: np.ndarray, steps: np.ndarray, **more: Any) -> Series:
    geometry = Geometry(placed(steps), "patient", True, True)
    facts = {"display": Display(((1.0, 0.0),) * len(voxels)), **more}
    return Series("1.2", "CT", voxels, geometry, **facts)


def noise(shape: tuple[int, int, int] = (18, 22, 26), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, shape, dtype=np.int16)


def onto(plane: Plane, point: planes.Point) -> Plane:
    """The same plane with its nearest pixel exactly on a point, and that pixel."""
    _behind, row, column = plane.index(point)
    matrix = np.array(plane.matrix)
    matrix[:3, 3] += matrix[:3, 1] * (row - round(row)) + matrix[:3, 2] * (column - round(column))
    return replace(plane, matrix=matrix)


def all_planes(of: Series, point: planes.Point) -> list[Plane]:
    askew = planes.oblique(of, point, (0.3, -0.8, 0.5), (0, 0, 1))
    return [*(planes.through(of, name, point) for name in planes.ORIENTATIONS), askew]


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_a_bright_voxel_is_where_it_is_in_all_planes(steps: np.ndarray) -> None:
    voxel = (5, 13, 8)
    voxels = np.zeros((12, 24, 20), np.int16)
    voxels[voxel] = 900
    shown = volume(series(voxels, steps))
    x, y, z = affine.apply(shown.series.geometry.matrix, voxel)
    for plane in all_planes(shown.series, (x, y, z)):
        picture = resampled(shown, plane)
        behind, row, column = plane.index((x, y, z))
        assert behind == pytest.approx(0, abs=1e-9)
        brightest = np.unravel_index(np.nanargmax(picture), picture.shape)
        assert np.abs(np.subtract(brightest, (row, column))).max() <= 1
        exact = resampled(shown, onto(plane, (x, y, z)))
        assert exact[round(row), round(column)] == pytest.approx(900, abs=1e-2)
        away = replace(plane, matrix=plane.matrix @ affine.scale_offset((1, 1, 1), (10, 0, 0)))
        assert np.nan_to_num(resampled(shown, away)).max() < 100


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_a_point_marked_in_one_plane_is_the_same_in_the_others(steps: np.ndarray) -> None:
    of = series(noise(), steps)
    first = planes.through(of, "coronal")
    marked = first.point(7.3, 11.8)
    for plane in all_planes(of, marked):
        behind, row, column = plane.index(marked)
        assert behind == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(plane.point(row, column), marked, atol=1e-9)
        moved = planes.through(of, "axial").through(marked)
        np.testing.assert_allclose(moved.point(*moved.index(marked)[1:]), marked, atol=1e-9)


def in_sitk(shown: Volume) -> sitk.Image:
    """The volume as SimpleITK has it, in float64."""
    matrix = shown.series.geometry.matrix
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image = sitk.GetImageFromArray(shown.voxels * np.float64(shown.slope) + shown.intercept)
    image.SetSpacing([float(v) for v in spacing[::-1]])
    image.SetOrigin([float(v) for v in matrix[:3, 3]])
    image.SetDirection([float(v) for v in (matrix[:3, :3] / spacing)[:, ::-1].ravel()])
    return image


def by_sitk(image: sitk.Image, plane: Plane, how: int = sitk.sitkLinear) -> np.ndarray:
    """The plane by an independent resampler; 1e6 outside."""
    directions = np.stack(
        [plane.matrix[:3, 2] / plane.pixel, plane.matrix[:3, 1] / plane.pixel, plane.normal]
    )
    size = [plane.shape[1], plane.shape[0], 1]
    spacing = [plane.pixel, plane.pixel, 1.0]
    way = [float(v) for v in directions.T.ravel()]
    origin = [float(v) for v in plane.matrix[:3, 3]]
    result = sitk.Resample(image, size, sitk.Transform(), how, origin, spacing, way, 1e6, sitk.sitkFloat64)
    return np.asarray(sitk.GetArrayFromImage(result)[0])


def assert_same(shown: Volume, plane: Plane) -> None:
    ours, theirs = resampled(shown, plane), by_sitk(in_sitk(shown), plane)
    outside = theirs == 1e6
    # On the very border rounding decides who still counts a pixel in.
    assert (np.isnan(ours) != outside).mean() < 0.02
    both = ~np.isnan(ours) & ~outside
    assert both.mean() > 0.1
    np.testing.assert_allclose(ours[both], theirs[both], atol=1e-3)


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_equal_to_simpleitk(steps: np.ndarray) -> None:
    shown = volume(series(noise(), steps))
    point = planes.middle(shown.series)
    for plane in all_planes(shown.series, (point[0] + 0.21, point[1] - 0.34, point[2] + 0.4)):
        assert_same(shown, plane)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["mr-t1-oblique/dicoms", "slicer/CTHeadAxialDicom"])
def test_equal_to_simpleitk_on_real_series(shared: Path, folder: str) -> None:
    (found,) = scan([shared / "dicom" / folder]).series
    shown = volume(found)
    for plane in all_planes(found, planes.middle(found)):
        assert_same(shown, plane)


def test_a_slice_of_the_stack_is_that_slice() -> None:
    for name in ("axial", "unequal pixels", "oblique", "tilted gantry"):
        voxels = noise()
        shown = volume(series(voxels, STACKS[name]))
        x, y, z = affine.apply(shown.series.geometry.matrix, (4, 0, 0))
        plane = planes.through(shown.series, "acquired", (x, y, z))
        at = np.stack(np.meshgrid([4], range(22), range(26), indexing="ij"), axis=-1)[0]
        index = affine.apply(affine.inverse(plane.matrix_to(shown.series)), at)
        np.testing.assert_allclose(index[..., 0], 0, atol=1e-9)
        if name == "axial":
            np.testing.assert_array_equal(resampled(shown, plane), voxels[4])


def test_letters_are_the_readers_convention() -> None:
    of = series(noise(), STACKS["axial"])
    letters = {name: planes.through(of, name).letters() for name in planes.ORIENTATIONS}
    assert letters["axial"] == letters["acquired"] == ("R", "L", "A", "P")
    assert letters["coronal"] == ("R", "L", "H", "F")
    assert letters["sagittal"] == ("A", "P", "H", "F")
    for stack, steps in STACKS.items():  # anatomical planes do not follow the stack
        other = series(noise(), steps)
        for one in THREE:
            assert planes.through(other, one).letters() == letters[one], stack
    assert planes.oblique(of, (0, 0, 0), (0, 1, 1), (0, 0, 1)).letters() == ("R", "L", "HA", "FP")


def test_the_place_is_told_from_the_origin_of_the_patient() -> None:
    of = series(noise(), STACKS["axial"])
    assert planes.through(of, "coronal", (0, -12.54, 3)).place() == "A 12.5 mm"
    assert planes.through(of, "coronal", (0, 12.54, 3)).place() == "P 12.5 mm"
    assert planes.through(of, "sagittal", (4, 0, 0)).place() == "L 4.0 mm"
    assert planes.through(of, "axial", (4, 0, -7.25)).place() == "F 7.2 mm"
    assert planes.through(of, "axial", (4, 0, -0.01)).place() == "H 0.0 mm"


def test_pixels_are_square_fine_and_bounded() -> None:
    of = series(noise(), STACKS["unequal pixels"])
    plane = planes.through(of, "coronal")
    assert plane.pixel == pytest.approx(0.5)
    assert plane.shape == (108, 26)
    assert planes.through(of, "axial").shape == (36, 26)
    thin = Series("1", "CT", np.broadcast_to(np.int16(0), (2, 4, 6000)), of.geometry, of.display)
    large = planes.through(thin, "axial")
    assert large.shape[1] == planes.LARGEST
    assert large.pixel == pytest.approx(6000 * 0.5 / planes.LARGEST)


def coordinates(of: Series) -> list[Volume]:
    """Three volumes whose values are where their voxels lie, in LPS millimetres."""
    at = affine.apply(of.geometry.matrix, np.indices(of.shape).transpose(1, 2, 3, 0)).astype(np.float32)
    return [volume(replace(of, voxels=np.ascontiguousarray(at[..., i]))) for i in range(3)]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_is_drawn_is_of_that_place_however_the_planes_are_turned(data: st.DataObject) -> None:
    """Volumes of their own coordinates: each pixel of each plane shows where it lies in the patient."""
    steps = STACKS[data.draw(st.sampled_from(["oblique", "tilted gantry", "tilted and oblique"]))]
    of = series(np.broadcast_to(np.float32(0), (12, 14, 16)), steps)
    inside = [data.draw(st.floats(0.2, 0.8)) * (n - 1) for n in of.shape]
    x, y, z = (float(v) for v in affine.apply(of.geometry.matrix, inside))
    views = planes.ANATOMICAL
    for _ in range(data.draw(st.integers(0, 5))):
        views = planes.turned(views, data.draw(st.sampled_from(THREE)), data.draw(st.floats(-3, 3)))
    volumes = coordinates(of)
    for name, way in views.items():
        plane = planes.lying(of, name, way, (x, y, z))
        behind, row, column = plane.index((x, y, z))
        assert behind == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(plane.point(row, column), (x, y, z), atol=1e-9)
        drawn = np.stack([resampled(v, plane) for v in volumes], axis=-1)
        index = np.stack(np.broadcast_arrays(0, *np.indices(plane.shape)), axis=-1)
        expected = affine.apply(plane.matrix, index)
        voxel = affine.apply(plane.matrix_to(of), index)
        sure = ((voxel >= 0) & (voxel <= np.subtract(of.shape, 1))).all(axis=-1)
        assert sure.any()
        np.testing.assert_allclose(drawn[sure], expected[sure], atol=2e-3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(THREE), st.floats(-4, 4)), max_size=30))
def test_turned_planes_stay_perpendicular_and_come_back(turns: list[tuple[str, float]]) -> None:
    views = planes.ANATOMICAL
    for about, angle in turns:
        before, views = views, planes.turned(views, about, angle)
        assert views[about] == before[about]
    for way in views.values():
        assert np.dot(way.along, way.down) == pytest.approx(0, abs=1e-12)
        assert np.linalg.norm(way.along) == pytest.approx(1) == np.linalg.norm(way.down)
    normals = np.stack([way.normal for way in views.values()])
    np.testing.assert_allclose(normals @ normals.T, np.eye(3), atol=1e-9)
    for about, angle in reversed(turns):
        views = planes.turned(views, about, -angle)
    for name, way in views.items():
        np.testing.assert_allclose(way.along, planes.ANATOMICAL[name].along, atol=1e-9)
        np.testing.assert_allclose(way.down, planes.ANATOMICAL[name].down, atol=1e-9)


def test_a_turn_is_clockwise_as_it_is_seen() -> None:
    """Turned by a right angle, the line of the coronal plane lies where that of the sagittal one was."""
    views = planes.turned(planes.ANATOMICAL, "axial", np.pi / 2)
    way = planes.ANATOMICAL["axial"]
    right, down = np.array(way.along), np.array(way.down)
    np.testing.assert_allclose(views["coronal"].along, down, atol=1e-12)  # from the left edge to the top
    np.testing.assert_allclose(views["sagittal"].along, -right, atol=1e-12)
    of = series(noise(), STACKS["axial"])
    some = planes.turned(planes.ANATOMICAL, "axial", np.deg2rad(30))
    plane = planes.lying(of, "coronal", some["coronal"], planes.middle(of))
    assert plane.letters() == ("RA", "LP", "H", "F")
    assert planes.tilt(plane) == pytest.approx(30)
    assert planes.tilt(planes.through(of, "acquired")) == 0


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_planes_as_acquired_lie_on_the_slices(steps: np.ndarray) -> None:
    of = series(noise(), steps)
    views = planes.acquired(of)
    place = (7, 11, 13)
    x, y, z = affine.apply(of.geometry.matrix, place)
    found = {n: planes.lying(of, n, way, (x, y, z)).among(of) for n, way in views.items()}
    along = [n for n, slice in found.items() if slice is not None]
    assert len(along) == 1
    assert found[along[0]] == pytest.approx(7)
    normal = np.cross(steps[:, 2], steps[:, 1])
    towards = {n: abs(w.normal @ normal) / np.linalg.norm(normal) for n, w in planes.ANATOMICAL.items()}
    assert along[0] == max(towards, key=lambda n: towards[n])
    for name, way in views.items():  # turned, never mirrored, and less than a right angle
        assert way.normal @ planes.ANATOMICAL[name].normal > 0
        assert np.dot(way.down, planes.ANATOMICAL[name].down) > 0
    if (np.count_nonzero(np.abs(steps) > 1e-9, axis=0) == 1).all():
        for name, way in views.items():
            np.testing.assert_allclose(way.along, planes.ANATOMICAL[name].along, atol=1e-12)


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_graphics_of_a_slice_lie_on_its_own_pixels(steps: np.ndarray) -> None:
    of = series(noise(), steps)
    overlay, shutter = np.zeros((22, 26), bool), np.zeros((22, 26), bool)
    overlay[5, 9] = overlay[20, 2] = True
    shutter[:, 24:] = True
    laid = Graphics(overlay, shutter, 40)
    own = planes.through(of, "acquired", tuple(affine.apply(of.geometry.matrix, (6, 11, 13))))
    drawn = graphics_on(laid, 6, own, of)
    assert drawn is not None
    assert drawn.shade == 40
    for mask, given_ in ((drawn.overlay, overlay), (drawn.shutter, shutter)):
        assert mask is not None
        for row, column in np.ndindex(22, 26):
            at = own.index(tuple(affine.apply(of.geometry.matrix, (6, row, column))))
            place = tuple(np.clip(np.rint(at[1:]).astype(int), 0, np.subtract(own.shape, 1)))
            near = given_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            assert mask[place] == given_[row, column] or near.any() != near.all()
        area = mask.sum() * own.pixel**2 / np.prod(np.linalg.norm(steps[:, 1:], axis=0))
        assert area == pytest.approx(given_.sum(), rel=0.35)
    between = own.through(tuple(affine.apply(of.geometry.matrix, (6.8, 11, 13))))
    assert graphics_on(laid, 6, between, of) is None
    assert graphics_on(laid, 7, between, of) is not None
    askew = planes.oblique(of, planes.middle(of), (0.3, -0.8, 0.5), (0, 0, 1))
    assert graphics_on(laid, 6, askew, of) is None
    assert graphics_on(Graphics(overlay, None), 6, own, of).shutter is None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_there_and_back_again(data: st.DataObject) -> None:
    """Plane index → LPS → voxel → LPS → plane index."""
    angle, length = st.floats(-180, 180), st.floats(0.2, 8)
    steps = turned(*(data.draw(angle) for _ in range(3))) @ AXIAL * [data.draw(length) for _ in range(3)]
    steps[:, 0] += steps[:, 1] * data.draw(st.floats(-1, 1))
    shape = tuple(data.draw(st.integers(2, 40)) for _ in range(3))
    of = series(np.broadcast_to(np.int16(0), shape), steps)
    plane = data.draw(st.sampled_from(all_planes(of, planes.middle(of))))
    index = [data.draw(st.floats(-50, 50)), *(data.draw(st.floats(0, n - 1)) for n in plane.shape)]
    voxel = affine.apply(plane.matrix_to(of), index)
    x, y, z = affine.apply(of.geometry.matrix, voxel)
    np.testing.assert_allclose((x, y, z), affine.apply(plane.matrix, index), atol=1e-6)
    np.testing.assert_allclose(plane.index((x, y, z)), index, atol=1e-6)
    rows, columns = plane.matrix[:3, 1], plane.matrix[:3, 2]
    assert rows @ columns == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(rows) == pytest.approx(np.linalg.norm(columns)) == pytest.approx(plane.pixel)
    np.testing.assert_allclose(np.cross(columns, rows) / plane.pixel**2, plane.normal, atol=1e-9)


@pytest.mark.parametrize("how", ["mean", "max", "min"])
@pytest.mark.parametrize("name", ["axial", "oblique", "tilted gantry"])
@pytest.mark.parametrize("orientation", ["axial", "coronal", "acquired"])
def test_slabs_against_brute_force(name: str, orientation: Any, how: Any) -> None:
    smooth = np.cos(np.indices((18, 22, 26)).transpose(1, 2, 3, 0) @ (0.5, 0.3, 0.4)) * 500
    shown = volume(series(smooth.astype(np.float32), STACKS[name]))
    plane = replace(planes.through(shown.series, orientation), thickness=9.0)
    ours = resampled(shown, plane, how)
    thin, depths = replace(plane, thickness=0.0), (np.arange(400) + 0.5) / 400 * 9 - 4.5
    stack = [
        resampled(shown, replace(thin, matrix=thin.matrix @ affine.scale_offset((1, 1, 1), (d, 0, 0))))
        for d in depths
    ]
    whole = np.isfinite(stack).all(axis=0)
    assert whole.mean() > 0.05
    fold: Any = {"mean": np.mean, "max": np.max, "min": np.min}[how]
    np.testing.assert_allclose(ours[whole], fold(stack, axis=0)[whole], atol=4 if how == "mean" else 15)
    seen = np.isfinite(stack).any(axis=0)
    assert (np.isfinite(ours) != seen).mean() < 0.05


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_slabs_of_a_ramp_are_exact(steps: np.ndarray) -> None:
    """Along each ray a ramp is a line: its mean is at the middle, its extremes are at the slab's faces."""
    shape, slant = (18, 22, 26), np.array([31.0, -17.0, 11.0])
    voxels = (np.indices(shape).transpose(1, 2, 3, 0) @ slant).astype(np.float32)
    shown = volume(series(voxels, steps))
    for thin in all_planes(shown.series, planes.middle(shown.series)):
        to = thin.matrix_to(shown.series)
        place = to[:3, 3] + to[:3, 1] * np.arange(thin.shape[0])[:, None, None]
        place = place + to[:3, 2] * np.arange(thin.shape[1])[:, None]
        for thickness in (0.4, 7.3):
            slab = replace(thin, thickness=thickness)
            half = to[:3, 0] * thickness / 2
            within = [((p >= 0) & (p <= np.subtract(shape, 1))).all(-1) for p in (place - half, place + half)]
            whole = within[0] & within[1]
            assert whole.any()
            middle, rise = place @ slant, abs(half @ slant)
            for how, expected in (("mean", middle), ("max", middle + rise), ("min", middle - rise)):
                found = resampled(shown, slab, how)  # type: ignore[arg-type]
                np.testing.assert_allclose(found[whole], expected[whole], atol=2e-2)


@pytest.mark.parametrize("how", ["mean", "max", "min"])
def test_of_a_slab_only_what_lies_in_the_volume_counts(how: Any) -> None:
    """Were anything else counted, a constant would not stay one; every ray that meets the volume has it."""
    shown = volume(series(np.full((18, 22, 26), 700, np.int16), STACKS["oblique"]))
    plane = replace(planes.through(shown.series, "coronal"), thickness=90.0)
    found = resampled(shown, plane, how)
    np.testing.assert_allclose(found[np.isfinite(found)], 700, atol=0.05)
    depths = np.linspace(-45, 45, 400)
    thin = replace(plane, thickness=0.0)
    behind = [replace(thin, matrix=thin.matrix @ affine.scale_offset((1, 1, 1), (d, 0, 0))) for d in depths]
    met = np.any([p.inside(shown.series) for p in behind], axis=0)
    assert (np.isfinite(found) != met).mean() < 0.01


@pytest.mark.shared
@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_slab_of_a_real_series_equals_many_thin_planes_by_simpleitk(shared: Path, how: Any) -> None:
    (found,) = scan([shared / "dicom" / "mr-t1-oblique/dicoms"]).series
    shown = volume(found)
    image = in_sitk(shown)
    slab = replace(planes.oblique(found, planes.middle(found), (0.3, -0.8, 0.5), (0, 0, 1)), thickness=10.0)
    depths = ((np.arange(100) + 0.5) / 100 - 0.5) * 10
    thin = [
        by_sitk(image, replace(slab, matrix=slab.matrix @ affine.scale_offset((1, 1, 1), (d, 0, 0))))
        for d in depths
    ]
    whole = (np.array(thin) != 1e6).all(axis=0)
    assert whole.mean() > 0.1
    off = resampled(shown, slab, how)[whole] - (np.mean if how == "mean" else np.max)(thin, axis=0)[whole]
    high, low = np.percentile(shown.voxels, (99, 1))
    assert np.sqrt((off**2).mean()) < (0.001 if how == "mean" else 0.005) * (high - low)


def test_a_slab_can_be_cancelled() -> None:
    shown = volume(series(noise((40, 60, 60)), STACKS["oblique"]))
    plane = replace(planes.through(shown.series, "coronal"), thickness=30.0)
    checks = 0

    class Impatient(Task):
        def check(self) -> None:
            nonlocal checks
            checks += 1
            if checks == 2:
                raise Cancelled

    with pytest.raises(Cancelled):
        resampled(shown, plane, "max", Impatient())


def test_a_slab_along_the_grid_is_exact() -> None:
    voxels = noise()
    shown = volume(series(voxels, STACKS["axial"]))
    x, y, z = affine.apply(shown.series.geometry.matrix, (9, 11, 13))
    plane = replace(planes.through(shown.series, "axial", (x, y, z)), thickness=10.001)
    np.testing.assert_allclose(resampled(shown, plane, "max"), voxels[7:12].max(axis=0), atol=0.5)
    np.testing.assert_allclose(resampled(shown, plane, "min"), voxels[7:12].min(axis=0), atol=0.5)
    whole = replace(plane, thickness=1000.0)
    np.testing.assert_array_equal(resampled(shown, whole, "max"), voxels.max(axis=0))
    np.testing.assert_allclose(resampled(shown, whole), voxels.mean(axis=0), atol=60)


def test_values_are_modality_values() -> None:
    voxels = noise()
    display = Display(((-2.0, 30.0),) * 18)
    shown = volume(series(voxels, STACKS["axial"], display=display))
    assert shown.voxels.dtype == np.int16
    x, y, z = affine.apply(shown.series.geometry.matrix, (4, 0, 0))
    plane = planes.through(shown.series, "axial", (x, y, z))
    np.testing.assert_array_equal(resampled(shown, plane), voxels[4] * -2.0 + 30)
    thick = replace(plane, thickness=1000.0)
    np.testing.assert_array_equal(resampled(shown, thick, "max"), (voxels * -2.0 + 30).max(axis=0))
    each = Display(tuple((1.0, float(i)) for i in range(18)))
    shown = volume(series(voxels, STACKS["axial"], display=each))
    assert shown.voxels.dtype == np.float32
    np.testing.assert_array_equal(resampled(shown, plane), voxels[4] + 4.0)
    table = Display(((1.0, 0.0),) * 18, lut=(-1000, np.arange(2000)[::-1]))
    shown = volume(series(voxels, STACKS["axial"], display=table))
    np.testing.assert_array_equal(resampled(shown, plane), 999.0 - voxels[4])


def test_what_is_no_volume_says_why() -> None:
    axial = series(noise(), STACKS["axial"])
    assert no_volume(axial) is None
    unplaced = replace(axial.geometry, orientation_known=False)
    loose = replace(axial.geometry, between=False)
    for other, word in (
        (series(noise((1, 4, 4)), STACKS["axial"]), "single image"),
        (replace(axial, geometry=unplaced), "where the slices lie"),
        (replace(axial, geometry=loose), "distance"),
        (replace(axial, frames_in_time=18), "time"),
        (series(np.zeros((3, 4, 4, 3), np.uint8), STACKS["axial"]), "colour"),
    ):
        assert word in (no_volume(other) or "")
        with pytest.raises(SeriesError, match=word):
            volume(other)


class Lazy:
    """Slices that are read one by one."""

    def __init__(self, voxels: np.ndarray) -> None:
        self.voxels, self.shape, self.dtype = voxels, voxels.shape, voxels.dtype

    def __len__(self) -> int:
        return len(self.voxels)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.voxels[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.voxels)


def test_a_volume_is_read_in_steps_that_can_be_cancelled() -> None:
    voxels = noise()
    of = series(voxels, STACKS["axial"])
    lazy = replace(of, voxels=Lazy(voxels))
    steps: list[int] = []
    np.testing.assert_array_equal(volume(lazy, Task(lambda s: steps.append(s.done))).voxels, voxels)
    assert steps == list(range(18))
    task = Task(lambda s: task.cancel())
    with pytest.raises(Cancelled):
        volume(lazy, task)


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_the_map_lies_on_its_image_in_all_planes(steps: np.ndarray) -> None:
    """A coarse map, cropped to a part of the volume, peaks where the image has its blob."""
    place = affine.scale_offset((2, 3, 2), (2.5, 4.0, 3.5))
    cell = (2, 3, 5)
    voxel = affine.apply(place, cell)
    voxels = np.exp(-((np.indices((18, 24, 26)).transpose(1, 2, 3, 0) - voxel) ** 2).sum(-1) / 8)
    of = series(voxels.astype(np.float32), steps)
    values = np.zeros((6, 6, 9), np.float32)
    values[cell] = 3
    map = LoadedMap(values, place, "u", of, "a map")
    shown = volume(of)
    point = tuple(float(v) for v in affine.apply(of.geometry.matrix, voxel))
    for plane in all_planes(of, point):  # type: ignore[arg-type]
        exact = onto(plane, point)  # type: ignore[arg-type]
        drawn, picture = overlay.on_plane(map, exact), resampled(shown, exact)
        at = tuple(round(v) for v in exact.index(point)[1:])  # type: ignore[arg-type]
        assert drawn[at] == pytest.approx(3, abs=1e-3) == np.nanmax(drawn)
        assert picture[at] == np.nanmax(picture)
        grid = np.stack(np.meshgrid([0], *(range(n) for n in exact.shape), indexing="ij"), -1)[0]
        cells = affine.apply(affine.inverse(place) @ exact.matrix_to(of), grid)
        outside = np.maximum(-0.5 - cells, cells - np.subtract(values.shape, 0.5)).max(axis=-1)
        sure = np.abs(outside) > 1e-4
        assert sure.mean() > 0.9
        np.testing.assert_array_equal(np.isfinite(drawn)[sure], (outside < 0)[sure])
        thick = replace(exact, thickness=12.0)
        away = replace(thick, matrix=thick.matrix @ affine.scale_offset((1, 1, 1), (5, 0, 0)))
        assert np.nanmax(overlay.on_plane(map, away)) > 1
        at_least = np.nan_to_num(overlay.on_plane(map, thick)) - np.nan_to_num(drawn)
        assert at_least.min() > -1e-5


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_a_region_is_outlined_where_it_is_in_all_planes(steps: np.ndarray) -> None:
    """What the outline encloses on a plane is what the mask has at the plane's pixels."""
    of = series(noise(), steps)
    mask = np.zeros((18, 22, 26), np.uint8)
    mask[6:12, 8:17, 5:19] = 1
    whole = Region(mask, np.eye(4), of, "block", "seg")
    small = trimmed(whole)
    assert small.mask.shape == (6, 9, 14)
    point = tuple(float(v) for v in affine.apply(of.geometry.matrix, (9, 12, 12)))
    for plane in all_planes(of, point):  # type: ignore[arg-type]
        expected = edges(whole.on(plane.matrix_to(of), (1, *plane.shape))[0])
        (found,) = outline.on_plane((small,), plane)
        assert found.name == "block"
        order = [np.lexsort(one.reshape(-1, 4).T) for one in (expected, found.lines)]
        np.testing.assert_array_equal(found.lines[order[1]], expected[order[0]])
        away = replace(plane, matrix=plane.matrix @ affine.scale_offset((1, 1, 1), (80, 0, 0)))
        assert outline.on_plane((small,), away) == ()
    assert outline.on_plane((trimmed(replace(whole, mask=np.zeros_like(mask))),), plane) == ()


def filled(lines: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels inside an outline: those with an odd number of its upright pieces to their left."""
    crossed = np.zeros(shape, int)
    for (top, left), (bottom, right) in lines:
        if left == right:
            low, high = sorted((top, bottom))
            crossed[int(low + 0.5) : int(high + 0.5), int(left + 0.5) :] += 1
    return crossed % 2 == 1


@pytest.mark.parametrize("steps", STACKS.values(), ids=STACKS)
def test_outlines_on_turned_planes_enclose_what_simpleitk_finds(steps: np.ndarray) -> None:
    """The mask looked up by an independent program, on planes turned about two axes."""
    ball = ((np.indices((18, 22, 26)).transpose(1, 2, 3, 0) - (8, 12, 11)) ** 2 @ (0.06, 0.02, 0.02)) < 1
    of = series(ball.astype(np.int16), steps)
    region = trimmed(Region(ball, np.eye(4), of, "ball", "seg"))
    views = planes.turned(planes.turned(planes.ANATOMICAL, "axial", 0.6), "coronal", -0.9)
    x, y, z = affine.apply(of.geometry.matrix, (8, 12, 11))
    for name, way in views.items():
        plane = planes.lying(of, name, way, (x, y, z))
        truth = by_sitk(in_sitk(volume(of)), plane, sitk.sitkNearestNeighbor) == 1
        (found,) = outline.on_plane((region,), plane)
        inside = filled(found.lines, plane.shape)
        assert truth.sum() > 50
        # A pixel just between two voxels may fall to either.
        assert (inside != truth).sum() <= 0.01 * truth.sum()


class Method:
    name: ClassVar[str] = "m"
    title: ClassVar[str] = "M"
    paper: ClassVar[str] = ""
    signed: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        return {}


class Tensor:
    shape = (1, 1, 22, 26)


def test_a_map_of_one_slice_lies_in_that_slice_only() -> None:
    of = series(noise(), STACKS["oblique"], display=Display(((1.0, 0.0),) * 18, windows=(Window(0, 1),)))
    given = ModelInput(of, 6, Tensor(), affine.scale_offset((1, 1, 1), (6, 0, 0)))  # type: ignore[arg-type]
    said = Prediction(given, "net", "ab", "CPU", (Score("a", 1.0, 0.7),))
    map = Attribution(
        np.ones((1, 22, 26), np.float32), given.matrix, "logit", (said,), Method(), Target("a", 0)
    )
    point = tuple(float(v) for v in affine.apply(of.geometry.matrix, (6, 11, 13)))
    for name in THREE:
        plane = planes.through(of, name, point)  # type: ignore[arg-type]
        assert np.isnan(overlay.on_plane(map, plane)).all()
        assert "single slices" in (overlay.off_plane(map, plane) or "")
    own = planes.through(of, "acquired", point)  # type: ignore[arg-type]
    assert overlay.off_plane(map, own) is None
    assert np.isfinite(overlay.on_plane(map, own)).sum() == own.inside(of).sum()
    other = planes.through(of, "acquired", tuple(affine.apply(of.geometry.matrix, (8, 11, 13))))
    assert "slice 7" in (overlay.off_plane(map, other) or "")
    assert np.isnan(overlay.on_plane(map, other)).all()
    # A slab is thick enough to reach it.
    assert np.isfinite(overlay.on_plane(map, replace(other, thickness=8.0))).any()


@pytest.mark.parametrize("name", ["axial", "oblique", "tilted gantry"])
def test_the_nearest_slice_is_that_of_the_place_on_tilted_and_uneven_stacks(name: str) -> None:
    axial = series(noise(), STACKS[name])
    for slice in range(axial.shape[0]):
        at = affine.apply(axial.geometry.matrix, (slice + 0.3, 2.0, 3.0))
        found, apart = planes.nearest_slice(axial, (float(at[0]), float(at[1]), float(at[2])))
        normal = np.cross(axial.geometry.matrix[:3, 1], axial.geometry.matrix[:3, 2])
        step = abs(axial.geometry.matrix[:3, 0] @ normal) / np.linalg.norm(normal)
        assert found == slice
        assert apart == pytest.approx(0.3 * step)
    heights = np.array([0.0, 5.0, 7.0])
    normal = normal / np.linalg.norm(normal)
    origins = axial.geometry.matrix[:3, 3] + heights[:, None] * normal
    uneven = replace(
        axial, voxels=np.zeros((3, 4, 4), np.int16), geometry=replace(axial.geometry, origins=origins)
    )
    x, y, z = (float(v) for v in origins[1] + 0.9 * normal)
    assert planes.nearest_slice(uneven, (x, y, z)) == (1, pytest.approx(0.9))
