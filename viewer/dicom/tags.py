# SPDX-License-Identifier: Apache-2.0
"""All elements of a file's header as rows of text, for those who look a fact up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from viewer.dicom import elements as get
from viewer.dicom.elements import BaseTag, Dataset, pydicom
from viewer.dicom.header import header_of
from viewer.errors import SeriesError
from viewer.settings import Limits

LONGEST = 400
"""Characters of a value that are shown."""
_DEEPEST = 12
_MOST_ELEMENTS = 50_000
"""Rows; a file can hold millions of items."""
_LONG = 64 * 1024
"""Bytes of a value that nobody reads: parsing numbers takes a hundred times their size."""
_UNDEFINED = 0xFFFFFFFF
_PERSONAL_GROUPS = (0x0010, 0x0038)
"""The patient, and the visit."""
_PERSONAL = frozenset({
    "AccessionNumber", "FillerOrderNumberImagingServiceRequest", "InstitutionAddress",
    "InstitutionName", "InstitutionalDepartmentName", "PersonAddress", "PersonTelephoneNumbers",
    "PlacerOrderNumberImagingServiceRequest", "RequestedProcedureID", "StationName", "StudyID",
})  # fmt: skip
"""Elements of other groups that say who the patient is, or who cares for them."""
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True, slots=True)
class Row:
    """One element, `depth` items deep; `personal` is not shown while the patient is masked."""

    depth: int
    tag: str
    vr: str
    name: str
    value: str
    personal: bool = False


def header(path: Path, limits: Limits) -> tuple[Row, ...]:
    """The rows of a DICOM file's header, without its pixels; raises `SeriesError` where it cannot be read."""
    get.hush()
    try:
        found = header_of(path, limits)
        rows: list[Row] = []
        for part in (found.meta, found.dataset):
            for row in _rows(part, 0, False):
                rows.append(row)
                if len(rows) >= _MOST_ELEMENTS:
                    more = f"… and more; the first {_MOST_ELEMENTS} elements are shown"
                    rows.append(Row(0, "", "", "", more))
                    return tuple(rows)
    except SeriesError:
        raise
    except OSError as error:
        raise SeriesError("The file is no longer there, or cannot be read.") from error
    except Exception as error:  # damaged headers raise nearly anything
        raise SeriesError("The file's header is damaged and cannot be shown.") from error
    return tuple(rows)


def _rows(dataset: Dataset, depth: int, personal: bool) -> Iterator[Row]:
    for tag in sorted(dataset.keys()):
        try:
            element, long = _element(dataset, tag)
        except Exception:  # noqa: BLE001 - one damaged element must not hide the others
            yield Row(depth, str(pydicom.tag.Tag(tag)), "??", "", "damaged")
            continue
        named = element.keyword in _PERSONAL or element.VR == "PN"
        hidden = personal or named or tag.group in _PERSONAL_GROUPS or tag.is_private
        if element.VR != "SQ":
            yield Row(depth, str(tag), element.VR, _name(element), long or _text(element), hidden)
            continue
        items = list(element.value or [])
        count = f"{len(items)} item" + ("" if len(items) == 1 else "s")
        yield Row(depth, str(tag), "SQ", _name(element), count)
        for number, item in enumerate(items, start=1):
            yield Row(depth + 1, "", "", f"item {number}", "")
            if depth < _DEEPEST:
                yield from _rows(item, depth + 2, hidden)


def _element(dataset: Dataset, tag: BaseTag) -> tuple[pydicom.DataElement, str]:
    """An element, and how long it is instead of its value where that is not worth to be read for a look."""
    raw = get.unread(dataset, tag)
    if raw is not None and _LONG < raw.length < _UNDEFINED:
        known = pydicom.datadict.dictionary_has_tag(tag)
        vr = raw.VR or (pydicom.datadict.dictionary_VR(tag) if known else "UN")
        if vr != "SQ":
            return pydicom.DataElement(tag, vr, None), f"{raw.length} bytes"
    return dataset[tag], ""


def _name(element: pydicom.DataElement) -> str:
    return str(element.name).strip("[]") or "unknown"


def _text(element: pydicom.DataElement) -> str:
    """A value in one line; of numbers in bulk only how many bytes there are."""
    value = element.value
    if value is None:
        return ""
    if element.VR in _BULK or isinstance(value, bytes):
        return f"{len(value)} bytes" if isinstance(value, bytes) else "in the file"
    several = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
    text = " \\ ".join(_named(str(v)) if element.VR == "UI" else str(v) for v in several)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _named(uid: str) -> str:
    """A UID and what the standard calls it."""
    name = get.uid_name(uid)
    return f"{uid} ({name})" if name else uid
