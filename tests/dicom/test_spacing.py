# SPDX-License-Identifier: Apache-2.0
"""What a pixel's millimetres are called, where they are not Pixel Spacing in the patient."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import Make, sequence
from pydicom.dataset import Dataset

from viewer.dicom import scan
from viewer.types import Series
from viewer.wording import spacing_text

UNPLACED = ("ImagePositionPatient", "ImageOrientationPatient")
PICTURE = np.zeros((60, 80), np.uint8)


def only(path: Path) -> Series:
    (series,) = scan([path]).series
    return series


def region(**tags: Any) -> Dataset:
    facts: dict[str, Any] = {
        "RegionSpatialFormat": 1, "RegionDataType": 1, "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3, "PhysicalDeltaX": 0.02, "PhysicalDeltaY": 0.03,
        "RegionLocationMinX0": 10, "RegionLocationMinY0": 5,
        "RegionLocationMaxX1": 70, "RegionLocationMaxY1": 50,
    }  # fmt: skip
    (item,) = sequence(**facts | tags)
    return item


BESIDE = {"RegionLocationMinX0": 60, "RegionLocationMaxX1": 79}
CURVE = region(RegionSpatialFormat=4, PhysicalUnitsXDirection=4, PhysicalDeltaX=0.5)


@pytest.mark.parametrize(
    ("regions", "spacing"),
    [
        ([region()], (0.3, 0.2)),
        ([region(), CURVE], (0.3, 0.2)),
        ([region(), region(**BESIDE)], (0.3, 0.2)),
        ([region(RegionLocationMaxX1=80, RegionLocationMaxY1=60)], (0.3, 0.2)),
        ([region(), region(**BESIDE, PhysicalDeltaX=0.05)], None),
        ([region(), region(**BESIDE, PhysicalUnitsXDirection=4)], None),
        ([region(**BESIDE)], None),
        ([region(RegionLocationMaxX1=160)], None),  # of a picture that was larger
        ([region(PhysicalDeltaX=-0.02)], None),
        ([region(PhysicalDeltaY=0)], None),
        ([region(PhysicalUnitsYDirection=5)], None),
        ([CURVE], None),
        ([], None),
    ],
)
def test_an_ultrasound_has_the_spacing_of_its_region(
    make: Make, regions: list[Dataset], spacing: tuple[float, float] | None
) -> None:
    tags = {"Modality": "US", "SequenceOfUltrasoundRegions": regions}
    series = only(make("us.dcm", pixels=PICTURE, drop=("PixelSpacing", *UNPLACED), **tags))
    space = series.geometry
    if spacing is None:
        assert (space.spacing_kind, space.spacing) == ("absent", None)
        measured = any(one.measures for one in space.regions)
        assert spacing_text(series).endswith("by ultrasound region") == measured
        assert (spacing_text(series) == "no millimetres: spacing unknown") != measured
        return
    assert space.spacing_kind == "region"
    assert space.spacing == (None, pytest.approx(spacing[0]), pytest.approx(spacing[1]))
    assert spacing_text(series) == "0.3 × 0.2 mm in the ultrasound region"
    assert any("beside it nothing has a length" in w for w in series.warnings)


TWO = [
    region(RegionLocationMaxX1=39),
    region(RegionLocationMinX0=45, PhysicalDeltaX=0.05, PhysicalDeltaY=0.05),
]


def pictured(make: Make, regions: list[Dataset], **tags: Any) -> Series:
    facts = {"Modality": "US", "SequenceOfUltrasoundRegions": regions} | tags
    return only(make("us.dcm", pixels=PICTURE, drop=("PixelSpacing", *UNPLACED), **facts))


def test_lengths_are_those_of_the_region_under_the_points(make: Make) -> None:
    series = pictured(make, TWO)
    space = series.geometry
    assert space.spacing is None
    assert space.millimetres((10, 15), (10, 25)) == pytest.approx(2)
    assert space.millimetres((10, 15), (20, 15)) == pytest.approx(3)
    assert space.millimetres((10, 50), (13, 54)) == pytest.approx(2.5)
    assert space.millimetres((10, 15), (10, 60)) is None  # from one into the other
    assert space.millimetres((1, 1), (2, 2)) is None  # beside both
    assert spacing_text(series) == "0.3 mm × 0.2 mm, 0.5 mm by ultrasound region"
    assert not any("only be given in pixels" in text for text in series.warnings)
    assert any("Lengths hold only inside the ultrasound's 2 regions" in text for text in series.warnings)


def test_a_spectrum_beside_a_picture_has_no_millimetres_and_says_its_axes(make: Make) -> None:
    spectrum = region(
        RegionSpatialFormat=3, RegionDataType=3, PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7,
        PhysicalDeltaX=0.005, PhysicalDeltaY=-0.5, RegionLocationMinY0=30,
    )  # fmt: skip
    space = pictured(make, [region(RegionLocationMaxY1=25), spectrum]).geometry
    assert space.millimetres((10, 20), (10, 30)) == pytest.approx(2)
    assert space.millimetres((40, 20), (40, 30)) is None
    found = space.region_at(40, 20)
    assert found is not None
    assert (found.units, found.words, found.measures) == (("cm/s", "s"), "0.5 cm/s × 0.005 s", False)


def test_depth_over_time_is_no_picture(make: Make) -> None:
    mode = region(RegionSpatialFormat=2, PhysicalUnitsXDirection=4, PhysicalDeltaX=0.01)
    series = pictured(make, [mode])
    assert series.geometry.millimetres((10, 20), (20, 20)) is None
    assert spacing_text(series) == "no millimetres: spacing unknown"


def test_regions_of_a_larger_picture_are_none(make: Make) -> None:
    series = pictured(make, [region(RegionLocationMaxX1=160)])
    assert series.geometry.regions == ()


def test_pictures_without_regions_measure_by_their_spacing(make: Make) -> None:
    assert only(make("ct.dcm")).geometry.millimetres((0, 0), (3, 4)) == pytest.approx(np.hypot(1.5, 1))


def test_pixel_spacing_of_an_ultrasound_comes_first(make: Make) -> None:
    tags = {"Modality": "US", "SequenceOfUltrasoundRegions": [region()]}
    space = only(make("us.dcm", pixels=PICTURE, drop=UNPLACED, **tags)).geometry
    assert (space.spacing_kind, space.spacing) == ("patient", (None, 0.5, 0.25))


def test_a_planar_nuclear_image_has_its_pixel_spacing(make: Make) -> None:
    space = only(make("nm.dcm", Modality="NM", PixelSpacing=[2.26, 2.3], drop=UNPLACED)).geometry
    assert (space.spacing_kind, space.spacing) == ("patient", (None, 2.26, 2.3))


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA"])
@pytest.mark.parametrize("pixel", [None, [0.3, 0.45]])
def test_a_magnified_shadow_is_divided(make: Make, modality: str, pixel: list[float] | None) -> None:
    tags = {"ImagerPixelSpacing": [0.3, 0.45], "EstimatedRadiographicMagnificationFactor": 1.5}
    drop = UNPLACED if pixel else (*UNPLACED, "PixelSpacing")
    series = only(make("dx.dcm", Modality=modality, drop=drop, PixelSpacing=pixel or [1, 1], **tags))
    assert series.geometry.spacing_kind == "magnified"
    assert series.geometry.spacing == (None, pytest.approx(0.2), pytest.approx(0.3))
    assert spacing_text(series) == "0.2 × 0.3 mm, corrected for magnification"
    assert any("divided by a magnification of 1.5," in w for w in series.warnings)


@pytest.mark.parametrize(
    ("tags", "kind", "size"),
    [
        ({"EstimatedRadiographicMagnificationFactor": 0.5}, "detector", 0.3),
        ({"EstimatedRadiographicMagnificationFactor": 0}, "detector", 0.3),
        ({"EstimatedRadiographicMagnificationFactor": -2}, "detector", 0.3),
        ({"EstimatedRadiographicMagnificationFactor": 1.5, "PixelSpacing": [0.2, 0.2]}, "pixel", 0.2),
        ({"EstimatedRadiographicMagnificationFactor": 1.5, "ImagerPixelSpacing": [0, 0]}, "pixel", 0.3),
    ],
)
def test_what_is_calibrated_or_cannot_be_is_not_divided(
    make: Make, tags: dict[str, Any], kind: str, size: float
) -> None:
    facts = {"PixelSpacing": [0.3, 0.3], "ImagerPixelSpacing": [0.3, 0.3], **tags}
    space = only(make("dx.dcm", Modality="DX", drop=UNPLACED, **facts)).geometry
    assert (space.spacing_kind, space.spacing) == (kind, (None, size, size))


@pytest.mark.parametrize("modality", ["CT", "MR", "NM", "US", "DX"])
@pytest.mark.parametrize("spacing", [[0, 0], [-0.5, -0.5], [0.5, 0], [0.5, -0.5]])
def test_what_is_no_length_gives_no_millimetres(make: Make, modality: str, spacing: list[float]) -> None:
    series = only(make("a.dcm", Modality=modality, PixelSpacing=spacing))
    assert (series.geometry.spacing_kind, series.geometry.spacing) == ("absent", None)
    assert spacing_text(series) == "no millimetres: spacing unknown"
    assert "No pixel spacing in the file; lengths can only be given in pixels." in series.warnings


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "spacing"),
    [
        ("pydicom-data/OBXXXX1A_rle_2frame", 0.2622878766196998),
        ("pydicom/test_files/examples_palette", None),  # 350 rows of what had 600
        ("pydicom/test_files/examples_ybr_color", None),  # 320 columns, and a region that ends at 595
    ],
)
def test_real_ultrasound(shared: Path, name: str, spacing: float | None) -> None:
    found = only(shared / f"dicom/{name}.dcm").geometry.spacing
    assert found == (None if spacing is None else (None, pytest.approx(spacing), pytest.approx(spacing)))
