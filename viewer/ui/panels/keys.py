# SPDX-License-Identifier: Apache-2.0
"""The page on which keys are chosen."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from viewer.ui.commands import BY_NAME, COMMANDS, assigned
from viewer.ui.keyboard import shown, written
from viewer.ui.state import ViewState
from viewer.ui.widgets.controls import IconButton, Link
from viewer.ui.widgets.parts import ROW, Sentence, Text, by_tab, colours, focus_ring, heading

_WIDTH = 150
_MODIFIERS = frozenset(
    (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta, Qt.Key.Key_AltGr)
)
_CLEAR = frozenset((Qt.Key.Key_Backspace, Qt.Key.Key_Delete))


class _KeyButton(QPushButton):
    """Shows a key; a click or Return, and the next key that is pressed is wished for instead."""

    wished = Signal(object)
    """The key as the table writes it, or None for no key."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._key = ""
        self.listening = False
        """Whether the next key is taken."""
        self.setFixedSize(QSize(_WIDTH, ROW - 2))
        by_tab(self)
        self.clicked.connect(self._listen)
        self.set_text("")

    def set_text(self, key: str) -> None:
        """Show this key, or that there is none."""
        self._key = key
        self.setAccessibleName(f"{self._title}: {key or 'no key'}")
        self.setToolTip("Click, then press the new key; Backspace for none")
        self.update()

    def _listen(self) -> None:
        self.listening = True
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.update()

    def event(self, event: QEvent) -> bool:
        """While it listens every key is its own, Tab and the window's keys too."""
        if self.listening and isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._take(event)
                return True
        return super().event(event)

    def _take(self, event: QKeyEvent) -> None:
        if event.key() in _MODIFIERS or event.isAutoRepeat():
            return
        self.listening = False
        self.update()
        plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
        self.wished.emit(None if plain and event.key() in _CLEAR else written(event))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.listening = False
        super().focusOutEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look, box = colours(), QRectF(self.rect())
        painter.setPen(QColor(look.quiet if self.underMouse() else look.line))
        painter.setBrush(QColor(look.chosen if self.listening else look.behind))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 5, 5)
        if self.hasFocus():
            focus_ring(painter, box)
        text, colour = self._key, look.text
        if self.listening:
            text, colour = "Press a key …", look.accent
        elif not text:
            text, colour = "none", look.quiet
        painter.setPen(QColor(colour))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


class KeysPage(QWidget):
    """Every command with its key. `wished` and `default_wished` name the command."""

    wished = Signal(str, object)
    default_wished = Signal(str)
    defaults_wished = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[str, _KeyButton] = {}
        self.restore: dict[str, IconButton] = {}
        self._preferred: Mapping[str, tuple[str, ...]] | None = None
        self.refusal = Sentence("", "warning")
        self.all = Link("Restore all keys")
        self.all.clicked.connect(lambda: self.defaults_wished.emit())
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 8)
        column.setSpacing(4)
        for group in dict.fromkeys(command.group for command in COMMANDS):
            column.addSpacing(6 if self.buttons else 0)
            column.addWidget(heading(group))
            for name in (command.name for command in COMMANDS if command.group == group):
                column.addLayout(self._row(name))
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 8, 0)
        foot.addWidget(self.refusal, 1)
        foot.addWidget(self.all)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll, 1)
        whole.addLayout(foot)

    def _row(self, name: str) -> QHBoxLayout:
        title = BY_NAME[name].title
        button, restore = _KeyButton(title), IconButton("restore", f"The default key of “{title}”")
        button.wished.connect(lambda key: self.wished.emit(name, key))
        restore.clicked.connect(lambda: self.default_wished.emit(name))
        policy = restore.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        restore.setSizePolicy(policy)
        self.buttons[name], self.restore[name] = button, restore
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(Text(title), 1)
        line.addWidget(button)
        line.addWidget(restore)
        return line

    def refuse(self, sentence: str | None) -> None:
        """Say why a key was not given, or nothing."""
        self.refusal.setText(sentence or "")

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        chosen = state.shell.preferences.keys
        if chosen is self._preferred:
            return
        self._preferred = chosen
        for name, keys in assigned(chosen).items():
            self.buttons[name].set_text(", ".join(shown(key) for key in keys))
            self.restore[name].setVisible(keys != BY_NAME[name].keys)
        self.all.setVisible(bool(chosen))
