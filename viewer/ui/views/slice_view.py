# SPDX-License-Identifier: Apache-2.0
"""One view of the shown slice: black to the edge, the image, its map, and what must be said of them."""

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from viewer import affine
from viewer.affine import Matrix
from viewer.overlay import outline
from viewer.types import Array, Style
from viewer.ui.state import ViewState, one_stack
from viewer.ui.views import captions, marks
from viewer.ui.views.graphics import GraphicsLayer
from viewer.ui.views.layers import ImageLayer, MapLayer
from viewer.ui.views.slice_bar import SliceBar
from viewer.ui.widgets.theme import DARK, font

__all__ = ["SliceBar", "SliceView"]

NOTCH = 120
"""Eighths of a degree in one notch of a mouse wheel."""
_NO_LINES = np.zeros((0, 2, 2), np.float32)
CLOSEST, FARTHEST = 64.0, 0.25
"""Most screen pixels per image pixel, and the least share of the view that an image fills."""


class SliceView(QWidget):
    """The image (`plain`), or the image with its map.

    Rectangles of view are in pixels of the image: x from 0 to the columns, y from 0 to the rows.
    """

    window_dragged = Signal(float, float)
    """Pixels right and down since the last one: the left button is held."""
    slice_wheel = Signal(int)
    """Slices onward (positive) or back."""
    point_wheel = Signal(int)
    """Points of the fourth dimension onward or back: Alt is held."""
    maximise_requested = Signal()
    pointer_moved = Signal(object, object)
    """Row and column, 0 at the first pixel's centre, so that `round` is an index; None, None outside."""
    patch_placed = Signal(float, float)
    """Row and column of a click with Ctrl held, where the model reads a patch."""
    view_changed = Signal(object)
    """The part of the image seen (QRectF), or None where the whole image is fitted."""

    def __init__(self, plain: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plain = plain
        self._state = ViewState()
        self._image = ImageLayer()
        self._map = MapLayer()
        self._laid = GraphicsLayer()
        self._border: tuple[tuple[object, ...], Array] = ((), _NO_LINES)
        self._seen: QRectF | None = None
        self._texts: QPixmap | None = None
        self._written: tuple[object, ...] = ()
        self._from: QPointF | None = None
        self._start = QPointF()
        self._button = Qt.MouseButton.NoButton
        self._turned = 0
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Image" if plain else "Image with map")

    def sizeHint(self) -> QSize:
        return QSize(520, 720)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; without one, what Qt means by it: become visible."""
        if state is None:
            super().show()
            return
        before, self._state = self._state, state
        if not one_stack(state.view.series, before.view.series):
            self._seen = None
        self._image.set(state.view.values, state.view.levels, state.view.inverted, state.view.curve)
        drawn = not self.plain and state.map_shown and state.view.map is not None
        self._map.set(state.view.map if drawn else None, state.views.style, state.negative)
        self._laid.set(
            state.view.graphics if state.views.annotated and state.view.values is not None else None
        )
        if state is not before:
            self.update()

    def fit(self) -> None:
        """Show the whole image."""
        self._move(None)

    def set_view(self, seen: QRectF | None) -> None:
        """Show this part of the image, as another view does; emits nothing."""
        if seen != self._seen:
            self._seen = seen
            self.update()

    def zoom(self, factor: float, about: QPointF | None = None) -> None:
        """Enlarge about a point of the widget, its middle without one."""
        frame = self.frame()
        if frame is None:
            return
        whole = self._whole()
        scale = frame.width() / self._columns
        least = FARTHEST * whole.width() / self._columns
        factor = min(max(factor, least / scale), max(CLOSEST, scale) / scale)
        point = about if about is not None else QPointF(self.width() / 2, self.height() / 2)
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
        return int(self._state.view.values.shape[1]) if self._state.view.values is not None else 1

    @property
    def _rows(self) -> int:
        return int(self._state.view.values.shape[0]) if self._state.view.values is not None else 1

    def _aspect(self) -> float:
        """Height of a pixel ÷ its width, 1 where the geometry makes no sense."""
        series = self._state.view.series
        aspect = series.geometry.pixel_aspect if series is not None else 1.0
        return aspect if math.isfinite(aspect) and aspect > 0 else 1.0

    def _whole(self) -> QRectF:
        """The fitted image on the widget."""
        high = self._rows * self._aspect()
        scale = min(self.width() / self._columns, self.height() / high)
        width, height = self._columns * scale, high * scale
        return QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)

    def frame(self) -> QRectF | None:
        """Where the whole image lies on the widget, in its pixels; None without an image."""
        if captions.sentence(self._state) is not None:
            return None
        if self._seen is None:
            return self._whole()
        seen, aspect = self._seen, self._aspect()
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
        self.view_changed.emit(seen)

    def position(self, point: QPointF) -> tuple[float, float] | None:
        """Row and column under a point of the widget, 0 at a pixel's centre; None outside the image."""
        frame = self.frame()
        if frame is None:
            return None
        column = (point.x() - frame.x()) / frame.width() * self._columns
        row = (point.y() - frame.y()) / frame.height() * self._rows
        inside = 0 <= row < self._rows and 0 <= column < self._columns
        return (row - 0.5, column - 0.5) if inside else None

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK.images))
        frame = self.frame()
        if frame is not None:
            ratio = self.devicePixelRatioF()
            self._image.draw(painter, frame, QRectF(self.rect()), ratio)
            # Under the map: evidence on what a shutter hides is evidence that a reader must see.
            self._laid.draw_shutter(painter, frame, ratio)
            self._map.draw(painter, frame, QRectF(self.rect()), ratio)
            self._laid.draw_overlay(painter, frame, ratio)
            if self._state.view.values is not None:
                shape = self._state.view.values.shape[:2]
                marks.outlines(painter, self._state.drawn_outlines, frame, shape)
                if self._state.views.outlined:
                    marks.patch_border(painter, self.border(), frame, shape)
        painter.drawPixmap(0, 0, self._writing())
        painter.end()

    def border(self) -> Array:
        """The border of what the model is shown, where it lies here: (n, 2, 2), row and column of pixels."""
        patch, picture = self._state.request.patch, self._picture()
        if patch is None or picture is None:
            return _NO_LINES
        key = (patch, *self._lies())
        if key != self._border[0]:
            self._border = key, outline.border(patch, picture)
        return self._border[1]

    def _lies(self) -> tuple[object, ...]:
        """What tells `_picture` from others."""
        return (self._state.view.series, self._state.view.slice)

    def _picture(self) -> Matrix | None:
        """Maps (depth, row, column) of what is drawn to the voxels of its series."""
        return affine.scale_offset((1, 1, 1), (self._state.view.slice, 0, 0))

    def _writing(self) -> QPixmap:
        """Texts, letters and colour bar: drawn anew only when one of them changes."""
        state = self._state
        sentence, shown, letters = self._content()
        bar = state.views.style if sentence is None and self._with_bar() and state.map_shown else None
        unit = self._unit() if bar is not None else ""
        key = (
            sentence,
            shown,
            letters,
            bar and (*_bar_key(bar), unit),
            self.size(),
            self.devicePixelRatioF(),
        )
        if self._texts is None or key != self._written:
            self._written = key
            self._texts = self._blank_pixmap()
            painter = QPainter(self._texts)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if sentence is not None:
                self._say(painter, *sentence)
            if letters is not None:
                marks.sides(painter, letters, self.width(), self.height(), self._lines_free(shown))
            marks.corners(painter, shown, self.width(), self.height())
            box = self._bar_box()
            if bar is not None and box is not None:
                marks.colour_bar(painter, bar, unit, box)
            painter.end()
        return self._texts

    def _content(self) -> tuple[captions.Line | None, captions.Corners, tuple[str, str, str, str] | None]:
        """The sentence where there is no image; else the texts in the corners and the patient's sides."""
        state = self._state
        sentence = captions.sentence(state)
        if sentence is not None or state.view.series is None:
            spoken = self.plain or state.views.layout == "1"  # of two views one says it
            return sentence if spoken else ("", "quiet"), captions.Corners(), None
        shown = captions.plain(state) if self.plain else captions.explained(state, self._map.anything)
        return None, shown, state.view.series.geometry.letters()

    def _lines_free(self, shown: captions.Corners) -> tuple[float, float]:
        """Lines of text above and below that the patient's sides keep clear of."""
        model = self._state.answer.model
        named = not self.plain and model is not None and model.patch is not None
        return (3 if named else 2, 3)

    def _bar_box(self) -> QRectF | None:
        """Where the colour bar stands, if there is room."""
        return marks.bar_box(self.width(), self.height())

    def _with_bar(self) -> bool:
        """Whether this view carries the colour bar of a map."""
        return not self.plain

    def _unit(self) -> str:
        """The unit of the values that the colour bar stands for."""
        return "" if self._state.shown is None else self._state.shown.unit

    def _blank_pixmap(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        result = QPixmap((self.size().toSizeF() * ratio).toSize())
        result.setDevicePixelRatio(ratio)
        result.fill(Qt.GlobalColor.transparent)
        return result

    def _say(self, painter: QPainter, sentence: str, role: str) -> None:
        painter.setFont(font(15) if role == "text" else font())
        painter.setPen(marks.colour(role))
        box = QRectF(self.rect()).adjusted(24, 24, -24, -24)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(box, int(flags), sentence)

    def grab_map(self) -> QImage | None:
        """The map as it lies on the screen, for those who check it; None where none is drawn."""
        return self._map.image

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.update()

    # Hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._places(event):
            at = self.position(event.position())
            if at is not None:
                self._place_patch(*at)
            return
        self._from = event.position()
        self._start = event.position()
        self._button = event.button()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == self._button:
            self._button, self._from = Qt.MouseButton.NoButton, None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not self._places(event):
            self.maximise_requested.emit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        now = event.position()
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
        model = self._state.answer.model
        return (
            bool(held & Qt.KeyboardModifier.ControlModifier) and model is not None and model.patch is not None
        )

    def _place_patch(self, row: float, column: float) -> None:
        self.patch_placed.emit(row, column)

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
        frame.translate(step)
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
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom(math.exp(turned / 600), event.position())
        else:
            # A touchpad turns by fractions of a notch; what is left over counts for the next turn.
            same = (turned >= 0) == (self._turned >= 0)
            self._turned = turned + (self._turned if same else 0)
            steps = int(self._turned / NOTCH)
            self._turned -= steps * NOTCH
            along = event.modifiers() & Qt.KeyboardModifier.AltModifier
            if steps:
                (self.point_wheel if along else self.slice_wheel).emit(-steps)
        event.accept()


def _bar_key(style: Style) -> tuple[object, ...]:
    """What of a style the colour bar shows: its opacity it does not."""
    return (style.colours, style.range, style.threshold, style.sign)
