# SPDX-License-Identifier: Apache-2.0
"""The score comes first, whatever the method costs; what is slow waits for the reader, and says so."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import program
import pytest
from desk import Desk
from program import LABELS, write_model, write_stack

from viewer.task import Task
from viewer.ui.jobs import Jobs
from viewer.ui.panels.explain import completeness_words
from viewer.ui.panels.prediction import PredictionPanel
from viewer.ui.presenter import maps
from viewer.ui.presenter.scoring import GAVE_WAY
from viewer.ui.presenter.slice_profile import NOTHING_FURTHER

SLOW = ("occlusion", "integrated-gradients", "smooth-grad")


@pytest.fixture
def ready(desk: Desk, tmp_path: Path) -> Desk:
    """Five slices, and a network of which nothing but the shown slice has been asked."""
    desk.explained(write_stack(tmp_path / "study", 5), write_model(tmp_path / "model"))
    desk.at_rest()
    return desk


def forgotten(desk: Desk) -> None:
    """Nothing is known of any slice, as of an image that comes next."""
    desk.presenter.explaining._maps._predictions.clear()
    desk.presenter.explaining._slice_profile.score_slices = lambda: None  # type: ignore[method-assign]
    desk.presenter.explaining._scoring._then = lambda: None


@pytest.mark.parametrize("method", SLOW)
def test_a_slow_method_withholds_no_score_and_waits(ready: Desk, method: str) -> None:
    ready.presenter.explaining.choose_method(method)
    forgotten(ready)
    for slice in (0, 4, 2):
        ready.presenter.go_to(slice)
        ready.wait(lambda s: s.answer.prediction is not None)
        ready.at_rest()
        assert ready.state.answer.prediction.input.slice == slice
        assert ready.state.answer.attribution is None
        sentence, why = completeness_words(ready.state)
        assert sentence == f"{ready.state.chosen_method.title} waits for Explain."
        assert ready.state.chosen_method.cost in why
    ready.presenter.explaining.explain()
    ready.wait(lambda s: s.answer.attribution is not None)
    assert "waits" not in completeness_words(ready.state)[0]


@pytest.mark.parametrize("method", SLOW)
def test_the_next_image_is_not_explained_by_a_slow_method(desk: Desk, tmp_path: Path, method: str) -> None:
    """Another series is another image too: it ran there unasked."""
    write_stack(tmp_path / "study" / "a", 1)
    write_stack(tmp_path / "study" / "b", 1, "1.2.826.99", SeriesDescription="Other")
    desk.explained(tmp_path / "study", write_model(tmp_path / "model"))
    desk.at_rest()
    desk.presenter.explaining.choose_method(method)
    desk.presenter.studies.choose_series(1)
    desk.wait(lambda s: s.answer.prediction is not None and s.view.number == 1)
    desk.at_rest()
    assert desk.state.answer.attribution is None
    desk.presenter.explaining.choose_method("grad-cam")
    desk.presenter.studies.choose_series(0)
    desk.wait(lambda s: s.answer.attribution is not None)


def test_scores_go_before_all_else_that_waits(qtbot) -> None:
    jobs, go, done = Jobs(), threading.Event(), []
    started = threading.Event()

    def first(_task: Task) -> None:
        started.set()
        go.wait(10)

    def named(kind: str, _task: Task) -> str:
        return kind

    nothing: Callable[[Any], None] = lambda _: None  # noqa: E731
    jobs.run("model", "strip", first, nothing, nothing)
    assert started.wait(10)
    for kind in ("profile", "explain", "predict", "sheet"):
        jobs.run("model", kind, partial(named, kind), done.append, nothing)
    go.set()
    qtbot.waitUntil(lambda: len(done) == 4)
    jobs.close()
    assert done == ["predict", "profile", "explain", "sheet"]


def test_a_map_of_the_place_before_gives_way_to_the_score(
    ready: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of minutes would hold the score of the next image back as long."""
    going, run = threading.Event(), ready.jobs.run

    def held(lane: Any, kind: str, work: Callable[[Task], Any], *rest: Any) -> None:
        def slow(task: Task) -> Any:
            while kind == "explain" and not going.is_set():
                task.check()
            return work(task)

        run(lane, kind, slow, *rest)

    monkeypatch.setattr(ready.jobs, "run", held)
    ready.presenter.explaining.choose_method("occlusion")
    ready.presenter.explaining.explain()
    ready.presenter.go_to(4)  # whose score is known
    assert ready.jobs.active("explain")
    forgotten(ready)
    ready.presenter.go_to(0)
    assert not ready.jobs.active("explain")
    assert ready.state.shell.notice.text == GAVE_WAY
    ready.wait(lambda s: s.answer.prediction is not None)
    assert ready.state.answer.prediction.input.slice == 0


def test_the_panel_says_that_it_is_scoring(ready: Desk, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = PredictionPanel()
    qtbot.addWidget(panel)
    going, run = threading.Event(), ready.jobs.run

    def held(lane: Any, kind: str, work: Callable[[Task], Any], *rest: Any) -> None:
        late = kind == "predict"
        run(lane, kind, (lambda task: (going.wait(10), work(task))[1]) if late else work, *rest)

    ready.presenter.explaining.choose_method("occlusion")
    forgotten(ready)
    monkeypatch.setattr(ready.jobs, "run", held)
    ready.presenter.go_to(1)
    panel.show(ready.state)
    assert panel.caption.text() == "Scoring this place…"
    going.set()
    ready.at_rest()
    panel.show(ready.state)
    assert panel.caption.text() == "Scores, not probabilities"


def test_a_quick_method_that_took_long_waits_too(ready: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a method declares is of any network; on a large one it may be slow all the same."""
    monkeypatch.setattr(maps, "_PATIENCE", -1.0)
    ready.presenter.explaining.explain()
    ready.at_rest()
    assert "grad-cam" in ready.state.answer.slow
    ready.presenter.go_to(0)
    ready.at_rest()
    assert (ready.state.answer.attribution, ready.state.free) == (None, False)
    assert completeness_words(ready.state)[0] == "Grad-CAM waits for Explain."
    monkeypatch.undo()
    ready.presenter.explaining.explain()
    ready.wait(lambda s: s.answer.attribution is not None)
    assert ready.state.free


def test_another_place_chooses_no_target(ready: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late map of another slice, of the label that is highest there, is no wish of the reader here."""
    going, began, run = threading.Event(), threading.Event(), ready.jobs.run

    def held(lane: Any, kind: str, work: Callable[[Task], Any], *rest: Any) -> None:
        def late(task: Task) -> Any:
            if kind == "explain":
                began.set()
                going.wait(10)
            return work(task)

        run(lane, kind, late, *rest)

    ready.presenter.explaining.choose_method("occlusion")
    monkeypatch.setattr(ready.jobs, "run", held)
    ready.presenter.explaining.explain()
    ready.wait(lambda _s: began.is_set())
    ready.presenter._store.note(target=None)
    ready.presenter.go_to(0)
    going.set()
    ready.at_rest()
    assert ready.state.request.target is None


def test_with_many_labels_the_chosen_one_has_all(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strip and sheet are then made for one label at a time: for each that is chosen."""
    labels = [f"label {i}" for i in range(12)]
    monkeypatch.setattr(program, "LABELS", labels)
    model = write_model(tmp_path / "model", output={"labels": labels, "activation": "sigmoid"})
    desk.explained(write_stack(tmp_path / "study", 3), model)
    for label in (labels[3], labels[11]):
        desk.presenter.explaining.choose_target(label)
        desk.at_rest()
        state = desk.state
        assert state.answer.attribution.target.label == label
        assert state.answer.layer_strip
        assert all(tile.map.target.label == label for tile in state.answer.layer_strip)
        desk.presenter.contact_sheet.choose("methods")
        desk.presenter.display.choose_layout("sheet")
        desk.at_rest()
        sheet = [cell.tile.map for cell in desk.state.answer.contact_sheet if cell.tile is not None]
        assert sheet
        assert all(one.target is None or one.target.label == label for one in sheet)
        desk.presenter.display.choose_layout("1")
        desk.at_rest()


def test_n_ends_where_lower_scores_would_draw_nothing(ready: Desk) -> None:
    """It went through slice after slice on which nothing reaches the threshold of the map."""
    presenter = ready.presenter
    presenter.display.set_style("threshold", 1e6)
    presenter.explaining._maps._found.clear()  # as if no slice but the next had been run
    presenter.explaining._slice_profile.leave()
    went = []
    for _ in range(8):
        presenter.next_evidence()
        ready.at_rest()
        notice = ready.state.shell.notice
        if notice is not None and notice.text == NOTHING_FURTHER:
            break
        went.append(ready.state.view.slice)
    else:
        pytest.fail("it never ends")
    assert len(went) == 1
    profile = ready.state.answer.profile
    assert profile[went[0]] == max(profile)
    assert LABELS[0] in [score.label for score in ready.state.answer.prediction.scores]
