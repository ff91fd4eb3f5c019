# SPDX-License-Identifier: Apache-2.0
"""One picture in every transfer syntax, depth and colour space: what comes out is what was put in.

All files are made synthetic, by other encoders than the decoders that the program uses where there are such.
"""

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from dicom_files import DEFLATED_FRAMES, Make, deflated, write
from openjpeg.utils import PhotometricInterpretation, encode_array
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from viewer.dicom import scan
from viewer.errors import SeriesError
from viewer.types import Series

JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_14, JPEG_14_1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_2000_LOSSLESS, JPEG_2000 = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
NATIVE = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
)  # fmt: skip
ROWS, COLUMNS = 70, 83
DEPTHS = [(8, 8, False), (8, 8, True), (16, 16, False), (16, 16, True), (16, 12, True), (16, 12, False)]
DEEP = [(32, 32, False), (32, 32, True), (32, 20, True)]


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def noise(allocated: int, stored: int, signed: bool, frames: int = 1) -> np.ndarray:
    """Any value that the bits can hold, both ends among them: (frames, rows, columns)."""
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    values = np.random.default_rng(stored).integers(low, high + 1, (frames, ROWS, COLUMNS))
    values[:, 0, 0], values[:, -1, -1] = low, high
    return values.astype(f"{'i' if signed else 'u'}{allocated // 8}")


def colours(kind: str = "u1", frames: int = 1) -> np.ndarray:
    most = 256 if kind == "u1" else 65536
    values = np.random.default_rng(3).integers(0, most, (frames, ROWS, COLUMNS, 3))
    return values.astype(kind)


def smooth(most: int) -> np.ndarray:
    """A gentle hill, which lossy codecs keep nearly as it is."""
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    hill = np.exp(-((row - 30) ** 2 + (column - 45) ** 2) / 900)
    return np.rint(most * (0.1 + 0.8 * hill)).astype(np.uint16 if most > 255 else np.uint8)


def described(values: np.ndarray, stored: int, **tags: Any) -> dict[str, Any]:
    """What the header says of (frames, rows, columns[, 3]) values."""
    colour = values.ndim == 4
    return {
        "Rows": values.shape[1], "Columns": values.shape[2], "NumberOfFrames": len(values),
        "BitsStored": stored, "HighBit": stored - 1, "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        **({"PlanarConfiguration": 0} if colour else {}), **tags,
    }  # fmt: skip


def assert_same(path: Path, values: np.ndarray) -> None:
    series = only(path)
    found = np.stack(list(series.voxels))
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


# --- native ---------------------------------------------------------------------------------------


def native(path: Path, values: np.ndarray, syntax: UID, stored: int, **tags: Any) -> Path:
    """A file in a native syntax, with its bytes in that order."""
    write(path, values.reshape(-1, *values.shape[-2:])[0], **described(values, stored, **tags))
    dataset = pydicom.dcmread(path)
    stored_as = np.moveaxis(values, -1, 1) if tags.get("PlanarConfiguration") == 1 else values
    big = syntax == ExplicitVRBigEndian
    data = stored_as.astype(stored_as.dtype.newbyteorder(">" if big else "<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = (
        "OB" if values.dtype.itemsize == 1 and syntax != ImplicitVRLittleEndian else "OW"
    )
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit = syntax == ImplicitVRLittleEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=not big, force_encoding=True)
    return path


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS + DEEP)
def test_native_depths(tmp_path: Path, syntax: UID, allocated: int, stored: int, signed: bool) -> None:
    values = noise(allocated, stored, signed, frames=3)
    path = native(tmp_path / "n.dcm", values, syntax, stored, PixelRepresentation=int(signed))
    assert_same(path, values)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_native_colours(tmp_path: Path, syntax: UID, planar: int, kind: str) -> None:
    values = colours(kind, frames=2)
    path = native(
        tmp_path / "n.dcm", values, syntax, 8 * values.dtype.itemsize, PlanarConfiguration=planar,
        PixelRepresentation=0, BitsAllocated=8 * values.dtype.itemsize,
    )  # fmt: skip
    assert_same(path, values)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("signed", [True, False])
def test_garbage_above_the_stored_bits_is_not_seen(tmp_path: Path, syntax: UID, signed: bool) -> None:
    values = noise(16, 12, signed)
    litter = np.random.default_rng(9).integers(0, 16, values.shape).astype(np.uint16) << 12
    dirty = ((values.view(np.uint16) & 0xFFF) | litter).view(values.dtype)
    path = native(tmp_path / "n.dcm", dirty, syntax, 12, PixelRepresentation=int(signed))
    assert_same(path, values)


@pytest.mark.parametrize("syntax", [*NATIVE, DEFLATED_FRAMES])
def test_single_bits_of_frames_that_end_within_a_byte(make: Make, syntax: str) -> None:
    values = np.random.default_rng(1).integers(0, 2, (3, ROWS, 5)).astype(np.uint8)
    tags = described(values, 1, BitsAllocated=1, PixelRepresentation=0, Modality="OT")
    if syntax == DEFLATED_FRAMES:
        data = encapsulate([deflated(np.packbits(v, bitorder="little").tobytes()) for v in values])
        assert_same(make("b.dcm", TransferSyntaxUID=syntax, PixelData=data, **tags), values)
        return
    packed = np.packbits(values.reshape(-1), bitorder="little").tobytes()
    path = make("b.dcm", pixels=values[0], PixelData=packed + b"\0" * (len(packed) % 2), **tags)
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].VR = "OW" if syntax == ImplicitVRLittleEndian else "OB"
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    pydicom.dcmwrite(
        path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian, force_encoding=True,
    )  # fmt: skip
    assert_same(path, values)


@pytest.mark.parametrize("syntax", NATIVE)
def test_native_luminance_and_colour_differences(tmp_path: Path, syntax: UID) -> None:
    rgb = colours()
    full = convert_color_space(rgb, "RGB", "YBR_FULL")
    path = native(
        tmp_path / "y.dcm", full, syntax, 8, PhotometricInterpretation="YBR_FULL", PixelRepresentation=0
    )
    assert_same(path, convert_color_space(full, "YBR_FULL", "RGB"))


# --- compressed -----------------------------------------------------------------------------------


def compressed(
    path: Path, syntax: str, streams: list[bytes], values: np.ndarray, stored: int, **tags: Any
) -> Path:
    first = values.reshape(-1, *values.shape[-2:])[0]
    facts = described(values, stored, **tags)
    return write(path, first, TransferSyntaxUID=syntax, PixelData=encapsulate(streams), **facts)


def by_pydicom(
    path: Path, values: np.ndarray, syntax: UID, stored: int, signed: bool, **settings: Any
) -> Path:
    """Compressed by the encoder that pydicom offers."""
    flat = values.reshape(-1, *values.shape[-2:])[0]
    write(
        path, flat, **described(values, stored, PixelRepresentation=int(signed)), PixelData=values.tobytes()
    )
    dataset = pydicom.dcmread(path)
    dataset["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    dataset.compress(syntax, **settings)
    dataset.save_as(path)
    return path


def run_lengths(values: np.ndarray) -> bytes:
    """A grey frame as RLE of literal runs: a segment for each byte, the highest first (PS3.5 G.3)."""
    planes = values.astype(values.dtype.newbyteorder(">")).reshape(-1, 1).view(np.uint8).T
    segments = []
    for plane in planes:
        runs = [plane[k : k + 128].tobytes() for k in range(0, plane.size, 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + b"\x80" * (len(segment) % 2))
    starts = np.cumsum([64, *map(len, segments)])[:-1]
    head = np.zeros(16, "<u4")
    head[: len(segments) + 1] = [len(segments), *starts]
    return head.tobytes() + b"".join(segments)


@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS + DEEP)
def test_rle(tmp_path: Path, allocated: int, stored: int, signed: bool) -> None:
    values = noise(allocated, stored, signed, frames=3)
    streams = [run_lengths(v) for v in values]
    path = compressed(
        tmp_path / "r.dcm", RLELossless, streams, values, stored, PixelRepresentation=int(signed)
    )
    assert_same(path, values)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_rle_in_colour(tmp_path: Path, kind: str) -> None:
    values = colours(kind, frames=2)
    bits = 8 * values.dtype.itemsize
    path = tmp_path / "r.dcm"
    assert_same(by_pydicom(path, values, RLELossless, bits, False, encoding_plugin="pydicom"), values)


@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS)
def test_jpeg_ls(tmp_path: Path, allocated: int, stored: int, signed: bool) -> None:
    values = noise(allocated, stored, signed, frames=2)
    assert_same(by_pydicom(tmp_path / "l.dcm", values, JPEGLSLossless, stored, signed), values)


@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS)
@pytest.mark.parametrize("error", [1, 3])
def test_jpeg_ls_near_lossless_stays_within_its_bound(
    tmp_path: Path, allocated: int, stored: int, signed: bool, error: int
) -> None:
    values = noise(allocated, stored, signed)
    if signed:  # coded as if it were not: near either end of the bits is not near in value
        values = (
            np.abs(values.astype(np.int64)).clip(error, (1 << stored - 1) - 1 - error).astype(values.dtype)
        )
    path = by_pydicom(tmp_path / "l.dcm", values, JPEGLSNearLossless, stored, signed, jls_error=error)
    series = only(path)
    off = np.abs(series.voxels[0].astype(np.int64) - values[0])
    assert 0 < off.max() <= error
    assert "The image was compressed with loss." in series.warnings


@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS)
def test_jpeg_2000(tmp_path: Path, allocated: int, stored: int, signed: bool) -> None:
    values = noise(allocated, stored, signed, frames=2)
    streams = [encode_array(v, bits_stored=stored) for v in values]
    path = compressed(
        tmp_path / "j.dcm", JPEG_2000_LOSSLESS, streams, values, stored, PixelRepresentation=int(signed)
    )
    assert_same(path, values)


@pytest.mark.parametrize("reversible", [True, False])
def test_jpeg_2000_with_its_colour_transforms(tmp_path: Path, reversible: bool) -> None:
    """YBR_RCT and YBR_ICT are undone by the decoder: colours are RGB, and are not converted twice."""
    values = np.stack([smooth(255), smooth(200), 255 - smooth(255)], axis=-1)[None]
    stream = encode_array(
        values[0], bits_stored=8, photometric_interpretation=PhotometricInterpretation.RGB,
        use_mct=True, compression_ratios=None if reversible else [2],
    )  # fmt: skip
    photometric = "YBR_RCT" if reversible else "YBR_ICT"
    syntax = JPEG_2000_LOSSLESS if reversible else JPEG_2000
    path = compressed(
        tmp_path / "j.dcm", syntax, [stream], values, 8, PhotometricInterpretation=photometric,
        PixelRepresentation=0, BitsAllocated=8,
    )  # fmt: skip
    off = np.abs(only(path).voxels[0].astype(int) - values[0])
    assert off.max() <= (0 if reversible else 12)


SIGNED = (np.arange(24).reshape(4, 6) * 173 - 2000).astype(np.int16)
BY_OPENJPH = (
    "ff4fff5100294000000000060000000400000000000000000000000600000004000000000000000000018f0101ff50000800"
    "020000000aff52000c00020001000504044001ff5c00132088909090909090909090909090888888ff64001700014f70656e"
    "4a50482056657220302e32362e332eff90000a00000000004f0001ff93c00025b3020774000000c0001300bcfd02877400c0"
    "0012c0001500e9000774003ed247fe00e23400c000278000558058b1fe818b74001aa8010dfc002100775600ffd9"
)


def test_signed_htj2k(make: Make) -> None:
    """Encoded once, by OpenJPH."""
    stream = bytes.fromhex(BY_OPENJPH)
    path = make("h.dcm", pixels=SIGNED, TransferSyntaxUID=HTJ2K_LOSSLESS, PixelData=encapsulate([stream]))
    np.testing.assert_array_equal(only(path).voxels[0], SIGNED)


@pytest.mark.parametrize("syntax", [JPEG_14, JPEG_14_1])
@pytest.mark.parametrize(("allocated", "stored", "signed"), DEPTHS)
def test_lossless_jpeg(tmp_path: Path, syntax: str, allocated: int, stored: int, signed: bool) -> None:
    values = noise(allocated, stored, signed, frames=2)
    assert_same(by_gdcm(tmp_path / "j.dcm", values, syntax, stored, signed), values)


def by_gdcm(path: Path, values: np.ndarray, syntax: str, stored: int, signed: bool) -> Path:
    """Compressed by GDCM's JPEG."""
    plain = path.with_suffix(".plain")
    native(plain, values, ExplicitVRLittleEndian, stored, PixelRepresentation=int(signed))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(plain))
    assert reader.Read()
    kinds = gdcm.TransferSyntax
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(kinds(kinds.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    plain.unlink()
    return path


def test_jpeg_with_twelve_bits(tmp_path: Path) -> None:
    values = smooth(4095)[None]
    series = only(by_gdcm(tmp_path / "j.dcm", values, JPEG_EXTENDED, 12, False))
    assert np.abs(series.voxels[0].astype(int) - values[0]).max() <= 40
    assert series.voxels[0].max() > 3000
    assert "The image was compressed with loss." in series.warnings


@pytest.mark.parametrize("content", [np.uint8, np.int16, np.uint32])
def test_deflated_frames(tmp_path: Path, content: type) -> None:
    values = noise(8 * np.dtype(content).itemsize, 8 * np.dtype(content).itemsize, content is np.int16, 3)
    streams = [deflated(v.tobytes()) for v in values]
    path = compressed(tmp_path / "d.dcm", DEFLATED_FRAMES, streams, values, 8 * values.dtype.itemsize)
    series = only(path)
    assert series.syntax == "Deflated Image Frame Compression"
    assert_same(path, values)


@pytest.mark.parametrize("planar", [0, 1])
def test_deflated_frames_in_colour(tmp_path: Path, planar: int) -> None:
    values = colours(frames=2)
    streams = [deflated((np.moveaxis(v, -1, 0) if planar else v).tobytes()) for v in values]
    facts = {"PlanarConfiguration": planar, "PixelRepresentation": 0, "BitsAllocated": 8}
    assert_same(compressed(tmp_path / "d.dcm", DEFLATED_FRAMES, streams, values, 8, **facts), values)


@pytest.mark.parametrize("data", [b"\0" * 10, b"\0" * 10_000_000, b""])
def test_a_deflated_frame_of_another_size_costs_a_sentence(tmp_path: Path, data: bytes) -> None:
    values = noise(8, 8, False)
    path = compressed(tmp_path / "d.dcm", DEFLATED_FRAMES, [deflated(data)], values, 8)
    with pytest.raises(SeriesError, match="its image data are damaged"):
        only(path).voxels[0]


# --- palettes -------------------------------------------------------------------------------------


def palette(first: int, entries: np.ndarray, bits: int) -> dict[str, Any]:
    """Three tables, and what describes them; `entries` are (entries, 3)."""
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "PixelRepresentation": 0}
    for k, name in enumerate(("Red", "Green", "Blue")):
        data = entries[:, k].astype("<u2" if bits == 16 else "u1").tobytes()
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), first, bits]
        tags[f"{name}PaletteColorLookupTableData"] = data + b"\0" * (len(data) % 2)
    return tags


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, DEFLATED_FRAMES])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("first", [0, 40])
@pytest.mark.parametrize("depth", [8, 16])
def test_palettes(tmp_path: Path, syntax: str, bits: int, first: int, depth: int) -> None:
    """Values below the first entry get the first, above the last the last (PS3.3 C.7.6.3.1.6)."""
    entries = np.random.default_rng(2).integers(0, 1 << bits, (100, 3))
    values = np.random.default_rng(5).integers(0, 200, (1, ROWS, COLUMNS)).astype(f"u{depth // 8}")
    tags = palette(first, entries, bits)
    if syntax == RLELossless:
        path = write(tmp_path / "p.dcm", values[0], **tags)
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    elif syntax == DEFLATED_FRAMES:
        path = write(
            tmp_path / "p.dcm", values[0], TransferSyntaxUID=syntax, **tags,
            PixelData=encapsulate([deflated(values.tobytes())]),
        )  # fmt: skip
    else:
        path = write(tmp_path / "p.dcm", values[0], **tags)
    looked_up = entries[np.clip(values[0].astype(int) - first, 0, 99)]
    expected = looked_up >> 8 if bits == 16 else looked_up
    np.testing.assert_array_equal(only(path).voxels[0], expected)


def test_a_palette_in_segments(make: Make) -> None:
    """Discrete, linear and indirect segments (PS3.3 C.7.9.2)."""
    red = [0, 2, 0, 10_000, 1, 98, 60_000, 0, 2, 3, 4]  # two values, a line of 98 more, two values
    tags = palette(0, np.zeros((1, 3), int), 16)
    for name in ("Red", "Green", "Blue"):
        del tags[f"{name}PaletteColorLookupTableData"]
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [102, 0, 16]
        tags[f"Segmented{name}PaletteColorLookupTableData"] = np.asarray(red, "<u2").tobytes()
    values = np.arange(102, dtype=np.uint8).reshape(6, 17)
    found = only(make("p.dcm", pixels=values, **tags)).voxels[0].reshape(-1, 3)
    line = 10_000 + (60_000 - 10_000) * np.arange(1, 99) / 98
    expected = np.concatenate([[0, 10_000], line, [3, 4]]) / 256
    np.testing.assert_allclose(found[:, 0], expected, atol=1.01)
    np.testing.assert_array_equal(found[:, 0], found[:, 2])


def test_sixteen_bits_that_hold_eight_are_told_by_their_values(make: Make) -> None:
    """Some files give entries of 0…255 and call them 16 bits: shown as they are meant, not black."""
    entries = np.stack([np.arange(256)] * 3, axis=-1)
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = only(make("p.dcm", pixels=values, **palette(0, entries, 16))).voxels[0]
    np.testing.assert_array_equal(found[..., 1], values)
