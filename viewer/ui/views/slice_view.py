# SPDX-License-Identifier: Apache-2.0
"""A view: black to the edge, a picture, the map over it, and what must be said of them."""

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from viewer.overlay import outline
from viewer.types import Array
from viewer.ui.views import captions, marks, writing
from viewer.ui.views.band import Band
from viewer.ui.views.graphics import GraphicsLayer
from viewer.ui.views.layers import ImageLayer, MapLayer, RenderCache
from viewer.ui.views.picture import Picture
from viewer.ui.widgets.theme import DARK

_NOTCH = 120
"""Eighths of a degree in one notch of a mouse wheel."""
_NO_LINES = np.zeros((0, 2, 2), np.float32)
_CLOSEST, _FARTHEST = 64.0, 0.25
"""Most screen pixels per image pixel, and the least share of the view that an image fills."""


class SliceView(QWidget):
    """Draws one `Picture`, and tells what the reader's hands do on it.

    Rectangles of view are in pixels of the image: x from 0 to the columns, y from 0 to the rows. A picture
    that is flipped is painted, and met by the hands, as in a mirror; its rectangles do not change.
    """

    window_dragged = Signal(float, float)
    """Pixels right and down since the last one: the left button is held."""
    slice_wheel = Signal(int)
    """Slices onward (positive) or back."""
    point_wheel = Signal(int)
    """Points of the fourth dimension onward or back: Alt is held."""
    enlarge_requested = Signal()
    pointer_moved = Signal(object, object)
    """Row and column, 0 at the first pixel's centre, so that `round` is an index; None, None outside."""
    patch_placed = Signal(float, float)
    """Row and column of a click with Ctrl held, where the model reads a patch."""
    box_drawn = Signal(object, object)
    """(row, column) at opposite corners of a drag with Ctrl held, where the model reads a patch."""
    view_changed = Signal(object)
    """The part of the image that is seen, as `Seen` has it, or None where the whole image is fitted."""

    _small = False
    """Whether the colour bar begins right below the texts."""

    touched = Signal()
    """A button was pressed or the wheel turned: the reader works with this view."""

    def __init__(self, parent: QWidget | None = None, cache: RenderCache | None = None) -> None:
        super().__init__(parent)
        self._picture = Picture()
        self._cache = cache or RenderCache()
        self._image = ImageLayer(self._cache)
        self._map = MapLayer(self._cache)
        self._graphics = GraphicsLayer()
        self._borders: dict[bool, tuple[tuple[object, ...], Array]] = {}
        self._band = Band()
        self._seen: QRectF | None = None
        self._writing = writing.Writing(self)
        self._from: QPointF | None = None
        self._start = QPointF()
        self._button = Qt.MouseButton.NoButton
        self._turned = 0
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(520, 720)

    def show(self, picture: Picture | None = None) -> None:
        """Draw a picture; without one, what Qt means by it: become visible."""
        if picture is None:
            super().show()
            return
        changed, self._picture = picture is not self._picture, picture
        self._follow(picture)
        self._image.set(picture.values, picture.levels, picture.inverted, picture.curve)
        self._map.set(picture.map, picture.style, picture.hatched)
        self._graphics.set(picture.graphics)
        if changed:
            self.update()

    def _follow(self, picture: Picture) -> None:
        """Take the part that is seen from the picture."""
        self._seen = None if picture.seen is None else QRectF(*picture.seen)

    def fit(self) -> None:
        """Show the whole image."""
        self._move(None)

    def actual_size(self) -> None:
        """Show one column of the image on one pixel of the screen, about the middle of the view."""
        frame = self.frame()
        if frame is not None:
            self.zoom(self._columns / self.devicePixelRatioF() / frame.width())

    def zoom(self, factor: float, about: QPointF | None = None) -> None:
        """Enlarge about a point of the widget, its middle without one."""
        frame = self.frame()
        if frame is None:
            return
        whole = self._whole()
        scale = frame.width() / self._columns
        least = min(_FARTHEST * whole.width() / self._columns, 1 / self.devicePixelRatioF())
        factor = min(max(factor, least / scale), max(_CLOSEST, scale) / scale)
        point = about if about is not None else QPointF(self.width() / 2, self.height() / 2)
        point = self._unflipped(point)
        x, y = point.x() - frame.x(), point.y() - frame.y()
        self._place(
            QRectF(
                point.x() - x * factor,
                point.y() - y * factor,
                frame.width() * factor,
                frame.height() * factor,
            )
        )

    # Where the image lies

    @property
    def _columns(self) -> int:
        values = self._picture.values
        return int(values.shape[1]) if values is not None else 1

    @property
    def _rows(self) -> int:
        values = self._picture.values
        return int(values.shape[0]) if values is not None else 1

    def _whole(self) -> QRectF:
        """The fitted image on the widget."""
        high = self._rows * self._picture.aspect
        scale = min(self.width() / self._columns, self.height() / high)
        width, height = self._columns * scale, high * scale
        return QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)

    def frame(self) -> QRectF | None:
        """Where the whole image lies on the widget before it is flipped, in its pixels; None without one."""
        if self._picture.sentence is not None:
            return None
        if self._seen is None:
            return self._whole()
        seen, aspect = self._seen, self._picture.aspect
        scale = min(self.width() / seen.width(), self.height() / (seen.height() * aspect))
        centre = seen.center()
        return QRectF(
            self.width() / 2 - centre.x() * scale,
            self.height() / 2 - centre.y() * scale * aspect,
            self._columns * scale,
            self._rows * scale * aspect,
        )

    def _place(self, frame: QRectF) -> None:
        """Lay the image there, and tell the linked views which part of it is seen."""
        across, down = self._columns / frame.width(), self._rows / frame.height()
        self._move(
            QRectF(-frame.x() * across, -frame.y() * down, self.width() * across, self.height() * down)
        )

    def _move(self, seen: QRectF | None) -> None:
        self._seen = seen
        self.update()
        self.view_changed.emit(None if seen is None else seen.getRect())

    def position(self, point: QPointF) -> tuple[float, float] | None:
        """Row and column under a point of the widget, 0 at a pixel's centre; None outside the image."""
        frame = self.frame()
        if frame is None:
            return None
        point = self._unflipped(point)
        column = (point.x() - frame.x()) / frame.width() * self._columns
        row = (point.y() - frame.y()) / frame.height() * self._rows
        inside = 0 <= row < self._rows and 0 <= column < self._columns
        return (row - 0.5, column - 0.5) if inside else None

    def _flips(self) -> QTransform:
        """The widget over itself as the picture is flipped; its own inverse."""
        across, down = self._picture.flips
        mirror = QTransform.fromScale(-1 if across else 1, -1 if down else 1)
        return mirror * QTransform.fromTranslate(across * self.width(), down * self.height())

    def _unflipped(self, point: QPointF) -> QPointF:
        """Where a point of the widget lies before the picture is flipped."""
        return self._flips().map(point)

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK.images))
        frame, values = self.frame(), self._picture.values
        if frame is not None:
            ratio = self.devicePixelRatioF()
            painter.setTransform(self._flips())
            self._image.draw(painter, frame, QRectF(self.rect()), ratio)
            # Under the map: evidence on what a shutter hides is evidence that a reader must see.
            self._graphics.draw_shutter(painter, frame, ratio)
            self._map.draw(painter, frame, QRectF(self.rect()), ratio)
            self._graphics.draw_overlay(painter, frame, ratio)
            if values is not None:
                marks.outlines(painter, self._picture.outlines, frame, values.shape[:2])
                marks.patch_border(painter, self.border(), frame, values.shape[:2])
                marks.patch_border(painter, self.border(searched=True), frame, values.shape[:2], dashed=True)
            painter.resetTransform()
        image = QRectF() if frame is None else self._flips().mapRect(frame)
        self._band.draw(painter)
        self._writing.draw(painter, self._said(), image, self.evidence_in)
        painter.end()

    def border(self, searched: bool = False) -> Array:
        """The border of what the model is shown, or of the box that is searched, where it lies here:
        (n, 2, 2), row and column of pixels."""
        shown = self._picture
        field = shown.searched if searched else shown.patch
        if field is None or shown.matrix is None:
            return _NO_LINES
        key = (field, *shown.lies)
        if key != self._borders.get(searched, ((),))[0]:
            self._borders[searched] = key, outline.border(field, shown.matrix)
        return self._borders[searched][1]

    def _said(self) -> writing.Said:
        """What is written over the picture."""
        picture = self._picture
        if picture.sentence is not None:
            return writing.Said(picture.sentence)
        corners = captions.flipped(picture.says(self._map.anything), picture.flips)
        style = picture.style if picture.bar else None
        clear = self._lines_free(corners)
        return writing.Said(None, corners, picture.letters, clear, style, picture.unit, self._small)

    def _lines_free(self, shown: captions.Corners) -> tuple[float, float]:
        """Lines of text above and below that the patient's sides keep clear of."""
        return self._picture.clear

    @property
    def bar(self) -> writing.Bar | None:
        """Where the colour bar was drawn last."""
        return self._writing.bar

    def evidence_in(self, box: QRect) -> float:
        """The sum of what the map draws, in absolute value, below a part of the widget; 0 without a map."""
        frame = self.frame()
        if frame is None:
            return 0.0
        part = self._flips().mapRect(QRectF(box)).translated(-frame.topLeft())
        across, down = self._columns / frame.width(), self._rows / frame.height()
        return self._picture.evidence_in(
            (part.left() * across, part.top() * down, part.right() * across, part.bottom() * down)
        )

    def grab_map(self) -> QImage | None:
        """The map as it lies on the screen, for those who check it; None where none is drawn."""
        return self._map.image

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.update()

    # Hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.touched.emit()
        if self._places(event):
            if self.position(event.position()) is not None:
                self._band.begin(event.position())
            return
        self._from = event.position()
        self._start = event.position()
        self._button = event.button()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._band.drawn is not None:
            ends, box = self._band.end(event.position())
            places = [place for end in ends if (place := self.position(self._in_image(end))) is not None]
            if box and len(places) == 2:
                self._draw_box(places[0], places[1])
            elif places:
                self._place_patch(*places[0])
            self.update()
            return
        if event.button() == self._button:
            self._button, self._from = Qt.MouseButton.NoButton, None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not self._places(event):
            self.enlarge_requested.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        now = event.position()
        if self._band.drawn is not None:
            self._band.follow(now)
            self.update()
        if self._from is not None and self._button != Qt.MouseButton.NoButton:
            step = now - self._from
            self._from = now
            self._drag(step)
        self._point(now)
        if self._patch_by(event.modifiers()) and self._button == Qt.MouseButton.NoButton:
            self.setCursor(Qt.CursorShape.CrossCursor)
        else:
            self.unsetCursor()

    def _places(self, event: QMouseEvent) -> bool:
        """Whether a click places the patch: Ctrl is held, and there is one."""
        return event.button() == Qt.MouseButton.LeftButton and self._patch_by(event.modifiers())

    def _patch_by(self, held: Qt.KeyboardModifier) -> bool:
        return self._picture.places and bool(held & Qt.KeyboardModifier.ControlModifier)

    def _place_patch(self, row: float, column: float) -> None:
        self.patch_placed.emit(row, column)

    def _draw_box(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        self.box_drawn.emit(first, last)

    def _in_image(self, point: QPointF) -> QPointF:
        """The nearest point of the widget that lies in the image."""
        frame = self.frame() or QRectF(self.rect())
        inside = self._flips().mapRect(frame).adjusted(0.01, 0.01, -0.01, -0.01)
        return QPointF(
            min(max(point.x(), inside.left()), inside.right()),
            min(max(point.y(), inside.top()), inside.bottom()),
        )

    def _drag(self, step: QPointF) -> None:
        drags: dict[Qt.MouseButton, Callable[[QPointF], None]] = {
            Qt.MouseButton.LeftButton: lambda s: self.window_dragged.emit(s.x(), s.y()),
            Qt.MouseButton.MiddleButton: self.pan,
            Qt.MouseButton.RightButton: lambda s: self.zoom(math.exp(-s.y() / 150), self._start),
        }
        if self._button in drags and not step.isNull():
            drags[self._button](step)

    def pan(self, step: QPointF) -> None:
        """Move the image by pixels of the screen; its middle stays in the view."""
        frame = self.frame()
        if frame is None:
            return
        frame.translate(self._unflipped(step) - self._unflipped(QPointF()))
        middle, room = frame.center(), QRectF(self.rect())
        stays = QPointF(
            min(max(middle.x(), room.left() - frame.width() / 2 + 40), room.right() + frame.width() / 2 - 40),
            min(
                max(middle.y(), room.top() - frame.height() / 2 + 40), room.bottom() + frame.height() / 2 - 40
            ),
        )
        frame.moveCenter(stays)
        self._place(frame)

    def _point(self, at: QPointF) -> None:
        place = self.position(at)
        self.pointer_moved.emit(*(place if place is not None else (None, None)))

    def enterEvent(self, event: QEnterEvent) -> None:
        self._point(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        self.pointer_moved.emit(None, None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        # With Alt held some systems turn the wheel sideways.
        turned = event.angleDelta().y() or event.angleDelta().x()
        self.touched.emit()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(math.exp(turned / 600), event.position())
        else:
            # A touchpad turns by fractions of a notch; what is left over counts for the next turn.
            same = (turned >= 0) == (self._turned >= 0)
            self._turned = turned + (self._turned if same else 0)
            steps = int(self._turned / _NOTCH)
            self._turned -= steps * _NOTCH
            along = event.modifiers() & Qt.KeyboardModifier.AltModifier
            if steps:
                (self.point_wheel if along else self.slice_wheel).emit(-steps)
        event.accept()
