# SPDX-License-Identifier: Apache-2.0
"""The layer strip: the map at every stage of the network, small and side by side."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from viewer.ui.state import Tile, ViewState
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.tiles import TilePainter, absent
from viewer.ui.widgets.controls import Link
from viewer.ui.widgets.parts import Text, by_tab, colours
from viewer.ui.widgets.theme import DARK, font

_GAP, _LARGEST, _LINE = 6, 72, 15
_MOST_STAGES = 6
"""More stages than this are shown in part: the first, the last, and some between."""
REST = 120
"""Milliseconds without another slice or target after which the small maps are drawn."""


class LayerStripView(QWidget):
    """`layer_chosen` tells the layer of a small map that was clicked, `wished` asks for all of them."""

    layer_chosen = Signal(object)
    wished = Signal()

    def __init__(self, cache: RenderCache | None = None) -> None:
        super().__init__()
        self.row = _Row(cache or RenderCache())
        self.row.chosen.connect(lambda name: self.layer_chosen.emit(name))
        self.all = Link("Show it at every layer")
        self.all.clicked.connect(lambda: self.wished.emit())
        self.none = Text("", "quiet")
        self._height = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.row)
        column.addWidget(self.all, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.none)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        some = any(tile is not None for tile in state.answer.layer_strip)
        unasked = state.free and state.answer.model is not None and not state.answer.model.volume
        there = len(state.answer.layer_strip) > 1
        item, model = state.chosen_method, state.answer.model
        # A method without layers leaves the room of the strip as it was: what is below keeps its place.
        self.setVisible(there or (item is not None and model is not None and len(model.stages) > 1))
        self.none.setVisible(not there)
        if not there:
            self.none.set_text("" if item is None or item.layered else f"{item.title} reads no single layer.")
            self.row.hide()
            self.all.hide()
            self.setMinimumHeight(self._height)
            return
        whole = all(tile is not None for tile in state.answer.layer_strip)
        self.row.setVisible(some or unasked)
        self.all.setVisible(not whole and not unasked)
        self.all.setEnabled(not state.shell.under_way)
        self.row.put(state)
        self.setMinimumHeight(0)
        self._height = self.sizeHint().height()


class _Row(QWidget):
    """The small maps, blank while one slice or target follows the other: no frame waits for them then."""

    chosen = Signal(str)

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self._cache = cache
        self._state = ViewState()
        self._names: tuple[str, ...] = ()
        self._places: tuple[int, ...] = ()
        self._painters: list[TilePainter] = []
        self._under = self._focus = -1
        self._key: tuple[object, ...] = ()
        self._drawn: ViewState | None = self._state
        """Whose pictures are drawn, of other greys than the shown ones at most; None is blank."""
        self._going_on = QTimer(self)
        self._going_on.setSingleShot(True)
        self._going_on.setInterval(REST)
        self._going_on.timeout.connect(self._draw)
        self.setMouseTracking(True)
        self.setAccessibleName("Layers")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        by_tab(self)

    def put(self, state: ViewState) -> None:
        key = (
            state.view.values, state.view.levels, state.view.inverted, state.view.curve,
            state.answer.layer_strip, state.answer.attribution, state.views.overlay, state.negative,
            state.answer.asked, state.flips, state.answer.model,
        )  # fmt: skip
        before, self._state = self._state, state
        changed = (
            [a is not b for a, b in zip(key, self._key, strict=True)] if self._key else [True] * len(key)
        )
        if not any(changed):
            return
        self._key = key
        self._lay_out(state)
        other, greys = not _same_pictures(before, state), not any(changed[4:])
        going_on = self._going_on.isActive()
        if other or greys:
            self._going_on.start()
        if not going_on or (self._drawn is not None and not other and not greys):
            self._draw()
        elif other and self._drawn is not None:
            self._drawn = None
            self.update()
        elif changed[-1]:
            self.update()

    def _lay_out(self, state: ViewState) -> None:
        stages = () if state.answer.model is None else state.answer.model.stages
        if len(state.answer.layer_strip) == len(stages):
            self._names, self._places = stages, some_of(len(stages))
        if len(self._painters) != len(self._places):
            self._painters = [TilePainter(self._cache) for _ in self._places]
        self.setFixedHeight(round(self._side()) + 2 * _LINE + 6)

    def _draw(self) -> None:
        self._drawn = self._state
        self.update()

    def _side(self) -> float:
        count = max(len(self._places), 1)
        return min(_LARGEST, (self.width() - _GAP * (count - 1) - 4) / count)

    def boxes(self) -> list[QRectF]:
        """Where the small maps lie."""
        side = self._side()
        return [QRectF(2 + i * (side + _GAP), 2, side, side) for i in range(len(self._places))]

    def resizeEvent(self, event: object) -> None:
        self.setFixedHeight(round(self._side()) + 2 * _LINE + 6)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font(12))
        short, look = shortened(self._names), colours()
        shown = self._state.answer.attribution
        here = None if shown is None else shown.layer
        for i, (box, place) in enumerate(zip(self.boxes(), self._places, strict=True)):
            strip = self._state.answer.layer_strip
            tile = strip[place] if place < len(strip) else None
            hidden = tile is not None and tile.negative and not self._state.answer.asked
            if self._drawn is None:
                painter.fillRect(box, QColor(DARK.images))
            elif tile is None or hidden:
                absent(painter, box, "hidden" if hidden else "not yet")
            else:
                ratio = self.devicePixelRatioF()
                self._painters[i].draw(painter, self._drawn, tile, box, ratio, tile.negative)
            name = self._names[place]
            chosen = name == here
            edge = look.accent if chosen or (i == self._focus and self.hasFocus()) else look.line
            if i == self._under and not chosen:
                edge = look.quiet
            painter.setPen(QPen(QColor(edge), 2 if chosen else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(-1, -1, 1, 1), 3, 3)
            size = "" if tile is None else _size_words(tile)
            for line, text in enumerate((short[place], size if tile is not None else "…")):
                under = QRectF(box.left() - 2, box.bottom() + 3 + line * _LINE, box.width() + 4, _LINE)
                painter.setPen(QColor(look.text if chosen and line == 0 else look.quiet))
                fits = QFontMetricsF(painter.font()).elidedText(
                    text, Qt.TextElideMode.ElideMiddle, under.width()
                )
                painter.drawText(under, Qt.AlignmentFlag.AlignCenter, fits)

    def _at(self, point: QPointF) -> int:
        return next(
            (i for i, box in enumerate(self.boxes()) if box.adjusted(-2, -2, 2, 32).contains(point)), -1
        )

    def _tell(self, i: int) -> None:
        if 0 <= i < len(self._places):
            self.chosen.emit(self._names[self._places[i]])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._tell(self._at(event.position()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self._at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)

    def _hover(self, i: int) -> None:
        if i != self._under:
            self._under = i
            self.setCursor(Qt.CursorShape.PointingHandCursor if i >= 0 else Qt.CursorShape.ArrowCursor)
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps and self._places:
            self._focus = min(max(self._focus + steps[Qt.Key(event.key())], 0), len(self._places) - 1)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._tell(self._focus)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            i = self._at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), self._tip(i) if i >= 0 else "", self)
            return True
        return super().event(event)

    def _tip(self, i: int) -> str:
        place = self._places[i]
        tile = self._state.answer.layer_strip[place] if place < len(self._state.answer.layer_strip) else None
        said = "not computed yet" if tile is None else f"map {_size_words(tile)}, in a range of its own"
        return f"{self._names[place]}\n{said}\nClick to explain at this layer."


def _same_pictures(before: ViewState, now: ViewState) -> bool:
    """Whether no small map has to give way to another: more may have come, or in other colours."""
    pairs = zip(before.answer.layer_strip, now.answer.layer_strip, strict=False)
    gone = any(old is not None and (new is None or new.map is not old.map) for old, new in pairs)
    return (
        before.view.values is now.view.values
        and len(before.answer.layer_strip) == len(now.answer.layer_strip)
        and not gone
    )


def _size_words(tile: Tile) -> str:
    """The native size of a map, without slices where there is one; or that it shows nothing."""
    if tile.map.shows_nothing:
        return "shows nothing"
    shape = tile.map.values.shape
    return "×".join(str(n) for n in (shape[1:] if shape[0] == 1 else shape))


def some_of(count: int) -> tuple[int, ...]:
    """At most `_MOST_STAGES` places out of so many, evenly apart, the first and the last among them."""
    if count <= _MOST_STAGES:
        return tuple(range(count))
    return tuple(round(i * (count - 1) / (_MOST_STAGES - 1)) for i in range(_MOST_STAGES))


def shortened(names: Sequence[str]) -> list[str]:
    """Names of layers without what all of them begin and end with, as far as more than a number is left."""
    parts = [name.split(".") for name in names]
    while len(parts) > 1 and all(len(p) > 1 and p[0] == parts[0][0] and not p[1].isdigit() for p in parts):
        parts = [p[1:] for p in parts]
    while len(parts) > 1 and all(len(p) > 1 and p[-1] == parts[0][-1] for p in parts):
        parts = [p[:-1] for p in parts]
    return [".".join(p) for p in parts]
