# SPDX-License-Identifier: Apache-2.0
"""Keys → commands, wherever in the window the keyboard is."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QKeyCombination, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QWidget

from viewer.ui.commands import BY_NAME, assigned

Keys = Mapping[str, tuple[str, ...]]


class Keyboard(QObject):
    """The keys of one window. `command` tells the name of what was pressed; `held` also when it is let go."""

    command = Signal(str)
    held = Signal(str, bool)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._keys: Keys = {}
        self._shortcuts: list[QShortcut] = []
        self._holding: dict[str, str] = {}
        self._down: int | None = None
        self._name = ""
        QApplication.instance().installEventFilter(self)  # type: ignore[union-attr]

    def bind(self, keys: Keys) -> None:
        """Listen to these keys, by the name of their command, and to no others."""
        if keys == self._keys:
            return
        self._keys = keys
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts.clear()
        self._holding = {key: name for name, own in keys.items() for key in own if BY_NAME[name].held}
        for name, own in keys.items():
            for key in own:
                if key not in self._holding:
                    self._listen(name, key)

    def _listen(self, name: str, key: str) -> None:
        shortcut = QShortcut(QKeySequence.fromString(key), self._window)
        shortcut.activated.connect(lambda: self.command.emit(name))
        self._shortcuts.append(shortcut)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A key that acts while it is held: Qt's shortcuts do not tell when a key is let go."""
        kind = event.type()
        if kind == QEvent.Type.WindowDeactivate and watched is self._window:
            self._let_go()  # the key will be let go elsewhere
        if kind not in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease) or not isinstance(event, QKeyEvent):
            return False
        if kind == QEvent.Type.KeyRelease and event.key() == self._down:
            if not event.isAutoRepeat():
                self._let_go()
            return True
        name = self._holding.get(written(event))
        focus = QApplication.focusWidget()
        typing = focus is not None and focus.inherits("QLineEdit")
        if name is None or kind != QEvent.Type.KeyPress or typing or not self._window.isActiveWindow():
            return False
        if not event.isAutoRepeat() and self._down is None:
            self._down, self._name = event.key(), name
            self.held.emit(name, True)
        return True

    def _let_go(self) -> None:
        if self._down is not None:
            self._down = None
            self.held.emit(self._name, False)

    def close(self) -> None:
        """Listen no more."""
        QApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]


def written(event: QKeyEvent) -> str:
    """The pressed key as the table writes keys."""
    modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    text = event.text()
    symbol = text[:1].isprintable() and bool(text) and not text[:1].isalnum() and not text.isspace()
    if symbol and modifiers == Qt.KeyboardModifier.ShiftModifier:
        modifiers = Qt.KeyboardModifier.NoModifier  # Shift only served to type the sign
    pressed = QKeyCombination(modifiers, Qt.Key(event.key()))
    return QKeySequence(pressed).toString(QKeySequence.SequenceFormat.PortableText)


def key_of(command: str, chosen: Keys) -> str:
    """The first key of a command as it is written on this system, "" if it has none."""
    return next((shown(key) for key in assigned(chosen)[command]), "")


def shown(key: str) -> str:
    """A key as it is written on this system."""
    return QKeySequence.fromString(key).toString(QKeySequence.SequenceFormat.NativeText)
