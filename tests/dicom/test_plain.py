# SPDX-License-Identifier: Apache-2.0
"""What is read from a file's first block is what pydicom reads, wherever the block ends."""

import io
import itertools
import struct
from pathlib import Path

import pytest
from dicom_files import Make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from viewer.dicom import elements as get
from viewer.dicom import plain
from viewer.dicom.header import _USUAL, BLOCK, DEFLATED, IMPLICIT, Header, read_header
from viewer.settings import Limits

SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]
REPRESENTATIONS = sorted(str(vr) for vr in VR if len(str(vr)) == 2)
HEAD = 12
"""The most bytes of an element's tag, representation and length."""


def read(path: Path, block: int = BLOCK) -> Header:
    with path.open("rb") as file:
        return read_header(path, file, file.read(block), Limits())


def same(found: Dataset, expected: Dataset) -> bool:
    """Whether two data sets hold the same raw elements, or the same values where one is converted."""
    return found._dict.keys() == expected._dict.keys() and all(
        found[tag] == expected[tag]
        if {type(one), type(expected._dict[tag])} != {RawDataElement}
        else one == expected._dict[tag]
        for tag, one in list(found._dict.items())
    )


def plain_tags(expected: Dataset, block: bytes) -> set[int]:
    """The elements that need not be left to pydicom: raw ones, up to the first that may reach beyond."""
    leading = itertools.takewhile(
        lambda one: isinstance(one, RawDataElement) and one.value_tell + one.length <= len(block) - HEAD,
        expected._dict.values(),
    )
    return {int(one.tag) for one in leading}


@pytest.mark.shared
def test_real_headers_are_pydicoms(shared: Path) -> None:
    """As elements, and no more of them is left to pydicom than must be: that costs ten times as much."""
    get.hush()
    usual = 0
    for path in sorted(p for p in (shared / "dicom").rglob("*") if p.is_file()):
        with path.open("rb") as file:
            block = file.read(BLOCK)
        if block[128:132] != b"DICM":
            continue
        expected = dcmread(path, stop_before_pixels=True, defer_size=8 * 1024**2)
        if str(expected.file_meta.get("TransferSyntaxUID", "")) == DEFLATED:
            continue
        found = read(path)
        begun = plain.beginning(block, _USUAL, IMPLICIT)
        if begun is not None:
            usual += 1
            assert plain_tags(expected, block) <= begun.elements.keys(), path
        assert same(found.dataset, expected), path
        assert same(found.meta, expected.file_meta), path
        assert found.dataset.original_encoding == expected.original_encoding, path
        assert found.dataset.original_character_set == expected.original_character_set, path
    assert usual > 300


def written(syntax: str, elements: list[tuple[int, str, bytes, bool]]) -> bytes:
    """A file byte by byte: elements are (tag, representation, value, whether its length is left open)."""
    implicit, body = syntax == IMPLICIT, b""
    for tag, vr, value, left_open in elements:
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        length = 0xFFFFFFFF if left_open else len(value)
        content = value + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0) if left_open else value
        if implicit:
            head += struct.pack("<L", length)
        elif vr in EXPLICIT_VR_LENGTH_32:
            head += vr.encode() + struct.pack("<HL", 0, length)
        else:
            head += vr.encode() + struct.pack("<H", length)
        body += head + content
    named = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(named)) + named
    group = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta))
    return b"\0" * 128 + b"DICM" + group + meta + body


@st.composite
def contents(draw: st.DrawFn) -> list[tuple[int, str, bytes, bool]]:
    """Elements of all representations in the order of their tags, some empty, some sequences left open."""
    tags = draw(st.lists(st.integers(0x00080006, 0x50FFFFFF), min_size=1, max_size=12, unique=True))
    found = [(0x00080005, "CS", b"ISO_IR 192", False)] if draw(st.booleans()) else []
    for tag in sorted(tags):
        vr = draw(st.sampled_from(REPRESENTATIONS))
        left_open = vr == "SQ" and draw(st.booleans())
        halves = 0 if left_open else draw(st.integers(0, 20))
        found.append((tag, vr, draw(st.binary(min_size=2 * halves, max_size=2 * halves)), left_open))
    return [*found, (0x7FE00010, "OW", b"\0" * 8, False)]


@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(elements=contents(), size=st.integers(150, 600))
def test_elements_of_every_representation_are_pydicoms(
    tmp_path: Path, syntax: str, elements: list[tuple[int, str, bytes, bool]], size: int
) -> None:
    get.hush()
    path = tmp_path / "one.dcm"
    path.write_bytes(written(syntax, elements))
    expected = dcmread(path, stop_before_pixels=True)
    block = path.read_bytes()[:size]
    begun = plain.beginning(block, SYNTAXES, IMPLICIT)
    assert plain_tags(expected, block) <= (begun.elements.keys() if begun else set())
    found = read(path, size)
    assert same(found.dataset, expected)
    assert same(found.meta, expected.file_meta)
    assert found.dataset.original_encoding == expected.original_encoding
    assert found.dataset.original_character_set == expected.original_character_set
    assert found.pixel_data is not None
    assert found.pixel_data.length == 8


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_block_may_end_anywhere(make: Make, tmp_path: Path, syntax: str) -> None:
    item = Dataset()
    item.SegmentLabel = "part"
    path = make(
        "one.dcm", TransferSyntaxUID=syntax, SegmentSequence=Sequence([item]), PatientComments="x" * 300
    )
    dataset = dcmread(path)
    dataset["SegmentSequence"].is_undefined_length = True
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller"
    dataset.save_as(path)
    whole = read(path)
    assert whole.pixel_data is not None
    assert whole.dataset.PatientName == "Müller"
    assert whole.dataset.SegmentSequence[0].SegmentLabel == "part"
    expected = dcmread(path, stop_before_pixels=True)
    for size in range(132, whole.pixel_data.offset + 20):
        found = read(path, size)
        assert same(found.dataset, expected), size
        assert found.pixel_data is not None
        assert (found.pixel_data.offset, found.pixel_data.length) == (
            whole.pixel_data.offset,
            whole.pixel_data.length,
        )
        assert found.dataset.PatientName == "Müller"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_of_a_plain_file_nothing_is_read_beyond_its_first_block(
    make: Make, tmp_path: Path, syntax: str
) -> None:
    path = make("one.dcm", TransferSyntaxUID=syntax)
    whole = read(path)
    assert whole.pixel_data is not None
    block = path.read_bytes()[
        : whole.pixel_data.offset
    ]  # with the head of the pixels, and not one byte of them
    with path.open("rb") as file:
        found = read_header(path, file, block, Limits())
        assert file.tell() == 0
    assert found.pixel_data is not None
    assert found.pixel_data.offset == whole.pixel_data.offset


def test_elements_that_are_not_plain_are_left_to_pydicom() -> None:
    meta = io.BytesIO()
    dataset = Dataset()
    dataset.PatientID = "P"
    dataset.save_as(meta, implicit_vr=False, little_endian=True)
    content = b"\0" * 128 + b"DICM" + meta.getvalue()
    assert plain.beginning(content, SYNTAXES, SYNTAXES[0]) is None  # no meta information


def test_the_versions_to_compare_with_are_the_last_of_each_minor_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    from packaging.requirements import Requirement
    from plain_against_pydicom import allowed

    published = "pydicom (4.0.0)\nAvailable versions: 4.0.0, 3.10.0, 3.1.1, 3.1.0, 3.0.2, 3.0.1, 2.4.5\n"
    found = allowed(published, Requirement("pydicom>=3.0.2,<4"))
    assert [str(version) for version in found] == ["3.0.2", "3.1.1", "3.10.0"]
