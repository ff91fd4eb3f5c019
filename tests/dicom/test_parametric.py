# SPDX-License-Identifier: Apache-2.0
"""Parametric maps on their series: as highdicom writes them, with a known number at a known place."""

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.pm import ParametricMap, RealWorldValueMapping
from oblique import COLUMN, COLUMNS, NORMAL, ORIGIN, PIXEL, ROW, ROWS, SLICES, STEP, stack
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from viewer import affine, dicom
from viewer.dicom import maps, scan
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import LoadedMap, Series

RATE = Code("mm2/s", "UCUM", "square millimetres per second")
WHERE = (3, 4, 8)


def mapping(
    name: str = "diffusion", unit: Any = RATE, slope: float = 1.0, intercept: float = 0.0, **more: Any
) -> RealWorldValueMapping:
    of: dict[str, Any] = {"value_range": (-1e6, 1e6), "slope": slope, "intercept": intercept} | more
    return RealWorldValueMapping(lut_label=name[:16], lut_explanation=name, unit=unit, **of)


def write_map(
    path: Path, sources: list[pydicom.Dataset], pixels: np.ndarray, mappings: Any, **grid: Any
) -> Path:
    made = ParametricMap(
        sources, pixels, hd.UID(), 9, hd.UID(), 1, "maker", "model", "1", "1", False, mappings,
        voi_lut_transformations=[hd.VOILUTTransformation(0.5, 1.0)], **grid,
    )  # fmt: skip
    made.save_as(path)
    return path


def numbers(kind: Any = np.float32) -> np.ndarray:
    """Zero but for one cell, and every slice's number in its first cell."""
    cells = np.zeros((SLICES, ROWS, COLUMNS), kind)
    cells[:, 0, 0] = np.arange(SLICES)
    cells[WHERE] = 7
    return cells


def loaded(folder: Path) -> tuple[Series, tuple[LoadedMap, ...]]:
    study = scan([folder])
    (one,) = study.parametric
    (series,) = dicom.belongs(one, study.series)
    return series, maps(one, series, Limits())


def known(found: LoadedMap) -> None:
    """The one cell lies where the stack is said to lie, in the patient."""
    (cell,) = np.argwhere(found.values == found.values[WHERE])
    place = affine.apply(found.series.geometry.matrix @ found.matrix, cell)
    expected = ORIGIN + 3 * STEP * NORMAL + 4 * PIXEL[0] * COLUMN + 8 * PIXEL[1] * ROW
    np.testing.assert_allclose(place, expected, atol=1e-3)
    np.testing.assert_allclose(found.matrix, np.eye(4), atol=1e-4)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_decimal_numbers_lie_where_they_were_computed(tmp_path: Path, kind: Any) -> None:
    write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(kind) * 0.1, [mapping()])
    series, (found,) = loaded(tmp_path)
    assert found.series is series
    assert (found.title, found.unit, found.values.dtype) == ("diffusion", "mm2/s", kind)
    np.testing.assert_array_equal(found.values, (numbers(kind) * 0.1).astype(kind))
    known(found)
    (listed,) = scan([tmp_path]).other
    assert listed.reason == f"This is a parametric map; it is kept as a map of {series.modality}."


def test_whole_numbers_are_mapped_by_their_line(tmp_path: Path) -> None:
    lines = [mapping(slope=0.25, intercept=-3.0, value_range=(0, 4095))]
    write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(np.uint16), lines)
    _, (found,) = loaded(tmp_path)
    np.testing.assert_array_equal(found.values, numbers(np.float32) * 0.25 - 3)
    assert found.unit == "mm2/s"
    known(found)


def test_what_lies_outside_the_mapped_values_is_no_number(tmp_path: Path) -> None:
    lines = [mapping(slope=0.5, value_range=(1, 4095))]
    write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(np.uint16), lines)
    _, (found,) = loaded(tmp_path)
    expected = np.where(numbers() > 0, numbers() / 2, np.nan)
    np.testing.assert_array_equal(found.values, expected)


@pytest.mark.parametrize("first", [0, 2])
def test_a_table_gives_the_numbers(tmp_path: Path, first: int) -> None:
    """What lies below its first value has none."""
    table = [float(n * n) for n in range(first, 8)]
    lines = [mapping(slope=None, intercept=None, lut_data=table, value_range=(first, 7))]
    write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(np.uint16), lines)
    _, (found,) = loaded(tmp_path)
    np.testing.assert_array_equal(found.values, np.where(numbers() >= first, numbers() ** 2, np.nan))


def test_two_quantities_are_two_maps(tmp_path: Path) -> None:
    pixels = np.stack([numbers(), 2 * numbers()], axis=-1)
    lines = [[mapping()], [mapping("anisotropy", codes.UCUM.NoUnits)]]
    write_map(tmp_path / "map.dcm", stack(tmp_path), pixels, lines)
    _, found = loaded(tmp_path)
    assert [(m.title, m.unit) for m in found] == [("diffusion", "mm2/s"), ("anisotropy", "")]
    for one, times in zip(found, (1, 2), strict=True):
        np.testing.assert_array_equal(one.values, times * numbers())
        known(one)


def test_a_coarser_grid_lands_by_its_position(tmp_path: Path) -> None:
    """Every other plane, the last first, with pixels of another size; a plane left out is no number."""
    start = ORIGIN + 4 * STEP * NORMAL + 0.8 * COLUMN
    heights = (0, 1, 3)
    places = [hd.PlanePositionSequence("PATIENT", [*(start - i * STEP * NORMAL)]) for i in heights]
    pixels = np.zeros((3, 5, 6), np.float32)
    pixels[1, 2, 3] = 7
    write_map(
        tmp_path / "map.dcm", stack(tmp_path), pixels, [mapping()],
        pixel_measures=hd.PixelMeasuresSequence([1.6, 1.0], STEP, STEP),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", [*ROW, *COLUMN]), plane_positions=places,
    )  # fmt: skip
    series, (found,) = loaded(tmp_path)
    (cell,) = np.argwhere(found.values == 7)
    place = affine.apply(series.geometry.matrix @ found.matrix, cell)
    np.testing.assert_allclose(place, start - STEP * NORMAL + 3.2 * COLUMN + 3 * ROW, atol=1e-3)
    assert found.values.shape == (4, 5, 6)
    assert [bool(np.isnan(plane).all()) for plane in found.values] == [False, True, False, False]


def test_a_map_alone_says_so(tmp_path: Path) -> None:
    write_map(tmp_path / "map.dcm", stack(tmp_path / "images"), numbers(), [mapping()])
    study = scan([tmp_path / "map.dcm"])
    assert study.parametric == ()
    assert study.other[0].reason == "This is a parametric map of images that are not here."


def test_a_map_of_another_space_is_not_drawn_on_these_images(tmp_path: Path) -> None:
    write_map(tmp_path / "map.dcm", stack(tmp_path / "images"), numbers(), [mapping()])
    stack(tmp_path / "others", FrameOfReferenceUID="1.2.10", SeriesInstanceUID="1.7")
    for path in (tmp_path / "others").iterdir():
        file = pydicom.dcmread(path)
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = hd.UID()
        file.save_as(path)
    study = scan([tmp_path / "map.dcm", tmp_path / "others"])
    assert (len(study.series), study.parametric) == (1, ())


def test_too_large_a_map_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(), [mapping()])
    study = scan([tmp_path])
    with pytest.raises(SeriesError, match="more than the limit"):
        maps(study.parametric[0], study.series[0], Limits(bytes=10))


def damaged(path: Path, what: str) -> str:
    """The sentence for a file that was damaged in one way."""
    file = pydicom.dcmread(path)
    if what == "frames":
        del file.PerFrameFunctionalGroupsSequence[-1]
    elif what == "short":
        file.FloatPixelData = file.FloatPixelData[:-8]
    elif what == "rows":
        file.Rows = 30_000
    elif what == "colour":
        file.PhotometricInterpretation, file.SamplesPerPixel = "RGB", 3
    elif what == "gone":
        del file.FloatPixelData
    file.save_as(path)
    study = scan([path.parent])
    assert (len(study.series), study.parametric) == (1, ())
    (refused,) = study.refused
    return refused.reason


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("frames", "The parametric map holds 6 frames and describes 5."),
        ("short", "The file ends before the image does: 2872 of 2880 bytes are there."),
        ("rows", "The file ends before the image does: 2880 of 8640000 bytes are there."),
        ("colour", "The file ends before the image does: 2880 of 8640 bytes are there."),
        ("gone", "The file has the header of an image but no image data."),
    ],
)
def test_damage_costs_a_sentence(tmp_path: Path, what: str, said: str) -> None:
    path = write_map(tmp_path / "map.dcm", stack(tmp_path), numbers(), [mapping()])
    assert damaged(path, what) == said


def test_two_numbers_of_one_name_at_one_place_are_refused(tmp_path: Path) -> None:
    pixels = np.stack([numbers(), 2 * numbers()], axis=-1)
    write_map(tmp_path / "map.dcm", stack(tmp_path), pixels, [[mapping()], [mapping()]])
    study = scan([tmp_path])
    with pytest.raises(SeriesError, match="several numbers of one name at one place"):
        maps(study.parametric[0], study.series[0], Limits())


def test_what_is_not_a_number_stays_none(tmp_path: Path) -> None:
    pixels = numbers()
    pixels[1, 1, 1], pixels[1, 1, 2], pixels[1, 1, 3] = np.nan, np.inf, 3e38
    path = write_map(tmp_path / "map.dcm", stack(tmp_path), pixels, [mapping(slope=100.0)])
    assert path.exists()
    _, (found,) = loaded(tmp_path)
    assert np.isnan(found.values[1, 1, 1:4]).all()
    assert np.isfinite(found.values).sum() == found.values.size - 3


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
def test_the_real_file_agrees_with_pydicom(shared: Path) -> None:
    path = shared / "dicom/pydicom-data/parametric_map_float.dcm"
    study = scan([path, shared / "dicom/pydicom/test_files/CT_small.dcm"])
    (one,) = study.parametric
    (series,) = dicom.belongs(one, study.series)
    (found,) = maps(one, series, Limits())
    file = pydicom.dcmread(path)
    stored = np.frombuffer(file.FloatPixelData, "<f4").reshape(1, file.Rows, file.Columns)
    np.testing.assert_array_equal(found.values, stored)
    np.testing.assert_array_equal(found.values[0], file.pixel_array)
    np.testing.assert_allclose(found.matrix, np.eye(4), atol=1e-5)
    assert (found.title, found.unit) == ("feature_001", "")


@pytest.mark.parametrize(
    ("explanation", "label", "called"),
    [("diffusion", "ADC", "diffusion"), ("", "ADC", "ADC"), ("", "", "MAP")],
)
def test_a_mapping_is_called_what_the_file_says_first(
    tmp_path: Path, explanation: str, label: str, called: str
) -> None:
    path = write_map(tmp_path / "map.dcm", stack(tmp_path), numbers() * 0.1, [mapping()])
    file = pydicom.dcmread(path)
    for group in (file.get("SharedFunctionalGroupsSequence"), file.get("PerFrameFunctionalGroupsSequence")):
        for item in group or ():
            for one in item.get("RealWorldValueMappingSequence", ()):
                one.LUTExplanation, one.LUTLabel = explanation, label
    file.SeriesDescription = ""
    file.save_as(path)
    _, (found,) = loaded(tmp_path)
    assert found.title == called
