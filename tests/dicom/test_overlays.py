# SPDX-License-Identifier: Apache-2.0
"""Overlay planes against pydicom, shutters against pixels known to lie in or out (PS3.3 C.9.2, C.7.6.11)."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import Make, sequence
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from viewer.dicom import Graphics, graphics, scan
from viewer.types import Series


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def found(path: Path, index: int = 0) -> Graphics:
    result = graphics(only(path), index)
    assert result is not None
    return result


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["pydicom-data/MR-SIEMENS-DICOM-WithOverlays.dcm", "pydicom/test_files/examples_overlay.dcm"]
)
def test_overlays_agree_with_pydicom(shared: Path, name: str) -> None:
    path = shared / "dicom" / name
    drawn = found(path)
    assert drawn.shutter is None
    assert drawn.overlay is not None
    np.testing.assert_array_equal(drawn.overlay, pydicom.dcmread(path).overlay_array(0x6000) > 0)


def with_plane(path: Path, bits: np.ndarray, origin: tuple[int, int] = (1, 1), **more: Any) -> Path:
    """Add group 6002 to a file; `bits` are (rows, columns) or (frames, rows, columns)."""
    dataset = pydicom.dcmread(path)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    packed += b"\0" * (len(packed) % 2)
    elements = {0x10: ("US", bits.shape[-2]), 0x11: ("US", bits.shape[-1]), 0x40: ("CS", "G")}
    elements |= {0x50: ("SS", list(origin)), 0x100: ("US", 1), 0x102: ("US", 0), 0x3000: ("OW", packed)}
    elements |= {int(tag.removeprefix("x"), 16): value for tag, value in more.items()}
    for tag, (vr, value) in elements.items():
        if value is not None:
            dataset.add_new(0x60020000 | tag, vr, value)
    dataset.save_as(path)
    return path


BITS = np.random.default_rng(1).random((3, 5)) < 0.5
PLAIN = {"RescaleIntercept": 0}


@pytest.mark.parametrize("origin", [(1, 1), (2, 3), (0, -1), (-2, 5), (9, 9), (-9, 1)])
def test_a_plane_lies_at_its_origin_and_is_cut_at_the_image(make: Make, origin: tuple[int, int]) -> None:
    path = with_plane(make("a.dcm", pixels=np.zeros((4, 6), np.int16)), BITS, origin)
    expected = np.zeros((4, 6), bool)
    for r, c in np.argwhere(BITS):
        row, column = r + origin[0] - 1, c + origin[1] - 1
        if 0 <= row < 4 and 0 <= column < 6:
            expected[row, column] = True
    drawn = graphics(only(path), 0)
    assert (drawn is None) == (not expected.any())
    if drawn is not None:
        np.testing.assert_array_equal(drawn.overlay, expected)


def test_frames_have_their_own_planes(make: Make) -> None:
    """Frames of 15 bits begin in the midst of a byte; the plane begins at the image's second frame."""
    bits = np.random.default_rng(2).random((2, 3, 5)) < 0.5
    path = make("a.dcm", pixels=np.zeros((4, 3, 5), np.int16), NumberOfFrames=4)
    series = only(with_plane(path, bits, x15=("IS", 2), x51=("US", 2)))
    drawn = [graphics(series, i) for i in range(4)]
    assert [d is not None for d in drawn] == [False, True, True, False]
    for number, one in enumerate(drawn[1:3]):
        assert one is not None
        np.testing.assert_array_equal(one.overlay, bits[number])


def test_a_plane_without_frames_is_for_all(make: Make) -> None:
    series = only(with_plane(make("a.dcm", pixels=np.zeros((2, 3, 5), np.int16), NumberOfFrames=2), BITS))
    for index in range(2):
        drawn = graphics(series, index)
        assert drawn is not None
        np.testing.assert_array_equal(drawn.overlay, BITS)


def rewritten(path: Path, syntax: UID) -> Path:
    """The file with its overlay in another syntax, its pixels (all 0) as they are."""
    source, big = pydicom.dcmread(path), syntax == ExplicitVRBigEndian
    words = source[0x60023000].value
    dataset = Dataset()
    dataset.update({element.tag: element for element in source})
    dataset.file_meta = source.file_meta
    dataset.file_meta.TransferSyntaxUID = syntax
    if big:  # the bytes of words are written as they are
        dataset[0x60023000].value = np.frombuffer(words, "<u2").astype(">u2").tobytes()
    dataset.save_as(path, implicit_vr=not big, little_endian=not big, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_byte_orders(make: Make, syntax: UID) -> None:
    path = with_plane(make("a.dcm", pixels=np.zeros((3, 5), np.int16)), BITS)
    np.testing.assert_array_equal(found(rewritten(path, syntax)).overlay, BITS)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_planes_that_are_too_long_for_a_header_are_read_by_frame(make: Make, syntax: UID) -> None:
    """300 frames of 512 × 512 have ten megabytes of them. A frame may begin in the midst of a byte."""
    frames, side = 17_000, 63
    bits = np.zeros((frames, side, side), bool)
    bits[np.arange(frames), np.arange(frames) % side, 7] = True
    path = make("a.dcm", pixels=np.zeros((frames, side, side), np.uint8), NumberOfFrames=frames, **BOX)
    with_plane(path, bits, x15=("IS", frames))
    series = only(rewritten(path, syntax))
    for index in (0, 1, 8_191, frames - 1):
        drawn = graphics(series, index)
        assert drawn is not None
        np.testing.assert_array_equal(drawn.overlay, bits[index])
        assert drawn.shutter is not None


def test_the_old_kind_lies_in_a_bit_of_the_pixels(make: Make) -> None:
    grey = np.arange(15, dtype=np.uint16).reshape(3, 5) * 100
    path = make(
        "a.dcm", pixels=grey | BITS.astype(np.uint16) << 13, BitsStored=12, HighBit=11, PixelRepresentation=0
    )
    with_plane(path, BITS, x100=("US", 16), x102=("US", 13), x3000=("OW", None))
    np.testing.assert_array_equal(found(path).overlay, BITS)
    np.testing.assert_array_equal(only(path).voxels[0], grey)
    of_grey = with_plane(path, BITS, x100=("US", 16), x102=("US", 5), x3000=("OW", None))
    assert graphics(only(of_grey), 0) is None


def test_the_old_kind_lies_in_the_pixels_of_its_own_frame(make: Make) -> None:
    both = np.stack([BITS, ~BITS]).astype(np.uint16) << 13
    path = make("a.dcm", pixels=both, BitsStored=12, HighBit=11, NumberOfFrames=2, PixelRepresentation=0)
    series = only(with_plane(path, BITS, x100=("US", 16), x102=("US", 13), x3000=("OW", None)))
    for index, bits in enumerate((BITS, ~BITS)):
        drawn = graphics(series, index)
        assert drawn is not None
        np.testing.assert_array_equal(drawn.overlay, bits)


@pytest.mark.parametrize("broken", [{"x3000": ("OW", b"\1\0")}, {"x10": ("US", 0)}, {"x10": ("US", 60000)}])
def test_a_damaged_plane_is_no_plane(make: Make, broken: dict[str, Any]) -> None:
    path = with_plane(make("a.dcm", pixels=np.zeros((40, 50), np.int16)), np.ones((40, 50), bool), **broken)
    assert graphics(only(path), 0) is None


def test_pictures_and_plain_files_have_nothing(make: Make) -> None:
    assert graphics(only(make("a.dcm")), 0) is None


BOX = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 3,
    "ShutterRightVerticalEdge": 18,
    "ShutterUpperHorizontalEdge": 5,
    "ShutterLowerHorizontalEdge": 16,
}
CIRCLE = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [10, 10], "RadiusOfCircularShutter": 5}
POLYGON = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [2, 2, 2, 19, 19, 2]}
SQUARE = {"pixels": np.zeros((20, 20), np.int16), "PixelSpacing": [1, 1]}


@pytest.mark.parametrize(
    ("tags", "shown", "hidden"),
    [
        (BOX, [(5, 3), (16, 18), (10, 10)], [(4, 3), (5, 2), (17, 18), (16, 19)]),
        (CIRCLE, [(10, 10), (10, 15), (5, 10), (13, 14)], [(10, 16), (4, 10), (14, 14)]),
        (CIRCLE | {"PixelSpacing": [2, 1]}, [(10, 15), (8, 10)], [(10, 16), (7, 10), (13, 14)]),
        (POLYGON, [(2, 2), (2, 19), (19, 2), (17, 3)], [(1, 1), (19, 19), (12, 12), (1, 10)]),
        (
            {**BOX, **CIRCLE, **POLYGON, "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"]},
            [(8, 8), (6, 8)],
            [(4, 4), (12, 12), (6, 5), (2, 3)],
        ),
    ],
)
def test_shutters(
    make: Make, tags: dict[str, Any], shown: list[tuple[int, int]], hidden: list[tuple[int, int]]
) -> None:
    """Places are (row, column) from 1, as the standard counts."""
    drawn = found(make("a.dcm", **(SQUARE | tags)))
    assert drawn.shutter is not None
    assert drawn.overlay is None
    assert drawn.shade == 0
    assert not any(drawn.shutter[r - 1, c - 1] for r, c in shown)
    assert all(drawn.shutter[r - 1, c - 1] for r, c in hidden)


def test_a_polygon_of_too_many_corners_is_not_drawn(make: Make) -> None:
    """Each corner costs a look at every row: a hundred thousand took a minute and a half."""
    corners = [2, 2, 2, 19, 19, 2]
    for count, drawn in ((333, True), (334, False)):
        tags = POLYGON | {"VerticesOfThePolygonalShutter": corners * count}
        assert (graphics(only(make(f"{count}.dcm", **SQUARE, **tags)), 0) is not None) == drawn


def test_what_a_shutter_hides_has_its_grey_level(make: Make) -> None:
    assert found(make("a.dcm", **SQUARE, **BOX, ShutterPresentationValue=0x8080)).shade == 128


@pytest.mark.parametrize(
    "tags",
    [
        {"ShutterShape": "CIRCULAR"},
        {**BOX, "ShutterLeftVerticalEdge": None},
        {**BOX, "ShutterLeftVerticalEdge": 400, "ShutterRightVerticalEdge": 500},
        {**BOX, "ShutterShape": "BITMAP"},
    ],
)
def test_what_is_no_shutter_hides_nothing(make: Make, tags: dict[str, Any]) -> None:
    assert graphics(only(make("a.dcm", **SQUARE, **tags)), 0) is None


def test_frames_have_their_own_shutters(make: Make) -> None:
    def groups(box: dict[str, Any] | None) -> Dataset:
        (item,) = sequence(**({} if box is None else {"FrameDisplayShutterSequence": sequence(**box)}))
        return item

    series = only(
        make(
            "a.dcm",
            pixels=np.zeros((2, 20, 20), np.int16),
            NumberOfFrames=2,
            PerFrameFunctionalGroupsSequence=[groups(BOX), groups(None)],
        )
    )
    assert [graphics(series, i) is not None for i in range(2)] == [True, False]
    path = series.paths[0]
    file = pydicom.dcmread(path)
    for keyword, value in CIRCLE.items():
        setattr(file, keyword, value)
    file.save_as(path)
    own, of_file = (graphics(only(path), i) for i in range(2))
    assert own is not None
    assert of_file is not None
    assert not own.shutter[15, 17]  # in the box of the frame
    assert of_file.shutter[15, 17]  # outside of the file's circle
