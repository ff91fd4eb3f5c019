# SPDX-License-Identifier: Apache-2.0
"""Runs and what makes them: views that turn, series that were cut up, kinds of picture at one place."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import frame, sequence, write, write_enhanced

from viewer.dicom import scan
from viewer.dicom.listing import listing
from viewer.types import Series
from viewer.ui.views.captions import several_points

MR: dict[str, Any] = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}
_numbers = itertools.count(1)


def image(folder: Path, instance: int, **tags: Any) -> Path:
    number = next(_numbers)
    pixels = np.full((4, 6), number, np.int16)
    named: dict[str, Any] = {"SOPInstanceUID": f"1.2.9.{number}", "InstanceNumber": instance}
    return write(folder / f"{number:04}.dcm", pixels, **(named | tags))


def stack(folder: Path, count: int = 4, **tags: Any) -> None:
    for k in range(count):
        image(folder, k + 1, **(MR | {"ImagePositionPatient": [0, 0, 2 * k]} | tags))


def about_z(degrees: float) -> list[float]:
    """A coronal view turned about the long axis of the patient."""
    t = np.radians(degrees)
    return [round(float(np.cos(t)), 6), round(float(np.sin(t)), 6), 0, 0, 0, -1]


def about_x(degrees: float) -> list[float]:
    t = np.radians(degrees)
    return [1, 0, 0, 0, round(float(np.sin(t)), 6), round(float(-np.cos(t)), 6)]


def scanned(folder: Path) -> tuple[Series, ...]:
    return scan([folder]).series


# --- views that turn ------------------------------------------------------------------------------


def turning(folder: Path, views: list[list[float]], **tags: Any) -> None:
    for k, view in enumerate(views):
        place = (-16 * np.asarray(view[:3])).round(4).tolist()
        image(folder, k + 1, **{"ImageOrientationPatient": view, "ImagePositionPatient": place, **tags})


@pytest.mark.parametrize(
    "views",
    [
        [about_z(10 * k) for k in range(36)],
        [about_z(10 * k) for k in range(37)],
        [about_z(15 * k) for k in range(12)],
        [about_x(20 * k) for k in range(9)],
        [about_z(a) for a in (0, 90, 45, 135, 22.5, 112.5)],
        [about_z(10 * k) for k in range(4)] + [about_x(10 * k) for k in range(4)],
    ],
    ids=["nearly a full turn", "a full turn", "radial", "tumbling", "interleaved", "two turns"],
)
def test_views_that_turn_are_one_run(tmp_path: Path, views: list[list[float]]) -> None:
    turning(tmp_path, views)
    (run,) = scanned(tmp_path)
    assert run.shape[0] == len(views)
    assert (run.geometry.volume, run.part, run.frames_in_time) == (False, None, 1)
    assert any("each turned from the one before" in text for text in run.warnings)
    assert list(run.sop_uids) == sorted(run.sop_uids, key=lambda uid: int(uid.rsplit(".")[-1]))


def test_each_view_has_letters_of_its_own(tmp_path: Path) -> None:
    turning(tmp_path, [about_z(30 * k) for k in range(12)])
    (run,) = scanned(tmp_path)
    assert run.geometry.letters() is None
    assert run.geometry.letters(0) == ("R", "L", "H", "F")
    assert run.geometry.letters(3) == ("A", "P", "H", "F")
    assert run.geometry.letters(6) == ("L", "R", "H", "F")
    assert run.geometry.spacing == (None, 0.5, 0.25)
    assert not any("does not say how the image lies" in text for text in run.warnings)


def test_views_without_a_position_are_a_run_too(tmp_path: Path) -> None:
    for k in range(8):
        at = tmp_path / f"{k}.dcm"
        write(at, drop=("ImagePositionPatient",), ImageOrientationPatient=about_z(20 * k), InstanceNumber=k)
    (run,) = scanned(tmp_path)
    assert run.shape[0] == 8


PLANES = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])


@pytest.mark.parametrize("each", [1, 3, 5])
def test_a_pilot_of_three_planes_stays_three_series(tmp_path: Path, each: int) -> None:
    for plane in PLANES:
        across = np.cross(plane[:3], plane[3:])
        for k in range(each):
            place = (5 * k * across).tolist()
            image(tmp_path, k, ImageOrientationPatient=plane, ImagePositionPatient=place, **MR)
    assert [s.shape[0] for s in scanned(tmp_path)] == [each] * 3


def test_two_stacks_of_two_orientations_and_a_drift_stay_as_they_are(tmp_path: Path) -> None:
    stack(tmp_path / "two", 5)
    for k in range(5):
        image(
            tmp_path / "two", k, ImageOrientationPatient=about_z(0), ImagePositionPatient=[0, 3 * k, 0], **MR
        )
    assert [s.shape[0] for s in scanned(tmp_path / "two")] == [5, 5]
    turning(tmp_path / "drift", [about_z(0.3 * k) for k in range(6)])
    assert len(scanned(tmp_path / "drift")) == 6


def test_frames_of_one_file_may_turn(tmp_path: Path) -> None:
    write_enhanced(
        tmp_path / "a.dcm", [frame((0, 0, 0), orientation=tuple(about_z(15 * k))) for k in range(12)]
    )
    (run,) = scanned(tmp_path)
    assert (run.shape[0], run.files) == (12, 1)


# --- cut up ---------------------------------------------------------------------------------------


def cut_up(folder: Path, count: int = 5, first: int = 0, **tags: Any) -> None:
    for k in range(count):
        uid, place = f"1.2.77.{first + k}", [0, 0, 3.0 * k]
        one = {"SeriesInstanceUID": uid, "SeriesNumber": 4, "ImagePositionPatient": place}
        image(folder, first + k + 1, **(MR | one | {"SeriesDescription": "T1"} | tags))


def test_a_series_for_each_slice_is_joined_and_told(tmp_path: Path) -> None:
    cut_up(tmp_path)
    (series,) = scanned(tmp_path)
    assert (series.shape[0], series.files, series.geometry.volume) == (5, 5, True)
    assert series.uid == "1.2.77.0"
    assert any("The 5 files name a series each" in text for text in series.warnings)


def test_views_cut_up_are_joined(tmp_path: Path) -> None:
    for k in range(6):
        tags = {
            "SeriesInstanceUID": f"1.2.77.{k}",
            "SeriesNumber": 9,
            "ImageOrientationPatient": about_z(20 * k),
        }
        image(tmp_path, k + 1, **tags)
    (run,) = scanned(tmp_path)
    assert run.shape[0] == 6


@pytest.mark.parametrize(
    "differ",
    [
        lambda k: {"SeriesNumber": k},
        lambda k: {"StudyInstanceUID": f"1.5.{k}"},
        lambda k: {"SeriesDescription": f"T{k}"},
        lambda k: {"ProtocolName": f"P{k}"},
        lambda k: {"FrameOfReferenceUID": f"1.6.{k}"},
        lambda k: {"InstanceNumber": 1},
        lambda k: {"PixelSpacing": [0.5 + 0.01 * k, 0.25]},
        lambda k: {"ImagePositionPatient": [0, 0, float(k * k)]},
        lambda k: {"ImagePositionPatient": [0, 0, 0]},
        lambda k: {"ContrastBolusAgent": f"A{k}"},
    ],
    ids=[
        "number", "study", "description", "protocol", "reference", "instance", "spacing", "gaps", "place",
        "agent",
    ],
)  # fmt: skip
def test_what_does_not_agree_is_not_joined(tmp_path: Path, differ: Callable[[int], dict[str, Any]]) -> None:
    for k in range(4):
        cut_up(tmp_path, 1, k, **({"ImagePositionPatient": [0, 0, 3.0 * k]} | differ(k)))
    assert len(scanned(tmp_path)) == 4


def test_series_of_several_images_are_not_joined(tmp_path: Path) -> None:
    for k in range(8):
        cut_up(tmp_path, 1, k, SeriesInstanceUID=f"1.2.77.{k // 2}", ImagePositionPatient=[0, 0, 3.0 * k])
    assert len(scanned(tmp_path)) == 4


# --- complex parts, contrast, quantities ----------------------------------------------------------

GE = {"Manufacturer": "GE MEDICAL SYSTEMS", "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]}


def by_maker(part: int, maker: str) -> dict[str, Any]:
    """How a part is told: 0 magnitude, 1 phase, 2 real, 3 imaginary."""
    letter = "MPRI"[part]
    every: dict[str, dict[str, Any]] = {
        "GE": GE | {"private": ((0x43, "GEMS_PARM_01", 0x2F, "SS", part),)},
        "Philips": {
            "Manufacturer": "Philips Medical Systems",
            "private": ((0x2005, "Philips MR Imaging DD 001", 0x11, "CS", letter),),
        },
        "Siemens": {
            "Manufacturer": "SIEMENS",
            "private": ((0x51, "SIEMENS MR HEADER", 0x16, "LO", f"p2 {letter}/ND/NORM"),),
        },
        "standard": {"ComplexImageComponent": ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")[part]},
        "third value": {"ImageType": ["ORIGINAL", "PRIMARY", letter, "ND"]},
        "fourth value": {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER", letter, "FFE"]},
    }
    return every[maker]


MAKERS = ("GE", "Philips", "Siemens", "standard", "third value", "fourth value")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("parts", [(0, 1), (0, 2, 3), (0, 1, 2, 3)])
def test_complex_parts_are_told_apart_and_named(tmp_path: Path, maker: str, parts: tuple[int, ...]) -> None:
    for k, part in enumerate(parts):  # times differ too, and are not what tells the parts apart
        stack(tmp_path, 3, AcquisitionTime=f"10000{k}", AcquisitionNumber=k, **by_maker(part, maker))
    found = scanned(tmp_path)
    words = ("magnitude", "phase", "real part", "imaginary part")
    assert [s.description for s in found] == [words[p] for p in parts]
    assert all(s.geometry.volume and s.shape[0] == 3 for s in found)


@pytest.mark.parametrize("maker", MAKERS)
def test_parts_of_a_single_place_are_told_apart(tmp_path: Path, maker: str) -> None:
    for part, time in itertools.product((0, 1), range(3)):
        tags = MR | {"TriggerTime": 40.0 * time} | by_maker(part, maker)
        image(tmp_path, 3 * part + time + 1, **tags)
    found = scanned(tmp_path)
    assert [(s.description, s.shape[0]) for s in found] == [("magnitude", 3), ("phase", 3)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"ContrastBolusAgent": "Gadovist"}),
        ({"ContrastBolusAgent": "NONE"}, {"ContrastBolusAgent": "Gadovist"}),
        ({}, {"ContrastBolusAgentSequence": sequence(CodeValue="1", CodeMeaning="Gadovist")}),
    ],
)
def test_before_and_after_contrast_are_told_apart(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    stack(tmp_path, AcquisitionNumber=1, **before)
    stack(tmp_path, AcquisitionNumber=2, **after)
    found = scanned(tmp_path)
    assert [s.description for s in found] == ["no contrast agent stated", "contrast agent Gadovist"]
    assert several_points(found[0].part) == "2 states of contrast agent"


def test_directions_are_no_phases(tmp_path: Path) -> None:
    for k, way in enumerate(([1, 0, 0], [0, 1, 0], [0, 0, 1])):
        stack(tmp_path, TriggerTime=900.0 * k, DiffusionBValue=1000.0, DiffusionGradientOrientation=way)
    found = scanned(tmp_path)
    assert [s.part.by for s in found] == ["gradient direction"] * 3
    assert several_points(found[0].part) == "3 directions"


def test_a_b_value_that_only_the_sequence_names_is_no_phase(tmp_path: Path) -> None:
    for k, b in enumerate((0, 500, 1000)):
        stack(tmp_path, TriggerTime=900.0 * k, SequenceName=f"*ep_b{b}#{k}")
    found = scanned(tmp_path)
    assert [s.description for s in found] == ["b 0", "b 500", "b 1000"]
    assert [s.part.value for s in found] == [(0.0,), (500.0,), (1000.0,)]


def mapping(words: str, unit: str) -> dict[str, Any]:
    units = sequence(CodeValue=unit, CodingSchemeDesignator="UCUM", CodeMeaning=unit)
    return {
        "RealWorldValueMappingSequence": sequence(LUTExplanation=words, MeasurementUnitsCodeSequence=units)
    }


MAPS = (("Blood flow", "ml/100ml/min"), ("Blood volume", "ml/100ml"), ("Transit time", "s"))


def test_maps_of_single_images_are_named_by_quantity_and_unit(tmp_path: Path) -> None:
    for k, (words, unit) in enumerate(MAPS):
        stack(tmp_path, AcquisitionNumber=k, **mapping(words, unit))
    found = scanned(tmp_path)
    assert [s.description for s in found] == [f"{words} · {unit}" for words, unit in MAPS]
    assert {s.part.by for s in found} == {"quantity"}


def test_maps_of_one_file_are_named_by_quantity_and_unit(tmp_path: Path) -> None:
    frames = []
    for number, (words, unit) in enumerate(MAPS):
        for k in range(3):
            one = frame((0, 0, 2.0 * k), index=(number + 1, k + 1), time=number + 1)
            one.RealWorldValueMappingSequence = mapping(words, unit)["RealWorldValueMappingSequence"]
            frames.append(one)
    write_enhanced(tmp_path / "a.dcm", frames)
    entries = listing(scan([tmp_path]))["series"]
    assert [e["description"] for e in entries] == [f"{words} · {unit}" for words, unit in MAPS]
    assert [e["part"]["name"] for e in entries] == [e["description"] for e in entries]


def test_headers_are_read_again_only_where_places_repeat_unexplained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from viewer.dicom import further

    read: list[Path] = []
    real = further.header_of  # type: ignore[attr-defined]
    monkeypatch.setattr(further, "header_of", lambda path, limits: (read.append(path), real(path, limits))[1])
    stack(tmp_path / "plain", 8)
    for time in (1, 2, 3):
        stack(tmp_path / "times", 8, TemporalPositionIdentifier=time, **GE)
    for k in range(40):
        stack(tmp_path / "many", 3, AcquisitionNumber=k, **GE)
    for folder in ("plain", "times"):
        scanned(tmp_path / folder)
    assert not read
    assert len(scanned(tmp_path / "many")) == 40
    assert 2 <= len(read) <= 40
