# SPDX-License-Identifier: Apache-2.0
"""What the window has to say is said one after the other, and nothing is said of what is gone."""

from pathlib import Path

import pytest
from desk import Desk
from program import write_model
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from viewer.ui.state import Busy, Notice, messages, reply
from viewer.ui.state.shell import ShellState
from viewer.ui.window import Window

LEFT = Qt.MouseButton.LeftButton


def texts(shell: ShellState) -> list[str]:
    return [] if shell.notice is None else [one.text for one in (shell.notice, *shell.waiting)]


def test_a_second_message_waits_for_the_first(desk: Desk) -> None:
    show = desk.presenter._store.show
    show(notice=Notice("First.", "warning"))
    show(notice=Notice("Second.", "warning"))
    show(notice=Notice("First.", "warning"))  # it is there already
    assert texts(desk.state.shell) == ["First.", "Second."]
    desk.presenter.dismiss()
    assert texts(desk.state.shell) == ["Second."]
    desk.presenter.dismiss()
    assert texts(desk.state.shell) == []


def test_errors_go_before_notes_and_an_answer_before_other_notes(desk: Desk) -> None:
    show = desk.presenter._store.show
    for one in (
        Notice("Note."),
        Notice("Warning.", "warning"),
        Notice("Stop.", "stop"),
        Notice("Other note."),
    ):
        show(notice=one)
    show(notice=reply("Old answer."))
    show(notice=reply("Answer."))
    assert texts(desk.state.shell) == ["Stop.", "Warning.", "Answer.", "Note.", "Other note."]


def test_esc_ends_what_is_under_way_and_then_closes_one_message_after_the_other(desk: Desk) -> None:
    store, press = desk.presenter._store, desk.presenter.commands()["cancel"]
    store.show(notice=Notice("Lasting.", "warning", stays=True))
    desk.presenter._jobs.run("io", "scan", lambda task: task.check(), lambda _none: None, pytest.fail)
    store.show(reading=Busy("reading files"))
    press()
    assert texts(desk.state.shell) == ["Lasting.", "Cancelled."]
    assert desk.state.shell.under_way == ()
    press()
    assert texts(desk.state.shell) == ["Cancelled."]
    press()
    assert texts(desk.state.shell) == []


def test_what_is_said_of_a_model_goes_with_it(desk: Desk, tmp_path: Path, small_model: Path) -> None:
    """A remark stays whatever happens meanwhile, but not when another model is opened."""
    desk.presenter._store.show(notice=Notice("The preferences are damaged.", "warning", stays=True))
    input = {
        "dimensions": 2,
        "size": [16, 16],
        "values": {"window": [0, 2000]},
        "mean": [0.5],
        "std": [0.001],
    }
    odd = write_model(tmp_path / "odd", input=input)
    desk.presenter.explaining.load_model(odd)
    desk.wait(lambda s: s.answer.model is not None)
    assert len(texts(desk.state.shell)) == 2
    old = desk.state.answer.model
    desk.presenter.explaining.load_model(small_model)
    desk.wait(lambda s: s.answer.model is not old)
    assert texts(desk.state.shell) == ["The preferences are damaged."]


def test_what_is_said_of_a_series_goes_with_it(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.presenter.explaining.load_model(write_model(tmp_path / "mr", accepts={"modality": ["MR"]}))
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.answer.gate == "outside" and s.view.values is not None)
    desk.presenter._store.show(notice=Notice("Lasting.", "warning", stays=True))
    desk.presenter._store.show(notice=Notice("A fault in this one.", "warning"))
    first = desk.state.shell.notice
    assert texts(desk.state.shell)[1:] == ["Lasting.", "A fault in this one."]
    assert first.wish == "override"
    desk.presenter.studies.choose_series(1)
    assert texts(desk.state.shell)[1:] == ["Lasting."]
    assert desk.state.shell.notice.about == "gate"  # that of this series, said once
    assert [one.about for one in desk.state.shell.waiting] == [""]


def test_nothing_changes_where_nothing_new_is_said() -> None:
    shell = ShellState(notice=Notice("A."), waiting=(Notice("B."),))
    assert messages.said(shell, Notice("B.")) == {}
    assert messages.unsaid(shell, "map") == {}
    assert messages.dismissed(ShellState()) == messages.lasting(ShellState()) == {}


def test_the_bar_says_how_many_there_are_and_a_click_shows_the_next(window: Window, qtbot: QtBot) -> None:
    window.resize(1280, 720)
    window.show()
    bar, show = window.message, window.presenter._store.show
    show(notice=Notice("First.", "warning"))
    assert (bar.sentence.text(), bar.count.isVisible()) == ("First.", False)
    place = bar.geometry()
    for text in ("Second.", "Third."):
        show(notice=Notice(text))
    assert (bar.sentence.text(), bar.count.text(), bar.count.isVisible()) == ("First.", "1 of 3", True)
    assert bar.accessibleName() == "warning: First. (1 of 3)"
    assert bar.close_button.toolTip() == "Close this message and show the next"
    qtbot.mouseClick(bar.close_button, LEFT)
    assert (bar.sentence.text(), bar.count.text()) == ("Second.", "1 of 2")
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert (bar.sentence.text(), bar.count.isVisible(), bar.geometry()) == ("Third.", False, place)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not bar.isVisible()
