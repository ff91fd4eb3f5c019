# SPDX-License-Identifier: Apache-2.0
"""What every plot is: one box of data in the colours of the window, and axes that tell units."""

from typing import Literal

import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen
from PySide6.QtWidgets import QGraphicsGridLayout, QGraphicsWidget, QWidget

from viewer.ui.widgets.theme import FAMILY, Palette, font

TEXT, _STROKE = 12, 1
"""Pixels of the letters on an axis, and of every line."""


class Plot(pyqtgraph.GraphicsView):
    """A plot that nobody can turn or drag: what is drawn goes into `box`, whose range is set, not found.

    `ground` is the palette's colour of what it lies on. The mouse goes through it to the widget that it
    lies in. `left` and `below` are what the axes tell, with the unit: "score", "depth / mm"; without words
    there is no axis. None of pyqtgraph's own options is set, for they hold for the whole process.
    """

    def __init__(
        self, palette: Palette, ground: str, parent: QWidget, left: str = "", below: str = ""
    ) -> None:
        super().__init__(parent, useOpenGL=False, background=ground)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.box = pyqtgraph.ViewBox(enableMouse=False, enableMenu=False, defaultPadding=0)
        self.box.disableAutoRange()
        inside, cells = QGraphicsWidget(), QGraphicsGridLayout()
        cells.setContentsMargins(0, 0, 0, 0)
        cells.setSpacing(0)
        cells.addItem(self.box, 0, 1)
        if left:
            cells.addItem(axis(palette, "left", left, self.box), 0, 0)
        if below:
            cells.addItem(axis(palette, "bottom", below, self.box), 1, 1)
        inside.setLayout(cells)
        self.setCentralItem(inside)


def axis(
    palette: Palette, side: Literal["left", "bottom"], words: str, box: pyqtgraph.ViewBox
) -> pyqtgraph.AxisItem:
    """An axis of a box: a line with numbers and words, no grid, and no prefix put before the unit."""
    line, quiet = pen(palette.line), QColor(palette.quiet)
    made = pyqtgraph.AxisItem(side, pen=line, tickPen=line, textPen=QPen(quiet), linkView=box)
    made.enableAutoSIPrefix(False)
    made.setStyle(tickFont=font(TEXT))
    made.label.setFont(font(TEXT))
    made.setLabel(words, color=quiet.name(), **{"font-size": f"{TEXT}px", "font-family": FAMILY})
    return made


def pen(colour: str) -> QPen:
    """The one stroke, in a colour: as thin on the screen however the box is scaled."""
    made = QPen(QColor(colour), _STROKE)
    made.setCosmetic(True)
    return made
