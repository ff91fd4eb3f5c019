# SPDX-License-Identifier: Apache-2.0
"""SUV of made-up PET files whose value follows from a formula, and the fact that is named as missing."""

import math
from pathlib import Path
from typing import Any

import highdicom.legacy
import numpy as np
import pydicom
import pytest
from dicom_files import Make, frame, sequence, write, write_enhanced
from pydicom.dataset import Dataset

from viewer.dicom import displayed, modality_values, scan
from viewer.types import Series

PET = "1.2.840.10008.5.1.4.1.1.128"
HALF_LIFE = 6586.2  # of F-18, in seconds
DRUG: dict[str, Any] = {
    "RadionuclideTotalDose": 370e6, "RadionuclideHalfLife": HALF_LIFE,
    "RadiopharmaceuticalStartTime": "100000",
}  # fmt: skip
FACTS: dict[str, Any] = {
    "SOPClassUID": PET, "Modality": "PT", "Units": "BQML", "CorrectedImage": ["DECY", "ATTN", "SCAT"],
    "DecayCorrection": "START", "PatientWeight": 74, "RescaleIntercept": 0,
    "SeriesDate": "20200101", "SeriesTime": "110000",
    "AcquisitionDate": "20200101", "AcquisitionTime": "111000",
}  # fmt: skip
FRESH = 74_000 / 370e6
"""Of a dose that has not decayed."""


def pet(path: Path, drug: dict[str, Any] | None = None, drop: tuple[str, ...] = (), **tags: Any) -> Series:
    """A slice whose stored values are 0…23."""
    kept = {k: v for k, v in (DRUG | (drug or {})).items() if v is not None}
    information = {"RadiopharmaceuticalInformationSequence": sequence(**kept)}
    write(path / "a.dcm", drop=("WindowCenter", *drop), **{**FACTS, **information, **tags})
    (series,) = scan([path]).series
    return series


def factor(series: Series) -> float:
    assert series.display.unit == "SUVbw"
    assert not any("SUV" in w for w in series.warnings)
    return float(modality_values(series, 0)[3, 5]) / 23


def after(seconds: float) -> float:
    return FRESH * math.pow(2, seconds / HALF_LIFE)


@pytest.mark.parametrize(
    ("tags", "drug", "expected"),
    [
        ({}, {}, after(3600)),
        ({"RescaleSlope": 2.5}, {}, 2.5 * after(3600)),
        ({"DecayCorrection": "ADMIN"}, {}, FRESH),
        ({"DecayCorrection": "ADMIN"}, {"RadiopharmaceuticalStartTime": None}, FRESH),
        ({"SeriesTime": "150000"}, {}, after(4200)),  # derived later: the acquisition counts
        ({"SeriesTime": "111000.5"}, {}, after(4200)),
        ({}, {"RadiopharmaceuticalStartDateTime": "20200101103000"}, after(1800)),
        ({}, {"RadiopharmaceuticalStartDateTime": "20200101103000.00"}, after(1800)),
        (
            {"TimezoneOffsetFromUTC": "+0100"},
            {"RadiopharmaceuticalStartDateTime": "20200101093000+0000"}, after(1800),
        ),
        (  # the acquisition at 10:10 in a zone an hour earlier is the one at 11:10
            {
                "TimezoneOffsetFromUTC": "+0100", "AcquisitionDateTime": "20200101101000+0000",
                "SeriesTime": "110000",
            },
            {}, after(3600),
        ),
        (
            {"SeriesTime": "003000", "AcquisitionTime": "003000"},
            {"RadiopharmaceuticalStartTime": "233000"}, after(3600),
        ),
        ({"Units": "GML", "CorrectedImage": "NORM"}, {}, 1.0),
    ],
)  # fmt: skip
def test_suv_follows_the_formula(
    tmp_path: Path, tags: dict[str, Any], drug: dict[str, Any], expected: float
) -> None:
    assert factor(pet(tmp_path, drug, **tags)) == pytest.approx(expected, rel=1e-6)


def test_a_file_without_a_day_has_its_times_all_the_same(tmp_path: Path) -> None:
    series = pet(tmp_path, drop=("SeriesDate", "AcquisitionDate"))
    assert factor(series) == pytest.approx(after(3600), rel=1e-6)


def test_known_tissue(tmp_path: Path) -> None:
    """The whole dose spread evenly over the weight is SUV 1, by definition."""
    activity = 370e6 * math.pow(2, -3600 / HALF_LIFE) / 74_000
    series = pet(tmp_path, RescaleSlope=activity / 23)
    assert float(modality_values(series, 0)[3, 5]) == pytest.approx(1.0, rel=1e-6)
    assert int(series.voxels[0][3, 5]) == 23


def test_the_scans_start_of_a_derived_series_comes_from_the_frames_times(tmp_path: Path) -> None:
    decay, duration = math.log(2) / HALF_LIFE, 180.0
    mean = math.log(decay * duration / (1 - math.exp(-decay * duration))) / decay
    times: dict[str, Any] = {"FrameReferenceTime": (600 + mean) * 1000, "ActualFrameDuration": 180_000}
    series = pet(tmp_path, SeriesTime="150000", **times)  # acquired ten minutes after the scan began
    assert factor(series) == pytest.approx(after(3600), rel=1e-6)


def test_makers_elements(tmp_path: Path) -> None:
    count = (0x7053, "Philips PET Private Group", 0x00, "DS", "0.000125")
    series = pet(tmp_path / "p", Units="CNTS", Manufacturer="PHILIPS", private=(count,))
    assert factor(series) == pytest.approx(0.000125)
    start = (0x0009, "GEMS_PETD_01", 0x0D, "DT", "20200101105000.00")
    series = pet(tmp_path / "g", Manufacturer="GE MEDICAL", SeriesTime="150000", private=(start,))
    assert factor(series) == pytest.approx(after(3000), rel=1e-6)


@pytest.mark.parametrize(
    ("tags", "drug", "said", "unit"),
    [
        ({"drop": ("PatientWeight",)}, {}, "the file names no patient weight", "BQML"),
        ({"PatientWeight": 0}, {}, "the file names no patient weight", "BQML"),
        ({"drop": ("Units",)}, {}, "the file names no unit of its values", ""),
        ({"Units": "PROPCNTS"}, {}, "the file's unit is not one of activity", "PROPCNTS"),
        ({"CorrectedImage": ["DECY"]}, {}, "the file names no correction for attenuation", "BQML"),
        ({"CorrectedImage": ["ATTN"]}, {}, "the file names no correction for decay", "BQML"),
        ({"DecayCorrection": "NONE"}, {}, "the file's values are not corrected for decay", "BQML"),
        ({"drop": ("DecayCorrection",)}, {}, "the file names no moment to which decay is corrected", "BQML"),
        ({"RadiopharmaceuticalInformationSequence": []}, {}, "the file names no radiopharmaceutical", "BQML"),
        ({}, {"RadionuclideTotalDose": None}, "the file names no injected dose", "BQML"),
        ({}, {"RadionuclideHalfLife": -1}, "the file names no half-life of the radionuclide", "BQML"),
        ({}, {"RadiopharmaceuticalStartTime": None}, "the file names no time of injection", "BQML"),
        ({"drop": ("SeriesTime", "AcquisitionTime")}, {}, "the file names no time of the scan", "BQML"),
        ({}, {"RadiopharmaceuticalStartTime": "113000"}, "the injection is later than the scan", "BQML"),
        (
            {}, {"RadiopharmaceuticalStartDateTime": "20191230100000"},
            "between injection and scan lie more than 10 half-lives", "BQML",
        ),
        ({}, {"RadionuclideTotalDose": 370}, "the injected dose is too small to be in becquerel", "BQML"),
        (
            {}, {"RadionuclideHalfLife": 282_276},  # Zr-89, imaged days later
            "the file names no day of the injection, and its radionuclide lasts for days", "BQML",
        ),
        ({"Units": "CNTS"}, {}, "the file counts, and names no factor from counts to SUV", "CNTS"),
    ],
)  # fmt: skip
def test_without_a_fact_the_values_stay_as_they_are(
    tmp_path: Path, tags: dict[str, Any], drug: dict[str, Any], said: str, unit: str
) -> None:
    series = pet(tmp_path, drug, **tags)
    assert [w for w in series.warnings if "SUV" in w] == [f"SUV is not given: {said}."]
    assert series.display.unit == unit
    assert modality_values(series, 0)[3, 5] == 23


# --- enhanced files -------------------------------------------------------------------------------

ENHANCED: dict[str, Any] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.130", "Modality": "PT", "PatientWeight": 74,
    "AttenuationCorrected": "YES", "DecayCorrected": "YES", "DecayCorrectionDateTime": "20200101110000",
}  # fmt: skip
ENHANCED_DRUG = {
    "RadionuclideTotalDose": 370e6, "RadionuclideHalfLife": HALF_LIFE,
    "RadiopharmaceuticalStartDateTime": "20200101100000",
}  # fmt: skip


def mapping(unit: str, slope: float = 1.0, intercept: float = 0.0) -> Dataset:
    (item,) = sequence(
        MeasurementUnitsCodeSequence=sequence(CodeValue=unit, CodingSchemeDesignator="UCUM"),
        RealWorldValueSlope=slope, RealWorldValueIntercept=intercept,
    )  # fmt: skip
    return item


def enhanced(
    path: Path, mappings: list[list[Dataset]], drug: dict[str, Any] | None = None, **tags: Any
) -> Series:
    """A made-up Enhanced PET, a frame for each of the mappings; frame k, from 1, holds the value k."""
    frames = [frame((0, 0, 2.0 * k), rescale=(1, 0)) for k in range(len(mappings))]
    for one, items in zip(frames, mappings, strict=True):
        one.RealWorldValueMappingSequence = items
    kept = {k: v for k, v in (ENHANCED_DRUG | (drug or {})).items() if v is not None}
    facts = {k: v for k, v in (ENHANCED | tags).items() if v is not None}
    write_enhanced(path / "e.dcm", frames, RadiopharmaceuticalInformationSequence=sequence(**kept), **facts)
    (series,) = scan([path]).series
    return series


@pytest.mark.parametrize(
    ("tags", "drug", "expected"),
    [
        ({}, {}, after(3600)),
        ({"DecayCorrectionDateTime": "20200101100000"}, {}, FRESH),
        (
            {"DecayCorrectionDateTime": "20200101120000+0100", "TimezoneOffsetFromUTC": "+0000"},
            {}, after(3600),
        ),
    ],
)  # fmt: skip
def test_an_enhanced_file_of_activity_gives_suv(
    tmp_path: Path, tags: dict[str, Any], drug: dict[str, Any], expected: float
) -> None:
    """Every frame's own factor from grey level to activity is used."""
    series = enhanced(tmp_path, [[mapping("Bq/ml", 2.0)], [mapping("Bq/ml", 3.0)]], drug, **tags)
    assert series.display.unit == "SUVbw"
    assert series.geometry.volume
    found = [float(modality_values(series, k)[0, 0]) for k in range(2)]
    np.testing.assert_allclose(found, [2 * 1 * expected, 3 * 2 * expected], rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "kind"),
    [("g/ml{SUVbw}", "SUVbw"), ("{SUVlbm}g/ml", "SUVlbm"), ("cm2/ml{SUVbsa}", "SUVbsa")],
)
def test_an_enhanced_file_of_suv_says_so_itself(tmp_path: Path, unit: str, kind: str) -> None:
    items = [mapping("1"), mapping("Bq/ml", 7) if kind == "SUVbw" else mapping("1"), mapping(unit, 0.25)]
    series = enhanced(tmp_path, [items, items], drug={"RadionuclideTotalDose": None})
    assert series.display.unit == kind
    assert float(modality_values(series, 1)[0, 0]) == 0.5


@pytest.mark.parametrize(
    ("mappings", "tags", "drug", "said"),
    [
        ([mapping("1")], {}, {}, "the file maps its values to no unit of activity"),
        ([], {}, {}, "the file maps its values to no unit of activity"),
        (None, {"AttenuationCorrected": "NO"}, {}, "the file names no correction for attenuation"),
        (None, {"DecayCorrected": "NO"}, {}, "the file names no correction for decay"),
        (
            None, {"DecayCorrectionDateTime": None}, {},
            "the file names no moment to which decay is corrected",
        ),
        (None, {"PatientWeight": None}, {}, "the file names no patient weight"),
        (None, {}, {"RadionuclideTotalDose": None}, "the file names no injected dose"),
        (None, {}, {"RadiopharmaceuticalStartDateTime": None}, "the file names no time of injection"),
        (
            [mapping("Bq/ml", 2, 100)], {}, {},
            "the file's real-world values do not follow its grey levels",
        ),
        ([mapping("Bq/ml", 0)], {}, {}, "the file gives its values by a table"),
    ],
)  # fmt: skip
def test_an_enhanced_file_without_a_fact_stays_as_it_is(
    tmp_path: Path, mappings: list[Dataset] | None, tags: dict[str, Any], drug: dict[str, Any], said: str
) -> None:
    items = [mapping("Bq/ml")] if mappings is None else mappings
    series = enhanced(tmp_path, [items, items], drug, **tags)
    assert [w for w in series.warnings if "SUV" in w] == [f"SUV is not given: {said}."]
    assert series.display.unit == ""
    assert modality_values(series, 1)[0, 0] == 2


def test_a_converted_file_has_the_suv_of_its_single_images(tmp_path: Path) -> None:
    """Made synthetic, and converted by highdicom."""
    written: list[Dataset] = []
    for k in range(3):
        path = write(
            tmp_path / "single" / f"{k}.dcm", drop=("WindowCenter", "WindowWidth"),
            **FACTS | {"AcquisitionTime": f"11{k + 1}000", "RescaleSlope": k + 1},
            ImagePositionPatient=[0, 0, 2 * k], InstanceNumber=k + 1, SOPInstanceUID=f"1.2.3.{k}",
            RadiopharmaceuticalInformationSequence=sequence(**DRUG), FrameOfReferenceUID="1.2.9",
            PatientBirthDate="", PatientSex="O", StudyDate="20200101", StudyTime="100000", StudyID="1",
            AccessionNumber="", ReferringPhysicianName="", ImageType=["ORIGINAL", "PRIMARY"],
            Manufacturer="M", BodyPartExamined="CHEST", SeriesNumber=1, PositionReferenceIndicator="",
            SamplesPerPixel=1, ContentDate="20200101", ContentTime="120000",
        )  # fmt: skip
        written.append(pydicom.dcmread(path))
    (single,) = scan([tmp_path / "single"]).series
    converted = highdicom.legacy.LegacyConvertedEnhancedPETImage(written, "1.2.4", 2, "1.2.4.1", 1)
    converted.save_as(tmp_path / "converted.dcm")
    (series,) = scan([tmp_path / "converted.dcm"]).series
    assert (single.display.unit, series.display.unit) == ("SUVbw", "SUVbw"), series.warnings
    for k in range(3):
        np.testing.assert_allclose(modality_values(series, k), modality_values(single, k), rtol=1e-6)


def test_every_slice_has_its_own_rescale_and_one_start(make: Make, tmp_path: Path) -> None:
    """Beds follow each other; after a later derivation all are corrected to the first."""
    for number in range(3):
        make(
            f"{number}.dcm", **FACTS | {"SeriesTime": "150000", "AcquisitionTime": f"11{number}000"},
            RadiopharmaceuticalInformationSequence=sequence(**DRUG), RescaleSlope=number + 1,
            ImagePositionPatient=[0, 0, number], AcquisitionNumber=1,
        )  # fmt: skip
    (series,) = scan([tmp_path]).series
    found = [float(modality_values(series, i)[3, 5]) / 23 for i in range(3)]
    np.testing.assert_allclose(found, [after(3600) * n for n in (1, 2, 3)], rtol=1e-6)
    said = "The rescale differs between the slices: slope 1 to 3, intercept 0; each slice's own is used."
    assert said in series.warnings


def test_one_slice_without_a_weight_leaves_all_as_they_are(make: Make, tmp_path: Path) -> None:
    for number in range(3):
        make(
            f"{number}.dcm", **FACTS, RadiopharmaceuticalInformationSequence=sequence(**DRUG),
            ImagePositionPatient=[0, 0, number], drop=("PatientWeight",) if number == 2 else (),
        )  # fmt: skip
    (series,) = scan([tmp_path]).series
    assert series.display.unit == "BQML"
    assert modality_values(series, 0)[3, 5] == 23


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_of_the_file_shows_the_same_grey(make: Make, tmp_path: Path, function: str) -> None:
    tags = {"WindowCenter": 12, "WindowWidth": 16, "VOILUTFunction": function}
    information = {"RadiopharmaceuticalInformationSequence": sequence(**DRUG)}
    (series,) = scan([make("s/a.dcm", **FACTS | tags | information)]).series
    (raw,) = scan([make("r/a.dcm", **FACTS | tags)]).series
    assert (series.display.unit, raw.display.unit) == ("SUVbw", "BQML")
    np.testing.assert_array_equal(displayed(series, 0), displayed(raw, 0))


def test_a_nuclide_that_lasts_for_days_has_its_own_day(tmp_path: Path) -> None:
    drug = {
        "RadionuclideHalfLife": 282_276, "RadiopharmaceuticalStartTime": None,
        "RadiopharmaceuticalStartDateTime": "20191227110000",
    }  # fmt: skip
    assert factor(pet(tmp_path, drug)) == pytest.approx(FRESH * 2 ** (5 * 86_400 / 282_276), rel=1e-6)
