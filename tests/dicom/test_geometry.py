# SPDX-License-Identifier: Apache-2.0
"""Order and place of slices, against SimpleITK and against series whose truth is known."""

import random
import shutil
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
from dicom_files import Make, shuffled, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.errors import InvalidDicomError

from viewer.dicom import modality_values, scan
from viewer.dicom.listing import listing
from viewer.types import Geometry, Series
from viewer.wording import spacing_text

REAL = {"slicer/CTHeadAxialDicom": 93, "mr-t1-oblique/dicoms": 40}


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


@pytest.mark.shared
@pytest.mark.parametrize("folder", REAL)
def test_place_and_values_agree_with_simpleitk(shared: Path, tmp_path: Path, folder: str) -> None:
    series = only(shuffled(shared / "dicom" / folder, tmp_path / "copy"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(shared / "dicom" / folder)))
    image = reader.Execute()
    assert series.shape == (REAL[folder], *image.GetSize()[1::-1])
    ours = series.geometry
    np.testing.assert_allclose(ours.origin, image.GetOrigin(), atol=1e-4)
    assert ours.spacing is not None
    np.testing.assert_allclose(ours.spacing, image.GetSpacing()[::-1], atol=1e-4)
    assert ours.direction is not None
    theirs = np.reshape(image.GetDirection(), (3, 3))[:, ::-1]
    np.testing.assert_allclose(ours.direction, theirs, atol=1e-4)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), sitk.GetArrayFromImage(image))


def paths_of(folder: Path) -> dict[str, Path]:
    """The files of the data by SOP instance."""
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        except (InvalidDicomError, ValueError, OSError, AttributeError):
            continue
        found.setdefault(str(dataset.get("SOPInstanceUID", "")), path)
    return found


def slice_origins(matrix: np.ndarray, count: int) -> np.ndarray:
    """Positions of all slices, sorted: readers differ in which end they begin with."""
    places = matrix[:3, 3] + np.arange(count)[:, None] * matrix[:3, 0]
    return places[np.lexsort(places.round(3).T)]


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
def test_every_volume_of_many_files_agrees_with_simpleitk(shared: Path, tmp_path: Path) -> None:
    files = paths_of(shared / "dicom")
    volumes = [s for s in scan([shared / "dicom"]).series if s.geometry.volume and s.files == s.shape[0]]
    assert len(volumes) == 9
    for number, series in enumerate(volumes):
        folder = tmp_path / str(number)
        folder.mkdir()
        chance = random.Random(number)
        for k, uid in enumerate(chance.sample(series.sop_uids, len(series.sop_uids))):
            shutil.copy(files[uid], folder / f"{k:05}")
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        again, space = only(folder), series.geometry
        assert again.sop_uids == series.sop_uids
        np.testing.assert_array_equal(again.geometry.matrix, space.matrix)
        np.testing.assert_allclose(space.origin, image.GetOrigin(), atol=1e-4)
        np.testing.assert_allclose(space.spacing, image.GetSpacing()[::-1], atol=1e-4)
        theirs = np.reshape(image.GetDirection(), (3, 3))[:, ::-1]
        np.testing.assert_allclose(space.direction, theirs, atol=1e-4)
        values = np.stack([modality_values(series, i) for i in range(series.shape[0])])
        np.testing.assert_allclose(values, sitk.GetArrayFromImage(image), atol=1e-3)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
def test_volumes_agree_with_highdicom(shared: Path) -> None:
    files = paths_of(shared / "dicom")
    compared = 0
    for series in scan([shared / "dicom"]).series:
        several = len(set(series.sop_uids)) > 1
        if not series.geometry.volume or series.part or series.geometry.frame_of_reference is None:
            continue
        if series.colour or "JPEG" in series.syntax:
            continue
        if several:
            images = [pydicom.dcmread(files[uid]) for uid in series.sop_uids]
            volume = highdicom.get_volume_from_series(images, apply_real_world_transform=False)
        else:
            volume = highdicom.imread(files[series.sop_uids[0]]).get_volume(apply_real_world_transform=False)
        compared += 1
        affine, count = volume.affine, series.shape[0]
        np.testing.assert_allclose(
            slice_origins(series.geometry.matrix, count), slice_origins(affine, count), atol=1e-4
        )
        np.testing.assert_allclose(series.geometry.matrix[:3, 1:3], affine[:3, 1:3], atol=1e-4)
        own = np.stack([modality_values(series, i) for i in range(count)])
        theirs = np.asarray(volume.array)
        turned = float(affine[:3, 0] @ series.geometry.matrix[:3, 0]) < 0
        np.testing.assert_allclose(own, theirs[::-1] if turned else theirs, atol=1e-3)
    assert compared >= 3


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["dicom2nifti/hyperfine", "pydicom-data/eCT_Supplemental.dcm"])
def test_enhanced_volumes_agree_with_simpleitk(shared: Path, name: str) -> None:
    series = only(shared / "dicom" / name)
    image = sitk.ReadImage(str(paths_of(shared / "dicom")[series.sop_uids[0]]))
    theirs = np.eye(4)
    turned = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    theirs[:3, :3], theirs[:3, 3] = turned[:, ::-1], image.GetOrigin()
    count = series.shape[0]
    np.testing.assert_allclose(
        slice_origins(series.geometry.matrix, count), slice_origins(theirs, count), atol=1e-4
    )
    np.testing.assert_allclose(series.geometry.matrix[:3, 1:3], theirs[:3, 1:3], atol=1e-4)


@pytest.mark.shared
def test_parts_of_an_enhanced_file_lie_where_its_frames_say(shared: Path) -> None:
    files = paths_of(shared / "dicom/dicom2nifti")
    series = scan([shared / "dicom/dicom2nifti/philips_enhanced"]).series
    frames = pydicom.dcmread(files[series[0].sop_uids[0]]).PerFrameFunctionalGroupsSequence
    for part in series:
        for index, number in enumerate(part.frame_numbers):
            place = frames[number - 1].PlanePositionSequence[0].ImagePositionPatient
            np.testing.assert_allclose(part.geometry.position(index), place, atol=1e-4)
            assert part.part
            assert frames[number - 1].FrameContentSequence[0].TemporalPositionIndex == part.part.value[0]


@pytest.mark.shared
def test_letters_of_the_real_series(shared: Path) -> None:
    for folder in REAL:
        assert only(shared / "dicom" / folder).geometry.letters() == ("R", "L", "A", "P")
        assert only(shared / "dicom" / folder).geometry.between


@st.composite
def stacks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float, int, float]:
    """Rotation, origin, distance, number and in-plane shear of a stack."""
    angles = [draw(st.floats(-3.1, 3.1)) for _ in range(3)]
    (a, b, c), (d, e, f) = np.cos(angles), np.sin(angles)
    turn = (
        np.array([[a, -d, 0], [d, a, 0], [0, 0, 1]])
        @ np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
        @ np.array([[1, 0, 0], [0, c, -f], [0, f, c]])
    )
    origin = np.array([draw(st.floats(-500, 500)) for _ in range(3)])
    shear = draw(st.sampled_from([0.0, 0.3]))
    return turn, origin, draw(st.floats(0.3, 20)), draw(st.integers(2, 7)), shear


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stack=stacks(), seed=st.randoms(use_true_random=False))
def test_any_stack_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    stack: tuple[np.ndarray, np.ndarray, float, int, float],
    seed: object,
) -> None:
    turn, origin, distance, number, shear = stack
    row, column = turn[:, 0], turn[:, 1]
    step = np.cross(row, column) * distance + column * shear * distance
    folder = tmp_path_factory.mktemp("stack")
    order = list(range(number))
    seed.shuffle(order)  # type: ignore[attr-defined]
    for name, index in enumerate(order):
        write(
            folder / f"{name}.dcm",
            np.full((4, 6), index, np.int16),
            SOPInstanceUID=f"1.2.{index + 1}",
            InstanceNumber=number - index,
            ImageOrientationPatient=[f"{v:.10f}" for v in (*row, *column)],
            ImagePositionPatient=[f"{v:.9f}" for v in origin + index * step],
        )
    series = only(folder)
    assert [int(v[0, 0]) for v in series.voxels] == list(range(number))
    expected = np.column_stack([step, column * 0.5, row * 0.25])
    np.testing.assert_allclose(series.geometry.matrix[:3, :3], expected, atol=1e-6)
    np.testing.assert_allclose(series.geometry.origin, origin, atol=1e-6)
    assert any("slant" in w for w in series.warnings) == bool(shear)


def test_uneven_gaps_are_told_in_millimetres(make: Make, tmp_path: Path) -> None:
    for place in (0, 2, 4, 10):
        make(f"{place}.dcm", ImagePositionPatient=[0, 0, place])
    series = only(tmp_path)
    assert any("from 2.00 mm to 6.00 mm, 2.00 mm in the middle" in w for w in series.warnings)
    assert series.geometry.spacing == pytest.approx((2.0, 0.5, 0.25))
    assert "Missing slices: 2 between Im 3 and Im 4; no volume is built." in series.warnings
    assert not series.geometry.volume
    assert [series.geometry.position(i) for i in range(4)] == [(0, 0, z) for z in (0, 2, 4, 10)]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ((0, 2, 6), "Missing slices: 1 between Im 2 and Im 3; no volume is built."),
        (
            (0, 1, 3, 4, 5, 8),
            "Missing slices: 3 in all, 1 between Im 2 and Im 3, 2 between Im 5 and Im 6; no volume is built.",
        ),
        (
            (-99.48, 103.02, 104.27, 105.52),
            "Missing or never taken slices: 161 between Im 1 and Im 2; no volume is built.",
        ),
        ((0, 2, 4, 4.7, 6), "Each slice is shown where it lies, and no volume is built."),
        ((0, 0.1, 3.1, 6.1), "Each slice is shown where it lies, and no volume is built."),
    ],
)
def test_gaps_are_missing_slices_or_uneven(
    make: Make, tmp_path: Path, places: tuple[float, ...], said: str
) -> None:
    for number, place in enumerate(places):
        make(f"{number}.dcm", ImagePositionPatient=[5, 6, place])
    series = only(tmp_path)
    assert said in series.warnings
    assert not series.geometry.volume
    assert series.geometry.origins is not None
    np.testing.assert_allclose(series.geometry.origins, [(5, 6, z) for z in places])


def test_a_tilted_gantry_is_a_sheared_matrix_and_a_bent_stack_is_none(tmp_path: Path) -> None:
    for number in range(6):
        write(
            tmp_path / "tilted" / f"{number}.dcm",
            SOPInstanceUID=f"1.2.{number + 1}",
            ImagePositionPatient=[0, 3 * number * np.sin(0.3), 3 * number * np.cos(0.3)],
        )
        write(
            tmp_path / "bent" / f"{number}.dcm",
            SOPInstanceUID=f"1.2.{number + 1}",
            ImagePositionPatient=[0, (number - 2) ** 2, 3 * number],
        )
    tilted = only(tmp_path / "tilted")
    assert "The slices are stacked at a slant of 17.2°, as with a tilted gantry." in tilted.warnings
    assert tilted.geometry.volume
    np.testing.assert_allclose(tilted.geometry.matrix[:3, 0], [0, 3 * np.sin(0.3), 3 * np.cos(0.3)])
    assert tilted.geometry.spacing == pytest.approx((3 * np.cos(0.3), 0.5, 0.25))
    assert tilted.geometry.shift == pytest.approx((3 * np.sin(0.3), 0.0))
    (entry,) = listing(scan([tmp_path / "tilted"]))["series"]
    assert entry["spacing"][0] == pytest.approx(3 * np.cos(0.3), abs=1e-6)
    assert entry["shift"] == pytest.approx([3 * np.sin(0.3), 0.0], abs=1e-6)
    assert spacing_text(tilted).endswith("2.87 mm between slices, each shifted by 0.887 mm")
    bent = only(tmp_path / "bent")
    assert any("do not lie on a straight line" in w for w in bent.warnings)
    assert not bent.geometry.volume
    assert bent.geometry.position(5) == (0, 9, 15)
    assert bent.geometry.shift is None


@pytest.mark.parametrize("lean", [-20.0, 5.0, 12.5, 30.0])
@pytest.mark.parametrize("turn", [0.0, 35.0])
def test_the_distance_of_slanted_slices_is_along_their_normal(lean: float, turn: float) -> None:
    """Whatever way the stack leans and lies: distance and shift are the legs of the step."""
    t, a = np.radians(lean), np.radians(turn)
    steps = np.array([[2 * np.cos(t), 0, 0], [0, 0.7, 0], [2 * np.sin(t), 0, 0.5]])
    rotation = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ steps[[2, 1, 0]]
    found = Geometry(matrix, "patient", orientation_known=True, between=True)
    assert found.spacing == pytest.approx((2 * np.cos(t), 0.7, 0.5))
    assert found.shift == pytest.approx((0, 2 * np.sin(t)))


@pytest.mark.parametrize(("beyond", "told"), [(0.0, False), (-1e-9, True)])
def test_a_slant_of_just_the_limit_is_none(
    beyond: float, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        place = [0, 3 * number, 4 * number]
        write(tmp_path / f"{number}.dcm", SOPInstanceUID=f"1.2.{number + 1}", ImagePositionPatient=place)
    lean = float(np.degrees(np.arccos(4 / 5)))
    monkeypatch.setattr("viewer.dicom.geometry.TILTED", lean + beyond)
    assert any("slant" in w for w in only(tmp_path).warnings) == told


def test_the_number_of_a_slice_says_nothing_of_its_place(tmp_path: Path) -> None:
    for number in range(5):  # numbered from the head down, as half of all series are
        write(
            tmp_path / f"{number}.dcm",
            np.full((4, 6), number, np.int16),
            SOPInstanceUID=f"1.2.{number + 1}",
            InstanceNumber=number,
            ImagePositionPatient=[0, 0, -2 * number],
        )
    series = only(tmp_path)
    assert [int(v[0, 0]) for v in series.voxels] == [4, 3, 2, 1, 0]
    assert series.geometry.origin == (0, 0, -8)
    assert series.warnings == ()


def test_a_single_slice_is_told(make: Make) -> None:
    series = only(make("a.dcm"))
    assert "This is a single slice, so there is no volume." in series.warnings
    assert series.geometry.spacing == (None, 0.5, 0.25)


def test_shared_positions_make_no_volume(make: Make, tmp_path: Path) -> None:
    for number, place in enumerate((0, 0, 2, 2, 4)):
        make(f"{number}.dcm", ImagePositionPatient=[0, 0, place], InstanceNumber=number)
    series = only(tmp_path)
    assert not series.geometry.between
    assert not series.geometry.volume
    assert any("Of the 5 slices 4 share a position with another" in w for w in series.warnings)
    assert [series.geometry.position(i) for i in range(5)] == [(0, 0, z) for z in (0, 0, 2, 2, 4)]


def test_without_positions_the_instance_number_orders_and_a_warning_says_so(
    make: Make, tmp_path: Path
) -> None:
    for name, number in (("a", 3), ("b", 1), ("c", 2)):
        make(
            f"{name}.dcm",
            pixels=np.full((4, 6), number, np.int16),
            InstanceNumber=number,
            drop=("ImagePositionPatient", "ImageOrientationPatient"),
        )
    series = only(tmp_path)
    assert [int(v[0, 0]) for v in series.voxels] == [1, 2, 3]
    assert any("does not prove" in w for w in series.warnings)
    assert not series.geometry.orientation_known
    assert series.geometry.spacing == (None, 0.5, 0.25)


def test_orientations_and_sizes_are_kept_apart(make: Make, tmp_path: Path) -> None:
    make("axial.dcm", InstanceNumber=1)
    make("coronal.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1], InstanceNumber=2)
    make("large.dcm", pixels=np.zeros((8, 6), np.int16), InstanceNumber=3)
    make("fine.dcm", PixelSpacing=[0.1, 0.1], InstanceNumber=4)
    assert [s.uid for s in scan([tmp_path]).series] == [f"1.2.3#{n}" for n in (1, 2, 3, 4)]


def test_a_jittering_orientation_stays_one_stack(make: Make, tmp_path: Path) -> None:
    for number in range(6):
        jitter = 0.0005 + (-1) ** number * 2e-7  # on either side of what a rounding would cut
        make(
            f"{number}.dcm",
            ImageOrientationPatient=[1, jitter, 0, -jitter, 1, 0],
            ImagePositionPatient=[0, 0, number],
        )
    assert only(tmp_path).shape[0] == 6


@pytest.mark.parametrize(
    ("tags", "kind", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.3, 0.3]}, "pixel", 0.2),
        ({"PixelSpacing": [0.3, 0.3], "ImagerPixelSpacing": [0.3, 0.3]}, "detector", 0.3),
        (
            {
                "PixelSpacing": [0.3, 0.3],
                "ImagerPixelSpacing": [0.3, 0.3],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            "pixel",
            0.3,
        ),
        ({"ImagerPixelSpacing": [0.3, 0.3], "drop": ("PixelSpacing",)}, "detector", 0.3),
        ({"PixelSpacing": [0, 0]}, "absent", None),
        ({"drop": ("PixelSpacing",)}, "absent", None),
    ],
)
def test_spacing_of_projections(
    make: Make, tags: dict[str, object], kind: str, spacing: float | None
) -> None:
    dropped = (*tags.pop("drop", ()), "ImagePositionPatient", "ImageOrientationPatient")  # type: ignore[misc]
    path = make("dx.dcm", Modality="DX", PatientOrientation=["L", "F"], drop=dropped, **tags)
    space = only(path).geometry
    assert space.spacing_kind == kind
    assert space.spacing == (None if spacing is None else (None, spacing, spacing))
    assert space.letters() == ("R", "L", "H", "F")


def test_letters_stay_where_spacing_is_unknown(make: Make) -> None:
    space = only(make("mr.dcm", Modality="MR", drop=("PixelSpacing",))).geometry
    assert space.spacing is None
    assert space.letters() == ("R", "L", "A", "P")


def test_an_impossible_orientation_is_not_used(make: Make) -> None:
    series = only(make("odd.dcm", ImageOrientationPatient=[1, 0, 0, 1, 0, 0]))
    assert not series.geometry.orientation_known
    assert any("orientation" in w for w in series.warnings)


@pytest.mark.shared
def test_frames_of_enhanced_files(shared: Path) -> None:
    ct = only(shared / "dicom/pydicom-data/eCT_Supplemental.dcm")
    assert ct.geometry.spacing == pytest.approx((10.0, 0.388672, 0.388672))
    assert ct.geometry.letters() == ("L", "R", "A", "P")
    assert ct.geometry.origin == pytest.approx((99.5, -301.5, -149.0))  # the second frame comes first
    fmri = scan([shared / "dicom/dicom2nifti/philips_enhanced"]).series
    assert [s.shape[0] for s in fmri] == [8] * 4
    assert [s.part.value for s in fmri if s.part] == [(1,), (2,), (3,), (4,)]
    assert all(s.geometry.volume for s in fmri)
    assert sum(s.files for s in fmri) == 1
    cine = only(shared / "dicom/pydicom/test_files/examples_ybr_color.dcm")
    assert (cine.frames_in_time, cine.shape, cine.colour) == (30, (30, 240, 320), True)
