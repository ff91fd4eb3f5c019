# SPDX-License-Identifier: Apache-2.0
"""Slices of maps as they lie on their series, kept for going back and forth."""

from collections.abc import Hashable

from viewer import affine, overlay
from viewer.cache import Cache
from viewer.overlay import Interpolation
from viewer.types import Array, Map, Style


class DrawnMaps:
    """Slices of maps on the source grid, for going back and forth."""

    def __init__(self, room: int = 256 * 2**20) -> None:
        self._kept: Cache[Hashable, tuple[Map, Array]] = Cache(room, latest=True)

    def on_slice(self, map: Map, slice: int, style: Style) -> Array:
        """One slice of a map, as `overlay.on_source` gives it."""
        # What is kept holds the map that its number tells, which no other can then have.
        kept = self._kept.get((id(map), slice, style.interpolation))
        if kept is not None:
            return kept[1]
        drawn = overlay.as_drawn(map, overlay.on_source(map, slice, style.interpolation))
        self.put(map, slice, style.interpolation, drawn)
        return drawn

    def put(self, map: Map, slice: int, interpolation: Interpolation, drawn: Array) -> None:
        """Keep what `overlay.on_source` gave elsewhere."""
        self._kept.put((id(map), slice, interpolation), (map, drawn), drawn.nbytes)

    def small(self, map: Map, slice: int, style: Style, side: int) -> Array:
        """The same on a grid of about `side` cells along its longer side, or of as many as the map has."""
        shape = map.series.shape[1:]
        side = min(max(side, *map.values.shape[1:]), max(shape))
        key = (id(map), slice, style.interpolation, side)
        kept = self._kept.get(key)
        if kept is None:
            rows, columns = (max(1, round(n * side / max(shape))) for n in shape)
            down, across = shape[0] / rows, shape[1] / columns
            here = affine.scale_offset((1, down, across), (slice, (down - 1) / 2, (across - 1) / 2))
            drawn = overlay.on_grid(map, here, (rows, columns), style.interpolation)
            kept = map, overlay.as_drawn(map, drawn)
            self._kept.put(key, kept, kept[1].nbytes)
        return kept[1]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
