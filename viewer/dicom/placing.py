"""Where the planes of a segmentation or a parametric map lie among the voxels of a series.

A plane is placed by its position in the frame of reference (PS3.3 C.7.6.16.2.3), or, where the images have
none, by the image that it refers to (C.7.6.16.2.6).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from viewer import affine
from viewer.affine import Matrix
from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Cosines, Pixels, Vector
from viewer.dicom.geometry import SAME_PLACE, alike, along
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Array, Series

_OFF = 0.05
"""Part of the step between planes by which a plane may lie beside its place."""

Places = tuple[dict[int, int], Matrix]
"""Each frame's number in a stack of planes, and the matrix from that stack to the series' voxels."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame: its place in LPS millimetres, and the image that it was made of."""

    position: Vector | None
    orientation: Cosines | None
    spacing: tuple[float, float] | None
    image: str
    image_frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A file of planes without its pixels."""

    pixels: Pixels
    planes: tuple[Plane, ...]
    frame_of_reference: str

    @property
    def path(self) -> Path:
        return self.pixels.path

    @property
    def images(self) -> frozenset[str]:
        """SOP UIDs of the images that the planes refer to."""
        return frozenset(plane.image for plane in self.planes if plane.image)

    @property
    def names(self) -> frozenset[str]:
        """SOP UIDs of all images that the file refers to."""
        return self.images


def functional_groups(dataset: Dataset, frames: int, what: str) -> tuple[Dataset, list[Dataset]]:
    """The shared and the frames' own functional groups; `SeriesError` where they are not described."""
    shared = next(iter(get.items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    own = get.items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(own) != frames:
        held = "1 frame" if frames == 1 else f"{frames} frames"
        raise SeriesError(f"The {what} holds {held} and describes {len(own)}.")
    return shared, own


def group(own: Dataset, shared: Dataset, sequence: str) -> Dataset:
    """A functional group of one frame: its own, else the shared one, else an empty one."""
    return next(iter(get.items(own, sequence) or get.items(shared, sequence)), Dataset())


def plane_of(own: Dataset, shared: Dataset) -> Plane:
    """Where one frame lies, from its functional groups."""
    derived = group(own, shared, "DerivationImageSequence")
    source = next(iter(get.items(derived, "SourceImageSequence")), Dataset())
    return Plane(
        get.vector(group(own, shared, "PlanePositionSequence"), "ImagePositionPatient"),
        get.cosines(group(own, shared, "PlaneOrientationSequence")),
        get.spacing(group(own, shared, "PixelMeasuresSequence"), "PixelSpacing"),
        get.text(source, "ReferencedSOPInstanceUID"),
        get.integer(source, "ReferencedFrameNumber") or 1,
    )


def belongs(placed: Placed, series: Iterable[Series]) -> tuple[Series, ...]:
    """The series that planes lie on: those it refers to, else those of its space."""
    every = tuple(series)
    named = tuple(one for one in every if placed.names & set(one.sop_uids))
    if named:
        return named
    space = placed.frame_of_reference
    return tuple(
        one
        for one in every
        if space and one.geometry.orientation_known and one.geometry.frame_of_reference == space
    )


def place(placed: Placed, series: Series, what: str) -> Places:
    """Where the planes lie in a series; raises `SeriesError` where that is not known."""
    found = _on_images(placed, series)
    if found is None or not _same_grid(placed, series):
        found = _in_space(placed, series) or found
    if found is None:
        raise SeriesError(f"The {what} {placed.path.name} cannot be placed on the images.")
    return found


def shape_of(
    placed: Placed, places: dict[int, int], each: int, limits: Limits, what: str
) -> tuple[int, int, int]:
    """The shape of the stack of planes; `SeriesError` where `each` bytes for every cell are too many."""
    count = max(places.values()) + 1
    shape = (count, placed.pixels.rows, placed.pixels.columns)
    if count > limits.frames or count * shape[1] * shape[2] * each > limits.bytes:
        raise SeriesError(f"The {what} {placed.path.name} asks for more than the limit of memory.")
    return shape


def _in_space(placed: Placed, series: Series) -> Places | None:
    """Each frame's place in a stack, and that stack's matrix to the series' voxels, from positions."""
    planes, geometry = placed.planes, series.geometry
    first = planes[0]
    if not geometry.orientation_known or first.orientation is None or first.spacing is None:
        return None
    if geometry.origins is not None:
        return None  # no one matrix leads to slices that are not evenly spaced
    space = placed.frame_of_reference
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


def _same_grid(placed: Placed, series: Series) -> bool:
    """Whether every plane covers the image that it refers to, pixel by pixel.

    Then the reference says more than the position: a stack with a gap has no matrix that fits all slices.
    """
    if placed.pixels.shape != series.shape[1:] or not placed.images <= set(series.sop_uids):
        return False
    known = [plane for plane in placed.planes if plane.position and plane.orientation and plane.spacing]
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


def _on_images(placed: Placed, series: Series) -> Places | None:
    """Each frame on the slice of the image that it refers to; the grid is scaled to the image's."""
    found: dict[int, int] = {}
    numbers = series.frame_numbers or (1,) * len(series.sop_uids)
    of_frame = {pair: i for i, pair in enumerate(zip(series.sop_uids, numbers, strict=True))}
    for frame, plane in enumerate(placed.planes):
        if (plane.image, plane.image_frame) in of_frame:
            found[frame] = of_frame[(plane.image, plane.image_frame)]
    if not found:
        return None
    lowest = min(found.values())
    ratio = [n / m for n, m in zip(series.shape[1:], placed.pixels.shape, strict=True)]
    if abs(ratio[0] - ratio[1]) > 0.01 * ratio[0]:
        return None
    offset = [(r - 1) / 2 for r in ratio]
    matrix = affine.scale_offset((1, ratio[0], ratio[1]), (lowest, offset[0], offset[1]))
    return {frame: number - lowest for frame, number in found.items()}, matrix
