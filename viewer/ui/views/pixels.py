# SPDX-License-Identifier: Apache-2.0
"""From arrays to what a view draws: grey levels of an image, colour indices of a map.

Both work in bands that stay in the processor's cache, and a map is coloured at the screen's resolution:
a frame's cost follows the window, not the detector.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from viewer.dicom import graded
from viewer.overlay import Bytes, Floats, between, colour_table, hatched, shown_range
from viewer.types import Array, Display, Style, Window

_BAND = 2**17
"""Values in a band. Fewer would be no faster, and each operation may have to wait for Python's lock."""
HATCH = 12
"""Pixels on the screen of a pair of stripes over a map that explains a negative."""


def _rows(columns: int) -> int:
    """Rows of a band."""
    return max(1, _BAND // max(columns, 1))


def greys(
    values: Array, levels: tuple[float, float], inverted: bool, curve: Window | Display | None = None
) -> Bytes:
    """What a display shows of one slice, uint8: grey (rows, columns), or colour as it is.

    A `curve` takes the place of the straight line between the levels.
    """
    if values.ndim == 3:
        return np.ascontiguousarray(values, dtype=np.uint8)
    if curve is None:
        result = _steps(values, levels, 255)
    elif isinstance(curve, Window):
        reach = _REACH * curve.width
        ends = (curve.center - reach, curve.center + reach)
        result = _taken(_bytes(np.linspace(*ends, _TABLE), curve), _steps(values, ends, _TABLE - 1))
    else:
        result = _through(values, curve)
    return np.subtract(255, result, out=result) if inverted else result


_REACH, _TABLE = 1.75, 4096
"""Widths from its centre to where a SIGMOID is flat to a quarter of a grey level, and its steps."""


def _bytes(values: Array, curve: Window | Display) -> Bytes:
    return np.rint(graded(values, curve) * 255).astype(np.uint8)


def _taken(table: Bytes, places: Array) -> Bytes:
    """Entries of a table; in bands, because numpy makes a wide copy of the places."""
    result = np.empty(places.shape, dtype=np.uint8)
    step = _rows(places.shape[1])
    for first in range(0, len(places), step):
        band = places[first : first + step]
        np.take(table, band, out=result[first : first + len(band)], mode="clip")
    return result


def _through(values: Array, display: Display) -> Bytes:
    """Grey levels through a VOI table; what is not a number is black."""
    result = np.empty(values.shape, dtype=np.uint8)
    step = _rows(values.shape[1])
    for first in range(0, len(values), step):
        source = values[first : first + step]
        unseen = np.isnan(source)
        band = _bytes(np.where(unseen, np.float32(0), source), display)
        band[unseen] = 0
        result[first : first + step] = band
    return result


def _steps(values: Array, levels: tuple[float, float], top: int) -> Array:
    """Values as whole numbers from 0 at the lower level to `top` at the upper one."""
    low, high = levels
    scale = np.float32(top / (high - low)) if high > low else np.float32(0)
    result = np.empty(values.shape, dtype=np.uint8 if top < 256 else np.uint16)
    step, whole = _rows(values.shape[1]), values.dtype.kind != "f"
    work = np.empty((min(step, len(values)), values.shape[1]), dtype=np.float32)
    for first in range(0, len(values), step):
        source = values[first : first + step]
        band = work[: len(source)]
        np.subtract(source, np.float32(low), out=band)
        band *= scale
        band += np.float32(0.5)
        if whole:
            np.clip(band, np.float32(0), np.float32(top), out=band)
        else:
            np.fmax(band, np.float32(0), out=band)  # fmax, not maximum: a NaN becomes black
            np.fmin(band, np.float32(top), out=band)
        result[first : first + step] = band
    return result


def reduced(values: Bytes, factor: int) -> Bytes:
    """The mean of every `factor` × `factor` pixels, at most 16; what does not fill one is cut off."""
    rows, columns = (n // factor * factor for n in values.shape[:2])
    # Rows first: whole rows are added at full speed, and fewer remain for the strided second step.
    total = values[0:rows:factor, :columns].astype(np.uint16)
    for i in range(1, factor):
        total += values[i:rows:factor, :columns]
    mean = total[:, 0::factor].copy()
    for j in range(1, factor):
        mean += total[:, j::factor]
    mean //= factor * factor
    return mean.astype(np.uint8)


def strongest(values: Floats, factor: int, signed: bool) -> Floats:
    """The value of the largest size in every `factor` × `factor` pixels: no evidence may vanish on the way.

    A mean could fall below the threshold.
    """
    high = _folded(values, factor, np.fmax)
    if not signed:
        return high
    low = _folded(values, factor, np.fmin)
    return np.where(-low > high, low, high)


def _folded(values: Floats, factor: int, fold: np.ufunc) -> Floats:
    columns = values.shape[1] // factor * factor
    result = np.empty((len(values) // factor, columns // factor), dtype=np.float32)
    step = max(1, _rows(columns) // factor)
    for first in range(0, len(result), step):
        band = result[first : first + step]
        source = values[first * factor : (first + len(band)) * factor, :columns]
        across = source[0::factor].copy()
        for i in range(1, factor):
            fold(across, source[i::factor], out=across)
        band[...] = across[:, 0::factor]
        for j in range(1, factor):
            fold(band, across[:, j::factor], out=band)
    return result


def sampled(values: Floats, row_at: Array, column_at: Array, smooth: bool) -> Floats:
    """Values at fractional indices, linear between pixels if `smooth`, constant beyond the last centre.

    Where a neighbour was not seen (NaN), the nearest pixel decides alone.
    """
    rows, columns = values.shape
    nearest = tuple(
        np.clip(np.rint(at).astype(np.intp), 0, n - 1) for at, n in ((row_at, rows), (column_at, columns))
    )
    if not smooth:
        return np.take(np.take(values, nearest[1], axis=1), nearest[0], axis=0)
    result = between(between(values, 1, column_at), 0, row_at)
    holes = np.isnan(result)
    if holes.any():
        near = np.take(np.take(values, nearest[1], axis=1), nearest[0], axis=0)
        np.copyto(result, near, where=holes)
        np.copyto(result, np.nan, where=np.isnan(near))
    return result


@dataclass(frozen=True, slots=True)
class Scale:
    """How map values become indices into 256 colours, apart from opacity."""

    low: float
    high: float
    threshold: float
    sign: str

    @classmethod
    def of(cls, style: Style) -> "Scale":
        return cls(*shown_range(style), max(style.threshold, 0.0), style.sign)


def indices(values: Floats, scale: Scale) -> Bytes:
    """Places in `table`, uint8; 0 is blank: below the threshold, of a hidden sign, or not seen."""
    factor = np.float32(255.0 / (scale.high - scale.low)) if scale.high > scale.low else np.float32(0)
    result = np.empty(values.shape, dtype=np.uint8)
    step = _rows(values.shape[1])
    for first in range(0, len(values), step):
        band = values[first : first + step]
        shown = band if scale.sign == "positive" else np.abs(band)
        drawn = (shown >= np.float32(scale.threshold)) & np.isfinite(band)
        level = (shown if scale.sign == "magnitude" else band) - np.float32(scale.low)
        level *= factor
        level += np.float32(0.5)
        np.fmax(level, np.float32(1), out=level)
        np.fmin(level, np.float32(255), out=level)
        place = result[first : first + step]
        place[...] = level
        place *= drawn
    return result


def table(style: Style) -> list[int]:
    """256 colours as Qt's 0xAARRGGBB; the first is transparent, the others have one opacity."""
    alpha = round(255 * min(max(style.opacity, 0.0), 1.0))
    return list(_table(style.colours, style.sign != "signed", alpha))


@lru_cache(64)
def _table(name: str, one_sign: bool, alpha: int) -> tuple[int, ...]:
    colours = colour_table(name, one_sign).tolist()
    return (0, *(alpha << 24 | r << 16 | g << 8 | b for r, g, b in colours[1:]))


def striped(places: Bytes, period: int) -> Bytes:
    """Every other diagonal stripe blank."""
    return hatched(places[..., None], period)[..., 0]


def qimage(pixels: NDArray[np.uint8]) -> QImage:
    """An image that owns its memory: grey (rows, columns) or colour (rows, columns, 3)."""
    pixels = np.ascontiguousarray(pixels)
    rows, columns = pixels.shape[:2]
    if pixels.ndim == 2:
        kind, stride = QImage.Format.Format_Grayscale8, columns
    else:
        kind, stride = QImage.Format.Format_RGB888, 3 * columns
    # The copy ends the loan: a QImage on foreign memory outlives its array in Qt's caches.
    image = QImage(pixels.data, columns, rows, stride, kind).copy()
    return image.convertToFormat(QImage.Format.Format_RGB32)


def indexed(places: Bytes, colours: list[int]) -> QImage:
    """A map's picture from places in a table of colours."""
    places = np.ascontiguousarray(places)
    rows, columns = places.shape
    image = QImage(places.data, columns, rows, columns, QImage.Format.Format_Indexed8).copy()
    image.setColorTable(colours)
    return image
