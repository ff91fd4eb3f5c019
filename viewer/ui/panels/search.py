# SPDX-License-Identifier: Apache-2.0
"""The command search: a field in the top bar, and the list that opens below it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QAbstractListModel, QEvent, QObject, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLineEdit,
    QListView,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from viewer.ui.commands import Command, Run, assigned, found
from viewer.ui.keyboard import shown
from viewer.ui.panels.series_rows import Index
from viewer.ui.state import ViewState
from viewer.ui.widgets.icons import draw_icon
from viewer.ui.widgets.parts import ROW, Sentence, by_tab, colours, focus_ring, mark_as

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_WORDS = "Search commands"
_WIDE, _NARROW = 196, 30
"""Widths of the field in the top bar: with its words, and as an icon."""
_LIST = 440
MOST_ROWS = 10
"""Rows that are seen at once."""
_COMMAND = Qt.ItemDataRole.UserRole
_OWN_KEYS = frozenset(
    (
        Qt.Key.Key_Up,
        Qt.Key.Key_Down,
        Qt.Key.Key_PageUp,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_Home,
        Qt.Key.Key_End,
        Qt.Key.Key_Return,
        Qt.Key.Key_Enter,
        Qt.Key.Key_Escape,
    )
)


class SearchField(QPushButton):
    """Looks like a field and opens one; where the bar is short only its icon is left."""

    def __init__(self) -> None:
        super().__init__()
        self._key = ""
        self._narrow = False
        self.setFlat(True)
        self.setCursor(Qt.CursorShape.IBeamCursor)
        by_tab(self)
        self.set_narrow(False)
        self.set_text("")

    def set_narrow(self, narrow: bool) -> None:
        """Only the icon, or all."""
        self._narrow = narrow
        self.setFixedSize(_NARROW if narrow else _WIDE, ROW)
        self.update()

    def set_text(self, key: str) -> None:
        """Name the key that does the same."""
        self._key = key.replace("+", " ")
        self.setAccessibleName(_WORDS)
        self.setToolTip(f"{_WORDS} ({key})" if key else _WORDS)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look, box = colours(), QRectF(self.rect())
        bright = self.underMouse() or self.hasFocus()
        if not self._narrow:
            painter.setPen(QColor(look.quiet if bright else look.line))
            painter.setBrush(QColor(look.behind))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        if self.hasFocus():
            focus_ring(painter, box)
        quiet = QColor(look.text if bright else look.quiet)
        left = 9.0 if not self._narrow else box.center().x() - 7
        draw_icon(painter, "search", QRectF(left, box.center().y() - 7, 14, 14), quiet)
        if self._narrow:
            return
        painter.setPen(quiet)
        room = box.adjusted(30, 0, -10, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(room, middle | Qt.AlignmentFlag.AlignLeft, _WORDS)
        painter.drawText(room, middle | Qt.AlignmentFlag.AlignRight, self._key)


class _FoundModel(QAbstractListModel):
    """The commands that were found, with their keys."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []
        self.keys: Mapping[str, tuple[str, ...]] = {}

    def put(self, commands: list[Command], keys: Mapping[str, tuple[str, ...]]) -> None:
        """Show these."""
        self.beginResetModel()
        self.commands, self.keys = commands, keys
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.commands)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        command = self.commands[index.row()]
        key = ", ".join(shown(key) for key in self.keys.get(command.name, ()))
        if role == _COMMAND:
            return command, key
        if role == Qt.ItemDataRole.DisplayRole:
            return command.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{command.title}, {command.group}, {key or 'no key'}"
        return None


class _CommandDelegate(QStyledItemDelegate):
    """Draws a row: title, its group, its key."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(_LIST - 20, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        command, key = index.data(_COMMAND)
        look, chosen = colours(), index == option.widget.currentIndex()  # type: ignore[attr-defined]
        box = QRectF(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(option.widget.font())
        if chosen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(look.chosen))
            painter.drawRoundedRect(box.adjusted(2, 1, -2, -1), 5, 5)
        left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.setPen(QColor(look.accent if chosen else look.text))
        painter.drawText(box.adjusted(12, 0, -190, 0), left, command.title)
        painter.setPen(QColor(look.text if chosen else look.quiet))
        painter.drawText(box.adjusted(box.width() - 186, 0, -110, 0), left, command.group)
        painter.drawText(box.adjusted(box.width() - 110, 0, -12, 0), right, key)
        painter.restore()


class CommandSearch(QFrame):
    """The open search, over the window: typing finds, the arrows choose, Enter runs, Esc gives up."""

    command_chosen = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._keys: Mapping[str, tuple[str, ...]] = assigned({})
        self._preferred: Mapping[str, tuple[str, ...]] | None = None
        self._before: QWidget | None = None
        self.setObjectName("search")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        mark_as(self, "popup")
        self.setAccessibleName(_WORDS)
        self.field = QLineEdit()
        self.field.setPlaceholderText(_WORDS)
        self.field.setAccessibleName(_WORDS)
        self.field.installEventFilter(self)
        self.rows = _FoundModel()
        self.list = QListView()
        self.list.setModel(self.rows)
        self.list.setItemDelegate(_CommandDelegate(self.list))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Commands")
        self.nothing = Sentence("No command has these words.", "quiet")
        self.nothing.setContentsMargins(10, 4, 10, 6)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        column.addWidget(self.field)
        column.addWidget(self.list)
        column.addWidget(self.nothing)
        self.field.textChanged.connect(self._find)
        self.list.clicked.connect(lambda index: self._run(index.row()))
        self.list.entered.connect(self.list.setCurrentIndex)
        self.hide()

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        self.command_chosen.connect(run)

    def show(self, state: ViewState | None = None) -> None:
        """Take the keys of a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
        elif state.shell.preferences.keys is not self._preferred:
            self._preferred = state.shell.preferences.keys
            self._keys = assigned(self._preferred)
            self._find()

    def open(self, anchor: QRect) -> None:
        """Open with the right edges aligned, the field over the one that was pressed."""
        if self.isVisible():
            self.give_up()
            return
        self._before = QApplication.focusWidget()
        self._anchor = anchor
        self.field.clear()
        self._find()
        self.show()
        self.raise_()
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)
        QApplication.instance().installEventFilter(self)  # type: ignore[union-attr]

    def give_up(self) -> None:
        """Close, and give the keyboard back to what had it."""
        if not self.isVisible():
            return
        QApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]
        mine = self.field.hasFocus()
        self.hide()
        if mine and self._before is not None and self._before.isVisible():
            self._before.setFocus(Qt.FocusReason.PopupFocusReason)
        elif mine:
            self.window().setFocus(Qt.FocusReason.PopupFocusReason)
        self._before = None

    def _find(self) -> None:
        self.rows.put(found(self.field.text()), self._keys)
        some = len(self.rows.commands)
        self.list.setVisible(some > 0)
        self.nothing.setVisible(some == 0)
        self.list.setFixedHeight(min(some, MOST_ROWS) * ROW)
        if some:
            self.list.setCurrentIndex(self.rows.index(0))
            self.list.scrollToTop()
        if self._before is not None or self.isVisible():
            self._lie()

    def _lie(self) -> None:
        """Take as much height as there are rows, below the top bar."""
        self.setFixedWidth(_LIST)
        self._column.activate()
        self.resize(_LIST, self._column.sizeHint().height())
        self.move(QPoint(self._anchor.right() + 1 - _LIST + 6, self._anchor.top() - 6))

    def _run(self, row: int) -> None:
        if 0 <= row < len(self.rows.commands):
            name = self.rows.commands[row].name
            self.give_up()
            self.command_chosen.emit(name)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys of the field, and what ends the search: a press or the keyboard elsewhere."""
        kind = event.type()
        if watched is self.field and isinstance(event, QKeyEvent) and event.key() in _OWN_KEYS:
            if kind == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if kind == QEvent.Type.KeyPress and self._press(event.key()):
                return True
        if watched is self.field and kind == QEvent.Type.FocusOut and self.isVisible():
            self.give_up()
        if kind == QEvent.Type.MouseButtonPress and isinstance(event, QMouseEvent):
            here = QRect(self.mapToGlobal(QPoint(0, 0)), self.size())
            if isinstance(watched, QWidget) and not here.contains(event.globalPosition().toPoint()):
                self.give_up()
        return False

    def _press(self, key: int) -> bool:
        row, count = self.list.currentIndex().row(), len(self.rows.commands)
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        pages = {Qt.Key.Key_PageUp: -MOST_ROWS + 1, Qt.Key.Key_PageDown: MOST_ROWS - 1}
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run(row)
        elif key == Qt.Key.Key_Escape:
            self.give_up()
        elif count and key in steps:
            self.list.setCurrentIndex(self.rows.index((row + steps[Qt.Key(key)]) % count))
        elif count and key in pages:
            self.list.setCurrentIndex(self.rows.index(min(max(row + pages[Qt.Key(key)], 0), count - 1)))
        else:
            return False
        return True
