# SPDX-License-Identifier: Apache-2.0
"""Every field of every state that is shown is of its own series, slice, place, method and target."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from desk import Desk
from every_state import CHECKS, Seen, consistent, every, follows
from known import PATCH, PLAIN, STRICT, VOLUME, Folders, Known
from program import LABELS

from viewer import session
from viewer.task import Task
from viewer.types import Field
from viewer.ui import state as states
from viewer.ui.state import OWNERS, WHOLE, BroughtCode, MethodChoice, Slab, StudiesState, ViewState

SLOW = ("occlusion", "integrated-gradients")


class Reader:
    """Wishes at random, at a desk whose workers are late."""

    def __init__(self, desk: Desk, folders: Folders, truth: Known, seed: int) -> None:
        self.desk, self.truth, self.dice = desk, truth, random.Random(seed)
        self.studies, self.models = folders
        self.overridden: list[tuple[int, str, bytes]] = []
        """From which state on the reader went on, with which model, outside of what it accepts."""

    @property
    def state(self) -> Any:
        return self.desk.state

    def any_of(self, *these: Any) -> Any:
        return self.dice.choice(these)

    def wish(self) -> None:
        """One of all that a reader may ask for."""
        names = [name for name, often in OFTEN.items() for _ in range(often)]
        getattr(self, self.dice.choice(names))()

    def rest(self) -> None:
        """Look at what comes: for a moment, until something else is shown, or until nothing more comes."""
        before, jobs = len(self.desk.shown), self.desk.jobs
        until = self.any_of(
            lambda: True, lambda: len(self.desk.shown) > before or not jobs.busy,
            lambda: not jobs.busy, lambda: not jobs.busy,
        )  # fmt: skip
        self.desk.qtbot.wait(self.any_of(0, 4, 12))
        self.desk.wait(lambda _s: until())

    # --- images -----------------------------------------------------------------------------------

    def slice(self) -> None:
        self.desk.presenter.go_to(self.dice.randrange(6))

    def series(self) -> None:
        self.desk.presenter.studies.choose_series(self.dice.randrange(5))

    def point(self) -> None:
        self.desk.presenter.step_point(self.any_of(-1, 1))

    def study(self) -> None:
        self.desk.presenter.studies.open([self.any_of(*self.studies)])

    def play(self) -> None:
        self.desk.presenter.slices.play()
        self.desk.qtbot.wait(self.any_of(40, 110))
        if self.state.views.playing:
            self.desk.presenter.slices.play()

    # --- model ------------------------------------------------------------------------------------

    def model(self) -> None:
        self.desk.presenter.explaining.load_model(self.any_of(*self.models))

    def answer(self) -> None:
        """The button of the message bar, which may ask to go on outside of what the model accepts."""
        notice = self.state.shell.notice
        if notice is None or notice.wish is None:
            return
        if notice.wish == "override":
            self._allow()
        self.desk.presenter.explaining.take_action(notice.wish)

    def _allow(self) -> None:
        """Note that the reader goes on, on all points of the series."""
        here = self.state
        study, number = self.truth.place(here.view.series)
        for i in here.points or (number,):
            content = self.truth.content(study.series[i])
            self.overridden.append((len(self.desk.shown), here.answer.model.name, content))

    def label(self) -> None:
        if self.state.answer.model is not None:
            self.desk.presenter.explaining.choose_target(self.any_of(*LABELS))

    def against(self) -> None:
        if self.state.answer.model is not None:
            self.desk.presenter.explaining.choose_against(self.any_of(None, *LABELS))

    def method(self) -> None:
        names = ("grad-cam", "layer-cam", "saliency", "eigen-cam", *SLOW)
        if self.state.answer.model is not None:
            self.desk.presenter.explaining.choose_method(self.any_of(*names))

    def setting(self) -> None:
        """Small, for a small network; what a method has by itself is one with none."""
        given = {"occlusion": ("window", (4, 8)), "integrated-gradients": ("steps", (4, 0))}
        name, values = given.get(self.state.request.method, (None, ()))
        if name is not None and self.state.answer.model is not None:
            self.desk.presenter.explaining.set_setting(name, self.any_of(*values))

    def layer(self) -> None:
        if self.state.answer.model is not None:
            stages = self.state.answer.model.stages
            self.desk.presenter.explaining.choose_layer(self.any_of(None, *stages))

    def within(self) -> None:
        if self.state.answer.model is not None:
            sources = [region.source for region in self.state.regions.regions]
            self.desk.presenter.explaining.choose_within(self.any_of(*sources, None))

    def explain(self) -> None:
        self.desk.presenter.explaining.explain()

    def slow(self) -> None:
        """A method that takes its time, perhaps within a region, run now."""
        if self.state.answer.model is not None:
            self.desk.presenter.explaining.choose_method(self.any_of(*SLOW))
            self.any_of(self.setting, self.within, self.within)()
            self.explain()
            self.rest()

    def place(self) -> None:
        self.desk.presenter.patches.place(*self.any_of((5, 9), (12, 20), (0, 27)))

    def sweep(self) -> None:
        """Patches all over, or over a region; they wait until they are asked for."""
        sources = [region.source for region in self.state.regions.regions]
        if self.state.answer.model is not None and self.state.answer.model.patch is not None:
            self.desk.presenter.patches.sweep(self.any_of(None, WHOLE, *sources[:1]))
            self.any_of(self.explain, self.explain, lambda: None)()
            self.rest()

    def stages(self) -> None:
        self.desk.presenter.layer_strip.wish()

    def cancel(self) -> None:
        self.desk.presenter.cancel()

    # --- drawing ----------------------------------------------------------------------------------

    def layout(self) -> None:
        self.desk.presenter.display.choose_layout(self.any_of("1", "1|1", "3", "3", "sheet", "compare"))

    def keep(self) -> None:
        self.desk.presenter.comparing.keep()

    def ranks(self) -> None:
        self.desk.presenter.comparing.as_ranks(self.any_of(True, False))

    def sheet(self) -> None:
        if self.state.views.layout != "sheet":
            self.desk.presenter.display.choose_layout("sheet")
        self.any_of(
            self.rest,
            lambda: self.desk.presenter.contact_sheet.choose(self.any_of("labels", "methods")),
            self.desk.presenter.contact_sheet.wish,
        )()

    def window(self) -> None:
        display = self.desk.presenter.display
        self.any_of(
            lambda: display.drag_window(10, 5), lambda: display.preset(self.dice.randrange(9)),
            display.invert, lambda: display.see(self.any_of(None, (2.0, 3.0, 10.0, 8.0))),
        )()  # fmt: skip

    def style(self) -> None:
        display = self.desk.presenter.display
        self.any_of(
            lambda: display.set_style("opacity", self.any_of(0.3, 0.7)),
            lambda: display.set_style("interpolation", self.any_of("nearest", "bilinear")),
            display.toggle_overlay, display.toggle_outlines, display.undo, display.redo,
            lambda: display.lock_range(self.any_of(True, False)),
        )()  # fmt: skip

    def loaded(self) -> None:
        self.desk.presenter.companions.choose(self.any_of(None, 0, 1))

    def hide(self) -> None:
        sources = [region.source for region in self.state.regions.regions]
        self.desk.presenter.companions.hide(sources[:1], self.any_of(True, False))

    def pointer(self) -> None:
        at = self.any_of((3, 4), (15, 20), (8, 8), (None, None))
        if self.state.three:
            self.desk.presenter.mpr.point(self.any_of("axial", "coronal", "sagittal"), *at)
        else:
            self.desk.presenter.point(*at)

    def crosshair(self) -> None:
        mpr = self.desk.presenter.mpr
        self.any_of(
            lambda: mpr.step(self.any_of("axial", "coronal", "sagittal"), self.any_of(-1, 2)),
            lambda: mpr.turn("axial", 0.3), lambda: mpr.align(self.any_of("patient", "acquired")),
            lambda: mpr.set_slab(self.any_of(Slab(), Slab(6.0), Slab(8.0, "max"))),
        )()  # fmt: skip

    def mask(self) -> None:
        self.desk.presenter.studies.mask(False)

    def header(self) -> None:
        self.any_of(self.desk.presenter.headers.look, self.desk.presenter.headers.leave)()

    def dismiss(self) -> None:
        self.desk.presenter.dismiss()


OFTEN = {
    "rest": 20, "slice": 8, "series": 4, "point": 3, "study": 2, "play": 1, "model": 1, "answer": 6,
    "label": 4, "against": 2, "method": 4, "setting": 2, "layer": 2, "within": 1, "explain": 3, "slow": 5,
    "place": 3, "sweep": 3, "stages": 1, "cancel": 1, "layout": 4, "keep": 2, "ranks": 1, "sheet": 2,
    "window": 2, "style": 2, "loaded": 1, "hide": 1, "pointer": 3, "crosshair": 1, "mask": 1, "header": 1,
    "dismiss": 1,
}  # fmt: skip
"""How often each wish comes, among all of them."""


def late(desk: Desk, dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers answer some milliseconds after they have found the answer, and explain in steps that last."""
    run, really = desk.jobs.run, session.explain
    waits = {"io": (0, 0, 2, 8), "model": (0, 3, 10, 25), "aside": (0,)}

    def later(lane: Any, kind: str, work: Callable[[Task], Any], *how: Any, **more: Any) -> None:
        wait = dice.choice(waits[lane]) / 1000

        def slow(task: Task) -> Any:
            found = work(task)
            time.sleep(wait)
            return found

        run(lane, kind, slow, *how, **more)

    def explain(*asked: Any, preview: Any = None, task: Task | None = None, **more: Any) -> Any:
        found = really(*asked, task=task, **more)
        for attribution in found.attributions[:1] if preview is not None else ():
            preview(replace(attribution, values=attribution.values * 0.5))
            time.sleep(0.01)
            (task or Task()).check()
        return found

    monkeypatch.setattr(desk.jobs, "run", later)
    monkeypatch.setattr(session, "explain", explain)


def looked_at(reader: Reader) -> None:
    """All that was shown is consistent, state by state and from one to the next."""
    shown = reader.desk.shown
    for place, state in enumerate(shown):
        allowed = {(name, content) for since, name, content in reader.overridden if since <= place}
        try:
            consistent(Seen(state, reader.truth, allowed))
            if place:
                follows(shown[place - 1], state)
        except AssertionError as error:
            raise AssertionError(f"state {place} of {len(shown)}: {error}") from error


def at_last(state: ViewState) -> None:
    """Once nothing more comes, what follows from the state has caught up with it."""
    assert (state.shell.busy, state.planes.building) == (None, None)
    assert not state.answer.preview
    assert state.view.values is not None
    for cut in state.planes.cuts if state.three else ():
        assert cut.of is state.shown
        assert cut.slab == state.planes.slab
        assert abs(cut.plane.index(state.planes.crosshair)[0]) < 1e-3


@pytest.mark.parametrize(("seed", "model"), [(11, STRICT), (2, PATCH), (3, VOLUME)])
def test_whatever_is_shown_is_of_one_series_slice_and_target(
    desk: Desk, folders: Folders, truth: Known, seed: int, model: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random wishes, workers that are late, slow methods, and a second study with the same UIDs."""
    late(desk, random.Random(seed), monkeypatch)
    reader = Reader(desk, folders, truth, seed)
    desk.presenter.studies.open([reader.studies[0]])
    desk.presenter.explaining.load_model(reader.models[model])
    desk.wait(lambda s: s.view.values is not None and s.answer.model is not None)
    for _ in range(150):
        reader.wish()
    desk.presenter.cancel()
    desk.at_rest()
    looked_at(reader)
    at_last(desk.state)
    maps = [s.answer.attribution for s in desk.shown if s.answer.attribution is not None]
    assert len({id(one) for one in maps}) > 10
    assert any(one.explainer.name in SLOW for one in maps)
    assert any(None not in s.answer.profile for s in desk.shown if s.answer.profile)


# --- the checks themselves ------------------------------------------------------------------------


def states_of(module: Any) -> list[type]:
    """The frozen parts of a state."""
    found = (getattr(module, name) for name in module.__all__)
    return [one for one in found if isinstance(one, type) and is_dataclass(one)]


def test_every_field_has_a_check() -> None:
    """One that is added to a state needs one too. A `MethodChoice` is a key, and says nothing by itself; a
    program that a model brought is of no study."""
    parts = [one for one in states_of(states) if one not in (ViewState, MethodChoice, BroughtCode)]
    assert len(parts) > 15
    missing = [f"{part.__name__}.{one.name}" for part in parts for one in fields(part)
               if (part, one.name) not in CHECKS]  # fmt: skip
    assert missing == []


def test_a_field_without_a_check_is_a_fault(truth: Known) -> None:
    @dataclass(frozen=True)
    class Grown(StudiesState):
        added: int = 0

    with pytest.raises(AssertionError, match=r"nothing looks at Grown\.items"):
        every(Seen(ViewState(), truth), Grown())


FREE = {"items", "model", "style", "answers", "preferences", "memory"}
"""Fields that may be the same in two states, whatever else differs: rows of one list, facts of one model,
the range of all maps of a kind, the key of an answer, preferences, bytes."""
WAYS: dict[str, Callable[[Any, Folders], None]] = {
    "slice": lambda p, _: p.go_to(4),
    "target": lambda p, _: p.explaining.choose_target("mass"),
    "method": lambda p, _: p.explaining.choose_method("layer-cam"),
    "against": lambda p, _: p.explaining.choose_against("nodule"),
    "series": lambda p, _: p.studies.choose_series(4),
    "point": lambda p, _: p.studies.choose_series(0),
    "model": lambda p, folders: p.explaining.load_model(folders[1][PATCH]),
    "study": lambda p, folders: p.studies.open([folders[0][1]]),
}
"""How a reader gets from one state to others."""


def resting(desk: Desk, layout: str) -> ViewState:
    """The state of a layout once all has come; pointed at, unless the three planes are shown."""
    if desk.state.answer.gate == "outside":
        desk.presenter.explaining.take_action("override")
        desk.at_rest()
    desk.presenter.display.choose_layout(layout)
    desk.presenter.point(9.0, 13.0)
    desk.at_rest()
    return desk.state


def begun(desk: Desk, folders: Folders, layout: str) -> ViewState:
    """One slice of a stack, explained; of a comparison with another method."""
    desk.presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    desk.presenter.studies.choose_series(3)
    desk.presenter.explaining.load_model(folders[1][PLAIN])
    desk.wait(lambda s: s.answer.attribution is not None)
    desk.presenter.go_to(1)
    desk.at_rest()
    desk.presenter.explaining.choose_method("saliency")
    desk.at_rest()
    desk.presenter.comparing.keep()
    desk.presenter.explaining.choose_method("grad-cam")
    desk.at_rest()
    return resting(desk, layout)


@pytest.mark.parametrize("layout", ["1|1", "sheet", "compare", "3"])
def test_a_field_of_another_state_is_noticed(desk: Desk, folders: Folders, truth: Known, layout: str) -> None:
    """Each field of a state that is all right, put into another one that differs in one thing."""
    one = begun(desk, folders, layout)
    for before in desk.shown:
        consistent(Seen(before, truth))
    looked = 0
    for way, go in WAYS.items():
        go(desk.presenter, folders)
        desk.at_rest()
        other = resting(desk, layout)
        name = other.answer.model.name
        allowed = {(name, truth.content(other.view.series))} if other.answer.outside else set()
        consistent(Seen(other, truth, allowed))
        # The planes before stay until those of another place or map have been cut.
        free = FREE | ({"cuts"} if one.view.series is other.view.series else set())
        for field in set(OWNERS) - free - {"views"}:
            if not alike(one.value(field), other.value(field)):
                looked += 1
                forged = Seen(one.changed(**{field: other.value(field)}), truth, allowed)
                assert noticed(forged), f"{field} of another {way} was not noticed"
        one = other
    assert looked > 80


def noticed(seen: Seen) -> bool:
    """Whether something is found to be wrong."""
    try:
        consistent(seen)
    except AssertionError:
        return True
    return False


def alike(one: Any, other: Any) -> bool:
    """Whether two values of a field are one, as far as a reader sees."""
    if isinstance(one, Field) and isinstance(other, Field):
        return one.shape == other.shape and np.array_equal(one.matrix, other.matrix)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
    return one is other or bool(one == other)
