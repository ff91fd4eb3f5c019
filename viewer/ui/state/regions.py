# SPDX-License-Identifier: Apache-2.0
"""What came with the study and lies on the shown series: its maps, and what segmentations mark."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from viewer.overlay.outline import Box
from viewer.types import LoadedMap, Region


@dataclass(frozen=True, slots=True, eq=False)
class RegionsState:
    """The maps and regions of the series of the active view."""

    came: tuple[LoadedMap, ...] = ()
    """The maps of the shown series that came with the study."""
    spans: tuple[str, ...] = ()
    """Of each of them the smallest and the largest value, in words."""
    loaded: LoadedMap | None = None
    """The one of them that is drawn, in place of an attribution."""
    regions: tuple[Region, ...] = ()
    """What segmentations mark in the series, trimmed."""
    boxes: Mapping[tuple[str, int | None], Box] = field(default_factory=dict)
    """The box of each by its source, on every slice that it lies on, and with None in the volume."""
    hidden: frozenset[str] = frozenset()
    """The sources of the regions that are not outlined."""
