# SPDX-License-Identifier: Apache-2.0
"""What a pixel is of in a part of a picture: an ultrasound has several, each with axes of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CalibratedRegion:
    """A part of a picture with one calibration (PS3.3 C.8.5.5); `units` and `deltas` are (down, across)."""

    box: tuple[int, int, int, int]
    """First row and column, last row and column, all inside."""
    units: tuple[str, str]
    """"mm", "s", "cm/s" …; "" where the file gives none."""
    deltas: tuple[float, float]
    """How far one pixel goes in these units."""

    @property
    def measures(self) -> bool:
        """Whether both axes are lengths, so that there are millimetres between any two of its points."""
        return self.units == ("mm", "mm")

    @property
    def words(self) -> str:
        """What one pixel is: "0.2 mm", "0.5 cm/s × 0.005 s"."""
        sides = [f"{abs(d):.3g} {u}".strip() for d, u in zip(self.deltas, self.units, strict=True)]
        return sides[0] if sides[0] == sides[1] else " × ".join(sides)

    def holds(self, row: float, column: float) -> bool:
        """Whether a place, in pixels from 0, lies inside."""
        top, left, bottom, right = self.box
        return top - 0.5 <= row <= bottom + 0.5 and left - 0.5 <= column <= right + 0.5
