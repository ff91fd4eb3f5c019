"""What was not opened, and why: a count, and on demand the sentences with a search."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QLineEdit, QSizePolicy, QTextEdit, QVBoxLayout, QWidget

from viewer.export.drawing import clean
from viewer.ui.controls import IconButton, Link
from viewer.ui.parts import Sentence, heading

Reasons = Sequence[tuple[str, str]]
"""(file name, reason) of each file."""
MANY = 8
"""Files from which on there is a search."""
_MOST_FILES = 2000
"""Files that are named with the reason why they were not opened: more are not read, and cost time."""


class NotOpened(QWidget):
    """Each reason once, with the files below it: a folder may hold hundreds of one kind.

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
        self.reasons = QTextEdit()
        self.reasons.setReadOnly(True)
        self.reasons.setTabChangesFocus(True)
        self.reasons.setAccessibleName("What was not opened, and why")
        self.reasons.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.reasons.setLineWrapMode(QTextEdit.LineWrapMode.WidgetWidth)
        self._all: Reasons = ()
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

    def put(self, every: Reasons) -> None:
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
        self.search.setVisible(there and count >= MANY)
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
        files: dict[str, list[str]] = {}
        for name, reason in found[:_MOST_FILES]:
            files.setdefault(reason, []).append(name)
        self.reasons.clear()
        cursor = QTextCursor(self.reasons.document())
        plain, strong = QTextCharFormat(), QTextCharFormat()
        strong.setFontWeight(QFont.Weight.DemiBold)
        for place, (reason, names) in enumerate(files.items()):
            cursor.insertText("\n\n" if place else "", plain)
            cursor.insertText(clean(reason), strong)
            cursor.insertText("".join(f"\n{clean(name)}" for name in names), plain)
        more = len(found) - _MOST_FILES
        if more > 0:
            cursor.insertText(f"\n\n… and {more} more; “series --json” lists all.", plain)
        if wanted and not files:
            cursor.insertText("No file and no reason is called so.", plain)
        self.reasons.moveCursor(QTextCursor.MoveOperation.Start)
