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


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Placed):
    """One SEG file without its pixels."""

    segments: tuple[int, ...]
    """The segment of every frame."""
    labels: dict[int, str]
    """Names of the segments by number."""
    full: int
    """The stored value that means wholly inside; from half of it on a voxel counts as inside."""


def segmentation_of(dataset: Dataset, pixels: Pixels) -> Segmentation:
    """The facts of a SEG; raises `SeriesError` where its frames are not described."""
    if pixels.floating:
        raise SeriesError("The segmentation holds decimal values, which no segment can be.")
    shared, own = functional_groups(dataset, pixels.frames, "segmentation")
    labelled = get.text(dataset, "SegmentationType") == "LABELMAP"
    fractional = get.text(dataset, "SegmentationType") == "FRACTIONAL"
    labels = {
        number: get.text(item, "SegmentLabel") or f"segment {number}"
        for item in get.items(dataset, "SegmentSequence")
        if (number := get.integer(item, "SegmentNumber")) is not None
    }
    return Segmentation(
        pixels,
        tuple(plane_of(frame, shared) for frame in own),
        get.text(dataset, "FrameOfReferenceUID"),
        tuple(_ALL if labelled else _segment(frame, shared) for frame in own),
        labels,
        (get.integer(dataset, "MaximumFractionalValue") or 255) if fractional else 1,
    )


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
    return tuple(
        Region(mask, matrix, series, segmentation.labels.get(number, f"segment {number}"), "seg")
        for number, mask in sorted(masks.items())
    )


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
