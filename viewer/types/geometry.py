# SPDX-License-Identifier: Apache-2.0
"""Where the voxels of a series are, and what a viewer says of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from viewer import affine as grid
from viewer.affine import Matrix
from viewer.types.arrays import Array
from viewer.types.calibration import CalibratedRegion

SpacingKind = Literal["patient", "pixel", "detector", "magnified", "region", "absent"]
"""Where a pixel's millimetres are measured: in the patient; as calibrated; at the detector; that divided by
the estimated magnification; in the ultrasound's region, which need not be the whole picture; or nowhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Where the voxels are: spacing, origin, direction and frame of reference; no voxels.

    `matrix` maps (slice, row, column) to LPS millimetres when `orientation_known`; otherwise only
    the lengths of its columns mean something, and their ratio alone where `spacing_kind` is "absent". A
    sheared matrix is a tilted gantry. `between` is False for a single slice, whose distance to a
    neighbour does not exist. Where the slices are not one even step apart, the matrix is exact in the
    plane and for slice 0 only; `origins` then says where each slice is.
    """

    matrix: Matrix
    spacing_kind: SpacingKind = "absent"
    orientation_known: bool = False
    between: bool = False
    frame_of_reference: str | None = None
    patient_orientation: tuple[str, str] | None = None
    """DICOM (0020,0020) for projections: towards what a row's and a column's index increase."""
    origins: Matrix | None = None
    """LPS position of every slice's first pixel, (slices, 3), where no one matrix places them all."""
    regions: tuple[CalibratedRegion, ...] = ()
    """The parts of an ultrasound picture, each with its own calibration."""
    turns: tuple[tuple[str, str], ...] | None = None
    """Of views that turn, for each slice towards what a row's and a column's index increase."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))
        if self.origins is not None:
            object.__setattr__(self, "origins", grid.frozen(self.origins))

    @property
    def volume(self) -> bool:
        """Whether the slices are one even stack, so that `matrix` holds between them too."""
        return self.between and self.origins is None

    def position(self, slice: int) -> tuple[float, float, float] | None:
        """True LPS position of the first pixel of a slice, even or not; None where it is not known."""
        if not self.orientation_known:
            return None
        place = self.matrix[:3, 3] + slice * self.matrix[:3, 0]
        x, y, z = (float(v) for v in (place if self.origins is None else self.origins[slice]))
        return (x, y, z)

    @property
    def spacing(self) -> tuple[float | None, float, float] | None:
        """Millimetres between slices (None for a single one), rows and columns, or None.

        That between slices is along their normal, however slanted the stack is: see `shift`. Between uneven
        slices it is the usual distance.
        """
        if self.spacing_kind == "absent":
            return None
        step, rows, columns = self.matrix[:3, 0], *(float(np.linalg.norm(self.matrix[:3, i])) for i in (1, 2))
        return (abs(float(step @ self._normal)) if self.between else None, rows, columns)

    @property
    def shift(self) -> tuple[float, float] | None:
        """Millimetres down and across by which each slice is shifted in its plane against the one before.

        None where the slices lie straight above each other, to half a degree, or no one step leads
        through them.
        """
        if not self.volume:
            return None
        step = self.matrix[:3, 0]
        down, across = (
            float(step @ (self.matrix[:3, i] / np.linalg.norm(self.matrix[:3, i]))) for i in (1, 2)
        )
        slanted = float(np.hypot(down, across)) > _SLANT * float(np.linalg.norm(step))
        return (down, across) if slanted else None

    @property
    def _normal(self) -> Matrix:
        """Unit vector across the slices."""
        found = np.cross(self.matrix[:3, 2], self.matrix[:3, 1])
        length = float(np.linalg.norm(found))
        return found / length if length else found

    def region_at(self, row: float, column: float) -> CalibratedRegion | None:
        """The calibrated region at a place, the smallest of several; None beside all of them."""
        here = [region for region in self.regions if region.holds(row, column)]
        return min(here, key=lambda r: (r.box[2] - r.box[0]) * (r.box[3] - r.box[1]), default=None)

    def millimetres(self, first: tuple[float, float], second: tuple[float, float]) -> float | None:
        """Millimetres between two places (row, column) of one slice, or None where there are none.

        In a picture with regions both must lie in one, whose axes are both lengths; not so in a spectrum.
        """
        here, there = self.region_at(*first), self.region_at(*second)
        down, across = second[0] - first[0], second[1] - first[1]
        if here is not there:
            return None
        if here is not None:
            sides = here.deltas if here.measures else None
        else:
            spacing = None if self.spacing_kind == "region" else self.spacing
            sides = None if spacing is None else spacing[1:]
        return None if sides is None else float(np.hypot(down * sides[0], across * sides[1]))

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel ÷ its width."""
        rows, columns = (float(np.linalg.norm(self.matrix[:3, i])) for i in (1, 2))
        return rows / columns

    @property
    def origin(self) -> tuple[float, float, float] | None:
        """LPS position of the centre of voxel (0, 0, 0), or None where the file gives none."""
        if not self.orientation_known:
            return None
        x, y, z = (float(v) for v in self.matrix[:3, 3])
        return (x, y, z)

    @property
    def direction(self) -> Matrix | None:
        """3 × 3, its columns the unit steps of the slice, row and column index; or None."""
        if not self.orientation_known:
            return None
        columns = self.matrix[:3, :3]
        return np.asarray(columns / np.linalg.norm(columns, axis=0))

    @property
    def orientation(self) -> tuple[float, ...] | None:
        """The six cosines of DICOM (0020,0037): along a row, then down a column; or None."""
        direction = self.direction
        if direction is None:
            return None
        return tuple(float(v) for v in (*direction[:, 2], *direction[:, 1]))

    def letters(self, slice: int | None = None) -> tuple[str, str, str, str] | None:
        """The patient's side at the picture's left, right, top and bottom ("R", "AL", …), or None.

        Views that turn have them for a slice only; of all other series they are the same for all.
        """
        if self.turns is not None and slice is not None:
            right, bottom = self.turns[slice]
        elif self.orientation_known:
            right, bottom = (direction_letters(self.matrix[:3, i]) for i in (2, 1))
        elif self.patient_orientation is not None:
            right, bottom = self.patient_orientation
        else:
            return None
        return (_opposite(right), right, _opposite(bottom), bottom)


_SLANT = float(np.sin(np.radians(0.5)))
_OPPOSITE = str.maketrans("LRAPHFSI", "RLPAFHIS")


def _opposite(letters: str) -> str:
    return letters.translate(_OPPOSITE)


def direction_letters(vector: Array) -> str:
    """The patient directions of an LPS vector, the strongest first, e.g. "L" or "AR".

    A second or third letter stands where that component is over a quarter of the length.
    """
    length = float(np.linalg.norm(vector)) or 1.0
    pairs = (("L", "R"), ("P", "A"), ("H", "F"))
    order = sorted(range(3), key=lambda i: -abs(float(vector[i])))
    return "".join(
        pairs[i][0] if vector[i] > 0 else pairs[i][1] for i in order if abs(float(vector[i])) / length > 0.25
    )
