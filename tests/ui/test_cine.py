# SPDX-License-Identifier: Apache-2.0
"""Playing the slices: at the rate that is preferred, without queues, and without a run per slice."""

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from desk import Desk
from dicom_files import write
from program import write_model, write_stack
from PySide6.QtCore import Qt

from viewer.settings import Settings
from viewer.ui.presenter.cine import Cine
from viewer.ui.window import Window


def test_the_clock_tells_where_one_should_be_by_now(qapp) -> None:
    now = 100.0
    told: list[int] = []
    cine = Cine(told.append, lambda: now)
    cine.start(10)
    for now in (100.1, 100.2, 100.9, 103.0):  # noqa: B007 - the clock reads it
        cine.tick()
    cine.stop()
    assert told == [1, 2, 9, 30]


def test_it_goes_round_and_escape_stops_it(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.at_rest()
    desk.presenter.prefer("rate", 60)
    desk.shown.clear()
    desk.presenter.slices.play()
    desk.wait(lambda _s: len({s.view.slice for s in desk.shown}) == 5)
    desk.presenter.cancel()
    assert not desk.state.views.playing
    assert all(s.view.values is not None for s in desk.shown), "a slice is shown when it has been read"
    before = desk.state.view.slice
    desk.qtbot.wait(100)
    assert desk.state.view.slice == before
    desk.at_rest()


def test_a_slice_that_is_still_read_is_waited_for_without_a_queue(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.at_rest()
    desk.presenter.slices.play()
    desk.presenter.slices._cine.stop()  # the test is the clock
    run = desk.jobs.run = create_autospec(desk.jobs.run)
    desk.jobs.active = lambda kind: kind == "cine" and run.called
    for steps in range(1, 30):
        desk.presenter.slices._advance(steps)
    run.assert_called_once()
    assert desk.state.view.slice == 2


def test_no_run_while_it_plays_and_one_where_it_stops(desk: Desk, study: Path, model: Path) -> None:
    first = desk.explained(study, model)
    desk.at_rest()
    explaining: Any = desk.presenter.explaining
    explaining._run = create_autospec(explaining._run, return_value=True)
    desk.presenter.prefer("rate", 60)
    desk.shown.clear()
    desk.presenter.slices.play()
    desk.wait(lambda _s: len({s.view.slice for s in desk.shown}) == 5)
    explaining._run.assert_not_called()
    for state in desk.shown:
        assert (state.view.map is not None) == (state.view.slice == first.view.slice)
        assert state.answer.attribution in (None, first.answer.attribution)
        assert state.answer.prediction is None or state.answer.prediction.input.slice == state.view.slice
    desk.wait(lambda s: s.view.slice != first.view.slice)
    desk.presenter.slices.play()
    explaining._run.assert_called_once()
    assert not desk.state.views.playing
    desk.at_rest()


def test_the_map_of_a_volume_follows(desk: Desk, study: Path, tmp_path: Path) -> None:
    first = desk.explained(study, write_model(tmp_path / "volume", dimensions=3))
    desk.at_rest()
    desk.presenter.prefer("rate", 60)
    desk.shown.clear()
    desk.presenter.slices.play()
    desk.wait(lambda _s: len({s.view.slice for s in desk.shown}) == 5)
    assert all(
        s.answer.attribution is first.answer.attribution and s.view.map is not None for s in desk.shown
    )
    desk.presenter.slices.play()
    desk.at_rest()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.go_to(4),
        lambda p: p.step(-1),
        lambda p: p.go_to(p.state.view.slice),
        lambda p: p.studies.choose_series(1),
        lambda p: p.slices.play(),
    ],
)
def test_whatever_else_chooses_a_slice_stops_it(desk: Desk, study: Path, change) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.slices.play()
    assert desk.state.views.playing
    change(desk.presenter)
    assert not desk.state.views.playing
    assert not desk.shown[-1].views.playing
    desk.at_rest()


def test_a_single_slice_does_not_play(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([write_stack(tmp_path / "one", 1)])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.slices.play()
    assert not desk.state.views.playing
    desk.at_rest()


def test_the_key_plays_and_the_bar_shows_it(qtbot, tmp_path: Path) -> None:
    window = Window(Settings(device="cpu"))
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
    window.presenter.studies.open([write_stack(tmp_path / "study", 4)])
    qtbot.waitUntil(lambda: not window.presenter.working and window.presenter.state.view.values is not None)
    still = window.slices.grab().toImage()
    qtbot.keyClick(window, Qt.Key.Key_C)
    assert window.slices.accessibleDescription() == "playing"
    assert window.slices.grab().toImage() != still
    qtbot.waitUntil(lambda: window.presenter.state.view.slice != 2)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.presenter.state.views.playing
    window.close()


@pytest.mark.parametrize(
    ("tags", "rate"),
    [
        ({"RecommendedDisplayFrameRate": 24, "CineRate": 15, "FrameTime": 50}, 24),
        ({"CineRate": 15, "FrameTime": 50}, 15),
        ({"FrameTime": 40}, 25),
        ({"FrameTimeVector": [0, 100, 200, 100, 100, 0]}, 10),
        ({"FrameTime": 0}, None),
        ({"CineRate": 0, "FrameTime": 40}, 25),
        ({}, None),
    ],
)
def test_frames_are_played_at_the_rate_of_the_file(
    desk: Desk, tmp_path: Path, tags: dict[str, Any], rate: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else at the one that is preferred."""
    run: dict[str, Any] = {
        "Modality": "US",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1",
        "NumberOfFrames": 6,
    } | tags
    write(tmp_path / "run.dcm", np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8), **run)
    desk.presenter.studies.open([tmp_path])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.prefer("rate", 33)
    started = create_autospec(desk.presenter.slices._cine.start)
    monkeypatch.setattr(desk.presenter.slices._cine, "start", started)
    desk.presenter.slices.play()
    started.assert_called_once_with(33 if rate is None else pytest.approx(rate))
    desk.presenter.cancel()
