# SPDX-License-Identifier: Apache-2.0
"""How much of a score a map speaks of: what tells evidence from what rounding or chance leaves."""

from dataclasses import dataclass
from typing import Literal

Measure = Literal["difference", "sum", "gradient", "erasing"]
"""What a map was measured by: the difference of the score that its contributions add up to; the sum of their
sizes; what a gradient says of a change of its strongest cells; how far the score moves as they are erased."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a map speaks of, beside the score that it explains; all in the unit of the score (logits).

    `change` is what `measure` says. Of contributions `positive` is what the positive ones add up to.
    """

    measure: Measure
    change: float
    size: float
    """What the change is measured against: the size of the score, at least 1 where it is that of a class."""
    limit: float
    """The share of `size` up to which the change is negligible."""
    positive: float | None = None
    """None where the measure knows no signs."""

    @property
    def share(self) -> float:
        """The change as a part of the size of the score; 0 where there is neither."""
        return self.change / self.size if self.size else float(self.change > 0)

    @property
    def negligible(self) -> bool:
        """Whether the map shows nothing: all that it speaks of moves the score by less than can be told."""
        return self.share <= self.limit

    @property
    def negligible_positive(self) -> bool:
        """The same of what it shows for the target, where signs are known."""
        if self.positive is None or self.negligible:
            return self.negligible
        return self.positive <= self.limit * self.size

    def stronger(self, other: "Evidence | None") -> "Evidence":
        """Of the maps of two patches the one that shows more: together they show no less."""
        return self if other is None or self.share * other.limit >= other.share * self.limit else other
