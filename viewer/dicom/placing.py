# SPDX-License-Identifier: Apache-2.0
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
"""Part of the step between planes, or of a voxel, by which a plane may lie beside its place."""
_NEAR = 0.5
"""Voxels by which a plane may lie beside the image that it refers to, where nothing else places it."""
_ROUNDED = 0.05
"""Millimetres by which rounding moves a position."""

Places = tuple[dict[int, int], Matrix]
"""Each frame's number in a stack of planes, and the matrix from that stack to the series' voxels."""


@dataclass(frozen=True, slots=True)
class FramePlane:
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
    planes: tuple[FramePlane, ...]
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

    @property
    def titles(self) -> tuple[str, ...]:
        """What the file calls that which its planes show."""
        return ()


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


def plane_of(own: Dataset, shared: Dataset) -> FramePlane:
    """Where one frame lies, from its functional groups."""
    derived = group(own, shared, "DerivationImageSequence")
    source = next(iter(get.items(derived, "SourceImageSequence")), Dataset())
    return FramePlane(
        get.vector(group(own, shared, "PlanePositionSequence"), "ImagePositionPatient"),
        get.cosines(group(own, shared, "PlaneOrientationSequence")),
        get.spacing(group(own, shared, "PixelMeasuresSequence"), "PixelSpacing"),
        get.text(source, "ReferencedSOPInstanceUID"),
        get.integer(source, "ReferencedFrameNumber") or 1,
    )


def belongs(placed: Placed, series: Iterable[Series]) -> tuple[Series, ...]:
    """The series that planes lie on: those it refers to, else those of its space."""
    every, names = tuple(series), placed.names
    named = tuple(one for one in every if not names.isdisjoint(one.sop_uids))
    if named:
        return named
    space = placed.frame_of_reference
    return tuple(
        one
        for one in every
        if space and one.geometry.orientation_known and one.geometry.frame_of_reference == space
    )


def place(placed: Placed, series: Series, what: str) -> Places:
    """Where the planes lie in a series; raises `SeriesError` where that is not known.

    Planes that lie on the images they refer to are placed by these: a stack with a gap has no matrix that
    fits all slices. Elsewhere their positions count.
    """
    found = _on_images(placed, series)
    off = 0.0 if found is None else _beside(placed, series, found)
    if found is None or len(found[0]) < len(placed.planes) or off > _OFF:
        found = _in_space(placed, series) or (found if off <= _NEAR else None)
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
    if not _in_one_space(placed, series) or first.orientation is None or first.spacing is None:
        return None
    if geometry.origins is not None:
        return None  # no one matrix leads to slices that are not evenly spaced
    found = []
    for plane in planes:
        same = plane.orientation is not None and alike(plane.orientation, first.orientation, 1e-4)
        if plane.position is None or not same or plane.spacing != first.spacing:
            return None
        found.append(plane.position)
    positions, heights = np.asarray(found), np.array([along(first.orientation, p) for p in found])
    step, numbers = _spread(heights, geometry.matrix)
    if numbers is None:
        return None
    low, high = int(np.argmin(heights)), int(np.argmax(heights))
    span = int(numbers[high])
    whole = (positions[high] - positions[low]) / span if span else np.zeros(3)
    straight = positions[low] + numbers[:, None] * whole
    if np.linalg.norm(positions - straight, axis=1).max() > max(_OFF * step, _ROUNDED):
        return None  # tiles of one plane, or planes that no one matrix leads to
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


def _in_one_space(placed: Placed, series: Series) -> bool:
    """Whether the positions of planes and images can be compared."""
    geometry, space = series.geometry, placed.frame_of_reference
    return geometry.orientation_known and (not space or geometry.frame_of_reference in (None, space))


def _beside(placed: Placed, series: Series, places: Places) -> float:
    """Voxels between three corners of the planes and where the images that they refer to have these.

    0 where no positions say so.
    """
    if not _in_one_space(placed, series):
        return 0.0
    (numbers, onto), off = places, 0.0
    last = np.asarray(placed.pixels.shape) - 1
    cells = np.array([[0, 0], [last[0], 0], [0, last[1]]])
    on_image = affine.apply(onto, np.pad(cells, ((0, 0), (1, 0))))[:, 1:]
    for frame, number in numbers.items():
        plane = placed.planes[frame]
        if plane.position is None or plane.orientation is None or plane.spacing is None:
            continue
        across, down = np.asarray(plane.orientation).reshape(2, 3)
        steps = np.stack([down * plane.spacing[0], across * plane.spacing[1]])
        image = np.array(series.geometry.matrix)
        image[:3, 3] = series.geometry.position(number + round(onto[0, 3]))
        found = affine.apply(affine.inverse(image), np.asarray(plane.position) + cells @ steps)
        off = max(off, float(np.abs(found - np.pad(on_image, ((0, 0), (1, 0)))).max()))
    return off


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
