# SPDX-License-Identifier: Apache-2.0
"""What is malformed is not absent: it is named with its text, and used where its meaning is plain."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import CT, Make
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from viewer.dicom import default_window, modality_values, scan
from viewer.types import Series


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def rewritten(path: Path, **texts: str | tuple[str, bytes]) -> Path:
    """A file with elements as these bytes, of the representation that belongs to them or of another."""
    dataset = pydicom.dcmread(path)
    for keyword, text in texts.items():
        tag = Tag(keyword)
        kind, raw = (pydicom.datadict.dictionary_VR(tag), text.encode()) if isinstance(text, str) else text
        raw += b" " * (len(raw) % 2)
        dataset[tag] = RawDataElement(tag, kind, len(raw), raw, 0, False, True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def said(series: Series, word: str) -> str:
    found = [w for w in series.warnings if word in w]
    assert len(found) == 1, series.warnings
    return found[0]


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0,75\\0,5", (0.75, 0.5)), ("1,25\\1", (1.25, 1.0)), (" 7,5e-1\\0,50 ", (0.75, 0.5))],
)
def test_a_decimal_comma_is_read_and_told(make: Make, text: str, expected: tuple[float, float]) -> None:
    series = only(rewritten(make("a.dcm"), PixelSpacing=text))
    assert series.geometry.spacing[1:] == expected
    assert text.strip() in said(series, "decimal comma")


def test_decimal_commas_of_a_stack_are_told_once(make: Make, tmp_path: Path) -> None:
    for k in range(4):
        path = make(f"{k}.dcm", InstanceNumber=k + 1)
        rewritten(
            path, ImagePositionPatient=f"0,5\\1,5\\{2 * k},5", RescaleIntercept="-1000,0", RescaleSlope="1,0"
        )
    series = only(tmp_path)
    assert (series.geometry.volume, series.geometry.spacing[0], series.display.unit) == (True, 2.0, "HU")
    assert modality_values(series, 0)[0, 0] == -1000
    said(series, "decimal comma")


@pytest.mark.parametrize("text", ["abc", "1.0mm", "--5", "1;5"])
def test_a_text_is_no_number_and_is_told(make: Make, text: str) -> None:
    series = only(rewritten(make("a.dcm"), PixelSpacing=text))
    assert (
        said(series, "Pixel Spacing is") == f"Pixel Spacing is “{text}”, which is no number: it is not used."
    )
    assert series.geometry.spacing_kind == "absent"


@pytest.mark.parametrize("text", ["0\\0", "1", "1\\2\\3", "-1\\1"])
def test_lengths_that_cannot_be_are_told(make: Make, text: str) -> None:
    series = only(rewritten(make("a.dcm"), PixelSpacing=text))
    assert f"Pixel Spacing is “{text}”, which is not two lengths" in said(series, "Pixel Spacing is")


@pytest.mark.parametrize(
    ("kind", "raw"),
    [("LO", b"2.0"), ("SH", b"2"), ("FD", np.float64(2).tobytes()), ("FL", np.float32(2).tobytes())],
)
def test_a_number_of_another_representation_is_read_and_told(make: Make, kind: str, raw: bytes) -> None:
    series = only(rewritten(make("a.dcm"), RescaleSlope=(kind, raw)))
    assert series.display.rescale == ((2.0, -1024.0),)
    assert f"Rescale Slope is stored as {kind}, where DS belongs" in said(series, "Rescale Slope")


# --- the rescale --------------------------------------------------------------------------------------


UNSOUND = [
    ("RescaleSlope", "0", "Rescale Slope is 0"), ("RescaleSlope", "nan", "“nan”, which is not finite"),
    ("RescaleSlope", "inf", "“inf”, which is not finite"),
    ("RescaleSlope", "one", "“one”, which is no number"),
    ("RescaleSlope", "1\\2", "Rescale Slope has 2 values (“1\\2”) where one belongs"),
    ("RescaleIntercept", "x", "“x”, which is no number"), ("RescaleIntercept", "-inf", "“-inf”"),
]  # fmt: skip


@pytest.mark.parametrize("stated", ["", "HU"])
@pytest.mark.parametrize(("keyword", "text", "words"), UNSOUND)
def test_nothing_is_in_hounsfield_units_without_a_sound_rescale(
    make: Make, keyword: str, text: str, words: str, stated: str
) -> None:
    tags: dict[str, Any] = {"RescaleType": stated} if stated else {}
    series = only(rewritten(make("a.dcm", **tags), **{keyword: text}))
    assert series.display.unit == ""
    np.testing.assert_array_equal(modality_values(series, 0), series.voxels[0])
    assert default_window(series, 0).name == "auto"  # the file's is for values that are not known
    said(series, words)
    said(series, "not taken for Hounsfield units")


@pytest.mark.parametrize(("keyword", "values"), [("RescaleSlope", (1, -1024)), ("RescaleIntercept", (1, 0))])
@pytest.mark.parametrize("empty", [True, False])
def test_half_a_rescale_is_applied_without_a_unit(
    make: Make, keyword: str, values: tuple[float, float], empty: bool
) -> None:
    path = rewritten(make("a.dcm"), **{keyword: ""}) if empty else make("a.dcm", drop=(keyword,))
    series = only(path)
    assert (series.display.rescale, series.display.unit) == ((values,), "")
    said(series, "is taken, and the unit is not known")
    assert any("is empty" in w for w in series.warnings) == empty


def test_the_same_number_twice_is_one(make: Make) -> None:
    series = only(rewritten(make("a.dcm"), RescaleSlope="2\\2"))
    assert (series.display.rescale, series.display.unit) == (((2.0, -1024.0),), "HU")
    assert said(series, "Rescale Slope").endswith("as they are the same, it is used.")


def test_a_fault_of_one_file_is_counted(make: Make, tmp_path: Path) -> None:
    for k in range(3):
        make(f"{k}.dcm", ImagePositionPatient=[0, 0, 2 * k])
    rewritten(tmp_path / "1.dcm", RescaleSlope="0")
    series = only(tmp_path)
    assert series.display.unit == ""
    assert said(series, "Rescale Slope is 0").endswith("(in 1 of 3 files).")


# --- what of CT is in Hounsfield units ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "unit"),
    [
        ({}, "HU"),
        ({"RescaleType": "HU"}, "HU"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]}, "HU"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"]}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "EFFECTIVE_Z"], "RescaleType": "HU"}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"], "RescaleType": "HU"}, "HU"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"], "RescaleType": "ED"}, "ED"),
        ({"RescaleType": "Z_EFF"}, "Z_EFF"),
        ({"RescaleType": "US"}, ""),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CBCT"]}, ""),
        ({"SeriesDescription": "Pelvis CBCT"}, ""),
        ({"ManufacturerModelName": "On-Board Imager"}, ""),
        ({"ManufacturerModelName": "Artis zeego"}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.2"}, ""),
        ({"ManufacturerModelName": "SOMATOM Definition"}, "HU"),
        ({"Modality": "XA", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.1"}, ""),
    ],
)
def test_what_is_called_hounsfield(make: Make, tags: dict[str, Any], unit: str) -> None:
    series = only(make("a.dcm", **{"SOPClassUID": CT} | tags))
    assert series.display.unit == unit
    if unit == "" and series.modality == "CT":
        said(series, "Hounsfield units")
