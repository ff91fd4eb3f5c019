# SPDX-License-Identifier: Apache-2.0
"""What was computed once and may be asked for again, within a bound of memory."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from viewer import affine, overlay
from viewer.overlay import Interpolation
from viewer.types import Array, Map, Style

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key; beyond `room` bytes those not asked for the longest are forgotten."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._found: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable) -> Value | None:
        """What was put under a key, if it is still kept."""
        if key not in self._found:
            return None
        self._found.move_to_end(key)
        return self._found[key][0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of so many bytes; the latest is kept whatever its size."""
        self._used += size - self._found.pop(key, (None, 0))[1]
        self._found[key] = value, size
        while self._used > self._room and len(self._found) > 1:
            self._used -= self._found.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget everything."""
        self._found.clear()
        self._used = 0


class OfArrays(Generic[Value]):
    """What was computed from arrays. An array is told by itself, and is not kept alive by this."""

    def __init__(self, room: int) -> None:
        self._kept: Kept[tuple[weakref.ref[Array], Value]] = Kept(room)

    def get(self, source: Array, how: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """What `make` gave for a source and a manner, a value and its bytes: kept, or made now."""
        key = (id(source), how)
        found = self._kept.get(key)
        # A number that an array had may come again after its end: the reference tells them apart.
        if found is not None and found[0]() is source:
            return found[1]
        value, size = make()
        self._kept.put(key, (weakref.ref(source), value), size)
        return value


class DrawnMaps:
    """Slices of maps on the source grid, for going back and forth."""

    def __init__(self, room: int = 256 * 2**20) -> None:
        self._kept: Kept[tuple[Map, Array]] = Kept(room)

    def on_slice(self, map: Map, slice: int, style: Style) -> Array:
        """One slice of a map, as `overlay.on_source` gives it."""
        # What is kept holds the map that its number tells, which no other can then have.
        kept = self._kept.get((id(map), slice, style.interpolation))
        if kept is not None:
            return kept[1]
        drawn = overlay.on_source(map, slice, style.interpolation)
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
            kept = map, overlay.on_grid(map, here, (rows, columns), style.interpolation)
            self._kept.put(key, kept, kept[1].nbytes)
        return kept[1]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
