# SPDX-License-Identifier: Apache-2.0
"""The command search in the window, with real keys and clicks."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from viewer.settings import Preferences, Settings
from viewer.ui.panels.search import MOST_ROWS
from viewer.ui.window import Window

Key = Qt.Key
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(qtbot) -> Iterator[Window]:
    made = Window(Settings(device="cpu"), Preferences(keys={"invert": ("X",)}))
    qtbot.addWidget(made)
    made.resize(1600, 900)
    with qtbot.waitActive(made):
        made.show()
    yield made
    made.close()


def titles(window: Window) -> list[str]:
    return [command.title for command in window.search.rows.commands]


def test_typing_finds_the_arrows_choose_and_return_runs(window: Window, qtbot) -> None:
    before = QApplication.focusWidget()
    qtbot.keyClick(window, Key.Key_K, CONTROL)
    field = window.search.field
    assert field.hasFocus()
    qtbot.keyClicks(field, "view")
    assert "One view" in titles(window)
    qtbot.keyClick(field, Key.Key_Down)
    qtbot.keyClick(field, Key.Key_Up)
    qtbot.keyClick(field, Key.Key_Up)
    assert window.search.list.currentIndex().row() == len(titles(window)) - 1
    field.clear()
    qtbot.keyClicks(field, "one v")
    qtbot.keyClick(field, Key.Key_Return)
    assert window.presenter.state.views.layout == "1"
    assert not window.search.isVisible()
    assert QApplication.focusWidget() is before


def test_letters_and_arrows_do_not_act_on_the_window_meanwhile(window: Window, qtbot) -> None:
    shown = window.presenter.state
    window.run("search")
    qtbot.keyClicks(window.search.field, "mwiqeh")
    for key in (Key.Key_Down, Key.Key_Home, Key.Key_PageDown, Key.Key_End):
        qtbot.keyClick(window.search.field, key)
    assert window.presenter.state is shown
    assert window.search.field.text() == "mwiqeh"
    assert window.search.nothing.isVisible()
    qtbot.keyClick(window.search.field, Key.Key_Return)
    assert window.search.isVisible()


def test_escape_gives_the_keyboard_back_and_cancels_nothing(window: Window, qtbot) -> None:
    window.top.export.setEnabled(True)
    window.top.export.setFocus()
    shown = window.presenter.state
    qtbot.mouseClick(window.top.search, Qt.MouseButton.LeftButton)
    qtbot.keyClick(window.search.field, Key.Key_Escape)
    assert not window.search.isVisible()
    assert window.top.export.hasFocus()
    assert window.presenter.state is shown


def test_a_click_runs_and_a_click_elsewhere_closes(window: Window, qtbot) -> None:
    window.run("search")
    qtbot.keyClicks(window.search.field, "two views")
    window.presenter.display.choose_layout("1")
    rows = window.search.list
    middle = rows.visualRect(window.search.rows.index(0)).center()
    qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert window.presenter.state.views.layout == "1|1"
    window.run("search")
    qtbot.mouseClick(window.status, Qt.MouseButton.LeftButton)
    assert not window.search.isVisible()
    window.run("search")
    window.run("search")
    assert not window.search.isVisible()


def test_the_list_shows_keys_as_they_are_now(window: Window, qtbot) -> None:
    window.run("search")
    qtbot.keyClicks(window.search.field, "invert")
    assert window.search.rows.data(window.search.rows.index(0), Qt.ItemDataRole.AccessibleTextRole) == (
        "Invert the grey values, Image, X"
    )
    window.presenter.preferences.set_key("search", "F3")
    assert "F3" in window.top.search.toolTip()
    window.presenter.preferences.set_key("overlay", "O")
    assert window.display.overlay_key.full == "O"
    assert window.display.overlay.toolTip().endswith("(O)")


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720), (1024, 640)])
def test_it_lies_in_the_window_and_leaves_room(window: Window, qtbot, size: tuple[int, int]) -> None:
    window.resize(*size)
    QApplication.processEvents()
    bar = window.top
    assert bar.minimumSizeHint().width() <= size[0]
    assert (bar.search.width() < 40) == (size[0] < 1400)
    assert bar.theme.geometry().right() < size[0]
    window.run("search")
    assert window.rect().contains(window.search.geometry())
    assert window.search.list.height() == MOST_ROWS * 28
