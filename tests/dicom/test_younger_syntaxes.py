# SPDX-License-Identifier: Apache-2.0
"""Kinds of image data that are young, old or rare, and headers that leave out what they mean."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import Make
from PIL import Image
from pydicom.encaps import encapsulate

from viewer.dicom import default_window, header, presented, scan
from viewer.settings import Limits
from viewer.types import Series

UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
PROGRESSIVE, SPECTRAL = "1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.53"
JPEG_XL, RECOMPRESSED, JPEG_XL_ANY = (f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))
COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
ROWS, COLUMNS = 30, 41


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def noise(kind: str, bits: int, frames: int = 1) -> np.ndarray:
    low = -(1 << bits - 1) if kind[0] == "i" else 0
    return np.random.default_rng(bits).integers(low, low + (1 << bits), (frames, ROWS, COLUMNS)).astype(kind)


def coded(make: Make, streams: list[bytes], values: np.ndarray, syntax: str, **tags: Any) -> Path:
    data = encapsulate(streams, has_bot=tags.pop("table", True))
    return make("a.dcm", pixels=values, TransferSyntaxUID=syntax, PixelData=data, **tags)


# --- encapsulated and not compressed ----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bits"), [("u1", 8), ("u2", 12), ("i2", 16), ("u4", 32)])
@pytest.mark.parametrize("table", [True, False])
def test_encapsulated_uncompressed(make: Make, kind: str, bits: int, table: bool) -> None:
    values = noise(kind, bits, 3)
    tags = {"NumberOfFrames": 3, "BitsStored": bits, "HighBit": bits - 1, "table": table}
    series = only(coded(make, [v.tobytes() for v in values], values[0], UNCOMPRESSED, **tags))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    assert series.syntax == "Encapsulated Uncompressed Explicit VR Little Endian"


@pytest.mark.parametrize("planar", [0, 1])
def test_encapsulated_uncompressed_colour(make: Make, planar: int) -> None:
    values = np.random.default_rng(3).integers(0, 256, (2, ROWS, COLUMNS, 3)).astype("u1")
    streams = [(np.moveaxis(v, -1, 0) if planar else v).tobytes() for v in values]
    tags = {**COLOUR, "PlanarConfiguration": planar, "NumberOfFrames": 2}
    series = only(coded(make, streams, values[0, ..., 0], UNCOMPRESSED, **tags))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)


@pytest.mark.parametrize(("stated", "there"), [(1, 4), (2, 3), (5, 3)])
def test_the_frames_of_encapsulated_uncompressed_data_are_counted(
    make: Make, stated: int, there: int
) -> None:
    values = noise("u2", 16, there)
    pieces = [v.tobytes()[a : a + 1000] for v in values for a in range(0, values[0].nbytes, 1000)]
    path = coded(make, pieces, values[0], UNCOMPRESSED, NumberOfFrames=stated, table=False)
    series = only(path)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    assert any("By the header there" in w for w in series.warnings)


# --- JPEG, progressive; JPEG XL ---------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [PROGRESSIVE, SPECTRAL, "1.2.840.10008.1.2.4.50"])
@pytest.mark.parametrize("colour", [True, False])
def test_progressive_jpeg(make: Make, syntax: str, colour: bool) -> None:
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    grey = (3 * row + 2 * column).astype("u1")
    values = np.stack([grey, grey, grey], axis=-1) if colour else grey
    held = io.BytesIO()
    Image.fromarray(values).save(held, "JPEG", quality=98, progressive=True)
    tags = {**COLOUR, "PhotometricInterpretation": "YBR_FULL_422"} if colour else {}
    series = only(coded(make, [held.getvalue()], grey, syntax, **tags))
    assert np.abs(series.voxels[0].astype(int) - values).max() <= 4
    assert "The image was compressed with loss." in series.warnings


def test_jpeg_xl_without_its_decoder_says_what_it_needs(make: Make) -> None:
    study = scan([coded(make, [b"\xff\x0a\0\0"], noise("u1", 8)[0], JPEG_XL)])
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        (entry,) = study.refused
        needs = "JPEG XL Lossless, which needs the package imagecodecs."
        assert entry.reason == f"The image is stored as {needs}"
    else:
        assert not study.refused


@pytest.mark.parametrize(("kind", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 16)])
@pytest.mark.parametrize("syntax", [JPEG_XL, JPEG_XL_ANY])
@pytest.mark.parametrize("boxes", [True, False])
def test_jpeg_xl(make: Make, kind: str, bits: int, syntax: str, boxes: bool) -> None:
    codecs = pytest.importorskip("imagecodecs")
    values = noise(kind, bits, 3)
    unsigned = [v.view(v.dtype.str.replace("i", "u")) for v in values]
    streams = [
        codecs.jpegxl_encode(v, lossless=True, bitspersample=bits, usecontainer=boxes) for v in unsigned
    ]
    tags = {"NumberOfFrames": 2, "BitsStored": bits, "HighBit": bits - 1, "table": False}
    series = only(coded(make, streams, values[0], syntax, **tags))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    assert any("the image data hold 3" in w for w in series.warnings)


def test_jpeg_xl_in_colour(make: Make) -> None:
    codecs = pytest.importorskip("imagecodecs")
    values = np.random.default_rng(3).integers(0, 256, (ROWS, COLUMNS, 3)).astype("u1")
    stream = codecs.jpegxl_encode(values, lossless=True)
    series = only(coded(make, [stream], values[..., 0], JPEG_XL, **COLOUR))
    np.testing.assert_array_equal(series.voxels[0], values)
    again = codecs.jpegxl_encode_jpeg(codecs.jpeg8_encode(np.full_like(values, 90), level=95))
    tags = {**COLOUR, "PhotometricInterpretation": "YBR_FULL_422"}
    series = only(coded(make, [again], values[..., 0], RECOMPRESSED, **tags))
    assert np.abs(series.voxels[0].astype(int) - 90).max() <= 3


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", PROGRESSIVE, "1.2.840.10008.1.2.4.51"])
@pytest.mark.parametrize("stated", [8, 12, 16])
def test_jpeg_of_12_bits_whatever_the_header_says(make: Make, syntax: str, stated: int) -> None:
    codecs = pytest.importorskip("imagecodecs")
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    values = (60 * row + 50 * column).astype("u2")
    stream = codecs.jpeg8_encode(values, level=98, bitspersample=12)
    described = values.astype("u1") if stated == 8 else values
    series = only(coded(make, [stream], described, syntax, BitsStored=stated, HighBit=stated - 1))
    assert np.abs(series.voxels[0].astype(int) - values).max() <= 40


# --- old and rare -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("signed", [True, False])
def test_cells_of_12_bits_two_to_three_bytes(make: Make, frames: int, signed: bool) -> None:
    """An odd number of cells, so that a frame may begin within a byte."""
    values = noise("i2" if signed else "u2", 12, frames)[..., : COLUMNS - COLUMNS % 2 - 1][:, : ROWS - 1]
    plain = (values.astype("i4") & 4095).ravel()
    nibbles = np.stack([plain & 15, plain >> 4 & 15, plain >> 8], axis=1).ravel()
    nibbles = np.append(nibbles, [0] * (-len(nibbles) % 4))
    data = (nibbles[0::2] | nibbles[1::2] << 4).astype("u1").tobytes()
    tags = {"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11, "NumberOfFrames": frames}
    series = only(make("a.dcm", pixels=values, PixelData=data, **tags))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)


def test_cells_of_16_bits_that_are_said_to_have_12(make: Make) -> None:
    values = noise("u2", 12)[0]
    series = only(make("a.dcm", pixels=values, BitsAllocated=12, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert any("by their length these have 16 bits" in w for w in series.warnings)


@pytest.mark.parametrize(("samples", "taken"), [(1, "MONOCHROME2"), (3, "RGB")])
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_colour_type_is_assumed_and_told(make: Make, samples: int, taken: str, empty: bool) -> None:
    values = np.random.default_rng(1).integers(0, 256, (ROWS, COLUMNS, samples)).astype("u1").squeeze()
    tags: dict[str, Any] = {**COLOUR} if samples == 3 else {}
    tags |= {"Rows": ROWS, "Columns": COLUMNS, "PhotometricInterpretation": ""}
    drop = () if empty else ("PhotometricInterpretation",)
    series = only(make("a.dcm", pixels=values, drop=drop, **tags))
    np.testing.assert_array_equal(series.voxels[0], values)
    said = f"The header does not say what the values mean as colours; {taken} is assumed."
    assert said in series.warnings


@pytest.mark.parametrize(
    ("start", "name"), [(b"\x28\xb5\x2f\xfd", "a.zst"), (b"\x28\xb5\x2f\xfd", "a"), (b"\x1f\x9d", "a.Z")]
)
def test_other_archives_are_named_so(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(start + b"\0" * 200)
    (entry,) = scan([tmp_path]).other
    assert entry.reason.startswith("This is a packed archive")


# --- names and windows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东"),
        (b"Li=\x1b$)A\xc0\xee", "Li=李"),
        (b"\x1b$)A\xd5\xc5^\x1b$)A\xc8\xfd", "张^三"),
    ],
)
def test_names_in_iso_2022_ir_58(make: Make, name: bytes, expected: str) -> None:
    placeholder = b"x" * (len(name) + len(name) % 2)
    path = make("a.dcm", SpecificCharacterSet=["", "ISO 2022 IR 58"], PatientName=placeholder.decode())
    path.write_bytes(path.read_bytes().replace(placeholder, name + b" " * (len(name) % 2)))
    assert only(path).identity.patient.rstrip("=") == expected
    shown = [row.value for row in header(path, Limits()) if row.name == "Patient's Name"]
    assert [value.rstrip("=") for value in shown] == [expected]


@pytest.mark.parametrize("width", [0.5, 1.0, 1.01, 1.5, 1.99])
def test_a_narrow_window_on_fractions_counts_no_whole_steps(make: Make, width: float) -> None:
    values = np.arange(1000, dtype=np.uint16).reshape(25, 40)
    tags = {"RescaleSlope": 0.002, "RescaleIntercept": 0, "WindowCenter": 1, "WindowWidth": width}
    series = only(make("a.dcm", pixels=values, Modality="MR", **tags))
    assert default_window(series, 0).function == "LINEAR_EXACT"
    expected = np.clip((values * 0.002 - 1) / width + 0.5, 0, 1)
    np.testing.assert_allclose(presented(series, 0), expected, atol=1e-5)
    whole = only(make("b.dcm", pixels=values, Modality="MR", **{**tags, "RescaleSlope": 1}))
    assert default_window(whole, 0).function == ("LINEAR_EXACT" if width < 1 else "LINEAR")
