# SPDX-License-Identifier: Apache-2.0
"""How large a pixel is where the file does not say it as Pixel Spacing: ultrasound, and magnified shadows."""

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset

_LARGEST_MAGNIFICATION = 20.0
_TWO_DIMENSIONS = 1
"""Region Spatial Format (0018,6012) of a picture, unlike that of M-mode, a spectrum or a curve."""
_CENTIMETRES = 3
"""Physical Units X and Y Direction (0018,6024), (0018,6026)."""
_CORNERS = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")


def magnification(dataset: Dataset) -> float | None:
    """Estimated Radiographic Magnification Factor (PS3.3 C.8.7.5) of a detector's spacing, or None."""
    found = get.number(dataset, "EstimatedRadiographicMagnificationFactor")
    sensible = found is not None and 1 <= found <= _LARGEST_MAGNIFICATION
    return found if sensible and get.spacing(dataset, "ImagerPixelSpacing") else None


def pixel_aspect(dataset: Dataset) -> float:
    """Height of a pixel ÷ its width from Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7); 1 where not stated."""
    found = get.numbers(dataset, "PixelAspectRatio")
    sensible = len(found) == 2 and all(0 < v < 1e6 for v in found) and 0.05 < found[0] / found[1] < 20
    return found[0] / found[1] if sensible else 1.0


def region_spacing(dataset: Dataset, rows: int, columns: int) -> tuple[float, float] | None:
    """Millimetres between rows and columns from the ultrasound regions (PS3.3 C.8.5.5), or None.

    Only where a region covers the middle of the picture, all lie within it and agree: a picture that was
    made smaller keeps the regions of the large one, and then they mean nothing.
    """
    regions = [
        region
        for region in get.items(dataset, "SequenceOfUltrasoundRegions")
        if get.integer(region, "RegionSpatialFormat") == _TWO_DIMENSIONS
    ]
    boxes = [_box(region, rows, columns) for region in regions]
    spacings = [_spacing(region) for region in regions]
    first = spacings[0] if spacings else None
    if first is None or any(box is None for box in boxes):
        return None
    if not all(s is not None and _agree(s, first) for s in spacings):
        return None
    middle = (columns - 1) / 2, (rows - 1) / 2
    covered = any(box and box[0] <= middle[0] <= box[2] and box[1] <= middle[1] <= box[3] for box in boxes)
    return first if covered else None


def _agree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-3 * b for a, b in zip(one, other, strict=True))


def _box(region: Dataset, rows: int, columns: int) -> tuple[int, int, int, int] | None:
    """First column and row, last column and row; None where they are not within the picture."""
    corners = [get.integer(region, keyword) for keyword in _CORNERS]
    left, top, right, bottom = (-1 if corner is None else corner for corner in corners)
    # Some makers give the first pixel beyond the region as its last.
    inside = 0 <= left < right <= columns and 0 <= top < bottom <= rows
    return (left, top, right, bottom) if inside else None


def _spacing(region: Dataset) -> tuple[float, float] | None:
    """Millimetres down and across; None where a region's axes are not both lengths."""
    units = [get.integer(region, f"PhysicalUnits{axis}Direction") for axis in "YX"]
    down, across = (get.number(region, f"PhysicalDelta{axis}") for axis in "YX")
    if units != [_CENTIMETRES] * 2 or down is None or across is None:
        return None
    millimetres = 10 * down, 10 * across
    return millimetres if all(1e-6 < v < 1e6 for v in millimetres) else None
