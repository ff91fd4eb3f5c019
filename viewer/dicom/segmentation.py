"""Segmentations: where a DICOM SEG says that something lies, as regions on the series it was made on.

PS3.3 A.51 and C.8.20: every frame is one segment on one plane, or (label maps) one plane with the
segments' numbers as values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.decode import DecodingError, read_frame
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Pixels
from viewer.dicom.placing import Placed, functional_groups, group, place, plane_of, shape_of
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Array, Region, Series

SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_ALL = 0
"""The segment number of a label map's frame: its values are the numbers."""
_FRACTIONS = {"PROBABILITY": "probability ≥ 50 %", "OCCUPANCY": "occupancy ≥ 50 %"}
"""What a fraction means (0062,0010), and which counts as inside."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What a SEG says of one segment; `colour` is red, green and blue, 0 to 255."""

    name: str
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Placed):
    """One SEG file without its pixels."""

    segments: tuple[int, ...]
    """The segment of every frame."""
    described: dict[int, Segment]
    """The segments by number."""
    full: int
    """The stored value that means wholly inside; from half of it on a voxel counts as inside."""
    remark: str
    """What counts as inside, where that is not said by yes or no."""
    sop_uid: str

    @property
    def titles(self) -> tuple[str, ...]:
        present = sorted(set(self.segments) - {_ALL}) or sorted(self.described)
        return tuple(self.described[n].name if n in self.described else f"segment {n}" for n in present)


def segmentation_of(dataset: Dataset, pixels: Pixels) -> Segmentation:
    """The facts of a SEG; raises `SeriesError` where its frames are not described."""
    if pixels.floating:
        raise SeriesError("The segmentation holds decimal values, which no segment can be.")
    shared, own = functional_groups(dataset, pixels.frames, "segmentation")
    labelled = get.text(dataset, "SegmentationType") == "LABELMAP"
    fractional = get.text(dataset, "SegmentationType") == "FRACTIONAL"
    described = {
        number: Segment(get.text(item, "SegmentLabel") or f"segment {number}", _recommended(item))
        for item in get.items(dataset, "SegmentSequence")
        if (number := get.integer(item, "SegmentNumber")) is not None
    }
    meaning = _FRACTIONS.get(get.text(dataset, "SegmentationFractionalType"), "fraction ≥ 50 %")
    return Segmentation(
        pixels,
        tuple(plane_of(frame, shared) for frame in own),
        get.text(dataset, "FrameOfReferenceUID"),
        tuple(_ALL if labelled else _segment(frame, shared) for frame in own),
        described,
        (get.integer(dataset, "MaximumFractionalValue") or 255) if fractional else 1,
        meaning if fractional else "",
        get.text(dataset, "SOPInstanceUID"),
    )


def _recommended(item: Dataset) -> tuple[int, int, int] | None:
    """The colour of Recommended Display CIELab Value (0062,000D; PS3.3 C.10.7.1.1) as sRGB, or None.

    The white is D65: those who write it (pixelmed, dcmqi, highdicom) take it from sRGB, unadapted.
    """
    stored = get.numbers(item, "RecommendedDisplayCIELabValue")
    if len(stored) != 3 or not all(0 <= v <= 0xFFFF for v in stored):
        return None
    light, a, b = stored[0] / 0xFFFF * 100, stored[1] / 0xFFFF * 255 - 128, stored[2] / 0xFFFF * 255 - 128
    y = (light + 16) / 116
    cubes = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29)) * _WHITE
    linear = np.clip(_TO_RGB @ xyz, 0, 1)
    bent = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    red, green, blue = (int(v) for v in np.rint(255 * bent))
    return red, green, blue


_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""From XYZ to linear sRGB (IEC 61966-2-1)."""


def _segment(own: Dataset, shared: Dataset) -> int:
    item = group(own, shared, "SegmentIdentificationSequence")
    return get.integer(item, "ReferencedSegmentNumber") or 1


def regions(segmentation: Segmentation, series: Series, limits: Limits) -> tuple[Region, ...]:
    """The segments as regions of a series, each on the grid of its own planes.

    Raises `SeriesError` where the planes cannot be placed or decoded.
    """
    places, matrix = place(segmentation, series, "segmentation")
    masks: dict[int, Array] = {}
    for number, inside, frame in _inside(segmentation, places, limits):
        if number not in masks:  # what a file draws, it need not have declared
            shape = shape_of(segmentation, places, len(masks) + 1, limits, "segmentation")
            masks[number] = np.zeros(shape, dtype=bool)
        masks[number][places[frame]] |= inside
    found = []
    for number, mask in sorted(masks.items()):
        segment = segmentation.described.get(number, Segment(f"segment {number}"))
        source = f"{segmentation.sop_uid} {number}"
        found.append(
            Region(mask, matrix, series, segment.name, "seg", source, segment.colour, segmentation.remark)
        )
    return tuple(found)


def _inside(
    segmentation: Segmentation, places: dict[int, int], limits: Limits
) -> Iterator[tuple[int, Array, int]]:
    """(segment, what of the plane is inside, frame) of every placed frame."""
    for frame in places:
        try:
            values = read_frame(segmentation.pixels, frame, limits)
        except DecodingError as error:
            name = segmentation.path.name
            raise SeriesError(f"The segmentation {name} cannot be decoded.") from error
        segment = segmentation.segments[frame]
        if segment != _ALL:
            yield segment, 2 * values.astype(np.int64) >= segmentation.full, frame
            continue
        for number in np.unique(values[values > 0]):
            yield int(number), values == number, frame
