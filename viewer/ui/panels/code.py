# SPDX-License-Identifier: Apache-2.0
"""The program that a model brings, to be read before it may run."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QHideEvent, QTextOption
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QVBoxLayout, QWidget

from viewer.ui.state import BroughtCode, ViewState
from viewer.ui.widgets.parts import MARGIN, Sentence, Text

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter


class CodeDialog(QDialog):
    """Read only and not modal: the message bar with the decision stays within reach. Esc closes it."""

    closed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setModal(False)
        self.setWindowTitle("The model's program")
        self.resize(820, 640)
        self._shown: BroughtCode | None = None
        self.title, self.path = Text("", "title"), Text("", "quiet")
        self.sha256 = Text("", "quiet")
        self.note = Sentence(
            "These are the very bytes that would run. Invisible characters are written as their codes.",
            "quiet",
        )
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setProperty("code", True)
        self.text.setAccessibleName("The program")
        self.text.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(6)
        for part in (self.title, self.path, self.sha256, self.note):
            column.addWidget(part)
        column.addWidget(self.text, 1)

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.closed.connect(presenter.explaining.leave_code)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state: open while there is code to show; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        code = state.shell.code
        if code is self._shown:
            return
        self._shown = code
        if code is None:
            self.hide()
            return
        self.title.set_text(code.model)
        self.path.set_text(code.path)
        self.sha256.set_text(f"SHA-256 {code.sha256}")
        self.text.setPlainText(code.text)
        super().show()
        self.raise_()
        self.activateWindow()
        self.text.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if (
            self._shown is not None and not event.spontaneous()
        ):  # by the reader, not because the state has none any more
            self._shown = None
            self.closed.emit()
