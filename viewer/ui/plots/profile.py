# SPDX-License-Identifier: Apache-2.0
"""The evidence in a stack, slice by slice: bars from the right, the first slice at the top."""

from collections.abc import Sequence

import numpy as np
from pyqtgraph import BarGraphItem, PlotCurveItem
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen, QResizeEvent
from PySide6.QtWidgets import QGraphicsView, QWidget

from viewer.types import Array
from viewer.ui.plots.plot import Plot, pen
from viewer.ui.widgets.theme import Palette

EDGE = 1
"""Pixels right of zero and below the last slice, for lines that lie there."""
_LEAST = 2
"""Pixels that a bar is long at least: what has run is never blank."""
_APART = 4
"""Pixels of a slice from which on one is left between two bars."""
_LOWER = 0.01
"""Pixels that all bars lie lower: else edges halfway between two pixels are rounded now up, now down."""


class Profile(Plot):
    """Values per slice against a threshold, and a line at the slice that is shown.

    `under` and `over` are the bars below the threshold and from it on, in slices down and values across.
    """

    def __init__(self, palette: Palette, parent: QWidget) -> None:
        super().__init__(palette, palette.images, parent)
        self.setAccessibleName("Evidence per slice")
        # Painted with the bar that it lies in: the scene's own update comes later and paints both once more.
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
        self.box.invertX(True)
        self.box.invertY(True)
        self.under, self.over, self.here = (
            BarGraphItem(x0=[], width=[], y0=[], height=[], pen=QPen(Qt.PenStyle.NoPen), brush=QColor(colour))
            for colour in (palette.bar, palette.text, palette.accent)
        )
        self.limit = PlotCurveItem(pen=pen(palette.text), antialias=False)
        for item in (self.under, self.over, self.limit, self.here):
            self.box.addItem(item, ignoreBounds=True)
        self._values: Sequence[float | None] = ()
        self._top, self._slice = 1.0, 0
        self._threshold: float | None = None
        self._range: tuple[tuple[float, float], tuple[float, float]] | None = None
        self._limit: tuple[float | None, float] | None = None
        """What the box and the threshold's line have: pyqtgraph sets both anew whether they change or not."""

    def set_profile(self, values: Sequence[float | None], top: float, threshold: float | None) -> None:
        """Show the value of every slice, None where it has not run; `top` fills the width."""
        if (values, top, threshold) != (self._values, self._top, self._threshold):
            self._values, self._top, self._threshold = values, top, threshold
            self._draw()

    def set_slice(self, slice: int) -> None:
        """Draw the line at a slice; the bars stay as they are."""
        if slice != self._slice:
            self._slice = slice
            self._draw_here()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        if event is not None:  # pyqtgraph calls this once itself, before there is anything to draw
            self._draw()

    def _draw(self) -> None:
        """Bars whose edges are those of pixels, as nothing is smoothed."""
        across, down, height = self._pixel()
        count = len(self._values)
        range = ((-EDGE * across, self._top), (0, count + EDGE * down))
        if range != self._range:
            self._range = range
            self.box.setRange(xRange=range[0], yRange=range[1], padding=0)
        place, tall, value = rows(self._values, height)
        long = np.clip(value, _LEAST * across, self._top)
        over = value >= (np.inf if self._threshold is None else self._threshold)
        for item, some in ((self.under, ~over), (self.over, over)):
            item.setOpts(
                x0=np.zeros(some.sum()),
                width=long[some],
                y0=(place[some] + _LOWER) * down,
                height=tall[some] * down,
            )
        shown = self._threshold is not None and 0 <= self._threshold <= self._top
        limit = (self._threshold, count + EDGE * down) if shown else None
        if limit != self._limit:
            self._limit = limit
            self.limit.setData(*(([], []) if limit is None else ([limit[0]] * 2, [0, limit[1]])))
        self._draw_here()

    def _draw_here(self) -> None:
        across, down, height = self._pixel()
        place = round((self._slice + 0.5) * height / max(len(self._values), 1))
        self.here.setOpts(
            x0=[-EDGE * across],
            width=[self._top + EDGE * across],
            y0=[(place + _LOWER) * down],
            height=[down],
        )
        self.viewport().update()

    def _pixel(self) -> tuple[float, float, int]:
        """What a pixel is in values across and in slices down, and the height of all slices in pixels."""
        wide, height = max(self.width() - EDGE, 1), max(self.height() - EDGE, 1)
        return self._top / wide, len(self._values) / height, height


def rows(values: Sequence[float | None], height: int) -> tuple[Array, Array, Array]:
    """First pixel, pixels and value of every row that is drawn on a height, from the top.

    A row is a slice or, where slices are thinner than a pixel, the largest of those that begin in it. A
    slice without a value has none.
    """
    known = np.array([index for index, value in enumerate(values) if value is not None], dtype=np.int64)
    if not known.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    length = height / len(values)
    first = np.rint(known * length).astype(np.int64)
    tall = np.rint((known + 1) * length).astype(np.int64) - first - (1 if length >= _APART else 0)
    place, start = np.unique(first, return_index=True)
    given = np.array([values[index] for index in known], dtype=np.float64)
    return place, np.maximum.reduceat(np.maximum(tall, 1), start), np.maximum.reduceat(given, start)
