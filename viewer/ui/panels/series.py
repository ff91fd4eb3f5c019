# SPDX-License-Identifier: Apache-2.0
"""The series list, and what was not opened."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QModelIndex,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QKeyEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from viewer.ui.panels.not_opened import NotOpened
from viewer.ui.panels.stacks import row_of
from viewer.ui.state import ViewState
from viewer.ui.widgets.controls import IconButton, Rows
from viewer.ui.widgets.parts import Sentence, dress_panel, heading

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

from viewer.ui.panels.series_rows import STRIP, WIDE, Index, SeriesDelegate, SeriesModel


class SeriesList(Rows):
    """The rows; what is current is what the state says."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.narrow = False
        self.shown: int | None = None
        """The number of the series that is shown; a click moves Qt's current row before it is told."""
        self.rows = SeriesModel()
        self.setModel(self.rows)
        self.setItemDelegate(SeriesDelegate(self))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAccessibleName("Series")
        self.clicked.connect(lambda index: self._pick(index.row()))

    def _pick(self, row: int) -> None:
        """Tell the series of a row; of a heading the first, unless one of them is shown."""
        numbers = self.rows.entries[row].numbers
        self.picked.emit(numbers[0] if self.shown is None or self.shown not in numbers else self.shown)

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        """Draw a row anew; for a thumbnail alone, Qt would ask all rows for their size."""
        if list(roles) == [Qt.ItemDataRole.DecorationRole]:
            self.update(first)
        else:
            super().dataChanged(first, last, list(roles))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        before = self.currentIndex().row()
        super().keyPressEvent(event)
        after = self.currentIndex().row()
        rows, way = self.rows.entries, 1 if after > before else -1
        if after != before and self._headed(after):  # a heading is passed over: its first point is chosen
            after += way if 0 <= after + way < len(rows) else 1
            self.setCurrentIndex(self.rows.index(after))
        pressed = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if after >= 0 and (after != before or pressed):
            self._pick(after)

    def _headed(self, row: int) -> bool:
        """Whether a row is a heading with points below it."""
        rows = self.rows.entries
        return rows[row].kind == "stack" and row + 1 < len(rows) and rows[row + 1].kind == "point"

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # The height of a row depends on the width.
        self.scheduleDelayedItemsLayout()


class SeriesPanel(QWidget):
    """The left side. It can be a strip of thumbnails; `narrow_toggled` tells that the reader made it one."""

    series_chosen = Signal(int)
    narrow_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self, "left")
        self.setFixedWidth(WIDE)
        self.list = SeriesList()
        self.list.picked.connect(self.series_chosen)
        self.title = heading("Series")
        self.fold = IconButton("narrow", "Thumbnails only")
        self.fold.clicked.connect(self._toggle_narrow)
        self.empty = Sentence("Drop files or a folder here, or choose Open above.", "quiet")
        self.not_opened = NotOpened()
        self.not_opened.wanted.connect(self._show_why)
        self.not_opened.unfolded.connect(self._share)
        self._shown: ViewState | None = None
        self._lay_out()
        self.show(ViewState())

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.series_chosen.connect(presenter.studies.choose_series)

    def _lay_out(self) -> None:
        self._column = QVBoxLayout(self)
        self._column.setSpacing(6)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.fold)
        self._column.addLayout(head)
        self._column.addWidget(self.empty)
        self._column.addWidget(self.list, 2)
        self._column.addWidget(self.not_opened)
        self._margins()

    def _toggle_narrow(self) -> None:
        self.set_narrow(not self.list.narrow)
        self.narrow_toggled.emit(self.list.narrow)

    def _margins(self) -> None:
        if self.list.narrow:
            self._column.setContentsMargins(4, 8, 4, 8)
        else:
            self._column.setContentsMargins(10, 8, 10, 12)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        old, self._shown = self._shown, state
        if old is None or old.studies.items is not state.studies.items:
            self.list.rows.put(state.studies.items, self.list.narrow)
        self._choose(state.current)
        if old is None or old.studies.not_opened is not state.studies.not_opened:
            self.not_opened.put(state.studies.not_opened)
        self._fold()

    def _choose(self, number: int | None) -> None:
        """Mark the row of a series."""
        self.list.shown = number
        row = row_of(self.list.rows.entries, number)
        if row != self.list.currentIndex().row():
            self.list.setCurrentIndex(self.list.rows.index(row) if row >= 0 else QModelIndex())
            self.list.viewport().update()

    def set_narrow(self, narrow: bool) -> None:
        """Show thumbnails only, or all."""
        self.list.narrow = narrow
        shown = self._shown or ViewState()
        self.list.rows.put(shown.studies.items, narrow)
        self._choose(shown.current)
        policy = Qt.ScrollBarPolicy
        self.list.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOff if narrow else policy.ScrollBarAsNeeded
        )
        self.fold.wear(
            "wide" if narrow else "narrow", "Show titles and facts" if narrow else "Thumbnails only"
        )
        self.setFixedWidth(STRIP if narrow else WIDE)
        self._margins()
        self._fold()
        self.list.scheduleDelayedItemsLayout()

    def _fold(self) -> None:
        """What is there in the present width."""
        narrow = self.list.narrow
        state = self._shown or ViewState()
        self.title.setVisible(not narrow)
        self.empty.setVisible(not narrow and not state.studies.items)
        self.not_opened.set_narrow(narrow)

    def _show_why(self) -> None:
        self._toggle_narrow()
        self.not_opened.unfold(True)

    def _share(self, unfolded: bool) -> None:
        """Unfolded reasons have as much of the height as the list."""
        self._column.setStretchFactor(self.not_opened, 2 if unfolded else 0)
