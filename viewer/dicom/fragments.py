# SPDX-License-Identifier: Apache-2.0
"""The fragments of encapsulated pixel data, and which of them make a frame.

The child process that decodes loads this module (see `decoder.py`): it imports nothing else of `viewer`.
"""

import os
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

Span = tuple[int, int]
"""Where a fragment's bytes begin in the file, and how many they are."""

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_BLOCK = 1024
_HEAD = 16
"""Bytes of a fragment by which the beginning of a codestream is told."""
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x0a")
"""Of JPEG and JPEG-LS, JPEG 2000 bare and in boxes, JPEG XL in boxes and bare."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """The basic offset table, and the fragments that hold something."""

    table: bytes
    spans: list[Span]
    heads: list[bytes]
    """The first bytes of each fragment."""
    cut: bytes | None
    """The first bytes of a fragment that the file does not hold to its end."""

    @property
    def ends_whole(self) -> bool:
        """Whether the frame of the last fragment is whole: none is cut off, or that begins another frame."""
        return self.cut is None or _kind(self.cut) > 0


def fragments(file: BinaryIO, start: int, most: int | None = None) -> Fragments:
    """The fragments of compressed data (PS3.5 A.4), `most` of them where that is given.

    The end mark may be missing: all frames may be there all the same. Raises `ValueError` where there is
    not even an offset table.
    """
    size = file.seek(0, os.SEEK_END)
    table: bytes | None = None
    spans: list[Span] = []
    heads: list[bytes] = []
    at, cut = start, None
    while at + 8 <= size and (most is None or len(spans) < most):
        file.seek(at)
        head = file.read(8 + _HEAD)
        (length,) = struct.unpack("<L", head[4:8])
        if head[:4] != _ITEM:
            break
        if at + 8 + length > size:
            cut = head[8:]
            break
        if table is None:
            file.seek(at + 8)
            table = file.read(length) if length else b""
        elif length:
            spans.append((at + 8, length))
            heads.append(head[8 : 8 + length])
        at += 8 + length
    if table is None:
        raise ValueError("no fragments")
    return Fragments(table, spans, heads, cut)


def only_fragment(file: BinaryIO, start: int) -> bytes | None:
    """How the single fragment begins; None where there is another number, or it is not whole.

    That is the usual case, for which two looks at the file are enough.
    """
    file.seek(start)
    block = file.read(_BLOCK)
    at = 8 + int.from_bytes(block[4:8], "little")
    begin = at + 8
    if block[:4] != _ITEM or block[at : at + 4] != _ITEM or begin > len(block):
        return None
    length = int.from_bytes(block[at + 4 : begin], "little")
    file.seek(start + begin + length)
    return block[begin : begin + length] if length and file.read(4) == _END else None


def frames_in(file: BinaryIO, start: int, frames: int) -> list[list[Span]]:
    """The fragments of each of so many frames; raises `ValueError` where that cannot be told.

    There may be one more, whose end is not in the file.
    """
    held = fragments(file, start)
    if frames == 1:
        return [held.spans]
    firsts = first_fragments(file, held, frames)
    if len(firsts) < frames:
        raise ValueError("which fragments make a frame is not known")
    return [held.spans[a:b] for a, b in zip(firsts, [*firsts[1:], len(held.spans)], strict=True)]


def frames_of_size(spans: list[Span], size: int) -> list[list[Span]]:
    """The fragments of frames that are not compressed: so many bytes each, in one fragment or in several.

    A frame that is not whole is left out.
    """
    found: list[list[Span]] = []
    frame: list[Span] = []
    for at, length in spans:
        if not frame and length >= 2 * size > 0:  # several frames in one
            found += [[(at + n * size, size)] for n in range(length // size)]
            continue
        frame.append((at, length))
        if sum(span[1] for span in frame) >= size:
            found.append(frame)
            frame = []
    return found


def first_fragments(file: BinaryIO, held: Fragments, frames: int) -> list[int]:
    """The number of each frame's first fragment; as many as there are, where that is not `frames`.

    By the offset table where it is right, else by what the fragments hold. An extended offset table is not
    asked: where there is one, each frame is one fragment (PS3.3 C.7.6.3.1.8).
    """
    count = len(held.spans)
    kinds = [_kind(head) for head in held.heads]
    begun = [n for n, kind in enumerate(kinds) if n == 0 or (kind and kind == (kinds[0] or kind))]
    if count == frames == len(begun):
        return begun
    tabled = _tabled(held)
    ended = [n for n in range(count) if n in begun or _ends(file, held.spans[n - 1])] if frames > 1 else begun
    for found in (tabled, begun, ended):
        if len(found) == frames:
            return found
    if count and kinds[0] and (len(begun) > 1 or len(ended) == 1):
        return begun
    if count == frames:
        return list(range(count))
    return tabled or begun


def _tabled(held: Fragments) -> list[int]:
    """The first fragments by the offset table; none where it is empty or wrong."""
    if not held.spans:
        return []
    # Offsets are those of a fragment's item, from the first item behind the table on.
    number = {at - held.spans[0][0]: n for n, (at, _) in enumerate(held.spans)}
    whole = len(held.table) // 4
    firsts = [number.get(offset, -1) for offset in struct.unpack(f"<{whole}L", held.table[: whole * 4])]
    wrong = not firsts or firsts[0] != 0 or any(a >= b for a, b in pairwise(firsts))
    return [] if wrong else firsts


def _kind(head: bytes) -> int:
    """Which kind of codestream begins so: of the JPEG family, or of RLE (PS3.5 G.5); 0 where none does."""
    if 0 < sum(head[:1]) < 16 and head[1:8] == b"\0\0\0\x40\0\0\0":
        return len(_BEGINNINGS) + 1
    return next((n for n, begin in enumerate(_BEGINNINGS, 1) if head.startswith(begin)), 0)


def _ends(file: BinaryIO, fragment: Span) -> bool:
    """Whether a codestream of the JPEG family ends with a fragment, padding behind it or not."""
    at, length = fragment
    file.seek(at + max(0, length - 10))
    return b"\xff\xd9" in file.read(min(length, 10))
