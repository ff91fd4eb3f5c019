# SPDX-License-Identifier: Apache-2.0
"""A model that is opened says in which phase it is, how far it came and how long that still takes."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from pytestqt.qtbot import QtBot

from viewer import demo, session
from viewer.models import Model
from viewer.task import LOADING, METHODS, OPENING, READING, TRYING, Cancelled, Progress, Task
from viewer.ui.jobs import Jobs
from viewer.ui.panels.opening import NO_MODEL, NoModel
from viewer.ui.presenter import loading
from viewer.ui.presenter.loading import OpeningProgress
from viewer.ui.presenter.store import Store
from viewer.ui.state import Busy, ViewState
from viewer.ui.views.captions import sentence
from viewer.ui.window import Window


def test_the_phases_come_in_their_order_and_the_share_done_only_grows(desk: Desk, small_model: Path) -> None:
    desk.presenter.explaining.load_model(small_model)
    desk.wait(lambda s: s.answer.model is not None)
    said = [s.shell.loading for s in desk.shown if s.shell.loading is not None]
    steps = list(dict.fromkeys(one.step for one in said if one.step))
    assert tuple(steps) == OPENING
    shares = [(one.done + one.part) / one.total for one in said if one.total]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1] < 1.0) == (0.0, True)
    assert all(one.doing == "opening the model" for one in said)


class Ending(Task):
    """A task that the reader cancels at a step."""

    def __init__(self, at: int) -> None:
        super().__init__(self._seen)
        self.at, self.count = at, 0

    def _seen(self, _step: Progress) -> None:
        self.count += 1
        if self.count == self.at:
            self.cancel()


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "legacy"])
def test_bytes_of_weights_are_counted_and_reading_them_can_be_cancelled(tmp_path: Path, suffix: str) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from viewer.models.weights import read_weights, sha256

    path, state = tmp_path / f"m.{suffix}", {f"a{i}": torch.ones(2**18) for i in range(8)}
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pt")
    for phase, read in ((LOADING, partial(read_weights, path)), (READING, partial(sha256, path))):
        steps: list[Progress] = []
        read(task=Task(steps.append))
        done = [one.done for one in steps]
        assert done == sorted(done)
        assert len(set(done)) > 4
        assert done[-1] <= path.stat().st_size
        assert {(one.total, one.doing) for one in steps} == {(path.stat().st_size, phase)}
        ending = Ending(3)
        with pytest.raises(Cancelled):
            read(task=ending)
        assert ending.count == 3


@pytest.mark.parametrize("phase", OPENING)
def test_it_can_be_cancelled_in_every_phase(
    desk: Desk, small_model: Path, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, go, late = threading.Event(), threading.Event(), []
    really = Task.progress

    def stopping(task: Task, done: int, total: int, doing: str) -> None:
        if doing == phase and not there.is_set():
            there.set()
            assert go.wait(20)
        elif there.is_set():
            late.append(doing)
        really(task, done, total, doing)

    monkeypatch.setattr(Task, "progress", stopping)
    desk.presenter.explaining.load_model(small_model)
    desk.qtbot.waitUntil(there.is_set, timeout=20000)
    desk.presenter.cancel()
    assert desk.state.shell.under_way == ()
    go.set()
    desk.jobs.run("model", "after", lambda _task: None, lambda _none: None, pytest.fail)
    desk.at_rest()
    assert (desk.state.answer.model, late) == (None, [])


def test_the_time_left_is_said_once_it_can_be_told(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    now = 100.0
    monkeypatch.setattr(loading, "monotonic", lambda: now)
    shown: list[ViewState] = []

    class View:
        def show_state(self, state: ViewState) -> None:
            shown.append(state)

    store = Store(View())
    opening = OpeningProgress(store)

    def told(done: int, total: int, doing: str, at: float) -> Busy | None:
        nonlocal now
        now = at
        opening.show(Progress(done, total, doing))
        return store.state.shell.loading

    mib = 2**20
    assert told(0, 900 * mib, READING, 100) == Busy(
        "opening the model", 1, 8, 0.0, READING, "0 MiB of 900 MiB"
    )
    assert told(90 * mib, 900 * mib, READING, 100.1).detail == "90 MiB of 900 MiB"  # too early to tell
    assert told(300 * mib, 900 * mib, READING, 103).detail == "300 MiB of 900 MiB, about 6 s left"
    assert told(300 * mib, 900 * mib, READING, 103).part == pytest.approx(1 / 3)
    assert told(890 * mib, 900 * mib, READING, 104).detail == "890 MiB of 900 MiB"  # not worth saying
    assert told(100 * mib, 900 * mib, LOADING, 105).detail == "100 MiB of 900 MiB"  # that took no time yet
    assert told(1, 2, "running the model", 106).step == LOADING  # a forward within a phase is none
    assert told(0, 2, TRYING, 110).detail == "run 1 of 2"
    assert told(1, 2, TRYING, 130).detail == "run 2 of 2, about 20 s left"
    assert told(0, 0, METHODS, 131) == Busy("opening the model", 7, 8, 0.0, METHODS)


def test_no_phase_is_left_out_however_fast_they_follow(qtbot: QtBot) -> None:
    jobs, said = Jobs(), []

    def work(task: Task) -> None:
        for phase in OPENING:
            task.progress(0, 9, phase)
            task.progress(1, 9, phase)

    done: list[bool] = []
    jobs.run("model", "load", work, lambda _none: done.append(True), pytest.fail, said.append)
    qtbot.waitUntil(lambda: bool(done))
    jobs.close()
    assert [one.doing for one in said] == list(OPENING)


def test_what_is_below_keeps_its_place_from_no_model_to_a_short_answer(
    window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, really = threading.Event(), session.load_model

    def held(*asked: Any) -> Model:
        asked[-1].progress(2**28, 2**29, READING)
        assert go.wait(20)
        return really(*asked)

    def place() -> int:
        window.grab()  # lays out
        return int(window.explaining.mapTo(window, window.explaining.rect().topLeft()).y())

    monkeypatch.setattr(session, "load_model", held)
    window.resize(1280, 720)
    window.show()
    before = place()
    window.presenter.explaining.load_model(demo.models()["cnn"])
    qtbot.waitUntil(lambda: window.prediction.no_model.detail.full != "", timeout=20000)
    meanwhile = window.prediction.no_model.sentence.text(), place()
    go.set()
    qtbot.waitUntil(lambda: window.presenter.state.answer.model is not None, timeout=20000)
    assert (meanwhile, place()) == (("Opening the model…", before), before)


def test_how_far_it_is_stands_in_the_place_of_the_answer(qtbot: QtBot) -> None:
    part = NoModel()
    qtbot.addWidget(part)
    part.put(None, 100)
    assert (part.sentence.text(), part.bar.isHidden(), part.open_model.isHidden()) == (NO_MODEL, True, False)
    busy = Busy("opening the model", 2, 8, 0.5, LOADING, "4 MiB of 8 MiB")
    part.put(busy, 100)
    assert (part.bar.value() / part.bar.maximum(), part.open_model.isHidden()) == (2.5 / 8, True)
    assert (part.steps.full, part.detail.full) == ("Step 3 of 8: loading the weights", "4 MiB of 8 MiB")
    assert sentence(ViewState().changed(loading=busy)) == (
        "opening the model: loading the weights …",
        "quiet",
    )
