# SPDX-License-Identifier: Apache-2.0
"""The rectangle that follows the hand while a box is drawn."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QApplication

from viewer.ui.views.marks import GROUND, colour


class Band:
    """From where the button was pressed to where the pointer is, in pixels of the widget."""

    def __init__(self) -> None:
        self._first: QPointF | None = None
        self._last = QPointF()

    @property
    def drawn(self) -> QRectF | None:
        """The rectangle; without extent after a press alone, None where no button is held."""
        return None if self._first is None else QRectF(self._first, self._last).normalized()

    def begin(self, at: QPointF) -> None:
        """The button is pressed."""
        self._first = self._last = at

    def follow(self, at: QPointF) -> None:
        """The pointer moves."""
        self._last = at

    def end(self, at: QPointF) -> tuple[tuple[QPointF, QPointF], bool]:
        """The button is let go: both corners, and whether the hand has moved so far that it is no click."""
        first, self._first = self._first or at, None
        return (first, at), (at - first).manhattanLength() >= QApplication.startDragDistance()

    def draw(self, painter: QPainter) -> None:
        """Paint it as the border of what is searched is painted."""
        box = self.drawn
        if box is None or box.isEmpty():
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(GROUND, 3.0), QPen(colour("accent"), 1.0, Qt.PenStyle.DashLine)):
            painter.setPen(pen)
            painter.drawRect(box)
