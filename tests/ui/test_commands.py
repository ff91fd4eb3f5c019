# SPDX-License-Identifier: Apache-2.0
"""The table of commands: whole, without collisions, and bound to the window one to one."""

from collections import Counter
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QWidget

from viewer.settings import Settings
from viewer.ui.commands import BY_NAME, COMMANDS, assigned, found, owner
from viewer.ui.keyboard import Keyboard, written
from viewer.ui.presenter.display import PRESETS
from viewer.ui.window import Window

NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL, KEYPAD = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.KeypadModifier


def test_every_command_has_one_action_and_every_action_a_command(qtbot) -> None:
    window = Window(Settings())
    qtbot.addWidget(window)
    assert sorted(window.bindings) == sorted(c.name for c in COMMANDS)
    window.close()


def test_names_titles_and_default_keys_are_there_once() -> None:
    for field in ("name", "title"):
        counted = Counter(getattr(c, field) for c in COMMANDS)
        assert counted.most_common(1)[0][1] == 1
    keys = Counter(key for c in COMMANDS for key in c.keys)
    assert keys.most_common(1)[0][1] == 1
    assert len(BY_NAME) == len(COMMANDS)


def test_keys_are_written_as_qt_writes_them(qapp) -> None:
    for key in (key for c in COMMANDS for key in c.keys):
        assert QKeySequence.fromString(key).toString(QKeySequence.SequenceFormat.PortableText) == key


def test_the_windows_are_named_as_they_are_set() -> None:
    for number, window in PRESETS.items():
        assert BY_NAME[f"window-{number}"].title == f"Window: {window.name}"


def test_what_the_reader_chose_goes_before_a_default() -> None:
    assert assigned({})["next-slice"] == ("Down",)
    keys = assigned({"invert": ("Down",)})
    assert keys["invert"] == ("Down",)
    assert keys["next-slice"] == ()
    assert owner(keys, "Down") is BY_NAME["invert"]
    assert owner(keys, "F12") is None
    assert assigned({"invert": ("X",), "mask": ("X",)})["mask"] == ()


@pytest.mark.parametrize(
    ("words", "first"),
    [("next", "next-slice"), ("slice next", "next-slice"), ("lung", "window-3"), ("mask", "mask"),
     ("EVID", "next-evidence"), ("mode", "open-model")],
)  # fmt: skip
def test_commands_are_found_by_their_words(words: str, first: str) -> None:
    assert found(words)[0].name == first


def test_all_that_can_be_run_is_found_without_words_and_nothing_for_nonsense() -> None:
    assert [c.name for c in found("")] == [c.name for c in COMMANDS if not c.held]
    assert found("xyzzy") == []


@pytest.mark.parametrize(
    ("key", "modifiers", "text", "expected"),
    [
        (Qt.Key.Key_Down, NONE, "", "Down"),
        (Qt.Key.Key_Down, KEYPAD, "", "Down"),
        (Qt.Key.Key_A, SHIFT, "A", "Shift+A"),
        (Qt.Key.Key_Question, SHIFT, "?", "?"),
        (Qt.Key.Key_Z, CONTROL | SHIFT, "\x1a", "Ctrl+Shift+Z"),
        (Qt.Key.Key_Comma, CONTROL, ",", "Ctrl+,"),
    ],
)
def test_a_pressed_key_in_words(qapp, key, modifiers, text: str, expected: str) -> None:
    assert written(QKeyEvent(QEvent.Type.KeyPress, key, modifiers, text)) == expected


@pytest.fixture
def keyboard(qtbot) -> Iterator[tuple[QWidget, Keyboard]]:
    widget = QWidget()
    qtbot.addWidget(widget)
    made = Keyboard(widget)
    with qtbot.waitActive(widget):
        widget.show()
    yield widget, made
    made.close()


def test_keys_can_be_bound_anew(keyboard, qtbot) -> None:
    widget, keys = keyboard
    pressed: list[str] = []
    keys.command.connect(pressed.append)
    keys.bind(assigned({}))
    qtbot.keyClick(widget, Qt.Key.Key_Down)
    keys.bind(assigned({"next-slice": ("J",)}))
    qtbot.keyClick(widget, Qt.Key.Key_Down)
    qtbot.keyClick(widget, Qt.Key.Key_J)
    assert pressed == ["next-slice", "next-slice"]


def test_a_held_key_tells_when_it_is_let_go(keyboard, qtbot) -> None:
    widget, keys = keyboard
    told: list[tuple[str, bool]] = []
    keys.held.connect(lambda name, down: told.append((name, down)))
    keys.bind(assigned({"hide-while-held": ("G",)}))
    qtbot.keyClick(widget, Qt.Key.Key_H)
    assert told == []
    qtbot.keyPress(widget, Qt.Key.Key_G)
    assert told == [("hide-while-held", True)]
    qtbot.keyRelease(widget, Qt.Key.Key_G)
    assert told[1:] == [("hide-while-held", False)]
