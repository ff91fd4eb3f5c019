# SPDX-License-Identifier: Apache-2.0
"""Order of slices and their place in the patient, proven from positions (PS3.3 C.7.6.2)."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viewer.affine import Matrix
from viewer.dicom.facts import Cosines, Frame, Image, Vector
from viewer.types import Geometry, SpacingKind, direction_letters

PROJECTION = frozenset({"CR", "DX", "MG", "XA", "RF", "IO", "PX", "RG"})
"""Modalities whose pixels are shadows on a detector."""
SAME_PLACE = 1e-3
"""Millimetres below which two slices lie at the same position."""
UNEVEN = 0.02
"""Part of the median distance by which a distance may differ before it is called uneven."""
_LIKELY = 4
"""Steps up to which a gap is taken for missing slices; more may be a second stack, or a stray slice."""
_NAMED = 4
"""Gaps that a warning names one by one."""
TILTED = 0.5
"""Degrees by which the stacking direction may lean before it is called sheared."""


@dataclass(frozen=True, slots=True)
class Stacking:
    """How slices follow each other: the step between them in millimetres, and what is odd about it."""

    step: Vector | None
    """The usual one; None where the slices have no order in space."""
    warnings: tuple[str, ...] = ()
    even: bool = True
    """Whether one step leads from each slice to the next: only then are they a volume."""


@functools.lru_cache(256)
def normal(orientation: Cosines) -> Matrix:
    """Unit vector across the slices: row cosines × column cosines, in LPS; not to be written to."""
    found = np.cross(np.asarray(orientation[:3]), np.asarray(orientation[3:]))
    found.setflags(write=False)
    return found


def along(orientation: Cosines, position: Vector) -> float:
    """Where a slice lies on the normal, in millimetres; slices are ordered by it."""
    return float(normal(orientation) @ np.asarray(position))


def alike(first: Sequence[float], second: Sequence[float], tolerance: float) -> bool:
    """Whether two vectors agree within a tolerance, component by component."""
    return all(abs(a - b) <= tolerance for a, b in zip(first, second, strict=True))


def stacking(orientation: Cosines, positions: Sequence[Vector]) -> Stacking:
    """The step of slices already ordered along the normal, with warnings that say the millimetres."""
    places = np.asarray(positions)
    across = normal(orientation)
    gaps = np.diff(places @ across)
    if np.any(gaps < SAME_PLACE):
        return Stacking(None, (_shared(gaps),), even=False)
    whole = (places[-1] - places[0]) / (len(places) - 1)
    median = float(np.median(gaps))
    step, warnings, even = whole, [], True
    if np.max(np.abs(gaps - median)) > max(UNEVEN * median, 2 * SAME_PLACE):
        usual, steps = _missing(gaps, median)
        step, even = whole * (usual / float(whole @ across)), False
        warnings += _uneven(gaps, median, steps)
    else:
        line = places[0] + np.arange(len(places))[:, None] * whole
        off = float(np.max(np.linalg.norm(places - line, axis=1)))
        if off > max(5 * UNEVEN * median, 0.05):
            even = False
            warnings.append(
                f"The slices do not lie on a straight line: they are up to {off:.2f} mm off it, "
                "so they are shown one by one and no volume is built."
            )
    cosine = float(whole @ across) / float(np.linalg.norm(whole))
    lean = float(np.degrees(np.arccos(min(1.0, cosine))))
    if lean > TILTED:
        warnings.append(f"The slices are stacked at a slant of {lean:.1f}°, as with a tilted gantry.")
    x, y, z = (float(v) for v in step)
    return Stacking((x, y, z), tuple(warnings), even)


def _shared(gaps: Matrix) -> str:
    """What is said of slices that repeat positions; `gaps` are their distances in millimetres."""
    repeated = gaps < SAME_PLACE
    count = len(gaps) + 1
    if repeated.all():
        return f"All {count} slices share a position, so they are shown one by one and no volume is built."
    one_of_them = int(repeated.sum() + (repeated & ~np.append(False, repeated[:-1])).sum())
    some = f"Of the {count} slices {one_of_them}" if one_of_them < count else f"All {count} slices"
    return (
        f"{some} share a position with another, and nothing in the files says "
        "how they belong together; they are shown one by one and no volume is built."
    )


def _missing(gaps: Matrix, median: float) -> tuple[float, Matrix | None]:
    """The distance of neighbours, and how many such steps each gap is long; (median, None) if not whole."""
    least = float(gaps.min())
    for usual in (median, least):
        steps = np.rint(gaps / usual)
        off = np.abs(gaps - steps * usual)
        likely = usual == median or steps.max() <= _LIKELY
        if likely and steps.min() >= 1 and off.max() <= max(2.5 * UNEVEN * usual, 2 * SAME_PLACE):
            return usual, steps
    return median, None


def _uneven(gaps: Matrix, median: float, steps: Matrix | None) -> list[str]:
    """What is said of distances that differ: how much, and whether they are of slices that are missing."""
    said = (
        f"The distance between slices is uneven: from {gaps.min():.2f} mm to {gaps.max():.2f} mm, "
        f"{median:.2f} mm in the middle."
    )
    if steps is None:
        return [said, "Each slice is shown where it lies, and no volume is built."]
    holes = [(int(i), int(steps[i]) - 1) for i in np.flatnonzero(steps > 1)]
    what = "Missing or never taken" if steps.max() > _LIKELY else "Missing"
    counted = [f"{n} between Im {i + 1} and Im {i + 2}" for i, n in holes[:_NAMED]]
    if len(holes) > _NAMED:
        counted.append(f"more at {len(holes) - _NAMED} other places")
    in_all = f" {sum(n for _, n in holes)} in all," if len(holes) > 1 else ""
    return [said, f"{what} slices:{in_all} {', '.join(counted)}; no volume is built."]


def pixel_spacing(image: Image, frame: Frame) -> tuple[tuple[float, float], SpacingKind]:
    """Millimetres between rows and between columns, and where they are measured (PS3.3 C.10.7.1.3).

    Where there are none, only their ratio means something.
    """
    absent = (image.pixel_aspect, 1.0)
    spacing, imager = frame.spacing, image.imager_spacing
    if frame.orientation is None and image.modality == "OT" and spacing:
        return spacing, "pixel"  # a secondary capture does not say of what its pixels are the size
    if not spacing and image.region_spacing:
        return image.region_spacing, "region"
    if image.modality not in PROJECTION or frame.orientation is not None:
        return (spacing, "patient") if spacing else (absent, "absent")
    if spacing and (image.calibrated or imager is None or not alike(spacing, imager, 1e-6)):
        return spacing, "pixel"
    if imager and image.magnification:
        return (imager[0] / image.magnification, imager[1] / image.magnification), "magnified"
    return (imager, "detector") if imager else (absent, "absent")


def geometry(
    image: Image,
    frame: Frame,
    step: Vector | None,
    origins: Sequence[Vector] | None = None,
    turns: Sequence[Cosines | None] | None = None,
) -> Geometry:
    """The geometry of a stack whose slice 0 is `frame`; `step` is None for a slice without neighbours.

    `origins` are the positions of all slices where the step does not lead from each to the next, `turns`
    their orientations where each has its own.
    """
    (between_rows, between_columns), kind = pixel_spacing(image, frame)
    placed = frame.position is not None and frame.orientation is not None and kind == "patient"
    placed = placed and turns is None
    orientation: Cosines = (frame.orientation if placed else None) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    thickness = frame.thickness if frame.thickness and 0 < frame.thickness < 1e6 else 1.0
    matrix = np.eye(4)
    matrix[:3, 0] = normal(orientation) * thickness if step is None else step
    matrix[:3, 1] = np.asarray(orientation[3:]) * between_rows
    matrix[:3, 2] = np.asarray(orientation[:3]) * between_columns
    if placed and frame.position is not None:
        matrix[:3, 3] = frame.position
    sides = image.patient_orientation
    if frame.orientation is not None:  # letters stay known where millimetres are not
        sides = None if placed or turns else _sides(frame.orientation)
    return Geometry(
        matrix=matrix,
        spacing_kind=kind,
        orientation_known=placed,
        between=placed and step is not None,
        frame_of_reference=image.frame_of_reference,
        regions=image.regions,
        patient_orientation=sides,
        origins=np.asarray(origins) if placed and origins is not None else None,
        turns=tuple(_sides(one) for one in turns if one is not None) if turns else None,
    )


def _sides(orientation: Cosines) -> tuple[str, str]:
    """Towards what a row's and a column's index increase."""
    along_row, down = np.asarray(orientation).reshape(2, 3)
    return direction_letters(along_row), direction_letters(down)
