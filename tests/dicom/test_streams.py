# SPDX-License-Identifier: Apache-2.0
"""Where a header says another thing than the image data: they are shown as they are, and it is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import Make, frame, write_enhanced
from openjpeg.utils import PhotometricInterpretation, encode_array
from pydicom.encaps import encapsulate

from viewer.dicom import scan
from viewer.dicom.streams import Stream, stream_of
from viewer.types import Series

JPEG, JPEG_14, JPEG_LS, RLE = (f"1.2.840.10008.1.2.{end}" for end in ("4.50", "4.70", "4.80", "5"))
JPEG_2000 = "1.2.840.10008.1.2.4.90"
ROWS, COLUMNS = 70, 83


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def noise(kind: str = "u2", low: int = 0, high: int = 4095, frames: int = 1) -> np.ndarray:
    values = np.random.default_rng(1).integers(low, high + 1, (frames, ROWS, COLUMNS))
    values[:, 0, 0], values[:, -1, -1] = low, high
    return values.astype(kind)


def j2k(values: np.ndarray, bits: int = 0) -> bytes:
    colour = PhotometricInterpretation.RGB if values.ndim == 3 else PhotometricInterpretation.MONOCHROME2
    return bytes(
        encode_array(values, bits_stored=bits or 8 * values.dtype.itemsize, photometric_interpretation=colour)
    )


def jls(values: np.ndarray) -> bytes:
    import jpeg_ls

    return bytes(jpeg_ls.encode_array(values))


def jpeg(values: np.ndarray) -> bytes:
    import io

    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(values).save(held, "JPEG", quality=95)
    return held.getvalue()


def about(series: Series) -> list[str]:
    return [w for w in series.warnings if "image data" in w or "Behind" in w]


def coded(make: Make, stream: bytes | list[bytes], values: np.ndarray, syntax: str, **tags: Any) -> Path:
    """A file whose header describes values, and whose data are a stream."""
    streams = [stream] if isinstance(stream, bytes) else stream
    data = encapsulate(streams, has_bot=tags.pop("table", True))
    return make("a.dcm", pixels=values, TransferSyntaxUID=syntax, PixelData=data, **tags)


# --- sign, bits, size, components ------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-1000, 1000), (-32768, 32767), (-5, -1)])
def test_a_signed_stream_under_an_unsigned_header(make: Make, low: int, high: int) -> None:
    values = noise("i2", low, high)[0]
    series = only(coded(make, j2k(values), values.view("u2"), JPEG_2000))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert about(series) == [
        "The header says values without a sign, the image data have one: read as the data say."
    ]


def test_twos_complement_in_a_stream_without_a_sign_is_told(make: Make) -> None:
    values = noise("i2", -900, 900)[0]
    series = only(coded(make, j2k(values.view("u2")), values, JPEG_2000))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert "two's complement of 16 bits" in about(series)[0]


@pytest.mark.parametrize(("encode", "syntax"), [(j2k, JPEG_2000), (jls, JPEG_LS)])
@pytest.mark.parametrize("stated", [8, 10, 12])
def test_no_bit_of_a_stream_is_cut_off(make: Make, encode: Any, syntax: str, stated: int) -> None:
    values = noise("u2", 0, 65535)[0]
    series = only(coded(make, encode(values), values, syntax, BitsStored=stated, HighBit=stated - 1))
    np.testing.assert_array_equal(series.voxels[0], values)
    said = f"The header says {stated} bits a value, the image data 16: read as the data say."
    assert about(series) == [said]
    assert series.display.stored_range == (0, 65535)


@pytest.mark.parametrize(("encode", "syntax"), [(j2k, JPEG_2000), (jls, JPEG_LS)])
def test_a_stream_of_more_bits_than_the_headers_cells(make: Make, encode: Any, syntax: str) -> None:
    values = noise("u2", 0, 65535)[0]
    series = only(coded(make, encode(values), values.astype("u1"), syntax))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert about(series) == ["The header says 8 bits a value, the image data 16: read as the data say."]


@pytest.mark.parametrize(("encode", "syntax"), [(j2k, JPEG_2000), (jls, JPEG_LS)])
@pytest.mark.parametrize("stated", [(ROWS, ROWS), (COLUMNS, ROWS), (2 * ROWS, 2 * COLUMNS)])
def test_the_size_is_that_of_the_stream(
    make: Make, encode: Any, syntax: str, stated: tuple[int, int]
) -> None:
    values = noise()[0]
    series = only(coded(make, encode(values), values, syntax, Rows=stated[0], Columns=stated[1]))
    np.testing.assert_array_equal(series.voxels[0], values)
    (said,) = about(series)
    assert f"{stated[1]} × {stated[0]} pixels, the image data are {COLUMNS} × {ROWS}" in said
    assert series.geometry.spacing_kind == "absent"


@pytest.mark.parametrize("stated", [10, 12, 16])
def test_jpeg_of_fewer_bits_than_the_headers_cells(make: Make, stated: int) -> None:
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    values = (row + column).astype("u1")
    tags = {"BitsStored": stated, "HighBit": stated - 1}
    series = only(coded(make, jpeg(values), values.astype("u2"), JPEG, **tags))
    assert np.abs(series.voxels[0].astype(int) - values).max() <= 3
    assert about(series) == [
        f"The header says {stated} bits a value, the image data 8: read as the data say."
    ]


def test_components_are_those_of_the_stream(make: Make) -> None:
    colour = np.random.default_rng(2).integers(0, 256, (ROWS, COLUMNS, 3)).astype("u1")
    series = only(coded(make, j2k(colour), colour[..., 0], JPEG_2000))
    np.testing.assert_array_equal(series.voxels[0], colour)
    said = "The header says 1 value a pixel, the image data hold 3: shown in colour."
    assert about(series) == [said]
    grey = noise("u1", 0, 255)[0]
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    series = only(coded(make, j2k(grey), grey, JPEG_2000, **tags))
    np.testing.assert_array_equal(series.voxels[0], grey)
    assert about(series) == ["The header says 3 values a pixel, the image data hold 1: shown in grey."]
    flat = np.full((ROWS, COLUMNS, 3), (200, 30, 60), "u1")
    series = only(coded(make, jpeg(flat), flat[..., 0], JPEG))
    assert np.abs(series.voxels[0].astype(int) - flat).max() <= 3


@pytest.mark.parametrize(("encode", "kind"), [(j2k, "JPEG 2000"), (jls, "JPEG-LS")])
def test_another_codec_than_the_header_names(make: Make, encode: Any, kind: str) -> None:
    values = noise()[0]
    series = only(coded(make, encode(values), values, JPEG_14))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert any(said.endswith(f"its data are {kind}, and are read as that.") for said in series.warnings)


def test_what_a_stream_says() -> None:
    values = noise("u2", 0, 4095)[0]
    assert stream_of(j2k(values, 12)) == Stream("JPEG 2000", ROWS, COLUMNS, 1, 12, False)
    assert stream_of(j2k(values.astype("i2"))) == Stream("JPEG 2000", ROWS, COLUMNS, 1, 16, True)
    assert stream_of(jls(values)) == Stream("JPEG-LS", ROWS, COLUMNS, 1, 12)
    coloured = stream_of(jpeg(np.zeros((ROWS, COLUMNS, 3), "u1")))
    assert coloured == Stream("JPEG", ROWS, COLUMNS, 3, 8, None, luminance=True)
    assert [stream_of(j2k(values)[:n]) for n in (0, 3, 20, 41)] == [None] * 4
    assert stream_of(b"\xff\xd8\xff" + b"\xff" * 50) is None
    for at, size in ((8, b"\xdd\xe0\1\0"), (8, b"\0\0\0\0"), (12, b"\0\1\0\0")):  # no image has it
        whole = j2k(values)
        assert stream_of(whole[:at] + size + whole[at + 4 :]) is None


# --- frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [1, 2, None])
@pytest.mark.parametrize("there", [3, 5])
def test_more_frames_than_stated(make: Make, stated: int | None, there: int) -> None:
    values = noise(frames=there)
    tags = {} if stated is None else {"NumberOfFrames": stated}
    series = only(make("a.dcm", pixels=values, **tags))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    many = "is 1 frame" if (stated or 1) == 1 else f"are {stated} frames"
    said = f"By the header there {many}, the image data hold {there}: all {there} are shown."
    assert about(series) == [said]


@pytest.mark.parametrize("stated", [1, 2])
@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize(("encode", "syntax"), [(j2k, JPEG_2000), (jls, JPEG_LS)])
def test_more_compressed_frames_than_stated(
    make: Make, encode: Any, syntax: str, table: bool, stated: int
) -> None:
    values = noise(frames=4)
    streams = [encode(one) for one in values]
    series = only(coded(make, streams, values[0], syntax, NumberOfFrames=stated, table=table))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    assert len(about(series)) == 1


def test_a_frame_in_many_fragments_is_one(make: Make) -> None:
    values = noise()[0]
    stream = j2k(values)
    data = encapsulate([stream], fragments_per_frame=4, has_bot=False)
    series = only(make("a.dcm", pixels=values, TransferSyntaxUID=JPEG_2000, PixelData=data))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values[None])
    assert about(series) == []
    series = only(make("a.dcm", pixels=values, TransferSyntaxUID=JPEG_2000, PixelData=data, NumberOfFrames=4))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values[None])
    said = "By the header there are 4 frames, the image data hold 1 whole one: 3 are missing."
    assert about(series) == [said]


@pytest.mark.parametrize("missing", [1, 2, 4])
def test_the_whole_frames_of_cut_data_are_shown(make: Make, missing: int) -> None:
    values = noise(frames=5)
    path = make("a.dcm", pixels=values, NumberOfFrames=5)
    size = values[0].nbytes
    path.write_bytes(path.read_bytes()[: -size * missing + size // 2])
    series = only(path)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values[:-missing])
    assert f"{missing} {'is' if missing == 1 else 'are'} missing." in about(series)[0]


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("table", [True, False])
def test_the_whole_frames_of_cut_compressed_data_are_shown(make: Make, fragments: int, table: bool) -> None:
    values = noise(frames=4)
    streams = [j2k(one) for one in values]
    data = encapsulate(streams, fragments_per_frame=fragments, has_bot=table)
    path = make("a.dcm", pixels=values[0], TransferSyntaxUID=JPEG_2000, PixelData=data, NumberOfFrames=4)
    path.write_bytes(path.read_bytes()[: -len(streams[-1]) // 4])
    series = only(path)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values[:3])
    assert about(series) == [
        "By the header there are 4 frames, the image data hold 3 whole ones: 1 is missing."
    ]


def test_frames_that_are_described_and_missing_or_more(tmp_path: Path) -> None:
    """Described frames keep their places; what nobody describes has none and is a series of its own."""
    described = [frame((0, 0, 2.0 * k)) for k in range(4)]
    path = write_enhanced(tmp_path / "a.dcm", described)
    whole = np.stack(list(only(path).voxels))
    size = whole[0].nbytes
    path.write_bytes(path.read_bytes()[: -size - size // 2])
    series = only(path)
    np.testing.assert_array_equal(np.stack(list(series.voxels)), whole[:2])
    assert (series.geometry.volume, series.geometry.spacing[0]) == (True, 2.0)


def test_an_empty_offset_table_is_no_damage(make: Make) -> None:
    values = noise(frames=3)
    streams = [j2k(one) for one in values]
    series = only(coded(make, streams, values[0], JPEG_2000, NumberOfFrames=3, table=False))
    np.testing.assert_array_equal(np.stack(list(series.voxels)), values)
    assert about(series) == []


def test_padding_is_no_frame(make: Make) -> None:
    values = np.array([[7]], "u1")
    assert about(only(make("a.dcm", pixels=values, PixelData=b"\7\0"))) == []
    values = noise()[0]
    series = only(make("a.dcm", pixels=values, PixelData=values.tobytes() + b"\0" * 200))
    assert series.shape[0] == 1
    assert about(series) == ["Behind the last frame lie 200 bytes of image data that are not shown."]


# --- bits that contradict each other ---------------------------------------------------------------


@pytest.mark.parametrize("high_bit", [0, 7, 40])
def test_a_highest_bit_that_cannot_be(make: Make, high_bit: int) -> None:
    values = noise()[0]
    series = only(make("a.dcm", pixels=values, BitsStored=12, HighBit=high_bit))
    np.testing.assert_array_equal(series.voxels[0], values)
    assert f"bit {high_bit} is the highest of 12 bits a value; read with bit 11" in series.warnings[-1]


@pytest.mark.parametrize(("stored", "allocated", "kind"), [(16, 8, "u1"), (12, 8, "u2"), (17, 16, "u2")])
def test_more_bits_stored_than_allocated(make: Make, stored: int, allocated: int, kind: str) -> None:
    values = noise(kind, 0, 255)[0]
    tags = {"BitsAllocated": allocated, "BitsStored": stored, "HighBit": stored - 1}
    series = only(make("a.dcm", pixels=values, **tags))
    np.testing.assert_array_equal(series.voxels[0], values)
    said = f"The header says {stored} bits a value in cells of {allocated}; by their length these have"
    assert any(w.startswith(said) for w in series.warnings)
