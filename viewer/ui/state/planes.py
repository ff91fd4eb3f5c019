# SPDX-License-Identifier: Apache-2.0
"""The three planes: how they lie, and what was cut of them."""

from dataclasses import dataclass, field

from viewer.dicom import Graphics
from viewer.overlay import Interpolation
from viewer.overlay.outline import Outline
from viewer.planes import ANATOMICAL, Plane, Point, Views
from viewer.planes.slab import How
from viewer.types import Array, Map, Series
from viewer.ui.state.shell import Busy


@dataclass(frozen=True, slots=True)
class Slab:
    """How thick the three planes are, in millimetres, and what is shown of that; 0 is thin."""

    thickness: float = 0.0
    how: How = "mean"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """One of the three planes as it was cut: its place, and what lies there of one series and one map.

    `values` are float32 modality values (rows, columns), NaN outside the volume; so is `map`, a plane `of`
    a map: None where that is, or where `remark` says why nothing of it lies on this plane.
    """

    plane: Plane
    series: Series
    slab: Slab
    values: Array = field(repr=False)
    of: Map | None = None
    interpolation: Interpolation = "bilinear"
    map: Array | None = field(default=None, repr=False)
    remark: str | None = None
    outlines: tuple[Outline, ...] = ()
    graphics: Graphics | None = None
    """What the file lays over the slice that this plane lies on; None where it lies on none."""


@dataclass(frozen=True, slots=True)
class Marked:
    """The voxel at the crosshair, each index from 0, and the native values of image and map there."""

    voxel: tuple[int, int, int]
    value: str
    map: str


@dataclass(frozen=True, slots=True, eq=False)
class PlanesState:
    """The three planes of the active view's series."""

    of: Series | None = None
    """The series that all this is of."""
    flat: str | None = None
    """Why the series has no other planes than its own; None where it is a volume."""
    crosshair: Point | None = None
    """The place that all three planes go through, in LPS millimetres; it lies on the shown slice."""
    ways: Views = field(default_factory=lambda: ANATOMICAL)
    """How the three planes lie in the patient, by name."""
    slab: Slab = field(default_factory=Slab)
    cuts: tuple[Cut, ...] = ()
    """The three planes as they were cut last, of the shown series; the crosshair may have gone on."""
    marked: Marked | None = None
    building: Busy | None = None
    """How far the volume has been read."""
    enlarged: str | None = None
    """The one of the three planes that is shown alone."""
