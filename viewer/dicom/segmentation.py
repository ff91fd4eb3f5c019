"""Segmentations: where a DICOM SEG says that something lies, as regions on the series it was made on.

PS3.3 A.51 and C.8.20: every frame is one segment on one plane, or (label maps) one plane with the
segments' numbers as values. A plane is placed by its position in the frame of reference, or, where the
images have none, by the image that it refers to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from viewer import affine
from viewer.affine import Matrix
from viewer.dicom import elements as get
from viewer.dicom.decode import DecodingError, read_frame
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Cosines, Pixels, Vector
from viewer.dicom.geometry import SAME_PLACE, alike, along
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Array, Region, Series

SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_ALL = 0
"""The segment number of a label map's frame: its values are the numbers."""
_OFF = 0.05
"""Part of the step between planes by which a plane may lie beside its place."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame: its segment, its place in LPS millimetres, and the image that it was drawn on."""

    segment: int
    position: Vector | None
    orientation: Cosines | None
    spacing: tuple[float, float] | None
    image: str
    image_frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """One SEG file without its pixels."""

    pixels: Pixels
    planes: tuple[Plane, ...]
    labels: dict[int, str]
    """Names of the segments by number."""
    full: int
    """The stored value that means wholly inside; from half of it on a voxel counts as inside."""
    frame_of_reference: str

    @property
    def path(self) -> Path:
        return self.pixels.path

    @property
    def images(self) -> frozenset[str]:
        """SOP UIDs of the images that the planes refer to."""
        return frozenset(plane.image for plane in self.planes if plane.image)


def segmentation_of(dataset: Dataset, pixels: Pixels) -> Segmentation:
    """The facts of a SEG; raises `SeriesError` where its frames are not described."""
    shared = next(iter(get.items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    own = get.items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(own) != pixels.frames:
        raise SeriesError(f"The segmentation holds {pixels.frames} frames and describes {len(own)}.")
    labelled = get.text(dataset, "SegmentationType") == "LABELMAP"
    fractional = get.text(dataset, "SegmentationType") == "FRACTIONAL"
    segments = get.items(dataset, "SegmentSequence")
    labels = {
        number: get.text(item, "SegmentLabel") or f"segment {number}"
        for item in segments
        if (number := get.integer(item, "SegmentNumber")) is not None
    }
    return Segmentation(
        pixels,
        tuple(_plane(frame, shared, labelled) for frame in own),
        labels,
        (get.integer(dataset, "MaximumFractionalValue") or 255) if fractional else 1,
        get.text(dataset, "FrameOfReferenceUID"),
    )


def _plane(own: Dataset, shared: Dataset, labelled: bool) -> Plane:
    def part(sequence: str) -> Dataset:
        return next(iter(get.items(own, sequence) or get.items(shared, sequence)), Dataset())

    derived = part("DerivationImageSequence")
    source = next(iter(get.items(derived, "SourceImageSequence")), Dataset())
    segment = get.integer(part("SegmentIdentificationSequence"), "ReferencedSegmentNumber")
    return Plane(
        _ALL if labelled else segment or 1,
        get.vector(part("PlanePositionSequence"), "ImagePositionPatient"),
        get.cosines(part("PlaneOrientationSequence")),
        get.spacing(part("PixelMeasuresSequence"), "PixelSpacing"),
        get.text(source, "ReferencedSOPInstanceUID"),
        get.integer(source, "ReferencedFrameNumber") or 1,
    )


def belongs(segmentation: Segmentation, series: Iterable[Series]) -> tuple[Series, ...]:
    """The series on which a segmentation is drawn: those it refers to, else those of its space."""
    every = tuple(series)
    named = tuple(one for one in every if segmentation.images & set(one.sop_uids))
    if named:
        return named
    space = segmentation.frame_of_reference
    return tuple(
        one
        for one in every
        if space and one.geometry.orientation_known and one.geometry.frame_of_reference == space
    )


def regions(segmentation: Segmentation, series: Series, limits: Limits) -> tuple[Region, ...]:
    """The segments as regions of a series, each on the grid of its own planes.

    Raises `SeriesError` where the planes cannot be placed or decoded.
    """
    placed = _on_images(segmentation, series)
    if placed is None or not _same_grid(segmentation, series):
        placed = _in_space(segmentation, series) or placed
    if placed is None:
        raise SeriesError(f"The segmentation {segmentation.path.name} cannot be placed on the images.")
    places, matrix = placed
    count = max(places.values()) + 1
    shape = (count, segmentation.pixels.rows, segmentation.pixels.columns)
    if count > limits.frames or int(np.prod(shape)) * len(segmentation.labels) > limits.bytes:
        raise SeriesError(
            f"The segmentation {segmentation.path.name} asks for more than the limit of memory."
        )
    masks: dict[int, Array] = {}
    for number, inside, frame in _inside(segmentation, places, limits):
        masks.setdefault(number, np.zeros(shape, dtype=bool))[places[frame]] |= inside
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
        segment = segmentation.planes[frame].segment
        if segment != _ALL:
            yield segment, 2 * values.astype(np.int64) >= segmentation.full, frame
            continue
        for number in np.unique(values[values > 0]):
            yield int(number), values == number, frame


def _in_space(segmentation: Segmentation, series: Series) -> tuple[dict[int, int], Matrix] | None:
    """Each frame's place in a stack, and that stack's matrix to the series' voxels, from positions."""
    planes, geometry = segmentation.planes, series.geometry
    first = planes[0]
    if not geometry.orientation_known or first.orientation is None or first.spacing is None:
        return None
    if geometry.origins is not None:
        return None  # no one matrix leads to slices that are not evenly spaced
    space = segmentation.frame_of_reference
    if space and geometry.frame_of_reference and space != geometry.frame_of_reference:
        return None
    positions = []
    for plane in planes:
        same = plane.orientation is not None and alike(plane.orientation, first.orientation, 1e-4)
        if plane.position is None or not same or plane.spacing != first.spacing:
            return None
        positions.append(np.asarray(plane.position))
    heights = np.array([along(first.orientation, (p[0], p[1], p[2])) for p in positions])
    step, numbers = _spread(heights, geometry.matrix)
    if numbers is None:
        return None
    low, high = int(np.argmin(heights)), int(np.argmax(heights))
    span = int(numbers[high])
    whole = (positions[high] - positions[low]) / span if span else np.zeros(3)
    matrix = np.eye(4)
    cross = np.cross(np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:]))
    matrix[:3, 0] = whole if span else cross * step
    matrix[:3, 1] = np.asarray(first.orientation[3:]) * first.spacing[0]
    matrix[:3, 2] = np.asarray(first.orientation[:3]) * first.spacing[1]
    matrix[:3, 3] = positions[low]
    places = {frame: int(number) for frame, number in enumerate(numbers)}
    return places, np.linalg.inv(geometry.matrix) @ matrix


def _spread(heights: Array, voxels: Matrix) -> tuple[float, Array | None]:
    """The step between planes, and each plane's number from the lowest; None where they are uneven.

    Planes without anything in them are left out of most files, so the step is the smallest distance.
    """
    apart = np.diff(np.unique(heights))
    apart = apart[apart > SAME_PLACE]
    if not apart.size:
        return float(np.linalg.norm(voxels[:3, 0])), np.zeros(len(heights), dtype=int)
    step = float(np.median(apart[apart < 1.5 * apart.min()]))  # rounded positions add up over many planes
    above = heights - heights.min()
    numbers = np.rint(above / step).astype(int)
    step = float(above.max() / numbers.max())
    return step, numbers if float(np.abs(above / step - numbers).max()) <= _OFF else None


def _same_grid(segmentation: Segmentation, series: Series) -> bool:
    """Whether every plane covers the image that it refers to, pixel by pixel.

    Then the reference says more than the position: a stack with a gap has no matrix that fits all slices.
    """
    if segmentation.pixels.shape != series.shape[1:] or not segmentation.images <= set(series.sop_uids):
        return False
    known = [plane for plane in segmentation.planes if plane.position and plane.orientation and plane.spacing]
    if not series.geometry.orientation_known or not known:
        return True
    into = np.linalg.inv(series.geometry.matrix)
    for plane in known:
        assert plane.position
        assert plane.orientation
        assert plane.spacing
        steps = np.asarray(plane.orientation).reshape(2, 3) * np.asarray(plane.spacing)[::-1, None]
        start = np.asarray(plane.position, np.float64)
        corners = np.stack([start, start + steps.sum(0)])
        if np.abs(affine.apply(np.asarray(into, np.float64), corners)[:, 1:] - [[0, 0], [1, 1]]).max() > _OFF:
            return False
    return True


def _on_images(segmentation: Segmentation, series: Series) -> tuple[dict[int, int], Matrix] | None:
    """Each frame on the slice of the image that it refers to; the grid is scaled to the image's."""
    found: dict[int, int] = {}
    numbers = series.frame_numbers or (1,) * len(series.sop_uids)
    of_frame = {pair: i for i, pair in enumerate(zip(series.sop_uids, numbers, strict=True))}
    for frame, plane in enumerate(segmentation.planes):
        if (plane.image, plane.image_frame) in of_frame:
            found[frame] = of_frame[(plane.image, plane.image_frame)]
    if not found:
        return None
    lowest = min(found.values())
    ratio = [n / m for n, m in zip(series.shape[1:], segmentation.pixels.shape, strict=True)]
    if abs(ratio[0] - ratio[1]) > 0.01 * ratio[0]:
        return None
    offset = [(r - 1) / 2 for r in ratio]
    matrix = affine.scale_offset((1, ratio[0], ratio[1]), (lowest, offset[0], offset[1]))
    return {frame: number - lowest for frame, number in found.items()}, matrix
