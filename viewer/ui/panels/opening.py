# SPDX-License-Identifier: Apache-2.0
"""What can be opened: the menus of the top bar, and what an empty window offers."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QProgressBar, QPushButton, QVBoxLayout, QWidget

from viewer.settings import Recent
from viewer.ui.commands import Run
from viewer.ui.state import Busy, ViewState
from viewer.ui.widgets.controls import Link
from viewer.ui.widgets.icons import draw_icon
from viewer.ui.widgets.parts import ROW, Sentence, Text, by_tab, colours, heading
from viewer.ui.widgets.theme import mark
from viewer.wording import clean

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

NO_MODEL = "No model is open. It says what it sees; the map shows why."
HIDDEN = "●●●●●●"
_LONGEST = 48
"""Characters of a name in a menu."""
_FINE = 100
"""Parts of a step that the bar of progress tells apart."""
STUDY = {"folder": "Folder…", "files": "Files…", "demo": "Demo"}
MODEL = {"folder": "Model folder…"}


def _title_of(recent: Recent, masked: bool) -> str:
    """What was opened, in few words: its name, or while the patient is masked only when it was."""
    if masked:
        return f"{HIDDEN} · {_when(recent.opened)}"
    first = clean(Path(recent.paths[0]).name or recent.paths[0])
    if len(first) > _LONGEST:
        first = f"{first[: _LONGEST // 2]}…{first[-_LONGEST // 2 + 1 :]}"
    more = len(recent.paths) - 1
    return f"{first} and {more} more" if more else first


def _when(opened: str) -> str:
    try:
        return f"{datetime.fromisoformat(opened):%d %b %Y, %H:%M}"
    except ValueError:
        return "some day"


def _is_there(recent: Recent, state: ViewState) -> bool:
    """Whether all of it is still there, as far as is known."""
    return not any(path in state.shell.missing for path in recent.paths)


class MenuButton(QPushButton):
    """A button that opens a menu below itself: entries by name, then what was opened last."""

    wished = Signal(str)
    """The name of an entry."""
    recent_wished = Signal(object)
    """The paths of something opened before."""
    forget_wished = Signal()
    looked = Signal()
    """The menu opens: time to look what is still there."""

    def __init__(self, text: str, entries: dict[str, str], kind: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.entries = entries
        self.menu_below = QMenu(self)
        self.menu_below.setToolTipsVisible(True)
        self._shown: tuple[object, ...] = ()
        mark(self, "menu")
        by_tab(self)
        self.clicked.connect(self.drop_down)
        self.show(ViewState())

    def drop_down(self) -> None:
        """Open the menu."""
        self.looked.emit()
        self.menu_below.popup(self.mapToGlobal(QPoint(0, self.height() + 2)))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        colour = QColor(colours().quiet)
        draw_icon(painter, "unfold", QRectF(self.width() - 20, self.height() / 2 - 5, 10, 10), colour)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        recent: tuple[Recent, ...] = getattr(state.shell.preferences, self.kind)
        key = (recent, state.shell.missing, state.shell.masked)
        if key != self._shown:
            self._shown = key
            self._fill(recent, state)

    def _fill(self, recent: tuple[Recent, ...], state: ViewState) -> None:
        menu = self.menu_below
        menu.clear()
        for name, words in self.entries.items():
            menu.addAction(words).triggered.connect(lambda _on=False, n=name: self.wished.emit(n))
        if not recent:
            return
        menu.addSeparator()
        masked = state.shell.masked and self.kind == "studies"
        for one in recent:
            there = _is_there(one, state)
            words = _title_of(one, masked).replace("&", "&&")
            action = menu.addAction(words if there else f"{words}  ·  not there now")
            action.setEnabled(there)
            action.setToolTip("" if masked else clean("\n".join(one.paths)))
            action.triggered.connect(lambda _on=False, p=one.paths: self.recent_wished.emit(p))
        menu.addSeparator()
        menu.addAction("Forget these").triggered.connect(lambda _on=False: self.forget_wished.emit())


class NoModel(QWidget):
    """What stands in the place of the answer: how to open a model, or how far one is that is being opened."""

    def __init__(self) -> None:
        super().__init__()
        self.sentence = Sentence(NO_MODEL, "quiet")
        self.open_model = QPushButton("Open model…")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.steps, self.detail = Text("", "quiet"), Text("", "quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.sentence)
        column.addWidget(self.open_model, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.bar)
        column.addWidget(self.steps)
        column.addWidget(self.detail)
        column.addStretch(1)

    def put(self, loading: Busy | None, height: int) -> None:
        """Show how far a model is that is being opened, or that none is; in the height of a short answer, so
        that what is below keeps its place when there is one."""
        self.setMinimumHeight(height)
        self.open_model.setVisible(loading is None)
        for widget in (self.bar, self.steps, self.detail):
            widget.setVisible(loading is not None)
        if loading is None:
            self.sentence.setText(NO_MODEL)
            return
        self.sentence.setText(f"{loading.doing}…".capitalize())
        self.bar.setRange(0, loading.total * _FINE)
        self.bar.setValue(round((loading.done + loading.part) * _FINE))
        self.steps.set_text(
            f"Step {loading.done + 1} of {loading.total}: {loading.step}" if loading.total else ""
        )
        self.detail.set_text(loading.detail)


class StartPanel(QWidget):
    """What an empty window offers instead of an image."""

    wished = Signal(str)
    recent_wished = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {name: QPushButton(words) for name, words in STUDY.items()}
        self.recent: list[Link] = []
        self._shown: tuple[object, ...] | None = None
        inside = QWidget()
        inside.setFixedWidth(520)
        self._column = QVBoxLayout(inside)
        self._column.setSpacing(8)
        self._column.addWidget(Sentence("Open images to begin, or drop files or a folder here", "title"))
        line = QHBoxLayout()
        line.setSpacing(8)
        for name, button in self.buttons.items():
            by_tab(button)
            button.clicked.connect(lambda _on=False, n=name: self.wished.emit(n))
            line.addWidget(button)
        line.addStretch(1)
        self._column.addLayout(line)
        self._list = QWidget()
        self._rows = QVBoxLayout(self._list)
        self._rows.setContentsMargins(0, 12, 0, 0)
        self._rows.setSpacing(2)
        self._column.addWidget(self._list)
        whole = QHBoxLayout(self)
        whole.addStretch(1)
        whole.addWidget(inside, 0, Qt.AlignmentFlag.AlignVCenter)
        whole.addStretch(1)

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        self.wished.connect(lambda what: run(f"open-{what}"))
        self.recent_wished.connect(partial(presenter.studies.reopen, "studies"))

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        key = (state.shell.preferences.studies, state.shell.missing, state.shell.masked)
        if key != self._shown:
            self._shown = key
            self._fill(state)

    def _fill(self, state: ViewState) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self.recent = []
        studies = state.shell.preferences.studies
        if studies:
            self._rows.addWidget(heading("Opened before"))
        for one in studies:
            link = Link(_title_of(one, state.shell.masked))
            link.inset = 0  # in line with what stands above
            link.setMinimumHeight(ROW - 2)
            if not _is_there(one, state):
                link.setEnabled(False)
                link.setText(f"{link.text()}  ·  not there now")
            link.setToolTip("" if state.shell.masked else clean("\n".join(one.paths)))
            link.clicked.connect(lambda _on=False, p=one.paths: self.recent_wished.emit(p))
            self.recent.append(link)
            self._rows.addWidget(link, 0, Qt.AlignmentFlag.AlignLeft)
        self._list.setVisible(bool(studies))
