# SPDX-License-Identifier: Apache-2.0
"""What tells one series from another: order, identifiers and files, wherever these lie."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from program import write_stack

from viewer import dicom
from viewer.errors import SeriesError
from viewer.types import Display, Geometry, Series, Window


def only(*paths: Path) -> Series:
    (series,) = dicom.scan(list(paths)).series
    return series


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "study")


class Unread:
    """Voxels that nobody may look at."""

    shape, dtype = (4, 16, 24), np.dtype(np.int16)

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("a pixel was read")

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("all pixels were read")

    def __len__(self) -> int:
        return 4


def kept_times(path: Path, change: Any) -> None:
    """Change a file and set its time back."""
    status = path.stat()
    change(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def long(path: Path) -> Path:
    """The file with so much behind its pixels that not all of it tells."""
    dataset = pydicom.dcmread(path)
    dataset.add_new(0xFFFCFFFC, "OB", bytes(20_000))  # trailing padding
    dataset.save_as(path)
    return path


def test_it_is_the_same_wherever_the_files_lie_and_whatever_they_are_called(folder: Path) -> None:
    plain = only(folder).digest
    assert len(plain) == 32
    assert only(folder).digest == plain
    moved = folder.rename(folder.with_name("elsewhere"))
    for number, path in enumerate(sorted(moved.iterdir(), reverse=True)):
        path.rename(moved / f"{number}.other")
    assert only(moved).digest == plain
    assert only(*moved.iterdir()).digest == plain


def test_a_copy_is_the_same_only_where_it_keeps_the_time(folder: Path, tmp_path: Path) -> None:
    plain = only(folder).digest
    assert only(Path(shutil.copytree(folder, tmp_path / "kept"))).digest == plain
    fresh = Path(shutil.copytree(folder, tmp_path / "fresh", copy_function=shutil.copyfile))
    for path in fresh.iterdir():
        os.utime(path, (0, 0))
    assert only(fresh).digest != plain


def test_an_edited_file_is_another_series(folder: Path) -> None:
    plain, path = only(folder).digest, sorted(folder.iterdir())[2]
    kept_times(path, flip)  # near its beginning the content tells
    assert only(folder).digest != plain
    kept_times(path, flip)
    assert only(folder).digest == plain
    os.utime(path, (1, 1))
    assert only(folder).digest != plain


def test_a_longer_file_is_another_series(folder: Path) -> None:
    """The size tells, where neither the beginning nor the time does."""
    path = long(sorted(folder.iterdir())[0])
    plain = only(folder).digest
    kept_times(path, lambda path: path.write_bytes(path.read_bytes() + bytes(2)))
    assert only(folder).digest != plain


def test_what_the_fingerprint_cannot_tell(folder: Path) -> None:
    """An edit behind the first 4 KiB by a tool that keeps the size and sets the time back, and no other."""
    path = long(sorted(folder.iterdir())[0])
    plain = only(folder).digest
    for place, told in ((4095, True), (4096, False), (-1, False)):
        kept_times(path, lambda path, place=place: flip(path, place))
        assert (only(folder).digest != plain) == told
        kept_times(path, lambda path, place=place: flip(path, place))
    os.utime(path, (1, 1))
    assert only(folder).digest != plain


def test_every_identifier_and_the_order_count(folder: Path) -> None:
    series = only(folder)
    uids, frames, files = series.sop_uids, series.frame_numbers, series.fingerprints
    assert len(files) == len(uids) == len(frames) == 4
    others = [
        replace(series, uid="1.2.3"),
        replace(series, sop_uids=(*uids[:3], "1.2.3")),
        replace(series, frame_numbers=(*frames[:3], 2)),
        replace(series, fingerprints=(*files[:3], files[0])),
        replace(series, sop_uids=uids[::-1], fingerprints=files[::-1], frame_numbers=frames[::-1]),
        replace(series, sop_uids=uids[::-1]),  # which file is which slice
        replace(series, fingerprints=files[::-1]),
    ]
    digests = [series.digest, *(other.digest for other in others)]
    assert len(set(digests)) == len(digests)
    assert replace(series, description="other", paths=()).digest == series.digest


def test_no_pixel_of_a_file_is_read(folder: Path) -> None:
    series = only(folder)
    assert replace(series, voxels=Unread()).digest == series.digest


def test_frames_of_one_file_are_told_apart(folder: Path) -> None:
    series = only(folder)
    one = replace(series, sop_uids=("1.2",) * 4, fingerprints=series.fingerprints[:1] * 4)
    assert replace(one, frame_numbers=(1, 2, 3, 4)).digest != replace(one, frame_numbers=(2, 1, 3, 4)).digest


def test_an_archive_holds_the_same_series_each_time_it_is_unpacked(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    plain = only(packed).digest
    assert only(packed).digest == plain
    flip(sorted(folder.iterdir())[0])
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    assert only(packed).digest != plain


def test_an_archive_that_states_no_date_is_opened(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            member = zipfile.ZipInfo(path.name)
            member.date_time = (1980, 0, 0, 0, 0, 0)
            archive.writestr(member, path.read_bytes())
    assert only(packed).digest == only(packed).digest


def test_a_picture_is_its_content(tmp_path: Path) -> None:
    pixels = np.arange(300, dtype=np.uint8).reshape(15, 20)
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
        Image.fromarray(pixels).save(place / "a.png")
        os.utime(place / "a.png", (len(place.name), 7))
    first, second = (only(place).digest for place in places)
    assert first == second
    pixels[0, 0] += 1
    Image.fromarray(pixels).save(places[1] / "a.png")
    assert only(places[1]).digest != first


# --- images that came from no file ------------------------------------------------------------------


def made(voxels: Any, **facts: Any) -> Series:
    display = Display(((2.0, -1024.0),) * len(voxels))
    return Series("1.2.3", "CT", voxels, Geometry(np.eye(4)), **({"display": display} | facts))


VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def test_images_from_no_file_are_their_pixels_and_what_these_mean() -> None:
    plain = made(VOXELS.copy())
    assert plain.digest == made(VOXELS.copy()).digest
    changed = VOXELS.copy()
    changed[1, 2, 3] += 1
    others = [
        made(changed),
        made(VOXELS[::-1]),
        made(VOXELS.reshape(2, 4, 3)),
        made(VOXELS.astype(np.uint16)),
        made(VOXELS, display=Display(((2.0, -1000.0),) * 2)),
        made(VOXELS, display=Display(((2.0, -1024.0),) * 2, inverted=True)),
        made(VOXELS, display=Display(((2.0, -1024.0),) * 2, windows=(Window(40, 400),))),
        made(VOXELS, display=Display(((2.0, -1024.0),) * 2, lut=(0, np.arange(4)))),
        made(VOXELS, sop_uids=("a", "b")),
        replace(plain, geometry=Geometry(np.diag([1, 1, 2, 1]))),
        replace(plain, modality="MR"),
    ]
    digests = [plain.digest, *(other.digest for other in others)]
    assert len(set(digests)) == len(digests)


def test_a_slice_that_cannot_be_read_is_told() -> None:
    class Damaged(Unread):
        def __getitem__(self, index: int) -> Any:
            raise SeriesError("The slice is damaged.")

    with pytest.raises(SeriesError, match="The slice is damaged"):
        _ = made(Damaged()).digest


Slice = st.tuples(st.sampled_from(["", "1.2", "1.2.3"]), st.integers(1, 3), st.sampled_from([b"\0", b"\1"]))


@given(st.lists(Slice, min_size=1, max_size=4), st.lists(Slice, min_size=1, max_size=4))
def test_two_lists_of_slices_have_one_digest_only_where_they_are_the_same(
    one: list[tuple[str, int, bytes]], other: list[tuple[str, int, bytes]]
) -> None:
    def of(slices: list[tuple[str, int, bytes]]) -> str:
        uids, frames, files = zip(*slices, strict=True)
        voxels = np.zeros((len(slices), 1, 1))
        return made(voxels, sop_uids=uids, frame_numbers=frames, fingerprints=files).digest

    assert (of(one) == of(other)) == (one == other)
