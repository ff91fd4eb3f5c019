# SPDX-License-Identifier: Apache-2.0
"""Segmentations: where a DICOM SEG says that something lies, as regions on the series it was made on.

PS3.3 A.51 and C.8.20: every frame is one segment on one plane, or (label maps) one plane with the
segments' numbers as values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.decode import read_frame
from viewer.dicom.decoder_pool import DecodingError
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


CIELab = tuple[float, float, float]
"""A colour as L* (0 to 100), a* and b* (-128 to 127)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What a SEG says of one segment."""

    name: str
    colour: CIELab | None = None


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


def _recommended(item: Dataset) -> CIELab | None:
    """Recommended Display CIELab Value (0062,000D; PS3.3 C.10.7.1.1), or None."""
    stored = get.numbers(item, "RecommendedDisplayCIELabValue")
    if len(stored) != 3 or not all(0 <= v <= 0xFFFF for v in stored):
        return None
    return stored[0] / 0xFFFF * 100, stored[1] / 0xFFFF * 255 - 128, stored[2] / 0xFFFF * 255 - 128


def srgb(colour: CIELab) -> tuple[int, int, int]:
    """A colour as red, green and blue of sRGB, each 0 to 255; what no screen can show is cut off.

    The white is D65: those who write it (pixelmed, dcmqi, highdicom) take it from sRGB, unadapted.
    """
    from skimage.color import lab2rgb  # a sixth of a second, with scipy: only where a segment is drawn

    light, a, b = colour
    b = min(b, 199.9 * (light + 16) / 116)  # yellower would be a negative Z, of which skimage warns
    red, green, blue = (int(v) for v in np.rint(255 * lab2rgb([light, a, b], illuminant="D65")))
    return red, green, blue


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
        colour = None if segment.colour is None else srgb(segment.colour)
        found.append(Region(mask, matrix, series, segment.name, "seg", source, colour, segmentation.remark))
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
