# SPDX-License-Identifier: Apache-2.0
"""The fragments of encapsulated pixel data, and which of them make a frame.

The child process that decodes loads this module (see `decoder.py`): it imports nothing else of `viewer`.
"""

import os
import struct
from itertools import pairwise
from typing import BinaryIO

Span = tuple[int, int]
"""Where a fragment's bytes begin in the file, and how many they are."""


def fragments(file: BinaryIO, start: int) -> tuple[bytes, list[Span]]:
    """The basic offset table, and the fragments of compressed data behind it (PS3.5 A.4).

    The end mark may be missing: all frames may be there all the same.
    """
    size = file.seek(0, os.SEEK_END)
    found: list[Span] = []
    at = start
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        (length,) = struct.unpack("<L", head[4:])
        if head[:4] != b"\xfe\xff\x00\xe0" or at + 8 + length > size:
            break
        found.append((at + 8, length))
        at += 8 + length
    if not found:
        raise ValueError("no fragments")
    file.seek(found[0][0])
    return file.read(found[0][1]), found[1:]


def frames_in(file: BinaryIO, start: int, frames: int) -> list[list[Span]]:
    """The fragments of each frame: by the offset table where it is right, else by what they hold.

    An extended offset table is not asked: where there is one, each frame is one fragment
    (PS3.3 C.7.6.3.1.8).
    """
    table, found = fragments(file, start)
    if frames == 1:
        return [found]
    if len(found) == frames:
        return [[one] for one in found]
    number = {at - found[0][0]: n for n, (at, _) in enumerate(found)}
    offsets = struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])
    firsts = [number.get(offset, -1) for offset in offsets]
    if len(firsts) != frames or firsts[0] != 0 or any(a >= b for a, b in pairwise(firsts)):
        firsts = [0, *(n + 1 for n, one in enumerate(found[:-1]) if _ends(file, one))]
    if len(firsts) != frames:
        raise ValueError("which fragments make a frame is not known")
    return [found[a:b] for a, b in zip(firsts, [*firsts[1:], len(found)], strict=True)]


def _ends(file: BinaryIO, fragment: Span) -> bool:
    """Whether a codestream of the JPEG family ends with a fragment, padding behind it or not."""
    at, length = fragment
    file.seek(at + max(0, length - 10))
    return b"\xff\xd9" in file.read(min(length, 10))
