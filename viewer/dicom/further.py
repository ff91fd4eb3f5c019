# SPDX-License-Identifier: Apache-2.0
"""What few files must be asked: facts that are read from a header a second time, where others leave a doubt.

A listing has little more than 0.1 ms for a file. So the elements here are not converted for every file,
but only for slices at one place that the usual elements do not tell apart, and series that may be one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Image, Slice
from viewer.dicom.header import header_of
from viewer.settings import Limits

COMPONENTS = ("magnitude", "phase", "real part", "imaginary part")
_LETTERS = {"M": 0, "P": 1, "R": 2, "I": 3}
_WORDS = {"MAGNITUDE": 0, "PHASE": 1, "REAL": 2, "IMAGINARY": 3}
_TYPE = re.compile(r"([MPRI])(?:_[A-Z0-9]+)*")
"""Siemens writes M, P, R or I as a value of the image type, Philips M_FFE beside M."""
_SIEMENS_TEXT = re.compile(r"(?:^|\s)([MPRI])(?:/|$)")
"""The image type in words, "p2 M/ND/NORM", in (0051,xx16)."""
_B_IN_NAME = re.compile(r"ep_b(\d+)")
"""Siemens names a diffusion sequence by its b-value: "*ep_b1000#3"."""
_ASKED = 32
"""Slices at one place of which the headers are read before those of all."""
_NO_AGENT = frozenset({"", "NO", "NONE", "N", "OFF", "WITHOUT", "N/A"})


@dataclass(frozen=True, slots=True)
class Further:
    """Facts of a file beside those of its `Image`."""

    component: int | None = None
    """Which of `COMPONENTS`, by the standard's element or the maker's."""
    agent: str = ""
    """Contrast/Bolus Agent (0018,0010), "" where the file names none."""
    quantity: str = ""
    """What real-world values are, with their unit."""
    b_value: float | None = None
    """That in the name of the sequence, s/mm²."""
    protocol: str = ""


def component_of(image_type: Sequence[str]) -> int | None:
    """Which of `COMPONENTS` an image type names behind its first two values (PS3.3 C.8.13.3.1.1), or None."""
    found = {_WORDS.get(word, -1) for word in image_type[2:]}
    found |= {_LETTERS[m[1]] for word in image_type[2:] if (m := _TYPE.fullmatch(word))}
    found.discard(-1)
    return found.pop() if len(found) == 1 else None


def quantity_of(mapping: Dataset) -> str:
    """What a Real World Value Mapping item is of, with its unit (PS3.3 C.7.6.16.2.11); "" where not said."""
    if not len(mapping):
        return ""
    unit = next(iter(get.items(mapping, "MeasurementUnitsCodeSequence")), Dataset())
    code = get.text(unit, "CodeValue")
    words = get.text(mapping, "LUTExplanation") or get.text(mapping, "LUTLabel")
    return " · ".join(w for w in (words, "" if code in ("1", "no units") else code) if w)


def further_of(image: Image) -> Further:
    """The further facts of a file; those of none where it cannot be read again."""
    return _read(image.path, image.fingerprint)


def asked(read: Callable[[Further], Any], slices: Sequence[Slice], places: Sequence[int]) -> list[Any]:
    """One further fact per slice, by asking some at one place first; None for all where these agree."""
    at: dict[int, list[Image]] = {}
    for one, place in zip(slices, places, strict=True):
        if one.image.pixels.frames == 1:
            at.setdefault(place, []).append(one.image)
    most = max(at.values(), key=len, default=[])
    few = most[: _ASKED // 2] + most[_ASKED // 2 :: max(1, 2 * len(most) // _ASKED)]
    if len({read(further_of(image)) for image in few}) < 2:
        return [None] * len(slices)
    return [read(further_of(s.image)) if s.image.pixels.frames == 1 else None for s in slices]


@lru_cache(4096)
def _read(path: Path, fingerprint: bytes) -> Further:
    try:
        dataset = header_of(path, Limits()).dataset
        return Further(
            component=_component(dataset),
            agent=_agent(dataset),
            quantity=quantity_of(next(iter(get.items(dataset, "RealWorldValueMappingSequence")), Dataset())),
            b_value=_b_value(dataset),
            protocol=get.text(dataset, "ProtocolName"),
        )
    except Exception:  # noqa: BLE001 - the file was read before: what is wrong now, its pixels will tell
        return Further()


def _component(dataset: Dataset) -> int | None:
    stated = _WORDS.get(get.text(dataset, "ComplexImageComponent").upper())
    if stated is not None:
        return stated
    # "Image Type (real, imaginary, phase, magnitude)" in pydicom's list of GE's private elements.
    raw = get.plain_numbers(get.private(dataset, 0x0043, "GEMS_PARM_01", 0x2F, "GE"), "h")
    if raw and raw[0] in (0, 1, 2, 3):
        return int(raw[0])
    philips = _word(get.private(dataset, 0x2005, "Philips MR Imaging DD 001", 0x11, "PHILIPS"))
    if philips in _LETTERS:
        return _LETTERS[philips]
    siemens = _SIEMENS_TEXT.search(_word(get.private(dataset, 0x0051, "SIEMENS MR HEADER", 0x16, "SIEMENS")))
    return _LETTERS[siemens[1]] if siemens else None


def _word(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0").upper()


def _agent(dataset: Dataset) -> str:
    """The contrast agent, "" where there is none or the file names none."""
    stated = get.text(dataset, "ContrastBolusAgent")
    if not stated:
        coded = next(iter(get.items(dataset, "ContrastBolusAgentSequence")), Dataset())
        stated = get.text(coded, "CodeMeaning")
    return "" if stated.upper() in _NO_AGENT else stated


def _b_value(dataset: Dataset) -> float | None:
    found = _B_IN_NAME.search(get.text(dataset, "SequenceName"))
    return float(found[1]) if found else None
