# SPDX-License-Identifier: Apache-2.0
"""Values out of a data set that may be malformed: each getter gives a plain value or nothing."""

import functools
import logging
import math
import re
import struct
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from viewer.dicom.facts import Cosines, Lut, Vector

# A folder named `dl` in the working directory is taken by python-gdcm for Python 2's module of that
# name, and the import of pydicom fails; while pydicom is imported there is no such module.
_MISSING = object()
_dl = sys.modules.get("dl", _MISSING)
sys.modules["dl"] = None  # type: ignore[assignment]
try:
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence
    from pydicom.tag import BaseTag
finally:
    if _dl is _MISSING:
        del sys.modules["dl"]
    else:
        sys.modules["dl"] = _dl  # type: ignore[assignment]

__all__ = ["BaseTag", "Dataset", "RawDataElement", "pydicom"]

_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, NotImplementedError)
_MALFORMED_VALUE = (*_MALFORMED, struct.error, OSError)
_LONGEST = 1024
_PLAIN = frozenset({"UI", "CS", "DA", "TM"})
"""Representations that are text in no other letters than ASCII, whatever the file's character set."""
_LETTERED = frozenset({"LO", "PN", "SH"})
_ASCII = re.compile(rb"[ -~]*\0?")
"""What is read the same in every character set: no escape leads to another."""
_KEPT = 1024
"""Values that are read once: the files of a series repeat most of them."""
_WHOLE = re.compile(r" *[+-]?[0-9]{1,12} *")


def hush() -> None:
    """Keep pydicom's warnings and log lines, which quote values of the file, from being printed.

    A plain filter rather than `warnings.catch_warnings`, which is not safe with several threads.
    """
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def value(dataset: Dataset, keyword: str) -> Any:
    """The value as pydicom gives it, or None where it is absent, empty or cannot be converted."""
    return _converted(dataset, keyword) if _there(dataset, keyword) is not None else None


def _there(dataset: Dataset, keyword: str) -> Any:
    """The element as it was read; None where absent. The data set itself looks for words, at some length."""
    return dataset._dict.get(_tag(keyword))


def _converted(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset[_tag(keyword)].value
    except _MALFORMED_VALUE:
        return None


def unread(dataset: Dataset, tag: int) -> RawDataElement | None:
    """An element as it lies in the file, its value None where it is too long to be read with the header."""
    found = dataset._dict.get(tag_of(tag))
    return found if isinstance(found, RawDataElement) else None


@functools.lru_cache(4096)
def tag_of(number: int) -> BaseTag:
    """A tag as pydicom has it, the same object for the same number: a look-up then need not compare."""
    return BaseTag(number)


@functools.cache
def _tag(keyword: str) -> BaseTag:
    number = pydicom.datadict.tag_for_keyword(keyword)
    assert number is not None
    return tag_of(number)


@functools.cache
def _representation(keyword: str) -> str:
    return str(pydicom.datadict.dictionary_VR(_tag(keyword)))


def _unconverted(element: Any) -> bool:
    """Whether an element is as it lies in the file, and short.

    What pydicom makes of it takes ten times as long as what is needed here, and there are many files.
    """
    return type(element) is RawDataElement and type(element.value) is bytes and len(element.value) <= _LONGEST


def _parts(value: bytes) -> list[str]:
    """The values of a text without special letters."""
    whole = value.decode("ascii").rstrip(" \0")
    return whole.split("\\") if whole else []


@functools.lru_cache(_KEPT)
def _plain_texts(kind: str, value: bytes) -> tuple[str, ...] | None:
    """The strings of an element of the usual kinds; None where pydicom must be asked."""
    if kind in _PLAIN:
        usual = value.isascii()
    else:
        usual = kind in _LETTERED and _ASCII.fullmatch(value) is not None
        usual = usual and (kind != "PN" or b"=" not in value)
    return _without_padding(_parts(value)) if usual else None


def _without_padding(several: Iterable[Any]) -> tuple[str, ...]:
    found = tuple(str(v).replace("\0", "").strip()[:_LONGEST] for v in several)
    return () if found == ("",) else found  # nothing but padding is no value


@functools.lru_cache(_KEPT)
def _plain_numbers(kind: str, value: bytes, little: bool) -> tuple[float, ...] | None:
    """The numbers of an element of the usual kinds; None where pydicom must be asked."""
    if kind == "US" and len(value) == 2:
        return (float(int.from_bytes(value, "little" if little else "big")),)
    if kind not in ("DS", "IS") or not value.isascii():
        return None
    parts = _parts(value)
    if kind == "IS" and not all(map(_WHOLE.fullmatch, parts)):
        return None
    try:
        return _finite(float(part) for part in parts)
    except ValueError:
        return None


def _finite(several: Iterable[float]) -> tuple[float, ...]:
    """All numbers, or none at all if one of them is not finite."""
    found = tuple(several)
    return found if all(map(math.isfinite, found)) else ()


def private(dataset: Dataset, group: int, creator: str, number: int, maker: str) -> Any:
    """The value of a private element (PS3.5 7.8), or None.

    Where its creator was removed, the element of the first block counts if the file is of that maker.
    """
    start = group << 16 | 0x10
    try:
        for found in sorted([t for t in dataset._dict if 0 <= t - start < 0xF0]):
            if dataset[found].value == creator:
                return dataset[group << 16 | (found & 0xFF) << 8 | number].value
    except _MALFORMED_VALUE:
        pass
    tag = group << 16 | 0x1000 | number
    if group << 16 | 0x10 in dataset or not text(dataset, "Manufacturer").upper().startswith(maker):
        return None
    try:
        return dataset[tag].value
    except _MALFORMED_VALUE:
        return None


def plain_numbers(value: Any, kind: str = "") -> tuple[float, ...]:
    """Numbers out of a value whose type the file may not have stated (VR UN)."""
    try:
        if not isinstance(value, bytes):
            several = [value] if isinstance(value, str | int | float) else list(value or ())
            found = tuple(float(v) for v in several)
        elif kind:
            found = struct.unpack(f"<{len(value) // struct.calcsize(kind)}{kind}", value)
        else:
            found = tuple(float(v) for v in value.decode("ascii").strip(" \0").split("\\"))
    except (ValueError, TypeError, struct.error):
        return ()
    return found if all(np.isfinite(found)) else ()


def _several(found: Any) -> list[Any]:
    if found is None or found == "":
        return []
    if isinstance(found, list | tuple | MultiValue | Sequence):
        return list(found)
    return [found]  # a person's name too, which can be iterated letter by letter


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """The strings of a multi-valued element, without padding; none where there is nothing else."""
    element = _there(dataset, keyword)
    if element is None:
        return ()
    if _unconverted(element):
        found = _plain_texts(element.VR or _representation(keyword), element.value)
        if found is not None:
            return found
    return _without_padding(_several(_converted(dataset, keyword)))


def text(dataset: Dataset, keyword: str) -> str:
    """One string; several values are joined as in the file."""
    return "\\".join(texts(dataset, keyword))[:_LONGEST]


def uid_name(uid: str) -> str | None:
    """What a UID of the standard is called; a damaged one may hold the rest of the header, names and all."""
    known = uid in pydicom.uid.UID_dictionary
    return str(pydicom.uid.UID(uid).name) if known else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Finite numbers; none at all if one of them is not."""
    element = _there(dataset, keyword)
    if element is None:
        return ()
    if _unconverted(element):
        kind = element.VR or _representation(keyword)
        found = _plain_numbers(kind, element.value, element.is_little_endian)
        if found is not None:
            return found
    try:
        return _finite(float(v) for v in _several(_converted(dataset, keyword)))
    except _MALFORMED_VALUE:
        return ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number, the first of several."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """One whole number; None where it is absent, not one, or one of several."""
    found = numbers(dataset, keyword)
    return int(found[0]) if len(found) == 1 and found[0] == int(found[0]) else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    if _there(dataset, keyword) is None:
        return []
    return [v for v in _several(_converted(dataset, keyword)) if isinstance(v, Dataset)]


def vector(dataset: Dataset, keyword: str) -> Vector | None:
    """Three numbers, e.g. a position in LPS millimetres."""
    found = numbers(dataset, keyword)
    sensible = len(found) == 3 and all(abs(v) < 1e6 for v in found)
    return (found[0], found[1], found[2]) if sensible else None


def spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Millimetres between rows and between columns; None where absent or zero, as some files have it."""
    found = numbers(dataset, keyword)
    return (found[0], found[1]) if len(found) == 2 and all(1e-6 < v < 1e6 for v in found) else None


def cosines(dataset: Dataset) -> Cosines | None:
    """Image Orientation (Patient) as two orthogonal unit vectors, or None if it is not that."""
    return _unit_vectors(numbers(dataset, "ImageOrientationPatient"))


@functools.lru_cache(_KEPT)
def _unit_vectors(stated: tuple[float, ...]) -> Cosines | None:
    found = np.asarray(stated)
    if found.size != 6:
        return None
    row, column = found[:3], found[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if any(abs(length - 1) > 0.05 for length in lengths) or abs(row @ column) > 0.05:
        return None
    a, b, c, d, e, f = (float(v) for v in (*(row / lengths[0]), *(column / lengths[1])))
    return (a, b, c, d, e, f)


def lut(item: Dataset, little: bool, signed: bool) -> tuple[Lut, int] | None:
    """A look-up table (first input value, entries) and its bits per entry (PS3.3 C.11.1.1, C.11.2.1.1)."""
    described = numbers(item, "LUTDescriptor")
    if len(described) != 3:
        return None
    count, first, bits = (int(v) for v in described)
    count = count % 65_536 or 65_536  # 0 means 65 536, and a signed reading of the count is negative
    if signed and first > 32_767:
        first -= 65_536
    raw = value(item, "LUTData")
    if isinstance(raw, bytes):
        entries = np.frombuffer(raw, "u1" if len(raw) < 2 * count else "<u2" if little else ">u2")
    else:
        found = numbers(item, "LUTData")
        entries = np.asarray(found, dtype=np.int64).astype(np.uint16)
        if entries.size < count <= 2 * entries.size:  # two 8-bit entries to a word
            entries = np.frombuffer(entries.astype("<u2" if little else ">u2").tobytes(), "u1")
    if entries.size < count or not 1 <= bits <= 16:
        return None
    return (first, entries[:count].astype(np.uint16)), bits
