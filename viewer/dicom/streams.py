# SPDX-License-Identifier: Apache-2.0
"""What the beginning of a compressed image says of it: size, components, bits and sign."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from viewer.dicom.fragments import Span

JPEG, JPEG_LOSSLESS, JPEG_LS, JPEG_2000 = "JPEG", "lossless JPEG", "JPEG-LS", "JPEG 2000"
_ENOUGH = 2048, 1 << 20
"""Bytes in which the frame header is looked for, and where it is not among them."""
_LARGEST = 65_535
"""Rows and columns that an image of DICOM may have."""
_SIZES = "\xc0\xc1\xc2\xc3\xc5\xc6\xc7\xc9\xca\xcb\xcd\xce\xcf\xf7".encode("latin-1")
"""Markers of a frame header: SOF of JPEG (ISO/IEC 10918-1 B.1.1.3) and of JPEG-LS (ISO/IEC 14495-1)."""
_LOSSLESS = b"\xc3\xc7\xcb\xcf"
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a codestream says of its image."""

    kind: str
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool | None = None
    """None where this kind of stream knows no sign."""
    luminance: bool = False
    """Whether its three components are one of luminance and two of colour, as far as it says."""


def stream_in(file: BinaryIO, span: Span) -> Stream | None:
    """What the codestream in a fragment says; None where it is of no known kind, or its beginning damaged."""
    at, length = span
    for most in _ENOUGH:
        file.seek(at)
        found = stream_of(file.read(min(length, most)))
        if found is not None or length <= most:
            return found
    return None


def stream_of(data: bytes) -> Stream | None:
    """What a codestream that begins so says; None where that cannot be told from these bytes."""
    try:
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _jpeg_2000(data, 0)
        if data.startswith(b"\0\0\0\x0cjP  "):
            begin = data.find(b"\xff\x4f\xff\x51")
            return None if begin < 0 else _jpeg_2000(data, begin)
        return _jpeg(data) if data.startswith(b"\xff\xd8\xff") else None
    except (struct.error, IndexError):
        return None


def _jpeg_2000(data: bytes, at: int) -> Stream | None:
    """By the SIZ marker segment, which is the first (ISO/IEC 15444-1 A.5.1)."""
    right, bottom, left, top = struct.unpack_from(">4L", data, at + 8)
    components, depth, across, down = struct.unpack_from(">H3B", data, at + 40)
    depths = {data[at + 42 + 3 * n] for n in range(components)}
    if len(depths) > 1 or not across or not down:
        return None
    rows, columns = -(-bottom // down) - -(-top // down), -(-right // across) - -(-left // across)
    if not (0 < rows <= _LARGEST and 0 < columns <= _LARGEST):  # damaged: the standard's own sizes end there
        return None
    return Stream(JPEG_2000, rows, columns, components, (depth & 0x7F) + 1, bool(depth & 0x80))


def _jpeg(data: bytes) -> Stream | None:
    """By the first frame header behind tables and application data."""
    at, jfif, adobe = 2, False, None
    while True:
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0xD9, 0xDA):
            return None
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _SIZES:
            bits, rows, columns, components = struct.unpack_from(">BHHB", data, at + 4)
            kind = JPEG_LS if marker == 0xF7 else JPEG_LOSSLESS if marker in _LOSSLESS else JPEG
            if kind == JPEG:  # no others there are; encoders of GDCM write 16
                bits = 8 if bits <= 8 else 12
            names = bytes(data[at + 10 + 3 * n] for n in range(components))
            luminance = kind == JPEG and components == 3 and (jfif or (adobe != 0 and names != b"RGB"))
            return Stream(kind, rows, columns, components, bits, None, luminance)
        content = data[at + 4 : at + 16]
        jfif |= marker == 0xE0 and content.startswith(b"JFIF\0")
        if marker == 0xEE and content.startswith(b"Adobe"):
            adobe = content[11]
        at += 2 + length
