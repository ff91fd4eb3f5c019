# SPDX-License-Identifier: Apache-2.0
"""Modality, VOI and presentation values against pydicom, highdicom and the formulas of the standard."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import Make, sequence
from highdicom.content import VOILUTTransformation
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from viewer.dicom import default_window, displayed, modality_values, presented, scan
from viewer.dicom.display import windowed
from viewer.types import Series, Window

REAL = [
    "pydicom/test_files/CT_small.dcm",
    "pydicom/test_files/examples_overlay.dcm",
    "pydicom/test_files/dicomdirtests/77654033/CR1/6154",
    "pydicom-data/mlut_18.dcm",
    "pydicom-data/vlut_04.dcm",
    "pydicom-data/RG3_J2KR.dcm",
    "slicer/philips_ingenia_4_1_3_dwi.dcm",
    "highdicom/dx_image.dcm",
]


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_values_agree_with_pydicom(shared: Path, name: str) -> None:
    path = shared / "dicom" / name
    series, dataset = only(path), pydicom.dcmread(path)
    values = apply_modality_lut(series.voxels[0], dataset)
    np.testing.assert_allclose(modality_values(series, 0), values, rtol=1e-6)
    shown = apply_voi_lut(values, dataset)
    if shown is values:
        return
    if dataset.get("VOILUTSequence"):
        lowest, highest = 0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    else:
        lowest, highest = (
            r * series.display.rescale[0][0] + series.display.rescale[0][1]
            for r in series.display.stored_range
        )
    grey = (shown - lowest) / (highest - lowest)
    expected = 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    np.testing.assert_allclose(presented(series, 0), expected, atol=2e-6)
    np.testing.assert_allclose(displayed(series, 0), expected * 255, atol=0.501)


@given(
    center=st.floats(-2000, 2000),
    width=st.floats(2, 4000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_agree_with_highdicom(center: float, width: float, function: str) -> None:
    values = np.linspace(-3000, 3000, 601)
    theirs = VOILUTTransformation(window_center=center, window_width=width, voi_lut_function=function)
    with np.errstate(over="ignore"):  # its exponential overflows where the curve is flat
        expected = theirs.apply(values, dtype=np.float64)
    ours = windowed(values, Window(center, width, function=function))  # type: ignore[arg-type]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_linear_window_of_the_standard() -> None:
    # PS3.3 C.11.2.1.2.1, its own example: c=2048, w=4096 maps 0…4095 onto the full range.
    x = np.array([-1, 0, 2047.5, 4095, 4096])
    np.testing.assert_allclose(windowed(x, Window(2048, 4096)), [0, 0, 0.5, 1, 1], atol=1e-7)
    np.testing.assert_array_equal(windowed(np.array([99, 100, 101]), Window(100, 1)), [0, 1, 1])
    np.testing.assert_array_equal(windowed(np.array([0, 1]), Window(0.5, 1, function="LINEAR_EXACT")), [0, 1])


def test_monochrome1_is_inverted_and_a_window_may_be_asked_for(make: Make) -> None:
    pixels = np.array([[0, 100, 200]], np.uint16)
    tags = {"RescaleIntercept": 0, "WindowCenter": 100.5, "WindowWidth": 201}
    series = only(make("a.dcm", pixels=pixels, PhotometricInterpretation="MONOCHROME1", **tags))
    assert displayed(series, 0).tolist() == [[255, 128, 0]]
    assert displayed(series, 0, Window(50, 101)).tolist()[0][1:] == [0, 0]


def test_several_windows_keep_their_names(make: Make) -> None:
    series = only(
        make(
            "a.dcm",
            WindowCenter=[40, 500],
            WindowWidth=[400, 2000],
            WindowCenterWidthExplanation=["SOFT", "BONE"],
        )
    )
    assert series.display.windows == (Window(40, 400, "SOFT"), Window(500, 2000, "BONE"))
    assert default_window(series, 0).name == "SOFT"


def test_the_automatic_window_leaves_padding_out(make: Make) -> None:
    pixels = np.full((20, 20), -2000, np.int16)
    pixels[5:15, 5:15] = np.arange(100).reshape(10, 10)
    series = only(
        make("a.dcm", pixels=pixels, PixelPaddingValue=-2000, RescaleIntercept=0, drop=("WindowCenter",))
    )
    window = default_window(series, 0)
    assert window.name == "auto"
    assert window.center - window.width / 2 == pytest.approx(0.99)
    assert window.center + window.width / 2 == pytest.approx(98.01)
    assert "No window in the file; grey levels are set from the data." in series.warnings


def test_padding_in_the_midst_of_the_values_leaves_those_on_both_sides(make: Make) -> None:
    pixels = np.zeros((20, 20), np.int16)
    pixels[:5], pixels[15:] = -np.arange(1, 101).reshape(5, 20), np.arange(1, 101).reshape(5, 20)
    tags = {"PixelPaddingValue": 0, "RescaleIntercept": 0}
    window = default_window(only(make("a.dcm", pixels=pixels, drop=("WindowCenter",), **tags)), 0)
    assert window.center == pytest.approx(0)
    assert window.width > 190


def test_a_table_is_looked_up_at_the_nearest_entry(make: Make) -> None:
    """A table of as many entries as there can be, whose count is written as 0, and values between them."""
    entries = np.arange(65_536, dtype="<u2")
    table = sequence(LUTDescriptor=[0, 0, 16], LUTData=entries.tobytes())
    pixels = np.array([[3, 4, 5, 7]], np.uint16)
    tags = {"VOILUTSequence": table, "RescaleSlope": 0.3, "RescaleIntercept": 0}
    series = only(make("a.dcm", pixels=pixels, **tags))
    np.testing.assert_allclose(presented(series, 0) * 65_535, [[1, 1, 2, 2]], atol=1e-3)


def test_a_flat_image_is_shown_without_a_fault(make: Make) -> None:
    series = only(make("a.dcm", pixels=np.zeros((4, 4), np.int16), drop=("WindowWidth",)))
    assert np.isfinite(presented(series, 0)).all()


def test_rescale_is_that_of_each_slice(make: Make, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        make(
            f"{number}.dcm",
            Modality="PT",
            RescaleSlope=number,
            RescaleIntercept=0,
            Units="BQML",
            ImagePositionPatient=[0, 0, number],
        )
    series = only(tmp_path)
    assert [float(modality_values(series, i)[0, 1]) for i in range(3)] == [1, 2, 3]
    assert series.display.unit == "BQML"


@pytest.mark.shared
def test_units_are_only_claimed_where_they_are_known(shared: Path) -> None:
    assert only(shared / "dicom/pydicom/test_files/CT_small.dcm").display.unit == "HU"
    head = only(shared / "dicom/slicer/CTHeadAxialDicom")
    assert head.display.unit == ""
    assert any("Hounsfield" in w for w in head.warnings)


def test_colour_is_shown_as_stored(make: Make) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 15
    path = make(
        "a.dcm",
        pixels=pixels[None],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        Rows=2,
        Columns=3,
    )
    np.testing.assert_array_equal(displayed(only(path), 0), pixels)


def test_the_automatic_window_is_one_for_all_slices(make: Make, tmp_path: Path) -> None:
    for number in range(5):
        make(
            f"{number}.dcm",
            pixels=np.arange(24, dtype=np.int16).reshape(4, 6) * (number + 1),
            ImagePositionPatient=[0, 0, number],
            RescaleIntercept=0,
            drop=("WindowCenter",),
        )
    series = only(tmp_path)
    windows = {default_window(series, i) for i in range(5)}
    assert len(windows) == 1
    (window,) = windows
    assert window.center == pytest.approx(34.5)  # the middle slice goes from 0 to 69
    assert displayed(series, 0).max() < 100


def test_a_flat_middle_slice_decides_no_window(make: Make, tmp_path: Path) -> None:
    for number in range(4):
        pixels = np.zeros((4, 6), np.int16) if number == 2 else np.arange(24, dtype=np.int16).reshape(4, 6)
        make(f"{number}.dcm", pixels=pixels, ImagePositionPatient=[0, 0, number], drop=("WindowCenter",))
    assert default_window(only(tmp_path), 2).width > 20


def test_every_slice_has_its_own_window_where_they_differ(make: Make, tmp_path: Path) -> None:
    for number in range(3):
        make(f"{number}.dcm", ImagePositionPatient=[0, 0, number], WindowCenter=40 + number)
    make("3.dcm", ImagePositionPatient=[0, 0, 3], drop=("WindowCenter",))
    series = only(tmp_path)
    assert [default_window(series, i).center for i in range(4)] == [40, 41, 42, 42]
    assert any("centre 40 to 42, width 400" in w for w in series.warnings)


def test_a_rescale_that_differs_is_told_with_its_numbers(make: Make, tmp_path: Path) -> None:
    for number in (1, 2):
        make(f"{number}.dcm", ImagePositionPatient=[0, 0, number], RescaleSlope=number)
    said = "The rescale differs between the slices: slope 1 to 2, intercept -1024; each slice's own is used."
    assert said in only(tmp_path).warnings
