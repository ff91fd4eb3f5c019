"""One of the three planes: its picture, its map, and where the others cut it."""

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from viewer.planes import Plane, Point
from viewer.types import Array
from viewer.ui import marks, words
from viewer.ui.canvas import SliceView
from viewer.ui.marks import LEADING, MARGIN
from viewer.ui.state import Cut, ViewState

COLOURS = {"axial": "#a894e0", "coronal": "#9fae62", "sagittal": "#cf93ab"}
"""Quiet, and none of those that mean something: what is chosen, a warning, an outline."""
_GAP = 14.0
"""Pixels about the crosshair that stay free, so that one sees what it points at."""


class PlaneView(SliceView):
    """A plane through the volume; `with_bar` says whether it carries the map's colour bar."""

    marked = Signal(object)
    """An LPS position that the pointer marks: Shift is held."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(plain=False, parent=parent)
        self.name = name
        self._whole_state = ViewState()
        self._cut: Cut | None = None
        self._first = False
        self._waits = False
        self._blank: Array | None = None
        self._filled: tuple[Array | None, Array | None] = (None, None)
        self.setAccessibleName(f"{name.capitalize()} plane")

    def sizeHint(self) -> QSize:
        return QSize(320, 320)

    def show(self, state: ViewState | None = None, first: bool = False) -> None:
        """Draw this view's plane of a state; `first` is the view that says what is said once.

        A plane of another series than the state's is not drawn, nor a map that is not the state's.
        """
        if state is None:
            super().show()
            return
        if state is self._whole_state and first == self._first:
            return
        self._whole_state, self._first = state, first
        found = (c for c in state.cuts if c.plane.name == self.name and c.series is state.series)
        self._cut = cut = next(found, None)
        self._waits = cut is not None and cut.attribution is not state.attribution
        map = None if cut is None else cut.map
        if cut is not None and self._waits:
            # The bar and the words of the map that is to come stand already; of the old one nothing is drawn.
            map = None if state.attribution is None else self._nothing(cut.values.shape)
        values = None if cut is None else self._blackened(cut.values, state.inverted)
        outlines = () if cut is None else cut.outlines
        super().show(replace(state, values=values, map=map, outlines=outlines, graphics=None))

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

    def _aspect(self) -> float:
        return 1.0

    # Painting

    def _with_bar(self) -> bool:
        return self._first

    def _lines_free(self, shown: words.Corners) -> tuple[float, float]:
        if self._state.enlarged == self.name:
            return (len(shown.top_left), 3)
        return (0, 1 if len(shown.bottom_left) > int(self._first) else 0)

    def _bar_box(self) -> QRectF | None:
        return marks.bar_box(self.width(), self.height(), top=MARGIN + 2.5 * LEADING, shortest=32)

    def _content(self) -> tuple[words.Line | None, words.Corners, tuple[str, str, str, str] | None]:
        state, plane = self._state, self.plane
        if plane is None or self._cut is None:
            done = state.building
            how_far = f" {done.done} / {done.total}" if done is not None and done.total else ""
            return (f"Reading the volume …{how_far}" if self._first else "", "quiet"), words.Corners(), None
        title = f"{self.name.capitalize()}  {plane.place()}"
        thick = (((slab_words(self._cut)), "text"),) if plane.thickness else ()
        above: tuple[words.Line, ...] = ()
        below: tuple[words.Line, ...] = ()
        said = words.explained(state, self._map.anything) if self._first else words.Corners()
        if state.enlarged == self.name:
            above, below = said.top_left, said.bottom_right
        remark = () if self._waits else tuple((_of_plane(t), role) for t, role in said.bottom_left)
        if self._cut.remark is not None and not self._waits:
            remark = ((self._cut.remark, "quiet"),)
        window = ((words.window_words(state), "text"),) if self._first else ()
        corners = words.Corners(
            top_left=((title, "text"), *thick, *above),
            top_right=tuple((_of_plane(text), role) for text, role in said.top_right),
            bottom_left=(*(line for line in remark if line[0]), *words.outlined(state), *window),
            bottom_right=below,
        )
        return None, corners, plane.letters()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(QRectF(0, 0, self.width(), 2), QColor(COLOURS[self.name]))
        frame = self.frame()
        if frame is not None:
            self._lines(painter, frame)
        painter.end()

    def _lines(self, painter: QPainter, frame: QRectF) -> None:
        """Where the other two planes cut this one, with a gap at the crosshair."""
        plane, point = self.plane, self._whole_state.crosshair
        if plane is None or point is None:
            return
        middle = self.place(point)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(frame.intersected(QRectF(self.rect())))
        reach = float(self.width() + self.height()) * 2 + abs(middle.x()) + abs(middle.y())
        for cut in self._whole_state.cuts:
            way = direction(plane, cut.plane)
            if cut.plane.name == self.name or way is None:
                continue
            tone = QColor(COLOURS[cut.plane.name])
            tone.setAlpha(170)
            painter.setPen(QPen(tone, 1))
            for sign in (-1.0, 1.0):
                near, far = (middle + QPointF(way[1], way[0]) * (sign * r) for r in (_GAP, reach))
                painter.drawLine(QLineF(near, far))

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
        if not self._mark(event):
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._mark(event):
            self._from = event.position()
        else:
            super().mouseMoveEvent(event)


def _of_plane(text: str) -> str:
    """What is said of a slice, said of a plane."""
    return text.replace("this slice", "this plane")


def direction(plane: Plane, other: Plane) -> tuple[float, float] | None:
    """The unit (row, column) along which another plane cuts this one; None where they are parallel."""
    row, column = (float(other.normal @ plane.matrix[:3, i]) for i in (1, 2))
    length = float(np.hypot(row, column))
    if length < 1e-6 * plane.pixel:
        return None
    return (-column / length, row / length)


def slab_words(cut: Cut) -> str:
    """How thick a plane is, and what is shown of that."""
    what = {"mean": "mean", "max": "maximum", "min": "minimum"}[cut.slab.how]
    return f"{what} of {cut.plane.thickness:g} mm"
