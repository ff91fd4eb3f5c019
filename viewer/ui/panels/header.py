# SPDX-License-Identifier: Apache-2.0
"""The header of the shown slice's file, with a search."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from viewer.dicom import Row
from viewer.types import Identity, Series
from viewer.ui.state import ShownHeader, ViewState
from viewer.ui.widgets.parts import Text
from viewer.wording import without_identity

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_COLUMNS = ("Tag", "VR", "Name", "Value")
_MASKED = "●●●"
_Index = QModelIndex | QPersistentModelIndex


class _Rows(QAbstractTableModel):
    """The rows as Qt wants them; values that name a person only while that is wished."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()
        self._identity = Identity()
        self._masked = True

    def put(self, header: ShownHeader, masked: bool) -> None:
        """Show these rows."""
        self.beginResetModel()
        self._rows, self._identity, self._masked = header.rows, header.identity, masked
        self.endResetModel()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        return self._texts(self._rows[index.row()])[index.column()]

    def _texts(self, row: Row) -> tuple[str, str, str, str]:
        """What a row shows; the depth is seen at the name, as the tag has no room for it."""
        value = row.value
        if self._masked and value:
            value = _MASKED if row.personal else without_identity(value, self._identity)
        return row.tag, row.vr, "\u2003" * row.depth + row.name, value

    def with_parents(self, wanted: str) -> set[int]:
        """The rows that hold a text in what they show, and the sequences and items that these lie in."""
        found: set[int] = set()
        above: list[int] = []
        for number, row in enumerate(self._rows):
            del above[row.depth :]
            above += [number] * (row.depth + 1 - len(above))
            if self._holds(row, wanted):
                found.update(above)
        return found

    def _holds(self, row: Row, wanted: str) -> bool:
        if wanted in f"{row.tag}\n{row.vr}\n{row.name}".casefold():
            return True
        # What is masked is looked at last: it takes a hundred times as long.
        return wanted in row.value.casefold() and wanted in self._texts(row)[3].casefold()


class _Found(QSortFilterProxyModel):
    """The rows that are searched for, each below what it lies in; all while nothing is."""

    def __init__(self, parent: QWidget, rows: _Rows) -> None:
        super().__init__(parent)
        self._rows, self._wanted = rows, ""
        self._visible: set[int] | None = None
        self.setSourceModel(rows)

    def look_for(self, wanted: str) -> None:
        """Show the rows with this text."""
        self._wanted = wanted.strip().casefold()
        self.look()

    def look(self) -> None:
        """Search again: the rows are others."""
        self._visible = self._rows.with_parents(self._wanted) if self._wanted else None
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: _Index) -> bool:
        return self._visible is None or row in self._visible


class HeaderDialog(QDialog):
    """Stays open beside the images and follows the slice. `closed` tells that nobody looks any more."""

    closed = Signal()
    wished = Signal()
    """Another slice is shown: its header is wanted."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Header")
        self.setModal(False)
        self.resize(820, 640)
        self.title = Text("")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search tags, names and values")
        self.search.setAccessibleName("Search the header")
        self.search.setClearButtonEnabled(True)
        self.rows = _Rows(self)
        self.found = _Found(self, self.rows)
        self.table = QTableView()
        self.none = Text("Nothing in this header matches.", "quiet")
        self._lay_out()
        self.search.textChanged.connect(self.found.look_for)
        for signal in (self.found.modelReset, self.found.layoutChanged):
            signal.connect(lambda *_: self._say_none())
        self._shown: tuple[Any, bool] = (None, True)
        self._of: tuple[Series | None, int] = (None, 0)

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.closed.connect(presenter.headers.leave)
        self.wished.connect(presenter.headers.look)

    def _lay_out(self) -> None:
        table = self.table
        table.setModel(self.found)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(24)
        head = table.horizontalHeader()
        for column, width in enumerate((104, 44, 290)):
            table.setColumnWidth(column, width)
        head.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(16, 14, 16, 16)
        column_.setSpacing(10)
        column_.addWidget(self.title)
        column_.addWidget(self.search)
        column_.addWidget(self.none)
        column_.addWidget(table, 1)
        self.none.hide()

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        of = (state.view.series, state.view.slice)
        if self.isVisible() and of != self._of:
            self._of = of
            self.wished.emit()
        header = state.shell.header
        shown = (header, state.shell.masked)
        if header is None or (shown[0] is self._shown[0] and shown[1] == self._shown[1]):
            return
        self._shown = shown
        self.title.set_text(header.title)
        place = self.table.verticalScrollBar().value()
        self.rows.put(header, state.shell.masked)
        self.found.look()
        self.table.verticalScrollBar().setValue(place)  # the same tag stays in sight from slice to slice

    def _say_none(self) -> None:
        self.none.setVisible(self.rows.rowCount() > 0 and self.found.rowCount() == 0)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closed.emit()
        super().closeEvent(event)

    def reject(self) -> None:
        self.closed.emit()
        super().reject()
