# SPDX-License-Identifier: Apache-2.0
"""One of the three planes: its picture, its map, and where the others cut it."""

from dataclasses import replace
from math import atan2, hypot, remainder, tau

import numpy as np
from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from viewer.affine import Matrix
from viewer.planes import Plane, Point, tilt
from viewer.types import Array
from viewer.ui.state import Cut, Slab, View, ViewState, one_stack
from viewer.ui.views import captions
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.picture import Picture
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.theme import DARK

_COLOURS = {"axial": "#a894e0", "coronal": "#9fae62", "sagittal": "#cf93ab"}
"""Quiet, and none of those that mean something: what is chosen, a warning, an outline."""
_GAP = 14.0
"""Pixels about the crosshair that stay free, so that one sees what it points at."""
_TILTED = 0.05
"""Degrees from which a plane is said to be tilted."""
_HANDLE = 5.0
"""Radius of the rings on the lines, in pixels; the hand reaches them from twice as far."""
_ARM = 0.36
"""From the crosshair to the rings, as a part of the view's shorter side."""


class PlaneView(SliceView):
    """A plane through the volume; `with_bar` says whether it carries the map's colour bar."""

    _small = True

    marked = Signal(object)
    """An LPS position that the pointer marks: Shift is held."""
    placed = Signal(object)
    """An LPS position of a click with Ctrl held, where the model reads a patch."""
    box_drawn_in = Signal(object, object, object)
    """Two LPS positions and the plane's normal: opposite corners of a drag with Ctrl held."""
    turned = Signal(float)
    """Radians clockwise by which the lines were dragged about the crosshair."""

    def __init__(self, name: str, parent: QWidget | None = None, cache: RenderCache | None = None) -> None:
        super().__init__(parent, cache)
        self.name = name
        self._state = ViewState()
        self._view = View()
        self._cut: Cut | None = None
        self._first = False
        self._waits = False
        self._inside = False
        self._near: QPointF | None = None
        self._angle: float | None = None
        self._blank: Array | None = None
        self._filled: tuple[Array | None, Array | None] = (None, None)
        self.setAccessibleName(f"{name.capitalize()} plane")

    def sizeHint(self) -> QSize:
        return QSize(320, 320)

    def show_plane(self, state: ViewState, first: bool) -> None:
        """Draw this view's plane of a state; `first` is the view that says what is said once.

        A plane of another series than the state's is not drawn, nor a map that is not the state's.
        """
        if state is self._state and first == self._first:
            return
        together = one_stack(state.view.series, self._state.view.series)
        self._state, self._first = state, first
        before = self.plane
        found = (c for c in state.planes.cuts if c.plane.name == self.name and c.series is state.view.series)
        self._cut = cut = next(found, None)
        if not together:
            self._seen = None
        self._keep_place(before)
        self._waits = cut is not None and cut.of is not state.shown
        map = None if cut is None else cut.map
        if cut is not None and self._waits:
            # The bar and the words of the map that is to come stand already; of the old one nothing is drawn.
            map = None if state.shown is None else self._nothing(cut.values.shape)
        values = None if cut is None else self._blackened(cut.values, state.view.inverted)
        outlines, graphics = ((), None) if cut is None else (cut.outlines, cut.graphics)
        self._view = replace(state.view, values=values, map=map, outlines=outlines, graphics=graphics)
        self.show(self._plane_picture(state, self._view))

    def _plane_picture(self, state: ViewState, view: View) -> Picture:
        """What is drawn and said of this plane."""
        plane, model, shown = self.plane, state.answer.model, state.draws_map(view)
        return Picture(
            view.series, view.values, view.levels, view.inverted, view.curve,
            matrix=None if plane is None or view.series is None else plane.matrix_to(view.series),
            lies=(view.series, plane),
            map=view.map if shown else None,
            style=state.views.style,
            hatched=state.negative,
            bar=self._first and shown,
            unit="" if state.shown is None else state.shown.unit,
            graphics=view.graphics if state.views.annotated else None,
            outlines=state.outlines_in(view),
            patch=state.request.patch if state.views.outlined else None,
            searched=state.request.searched if state.views.outlined else None,
            places=model is not None and model.patch is not None,
            sentence=self._sentence(),
            says=self._corners,
            letters=None if plane is None else plane.letters(),
        )  # fmt: skip

    def _follow(self, picture: Picture) -> None:
        """Nothing: each plane is enlarged by itself."""

    def _keep_place(self, before: Plane | None) -> None:
        """Another plane begins elsewhere; an enlarged part of it stays where it was seen."""
        plane, point, seen = self.plane, self._state.planes.crosshair, self._seen
        if plane is None or before is None or point is None or seen is None or plane is before:
            return
        scale = before.pixel / plane.pixel
        (_, row, column), (_, top, left) = plane.index(point), before.index(point)
        from_left, from_top = (left + 0.5 - seen.x()) * scale, (top + 0.5 - seen.y()) * scale
        self._seen = QRectF(
            column + 0.5 - from_left, row + 0.5 - from_top, seen.width() * scale, seen.height() * scale
        )

    def _nothing(self, shape: tuple[int, ...]) -> Array:
        """A map without any value."""
        if self._blank is None or self._blank.shape != shape:
            self._blank = np.full(shape, np.nan, np.float32)
        return self._blank

    def _blackened(self, values: Array, inverted: bool) -> Array:
        """Values that are black where there is no volume; not a number already is, unless inverted."""
        if not inverted:
            return values
        if self._filled[0] is not values:
            self._filled = values, np.nan_to_num(values, nan=1e30)
        filled = self._filled[1]
        assert filled is not None
        return filled

    @property
    def plane(self) -> Plane | None:
        """The plane that is drawn."""
        return None if self._cut is None else self._cut.plane

    # Painting

    def _lines_free(self, shown: captions.Corners) -> tuple[float, float]:
        if self._state.planes.enlarged == self.name:
            return (len(shown.top_left), 3)
        tilted = self.plane is not None and tilt(self.plane) >= _TILTED  # then the title is long
        return (int(tilted), len(shown.bottom_left) - int(self._first))

    def _sentence(self) -> captions.Line | None:
        """What is said until the plane has been cut."""
        if self._cut is not None:
            return None
        done = self._state.planes.building
        how_far = f" {done.done} / {done.total}" if done is not None and done.total else ""
        return f"Reading the volume …{how_far}" if self._first else "", "quiet"

    def _corners(self, seen: bool) -> captions.Corners:
        """What is said of the plane; `seen` is whether any of the map reached the threshold."""
        state, view, plane = self._state, self._view, self.plane
        if plane is None or self._cut is None:
            return captions.Corners()
        tilted = f", tilted {tilt(plane):.1f}°" if tilt(plane) >= _TILTED else ""
        title = f"{self.name.capitalize()}{tilted}  {plane.place()}"
        thick = ((_slab_words(self._cut, state.planes.slab), "text"),) if state.planes.slab.thickness else ()
        above: tuple[captions.Line, ...] = ()
        below: tuple[captions.Line, ...] = ()
        said = captions.Corners()
        if self._first:
            said = captions.explained(state, seen, view, self._cache.blank)
        marked = captions.caveats(state) if self._first else ()
        if state.planes.enlarged == self.name:
            above, below = said.top_left, said.bottom_right
        remark = () if self._waits else tuple((_of_plane(t), role) for t, role in said.bottom_left)
        if self._cut.remark is not None and not self._waits:
            remark = ((self._cut.remark, "quiet"),)
        return captions.Corners(
            top_left=((title, "text"), *thick, *(above or marked)),
            top_right=tuple((_of_plane(text), role) for text, role in said.top_right),
            bottom_left=(
                *(line for line in remark if line[0]),
                *captions.outlined(state, view),
                *(captions.patched(state) if self._first and not above else ()),
                *self._overlaid(),
                *(((captions.window_words(state), "text"),) if self._first else ()),
            ),
            bottom_right=below,
        )

    def _overlaid(self) -> tuple[captions.Line, ...]:
        """What the file lays over its slices: drawn on a plane that lies on one, and only told on another."""
        if self._view.graphics is not None:
            return captions.overlaid(self._state, self._view)
        lines = captions.overlaid(self._state) if self._state.views.annotated else ()
        return tuple((f"{text}: only on acquired slices", role) for text, role in lines)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(QRectF(0, 0, self.width(), 2), QColor(_COLOURS[self.name]))
        frame = self.frame()
        if frame is not None:
            self._lines(painter, frame)
        painter.end()

    def _lines(self, painter: QPainter, frame: QRectF) -> None:
        """Where the other two planes cut this one, with a gap at the crosshair."""
        plane, point = self.plane, self._state.planes.crosshair
        if plane is None or point is None:
            return
        middle = self.place(point)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(frame.intersected(QRectF(self.rect())))
        reach = float(self.width() + self.height()) * 2 + abs(middle.x()) + abs(middle.y())
        for name, way in self._ways().items():
            tone = QColor(_COLOURS[name])
            tone.setAlpha(170)
            painter.setPen(QPen(tone, 1))
            for sign in (-1.0, 1.0):
                painter.drawLine(QLineF(middle + way * (sign * _GAP), middle + way * (sign * reach)))
        if self._inside or self._angle is not None:
            painter.setClipping(False)
            for at, name in self.handles():
                tone = QColor(_COLOURS[name])
                painter.setPen(QPen(tone, 1.5))
                painter.setBrush(tone if at == self._near else QColor(DARK.images))
                painter.drawEllipse(at, _HANDLE, _HANDLE)

    def _ways(self) -> dict[str, QPointF]:
        """Unit steps on the widget along which the other two planes cut this one, as the state has them."""
        plane, result = self.plane, {}
        for name, other in self._state.planes.ways.items():
            way = None if plane is None or name == self.name else direction(plane, other.normal)
            if way is not None:
                result[name] = QPointF(way[1], way[0])
        return result

    def handles(self) -> list[tuple[QPointF, str]]:
        """The rings that turn the lines, and whose line each is on: those that lie inside the view."""
        point = self._state.planes.crosshair
        if self.frame() is None or point is None:
            return []
        middle, arm = self.place(point), _ARM * min(self.width(), self.height())
        inside = QRectF(self.rect()).adjusted(_HANDLE, _HANDLE, -_HANDLE, -_HANDLE)
        rings = [(middle + way * (s * arm), name) for name, way in self._ways().items() for s in (-1.0, 1.0)]
        return [(at, name) for at, name in rings if inside.contains(at)]

    def place(self, point: Point) -> QPointF:
        """Where an LPS position lies on the widget, seen along the plane's normal."""
        plane, frame = self.plane, self.frame()
        if plane is None or frame is None:
            return QPointF(self.rect().center())
        _behind, row, column = plane.index(point)
        return QPointF(
            frame.x() + (column + 0.5) / self._columns * frame.width(),
            frame.y() + (row + 0.5) / self._rows * frame.height(),
        )

    # Hands

    def _mark(self, event: QMouseEvent) -> bool:
        """Whether Shift is held: the pointer then marks, and drags nothing."""
        if not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            return False
        at, plane = self.position(event.position()), self.plane
        if at is not None and plane is not None:
            self.marked.emit(plane.point(*at))
        return True

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._mark(event):
            return
        if self._places(event):
            super().mousePressEvent(event)
        elif event.button() == Qt.MouseButton.LeftButton and self._handle(event.position()) is not None:
            self._angle = self._angle_of(event.position())
        else:
            super().mousePressEvent(event)

    def _place_patch(self, row: float, column: float) -> None:
        if self.plane is not None:
            self.placed.emit(self.plane.point(row, column))

    def _draw_box(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        plane = self.plane
        if plane is not None:
            self.box_drawn_in.emit(plane.point(*first), plane.point(*last), plane.normal)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._angle is not None:
            now = self._angle_of(event.position())
            step, self._angle = remainder(now - self._angle, tau), now
            self.turned.emit(step)
        elif self._mark(event):
            self._from = event.position()
        else:
            super().mouseMoveEvent(event)
        self._look(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._angle is not None and event.button() == Qt.MouseButton.LeftButton:
            self._angle = None
            self._look(event.position())
        else:
            super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._handle(event.position()) is None:
            super().mouseDoubleClickEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._inside = True
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._inside, self._near = False, None
        super().leaveEvent(event)
        self.update()

    def _handle(self, at: QPointF) -> QPointF | None:
        """The ring within reach of a point of the widget."""
        rings = (ring for ring, _name in self.handles())
        return next((r for r in rings if hypot(r.x() - at.x(), r.y() - at.y()) <= 2 * _HANDLE), None)

    def _look(self, at: QPointF) -> None:
        """Show whether the hand could take a ring here."""
        near = self._handle(at)
        if near != self._near:
            self._near = near
            self.update()
        held, free = Qt.CursorShape.ClosedHandCursor, Qt.CursorShape.OpenHandCursor
        if self._angle is not None:
            self.setCursor(held)
        elif near is not None:
            self.setCursor(free)
        elif self.cursor().shape() in (held, free):
            self.unsetCursor()

    def _angle_of(self, at: QPointF) -> float:
        """Radians clockwise from the row's direction, about the crosshair."""
        point = self._state.planes.crosshair
        middle = self.place(point) if point is not None else at
        return atan2(at.y() - middle.y(), at.x() - middle.x())


def _of_plane(text: str) -> str:
    """What is said of a slice, said of a plane."""
    return text.replace("this slice", "this plane")


def direction(plane: Plane, normal: Matrix) -> tuple[float, float] | None:
    """The unit (row, column) along which a plane with this normal cuts; None where they are parallel."""
    row, column = (float(normal @ plane.matrix[:3, i]) for i in (1, 2))
    length = float(np.hypot(row, column))
    if length < 1e-6 * plane.pixel:
        return None
    return (-column / length, row / length)


def _slab_words(cut: Cut, wished: Slab) -> str:
    """How thick a plane is, and what is shown of that; or that this is still to come."""
    what = {"mean": "mean", "max": "maximum", "min": "minimum"}[wished.how]
    text = f"{what} of {wished.thickness:g} mm"
    return text if cut.slab == wished else f"{text} …"
