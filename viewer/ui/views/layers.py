# SPDX-License-Identifier: Apache-2.0
"""The two layers of a view, image and map: each keeps what it computed until its own input changes."""

import math
from collections.abc import Hashable

import numpy as np
from PySide6.QtCore import QRectF, QSizeF, Qt
from PySide6.QtGui import QImage, QPainter

from viewer import overlay
from viewer.cache import ArrayCache, Cache
from viewer.types import Array, Display, Map, Style, Window
from viewer.ui.views import pixels

_Shown = tuple[Array | None, tuple[float, float], bool, Window | Display | None]
"""Values, levels, inverted, and the curve in place of a straight line between the levels."""
_NOTHING: _Shown = (None, (0.0, 1.0), False, None)


_ROOM = 128 * 2**20
"""Bytes of images of slices, and of maps made small, that are kept for going back and forth."""


class RenderCache:
    """What views of one window compute once, for they show the same slices and maps beside each other."""

    def __init__(self) -> None:
        self._shown: _Shown = _NOTHING
        self._greys: Array | None = None
        self._images: ArrayCache[QImage] = ArrayCache(_ROOM)
        self._small_maps: ArrayCache[Array] = ArrayCache(_ROOM)
        self._small_slices: ArrayCache[Array] = ArrayCache(_ROOM // 4)
        self._enlarged: Cache[Hashable, QImage] = Cache(_ROOM // 2, latest=True)
        self._blank: ArrayCache[bool] = ArrayCache(4096)

    def image(self, shown: _Shown, factor: int) -> QImage:
        """A slice made visible, `factor` × `factor` of its pixels in one."""
        values = shown[0]
        assert values is not None
        return self._images.get(values, (*shown[1:], factor), lambda: self._made(shown, factor))

    def enlarged(self, image: QImage, part: QRectF, source: QRectF, ratio: float) -> QImage:
        """An image as it lies on the screen; frames of one slice draw it once, too."""
        key = (image.cacheKey(), part.getRect(), source.getRect(), ratio)
        found = self._enlarged.get(key)
        if found is None:
            found = _enlarge(image, part, source, ratio)
            self._enlarged.put(key, found, found.sizeInBytes())
        return found

    def strongest(self, values: Array, factor: int, signed: bool) -> Array:
        """A map made small, of `factor` × `factor` of its pixels the strongest."""

        def made() -> tuple[Array, int]:
            small = pixels.strongest(values, factor, signed)
            return small, small.nbytes

        return self._small_maps.get(values, (factor, signed), made)

    def blank(self, map: Map, signed: bool) -> bool:
        """Whether nothing of a map is to be drawn: asked with every frame, of all cells of a volume."""
        return self._blank.get(map.values, signed, lambda: (overlay.blank(map, signed), 1))

    def coarse(self, values: Array, side: int) -> Array:
        """Every so many pixels of a slice, so that at least `side` remain along its longer side."""
        step = max(values.shape[:2]) // max(side, 1)
        if step < 2:
            return values

        def made() -> tuple[Array, int]:
            some = values[step // 2 :: step, step // 2 :: step].copy()
            return some, some.nbytes

        return self._small_slices.get(values, step, made)

    def _made(self, shown: _Shown, factor: int) -> tuple[QImage, int]:
        values, levels, inverted, curve = shown
        assert values is not None
        if self._greys is None or not _same(shown, self._shown):
            self._greys, self._shown = pixels.greys(values, levels, inverted, curve), shown
        image = pixels.qimage(self._greys if factor == 1 else pixels.reduced(self._greys, factor))
        return image, image.sizeInBytes()


def _same(one: _Shown, other: _Shown) -> bool:
    return one[0] is other[0] and one[1:] == other[1:]


class ImageLayer:
    """One slice as grey or colour."""

    def __init__(self, cache: RenderCache) -> None:
        self._cache = cache
        self._shown: _Shown = _NOTHING
        self._image: QImage | None = None
        self._factor = 1
        self.uploads = 0
        """How often pixels became a picture; tests watch it."""

    def set(
        self,
        values: Array | None,
        levels: tuple[float, float],
        inverted: bool,
        curve: Window | Display | None = None,
    ) -> None:
        """Take what is to be drawn; nothing is computed before it is."""
        shown = (values, levels, inverted, curve)
        if not _same(shown, self._shown):
            self._shown, self._image = shown, None

    def draw(self, painter: QPainter, frame: QRectF, room: QRectF, ratio: float) -> None:
        """Draw the image so that all of it fills `frame`; `ratio` is device pixels per pixel."""
        values = self._shown[0]
        if values is None:
            return
        rows, columns = values.shape[:2]
        # Qt mixes four neighbours only; more pixels than that per screen pixel are averaged before.
        factor = _factor(values, frame, ratio)
        if self._image is None or factor != self._factor:
            self._image, self._factor = self._cache.image(self._shown, factor), factor
            self.uploads += 1
        part = frame.intersected(room)
        if part.isEmpty():
            return
        across, down = frame.width() / columns * factor, frame.height() / rows * factor
        source = QRectF(
            (part.x() - frame.x()) / across,
            (part.y() - frame.y()) / down,
            part.width() / across,
            part.height() / down,
        )
        if ratio != round(ratio):  # a pixel of the painter may then begin within one of the screen
            _draw(painter, part, self._image, source)
            return
        area = part.toAlignedRect()
        painter.drawImage(area.topLeft(), self._cache.enlarged(self._image, part, source, ratio))


def _draw(painter: QPainter, part: QRectF, image: QImage, source: QRectF) -> None:
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
    painter.drawImage(part, image, source)


def _enlarge(image: QImage, part: QRectF, source: QRectF, ratio: float) -> QImage:
    """What `_draw` would leave on the whole pixels that `part` touches; clear where it leaves nothing."""
    area = part.toAlignedRect()
    exact = QRectF(area) == part
    kinds = QImage.Format
    kind = kinds.Format_RGB32 if exact else kinds.Format_ARGB32_Premultiplied
    result = QImage((QSizeF(area.size()) * ratio).toSize(), kind)
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.translate(-area.topLeft())
    _draw(painter, part, image, source)
    painter.end()
    return result


def _factor(values: Array, frame: QRectF, ratio: float) -> int:
    """Pixels of the image along a pixel of the screen, in whole numbers."""
    rows, columns = values.shape[:2]
    pixels_per = min(columns / frame.width(), rows / frame.height()) / ratio
    return min(max(math.floor(pixels_per + 0.1), 1), 16)


class MapLayer:
    """One slice of a map, coloured at the screen's resolution: its outline is as fine as the screen."""

    def __init__(self, cache: RenderCache) -> None:
        self._cache = cache
        self._values: Array | None = None
        self._style = Style()
        self._hatch = False
        self._source: Array | None = None
        self._source_for = (1, False)
        self._sampled: Array | None = None
        self._sampled_for: tuple[object, ...] = ()
        self._places_for: tuple[object, ...] = ()
        self._reached = False
        self.image: QImage | None = None
        self.anything = False
        """Whether any pixel reaches the threshold."""
        self.uploads = 0
        """How often values became a picture; tests watch it."""

    def set(self, values: Array | None, style: Style, hatch: bool) -> None:
        """Take what is to be drawn; nothing but the colours' table is computed before it is."""
        if values is not self._values:
            self._values = values
            self._source = self._sampled = self.image = None
        if style is not self._style or hatch != self._hatch:
            self._style, self._hatch = style, hatch
            if self.image is not None:
                self.image.setColorTable(pixels.table(style))

    def draw(self, painter: QPainter, frame: QRectF, room: QRectF, ratio: float) -> None:
        """Draw the map over an image that fills `frame`."""
        self.anything = False
        if self._values is None:
            return
        part = QRectF(frame.intersected(room).toAlignedRect().intersected(room.toRect()))
        if part.isEmpty():
            return
        self._sample(frame, part, ratio)
        scale = pixels.Scale.of(self._style)
        key = (scale, self._hatch, *self._sampled_for)
        if self.image is None or key != self._places_for:
            assert self._sampled is not None
            places = pixels.indices(self._sampled, scale)
            self._reached = bool(places.any())
            if self._hatch:
                places = pixels.striped(places, round(pixels.HATCH * ratio))
            self.image, self._places_for = pixels.indexed(places, pixels.table(self._style)), key
            self.image.setDevicePixelRatio(ratio)
            self.uploads += 1
        self.anything = self._reached
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        # Half a pixel may hang over where the image ends between two pixels of the screen.
        painter.save()
        painter.setClipRect(frame, Qt.ClipOperation.IntersectClip)
        painter.drawImage(part.topLeft(), self.image)
        painter.restore()

    def _sample(self, frame: QRectF, part: QRectF, ratio: float) -> None:
        """The map's values at the centres of the screen's pixels."""
        values, style = self._values, self._style
        assert values is not None
        smooth, signed = style.interpolation == "bilinear", style.sign != "positive"
        key = (id(values), frame.getRect(), part.getRect(), ratio, smooth, signed)
        if self._sampled is not None and key == self._sampled_for:
            return
        rows, columns = values.shape
        factor = _factor(values, frame, ratio)
        if self._source is None or (factor, signed) != self._source_for:
            self._source = values if factor == 1 else self._cache.strongest(values, factor, signed)
            self._source_for = (factor, signed)
        source = self._source

        def at(first: float, count: float, start: float, length: float, cells: int) -> Array:
            centre = first + (np.arange(round(count * ratio)) + 0.5) / ratio
            return np.asarray((centre - start) / length * (cells / factor) - 0.5)

        row_at = at(part.y(), part.height(), frame.y(), frame.height(), rows)
        column_at = at(part.x(), part.width(), frame.x(), frame.width(), columns)
        self._sampled = pixels.sampled(source, row_at, column_at, smooth)
        self._sampled_for = key
        self.image = None
