# SPDX-License-Identifier: Apache-2.0
"""How large a pixel is where the file does not say it as Pixel Spacing: ultrasound, and magnified shadows."""

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.types import CalibratedRegion

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


_UNITS = {
    1: "%",
    2: "dB",
    4: "s",
    5: "Hz",
    6: "dB/s",
    7: "cm/s",
    8: "cm²",
    9: "cm²/s",
    10: "cm³",
    11: "cm³/s",
}
_UNITS |= {12: "°"}
"""Physical Units X and Y Direction beside centimetres (PS3.3 C.8.5.5.1.15)."""


def regions(dataset: Dataset, rows: int, columns: int) -> tuple[CalibratedRegion, ...]:
    """The calibrated regions of an ultrasound; none where one does not lie within the picture."""
    found = []
    for region in get.items(dataset, "SequenceOfUltrasoundRegions"):
        box, kinds = _box(region, rows, columns), _directions(region)
        deltas = [get.number(region, f"PhysicalDelta{axis}") for axis in "YX"]
        if box is None:
            return ()
        if None in deltas or not all(1e-9 < abs(d) < 1e9 for d in deltas if d is not None):
            continue
        picture = get.integer(region, "RegionSpatialFormat") == _TWO_DIMENSIONS
        sizes, units = [], []
        for kind, delta in zip(kinds, deltas, strict=True):
            length = kind == _CENTIMETRES
            sizes.append((10 if length else 1) * (delta or 0.0))
            units.append("mm" if length and picture else "mm deep" if length else _UNITS.get(kind or 0, ""))
        left, top, right, bottom = box
        inside = (top, left, min(bottom, rows - 1), min(right, columns - 1))
        found.append(CalibratedRegion(inside, (units[0], units[1]), (sizes[0], sizes[1])))
    return tuple(found)


def _directions(region: Dataset) -> list[int | None]:
    """The units down and across."""
    return [get.integer(region, f"PhysicalUnits{axis}Direction") for axis in "YX"]


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
    units = _directions(region)
    down, across = (get.number(region, f"PhysicalDelta{axis}") for axis in "YX")
    if units != [_CENTIMETRES] * 2 or down is None or across is None:
        return None
    millimetres = 10 * down, 10 * across
    return millimetres if all(1e-6 < v < 1e6 for v in millimetres) else None
