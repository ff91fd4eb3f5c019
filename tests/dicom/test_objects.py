# SPDX-License-Identifier: Apache-2.0
"""Kinds of objects that the real data lack, all made synthetic: what opens, as what, and where it lies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
from dicom_files import Make, frame, sequence, write, write_enhanced

from viewer.dicom import presented, scan
from viewer.types import Series

UNPLACED = ("ImagePositionPatient", "ImageOrientationPatient")
NO_RESCALE = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
STORAGE = "1.2.840.10008.5.1.4.1.1."
RUN = np.repeat(np.arange(5, dtype=np.uint8), 24).reshape(5, 4, 6)


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def said(series: Series, words: str) -> bool:
    return any(words in warning for warning in series.warnings)


# --- projections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientation", "laterality", "view", "letters"),
    [
        (["P", "L"], "R", "CC", ("A", "P", "R", "L")),
        (["A", "R"], "L", "CC", ("P", "A", "L", "R")),
        (["P", "FL"], "R", "MLO", ("A", "P", "HR", "FL")),
        (["A", "FR"], "L", "MLO", ("P", "A", "HL", "FR")),
    ],
)
def test_a_mammogram_has_its_letters_side_and_view(
    make: Make, orientation: list[str], laterality: str, view: str, letters: tuple[str, ...]
) -> None:
    path = make(
        "m.dcm", pixels=np.arange(24, dtype=np.uint16).reshape(4, 6), drop=(*UNPLACED, "PixelSpacing"),
        SOPClassUID=STORAGE + "1.2", Modality="MG", PatientOrientation=orientation, BitsStored=14,
        HighBit=13, ImageLaterality=laterality, ViewPosition=view, BodyPartExamined="BREAST",
        ImagerPixelSpacing=[0.1, 0.1], EstimatedRadiographicMagnificationFactor=1.05,
        PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    series = only(path)
    assert series.geometry.letters() == letters
    assert (series.laterality, series.view, series.body_part) == (laterality, view, "BREAST")
    assert series.geometry.spacing_kind == "magnified"
    np.testing.assert_allclose(series.geometry.spacing[1:], [0.1 / 1.05] * 2)
    assert not said(series, "side of the body")
    assert series.display.inverted


@pytest.mark.parametrize(
    ("code", "meaning", "view"),
    [
        ("399162004", "cranio-caudal", "CC"),
        ("R-10242", "cranio-caudal", "CC"),
        ("399368009", "medio-lateral oblique", "MLO"),
        ("R-10226", "medio-lateral oblique", "MLO"),
        ("1234", "of its own", "of its own"),
    ],
)
def test_a_view_that_is_coded_is_named(make: Make, code: str, meaning: str, view: str) -> None:
    coded = sequence(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
    tags = {"Modality": "MG", "SOPClassUID": STORAGE + "1.2", "PatientOrientation": ["A", "R"]}
    series = only(make("m.dcm", drop=UNPLACED, ViewCodeSequence=coded, **tags))
    assert series.view == view
    assert said(series, "The file does not say which side of the body this is.")


def test_a_tomosynthesis_is_a_stack(tmp_path: Path) -> None:
    frames = [frame((0, 0, -float(k))) for k in range(4)]
    series = only(write_enhanced(tmp_path / "t.dcm", frames, SOPClassUID=STORAGE + "13.1.3", Modality="MG"))
    assert series.shape[0] == 4
    assert series.geometry.volume
    assert [int(v[0, 0]) for v in series.voxels] == [4, 3, 2, 1]


@pytest.mark.parametrize(("kind", "modality"), [("12.1", "XA"), ("12.2", "RF")])
@pytest.mark.parametrize("pointer", ["FrameTime", "FrameTimeVector", None])
def test_an_angiogram_is_a_run(make: Make, kind: str, modality: str, pointer: str | None) -> None:
    """Frames follow each other in time, and lengths are those at the detector."""
    times: dict[str, Any] = {
        "FrameTime": {"FrameTime": 66.7, "FrameIncrementPointer": 0x00181063},
        "FrameTimeVector": {"FrameTimeVector": [0, 40, 40, 80, 80], "FrameIncrementPointer": 0x00181065},
        None: {},
    }
    path = make(
        "x.dcm", pixels=RUN, drop=(*UNPLACED, *NO_RESCALE, "PixelSpacing"), SOPClassUID=STORAGE + kind,
        Modality=modality, NumberOfFrames=5, ImagerPixelSpacing=[0.3, 0.3], PositionerPrimaryAngle=30,
        PositionerPrimaryAngleIncrement=[0, 1, 2, 3, 4], PatientOrientation=["L", "F"],
        **times[pointer],
    )  # fmt: skip
    series = only(path)
    assert series.shape[0] == series.frames_in_time == 5
    assert not series.geometry.volume
    assert series.geometry.spacing_kind == "detector"
    assert series.geometry.letters() == ("R", "L", "H", "F")
    assert [int(v[0, 0]) for v in series.voxels] == list(range(5))


def test_frames_of_an_enhanced_angiogram_turn_around_the_patient(tmp_path: Path) -> None:
    """Every frame has angles and a window of its own; the order stays that of the run."""
    frames = []
    for k in range(6):
        one = frame(None, window=(50 + k, 100))
        one.PositionerPositionSequence = sequence(
            PositionerPrimaryAngle=-30.0 + 10 * k, PositionerSecondaryAngle=float(k)
        )
        one.XAXRFFrameCharacteristicsSequence = sequence(FrameType=["ORIGINAL", "PRIMARY"])
        frames.append(one)
    path = write_enhanced(
        tmp_path / "x.dcm", frames, SOPClassUID=STORAGE + "12.1.1", Modality="XA",
        ImagerPixelSpacing=[0.2, 0.2], PatientOrientation=["L", "F"],
        SharedFunctionalGroupsSequence=sequence(), PositionerType="CARM", CineRate=15,
    )  # fmt: skip
    series = only(path)
    assert series.shape[0] == series.frames_in_time == 6
    assert not series.geometry.volume
    assert series.geometry.spacing_kind == "detector"
    assert [int(v[0, 0]) for v in series.voxels] == [1, 2, 3, 4, 5, 6]
    assert [series.display.windows_of(k)[0].center for k in range(6)] == [50, 51, 52, 53, 54, 55]
    assert said(series, "The window differs between the slices: centre 50 to 55, width 100")


# --- ultrasound, secondary captures ---------------------------------------------------------------


@pytest.mark.parametrize("planar", [0, 1])
def test_a_colour_run_of_ultrasound_has_its_region(make: Make, planar: int) -> None:
    chance = np.random.default_rng(0)
    colours = chance.integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)
    stored = np.moveaxis(colours, -1, 1) if planar else colours
    region = sequence(
        RegionSpatialFormat=1, RegionDataType=1, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.02, PhysicalDeltaY=0.03, RegionLocationMinX0=0, RegionLocationMinY0=0,
        RegionLocationMaxX1=5, RegionLocationMaxY1=3,
    )  # fmt: skip
    path = make(
        "u.dcm", pixels=stored, drop=(*UNPLACED, *NO_RESCALE, "PixelSpacing"), SOPClassUID=STORAGE + "3.1",
        Modality="US", Rows=4, Columns=6, NumberOfFrames=3, SamplesPerPixel=3, PlanarConfiguration=planar,
        PhotometricInterpretation="RGB", SequenceOfUltrasoundRegions=region, FrameTime=33,
        FrameIncrementPointer=0x00181063,
    )  # fmt: skip
    series = only(path)
    assert series.frames_in_time == 3
    assert series.colour
    assert series.geometry.spacing_kind == "region"
    np.testing.assert_allclose(series.geometry.spacing[1:], [0.3, 0.2])
    for k in range(3):
        np.testing.assert_array_equal(series.voxels[k], colours[k])
        np.testing.assert_allclose(presented(series, k), colours[k] / 255, atol=1e-6)


def test_pages_of_a_secondary_capture_are_no_volume(make: Make) -> None:
    path = make(
        "s.dcm", pixels=RUN, drop=(*UNPLACED, *NO_RESCALE), SOPClassUID=STORAGE + "7.2", Modality="OT",
        NumberOfFrames=5, PageNumberVector=[1, 2, 3, 4, 5], FrameIncrementPointer=0x00182001,
    )  # fmt: skip
    series = only(path)
    assert (series.shape[0], series.frames_in_time, series.geometry.volume) == (5, 1, False)
    assert said(series, "not proven to be one stack: shown as stored")


@pytest.mark.parametrize(
    ("stated", "aspect"),
    [([2, 1], 2.0), ([10, 12], 10 / 12), ([0, 1], 1.0), ([1, -1], 1.0), (None, 1.0), ([1, 500], 1.0)],
)
@pytest.mark.parametrize("modality", ["US", "XA"])
def test_pixels_that_are_not_square_have_their_ratio_without_a_length(
    make: Make, stated: list[int] | None, aspect: float, modality: str
) -> None:
    tags = {} if stated is None else {"PixelAspectRatio": stated}
    space = only(make("u.dcm", drop=(*UNPLACED, "PixelSpacing"), Modality=modality, **tags)).geometry
    assert (space.spacing_kind, space.spacing) == ("absent", None)
    assert space.pixel_aspect == pytest.approx(aspect)


def test_a_spacing_comes_before_the_ratio(make: Make) -> None:
    space = only(make("u.dcm", PixelAspectRatio=[3, 1])).geometry
    assert space.pixel_aspect == 2.0  # 0.5 mm by 0.25 mm


# --- nuclear medicine -----------------------------------------------------------------------------

ORIGIN, ROW, DOWN = [-30.5, 12.25, 100.0], [0.6, 0.8, 0.0], [-0.48, 0.36, 0.8]


def nuclear(path: Path, **tags: Any) -> Path:
    """A reconstruction of five slices; slice k, from 0, holds the value k."""
    facts: dict[str, Any] = {
        "SOPClassUID": STORAGE + "20", "Modality": "NM", "NumberOfFrames": 5,
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], "FrameIncrementPointer": 0x00540080,
        "SliceVector": [1, 2, 3, 4, 5], "SpacingBetweenSlices": 3.5, "SliceThickness": 3.5,
        "DetectorInformationSequence": sequence(
            ImageOrientationPatient=ROW + DOWN, ImagePositionPatient=ORIGIN
        ),
    }  # fmt: skip
    kept = {k: v for k, v in (facts | tags).items() if v is not None}
    return write(path, RUN.astype(np.uint16), drop=(*UNPLACED, *NO_RESCALE), **kept)


def test_a_nuclear_reconstruction_lies_where_simpleitk_has_it(tmp_path: Path) -> None:
    path = nuclear(tmp_path / "n.dcm")
    series, image = only(path), sitk.ReadImage(str(path))
    space = series.geometry
    assert space.volume
    np.testing.assert_allclose(space.origin, image.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(space.spacing, image.GetSpacing()[::-1], atol=1e-4)
    theirs = np.reshape(image.GetDirection(), (3, 3))[:, ::-1]
    np.testing.assert_allclose(space.direction, theirs, atol=1e-4)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), sitk.GetArrayFromImage(image))


def test_a_negative_distance_stacks_in_front_of_the_first_slice(tmp_path: Path) -> None:
    """PS3.3 C.8.4.15: the sign says on which side; the value 0 lies at the origin all the same."""
    series = only(nuclear(tmp_path / "n.dcm", SpacingBetweenSlices=-3.5))
    assert [int(v[0, 0]) for v in series.voxels] == [4, 3, 2, 1, 0]
    np.testing.assert_allclose(series.geometry.position(4), ORIGIN, atol=1e-9)
    across = np.cross(ROW, DOWN)
    np.testing.assert_allclose(series.geometry.position(0), ORIGIN - 4 * 3.5 * across, atol=1e-9)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"]},
        {"SliceVector": [1, 2, 3]},
        {"FrameIncrementPointer": [0x00540060, 0x00540080]},
        {"SpacingBetweenSlices": None},
        {"DetectorInformationSequence": []},
        {"DetectorInformationSequence": sequence(ImagePositionPatient=ORIGIN)},
    ],
)
def test_other_nuclear_frames_are_no_volume(tmp_path: Path, tags: dict[str, Any]) -> None:
    series = only(nuclear(tmp_path / "n.dcm", **tags))
    assert series.shape[0] == 5
    assert not series.geometry.volume
    assert [int(v[0, 0]) for v in series.voxels] == list(range(5))
    assert said(series, "not proven to be one stack")


# --- enhanced files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "modality"), [("2.1", "CT"), ("4.1", "MR"), ("130", "PT"), ("4.3", "MR"), ("2.2", "CT")]
)
def test_frames_are_placed_by_position_whatever_their_order_and_index(
    tmp_path: Path, kind: str, modality: str
) -> None:
    """Frames in an order of their own, dimension indices in another, windows and rescale for each."""
    order = [3, 0, 4, 1, 2]
    frames = [
        frame((1, 2, 5.0 * k), index=(1, 5 - k), window=(100 + k, 50 + k), rescale=(1 + k, -k)) for k in order
    ]
    series = only(write_enhanced(tmp_path / "e.dcm", frames, SOPClassUID=STORAGE + kind, Modality=modality))
    assert series.geometry.volume
    assert series.geometry.origin == (1, 2, 0)
    assert [int(v[0, 0]) - 1 for v in series.voxels] == [order.index(k) for k in range(5)]
    assert [n - 1 for n in series.frame_numbers] == [order.index(k) for k in range(5)]
    assert series.display.rescale == tuple((1 + k, -k) for k in range(5))
    assert [series.display.windows_of(k)[0].center for k in range(5)] == [100 + k for k in range(5)]


def test_two_detectors_or_sizes_of_one_series_stay_apart(tmp_path: Path) -> None:
    for k in range(3):
        place = [0, 0, 2 * k]
        write(tmp_path / f"a{k}.dcm", ImagePositionPatient=place)
        write(tmp_path / f"b{k}.dcm", np.zeros((5, 6), np.int16), ImagePositionPatient=place)
        write(tmp_path / f"c{k}.dcm", PixelSpacing=[0.7, 0.7], ImagePositionPatient=place)
        write(tmp_path / f"d{k}.dcm", ImagePositionPatient=place, FrameOfReferenceUID="1.2.99")
    found = scan([tmp_path]).series
    assert [s.shape[0] for s in found] == [3] * 4
    assert all(s.geometry.volume for s in found)
