# SPDX-License-Identifier: Apache-2.0
"""Settings and what was opened before, as a person uses them: clicks and keys in the window."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from program import write_model, write_stack
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog

from viewer.dicom.memory import KEPT
from viewer.settings import MIB, RANGES, Limits, Preferences, Recent, Settings, Trusted
from viewer.ui.panels.opening import HIDDEN
from viewer.ui.panels.preferences import AMOUNTS
from viewer.ui.presenter.preferences_file import NAME, PreferencesFile
from viewer.ui.widgets import theme
from viewer.ui.window import Window

Key = Qt.Key
LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier


def opened(qtbot, file: PreferencesFile) -> Window:
    """The window as the program opens it."""
    preferences, warning = file.load()
    made = Window(Settings(device="cpu"), preferences, file)
    made.presenter.start(warning)
    qtbot.addWidget(made)
    with qtbot.waitActive(made):
        made.show()
    return made


@pytest.fixture
def file(tmp_path: Path) -> PreferencesFile:
    return PreferencesFile(tmp_path / "config" / NAME)


@pytest.fixture
def window(qtbot, file: PreferencesFile) -> Iterator[Window]:
    made = opened(qtbot, file)
    yield made
    made.settings.close()
    made.close()


def settled(window: Window, qtbot) -> None:
    qtbot.waitUntil(lambda: not window.presenter.working, timeout=30_000)


def ground() -> str:
    return QApplication.palette().window().color().name()


def test_a_key_is_changed_refused_and_restored(window: Window, qtbot, file: PreferencesFile) -> None:
    qtbot.keyClick(window, Key.Key_Comma, CONTROL)
    settings = window.settings
    qtbot.waitUntil(settings.isVisible)
    qtbot.mouseClick(settings.pages.buttons["keys"], LEFT)
    button = settings.keys.buttons["invert"]
    qtbot.mouseClick(button, LEFT)
    assert button.listening
    qtbot.keyClick(button, Key.Key_Down)
    assert settings.keys.refusal.text() == "Down already means “Next slice”."
    assert window.presenter.state.shell.preferences.keys == {}
    qtbot.keyClick(button, Key.Key_Space)
    qtbot.keyClick(button, Key.Key_Tab)
    assert settings.keys.refusal.text() == (
        "Tab moves the keyboard from control to control; choose another key."
    )
    assert window.presenter.state.shell.preferences.keys == {}
    qtbot.mouseClick(button, LEFT)
    qtbot.keyPress(button, Key.Key_Shift)
    qtbot.keyClick(button, Key.Key_J, CONTROL)
    assert settings.keys.refusal.text() == ""
    assert button.accessibleName() == "Invert the grey values: Ctrl+J"
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    before = window.presenter.state.view.inverted
    qtbot.keyClick(window, Key.Key_I)
    assert window.presenter.state.view.inverted == before
    qtbot.keyClick(window, Key.Key_J, CONTROL)
    assert window.presenter.state.view.inverted != before
    settled(window, qtbot)
    assert file.load()[0].keys == {"invert": ("Ctrl+J",)}
    assert not settings.keys.restore["mask"].isVisible()
    qtbot.mouseClick(settings.keys.restore["invert"], LEFT)
    assert window.presenter.state.shell.preferences.keys == {}


def test_backspace_takes_a_key_away_and_all_come_back(window: Window, qtbot) -> None:
    window.run("settings")
    keys = window.settings.keys
    window.settings.turn_to("keys")
    qtbot.mouseClick(keys.buttons["mask"], LEFT)
    qtbot.keyClick(keys.buttons["mask"], Key.Key_Backspace)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.run("unmask")
    qtbot.keyClick(window, Key.Key_M)
    assert not window.presenter.state.shell.masked
    qtbot.mouseClick(keys.all, LEFT)
    qtbot.keyClick(window, Key.Key_M)
    assert window.presenter.state.shell.masked


def test_a_button_that_loses_the_keyboard_listens_no_more(window: Window, qtbot) -> None:
    window.run("settings")
    window.settings.turn_to("keys")
    qtbot.waitUntil(window.settings.isActiveWindow)
    first, second = (window.settings.keys.buttons[name] for name in ("invert", "mask"))
    qtbot.mouseClick(first, LEFT)
    qtbot.mouseClick(second, LEFT)
    assert (first.listening, second.listening) == (False, True)


def test_general_settings_hold_at_once_and_after_a_restart(window: Window, qtbot, file) -> None:
    window.run("settings")
    settings = window.settings
    qtbot.mouseClick(settings.colours.buttons["light"], LEFT)
    assert ground() == theme.LIGHT.behind
    qtbot.mouseClick(settings.masked, LEFT)
    settings.rate.setFocus()
    settings.rate.selectAll()
    qtbot.keyClicks(settings.rate, "25")
    qtbot.keyClick(settings.rate, Key.Key_Return)
    assert window.presenter.state.shell.masked, "at the start only"
    window.close()
    again = opened(qtbot, file)
    assert not again.presenter.state.shell.masked
    assert again.presenter.state.shell.preferences.rate == 25
    assert ground() == theme.LIGHT.behind
    qtbot.mouseClick(again.top.theme, LEFT)
    assert ground() == theme.DARK.behind
    again.close()
    assert file.load()[0].colours == "dark"


def test_device_and_batch_are_for_the_next_model(window: Window, qtbot, tmp_path: Path) -> None:
    window.run("settings")
    window.settings.turn_to("computation")
    combo = window.settings.device
    combo.setCurrentIndex(combo.findData("mps"))
    combo.activated.emit(combo.currentIndex())
    window.settings.batch.setValue(3)
    assert window.presenter.state.shell.preferences.batch == 3
    window.presenter.explaining.load_model(write_model(tmp_path / "model"))
    settled(window, qtbot)
    assert "no mps device" in window.presenter.state.shell.notice.text


def test_memory_and_limits_are_set_and_put_back(window: Window, qtbot, file: PreferencesFile) -> None:
    window.run("settings")
    window.settings.turn_to("files")
    window.settings.slice_memory.setValue(300)
    assert KEPT.room == 300 * MIB
    window.settings.limits["decode_memory"].setValue(1000)
    window.settings.limits["rows"].setValue(1)  # below what can be set
    settled(window, qtbot)
    wanted = Limits(rows=RANGES["rows"][0], decode_memory=1000 * MIB)
    kept, warning = file.load()
    assert (kept.limits, kept.slice_memory, warning) == (wanted, 300 * MIB, None)
    qtbot.mouseClick(window.settings.usual_limits, LEFT)
    assert window.presenter.state.shell.preferences.limits == Limits()
    assert window.settings.limits["rows"].value() == Limits().rows
    assert not window.settings.usual_limits.isEnabled()


def test_every_limit_of_the_dialogue_can_be_what_it_is_at_first(window: Window) -> None:
    for name, number in window.settings.limits.items():
        assert number.value() * AMOUNTS[name].each == getattr(Limits(), name)


def test_a_damaged_file_is_told_until_it_is_dismissed(qtbot, file: PreferencesFile, tmp_path: Path) -> None:
    file.path.parent.mkdir()
    file.path.write_text("{", "utf-8")
    window = opened(qtbot, file)
    window.presenter.studies.open([write_stack(tmp_path / "study")])
    settled(window, qtbot)
    assert "defaults" in window.message.sentence.text()
    qtbot.mouseClick(window.message.close_button, LEFT)
    assert window.presenter.state.shell.notice is None
    window.close()


def entries(window: Window) -> list[str]:
    return [a.text() for a in window.top.open.menu_below.actions() if a.text()]


def test_what_was_opened_is_offered_again(window: Window, qtbot, tmp_path: Path) -> None:
    study, model = write_stack(tmp_path / "Zoidberg"), write_model(tmp_path / "model")
    window.presenter.studies.open([study])
    settled(window, qtbot)
    window.presenter.explaining.load_model(model)
    settled(window, qtbot)
    assert entries(window)[:3] == ["Folder…", "Files…", "Demo"]
    assert entries(window)[3].startswith(HIDDEN)
    assert "Zoidberg" not in "".join(entries(window))
    qtbot.keyClick(window, Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    assert entries(window)[3] == "Zoidberg"
    assert [a.text() for a in window.top.model.menu_below.actions()][2] == "model"
    qtbot.mouseClick(window.top.open, LEFT)
    menu = window.top.open.menu_below
    qtbot.waitUntil(menu.isVisible)
    qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(menu.actions()[4]).center())
    assert window.presenter.state.shell.under_way
    settled(window, qtbot)
    assert len(window.presenter.state.shell.preferences.studies) == 1
    forget = menu.actions()[-1]
    assert forget.text() == "Forget these"
    forget.trigger()
    assert entries(window) == ["Folder…", "Files…", "Demo"]


def test_an_empty_window_offers_files_the_demo_and_what_is_still_there(
    qtbot, file: PreferencesFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_stack(tmp_path / "there")
    recent = (Recent((str(study),), "2026-01-02 03:04"), Recent((str(tmp_path / "gone"),), "yesterday"))
    file.save(Preferences(masked=False, studies=recent, trusted=(Trusted("a" * 64, "b" * 64),)))
    window = opened(qtbot, file)
    settled(window, qtbot)
    there, gone = window.start.recent
    assert (there.text(), there.isEnabled()) == ("there", True)
    assert (gone.text(), gone.isEnabled()) == ("gone  ·  not there now", False)
    picked = [str(path) for path in sorted(study.iterdir())[:2]]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (picked, ""))
    qtbot.mouseClick(window.start.buttons["files"], LEFT)
    settled(window, qtbot)
    assert not window.start.isVisible()
    assert window.mapped.hasFocus()
    assert window.presenter.state.view.series.shape[0] == 2
    assert window.presenter.state.shell.preferences.studies[0].paths == tuple(picked)
    window.close()
