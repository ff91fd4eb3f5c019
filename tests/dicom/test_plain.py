# SPDX-License-Identifier: Apache-2.0
"""What is read from a file's first block is what pydicom reads, wherever the block ends."""

import io
from pathlib import Path

import pytest
from dicom_files import Make
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from viewer.dicom import elements as get
from viewer.dicom import plain
from viewer.dicom.header import BLOCK, DEFLATED, Header, read_header
from viewer.settings import Limits

SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]


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


@pytest.mark.shared
def test_real_headers_are_pydicoms(shared: Path) -> None:
    get.hush()
    usual = 0
    for path in sorted(p for p in (shared / "dicom").rglob("*") if p.is_file()):
        with path.open("rb") as file:
            block = file.read(BLOCK)
        if block[128:132] != b"DICM":
            continue
        try:
            expected = dcmread(path, stop_before_pixels=True, defer_size=8 * 1024**2)
        except Exception:  # noqa: BLE001 - what pydicom cannot read is not read here either
            continue
        if str(expected.file_meta.get("TransferSyntaxUID", "")) == DEFLATED:
            continue
        found = read(path)
        usual += plain.beginning(block, SYNTAXES, SYNTAXES[0]) is not None
        assert same(found.dataset, expected), path
        assert same(found.meta, expected.file_meta), path
        assert found.dataset.original_encoding == expected.original_encoding, path
        assert found.dataset.original_character_set == expected.original_character_set, path
    assert usual > 100


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
    assert whole.place is not None
    assert whole.dataset.PatientName == "Müller"
    assert whole.dataset.SegmentSequence[0].SegmentLabel == "part"
    expected = dcmread(path, stop_before_pixels=True)
    for size in range(132, whole.place.offset + 20):
        found = read(path, size)
        assert same(found.dataset, expected), size
        assert found.place is not None
        assert (found.place.offset, found.place.length) == (whole.place.offset, whole.place.length)
        assert found.dataset.PatientName == "Müller"


def test_elements_that_are_not_plain_are_left_to_pydicom() -> None:
    meta = io.BytesIO()
    dataset = Dataset()
    dataset.PatientID = "P"
    dataset.save_as(meta, implicit_vr=False, little_endian=True)
    content = b"\0" * 128 + b"DICM" + meta.getvalue()
    assert plain.beginning(content, SYNTAXES, SYNTAXES[0]) is None  # no meta information
