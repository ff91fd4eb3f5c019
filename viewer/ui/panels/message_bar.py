# SPDX-License-Identifier: Apache-2.0
"""What the window has to say, over the lower edge of the views."""

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRectF, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from viewer.ui.state import Notice, ViewState
from viewer.ui.widgets.controls import IconButton
from viewer.ui.widgets.icons import Icon, draw_icon
from viewer.ui.widgets.parts import Sentence, by_tab, colours, mark_as

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter


_CLOSE, _NEXT = "Close this message", "Close this message and show the next"
_LEAST = 52
"""Height that covers the two lowest lines that a view says, instead of cutting one in two."""


class MessageBar(QWidget):
    """One message: a shape and a colour for its kind, a sentence, a button, how many there are, and a way to
    close it, after which comes the next.

    It lies over the lower edge of what it is given, and nothing moves for it.
    """

    action = Signal(str)
    dismissed = Signal()

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self._notice: Notice | None = None
        self._waiting = 0
        over.installEventFilter(self)
        self.sentence = Sentence("")
        self.button, self.other = QPushButton(), QPushButton()
        for button in (self.button, self.other):
            by_tab(button)
        self.count = QLabel()
        mark_as(self.count, "quiet")
        self.close_button = IconButton("close", _CLOSE)
        line = QHBoxLayout(self)
        line.setContentsMargins(44, 7, 8, 7)
        line.setSpacing(12)
        line.addWidget(self.sentence, 1)
        line.addWidget(self.other)
        line.addWidget(self.button)
        line.addWidget(self.count)
        line.addWidget(self.close_button)
        self.button.clicked.connect(self._act)
        self.other.clicked.connect(self._act_otherwise)
        self.close_button.clicked.connect(lambda: self.dismissed.emit())
        self.hide()

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.action.connect(presenter.explaining.take_action)
        self.dismissed.connect(presenter.dismiss)

    def _act(self) -> None:
        if self._notice is not None and self._notice.wish is not None:
            self.action.emit(self._notice.wish)

    def _act_otherwise(self) -> None:
        if self._notice is not None and self._notice.other_wish is not None:
            self.action.emit(self._notice.other_wish)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        notice, waiting = state.shell.notice, len(state.shell.waiting)
        if (notice, waiting) == (self._notice, self._waiting):
            return
        self._notice, self._waiting = notice, waiting
        self.count.setText(f"1 of {waiting + 1}")
        self.count.setVisible(waiting > 0)
        self.close_button.setToolTip(_NEXT if waiting else _CLOSE)
        if notice is not None:
            self.sentence.setText(_breakable(notice.text))
            self.button.setText(notice.action or "")
            self.button.setVisible(notice.action is not None)
            self.other.setText(notice.other or "")
            self.other.setVisible(notice.other is not None)
            more = f" ({self.count.text()})" if waiting else ""
            self.setAccessibleName(f"{notice.kind}: {notice.text}{more}")
        self.setVisible(notice is not None)
        self._lie()
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay at the lower edge."""
        if event.type() == QEvent.Type.Resize:
            self._lie()
        return False

    def _lie(self) -> None:
        room = self._over.size()
        height = max(self.heightForWidth(room.width()), _LEAST)
        self.setGeometry(0, room.height() - height, room.width(), height)
        self.raise_()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._notice is None:
            return
        look = colours()
        colour, icon = _KINDS[self._notice.kind]
        tone = QColor(getattr(look, colour))
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect())
        painter.fillRect(box, QColor(look.panel))
        tint = QColor(tone)
        tint.setAlpha(36 if self._notice.kind == "stop" else 20)
        painter.fillRect(box, tint)
        painter.fillRect(QRectF(0, 0, 4, box.height()), tone)
        painter.setPen(QPen(QColor(look.line), 1))
        painter.drawLine(0, 0, self.width(), 0)
        draw_icon(painter, icon, QRectF(16, box.center().y() - 9, 18, 18), tone)


def _breakable(text: str) -> str:
    """The same where a word that no line has room for, such as a digest, may be broken."""
    return re.sub(r"\w{33,}", lambda word: "\u200b".join(re.findall(".{1,16}", word[0])), text)


_KINDS: dict[str, tuple[str, Icon]] = {
    "info": ("accent", "info"),
    "warning": ("warning", "warning"),
    "stop": ("stop", "stop"),
}
