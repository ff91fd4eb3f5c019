# SPDX-License-Identifier: Apache-2.0
"""One slice as it was read, for the views and the probe."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from viewer import dicom
from viewer.dicom import Graphics
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Array, Series, Window

Place = tuple[int, int]
"""The number of a series in the list, and a slice of it."""


class Read(NamedTuple):
    """A slice that has been read: its stored and shown values, its window, and what its file lays over it."""

    stored: Array
    values: Array
    window: Window
    graphics: Graphics | None = None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All that it takes memory for."""
        graphics = () if self.graphics is None else (self.graphics.overlay, self.graphics.shutter)
        return tuple(a for a in (self.stored, self.values, *graphics) if a is not None)


def read(series: Series, slice: int, limits: Limits) -> Read:
    """A slice for the canvas and the probe: modality values, or colour as it is shown."""
    try:
        stored = series.voxels[slice]
        values = dicom.displayed(series, slice) if series.colour else dicom.modality_values(series, slice)
        graphics = dicom.graphics(series, slice, limits)
        return Read(stored, values, dicom.default_window(series, slice), graphics)
    except IndexError as error:
        raise SeriesError(f"There is no slice {slice}.") from error


def together(series: Sequence[Series], places: Sequence[Place], limits: Limits) -> tuple[Read | None, ...]:
    """Several slices at once; None for what cannot be read."""

    def attempt(place: Place) -> Read | None:
        try:
            return read(series[place[0]], place[1], limits)
        except SeriesError:
            return None

    with ThreadPoolExecutor(len(places), "whyscope ahead") as pool:
        return tuple(pool.map(attempt, places))
