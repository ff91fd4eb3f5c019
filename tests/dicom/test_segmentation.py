# SPDX-License-Identifier: Apache-2.0
"""Segmentations on the series they were made on: against highdicom, and with a block at a known place."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_files import DEFLATED_FRAMES, deflated, save
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oblique import COLUMN, COLUMNS, NORMAL, ORIGIN, ROW, ROWS, SLICES, STEP, stack
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes

from viewer import affine, dicom
from viewer.dicom import regions, scan
from viewer.dicom.decode import read_frame
from viewer.dicom.header import header_of
from viewer.dicom.image import object_of
from viewer.dicom.segmentation import _recommended, srgb
from viewer.errors import SeriesError
from viewer.overlay.outline import edges, outlines, slices_of
from viewer.settings import Limits
from viewer.types import Array, Region, Series


def segment(number: int) -> SegmentDescription:
    return SegmentDescription(
        number, f"thing {number}", codes.SCT.Tissue, codes.SCT.Organ,
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )  # fmt: skip


def write_seg(
    path: Path,
    sources: list[pydicom.Dataset],
    pixels: np.ndarray,
    kind: SegmentationTypeValues = SegmentationTypeValues.BINARY,
    count: int = 1,
    **grid: Any,
) -> Path:
    made = Segmentation(
        sources, pixels, kind, [segment(i + 1) for i in range(count)], hd.UID(), 9, hd.UID(), 1, "maker",
        "model", "1", "1", **grid,
    )  # fmt: skip
    made.save_as(path)
    return path


def block(values: type = np.uint8) -> np.ndarray:
    mask = np.zeros((SLICES, ROWS, COLUMNS), values)
    mask[2:4, 3:6, 7:9] = 1
    return mask


def drawn(folder: Path) -> tuple[Series, tuple[Region, ...]]:
    study = scan([folder])
    (one,) = study.segmentations
    (series,) = dicom.belongs(one, study.series)
    return series, regions(one, series, Limits())


def on_source(region: Region) -> np.ndarray:
    return np.asarray(region.on(np.eye(4), region.series.shape))


def test_a_binary_segmentation_marks_its_voxels(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    series, (region,) = drawn(tmp_path)
    assert region.name == "thing 1"
    assert np.array_equal(on_source(region), block() > 0)
    (listed,) = scan([tmp_path]).other
    assert listed.reason == f"This is a segmentation; it is outlined on {series.modality}."


def test_deflated_frames_mark_the_same_voxels(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    file = pydicom.dcmread(path)
    frames = [np.packbits(f.reshape(-1), bitorder="little").tobytes() for f in file.pixel_array]
    file.PixelData = encapsulate([deflated(f) for f in frames])
    file["PixelData"].VR, file["PixelData"].is_undefined_length = "OB", True
    file.file_meta.TransferSyntaxUID = DEFLATED_FRAMES
    save(file, path)
    _, (region,) = drawn(tmp_path)
    assert np.array_equal(on_source(region), block() > 0)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["liver_deflate.dcm", "liver_nonbyte_aligned.dcm"])
def test_the_real_liver_has_pydicoms_pixels(shared: Path, name: str) -> None:
    folder = shared / "dicom/pydicom-data"
    ours = object_of(header_of(folder / name, Limits()), Limits())
    assert isinstance(ours, dicom.Segmentation)
    theirs = pydicom.dcmread(folder / ("liver.dcm" if "deflate" in name else name)).pixel_array
    for frame, expected in enumerate(theirs):
        assert np.array_equal(read_frame(ours.pixels, frame, Limits()), expected)


def test_two_segments_are_two_regions(tmp_path: Path) -> None:
    pixels = np.stack([block(), np.roll(block(), 3, axis=1)], axis=-1)
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), pixels, count=2)
    _, found = drawn(tmp_path)
    assert [r.name for r in found] == ["thing 1", "thing 2"]
    for region, mask in zip(found, np.moveaxis(pixels, -1, 0), strict=True):
        assert np.array_equal(on_source(region), mask > 0)


def test_half_of_a_fraction_counts_as_inside(tmp_path: Path) -> None:
    pixels = block(np.float32) * 0.6
    pixels[2] *= 0.5
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), pixels, SegmentationTypeValues.FRACTIONAL)
    _, (region,) = drawn(tmp_path)
    assert np.array_equal(on_source(region), pixels > 0.5)


def test_just_half_of_a_fraction_counts_too(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), block(), SegmentationTypeValues.FRACTIONAL)
    file = pydicom.dcmread(path)
    file.MaximumFractionalValue = 254
    file.PixelData = bytes([126, 127] * (len(file.PixelData) // 2))
    file.save_as(path)
    _, (region,) = drawn(tmp_path)
    assert not region.mask[..., 0::2].any()
    assert region.mask[..., 1::2].all()


def test_planes_without_a_place_cover_the_images_they_refer_to(tmp_path: Path) -> None:
    """Cells of two by two pixels: each covers just its own. The last plane was written first."""
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    file = pydicom.dcmread(path)
    coarse = np.zeros((2, ROWS // 2, COLUMNS // 2), bool)
    coarse[0, 1, 2] = coarse[1, 4, 5] = True
    file.Rows, file.Columns = coarse.shape[1:]
    file.PixelData = np.packbits(coarse.reshape(-1), bitorder="little").tobytes()
    del file.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for frame in file.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    file.save_as(path)
    _, (region,) = drawn(tmp_path)
    expected = np.zeros((SLICES, ROWS, COLUMNS), bool)
    expected[[3, 2]] = coarse.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(on_source(region), expected)
    lines = outlines((region,), 2)[0].lines.reshape(-1, 2)
    assert (lines.min(0).tolist(), lines.max(0).tolist()) == ([7.5, 9.5], [9.5, 11.5])


def test_planes_thinner_or_thicker_than_the_slices_are_outlined_where_they_lie(tmp_path: Path) -> None:
    """Of the outline's plane the nearest counts, not the one below."""
    stack(tmp_path)
    (series,) = scan([tmp_path]).series
    mask = np.zeros((3, ROWS, COLUMNS), bool)
    for plane in range(3):
        mask[plane, plane, 2] = True
    thick = Region(mask, affine.scale_offset((2, 1, 1), (0.5, 0, 0)), series, "thick", "seg")
    tops = [one.lines[..., 0].min() for i in range(SLICES) for one in outlines((thick,), i)]
    assert tops == [-0.5, -0.5, 0.5, 0.5, 1.5, 1.5]


def test_a_label_map_holds_its_segments_as_numbers(tmp_path: Path) -> None:
    pixels = block() + 2 * np.roll(block(), 3, axis=1)
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), pixels, SegmentationTypeValues.LABELMAP, count=2)
    _, found = drawn(tmp_path)
    assert [r.name for r in found] == ["thing 1", "thing 2"]
    for number, region in enumerate(found, start=1):
        assert np.array_equal(on_source(region), pixels == number)


def test_a_grid_of_its_own_lands_by_its_position(tmp_path: Path) -> None:
    """Planes half as far apart, in reversed order, shifted, with pixels of another size."""
    half = [STEP / 2, 0.4, 0.25]
    start = ORIGIN + 4 * STEP * NORMAL + 0.8 * COLUMN  # the last plane first
    places = [hd.PlanePositionSequence("PATIENT", [*(start - i * half[0] * NORMAL)]) for i in range(8)]
    pixels = np.zeros((8, 12, 20), np.uint8)
    pixels[3, 5, 9] = 1
    write_seg(
        tmp_path / "seg.dcm", stack(tmp_path), pixels,
        pixel_measures=hd.PixelMeasuresSequence(half[1:], STEP / 2, STEP / 2),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", [*ROW, *COLUMN]), plane_positions=places,
    )  # fmt: skip
    series, (region,) = drawn(tmp_path)
    inside = np.argwhere(region.mask)
    assert len(inside) == 1
    place = affine.apply(series.geometry.matrix @ region.matrix, inside[0])
    known = start - 3 * half[0] * NORMAL + 5 * half[1] * COLUMN + 9 * half[2] * ROW
    np.testing.assert_allclose(place, known, atol=1e-3)


def test_empty_planes_that_were_left_out_stay_empty(tmp_path: Path) -> None:
    mask = block()
    mask[3] = 0
    mask[5, 1, 1] = 1
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), mask, omit_empty_frames=True)
    _, (region,) = drawn(tmp_path)
    assert np.array_equal(on_source(region), mask > 0)


def test_a_stack_with_a_gap_is_marked_on_the_images_that_are_meant(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    for i in (0, 1):
        path = tmp_path / f"{i}.dcm"
        file = pydicom.dcmread(path)
        file.ImagePositionPatient = [*(ORIGIN + (i - 40) * STEP * NORMAL).round(4)]
        file.save_as(path)
    _, (region,) = drawn(tmp_path)
    assert np.array_equal(on_source(region), block() > 0)


def moved(path: Path, change: Callable[[Any, list[Any]], None]) -> None:
    """Change what a segmentation says of its planes: the shared groups, and each frame's position."""
    file = pydicom.dcmread(path)
    places = [f.PlanePositionSequence[0] for f in file.PerFrameFunctionalGroupsSequence]
    change(file.SharedFunctionalGroupsSequence[0], places)
    file.save_as(path)


def in_patient(region: Region) -> np.ndarray:
    """LPS position of every marked cell."""
    matrix = region.series.geometry.matrix @ region.matrix
    return np.asarray(affine.apply(matrix, np.argwhere(region.mask)))


def larger(shared: Any, _places: list[Any]) -> None:
    shared.PixelMeasuresSequence[0].PixelSpacing = [1.04 * n for n in (0.8, 0.5)]


def transposed(shared: Any, _places: list[Any]) -> None:
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*COLUMN, *ROW]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.8]


def one_further(_shared: Any, places: list[Any]) -> None:
    for place in places:
        place.ImagePositionPatient = [*(np.asarray(place.ImagePositionPatient) + STEP * NORMAL).round(4)]


@pytest.mark.parametrize("change", [larger, transposed, one_further])
def test_the_position_counts_where_it_is_not_that_of_the_image(
    tmp_path: Path, change: Callable[[Any, list[Any]], None]
) -> None:
    """Two rows, two columns and two slices in; the reference to the images stays as it was."""
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    moved(path, change)
    _, (region,) = drawn(tmp_path)
    row, column, slice = 0.8 * COLUMN, 0.5 * ROW, STEP * NORMAL
    if change is larger:
        row, column = 1.04 * row, 1.04 * column
    if change is transposed:
        row, column = 0.5 * ROW, 0.8 * COLUMN
    start = ORIGIN + (slice if change is one_further else 0)
    expected = [start + s * slice + r * row + c * column for s, r, c in np.argwhere(block())]
    order = np.lexsort(np.round(in_patient(region), 2).T)
    np.testing.assert_allclose(
        in_patient(region)[order], np.asarray(expected)[np.lexsort(np.round(expected, 2).T)], atol=2e-3
    )


def test_planes_that_lie_nowhere_on_one_line_are_not_placed(tmp_path: Path) -> None:
    """A middle plane that lies aside has a place which no matrix gives; it is not drawn beside it."""
    mask = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    mask[1:4, 3:6, 7:9] = 1
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), mask)

    def aside(_shared: Any, places: list[Any]) -> None:
        places[1].ImagePositionPatient = [*(np.asarray(places[1].ImagePositionPatient) + 2 * ROW).round(4)]

    moved(path, aside)
    with pytest.raises(SeriesError, match=r"The segmentation seg\.dcm cannot be placed on the images"):
        drawn(tmp_path)


def test_a_segmentation_alone_says_so(tmp_path: Path) -> None:
    sources = stack(tmp_path / "images")
    write_seg(tmp_path / "seg.dcm", sources, block())
    study = scan([tmp_path / "seg.dcm"])
    assert study.segmentations == ()
    assert study.other[0].reason == "This is a segmentation of images that are not here."


def test_a_segmentation_with_too_few_frames_is_refused(tmp_path: Path) -> None:
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    file = pydicom.dcmread(path)
    del file.PerFrameFunctionalGroupsSequence[-1]
    file.save_as(path)
    (refused,) = scan([tmp_path]).refused
    assert refused.reason == "The segmentation holds 2 frames and describes 1."


def test_too_large_a_stack_of_planes_is_refused(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    study = scan([tmp_path])
    with pytest.raises(SeriesError, match="limit"):
        regions(study.segmentations[0], study.series[0], Limits(bytes=10))


def test_segments_that_a_file_does_not_declare_count_too(tmp_path: Path) -> None:
    """A label map can hold as many numbers as it has pixels, each a stack of its own."""
    pixels = block()
    path = write_seg(tmp_path / "seg.dcm", stack(tmp_path), pixels, SegmentationTypeValues.LABELMAP)
    file = pydicom.dcmread(path)
    frame, count = ROWS * COLUMNS, int(file.NumberOfFrames)
    assert file.BitsAllocated == 8
    file.PixelData = bytes(range(frame)) * count
    file.save_as(path)
    study = scan([tmp_path])
    one, series = study.segmentations[0], study.series[0]
    assert len(regions(one, series, Limits())) == frame - 1
    with pytest.raises(SeriesError, match="limit"):
        regions(one, series, Limits(bytes=20 * count * frame))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["seg_image_ct_binary.dcm", "seg_image_ct_true_fractional.dcm"])
def test_real_files_agree_with_highdicom(shared: Path, name: str) -> None:
    study = scan([shared / "dicom"])
    (one,) = [s for s in study.segmentations if s.path.name == name]
    (series,) = dicom.belongs(one, study.series)
    (region,) = regions(one, series, Limits())
    theirs = hd.seg.segread(one.path).get_pixels_by_source_instance(
        list(series.sop_uids), ignore_spatial_locations=True, assert_missing_frames_are_empty=True,
        rescale_fractional=True,
    )[..., 0]  # fmt: skip
    assert np.array_equal(on_source(region), theirs >= 0.5)
    assert theirs.any()


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_outlines_enclose_just_what_is_inside(mask: np.ndarray) -> None:
    """Between a pixel's centre and the far left, an odd number of upright pieces means inside."""
    upright = [(a[0], b[0], a[1]) for a, b in edges(mask).tolist() if a[1] == b[1]]
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            crossed = sum(top < row < bottom and x < column for top, bottom, x in upright)
            assert crossed % 2 == mask[row, column]


def test_outlines_stay_on_their_slices(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    _, found = drawn(tmp_path)
    assert [bool(outlines(found, i)) for i in range(SLICES)] == [False, False, True, True, False, False]
    assert set(slices_of(found[0])) >= {2, 3}
    (one,) = outlines(found, 2)
    assert one.lines[..., 0].min() == 2.5
    assert one.lines[..., 1].max() == 8.5


@settings(deadline=None)  # the first colour brings the library
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_recommended_colours_are_those_of_highdicom(rgb: tuple[int, int, int]) -> None:
    item = pydicom.Dataset()
    colour = hd.color.CIELabColor.from_rgb(*rgb)
    item.RecommendedDisplayCIELabValue = list(colour.value)
    lab = _recommended(item)
    assert lab is not None
    found = srgb(lab)
    assert np.abs(np.subtract(found, colour.to_rgb())).max() <= 1
    assert np.abs(np.subtract(found, rgb)).max() <= 2  # what sixteen bits of CIELab and 8 of sRGB round away


def written_out(lab: Array) -> Array:
    """Linear sRGB of CIELAB (…, 3), by the formulas of CIE 15 and IEC 61966-2-1, white D65."""
    y = (lab[..., 0] + 16) / 116
    cubes = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29)) * [0.95047, 1.0, 1.08883]
    return xyz @ np.transpose(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    )


def test_colours_of_a_screen_are_those_of_the_formulas() -> None:
    grid = np.stack(
        np.meshgrid(*(np.linspace(*ends, 19) for ends in ((0, 100), (-128, 127), (-128, 127)))), -1
    )
    linear = written_out(grid)
    can_be_shown = ((linear > 0) & (linear < 1)).all(axis=-1)
    assert can_be_shown.sum() > 500
    bent = np.where(linear > 0.0031308, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055, 12.92 * linear)
    for lab, expected in zip(grid[can_be_shown], 255 * bent[can_be_shown], strict=True):
        assert np.abs(srgb(tuple(lab)) - np.rint(expected)).max() <= 1


@pytest.mark.parametrize(
    "lab", [(0, 0, 127), (0, -128, 127), (100, 127, 127), (100, -128, -128), (50, 0, 127)]
)
def test_what_no_screen_can_show_is_cut_off_without_a_warning(lab: tuple[float, float, float]) -> None:
    assert all(0 <= value <= 255 for value in srgb(lab))


def test_listing_a_coloured_segmentation_does_not_load_what_converts_it(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg.dcm", stack(tmp_path), block())
    file = pydicom.dcmread(tmp_path / "seg.dcm")
    file.SegmentSequence[0].RecommendedDisplayCIELabValue = list(hd.color.CIELabColor.from_rgb(9, 9, 9).value)
    file.save_as(tmp_path / "seg.dcm")
    code = (
        "import sys; from pathlib import Path; from viewer.dicom import scan\n"
        "(found,) = scan([Path(sys.argv[1])]).segmentations; assert found.described[1].colour\n"
        "assert not {'skimage', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)


def test_a_segment_tells_its_colour_and_what_counts_as_inside(tmp_path: Path) -> None:
    path = write_seg(
        tmp_path / "seg.dcm", stack(tmp_path), block(np.float32) * 0.6, SegmentationTypeValues.FRACTIONAL
    )
    file = pydicom.dcmread(path)
    file.SegmentSequence[0].RecommendedDisplayCIELabValue = list(
        hd.color.CIELabColor.from_rgb(9, 90, 200).value
    )
    file.save_as(path)
    _, (region,) = drawn(tmp_path)
    assert region.remark == "probability ≥ 50 %"
    assert np.abs(np.subtract(region.colour, (9, 90, 200))).max() <= 2
    assert region.source == f"{file.SOPInstanceUID} 1"
