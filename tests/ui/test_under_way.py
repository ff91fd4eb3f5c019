# SPDX-License-Identifier: Apache-2.0
"""What goes on at once is seen at once: neither a study hides a model that is opened, nor the other way."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from program import write_stack

from viewer import dicom, session
from viewer.ui.panels.explain_parts import RunBar
from viewer.ui.panels.opening import NO_MODEL
from viewer.ui.panels.prediction import PredictionPanel
from viewer.ui.state import Busy, ViewState
from viewer.ui.views.captions import sentence


def held(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Callable[[], None]:
    """A function of a module waits until what is given back is called."""
    go, really = threading.Event(), getattr(module, name)

    def waiting(*asked: Any, **more: Any) -> Any:
        assert go.wait(20)
        return really(*asked, **more)

    monkeypatch.setattr(module, name, waiting)
    return go.set


def test_a_model_that_is_opened_is_said_until_it_is_there(
    desk: Desk, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held(monkeypatch, session, "load_model")
    desk.presenter.explaining.load_model(small_model)
    desk.presenter.studies.open([write_stack(tmp_path / "study", 3)])
    assert (desk.state.shell.reading is None, desk.state.shell.loading is None) == (False, False)
    desk.wait(lambda s: s.view.values is not None)
    assert (desk.state.shell.reading, desk.state.answer.model) == (None, None)
    assert desk.state.shell.loading is not None
    assert desk.state.shell.loading.doing == "opening the model"
    go()
    desk.wait(lambda s: s.answer.model is not None)
    assert desk.state.shell.loading is None
    for state in desk.shown:
        assert (state.shell.loading is None) == (state.answer.model is not None)


def test_a_model_that_fails_ends_no_other_work(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held(monkeypatch, dicom, "scan")
    desk.presenter.studies.open([write_stack(tmp_path / "study", 3)])
    desk.presenter.explaining.load_model(tmp_path / "nowhere")
    desk.wait(lambda s: s.shell.loading is None and s.shell.notice)
    assert desk.state.shell.reading is not None
    go()
    desk.wait(lambda s: s.view.values is not None)
    assert desk.state.shell.under_way == ()


def test_a_folder_of_a_model_alone_is_not_read_for_ever(desk: Desk, small_model: Path) -> None:
    desk.presenter.studies.open([small_model])
    desk.wait(lambda s: s.answer.model is not None)
    assert desk.state.shell.under_way == ()


def test_all_that_goes_on_can_be_cancelled(
    desk: Desk, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, scans = (held(monkeypatch, *one) for one in ((session, "load_model"), (dicom, "scan")))
    desk.presenter.explaining.load_model(small_model)
    desk.presenter.studies.open([write_stack(tmp_path / "study", 3)])
    assert len(desk.state.shell.under_way) == 2
    desk.presenter.cancel()
    loads(), scans()
    assert desk.state.shell.under_way == ()
    desk.at_rest()
    assert (desk.state.answer.model, desk.state.studies.items) == (None, ())


def test_both_are_written_where_there_is_room(qtbot) -> None:
    loading, reading = Busy("opening the model"), Busy("reading files", 3, 62)
    panel, bar = PredictionPanel(), RunBar()
    qtbot.addWidget(panel)
    qtbot.addWidget(bar)
    assert panel.no_model.sentence.text() == NO_MODEL
    state = ViewState().changed(loading=loading, reading=reading)
    panel.show(state)
    assert panel.no_model.sentence.text() == "Opening the model…"
    assert panel.no_model.open_model.isHidden()
    panel.show(ViewState())
    assert panel.no_model.sentence.text() == NO_MODEL
    bar.put(state.shell.under_way, "")
    assert bar.words.full == "reading files · opening the model…"
    assert (bar.progress.value(), bar.progress.maximum()) == (300, 6200)
    assert sentence(state) == ("reading files · opening the model …", "quiet")
