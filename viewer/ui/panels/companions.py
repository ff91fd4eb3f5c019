# SPDX-License-Identifier: Apache-2.0
"""What came with the study: maps, of which one can be drawn, and segments, each of which can be hidden."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import QHBoxLayout, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from viewer.overlay import native_facts
from viewer.types import LoadedMap, Region
from viewer.ui.state import ViewState
from viewer.ui.views.captions import span_of, title_of
from viewer.ui.views.marks import region_colour
from viewer.ui.widgets.controls import Link, Rows
from viewer.ui.widgets.parts import MARGIN, colours, dress_panel, heading
from viewer.wording import clean

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_LOW, _TALL = 26, 40
"""Height of a segment and of a map."""
_MOST_HEIGHT = 230
"""Pixels of the list, of which more than that is scrolled."""
_MARK = 22
_Index = QModelIndex | QPersistentModelIndex
_ROW = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class _Row:
    """A map (`source` is None) or a segment; `on` is whether it is drawn, `facts` stands below or behind."""

    number: int
    title: str
    facts: str
    tip: str
    on: bool
    source: str | None = None
    colour: str = ""

    @property
    def height(self) -> int:
        return _TALL if self.source is None else _LOW


def _map_row(number: int, map: LoadedMap, state: ViewState) -> _Row:
    """A map that can be drawn."""
    title, span = title_of(map, state.shell.masked), span_of(state, map)
    hint = "A click draws it, another ends that."
    tip = "\n".join((title, span, native_facts(map), map.provenance, hint))
    return _Row(number, title, span, tip, map is state.regions.loaded)


def _region_row(number: int, region: Region, state: ViewState) -> _Row:
    """A segment that can be hidden."""
    on, name = region.source not in state.regions.hidden, clean(region.name)
    tip = "\n".join(part for part in (name, region.remark, "A click hides or shows its outline.") if part)
    return _Row(number, name, region.remark, tip, on, region.source, region_colour(region).name())


class _CompanionsModel(QAbstractListModel):
    """Maps first, then segments."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[_Row, ...] = ()

    def put(self, rows: tuple[_Row, ...]) -> None:
        """Other rows; where only what is drawn differs nothing else moves."""
        if rows == self.rows:
            return
        same = len(rows) == len(self.rows)
        self.rows = rows
        if same:
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
        else:
            self.beginResetModel()
            self.endResetModel()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == _ROW:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.tip
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{row.title}, {row.facts}, {'shown' if row.on else 'not shown'}"
        return None


class _CompanionsDelegate(QStyledItemDelegate):
    """Draws a round mark for a map, of which one is chosen, and a square of its colour for a segment."""

    def __init__(self, view: "_CompanionsList") -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        row: _Row = index.data(_ROW)
        return QSize(80, row.height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row: _Row = index.data(_ROW)
        view, look = self._view, colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect)
        if index.row() == view.under or (row.on and row.source is None):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(look.chosen))
            painter.drawRoundedRect(box.adjusted(0, 1, 0, -1), 5, 5)
        if view.hasFocus() and index.row() == view.currentIndex().row():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(look.accent), 1.5))
            painter.drawRoundedRect(box.adjusted(1, 2, -1, -2), 5, 5)
        self._mark(painter, row, box)
        self._text(painter, row, box.adjusted(8 + _MARK, 0, -8, 0))
        painter.restore()

    def _mark(self, painter: QPainter, row: _Row, box: QRectF) -> None:
        look = colours()
        sign = QRectF(box.left() + 8, box.top() + _LOW / 2 - 6, 12, 12)
        tone = QColor(row.colour or look.accent)
        painter.setPen(QPen(tone if row.on else QColor(look.quiet), 1.5))
        painter.setBrush(tone if row.on and row.source is not None else Qt.BrushStyle.NoBrush)
        if row.source is not None:
            painter.drawRoundedRect(sign.adjusted(0.5, 0.5, -0.5, -0.5), 2.5, 2.5)
            return
        painter.drawEllipse(sign)
        if row.on:
            painter.setBrush(tone)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawEllipse(sign.adjusted(3, 3, -3, -3))

    def _text(self, painter: QPainter, row: _Row, box: QRectF) -> None:
        look, font = colours(), QFont(self._view.font())
        left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        cut, room = Qt.TextElideMode.ElideMiddle, int(box.width())
        metrics = painter.fontMetrics()
        beside = row.source is not None and row.facts != ""
        facts = metrics.elidedText(row.facts, cut, room // 2 if beside else room)
        line = QRectF(box.left(), box.top(), box.width(), _LOW)
        painter.setPen(QColor(look.quiet))
        if beside:
            painter.drawText(line, right, facts)
            room -= metrics.horizontalAdvance(facts) + 10
        elif row.facts:
            painter.drawText(line.translated(0, 15), left, facts)
        if row.source is None:
            font.setWeight(QFont.Weight.DemiBold if row.on else QFont.Weight.Normal)
            painter.setFont(font)
        off = row.source is not None and not row.on
        painter.setPen(QColor(look.quiet if off else look.text))
        painter.drawText(line, left, painter.fontMetrics().elidedText(row.title, cut, room))


class _CompanionsList(Rows):
    """The rows; `pressed` tells the place of one that was clicked or chosen by key."""

    pressed_row = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.entries = _CompanionsModel()
        self.setModel(self.entries)
        self.setItemDelegate(_CompanionsDelegate(self))
        self.setAccessibleName("What came with the study")
        self.clicked.connect(lambda index: self.pressed_row.emit(index.row()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            if self.currentIndex().isValid():
                self.pressed_row.emit(self.currentIndex().row())
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(200, min(sum(row.height for row in self.entries.rows), _MOST_HEIGHT))


class CompanionsPanel(QWidget):
    """Hidden where nothing came with the study that lies on the shown series."""

    map_chosen = Signal(object)
    """The number of a map, or None: what the model says."""
    hidden_changed = Signal(object, bool)
    """Sources of regions, and whether they are to be hidden."""

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self.list = _CompanionsList()
        self.every = Link("hide all")
        self.every.inset = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 4)
        column.setSpacing(6)
        head = QHBoxLayout()
        head.addWidget(heading("Came with the study"), 1)
        head.addWidget(self.every)
        column.addLayout(head)
        column.addWidget(self.list)
        self.list.pressed_row.connect(self._press)
        self.every.clicked.connect(self._press_every)
        self._state = ViewState()
        self.show(ViewState())

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.map_chosen.connect(presenter.companions.choose)
        self.hidden_changed.connect(presenter.companions.hide)

    def _press(self, place: int) -> None:
        row = self.list.entries.rows[place]
        if row.source is not None:
            self.hidden_changed.emit((row.source,), row.on)
        else:
            self.map_chosen.emit(None if row.on else row.number)

    def _press_every(self) -> None:
        sources = tuple(one.source for one in self._state.regions.regions)
        self.hidden_changed.emit(sources, any(one not in self._state.regions.hidden for one in sources))

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        self._state = state
        rows = (
            *(_map_row(i, one, state) for i, one in enumerate(state.regions.came)),
            *(_region_row(i, one, state) for i, one in enumerate(state.regions.regions)),
        )
        if rows != self.list.entries.rows:
            self.list.entries.put(rows)
            self.list.setFixedHeight(self.list.sizeHint().height())
        some = any(one.source not in state.regions.hidden for one in state.regions.regions)
        self.every.setText("hide all" if some else "show all")
        self.every.setVisible(len(state.regions.regions) > 1)
        self.every.updateGeometry()
        self.setVisible(bool(rows))
