# SPDX-License-Identifier: Apache-2.0
"""The usual beginning of a data set, out of one block of a file's bytes.

pydicom takes ten times as long for an element, mostly for what only unusual ones need. What is read
here are those with a stated length whose value lies in the block, as the raw elements that pydicom
would have made. At the first of any other kind it stops; from there on pydicom reads.
"""

import functools
import struct
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import empty_value_for_VR
from pydicom.filereader import ENCODED_VR, data_element_generator
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from pydicom.values import convert_string

from viewer.dicom.elements import BaseTag, RawDataElement, tag_of

Elements = dict[BaseTag, Any]
"""Raw elements, and sequences of undefined length, by tag."""

_META = 0x00020000, 0x00030000
"""The tags of file meta information: the first, and the first beyond."""
_DATA = 0x00080000, 0x7FE00008
"""The tags of a data set up to its pixels."""
_PREAMBLE = 132
_GROUP_LENGTH, _TRANSFER_SYNTAX = BaseTag(0x00020000), BaseTag(0x00020010)
_CHARACTER_SET = BaseTag(0x00080005)
_LONGEST_HEAD = 12
_EXPLICIT = struct.Struct("<HH2sHL").unpack_from
_IMPLICIT = struct.Struct("<HHL").unpack_from
_SHORT = {vr: vr.decode("ascii") for vr in ENCODED_VR if vr.decode("ascii") not in EXPLICIT_VR_LENGTH_32}
"""Representations whose length has two bytes; those of the others have four, behind two of padding."""
_LONG = {vr: vr.decode("ascii") for vr in ENCODED_VR if vr not in _SHORT}


@dataclass(frozen=True, slots=True)
class Beginning:
    """Plain elements of a file, from its start on."""

    meta: Elements
    syntax: str
    elements: Elements
    implicit: bool
    end: int
    """Where in the file the first element lies that is not among them."""


def beginning(block: bytes, syntaxes: Container[str], implicit: str) -> Beginning | None:
    """What a file that begins with a block says plainly; None where that is not the usual.

    Of the transfer syntaxes, all in little endian, one has implicit VR.
    """
    meta, start = _explicit_elements(block, _PREAMBLE, _META)
    length, syntax = meta.get(_GROUP_LENGTH), meta.get(_TRANSFER_SYNTAX)
    if length is None or length.length != 4 or syntax is None or syntax.VR != "UI" or not syntax.value:
        return None
    stated = syntax.value.rstrip(b"\0 ").decode("latin-1")
    if block[start : start + 2] == b"\x02\0" or stated not in syntaxes:
        return None
    if stated == implicit:
        if block[start + 4 : start + 6].isalpha():  # explicit all the same
            return None
        elements, end = _implicit_elements(block, start, _DATA)
    else:
        elements, end = _explicit_elements(block, start, _DATA)
    return Beginning(meta, stated, elements, stated == implicit, end) if elements else None


def rest(
    file: BinaryIO,
    before: Elements,
    implicit: bool,
    stop_when: Callable[[BaseTag, str | None, int], bool],
    large: int,
) -> Elements:
    """What pydicom reads from the file's present position on, values that are large only when asked for."""
    encodings = encodings_of(before)
    return {e.tag: e for e in data_element_generator(file, implicit, True, stop_when, large, encodings)}


def _explicit_elements(block: bytes, start: int, tags: tuple[int, int]) -> tuple[Elements, int]:
    """The plain elements from `start` on in explicit VR little endian, and where they end."""
    first, beyond = tags
    at, last, size = start, len(block) - _LONGEST_HEAD, len(block)
    found: Elements = {}
    while at <= last:
        group, element, letters, length, long_length = _EXPLICIT(block, at)
        number, begin, vr = group << 16 | element, at + 8, _SHORT.get(letters)
        if vr is None:
            vr = _LONG.get(letters)
            begin, length = at + 12, long_length
        end = begin + length
        if vr is None or not first <= number < beyond or end > size:  # of undefined length too
            break
        tag = tag_of(number)
        value = block[begin:end] if length else _empty(vr)
        found[tag] = RawDataElement(tag, vr, length, value, begin, False, True)
        at = end
    return found, at


def _implicit_elements(block: bytes, start: int, tags: tuple[int, int]) -> tuple[Elements, int]:
    """The plain elements from `start` on in implicit VR little endian, and where they end."""
    first, beyond = tags
    at, last, size = start, len(block) - _LONGEST_HEAD, len(block)
    found: Elements = {}
    while at <= last:
        group, element, length = _IMPLICIT(block, at)
        number, begin = group << 16 | element, at + 8
        end = begin + length
        if not first <= number < beyond or end > size:
            break
        tag = tag_of(number)
        value = block[begin:end] if length else _empty(None)
        found[tag] = RawDataElement(tag, None, length, value, begin, True, True)
        at = end
    return found, at


@functools.cache
def _empty(vr: str | None) -> bytes | None:
    return cast(bytes | None, empty_value_for_VR(vr, raw=True))


def encodings_of(elements: Elements) -> str | list[str]:
    """The encodings of text, as pydicom finds them; raises `NotImplementedError` where it would."""
    raw = elements.get(_CHARACTER_SET)
    if raw is None:
        return str(default_encoding)
    if raw.VR not in (None, "CS"):
        raise NotImplementedError("a character set that is no text")
    found: tuple[str, ...] = _encodings(raw.value or b"")
    return list(found)


@functools.lru_cache(64)
def _encodings(value: bytes) -> tuple[str, ...]:
    return tuple(convert_encodings(convert_string(value, True)))
