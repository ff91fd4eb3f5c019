# SPDX-License-Identifier: Apache-2.0
"""What was not opened, and why: a count, and on demand the sentences with a search."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from viewer.ui.panels.refused import RefusedFiles
from viewer.ui.widgets.controls import IconButton, Link
from viewer.ui.widgets.parts import Sentence, heading

_Reasons = Sequence[tuple[str, str]]
"""(file name, reason) of each file."""
_MANY = 8
"""Files from which on there is a search."""


class NotOpened(QWidget):
    """A count, and below it on demand each reason with its files.

    In a narrow panel there is only a mark; `wanted` tells that the reader wants to see more.
    """

    wanted = Signal()
    unfolded = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.title = heading("Not opened")
        self.why = Link("why?")
        self.mark = IconButton("warning", "")
        self.count = Sentence("", "quiet")
        self.count.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a file or a reason")
        self.search.setAccessibleName("Search what was not opened")
        self.search.setClearButtonEnabled(True)
        self.reasons = RefusedFiles()
        self._all: _Reasons = ()
        self._open = self._narrow = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.title)
        column.addWidget(self.why, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.count)
        column.addWidget(self.search)
        column.addWidget(self.reasons, 1)
        self.why.clicked.connect(lambda: self.unfold(not self._open))
        self.mark.clicked.connect(self.wanted)
        self.search.textChanged.connect(self._write)
        self._fold()

    def put(self, every: _Reasons) -> None:
        """Show these files."""
        self._all = every
        self.search.clear()
        self._write()
        self._fold()

    def set_narrow(self, narrow: bool) -> None:
        """Show the mark only, or all."""
        self._narrow = narrow
        self._fold()

    def unfold(self, open: bool) -> None:
        """Show the sentences, or the count only."""
        self._open = open
        self._fold()

    def _fold(self) -> None:
        """What is there in the present width."""
        count, wide = len(self._all), not self._narrow
        files = f"{count} file{'' if count == 1 else 's'}"
        was = "was" if count == 1 else "were"
        there = wide and self._open
        self.setVisible(count > 0)
        self.title.setVisible(wide)
        self.why.setVisible(wide)
        self.mark.setVisible(self._narrow)
        self.count.setVisible(self._narrow)
        self.search.setVisible(there and count >= _MANY)
        self.reasons.setVisible(there)
        self.why.quiet_part = f"{files} · "
        self.why.setText("hide" if self._open else "why?")
        self.why.setAccessibleName(f"{files} {was} not opened: {self.why.text()}")
        self.why.updateGeometry()
        self.why.update()
        self.mark.wear("warning", f"{files} {was} not opened: why?")
        self.count.setText(str(count))
        policy = QSizePolicy.Policy
        self.setSizePolicy(policy.Preferred, policy.Expanding if there else policy.Maximum)
        self.unfolded.emit(there)

    def _write(self) -> None:
        """The reasons that are searched for, or that have a file which is."""
        wanted = self.search.text().strip().casefold()
        found = [
            (name, reason)
            for name, reason in self._all
            if wanted in name.casefold() or wanted in reason.casefold()
        ]
        self.reasons.put(found, opened=bool(wanted))
