# SPDX-License-Identifier: Apache-2.0
"""What is read from the bytes of an element is what pydicom makes of them."""

import io
from typing import Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from viewer.dicom import elements as get

KEYWORDS = {
    "DS": "SliceThickness",
    "IS": "InstanceNumber",
    "US": "Rows",
    "UI": "SOPInstanceUID",
    "CS": "ImageType",
    "DA": "StudyDate",
    "TM": "AcquisitionTime",
    "LO": "SeriesDescription",
    "SH": "StationName",
    "PN": "PatientName",
}
LETTERS = st.text(alphabet="0123456789+-.eE_\\ \0ABnaif\n\x1b\xe4^=~", max_size=14)
CHARACTER_SETS = ["iso8859", "utf8", "shift_jis", "iso2022_jp", "iso2022_jp_2", "GB18030", "GBK", "euc_kr"]


def element(kind: str, value: bytes, implicit: bool, little: bool) -> bytes:
    order: Literal["little", "big"] = "little" if little else "big"
    tag = Tag(KEYWORDS[kind])
    head = tag.group.to_bytes(2, order) + tag.element.to_bytes(2, order)
    length = len(value).to_bytes(4 if implicit else 2, order)
    return head + (length if implicit else kind.encode() + length) + value


def both(kind: str, value: bytes, implicit: bool, little: bool) -> tuple[Dataset, Dataset]:
    """An element as it was read, and as pydicom has converted it."""
    data = io.BytesIO(element(kind, value, implicit, little))
    raw = get.pydicom.filereader.read_dataset(data, implicit, little)
    converted = Dataset()
    try:
        converted[KEYWORDS[kind]] = get.pydicom.dataelem.convert_raw_data_element(
            raw.get_item(KEYWORDS[kind]), encoding=["iso8859"]
        )
    except Exception:  # noqa: BLE001 - what pydicom cannot convert counts as absent
        return raw, Dataset()
    return raw, converted


@example("UI", "\n", False, False)
@given(st.sampled_from(sorted(KEYWORDS)), LETTERS, st.booleans(), st.booleans())
def test_raw_values_are_pydicoms(kind: str, letters: str, implicit: bool, little: bool) -> None:
    get.hush()
    assume(kind != "US" or len(letters) % 2 == 0)  # of half a number pydicom says that it is damaged
    little = little or implicit
    keyword, value = KEYWORDS[kind], letters.encode("latin-1")
    raw, converted = both(kind, value, implicit, little)
    assert get.numbers(raw, keyword) == get.numbers(converted, keyword)
    raw, _ = both(kind, value, implicit, little)
    assert get.integer(raw, keyword) == get.integer(converted, keyword)
    raw, _ = both(kind, value, implicit, little)
    assert get.texts(raw, keyword) == get.texts(converted, keyword)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("DS", b"1.5 ", (1.5,)), ("IS", b"3 ", (3,)), ("US", b"\3\0", (3,)), ("UI", b"1.2\0", ("1.2",)),
        ("CS", b"A\\AXIAL ", ("A", "AXIAL")), ("LO", b"Head", ("Head",)),
    ],
)  # fmt: skip
def test_usual_values_are_read_without_pydicom(
    kind: str, value: bytes, expected: tuple[object, ...], implicit: bool
) -> None:
    """It takes ten times as long, and leaves the converted element in the data set."""
    raw, _ = both(kind, value, implicit, little=True)
    found = (get.numbers if isinstance(expected[0], int | float) else get.texts)(raw, KEYWORDS[kind])
    assert found == expected
    assert type(raw.get_item(KEYWORDS[kind])) is get.RawDataElement


def test_the_representation_that_a_file_states_counts() -> None:
    content = element("DS", b"12", False, True).replace(b"DS", b"US")
    raw = get.pydicom.filereader.read_dataset(io.BytesIO(content), False, True)
    assert get.numbers(raw, KEYWORDS["DS"]) == (int.from_bytes(b"12", "little"),)


@pytest.mark.parametrize("creator", ["MAKER", "OTHER"])
def test_private_elements_are_found_in_every_block(creator: str) -> None:
    dataset = Dataset()
    for block, name in ((0x10, "FIRST"), (0x2A, "MAKER")):
        dataset.add_new((0x0019, block), "LO", name)
        dataset.add_new((0x0019, block << 8 | 0x0C), "IS", block)
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    found = get.private(dcmread(file, force=True), 0x0019, creator, 0x0C, "X")
    assert found == (0x2A if creator == "MAKER" else None)


def test_a_value_that_is_not_finite_is_no_number() -> None:
    raw, _ = both("DS", b"nan ", False, True)
    assert get.numbers(raw, "SliceThickness") == ()


@given(st.sampled_from(["LO", "SH", "PN"]), LETTERS, st.sampled_from(CHARACTER_SETS))
def test_plain_letters_are_the_same_in_every_character_set(kind: str, letters: str, encoding: str) -> None:
    get.hush()
    keyword, value = KEYWORDS[kind], letters.encode("latin-1")
    raw, _ = both(kind, value, implicit=False, little=True)
    raw.set_original_encoding(False, True, [encoding])
    converted = Dataset()
    try:
        converted[keyword] = get.pydicom.dataelem.convert_raw_data_element(
            raw.get_item(keyword), encoding=[encoding]
        )
    except IndexError:  # pydicom 3.0 stumbles over an empty part of a name in Japanese character sets
        assert kind == "PN"
        return
    except Exception:  # noqa: BLE001 - what pydicom cannot convert counts as absent
        converted = Dataset()
    assert get.texts(raw, keyword) == get.texts(converted, keyword)
