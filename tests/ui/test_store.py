# SPDX-License-Identifier: Apache-2.0
"""The one state: nothing is shown twice, and no work is asked for before what wants it is shown."""

import random
from itertools import pairwise
from typing import Any

import pytest
from desk import Desk
from every_state import follows
from known import PATCH, PLAIN, Folders
from program import LABELS

from viewer.ui.presenter.store import Store
from viewer.ui.state import SEGMENTS, ViewState

CT = 3


def about(desk: Desk, folders: Folders, seed: int) -> None:
    """A reader who looks through a study, with a model of slices and one of patches."""
    presenter, dice = desk.presenter, random.Random(seed)
    presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    for model in (PLAIN, PATCH):
        presenter.explaining.load_model(folders[1][model])
        presenter.studies.choose_series(CT)
        desk.wait(lambda s: s.answer.attribution is not None)
        for layout in ("1|1", "sheet", "compare", "3", "1"):
            presenter.display.choose_layout(layout)
            presenter.go_to(dice.randrange(5))
            presenter.explaining.choose_target(dice.choice(LABELS))
            desk.at_rest()
            presenter.explaining.choose_method(dice.choice(("layer-cam", "saliency", "grad-cam")))
            presenter.patches.place(5.0, 9.0)
            presenter.studies.choose_series(dice.choice((CT, CT + 1, 0)))
            desk.at_rest()
            presenter.studies.choose_series(CT)
        desk.at_rest()


def test_what_could_not_be_done_is_known_by_its_first_sentence(desk: Desk, folders: Folders) -> None:
    presenter = desk.presenter
    assert presenter.problem is None
    presenter.export(folders[0][0], ["png"], False)
    first = presenter.problem
    assert first is not None
    assert desk.state.shell.notice.text == first
    presenter.library_check.check()
    assert [one.text for one in desk.state.shell.waiting] != [first]
    assert len(desk.state.shell.waiting) == 1
    assert presenter.problem == first


@pytest.mark.parametrize("why", ["unsuitable", "no segments"])
def test_a_method_that_cannot_run_is_a_problem(desk: Desk, folders: Folders, why: str) -> None:
    presenter = desk.presenter
    presenter.studies.open([folders[0][0]])
    presenter.explaining.load_model(folders[1][PLAIN])
    desk.wait(lambda s: s.view.number is not None and s.answer.model is not None)
    desk.at_rest()
    presenter.studies.choose_series(CT)
    desk.wait(lambda s: s.answer.attribution is not None)
    desk.at_rest()
    assert presenter.problem is None
    if why == "unsuitable":
        name = next(m.name for m in desk.state.answer.model.methods if m.unsuitable)
        presenter.explaining.choose_method(name)
        presenter.explaining.explain()
    else:
        desk.presenter._store.note(regions=())
        presenter.explaining.choose_method("kernel-shap")
        presenter.explaining.set_setting(*SEGMENTS)
        presenter.explaining.explain()
    assert presenter.problem == desk.state.shell.notice.text


def test_no_state_is_shown_twice(desk: Desk, folders: Folders) -> None:
    """What a part asks to be shown may have been shown already: a view would draw the same again."""
    about(desk, folders, 4)
    assert len(desk.shown) > 60
    for before, after in pairwise(desk.shown):
        follows(before, after)
    assert desk.state.answer.attribution is not None
    shown, request = len(desk.shown), desk.state.request
    desk.presenter._store.show()
    desk.presenter.go_to(desk.state.view.slice)
    desk.presenter.display.see(desk.state.view.seen)
    desk.presenter.explaining.choose_method(request.method)
    desk.presenter.explaining.choose_layer(request.layer)
    desk.presenter.explaining.choose_target(str(request.target))
    desk.presenter.point(None, None)
    desk.presenter.dismiss()
    desk.at_rest()
    assert len(desk.shown) == shown


class Watch:
    """Notes what is asked of the workers, and whether the state that it follows from has been shown."""

    def __init__(self, desk: Desk, patch: pytest.MonkeyPatch) -> None:
        self.early: list[str] = []
        self.asked = 0
        self._settling = 0
        settle, run, cancel = Store.settle, desk.jobs.run, desk.jobs.cancel

        def settling(store: Store) -> ViewState:
            self._settling += 1
            try:
                return settle(store)
            finally:
                self._settling -= 1

        def running(lane: Any, kind: str, *how: Any, **more: Any) -> None:
            self._note(f"{kind} is run")
            run(lane, kind, *how, **more)

        def cancelling(kind: str) -> bool:
            self._note(f"{kind} is cancelled")
            return cancel(kind)

        patch.setattr(Store, "settle", settling)
        patch.setattr(desk.jobs, "run", running)
        patch.setattr(desk.jobs, "cancel", cancelling)
        for part in desk.presenter._store.parts:
            patch.setattr(part, "ask", self._after_shown(desk, part))

    def _note(self, what: str) -> None:
        self.asked += 1
        self.early += [what] if self._settling else []

    def _after_shown(self, desk: Desk, part: Any) -> Any:
        ask = part.ask

        def asking(state: ViewState) -> None:
            if desk.shown[-1] is not state:
                self.early.append(f"{type(part).__name__} asks")
            ask(state)

        return asking


def test_no_work_is_asked_for_before_the_state_is_shown(
    desk: Desk, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows from a state is found without any work; a part asks once the state is on the screen."""
    watch = Watch(desk, monkeypatch)
    about(desk, folders, 8)
    assert watch.early == []
    assert watch.asked > 100
