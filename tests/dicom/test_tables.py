# SPDX-License-Identifier: Apache-2.0
"""Modality and VOI tables, and windows on rescaled values: against highdicom, on files made synthetic."""

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import Make, frame, sequence, write_enhanced
from pydicom.dataset import Dataset

from viewer.dicom import default_window, modality_values, presented, scan
from viewer.types import Series

NO_WINDOW = ("WindowCenter", "WindowWidth")
GREY = {
    "PatientBirthDate": "", "PatientSex": "O", "StudyDate": "20200101", "StudyTime": "000000", "StudyID": "1",
    "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesNumber": 1, "InstanceNumber": 1,
}  # fmt: skip


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def table(entries: np.ndarray, first: int, bits: int, **tags: Any) -> Dataset:
    """An item of Modality or VOI LUT Sequence; the first input value is signed where it is below zero."""
    (item,) = sequence(**tags)
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def theirs(path: Path, number: int = 1, **settings: Any) -> np.ndarray:
    image = hd.imread(path)
    return np.asarray(image.get_frame(number, dtype=np.float64, apply_real_world_transform=False, **settings))


def shown_by_highdicom(path: Path, number: int = 1) -> np.ndarray:
    return theirs(path, number, apply_voi_transform=True, voi_output_range=(0, 1))


@pytest.mark.parametrize(("first", "count"), [(0, 256), (10, 100), (200, 56)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_tables(make: Make, first: int, count: int, bits: int) -> None:
    entries = np.random.default_rng(count).integers(0, 1 << bits, count)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = table(entries, first, bits, ModalityLUTType="OD")
    drop = (*NO_WINDOW, "RescaleSlope", "RescaleIntercept")
    series = only(path := make("a.dcm", pixels=pixels, ModalityLUTSequence=[made], drop=drop, **GREY))
    assert series.display.unit == "mOD"  # PS3.3 C.11.1.1.2: 2140 is an optical density of 2.140
    np.testing.assert_array_equal(modality_values(series, 0), hd.pixels.apply_lut(pixels, entries, first))
    if bits == 16:  # others highdicom does not read from a file
        np.testing.assert_array_equal(modality_values(series, 0), theirs(path, apply_voi_transform=False))


def test_a_modality_table_of_signed_values(make: Make) -> None:
    """Of -100 and below the first entry, of 99 and above the last."""
    entries = np.random.default_rng(0).integers(0, 4096, 200)
    pixels = np.arange(-150, 150, dtype=np.int16).reshape(15, 20)
    made = table(entries, -100, 12, ModalityLUTType="US")
    drop = (*NO_WINDOW, "RescaleSlope", "RescaleIntercept")
    series = only(make("a.dcm", pixels=pixels, ModalityLUTSequence=[made], drop=drop))
    assert series.display.unit == ""
    np.testing.assert_array_equal(modality_values(series, 0), hd.pixels.apply_lut(pixels, entries, -100))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("first", "count"), [(0, 256), (10, 100), (200, 56)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_voi_tables(make: Make, photometric: str, first: int, count: int, bits: int) -> None:
    """The first of two tables is used, by its name, and both outweigh a window."""
    entries = np.sort(np.random.default_rng(count).integers(0, 1 << bits, count))
    tables = [table(entries, first, bits, LUTExplanation="BONE"), table(entries[::-1], first, bits)]
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tags = {"PhotometricInterpretation": photometric, "RescaleIntercept": 0, **GREY}
    path = make("a.dcm", pixels=pixels, VOILUTSequence=tables, drop=NO_WINDOW, **tags)
    series = only(path)
    assert series.display.voi_lut_name == "BONE"
    grey = hd.pixels.apply_lut(pixels, entries, first) / ((1 << bits) - 1)
    expected = 1 - grey if photometric == "MONOCHROME1" else grey
    np.testing.assert_allclose(presented(series, 0), expected, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", ""])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rescale", [(1, 0), (2.5, -1024), (0.125, 3)])
def test_windows_on_rescaled_values(
    make: Make, function: str, photometric: str, rescale: tuple[float, float]
) -> None:
    pixels = np.random.default_rng(1).integers(-1000, 3000, (30, 30)).astype(np.int16)
    tags = {"VOILUTFunction": function} if function else {}
    path = make(
        "a.dcm", pixels=pixels, PhotometricInterpretation=photometric, RescaleSlope=rescale[0],
        RescaleIntercept=rescale[1], WindowCenter=[40, 300], WindowWidth=[400, 1500],
        WindowCenterWidthExplanation=["SOFT", "BONE"], **tags, **GREY,
    )  # fmt: skip
    series = only(path)
    values = pixels * rescale[0] + rescale[1]
    assert [w.name for w in series.display.windows] == ["SOFT", "BONE"]
    for window, center, width in zip(series.display.windows, (40, 300), (400, 1500), strict=True):
        kind = function or "LINEAR"
        expected = hd.pixels.apply_voi_window(
            values, center, width, kind, invert=photometric == "MONOCHROME1"
        )
        np.testing.assert_allclose(presented(series, 0, window), expected, atol=2e-6)
    if rescale[0] == 1 or function in ("LINEAR_EXACT", "SIGMOID"):
        # Of a file, highdicom takes a window into stored values first: a LINEAR one, which counts in whole
        # steps, is then another than the standard's.
        np.testing.assert_allclose(presented(series, 0), shown_by_highdicom(path), atol=2e-6)


def test_frames_of_an_enhanced_file_have_their_own_rescale_and_window(tmp_path: Path) -> None:
    order = [2, 0, 3, 1]
    frames = [frame((0, 0, 2.0 * k), rescale=(1.5 + k, -k), window=(3.0 + k, 8.0 + k)) for k in order]
    path = write_enhanced(tmp_path / "e.dcm", frames, **GREY)
    series = only(path)
    for index, number in enumerate(series.frame_numbers):
        assert order[number - 1] == index
        plain = theirs(path, number, apply_voi_transform=False)
        np.testing.assert_allclose(modality_values(series, index), plain, atol=1e-5)
        expected = hd.pixels.apply_voi_window(plain, 3.0 + index, 8.0 + index)
        np.testing.assert_allclose(presented(series, index), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("value", "limit", "signed"),
    [(-2000, -1990, True), (-1990, -2000, True), (63536, 63546, True), (0, 10, False), (4095, None, False)],
)
def test_padding_is_a_value_or_a_range_in_either_order(
    make: Make, value: int, limit: int | None, signed: bool
) -> None:
    """What stands for no data is left out of the automatic window, also a signed value told as unsigned."""
    chance = np.random.default_rng(4)
    pixels = chance.integers(100, 200, (40, 40)).astype(np.int16 if signed else np.uint16)
    low, high = (-2000, -1990) if signed else (0, 10) if limit else (4095, 4095)
    pixels[:15] = chance.integers(low, high + 1, (15, 40))
    path = make("a.dcm", pixels=pixels, RescaleIntercept=0, drop=NO_WINDOW)
    dataset = pydicom.dcmread(path)
    kind = "SS" if signed and value < 0 else "US"
    dataset.add_new("PixelPaddingValue", kind, value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", kind, limit)
    dataset.save_as(path)
    window = default_window(only(path), 0)
    kept = pixels[15:]
    dark, bright = np.percentile(kept, (1, 99))
    assert (window.center - window.width / 2, window.center + window.width / 2) == (dark, bright)


# --- what a table claims against what it holds --------------------------------------------------------


def about(series: Series, word: str) -> list[str]:
    return [w for w in series.warnings if word in w]


@pytest.mark.parametrize(
    ("filled", "claimed"), [(12, 16), (10, 16), (14, 16), (8, 12), (8, 16), (12, 8), (10, 12)]
)
def test_a_voi_table_that_fills_other_bits_than_it_claims(make: Make, filled: int, claimed: int) -> None:
    entries = np.arange(4096) * ((1 << filled) - 1) // 4095
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    made = [table(entries, 0, claimed, LUTExplanation="NORMAL")]
    series = only(
        make("a.dcm", pixels=pixels, VOILUTSequence=made, RescaleIntercept=0, BitsStored=12, HighBit=11)
    )
    grey = presented(series, 0)
    assert (grey.min(), grey.max()) == (0, 1)
    np.testing.assert_allclose(grey.ravel(), entries / ((1 << filled) - 1), atol=1e-6)
    (said,) = about(series, "VOI table")
    assert f"claims {claimed} bits an entry" in said
    assert f"is {(1 << filled) - 1}; it is shown as a table of {filled} bits." in said


@pytest.mark.parametrize("largest", [65535, 40000, 16384])
def test_a_dark_table_is_as_it_says(make: Make, largest: int) -> None:
    entries = np.arange(256) * largest // 255
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    series = only(make("a.dcm", pixels=pixels, VOILUTSequence=[table(entries, 0, 16)], RescaleIntercept=0))
    assert presented(series, 0).max() == pytest.approx(largest / 65535)
    assert about(series, "VOI table") == []


@pytest.mark.parametrize(
    ("entries", "bits", "said"),
    [
        (np.zeros(256, int), 16, "makes 0 of every value"),
        (np.full(256, 77), 8, "makes 77 of every value"),
        (np.arange(256) * 2, 16, "the largest of its 256 entries is 510"),
        (np.arange(256), 0, "claims 0 bits an entry"),
        (np.arange(256), 17, "claims 17 bits an entry"),
    ],
)
def test_a_voi_table_in_doubt_is_not_applied(make: Make, entries: np.ndarray, bits: int, said: str) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tags = {"RescaleIntercept": 0, "WindowCenter": 128, "WindowWidth": 256, "BitsStored": 8, "HighBit": 7}
    series = only(make("a.dcm", pixels=pixels, VOILUTSequence=[table(entries, 0, bits)], **tags))
    assert series.display.voi_lut is None
    np.testing.assert_allclose(presented(series, 0).ravel(), np.arange(256) / 255, atol=1e-6)
    (found,) = about(series, "VOI table")
    assert said in found
    assert found.endswith("it is not applied.")


def test_the_next_table_stands_in_for_one_in_doubt(make: Make) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tables = [table(np.zeros(256, int), 0, 16), table(np.arange(256), 0, 8, LUTExplanation="SECOND")]
    series = only(make("a.dcm", pixels=pixels, VOILUTSequence=tables, RescaleIntercept=0))
    assert series.display.voi_lut_name == "SECOND"
    assert len(about(series, "VOI table")) == 1


@pytest.mark.parametrize(("claimed", "held"), [(256, 100), (0, 4096), (300, 299)])
def test_a_table_of_too_few_entries_is_not_applied(make: Make, claimed: int, held: int) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = table(np.arange(held), 0, 12)
    made.add_new("LUTDescriptor", "US", [claimed, 0, 12])
    series = only(make("a.dcm", pixels=pixels, VOILUTSequence=[made], RescaleIntercept=0))
    assert series.display.voi_lut is None
    assert f"claims {claimed or 65536} entries and holds {held}" in about(series, "VOI table")[0]


@pytest.mark.parametrize("claimed", [0, 100, 5000])
def test_a_table_with_an_entry_for_each_stored_value_is_whole(make: Make, claimed: int) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    made = table(np.arange(4096), 0, 12)
    made.add_new("LUTDescriptor", "US", [claimed, 0, 12])
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": 0}
    series = only(make("a.dcm", pixels=pixels, VOILUTSequence=[made], **tags))
    np.testing.assert_allclose(presented(series, 0).ravel(), np.arange(4096) / 4095, atol=1e-6)
    assert "one for each value that can be stored; all are used." in about(series, "VOI table")[0]


@pytest.mark.parametrize("entries", [np.zeros(256, int), np.full(256, 1000), np.full(10, 4)])
def test_a_constant_modality_table_is_not_applied(make: Make, entries: np.ndarray) -> None:
    """Then values have no unit, and the file's window, which is for others, is not used."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = table(entries, 0, 16, ModalityLUTType="HU")
    drop = ("RescaleSlope", "RescaleIntercept")
    series = only(make("a.dcm", pixels=pixels, ModalityLUTSequence=[made], drop=drop))
    np.testing.assert_array_equal(modality_values(series, 0), pixels)
    assert (series.display.unit, series.display.windows) == ("", ())
    assert f"makes {entries[0]} of every value" in about(series, "modality table")[0]


@pytest.mark.parametrize(("filled", "claimed"), [(12, 8), (10, 9), (16, 12)])
def test_a_modality_table_of_more_bits_than_it_claims(make: Make, filled: int, claimed: int) -> None:
    entries = np.arange(256) * ((1 << filled) - 1) // 255
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    drop = ("RescaleSlope", "RescaleIntercept")
    series = only(make("a.dcm", pixels=pixels, ModalityLUTSequence=[table(entries, 0, claimed)], drop=drop))
    np.testing.assert_array_equal(modality_values(series, 0).ravel(), entries)
    assert (
        f"claims {claimed} bits an entry, and the largest of its 256 is" in about(series, "modality table")[0]
    )


def palette(entries: np.ndarray, bits: int) -> dict[str, Any]:
    """A palette that makes greys of indices."""
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        found[f"{colour}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        found[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
    return found


@pytest.mark.parametrize("filled", [8, 10, 12, 14])
def test_a_palette_that_fills_fewer_bits_than_it_claims(make: Make, filled: int) -> None:
    entries = np.arange(256) << (filled - 8)
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    series = only(make("a.dcm", pixels=pixels, **palette(entries, 16)))
    np.testing.assert_array_equal(series.voxels[0][..., 1], pixels)
    assert f"it is shown as a table of {filled} bits." in about(series, "palette")[0]


@pytest.mark.parametrize("entry", [0, 9, 65535])
def test_a_palette_of_one_colour_is_not_applied(make: Make, entry: int) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    series = only(make("a.dcm", pixels=pixels, **palette(np.full(256, entry), 16)))
    np.testing.assert_array_equal(series.voxels[0], pixels)
    assert "one colour of every value" in about(series, "palette")[0]
