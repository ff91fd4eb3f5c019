# SPDX-License-Identifier: Apache-2.0
"""What a file lays over its image, drawn: overlay planes and the display shutter."""

import math

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter

from viewer.dicom import Graphics
from viewer.dicom.overlays import rimmed, strongest_mark
from viewer.types import Array
from viewer.ui.views import pixels

_OVERLAY = [0, 0xFFFFFFFF, 0xC0000000]
"""Blank, a mark, and the dark rim around it."""


class GraphicsLayer:
    """Both at the resolution of the image, so that each pixel of them lies on its own."""

    def __init__(self) -> None:
        self._shown: Graphics | None = None
        self._pictures: dict[tuple[str, int], QImage] = {}

    def set(self, shown: Graphics | None) -> None:
        """Take what is to be drawn; nothing is computed before it is."""
        if shown is not self._shown:
            self._shown, self._pictures = shown, {}

    def draw_shutter(self, painter: QPainter, frame: QRectF, ratio: float) -> None:
        """Cover what the shutter hides of an image that fills `frame`."""
        shown = self._shown
        if shown is None or shown.shutter is None:
            return
        shade = QColor(shown.shade, shown.shade, shown.shade).rgba()
        self._draw(painter, frame, ("shutter", 1), shown.shutter, [0, shade])

    def draw_overlay(self, painter: QPainter, frame: QRectF, ratio: float) -> None:
        """Draw the overlay planes over an image that fills `frame`; `ratio` is device pixels per pixel."""
        shown = self._shown
        if shown is None or shown.overlay is None:
            return
        rows, columns = shown.overlay.shape
        per = max(columns / frame.width(), rows / frame.height()) / ratio
        factor = max(1, math.ceil(per - 0.01))
        self._draw(painter, frame, ("overlay", factor), shown.overlay, _OVERLAY)

    def _draw(
        self, painter: QPainter, frame: QRectF, key: tuple[str, int], mask: Array, colours: list[int]
    ) -> None:
        kind, factor = key
        if key not in self._pictures:
            marks = strongest_mark(mask, factor)
            places = rimmed(marks) if kind == "overlay" else marks.astype("uint8")
            self._pictures = {k: v for k, v in self._pictures.items() if k[0] != kind}
            self._pictures[key] = pixels.indexed(places, colours)
        picture = self._pictures[key]
        across, down = frame.width() / mask.shape[1] * factor, frame.height() / mask.shape[0] * factor
        painter.save()
        painter.setClipRect(frame, Qt.ClipOperation.IntersectClip)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        place = QRectF(frame.x(), frame.y(), across * picture.width(), down * picture.height())
        painter.drawImage(place, picture)
        painter.restore()
