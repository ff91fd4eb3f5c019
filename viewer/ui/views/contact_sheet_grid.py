# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: maps of all labels, or of all quick methods, in a grid."""

import math
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from viewer.caveats import UNKNOWN_USE, marks
from viewer.overlay import blank, shown_range
from viewer.ui.state import Cell, ViewState
from viewer.ui.views.captions import Blank
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.tiles import TilePainter, absent, sides
from viewer.ui.widgets.controls import Link, Segments
from viewer.ui.widgets.parts import Text, by_tab, dress_panel
from viewer.ui.widgets.theme import DARK, font
from viewer.wording import BELOW, OUTSIDE_USE, SAME_FOR_ALL, clean, figures, kind_of, number

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_OF = {"labels": "All labels", "methods": "All quick methods"}
_TIPS = {
    "labels": "The chosen method, for every label",
    "methods": "Every method that costs next to nothing, for the chosen label",
}
_LINE, _GAP, _HEIGHT = 17, 10, 40


class ContactSheetGrid(QWidget):
    """`cell_chosen` tells "label" or "method" and its name, `opened` that it was asked to be shown large."""

    cell_chosen = Signal(str, str)
    opened = Signal()
    of_chosen = Signal(str)
    all_requested = Signal()
    negatives_requested = Signal()

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self.of = Segments(_OF, _TIPS)
        self.words, self.outside = Text("", "quiet"), Text(OUTSIDE_USE, "stop")
        self.unknown, self.doubts = Text(UNKNOWN_USE), Text("", "warning")
        self.all = Link("Run for every label")
        self.negatives = Link("Show those not called")
        self.cells = _Cells(cache)
        bar = QWidget()
        dress_panel(bar, "top")
        bar.setFixedHeight(_HEIGHT)
        line = QHBoxLayout(bar)
        line.setContentsMargins(14, 0, 14, 0)
        line.setSpacing(12)
        line.addWidget(self.of)
        line.addWidget(self.outside)
        line.addWidget(self.unknown)
        line.addWidget(self.doubts)
        line.addWidget(self.words, 1)
        line.addWidget(self.negatives)
        line.addWidget(self.all)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self.cells, 1)
        self._of = "labels"
        self.of.chosen.connect(self.of_chosen)
        self.all.clicked.connect(lambda: self.all_requested.emit())
        self.negatives.clicked.connect(lambda: self.negatives_requested.emit())
        self.cells.chosen.connect(lambda name: self.cell_chosen.emit(self._of.removesuffix("s"), name))
        self.cells.opened.connect(self.opened)
        self.setVisible(False)

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        explaining, sheet = presenter.explaining, presenter.contact_sheet
        choose = {"label": explaining.choose_target, "method": explaining.choose_method}
        self.of_chosen.connect(sheet.choose)
        self.all_requested.connect(sheet.wish)
        self.negatives_requested.connect(partial(explaining.take_action, "show"))
        self.cell_chosen.connect(lambda kind, name: choose[kind](name))
        self.opened.connect(partial(presenter.display.choose_layout, "1|1"))

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        if state.views.layout != "sheet":
            return
        self._of = state.answer.contact_sheet_of
        self.of.put(state.answer.contact_sheet_of)
        item = state.chosen_method
        missing = any(cell.tile is None for cell in state.answer.contact_sheet)
        slow = item is not None and not state.free
        self.all.setVisible(missing and slow and state.answer.contact_sheet_of == "labels")
        self.all.setEnabled(not state.shell.under_way)
        some = any(cell.tile is not None and cell.tile.negative for cell in state.answer.contact_sheet)
        self.negatives.setVisible(some and not state.answer.asked)
        self.outside.setVisible(state.answer.overridden is not None)
        self.unknown.setVisible(state.answer.unknown is not None)
        self.doubts.set_text(" · ".join(marks(state.answer.prediction)))
        self.doubts.setVisible(bool(marks(state.answer.prediction)))
        self.words.set_text(sheet_words(state))
        self.cells.put(state)


class _Cells(QWidget):
    """The cells, painted in as many columns as make them largest."""

    chosen = Signal(str)
    opened = Signal()

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self._cache = cache
        self._state = ViewState()
        self._painters: list[TilePainter] = []
        self._under = self._focus = -1
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self.setAccessibleName("Contact sheet")
        by_tab(self)

    def sizeHint(self) -> QSize:
        return QSize(1040, 700)

    def put(self, state: ViewState) -> None:
        if state is self._state:
            return
        self._state = state
        if len(self._painters) != len(state.answer.contact_sheet):
            self._painters = [TilePainter(self._cache) for _ in state.answer.contact_sheet]
        self.update()

    def boxes(self) -> list[QRectF]:
        """Where the cells lie, texts among them."""
        count = len(self._state.answer.contact_sheet)
        if not count:
            return []
        values = self._state.view.values
        shape = (1, 1) if values is None else values.shape[:2]
        aspect = shape[1] / shape[0]
        best = max(range(1, count + 1), key=lambda columns: self._height(columns, count, aspect))
        across, down = best, math.ceil(count / best)
        width, height = (self.width() - _GAP) / across, (self.height() - _GAP) / down
        return [
            QRectF(_GAP + (i % across) * width, _GAP + (i // across) * height, width - _GAP, height - _GAP)
            for i in range(count)
        ]

    def _height(self, columns: int, count: int, aspect: float) -> float:
        """How high an image is drawn in so many columns."""
        width = (self.width() - _GAP) / columns - _GAP
        height = (self.height() - _GAP) / math.ceil(count / columns) - _GAP - 2 * _LINE - 6
        return min(height, width / aspect)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(DARK.images))
        state = self._state
        if not state.answer.contact_sheet:
            painter.setPen(QColor(DARK.quiet))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, _empty_words(state))
        for i, (box, cell) in enumerate(zip(self.boxes(), state.answer.contact_sheet, strict=True)):
            picture = box.adjusted(0, 0, 0, -2 * _LINE - 6)
            negative = cell.tile is not None and cell.tile.negative
            hidden = negative and not state.answer.asked
            tile = None if hidden else cell.tile
            ratio = self.devicePixelRatioF()
            if cell.tile is None:
                absent(painter, picture, "not computed yet")
                why = ""
            else:
                why = self._painters[i].draw(painter, state, tile, picture, ratio, negative)
                sides(painter, state, picture)
            below = f"{BELOW}, hidden" if hidden else cell_words(cell, why, self._cache.blank)
            self._frame(painter, i, box, cell)
            self._texts(painter, box, cell, below)
        painter.end()

    def _frame(self, painter: QPainter, i: int, box: QRectF, cell: Cell) -> None:
        focus = i == self._focus and self.hasFocus()
        tone = DARK.accent if cell.chosen or focus else DARK.quiet if i == self._under else DARK.line
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(tone), 2 if cell.chosen else 1))
        painter.drawRoundedRect(box.adjusted(-3, -3, 3, 3), 4, 4)

    def _texts(self, painter: QPainter, box: QRectF, cell: Cell, below: str) -> None:
        top = box.bottom() - 2 * _LINE
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        score = "" if cell.score is None else f"{kind_of(cell.score)} {figures(cell.score)}"
        if self._state.answer.contact_sheet_of == "methods":
            score = ""
        painter.setFont(font(bold=True))
        room = _write(painter, QRectF(box.left() + 2, top, box.width() - 4, _LINE), score, DARK.text, right)
        tone = DARK.accent if cell.chosen and self._state.answer.contact_sheet_of == "labels" else DARK.text
        _write(painter, QRectF(box.left() + 2, top, room - 8, _LINE), clean(cell.title), tone, left)
        painter.setFont(font(12))
        _write(painter, QRectF(box.left() + 2, top + _LINE, box.width() - 4, _LINE), below, DARK.quiet, left)

    # Hands

    def _at(self, point: QPointF) -> int:
        return next((i for i, box in enumerate(self.boxes()) if box.contains(point)), -1)

    def _tell(self, i: int) -> None:
        if 0 <= i < len(self._state.answer.contact_sheet):
            self.chosen.emit(self._state.answer.contact_sheet[i].name)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._tell(self._at(event.position()))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._at(event.position()) >= 0:
            self.opened.emit()

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
        if event.key() in steps and self._state.answer.contact_sheet:
            self._focus = (self._focus + steps[Qt.Key(event.key())]) % len(self._state.answer.contact_sheet)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._tell(self._focus)
        else:
            super().keyPressEvent(event)


def _write(painter: QPainter, box: QRectF, text: str, tone: str, align: Qt.AlignmentFlag) -> float:
    """Write one line; how much room it leaves."""
    fits = QFontMetricsF(painter.font()).elidedText(text, Qt.TextElideMode.ElideMiddle, max(box.width(), 0))
    painter.setPen(QColor(tone))
    painter.drawText(box, align | Qt.AlignmentFlag.AlignVCenter, fits)
    return box.width() - QFontMetricsF(painter.font()).horizontalAdvance(fits)


def cell_words(cell: Cell, why: str = "", blank: Blank = blank) -> str:
    """In which range a cell is drawn, with its unit, after `why` nothing is; or that there is no evidence."""
    if cell.tile is None:
        return "not computed yet"
    style, map = cell.tile.style, cell.tile.map
    if map.shows_nothing:
        return "this method shows nothing here"
    if blank(map, style.sign != "positive"):
        return "no positive evidence" if style.sign == "positive" else "no evidence above rounding"
    low, high = shown_range(style)
    range = f"{number(low)} … {number(high)} {map.unit}"
    return f"{why.rstrip(' .…')} · {range}" if why else range


def sheet_words(state: ViewState) -> str:
    """What the cells have in common, and whether they compare."""
    item = state.chosen_method
    title = "" if item is None else item.title
    if state.answer.contact_sheet_of == "methods":
        how = (
            "own ranges: methods compare as ranks only"
            if state.request.swept is None
            else "a sweep runs one method"
        )
        return f"{clean(state.target_words or '')} · {how}"
    if item is not None and not item.target_dependent:
        return f"{title} · the {SAME_FOR_ALL}"
    count = 0 if state.answer.model is None else len(state.answer.model.labels)
    some = (
        f" · the {len(state.answer.contact_sheet)} highest of {count}"
        if len(state.answer.contact_sheet) < count
        else ""
    )
    return f"{title}{some} · {'one range for all' if state.views.locked else 'each in a range of its own'}"


def _empty_words(state: ViewState) -> str:
    """Why there is no sheet."""
    if state.answer.model is None:
        return "Open a model: the sheet then shows the maps of all its labels."
    return (
        "No map: outside what the model accepts."
        if state.answer.gate == "outside"
        else "Open an image first."
    )
