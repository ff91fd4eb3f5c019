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

from viewer.dicom.facts import Cosines, Vector
from viewer.dicom.faults import note, printable

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

# Python's decoder of GB 2312 does not take its escape sequence (ISO 2022 IR 58) away, as pydicom believes.
pydicom.charset.handled_encodings = tuple(e for e in pydicom.charset.handled_encodings if e != "iso_ir_58")

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
_COMMA = r" *[+-]?[0-9]+(?:,[0-9]+)?(?:[eE][+-]?[0-9]+)? *"
_COMMAS = re.compile(rf"(?=[^,]*,){_COMMA}(?:\\{_COMMA})*")
"""Numbers of which at least one has a comma for its point."""
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


def empty(dataset: Dataset, keyword: str) -> bool | None:
    """Whether an element is empty; None where there is none."""
    element = _there(dataset, keyword)
    if element is None:
        return None
    return element.value in (None, b"", "") or (
        type(element.value) is bytes and not element.value.strip(b" \0")
    )


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
    """Finite numbers; none at all if one of them is not, which is noted."""
    element = _there(dataset, keyword)
    if element is None:
        return ()
    if _unconverted(element):
        kind = element.VR or _representation(keyword)
        found = _plain_numbers(kind, element.value, element.is_little_endian)
        if found or (found is not None and not element.value.strip(b" \0")):
            return found
    return _unusual_numbers(dataset, keyword, element)


def _unusual_numbers(dataset: Dataset, keyword: str, element: Any) -> tuple[float, ...]:
    """Numbers of an element that is not of the usual kinds, or malformed; what is wrong with it is noted."""
    raw = element.value if _unconverted(element) else None
    try:
        several = _several(_converted(dataset, keyword))
        found = tuple(float(v) for v in several)
    except _MALFORMED_VALUE:
        several, found = [None], ()
    if found and all(map(math.isfinite, found)):
        _note_representation(keyword, element, raw)
        return found
    shown = "" if raw is None else raw.decode("latin-1").strip(" \0")
    if raw is None and several and several != [None]:
        shown = "\\".join(str(v) for v in several)
    if not shown:
        return ()
    if _COMMAS.fullmatch(shown):
        found = tuple(float(part.replace(",", ".")) for part in shown.split("\\"))
        said = f"Numbers are written with a decimal comma, as {name_of(keyword)} “{shown}”; they are read so."
        note("decimal comma", said)
        return found
    what = "not finite" if found else "no number"
    note(f"{keyword} {what}", f"{name_of(keyword)} is “{printable(shown)}”, which is {what}: it is not used.")
    return ()


def _note_representation(keyword: str, element: Any, raw: bytes | None) -> None:
    """Note a number whose element is of another representation than it belongs to."""
    kind, usual = str(element.VR or ""), _representation(keyword)
    if raw is None or kind in ("", "UN") or kind in usual or {kind, usual} <= {"DS", "IS"}:
        return
    said = (
        f"{name_of(keyword)} is stored as {kind}, where {usual} belongs; it is read as the number that it is."
    )
    note(f"{keyword} {kind}", said)


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number, the first of several where there may be several."""
    found = numbers(dataset, keyword)
    if len(found) > 1 and not _alone(keyword, found):
        return None
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """One whole number; None where it is absent, not one, or one of several."""
    found = numbers(dataset, keyword)
    return int(found[0]) if len(found) == 1 and found[0] == int(found[0]) else None


def _alone(keyword: str, found: tuple[float, ...]) -> bool:
    """Whether the first of several numbers stands for all; where only one belongs, they are noted."""
    if pydicom.datadict.dictionary_VM(_tag(keyword)) != "1":
        return True
    same = len(set(found)) == 1
    shown = "\\".join(f"{v:g}" for v in found[:8])
    end = "as they are the same, it is used" if same else "none is used"
    note(
        f"{keyword} several",
        f"{name_of(keyword)} has {len(found)} values (“{shown}”) where one belongs: {end}.",
    )
    return same


def name_of(keyword: str) -> str:
    """What the standard calls an element."""
    return str(pydicom.datadict.dictionary_description(_tag(keyword)))


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    if _there(dataset, keyword) is None:
        return []
    return [v for v in _several(_converted(dataset, keyword)) if isinstance(v, Dataset)]


def vector(dataset: Dataset, keyword: str) -> Vector | None:
    """Three numbers, e.g. a position in LPS millimetres."""
    found = numbers(dataset, keyword)
    if len(found) == 3 and all(abs(v) < 1e6 for v in found):
        return (found[0], found[1], found[2])
    _refuse(keyword, found, "three numbers of millimetres")
    return None


def spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Millimetres between rows and between columns; None where absent or zero, as some files have it."""
    found = numbers(dataset, keyword)
    if len(found) == 2 and all(1e-6 < v < 1e6 for v in found):
        return (found[0], found[1])
    _refuse(keyword, found, "two lengths above zero")
    return None


def _refuse(keyword: str, found: tuple[float, ...], what: str) -> None:
    """Note numbers, if there are any, that are not what belongs there."""
    if found:
        shown = "\\".join(f"{v:g}" for v in found[:8])
        note(f"{keyword} refused", f"{name_of(keyword)} is “{shown}”, which is not {what}: it is not used.")


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
