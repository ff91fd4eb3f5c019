# SPDX-License-Identifier: Apache-2.0
"""ZIP archives: what is in them opens, and nothing in them reaches outside."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write
from hypothesis import example, given
from hypothesis import strategies as st

from viewer.dicom import archives, scan
from viewer.settings import Limits, Settings


def stack(folder: Path, count: int = 3) -> list[Path]:
    return [
        write(folder / f"{i}.dcm", ImagePositionPatient=[0, 0, 2 * i], InstanceNumber=i) for i in range(count)
    ]


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_study_in_an_archive_opens_as_it_does_outside(tmp_path: Path) -> None:
    files = stack(tmp_path / "plain")
    members = {f"deep/er/{f.name}": f.read_bytes() for f in files}
    archive = packed(tmp_path / "study.zip", members | {"notes.txt": b"nothing"})
    (inside,), (outside,) = scan([archive]).series, scan([tmp_path / "plain"]).series
    assert inside.sop_uids == outside.sop_uids
    assert np.array_equal(inside.geometry.matrix, outside.geometry.matrix)
    for one, other in zip(inside.voxels, outside.voxels, strict=True):
        assert np.array_equal(one, other)
    (listed,) = scan([archive]).other
    assert listed.path == archive / "notes.txt"
    assert listed.reason == "This is neither DICOM nor a PNG or JPEG picture."


@pytest.mark.parametrize(
    "name",
    ["../../escaped.dcm", "/escaped.dcm", "..\\escaped.dcm", "a/../../../escaped.dcm", "C:/escaped.dcm"],
)
def test_a_name_cannot_lead_out_of_the_archive(tmp_path: Path, name: str) -> None:
    content = stack(tmp_path / "plain", 1)[0].read_bytes()
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    study = scan([packed(folder / "x.zip", {name: content})])
    assert len(study.series) == 1
    assert set(tmp_path.rglob("*")) - before == {folder / "x.zip"}
    assert not (tmp_path.parent / "escaped.dcm").exists()


@pytest.mark.parametrize(
    ("name", "kept"), [("...", "file"), ("deep/.hidden", "hidden"), ("..dcm", "dcm"), ("one.dcm", "one.dcm")]
)
def test_a_name_is_kept_without_leading_dots(tmp_path: Path, name: str, kept: str) -> None:
    content = stack(tmp_path / "plain", 1)[0].read_bytes()
    (series,) = scan([packed(tmp_path / "x.zip", {name: content})]).series
    assert [path.name for path in series.paths] == [kept]
    assert series.voxels[0].size


def test_a_link_in_an_archive_leads_nowhere(tmp_path: Path) -> None:
    """It is a file that holds a path, and stays one."""
    secret = stack(tmp_path / "plain", 1)[0]
    link = zipfile.ZipInfo("link.dcm")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, str(secret))
    study = scan([tmp_path / "x.zip"])
    assert study.series == ()
    assert study.refused[0].reason == "The file is named like a DICOM file, but what is in it is not DICOM."


@example("\\\\")  # two slashes are a root of their own
@given(st.text(max_size=30))
def test_no_name_is_too_strange(name: str) -> None:
    shown = archives._plain(name)
    assert ".." not in shown.parts
    assert not shown.is_absolute()


def test_a_bomb_costs_a_sentence(tmp_path: Path) -> None:
    """Fifty megabytes of nothing in fifty kilobytes: no more is written than may be."""
    content = stack(tmp_path / "plain", 1)[0].read_bytes() + bytes(50_000_000)
    archive = packed(tmp_path / "bomb.zip", {"a.dcm": content})
    study = scan([archive], Settings(limits=Limits(bytes=1_000_000)))
    (refused,) = study.refused
    assert refused.reason == "The archive unpacks to more than the limit allows."


@pytest.mark.parametrize("damaged", [False, True])
def test_many_bombs_cost_what_one_does(tmp_path: Path, damaged: bool) -> None:
    """What is unpacked and thrown away again counts as well: more is not even looked for."""
    content = stack(tmp_path / "plain", 1)[0].read_bytes() + bytes(700_000 if damaged else 3_000_000)
    archive = packed(tmp_path / "bomb.zip", {f"{i}.dcm": content for i in range(9)})
    if damaged:  # all checksums are wrong, which shows at the end of each file only
        data = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as entries:
            for member in entries.infolist():
                data[member.header_offset + 14] ^= 0xFF
        at = -1
        while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
            data[at + 16] ^= 0xFF
        archive.write_bytes(data)
    written: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "_away", lambda place: written.append(place.stat().st_size))
        found = [place for _, place in archives.unpacked(archive, Limits(bytes=2_000_000), lambda *_: None)]
    assert {type(place).__name__ for place in found} == {"SeriesError"}
    assert str(found[-1]) == "The archive unpacks to more than the limit allows."
    assert sum(written) <= 2_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_without_a_bound_is_refused(tmp_path: Path, method: int) -> None:
    """Six hundred bytes of bzip2 became a gigabyte before the first of them could be looked at."""
    content = stack(tmp_path / "plain", 1)[0].read_bytes()
    (refused,) = scan([packed(tmp_path / "a.zip", {"a.dcm": content}, method)]).refused
    assert refused.reason == "The file is packed in its archive in a way that is not opened."


def test_a_long_name_in_other_letters_is_cut(tmp_path: Path) -> None:
    content = stack(tmp_path / "plain", 1)[0].read_bytes()
    assert len(scan([packed(tmp_path / "a.zip", {"\U00020000" * 100 + ".dcm": content})]).series) == 1


def test_too_many_members_are_refused_before_any_is_read(tmp_path: Path) -> None:
    archive = packed(tmp_path / "many.zip", {str(i): b"" for i in range(20)})
    study = scan([archive], Settings(limits=Limits(members=10)))
    assert [r.reason for r in study.refused] == ["The archive holds 20 files, more than the limit of 10."]


def test_a_damaged_member_does_not_stop_the_others(tmp_path: Path) -> None:
    files = stack(tmp_path / "plain")
    archive = packed(tmp_path / "a.zip", {f.name: f.read_bytes() for f in files}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    at = data.find(files[1].read_bytes()) + 200
    data[at] ^= 0xFF  # the checksum no longer agrees
    archive.write_bytes(data)
    study = scan([archive])
    assert study.series[0].files == 2
    assert [r.reason for r in study.refused] == ["The file is damaged inside its archive."]


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x03\x04" + os.urandom(500)])
def test_a_damaged_archive_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.zip"
    path.write_bytes(content)
    assert [r.reason for r in scan([path]).refused] == ["This is a damaged ZIP archive."]


def test_an_archive_in_an_archive_stays_packed(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"a": b"x"}).read_bytes()
    image = stack(tmp_path / "plain", 1)[0].read_bytes()
    study = scan([packed(tmp_path / "outer.zip", {"inner.zip": inner, "a.dcm": image})])
    assert [i.reason for i in study.other] == ["This is a packed archive; unpack it to see what is in it."]


@pytest.mark.parametrize("members", [{}, {"word/document.xml": b"<a/>", "b.txt": b"b"}])
def test_an_archive_without_images_is_listed_once(tmp_path: Path, members: dict[str, bytes]) -> None:
    archive = packed(tmp_path / "letter.docx", members)
    study = scan([archive, *stack(tmp_path / "plain", 1)])
    assert [(i.path, i.reason) for i in study.other] == [(archive, "There is no image in this archive.")]
