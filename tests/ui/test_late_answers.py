# SPDX-License-Identifier: Apache-2.0
"""An answer that comes late is of what was asked, not of the slice, study or model that is shown by then."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desk import Desk
from every_state import Seen, consistent
from known import PATCH, PLAIN, STRICT, Folders, Known

from viewer import session
from viewer.ui.state import ViewState

CT = 3
"""The number of the larger stack of CT slices in the studies."""


class Gate:
    """Calls of a function of `session` wait behind it, once it is shut."""

    def __init__(self, name: str, patch: pytest.MonkeyPatch) -> None:
        self._open, self.began, self.done = threading.Event(), threading.Event(), threading.Event()
        self._open.set()
        really = getattr(session, name)

        def waiting(*asked: Any, **more: Any) -> Any:
            self.began.set()
            assert self._open.wait(20)
            try:
                return really(*asked, **more)
            finally:
                self.done.set()

        patch.setattr(session, name, waiting)

    def shut(self) -> None:
        self._open.clear()
        self.began.clear()
        self.done.clear()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def explaining(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Maps wait."""
    gate = Gate("explain", monkeypatch)
    yield gate
    gate.open()


@pytest.fixture
def predicting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Scores without a map wait."""
    gate = Gate("predict", monkeypatch)
    yield gate
    gate.open()


def opened(desk: Desk, folders: Folders, model: int, number: int = CT) -> ViewState:
    """One of the series, explained by one of the models, and all scores known."""
    desk.presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    desk.presenter.studies.choose_series(number)
    desk.presenter.explaining.load_model(folders[1][model])
    desk.wait(lambda s: s.answer.attribution is not None or s.answer.gate == "outside")
    desk.at_rest()
    return desk.state


def all_consistent(desk: Desk, truth: Known, overridden: Any = ()) -> None:
    """Every state that was shown is of what it says."""
    for state in desk.shown:
        consistent(Seen(state, truth, set(overridden)))


def allowed(truth: Known, state: ViewState) -> tuple[str, bytes]:
    """What the reader goes on with, outside of what the model accepts."""
    return state.answer.model.name, truth.content(state.view.series)


# --- another slice --------------------------------------------------------------------------------


def test_a_late_map_and_its_scores_are_of_the_slice_that_was_asked_about(
    desk: Desk, folders: Folders, truth: Known, explaining: Gate
) -> None:
    """A slow run goes on while the reader scrolls: it ends on a slice that nobody looks at."""
    opened(desk, folders, PLAIN)
    desk.presenter.explaining.choose_method("occlusion")
    desk.presenter.go_to(1)
    desk.at_rest()
    explaining.shut()
    desk.presenter.explaining.explain()
    desk.wait(lambda _s: explaining.began.is_set())
    desk.presenter.go_to(4)
    explaining.open()
    desk.at_rest()
    assert (desk.state.view.slice, desk.state.answer.attribution) == (4, None)
    desk.presenter.go_to(1)
    assert desk.state.answer.attribution is not None
    all_consistent(desk, truth)


def test_late_scores_are_of_the_slices_that_were_asked_about(
    desk: Desk, folders: Folders, truth: Known, predicting: Gate
) -> None:
    """The profile is filled in from near to far, while the reader goes elsewhere."""
    predicting.shut()
    desk.presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    desk.presenter.studies.choose_series(CT)
    desk.presenter.explaining.load_model(folders[1][PLAIN])
    desk.wait(lambda _s: predicting.began.is_set())
    desk.presenter.slices.play()  # nothing is explained while slices are played
    desk.presenter.slices._cine.stop()
    desk.presenter.slices._advance(2)
    desk.wait(lambda s: s.view.slice == 4 and s.view.values is not None)
    predicting.open()
    desk.at_rest()
    assert None not in desk.state.answer.profile
    all_consistent(desk, truth)
    for slice in range(5):
        desk.presenter.go_to(slice)
        desk.at_rest()
    all_consistent(desk, truth)


def test_late_scores_of_a_patch_are_of_its_own_slice(
    desk: Desk, folders: Folders, truth: Known, predicting: Gate
) -> None:
    """With a slow method the scores of a placed patch come alone; scrolling is another place."""
    opened(desk, folders, PATCH)
    desk.presenter.explaining.choose_method("occlusion")
    desk.at_rest()
    predicting.shut()
    desk.presenter.patches.place(12, 20)
    desk.wait(lambda _s: predicting.began.is_set())
    desk.presenter.go_to(4)
    predicting.open()
    desk.at_rest()
    assert desk.state.answer.prediction.input.slice == 4
    desk.presenter.go_to(2)
    assert desk.state.answer.prediction is not None
    all_consistent(desk, truth)


# --- another study --------------------------------------------------------------------------------


def test_an_override_is_not_kept_for_the_next_study(desk: Desk, folders: Folders, truth: Known) -> None:
    """It has the same UIDs in the same order, and other pixels: the reader has said nothing of those."""
    first = opened(desk, folders, STRICT)
    assert first.answer.gate == "outside"
    desk.presenter.explaining.take_action("override")
    desk.wait(lambda s: s.answer.attribution is not None)
    desk.at_rest()
    one = allowed(truth, desk.state)
    desk.presenter.studies.open([folders[0][1]])
    desk.wait(lambda s: s.view.series is not None and allowed(truth, s) != one and s.view.number is not None)
    desk.presenter.studies.choose_series(CT)
    desk.at_rest()
    state = desk.state
    assert (state.view.series.uid, state.view.series.sop_uids) == (
        first.view.series.uid,
        first.view.series.sop_uids,
    )
    assert (state.answer.gate, state.answer.prediction, state.answer.attribution) == ("outside", None, None)
    assert state.shell.notice.wish == "override"
    all_consistent(desk, truth, {one})


def test_an_override_is_of_its_own_series(desk: Desk, folders: Folders, truth: Known) -> None:
    opened(desk, folders, STRICT)
    desk.presenter.explaining.take_action("override")
    desk.at_rest()
    one = allowed(truth, desk.state)
    desk.presenter.studies.choose_series(CT + 1)
    desk.at_rest()
    assert desk.state.answer.gate == "outside"
    desk.presenter.studies.choose_series(CT)
    desk.at_rest()
    assert desk.state.answer.gate != "outside"
    all_consistent(desk, truth, {one})


def test_between_two_studies_no_state_is_shown(desk: Desk, folders: Folders, truth: Known) -> None:
    """A patch that was placed, and a target, belong to a series that is shown."""
    opened(desk, folders, PATCH)
    desk.presenter.patches.place(12, 20)
    desk.at_rest()
    since = len(desk.shown)
    desk.presenter.studies.open([folders[0][1]])
    desk.at_rest()
    assert all(state.view.series is not None for state in desk.shown[since:])
    all_consistent(desk, truth)


# --- another model --------------------------------------------------------------------------------


def settle(desk: Desk, wait: Callable[[], bool]) -> None:
    """Let the workers go on while the window does nothing."""
    until = time.monotonic() + 10
    while not wait():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_what_was_asked_of_the_model_before_is_no_answer_of_the_next(
    desk: Desk, folders: Folders, truth: Known, explaining: Gate
) -> None:
    """The worker goes on with a map while the window has not heard yet that another model is there."""
    opened(desk, folders, PLAIN)
    explaining.shut()
    explaining.open()
    desk.presenter.explaining.load_model(folders[1][STRICT])
    desk.presenter.go_to(4)  # of which nothing is known: the model from before is asked
    assert desk.jobs.active("explain")
    settle(desk, explaining.done.is_set)
    desk.at_rest()
    state = desk.state
    assert (state.answer.model.name, state.answer.gate) == ("Strict CNN", "outside")
    one = allowed(truth, state)
    desk.presenter.explaining.take_action("override")
    desk.at_rest()
    assert desk.state.answer.attribution is not None
    all_consistent(desk, truth, {one})


def test_the_kept_map_of_a_comparison_is_run_for_the_next_model(
    desk: Desk, folders: Folders, truth: Known
) -> None:
    """What is kept is asked of the new model too, though place, method and label are those from before."""
    presenter = desk.presenter
    opened(desk, folders, PLAIN)
    for model in (PLAIN, PATCH):
        presenter.explaining.load_model(folders[1][model])
        desk.at_rest()
        presenter.go_to(1)
        desk.at_rest()
        presenter.explaining.choose_method("layer-cam")
        desk.at_rest()
        presenter.comparing.keep()
        presenter.explaining.choose_method("saliency")
        desk.at_rest()
        presenter.go_to(4)
        desk.at_rest()
        assert desk.state.answer.compared.one.map is not None
    all_consistent(desk, truth)
