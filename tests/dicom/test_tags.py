# SPDX-License-Identifier: Apache-2.0
"""The header as rows of text."""

from pathlib import Path

import pydicom
import pytest
from dicom_files import Make
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from viewer.dicom import Row, header
from viewer.errors import SeriesError
from viewer.settings import Limits


def test_every_element_is_a_row(make: Make) -> None:
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.840.10008.1.2"
    inner.PersonName = "Doe^Jane"
    path = make("a.dcm", ReferencedImageSequence=Sequence([inner]), ImageComments="one\nline")
    rows = header(path, Limits())
    file = pydicom.dcmread(path)
    expected = [str(e.tag) for e in file.file_meta] + [str(e.tag) for e in file if e.keyword != "PixelData"]
    assert [r.tag for r in rows if r.depth == 0 and r.tag] == expected
    by_name = {r.name: r for r in rows}
    assert by_name["Pixel Spacing"].value == "0.5 \\ 0.25"
    assert by_name["Image Comments"].value == "one line"
    assert by_name["Referenced Image Sequence"].value == "1 item"
    assert by_name["Referenced SOP Instance UID"].depth == 2
    assert by_name["Referenced SOP Instance UID"].value.endswith("(Implicit VR Little Endian)")


def test_what_names_a_person_is_marked(make: Make) -> None:
    path = make(
        "a.dcm",
        InstitutionName="Hospital",
        OperatorsName="Smith",
        KVP=120,
        AdmissionID="V77",
        PlacerOrderNumberImagingServiceRequest="O9",
    )
    file = pydicom.dcmread(path)
    file.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "Doe Jane, bed 4")
    file.save_as(path)
    marked = {r.value: r.personal for r in header(path, Limits()) if r.value}
    assert marked["Doe^Jane"]
    assert marked["Hospital"]
    assert marked["Smith"]
    assert marked["V77"]
    assert marked["O9"]
    assert marked["Doe Jane, bed 4"]
    assert not marked["120.0"]


def test_what_stands_inside_of_what_names_a_person_is_marked_too(make: Make) -> None:
    code = Dataset()
    code.CodeMeaning = "of the ward in the north"
    path = make("a.dcm", PatientSpeciesCodeSequence=Sequence([code]), ProcedureCodeSequence=Sequence([code]))
    marked = [r.personal for r in header(path, Limits()) if r.value == "of the ward in the north"]
    assert marked == [False, True]


def test_long_values_end(make: Make) -> None:
    path = make("a.dcm", ImageComments="x" * 5000)
    (row,) = [r for r in header(path, Limits()) if r.name == "Image Comments"]
    assert row.value.endswith("… (5000 characters)")
    assert len(row.value) < 450


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_values_that_nobody_reads_are_only_measured(make: Make, syntax: str) -> None:
    """Numbers by the million take a hundred times their size to parse; larger ones are not even in memory."""
    path = make("a.dcm", TransferSyntaxUID=syntax, ReferencedImageSequence=long_sequence())
    file = pydicom.dcmread(path)
    file.add_new(0x60000010, "US", 4)
    file.add_new(0x60003000, "OW", bytes(9 * 2**20))
    file.add_new(0x00104000, "UT", "Doe Jane " * 10_000)
    file.save_as(path)
    rows = header(path, Limits())
    by_name = {r.name: r for r in rows}
    assert by_name["Overlay Data"].value == f"{9 * 2**20} bytes"
    assert by_name["Overlay Rows"].value == "4"
    assert by_name["Patient Comments"].value == "90000 bytes"
    assert by_name["Patient Comments"].personal
    assert by_name["Referenced Image Sequence"].value == "2000 items"


def long_sequence() -> Sequence:
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.840.10008.1.2"
    return Sequence([item] * 2000)


def test_several_values_stand_side_by_side(make: Make) -> None:
    path = make("a.dcm", RelatedGeneralSOPClassUID=["1.2.840.10008.5.1.4.1.1.2", "1.2.3"])
    file = pydicom.dcmread(path)
    file.add_new(0x60000050, "SS", [1, -2])
    file.save_as(path)
    by_name = {r.name: r.value for r in header(path, Limits())}
    assert by_name["Related General SOP Class UID"] == "1.2.840.10008.5.1.4.1.1.2 (CT Image Storage) \\ 1.2.3"
    assert by_name["Overlay Origin"] == "1 \\ -2"


def test_a_file_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="no longer there"):
        header(tmp_path / "gone.dcm", Limits())


@pytest.mark.shared
def test_no_real_file_stops_it(shared: Path) -> None:
    rows = [row for path in (shared / "dicom").rglob("*") if path.is_file() for row in told(path)]
    assert len(rows) > 10_000
    assert all(isinstance(row.value, str) and "\n" not in row.value for row in rows)


def told(path: Path) -> tuple[Row, ...]:
    """The rows, or none where one sentence was said instead."""
    try:
        return header(path, Limits())
    except SeriesError:
        return ()
