# SPDX-License-Identifier: Apache-2.0
"""What was not opened, by reason."""

from collections.abc import Sequence
from itertools import islice

from PySide6.QtCore import QEvent, Qt, QUrl
from PySide6.QtGui import QColor, QFont, QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextBrowser

from viewer.ui.widgets.parts import colours, keep_keys
from viewer.wording import clean

_FEW = 3
"""Up to so many files stand below their reason at once; of more the number opens the list."""
_MOST_NAMES, _MOST_REASONS = 2000, 200
"""Written out, of one reason and of all: nobody reads more, and each costs time."""


class RefusedFiles(QTextBrowser):
    """Each reason once, with its files; of many files how many, and a link that opens their list."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, list[str]] = {}
        self._opened: set[int] = set()
        self.setOpenLinks(False)
        self.setAccessibleName("What was not opened, and why")
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextBrowserInteraction | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        keep_keys(self)
        self.anchorClicked.connect(self._toggle)

    def put(self, not_opened: Sequence[tuple[str, str]], opened: bool = False) -> None:
        """Other files, as (name, reason); every list is closed, or opened: its names were searched for."""
        self._files = {}
        for name, reason in not_opened:
            self._files.setdefault(reason, []).append(name)
        self._opened = set(range(_MOST_REASONS)) if opened else set()
        self._write()
        self.moveCursor(QTextCursor.MoveOperation.Start)

    def _toggle(self, link: QUrl) -> None:
        place = self.verticalScrollBar().value()
        self._opened ^= {int(link.toString())}
        self._write()
        self.verticalScrollBar().setValue(place)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._write()  # the links in the colours of now

    def _write(self) -> None:
        self.clear()
        cursor = QTextCursor(self.document())
        plain, strong = QTextCharFormat(), QTextCharFormat()
        strong.setFontWeight(QFont.Weight.DemiBold)
        for place, (reason, names) in enumerate(islice(self._files.items(), _MOST_REASONS)):
            apart = QTextBlockFormat()
            apart.setTopMargin(10 if place else 0)
            if place:
                cursor.insertBlock(apart)
            cursor.insertText(clean(reason), strong)
            cursor.insertBlock(QTextBlockFormat())
            if len(names) > _FEW:
                cursor.insertText(f"{len(names)} files · ", plain)
                cursor.insertText("hide" if place in self._opened else "which?", self._link(place))
            if len(names) <= _FEW or place in self._opened:
                listed = [clean(name) for name in names[:_MOST_NAMES]]
                if len(names) > _MOST_NAMES:
                    listed.append(f"… and {len(names) - _MOST_NAMES} more")
                cursor.insertText(("\n" if len(names) > _FEW else "") + "\n".join(listed), plain)

        if not self._files:
            cursor.insertText("No file and no reason is called so.", plain)
        more = sum(len(names) for names in islice(self._files.values(), _MOST_REASONS, None))
        if more:
            cursor.insertText(f"\n… and {more} files more; “series --json” lists all.", plain)

    @staticmethod
    def _link(place: int) -> QTextCharFormat:
        link = QTextCharFormat()
        link.setAnchor(True)
        link.setAnchorHref(str(place))
        link.setForeground(QColor(colours().accent))
        return link
