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
    path = make("a.dcm", InstitutionName="Hospital", OperatorsName="Smith", KVP=120)
    file = pydicom.dcmread(path)
    file.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "Doe Jane, bed 4")
    file.save_as(path)
    marked = {r.value: r.personal for r in header(path, Limits()) if r.value}
    assert marked["Doe^Jane"]
    assert marked["Hospital"]
    assert marked["Smith"]
    assert marked["Doe Jane, bed 4"]
    assert not marked["120.0"]


def test_long_values_end(make: Make) -> None:
    path = make("a.dcm", ImageComments="x" * 5000)
    (row,) = [r for r in header(path, Limits()) if r.name == "Image Comments"]
    assert row.value.endswith("… (5000 characters)")
    assert len(row.value) < 450


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
