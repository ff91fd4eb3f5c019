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
from viewer.dicom.pixel_codecs import (
    DEFLATED_FRAMES,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_PROGRESSIVE,
    JPEG_XL,
    UNCOMPRESSED,
)  # fmt: skip
from viewer.errors import SeriesError
from viewer.settings import Limits

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
NATIVE = frozenset({IMPLICIT, "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED})
_USUAL = frozenset(
    {
        IMPLICIT,
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.5",
        UNCOMPRESSED,
        *JPEG_2000,
        *JPEG_XL,
        *JPEG_PROGRESSIVE,
    }
    | {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81)}
)
"""Transfer syntaxes in little endian whose data set follows as it is."""
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
    if syntax in JPEG_XL:
        return importlib.util.find_spec("imagecodecs") is not None
    if syntax in (DEFLATED_FRAMES, UNCOMPRESSED):
        return True
    try:
        known = JPEG_BASELINE if syntax in JPEG_PROGRESSIVE else syntax
        return bool(pydicom.pixels.get_decoder(known).is_available)
    except NotImplementedError:
        return False


def syntax_name(syntax: str) -> str:
    """A transfer syntax in words."""
    if syntax == DEFLATED_FRAMES:
        return "Deflated Image Frame Compression"  # this and the next are younger than pydicom's list
    if syntax in JPEG_XL:
        return {"0": "JPEG XL Lossless", "1": "JPEG XL JPEG Recompression"}.get(syntax[-1], "JPEG XL")
    shown = "".join(c for c in syntax[:64] if c in "0123456789.")
    return get.uid_name(syntax) or f"unknown transfer syntax {shown}"
