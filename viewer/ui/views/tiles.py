# SPDX-License-Identifier: Apache-2.0
"""Painting small maps over the slice that they belong to."""

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter

from viewer.types import Array
from viewer.ui.state import Tile, ViewState
from viewer.ui.views.layers import ImageLayer, MapLayer, RenderCache
from viewer.ui.widgets.theme import DARK


class TilePainter:
    """One slice with one map, in whatever box; keeps what it computed until its input changes."""

    def __init__(self, cache: RenderCache) -> None:
        self._cache = cache
        self._image, self._map = ImageLayer(cache), MapLayer(cache)

    def draw(
        self, painter: QPainter, state: ViewState, tile: Tile | None, box: QRectF, ratio: float, hatch: bool
    ) -> None:
        """Paint the state's slice, as large as fits, and the tile's map over it, `hatch`ed for a negative."""
        painter.save()
        painter.setClipRect(box)
        painter.fillRect(box, QColor(DARK.images))
        values = state.view.values
        if values is not None:
            frame = _fitted(values, state, box)
            shown = self._cache.coarse(values, round(2 * ratio * max(box.width(), box.height())))
            self._image.set(shown, state.view.levels, state.view.inverted, state.view.curve)
            self._image.draw(painter, frame, box, ratio)
            if tile is not None and state.views.overlay:
                self._map.set(tile.drawn, tile.style, hatch)
                self._map.draw(painter, frame, box, ratio)
        painter.restore()


def _fitted(values: Array, state: ViewState, box: QRectF) -> QRectF:
    """Where the whole slice lies in a box, its pixels as wide and high as they are in the patient."""
    aspect = state.view.series.geometry.pixel_aspect if state.view.series is not None else 1.0
    aspect = aspect if 0 < aspect < float("inf") else 1.0
    rows, columns = values.shape[0] * aspect, values.shape[1]
    scale = min(box.width() / columns, box.height() / rows)
    size = columns * scale, rows * scale
    return QRectF(box.center().x() - size[0] / 2, box.center().y() - size[1] / 2, *size)
