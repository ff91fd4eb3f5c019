# SPDX-License-Identifier: Apache-2.0
"""Every file is counted once, refused with a sentence where it must be, and nothing is trusted."""

import os
import random
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import Make, shuffled, write
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from viewer.dicom import UNKNOWN_PLACE, Arrival, Study, arrivals, presented, scan
from viewer.dicom.scan import MANY
from viewer.dicom.walk import Listed, files_under
from viewer.errors import SeriesError
from viewer.settings import Limits, Settings
from viewer.task import Cancelled, Progress, Task
from viewer.types import Series


def count(study: Study) -> int:
    return sum(s.files for s in study.series) + len(study.other) + len(study.refused)


def facts(series: Series) -> tuple[object, ...]:
    """All that must not depend on how files are named."""
    space = series.geometry
    return (
        series.uid,
        series.modality,
        series.sop_uids,
        series.voxels.shape,
        space.matrix.tolist(),
        space.spacing,
        space.letters(),
        space.spacing_kind,
        series.display.rescale,
        series.display.windows,
        series.warnings,
        series.files,
        series.syntax,
    )


def sentence(reason: str) -> bool:
    words = reason.lower()
    jargon = ("error", "exception", "traceback", "none", "nonetype", "0x", "dict", "index")
    return reason[0].isupper() and reason.endswith(".") and not any(w in words.split() for w in jargon)


@pytest.mark.shared
def test_every_real_file_is_counted_once(shared: Path) -> None:
    folder = shared / "dicom"
    study = scan([folder])
    assert count(study) == sum(p.is_file() for p in folder.rglob("*"))
    assert all(sentence(entry.reason) for entry in (*study.other, *study.refused))
    assert all(sentence(w) for s in study.series for w in s.warnings)
    assert len({s.uid for s in study.series}) == len(study.series)
    assert len(study.series) > 80


@pytest.mark.shared
def test_every_slice_of_every_real_series_decodes(shared: Path) -> None:
    for series in scan([shared / "dicom"]).series:
        for values in (series.voxels[i] for i in range(len(series.voxels))):
            assert values.shape == series.voxels.shape[1:]
            assert values.dtype == series.voxels.dtype
            assert not values.flags.writeable


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (
            "1.2.840.10008.1.2.4.92",
            "The image is stored as JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only), "
            "which cannot be decoded here.",
        ),
        (
            "1.2.840.10008.1.2.4.102",
            "This is a video (MPEG-4 AVC/H.264 High Profile / Level 4.1), which is not played here.",
        ),
    ],
)
def test_what_no_decoder_reads_is_refused_by_the_scan(make: Make, syntax: str, reason: str) -> None:
    colour = {"PhotometricInterpretation": "YBR_PARTIAL_420", "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    path = make("v.dcm", TransferSyntaxUID=syntax, **colour)
    (entry,) = scan([path]).refused
    assert entry.reason == reason


@pytest.mark.shared
def test_a_shuffled_and_renamed_copy_gives_the_same_series(shared: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("slicer", "dicom2nifti", "pydicom/test_files")):
        original = scan([shared / "dicom" / name])
        copy = scan([shuffled(shared / "dicom" / name, tmp_path / str(number), seed=number)])
        assert [facts(s) for s in copy.series] == [facts(s) for s in original.series]
        for one, other in zip(original.series, copy.series, strict=True):
            np.testing.assert_array_equal(one.voxels[0], other.voxels[0])


@pytest.mark.shared
def test_dicomdir_as_the_path_reads_its_folder(shared: Path) -> None:
    folder = shared / "dicom" / "pydicom" / "test_files" / "dicomdirtests"
    assert count(scan([folder / "DICOMDIR"])) == count(scan([folder]))


@pytest.mark.filterwarnings("ignore:.*for VR CS")
@pytest.mark.parametrize("named", [["..", "secret", "s.dcm"], "absolute", ["..", "..", "s.dcm"]])
@pytest.mark.parametrize("given", ["DICOMDIR", "."])
def test_a_dicomdir_leads_nowhere_out_of_its_folder(
    make: Make, tmp_path: Path, named: str | list[str], given: str
) -> None:
    """What it names is not followed at all: what lies beside it is read."""
    outside, inside = make("secret/s.dcm", SOPInstanceUID="1.2.3.99"), make("disc/d.dcm")
    record = Dataset()
    record.DirectoryRecordType = "IMAGE"
    record.ReferencedFileID = [str(outside)] if isinstance(named, str) else named
    record.ReferencedSOPInstanceUIDInFile = "1.2.3.99"
    directory = pydicom.dcmread(inside)
    for keyword in ("PixelData", "Rows", "Columns"):
        del directory[keyword]
    directory.SOPClassUID = directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.DirectoryRecordSequence = [record]
    directory.save_as(tmp_path / "disc" / "DICOMDIR")
    study = scan([tmp_path / "disc" / given])
    assert [series.paths for series in study.series] == [(inside,)]
    assert [entry.path.name for entry in study.other] == ["DICOMDIR"]
    assert study.other[0].reason == "This is a DICOMDIR; its folder was read instead."


def test_folders_without_files_and_missing_paths_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match="no file in the folder"):
        scan([tmp_path])
    with pytest.raises(SeriesError, match="no file or folder gone"):
        scan([tmp_path / "gone"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("letter.dcm", b"Dear colleague, this is not an image at all, whatever its name says.", "not DICOM"),
        ("empty.dcm", b"", "empty"),
        ("empty", b"", "empty"),
        ("photo.png", b"not a photo", "neither"),
        ("preamble.dcm", b"\0" * 128 + b"DICM", ""),
        ("preamble_only_then_noise", b"\0" * 128 + b"DICM" + os.urandom(4096), ""),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ""),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", ""),
    ],
)
def test_broken_files_are_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    study = scan([tmp_path])
    assert count(study) == 1
    assert not study.series
    entry = (*study.refused, *study.other)[0]
    assert sentence(entry.reason)
    assert said in entry.reason
    if said:
        assert study.refused


def test_healthy_files_of_other_kinds_are_listed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("two slices missing")
    (tmp_path / "study.gz").write_bytes(b"\x1f\x8b\x08")
    os.mkfifo(tmp_path / "pipe")
    study = scan([tmp_path])
    assert len(study.other) == 3
    assert not study.refused


def test_links_do_not_loop_and_count_once(tmp_path: Path, make: Make) -> None:
    make("a/one.dcm")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "same.dcm").symlink_to(tmp_path / "a" / "one.dcm")
    (tmp_path / "a" / "nowhere").symlink_to(tmp_path / "gone")
    study = scan([tmp_path, tmp_path / "a"])
    assert [s.files for s in study.series] == [1]
    assert len(study.other) == 1
    assert [e.reason for e in study.refused] == ["This is a link that leads nowhere."]


def test_the_same_image_twice_is_kept_once(make: Make, tmp_path: Path) -> None:
    make("a.dcm", SOPInstanceUID="1.2.3.4")
    make("b.dcm", SOPInstanceUID="1.2.3.4")
    study = scan([tmp_path])
    assert study.series[0].files == 1
    assert [e.reason for e in study.other] == ["This is the same image again."]


def test_one_identifier_on_two_places_is_two_slices(make: Make, tmp_path: Path) -> None:
    make("a.dcm", SOPInstanceUID="1.2.3.4", ImagePositionPatient=[0, 0, 0])
    make("b.dcm", SOPInstanceUID="1.2.3.4", ImagePositionPatient=[0, 0, 3])
    (series,) = scan([tmp_path]).series
    assert series.shape[0] == 2
    assert "Some images carry no identifier of their own." in series.warnings


def test_a_truncated_native_image_is_refused(make: Make) -> None:
    path = make("cut.dcm")
    path.write_bytes(path.read_bytes()[:-5])
    (entry,) = scan([path]).refused
    assert entry.reason == "The file ends before the image does: 43 of 48 bytes are there."


def test_truncated_compressed_data_are_refused(make: Make) -> None:
    from pydicom.encaps import encapsulate

    path = make("cut.dcm", TransferSyntaxUID=JPEGBaseline8Bit, PixelData=encapsulate([b"\xff\xd8" * 500]))
    path.write_bytes(path.read_bytes()[:-100])
    (entry,) = scan([path]).refused
    assert "cut off" in entry.reason
    empty = encapsulate([b"\0\0"]).replace(b"\x02\0\0\0\0\0", b"\0\0\0\0")
    path = make("none.dcm", TransferSyntaxUID=JPEGBaseline8Bit, NumberOfFrames=3, PixelData=empty)
    (entry,) = scan([path]).refused
    assert entry.reason == "The file holds the compressed data of 0 of its 3 frames."


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Rows": 65_535, "Columns": 65_535, "NumberOfFrames": 1_000_000}, "65535 × 65535"),
        ({"Rows": 4096, "Columns": 4096, "NumberOfFrames": 10_000}, "GiB"),
        ({"NumberOfFrames": 1_000_000_000}, "frames"),
        ({"NumberOfFrames": -3}, "no frames"),
        ({"Rows": 0}, "rows and columns"),
        ({"BitsAllocated": 24, "BitsStored": 20, "HighBit": 19}, "bits"),
        ({"BitsAllocated": 64}, "bits"),
        ({"PhotometricInterpretation": "HSV"}, "HSV"),
        ({"PhotometricInterpretation": "RGB"}, "channels"),
        ({"TransferSyntaxUID": "1.2.840.10008.1.2.4.100"}, "MPEG2"),
        ({"drop": ("Rows",)}, "rows and columns"),
        ({"drop": ("PixelData",)}, "no image data"),
    ],
)
def test_headers_that_ask_too_much_or_contradict_themselves(
    make: Make, tags: dict[str, object], said: str
) -> None:
    study = scan([make("odd.dcm", **tags)])
    (entry,) = study.refused
    assert said in entry.reason
    assert sentence(entry.reason)


def test_a_wrong_transfer_syntax_is_refused(make: Make) -> None:
    path = make("odd.dcm", TransferSyntaxUID="1.2.840.10008.1.2.4.90")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"))
    (entry,) = scan([path]).refused
    assert "header names" in entry.reason


def test_a_bomb_allocates_nothing(make: Make) -> None:
    import tracemalloc

    path = make("bomb.dcm", Rows=65_535, Columns=65_535, NumberOfFrames=1_000_000)
    scan([path])
    tracemalloc.start()
    scan([path])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 1024**2


def test_a_deflated_bomb_is_unpacked_only_so_far(make: Make, tmp_path: Path) -> None:
    import tracemalloc

    plain = make("plain.dcm").read_bytes()
    start = plain.index(b"\x08\x00\x16\x00UI")
    meta = plain[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    grown = meta[140:144], (int.from_bytes(meta[140:144], "little") + 2).to_bytes(4, "little")
    meta = meta[:140] + grown[1] + meta[144:]
    meta = meta.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    private = b"\x09\x00\x10\x10OB\0\0" + (300 * 1024**2).to_bytes(4, "little")
    body = packer.compress(plain[start : start + 34] + private)
    body += b"".join(packer.compress(bytes(1024**2)) for _ in range(300)) + packer.flush()
    bomb = tmp_path / "bomb.dcm"
    bomb.write_bytes(meta + body)
    limits = Limits(header_bytes=4 * 1024**2)
    tracemalloc.start()
    study = scan([bomb], Settings(limits=limits))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not study.series
    assert peak < 40 * 1024**2


def test_a_header_without_end_is_refused(make: Make) -> None:
    path = make("long.dcm", ImageComments="x" * 4000)
    (entry,) = scan([path], Settings(limits=Limits(header_bytes=2000))).refused
    assert "longer than the limit" in entry.reason


def test_files_without_preamble_are_read(make: Make, tmp_path: Path) -> None:
    plain = make("plain.dcm").read_bytes()
    (tmp_path / "bare").write_bytes(plain[plain.index(b"\x08\x00\x16\x00UI") :])
    (tmp_path / "plain.dcm").unlink()
    (series,) = scan([tmp_path]).series
    np.testing.assert_array_equal(series.voxels[0], np.arange(24).reshape(4, 6))


def test_random_damage_never_escapes_as_an_exception(make: Make, tmp_path: Path) -> None:
    whole = make("whole.dcm", PatientName="Doe", WindowCenterWidthExplanation="SOFT").read_bytes()
    chance = random.Random(0)
    path = tmp_path / "damaged.dcm"
    for _ in range(400):
        damaged = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(chance.choice([1, 4, 20])):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.choice([0, 127, 128, 255])
        path.write_bytes(damaged)
        study = scan([path])
        assert count(study) == 1
        assert all(sentence(entry.reason) for entry in study.refused)
        for series in study.series:
            assert np.isfinite(presented(series, 0)).all()


def test_identity_and_facts(make: Make) -> None:
    path = make(
        "a.dcm",
        PatientName="Müller^Jürgen",
        SpecificCharacterSet="ISO_IR 192",
        PatientBirthDate="19700102",
        SeriesDescription="Thorax",
        BodyPartExamined="CHEST",
        ImageLaterality="L",
        RescaleType="HU",
    )
    (series,) = scan([path]).series
    assert series.identity.patient == "Müller^Jürgen"
    assert series.identity.birth_date == "19700102"
    assert "Müller" not in repr(series)
    assert (series.description, series.body_part, series.laterality) == ("Thorax", "CHEST", "L")
    assert (series.modality, series.syntax, series.display.unit) == ("CT", "Explicit VR Little Endian", "HU")


def test_progress_is_told_and_cancelling_stops(make: Make, tmp_path: Path) -> None:
    make("a.dcm")
    make("b.dcm")
    told: list[Progress] = []
    scan([tmp_path], task=Task(told.append))
    assert [p.done for p in told] == [0, 1]
    assert all(p.total == 2 for p in told)
    task = Task()
    task.cancel()
    with pytest.raises(Cancelled):
        scan([tmp_path], task=task)


def test_scanning_needs_neither_torch_nor_qt(tmp_path: Path) -> None:
    (tmp_path / "dl").mkdir()  # with this folder about, `import pydicom` fails beside python-gdcm
    code = (
        "import sys; sys.path.insert(0, ''); import viewer.dicom; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'PySide6', 'dl')))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_series_uids_stay_apart_between_patients(make: Make, tmp_path: Path) -> None:
    for number, patient in enumerate(("P1", "P2")):
        make(f"{patient}.dcm", PatientID=patient, ImagePositionPatient=[0, 0, number])
    series = scan([tmp_path]).series
    assert [s.uid for s in series] == ["1.2.3#1", "1.2.3#2"]
    assert [s.identity.patient_id for s in series] == ["P1", "P2"]


def test_projections_of_one_series_are_no_stack(tmp_path: Path) -> None:
    for number in (1, 2):
        write(
            tmp_path / f"{number}.dcm",
            Modality="DX",
            InstanceNumber=number,
            drop=("ImagePositionPatient", "ImageOrientationPatient"),
        )
    assert [s.shape[0] for s in scan([tmp_path]).series] == [1, 1]


def test_a_relative_path_still_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The child that decodes works in another folder.
    from PIL import Image

    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "grey.png")
    monkeypatch.chdir(tmp_path)
    (series,) = scan([Path("grey.png")]).series
    monkeypatch.chdir("/")
    assert series.voxels[0][7, 7] == 63


def test_series_are_told_as_they_are_found(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "EVERY", 0.0)
    monkeypatch.setattr(arrivals, "_LATEST", 0.0)
    for k in range(MANY):
        make(f"{k:02}.dcm", ImagePositionPatient=[0, 0, k], SeriesInstanceUID=f"1.2.{1 + k // 30}")
    steps: list[int] = []
    told: list[tuple[Arrival, ...]] = []
    study = scan([tmp_path], task=Task(lambda step: steps.append(step.done)), found=told.append)
    assert [[one.images for one in every] for every in told[28:32]] == [[29], [30], [30, 1], [30, 2]]
    assert len(told) == len(steps) == MANY
    first, last = told[0][0].series, told[-1]
    assert (first.shape[0], first.warnings) == (1, (UNKNOWN_PLACE,))
    np.testing.assert_array_equal(first.voxels[0], study.series[0].voxels[0])
    assert last[0].series is first  # made once, however often it is told
    assert [s.shape[0] for s in study.series] == [one.images for one in last] == [30, MANY - 30]
    assert [one.key for one in last] == ["1.2.1", "1.2.2"]


def test_series_are_told_seldom_and_not_of_few_files(make: Make, tmp_path: Path) -> None:
    for k in range(MANY):
        make(f"{k:02}.dcm", ImagePositionPatient=[0, 0, k], SeriesInstanceUID=f"1.2.{k}")
    told: list[tuple[Arrival, ...]] = []
    begun = time.monotonic()
    scan([tmp_path], found=told.append)
    assert 1 <= len(told) <= 1 + (time.monotonic() - begun) / arrivals.EVERY
    (tmp_path / "00.dcm").unlink()
    told.clear()
    scan([tmp_path], found=told.append)
    assert told == []


def test_not_more_series_are_told_than_a_list_can_show(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "EVERY", 0.0)
    monkeypatch.setattr(arrivals, "_LATEST", 0.0)
    monkeypatch.setattr(arrivals, "MOST_SERIES", 3)
    for k in range(MANY):
        make(f"{k:02}.dcm", SeriesInstanceUID=f"1.2.{k % 8}", SOPInstanceUID=f"1.2.3.{k}")
    told: list[tuple[Arrival, ...]] = []
    assert len(scan([tmp_path], found=told.append).series) == 8
    assert {len(every) for every in told} == {1, 2, 3}
    assert [one.images for one in told[-1]] == [5, 5, 5]


def test_files_are_found_in_order_whatever_folders_and_links_there_are(make: Make, tmp_path: Path) -> None:
    for name in ("b/x", "b/a/y", "c", "a/z"):
        make(name)
    (tmp_path / "a" / "aa").symlink_to(tmp_path / "c")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    other: list[Listed] = []
    refused: list[Listed] = []
    found = files_under([tmp_path, tmp_path / "b", tmp_path / "c"], other, refused)
    assert [str(p.relative_to(tmp_path)) for p in found] == ["c", "a/z", "b/x", "b/a/y"]
    assert [e.path.name for e in other] == ["aa"]
    assert [e.path.name for e in refused] == ["round"]
    elsewhere = tmp_path.parent / f"{tmp_path.name}-linked"
    elsewhere.mkdir()
    (elsewhere / "one").symlink_to(tmp_path / "c")
    (elsewhere / "two").symlink_to(tmp_path / "c")
    assert [p.name for p in files_under([elsewhere], other, refused)] == ["one"]
