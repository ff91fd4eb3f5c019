# SPDX-License-Identifier: Apache-2.0
"""A folder that is deleted or unmounted while it is read: the reading ends, and what is gone is said."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from PIL import Image
from program import write_stack

from viewer.task import Task
from viewer.ui.views.captions import sentence

LOST = (
    "Files were lost while they were read: their folder was deleted, or its drive is gone. What was read of "
    "them is listed, but cannot be shown; open the folder again once it is back."
)


def said(desk: Desk) -> list[str]:
    shell = desk.state.shell
    return [one.text for one in (shell.notice, *shell.waiting) if one is not None]


def unread_slice(desk: Desk) -> int | None:
    unread = desk.state.view.unread
    return None if unread is None else unread.slice


def deleted(folder: Path) -> None:
    shutil.rmtree(folder)


def unmounted(folder: Path) -> None:
    """The place where a drive was is an empty folder afterwards."""
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """More files than are read before any is shown: two stacks, copies of some, and a picture."""
    study = tmp_path / "study"
    write_stack(study / "a", 30)
    write_stack(study / "b", 30, uid="1.2.826.78", SeriesDescription="Other")
    for copy in list((study / "a").iterdir())[:3]:
        shutil.copy(copy, study / f"copy-{copy.name}")
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(study / "picture.png")
    return study


def losing(monkeypatch: pytest.MonkeyPatch, at: int, lose: Callable[[], None]) -> None:
    """Lose something before the file of this number is read."""
    really = Task.progress

    def progress(task: Task, done: int, total: int, doing: str) -> None:
        if doing == "reading files" and done == at:
            lose()
        really(task, done, total, doing)

    monkeypatch.setattr(Task, "progress", progress)


@pytest.mark.parametrize("lose", [deleted, unmounted])
@pytest.mark.parametrize("at", [0, 1, 45, 63])
def test_a_folder_that_is_lost_while_it_is_read(
    desk: Desk, folder: Path, at: int, lose: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing(monkeypatch, at, lambda: lose(folder))
    desk.presenter.studies.open([folder])
    desk.wait(lambda s: s.shell.notice is not None and s.shell.reading is None)
    desk.at_rest()
    shell, items = desk.state.shell, desk.state.studies.items
    assert shell.under_way == ()
    assert (len(items) > 0) == (at > 0)
    assert said(desk)[0] == LOST if items else said(desk)[0].endswith("and is gone.")
    assert not [text for text in said(desk) if "inside the program" in text]
    for number in range(len(items)):
        desk.presenter.studies.choose_series(number)
        desk.wait(lambda s: s.view.unread is not None and s.view.unread.series is s.view.series)
        assert "the file can no longer be opened" in desk.state.view.unread.why
        assert desk.state.view.values is None
    desk.at_rest()
    assert desk.state.shell.under_way == ()


def test_a_series_that_is_looked_at_while_its_folder_is_lost(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = threading.Event()

    def lose() -> None:
        assert chosen.wait(20)
        shutil.rmtree(folder)

    losing(monkeypatch, 45, lose)
    desk.presenter.studies.open([folder])
    desk.wait(lambda s: s.studies.previewed is not None and s.view.values is not None)
    desk.presenter.studies.choose_series(0)
    chosen.set()
    state = desk.wait(lambda s: s.shell.reading is None and s.view.number is not None and s.view.unread)
    desk.at_rest()
    for place in (2, 3, 4):
        desk.presenter.go_to(place)
        desk.qtbot.waitUntil(lambda: unread_slice(desk) == place)  # noqa: B023 - called at once
    assert len(said(desk)) == 2  # that of the last slice, not of every one
    assert "the file can no longer be opened" in state.view.unread.why
    assert sentence(desk.state)[0].startswith(desk.state.view.unread.why)
    assert said(desk)[0] == LOST
    again = write_stack(folder / "a", 3)  # the drive is back
    desk.presenter.studies.open([again])
    desk.wait(lambda s: s.view.values is not None and s.shell.reading is None)
    assert said(desk) == []


def test_a_folder_that_stays_is_not_called_lost(desk: Desk, folder: Path) -> None:
    desk.presenter.studies.open([folder])
    desk.wait(lambda s: s.view.values is not None and s.shell.reading is None)
    assert said(desk) == []
