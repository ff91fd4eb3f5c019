# SPDX-License-Identifier: Apache-2.0
"""From one file to the facts of its image, without its pixels; files are hostile until shown otherwise."""

import functools
import importlib.util
import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from viewer.dicom import elements as get
from viewer.dicom import plain
from viewer.dicom.elements import Dataset, pydicom
from viewer.dicom.facts import COLOURS, GREYS, Pixels
from viewer.dicom.pixel_codecs import DEFLATED_FRAMES, JPEG_2000
from viewer.errors import SeriesError
from viewer.settings import Limits

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
NATIVE = frozenset({IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED})
_USUAL = frozenset(
    {IMPLICIT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", *JPEG_2000}
    | {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81)}
)
"""Transfer syntaxes in little endian whose data set follows as it is."""
_VIDEO = tuple(f"1.2.840.10008.1.2.4.10{n}" for n in range(9))
"""MPEG-2, MPEG-4 and HEVC, and their fragmentable kinds."""
_FLOATING = {0x7FE00008: 32, 0x7FE00009: 64}
"""Bits of a value of the pixel data that are decimal (PS3.3 C.7.6.24, C.7.6.25)."""
BLOCK = 16 * 1024
"""Bytes that are read of every file: more than most headers have."""
_TOLD = 4096
"""Bytes at the beginning by which a file is told from others."""
_LARGE_ELEMENT = 8 * 1024**2
_LONG_LENGTH = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
_UNDEFINED = 0xFFFFFFFF


class NotAnImage(Exception):  # noqa: N818 - a finding, not an error
    """The file is healthy and not an image for this program; the message says what it is."""


class _Bounded(io.RawIOBase):
    """A file of which only so many bytes can be read: a header that wants more is not a header."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise SeriesError("The file's header is longer than the limit allows.")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _inflated(path: Path, meta: Any, limits: Limits) -> bytes:
    """The start of a deflated data set, so much that a header fits; never more (a bomb stays small)."""
    start = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        file.seek(start)
        packed = file.read(limits.header_bytes)
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limits.header_bytes)
    except zlib.error as error:
        raise SeriesError("The file is deflated, and its packed data are damaged.") from error


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """A file's data set up to its pixels, its meta information, and where the pixels are.

    `syntax` is the transfer syntax, from how the file was read where it does not say.
    """

    path: Path
    status: os.stat_result
    """What the system says of the file."""
    dataset: Dataset
    pixel_data: "PixelData | None"
    syntax: str
    meta_elements: plain.Elements

    @property
    def meta(self) -> Dataset:
        """The file meta information."""
        return Dataset(self.meta_elements)

    def fingerprint(self, block: bytes) -> bytes:
        """What tells the file from others: its size, when it was written, and how it begins.

        It stays where a file is moved or renamed, and where a copy keeps the time. It misses an edit behind
        the first 4 KiB by a tool that keeps the size and sets the time back. A copy with a time of its own
        counts as another file, which costs a run and never a wrong answer.
        """
        # No hash, and no more of the file: a scan has little more than 0.1 ms for each.
        begins = zlib.crc32(memoryview(block)[:_TOLD])
        return struct.pack("<QqL", self.status.st_size, self.status.st_mtime_ns, begins)


def header_of(path: Path, limits: Limits) -> Header:
    """The header of a file; reads at most `limits.header_bytes` of it."""
    with path.open("rb", buffering=BLOCK) as file:
        return read_header(path, file, file.read(BLOCK), limits)


def read_header(path: Path, file: BinaryIO, block: bytes, limits: Limits) -> Header:
    """The header of an open file, of which the first block has been read."""
    status = os.fstat(file.fileno())
    size = status.st_size
    found = _usual(path, file, block, status, limits)
    if found is not None:
        return found
    file.seek(132 if block[128:132] == b"DICM" else 0)
    meta = pydicom.filereader._read_file_meta_info(file) if file.tell() else None
    if meta is not None and str(meta.get("TransferSyntaxUID", "")) == DEFLATED:
        inflated = io.BytesIO(_inflated(path, meta, limits))
        dataset = pydicom.filereader.read_dataset(inflated, False, True, stop_when=_at_pixels)
        return Header(path, status, dataset, _pixel_data(inflated, True), DEFLATED, meta._dict)
    file.seek(0)
    bounded = _bounded(file, size, limits.header_bytes)
    dataset = pydicom.dcmread(bounded, defer_size=_LARGE_ELEMENT, stop_before_pixels=True, force=True)
    meta = getattr(dataset, "file_meta", Dataset())
    pixel_data = _pixel_data(file, bool(dataset.original_encoding[1]))
    return Header(path, status, dataset, pixel_data, _syntax(dataset, meta), meta._dict)


def _bounded(file: BinaryIO, size: int, most: int) -> BinaryIO:
    """A file from which a header of at most so many bytes can be read."""
    return file if size <= most else cast(BinaryIO, _Bounded(file, most))


def _usual(path: Path, file: BinaryIO, block: bytes, status: os.stat_result, limits: Limits) -> Header | None:
    """The header of a file of the usual kinds; None where pydicom must read it all."""
    most = limits.header_bytes
    found = plain.beginning(block[:most], _USUAL, IMPLICIT) if block[128:132] == b"DICM" else None
    if found is None:
        return None
    try:
        return _completed(path, file, block, status, limits.header_bytes, found)
    except (EOFError, NotImplementedError):
        return None


def _completed(
    path: Path, file: BinaryIO, block: bytes, status: os.stat_result, most: int, found: plain.Beginning
) -> Header:
    """The header that begins so; what is not plain, or lies beyond the block, is read by pydicom."""
    elements, end = found.elements, found.end
    pixel_data = _pixel_data_of(block[end : end + 12], end, True)
    dataset: Dataset
    if pixel_data is None:
        file.seek(end)
        rest = _bounded(file, status.st_size - end, most - end)
        elements |= plain.rest(rest, elements, found.implicit, _at_pixels, _LARGE_ELEMENT)
        pixel_data = _pixel_data(file, True)
        dataset = pydicom.FileDataset(rest, elements, b"", None, found.implicit, True)
    else:
        dataset = Dataset(elements)
    dataset.set_original_encoding(found.implicit, True, plain.encodings_of(elements))
    return Header(path, status, dataset, pixel_data, found.syntax, found.meta)


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)


class PixelData:
    """The pixel data element: its tag, where its value begins, and its length (None: encapsulated)."""

    def __init__(self, tag: int, offset: int, length: int | None) -> None:
        self.tag = tag
        self.offset = offset
        self.length = length


def _pixel_data(file: BinaryIO, little: bool) -> PixelData | None:
    """Parse the element at which pydicom stopped; None at the end of the file."""
    start = file.tell()
    return _pixel_data_of(file.read(12), start, little)


def _pixel_data_of(head: bytes, start: int, little: bool) -> PixelData | None:
    """The pixel data element of which these are the first bytes; None if it is another."""
    if len(head) < 8:
        return None
    order = "<" if little else ">"
    group, element = struct.unpack(f"{order}HH", head[:4])
    if not _at_pixels(group << 16 | element, None, 0):
        return None
    if head[4:6].isalpha() and head[4:6].isupper():
        long = head[4:6] in _LONG_LENGTH
        if long and len(head) < 12:
            return None
        length = (
            struct.unpack(f"{order}L", head[8:12])[0] if long else struct.unpack(f"{order}H", head[6:8])[0]
        )
        offset = start + (12 if long else 8)
    else:
        length, offset = struct.unpack(f"{order}L", head[4:8])[0], start + 8
    return PixelData(group << 16 | element, offset, None if length == _UNDEFINED else length)


def _syntax(dataset: Dataset, meta: Dataset) -> str:
    """The transfer syntax that a file states, or as it was read."""
    stated = get.text(meta, "TransferSyntaxUID")
    if stated:
        return stated
    implicit, little = dataset.original_encoding
    if not little:
        return BIG_ENDIAN
    return IMPLICIT if implicit else "1.2.840.10008.1.2.1"


@functools.cache
def decodable(syntax: str) -> bool:
    """Whether a decoder for a transfer syntax is installed."""
    if syntax in JPEG_2000:
        return importlib.util.find_spec("openjpeg") is not None
    if syntax == DEFLATED_FRAMES:
        return True
    try:
        return bool(pydicom.pixels.get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words."""
    if syntax == DEFLATED_FRAMES:
        return "Deflated Image Frame Compression"  # younger than pydicom's list
    shown = "".join(c for c in syntax[:64] if c in "0123456789.")
    return get.uid_name(syntax) or f"unknown transfer syntax {shown}"


def pixels_of(header: Header, limits: Limits) -> Pixels:
    """How the pixels are stored; raises `SeriesError` for what cannot be read or asks for too much."""
    dataset, pixel_data = header.dataset, header.pixel_data
    rows, columns = (get.integer(dataset, k) for k in ("Rows", "Columns"))
    if not rows or not columns or rows < 0 or columns < 0:
        raise SeriesError("The file says it is an image but gives no number of rows and columns.")
    if pixel_data is None:
        raise SeriesError("The file has the header of an image but no image data.")
    frames = get.integer(dataset, "NumberOfFrames")
    if frames is None and get.text(dataset, "NumberOfFrames"):
        raise SeriesError("The file's number of frames is not a number.")
    decimal = _FLOATING.get(pixel_data.tag)
    allocated = decimal or get.integer(dataset, "BitsAllocated") or 0
    stored = decimal or get.integer(dataset, "BitsStored") or allocated
    high_bit = None if decimal else get.integer(dataset, "HighBit")
    pixels = Pixels(
        path=header.path,
        syntax=header.syntax,
        rows=rows,
        columns=columns,
        frames=1 if frames is None else frames,
        samples=get.integer(dataset, "SamplesPerPixel") or 1,
        photometric=get.text(dataset, "PhotometricInterpretation").upper(),
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=get.integer(dataset, "PixelRepresentation") == 1,
        planar=get.integer(dataset, "PlanarConfiguration") == 1,
        offset=None if header.syntax == DEFLATED else pixel_data.offset,
        length=pixel_data.length,
        floating=decimal is not None,
    )
    _sensible(pixels)
    _within(pixels, limits)
    _complete(pixels, header.status.st_size)
    return pixels


def _sensible(pixels: Pixels) -> None:
    """Refuse what contradicts itself or what no decoder here can read."""
    if pixels.syntax.startswith(_VIDEO):
        raise SeriesError(f"This is a video ({syntax_name(pixels.syntax)}), which is not played here.")
    if not decodable(pixels.syntax):
        raise SeriesError(
            f"The image is stored as {syntax_name(pixels.syntax)}, which cannot be decoded here."
        )
    if pixels.photometric not in COLOURS | GREYS:
        kind = f"“{pixels.photometric[:32]}”" if pixels.photometric else "not stated"
        raise SeriesError(f"The image's colour type is {kind}, which cannot be shown.")
    if pixels.samples != (1 if pixels.photometric in GREYS | {"PALETTE COLOR"} else 3):
        raise SeriesError("The image's colour type and its number of colour channels do not agree.")
    if pixels.frames < 1:
        raise SeriesError("The file says that it holds no frames.")
    widths = (32, 64) if pixels.floating else (1, 8, 16, 32)
    if pixels.allocated not in widths or not 1 <= pixels.stored <= pixels.allocated:
        raise SeriesError("The image's number of bits per pixel is not one that can be read.")
    if not pixels.stored - 1 <= pixels.high_bit < pixels.allocated:
        raise SeriesError("The image's number of bits and the place of its highest bit do not agree.")
    if pixels.floating and not pixels.direct:
        raise SeriesError(f"Decimal values stored as {syntax_name(pixels.syntax)} cannot be read here.")
    if (pixels.length is None) == (pixels.syntax in NATIVE):
        raise SeriesError("The way the image is stored is not the one that the file's header names.")


def _within(pixels: Pixels, limits: Limits) -> None:
    """Refuse what asks for more than the limits, before a byte is allocated for it."""
    size = f"{pixels.columns} × {pixels.rows} pixels"
    if pixels.rows > limits.rows or pixels.columns > limits.columns:
        raise SeriesError(
            f"The image asks for {size}, more than the limit of {limits.columns} × {limits.rows}."
        )
    if pixels.frames > limits.frames:
        raise SeriesError(
            f"The file asks for {pixels.frames} frames, more than the limit of {limits.frames}."
        )
    needed = pixels.rows * pixels.columns * pixels.samples * pixels.frames * -(-pixels.allocated // 8)
    if needed > limits.bytes:
        raise SeriesError(
            f"The file asks for {size} in {pixels.frames} frames, {needed / 1024**3:.1f} GiB, "
            f"more than the limit of {limits.bytes / 1024**3:.1f} GiB."
        )


def _complete(pixels: Pixels, size: int) -> None:
    """Refuse image data that end too early, as far as the lengths in the file of this size tell."""
    if pixels.length is None:
        if pixels.offset is not None:
            _fragments(pixels, pixels.offset, size)
        return
    there = pixels.length if pixels.offset is None else min(pixels.length, size - pixels.offset)
    if there < pixels.native_bytes:
        raise SeriesError(
            f"The file ends before the image does: {max(there, 0)} of {pixels.native_bytes} bytes are there."
        )


def _fragments(pixels: Pixels, offset: int, size: int) -> None:
    """Walk the fragments of compressed data (PS3.5 A.4), as many as are needed to know."""
    found, table = 0, True
    enough = 64 * pixels.frames + 1024  # more need not be walked: they are there
    with pixels.path.open("rb") as file:
        while found < enough:
            file.seek(offset)
            head = file.read(8)
            if len(head) < 8 or head[:4] != b"\xfe\xff\x00\xe0":
                break
            (length,) = struct.unpack("<L", head[4:])
            offset += 8 + length
            if length == _UNDEFINED or offset > size:
                raise SeriesError("The file ends before the image does: the compressed data are cut off.")
            found += 0 if table or not length else 1
            table = False
    if found < pixels.frames:
        raise SeriesError(f"The file holds the compressed data of {found} of its {pixels.frames} frames.")
