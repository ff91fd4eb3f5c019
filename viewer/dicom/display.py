# SPDX-License-Identifier: Apache-2.0
"""From stored values to what is shown: modality, then VOI, then presentation (PS3.3 C.11, PS3.4 N.2)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.errors import SeriesError
from viewer.types import Display, Series, Window

Array = NDArray[Any]
Floats = NDArray[np.float32]

DARKEST, BRIGHTEST = 1.0, 99.0
"""Percentiles of the data that an automatic window spans."""


def stored(series: Series, index: int) -> Array:
    """Stored values of slice `index`, read-only: (rows, columns), or (rows, columns, 3) for colour."""
    return series.voxels[index]


def modality_values(series: Series, index: int) -> Floats:
    """Slice `index` in the series' unit, e.g. HU: (rows, columns[, 3]); colour stays as stored."""
    values, display = stored(series, index), series.display
    if series.colour:
        return values.astype(np.float32)
    if display.lut is not None:
        return _looked_up(values, display.lut).astype(np.float32)
    slope, intercept = display.rescale[index]
    return (values * np.float64(slope) + intercept).astype(np.float32)


def _looked_up(values: Array, table: tuple[int, Array]) -> Array:
    """Entries of a table (first input value, entries); inputs beyond an end get that end's entry."""
    first, entries = table
    index = np.clip(np.rint(values), first, first + len(entries) - 1).astype(np.int64) - first
    return np.asarray(entries[index])


def default_window(series: Series, index: int) -> Window:
    """The first window of the file for slice `index`; without one, an automatic one of the whole series.

    The automatic window spans the 1st to 99th percentile of the middle slice without padding, is named
    "auto", and is decided once: grey means the same in every slice.
    """
    display = series.display
    windows = display.windows_of(index)
    if windows:
        return windows[0]
    if series.colour:
        lowest, highest = display.stored_range
        return Window((lowest + highest) / 2, highest - lowest, "as stored", "LINEAR_EXACT")
    return series.memo.get("automatic window", lambda: _automatic_window(series))


def _automatic_window(series: Series) -> Window:
    """From the middle slice; from another where the middle is flat or cannot be decoded."""
    count = series.shape[0]
    fault, flat = None, None
    for index in dict.fromkeys((count // 2, count // 4, 3 * count // 4, 0, count - 1)):
        try:
            dark, bright = _span(series, index)
        except SeriesError as error:
            fault = fault or error
            continue
        if bright > dark:
            return Window((dark + bright) / 2, bright - dark, "auto", "LINEAR_EXACT")
        flat = dark
    if fault is not None and flat is None:
        raise fault
    return Window(flat or 0.0, 1.0, "auto", "LINEAR_EXACT")


def _span(series: Series, index: int) -> tuple[float, float]:
    """Darkest and brightest value of a slice, but for its extremes and its padding."""
    display = series.display
    values = modality_values(series, index)
    if display.padding is not None:
        raw = stored(series, index)
        kept = values[(raw < display.padding[0]) | (raw > display.padding[1])]
        values = kept if kept.size else values
    dark, bright = (float(v) for v in np.percentile(values, (DARKEST, BRIGHTEST)))
    if bright <= dark:  # nearly all of one value: what little differs is what there is to see
        dark, bright = float(values.min()), float(values.max())
    return dark, bright


def windowed(values: Array, window: Window) -> Floats:
    """Modality values as 0…1 through a window, exactly as PS3.3 C.11.2.1.2 and C.11.2.1.3 say."""
    x = values.astype(np.float64)
    if window.function == "SIGMOID":
        exponent = np.clip(-4 * (x - window.center) / window.width, -700, 700)
        return (1 / (1 + np.exp(exponent))).astype(np.float32)
    center, width = window.center, window.width
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width <= 0:  # a LINEAR window of width 1 is a step
        return (x > center).astype(np.float32)
    return np.clip((x - center) / width + 0.5, 0, 1).astype(np.float32)


def graded(values: Array, curve: Window | Display) -> Floats:
    """Modality values as 0…1 through a window, or through the VOI table of a display (PS3.3 C.11.2.1.1)."""
    if isinstance(curve, Window):
        return windowed(values, curve)
    if curve.voi_lut is None:
        raise ValueError("this display has no VOI table")
    return _looked_up(values, curve.voi_lut).astype(np.float32)


def presented(series: Series, index: int, window: Window | None = None) -> Floats:
    """Slice `index` as grey or colour, 0…1: (rows, columns[, 3]); MONOCHROME1 comes inverted.

    Without a `window` the file's VOI table is used, else its first window, else an automatic one.
    Colour is shown as stored, whatever the window.
    """
    display = series.display
    if series.colour:
        lowest, highest = display.stored_range
        values = (stored(series, index).astype(np.float32) - lowest) / (highest - lowest)
        return np.asarray(np.clip(values, 0, 1), dtype=np.float32)
    values = modality_values(series, index)
    of_file = window is None and display.voi_lut is not None
    grey = graded(values, display if of_file else window or default_window(series, index))
    return 1 - grey if display.inverted else grey


def displayed(series: Series, index: int, window: Window | None = None) -> NDArray[np.uint8]:
    """`presented` in 0…255."""
    return np.rint(presented(series, index, window) * 255).astype(np.uint8)
