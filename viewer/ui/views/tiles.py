# SPDX-License-Identifier: Apache-2.0
"""Painting small maps over the slice that they belong to."""

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QTransform

from viewer.types import Array
from viewer.ui.state import Flips, Tile, ViewState
from viewer.ui.views import marks
from viewer.ui.views.captions import READING
from viewer.ui.views.layers import ImageLayer, MapLayer, RenderCache
from viewer.ui.views.picture import flipped
from viewer.ui.widgets.theme import DARK, font
from viewer.wording import NOT_LOOKED_AT, NOTHING_REACHES


class TilePainter:
    """One slice with one map, in whatever box; keeps what it computed until its input changes."""

    def __init__(self, cache: RenderCache) -> None:
        self._cache = cache
        self._image, self._map = ImageLayer(cache), MapLayer(cache)

    def draw(
        self, painter: QPainter, state: ViewState, tile: Tile | None, box: QRectF, ratio: float, hatch: bool
    ) -> str:
        """Paint the state's slice, as large as fits, and the tile's map over it, `hatch`ed for a negative.

        Both are flipped as the views beside it are.
        Why nothing of the map is drawn, though it was to be; else "".
        """
        painter.save()
        painter.setClipRect(box)
        painter.fillRect(box, QColor(DARK.images))
        values, why = state.view.values, READING
        if values is not None:
            frame = _fitted(values, state, box)
            painter.setTransform(_mirror(frame, state.flips), True)
            shown = self._cache.coarse(values, round(2 * ratio * max(box.width(), box.height())))
            self._image.set(shown, state.view.levels, state.view.inverted, state.view.curve)
            self._image.draw(painter, frame, box, ratio)
            why = ""
            if tile is not None and state.views.overlay:
                self._map.set(tile.drawn, tile.style, hatch)
                self._map.draw(painter, frame, box, ratio)
                why = "" if self._map.anything else _unseen(tile.drawn)
        painter.restore()
        return why


def _mirror(frame: QRectF, flips: Flips) -> QTransform:
    """A picture over itself as it is flipped, to half a pixel: what begins on a whole one still does."""
    across, down = flips
    mirror = QTransform.fromScale(-1 if across else 1, -1 if down else 1)
    middle = frame.center()
    return mirror * QTransform.fromTranslate(across * round(2 * middle.x()), down * round(2 * middle.y()))


def _unseen(drawn: Array) -> str:
    """Why nothing of a map on a slice is drawn: it has no value there, or none that reaches the threshold."""
    return NOTHING_REACHES if np.isfinite(drawn).any() else NOT_LOOKED_AT


def absent(painter: QPainter, box: QRectF, why: str) -> None:
    """Say in the place of a small map why there is none: an image without one would look like a blank map."""
    painter.fillRect(box, QColor(DARK.images))
    painter.setFont(font(12))
    painter.setPen(QColor(DARK.quiet))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, why)


def sides(painter: QPainter, state: ViewState, box: QRectF) -> None:
    """The patient's left and right, or what lies there, at the edges of a small picture."""
    painter.setFont(font(12))
    letters = None if state.view.series is None else state.view.series.geometry.letters(state.view.slice)
    letters = flipped(letters, state.flips)
    for letter, at, align in zip(
        (letters or ("", ""))[:2],
        (box.left() + 8, box.right() - 8),
        (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight),
        strict=True,
    ):
        if letter:
            marks.text(painter, QPointF(at, box.center().y()), letter, "text", align)


def _fitted(values: Array, state: ViewState, box: QRectF) -> QRectF:
    """Where the whole slice lies in a box, its pixels as wide and high as they are in the patient."""
    aspect = state.view.series.geometry.pixel_aspect if state.view.series is not None else 1.0
    aspect = aspect if 0 < aspect < float("inf") else 1.0
    rows, columns = values.shape[0] * aspect, values.shape[1]
    scale = min(box.width() / columns, box.height() / rows)
    size = columns * scale, rows * scale
    return QRectF(box.center().x() - size[0] / 2, box.center().y() - size[1] / 2, *size)
