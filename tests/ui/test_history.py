# SPDX-License-Identifier: Apache-2.0
"""Taking back changes of the drawing: what is one step, and what is never touched."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk import Desk
from program import write_model, write_stack
from PySide6.QtCore import Qt

from viewer.settings import Settings
from viewer.ui.presenter.history import ONE_MOVE, History, Step
from viewer.ui.state import choice_of, position_of
from viewer.ui.window import Window as MainWindow

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def step(kind: str, before: int, after: int, where: object = None) -> Step:
    return Step(kind, where, {"value": before}, {"value": after})


def always(_step: Step) -> bool:
    return True


def test_what_follows_at_once_is_one_step() -> None:
    clock = Clock()
    history = History(clock)
    for value in range(5):
        history.record(step("drag", value, value + 1), joins=True)
        clock.now += ONE_MOVE / 2
    clock.now += ONE_MOVE
    history.record(step("drag", 5, 6), joins=True)
    assert history.undo(always).before == {"value": 5}
    assert history.undo(always).before == {"value": 0}
    assert history.undo(always) is None
    assert history.redo(always).after == {"value": 5}
    assert history.redo(always).after == {"value": 6}
    assert history.redo(always) is None


def test_other_kinds_maps_and_toggles_are_steps_of_their_own() -> None:
    history = History(Clock())
    history.record(step("drag", 0, 1), joins=True)
    history.record(step("style", 1, 2, "one"), joins=True)
    history.record(step("style", 2, 3, "other"), joins=True)
    history.record(step("invert", 3, 4))
    history.record(step("invert", 4, 5))
    assert [history.undo(always).before["value"] for _ in range(5)] == [4, 3, 2, 1, 0]


def test_a_pull_that_comes_back_is_no_step_and_a_new_one_ends_what_was_taken_back() -> None:
    history = History(Clock())
    history.record(step("drag", 0, 1), joins=True)
    history.record(step("drag", 1, 0), joins=True)
    assert history.undo(always) is None
    history.record(step("drag", 0, 1))
    history.undo(always)
    history.record(step("drag", 0, 9))
    assert history.redo(always) is None


def test_steps_that_do_not_apply_are_passed_over() -> None:
    history = History(Clock())
    history.record(step("invert", 0, 1))
    history.record(step("style", 1, 2, "gone"))
    assert history.undo(lambda s: s.where is None).before == {"value": 0}


def test_a_drag_a_preset_and_toggles_go_back_in_turn(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    levels = desk.wait(lambda s: s.view.values is not None).view.levels
    display = desk.presenter.display
    for _ in range(6):
        display.drag_window(10, 3)
    dragged = desk.state.view.levels
    display.preset(2)
    display.invert()
    display.choose_layout("1")
    display.undo()
    assert desk.state.views.layout == "1|1"
    display.undo()
    assert not desk.state.view.inverted
    display.undo()
    assert desk.state.view.levels == dragged
    display.undo()
    assert (desk.state.view.levels, desk.state.view.window) == (levels, None)
    display.undo()
    display.redo()
    assert desk.state.view.levels == dragged
    desk.at_rest()


def test_the_files_window_is_that_of_the_slice_where_one_is(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    own = desk.wait(lambda s: s.view.values is not None).view.levels
    desk.presenter.display.preset(3)
    desk.presenter.step(1)
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.display.undo()
    assert desk.state.view.levels == own
    assert desk.state.view.slice == 3
    desk.at_rest()


def test_a_style_goes_back_without_a_run_and_only_on_its_own_maps(
    desk: Desk, study: Path, model: Path
) -> None:
    first = desk.explained(study, model)
    desk.at_rest()
    display = desk.presenter.display
    display.invert()
    display.set_style("sign", "signed")
    display.set_style("opacity", 0.3)
    assert desk.state.views.style.colours == "blue-white-red"
    display.undo()
    display.undo()
    assert desk.state.views.style == first.views.style
    assert desk.state.answer.attribution is first.answer.attribution
    display.redo()
    assert (desk.state.views.style.sign, desk.state.views.style.colours) == ("signed", "blue-white-red")
    desk.presenter.explaining.choose_method("hires-cam")
    desk.wait(lambda s: s.answer.attribution is not None)
    other = desk.state.views.style
    display.undo()
    assert desk.state.views.style is other, "the style of another method is passed over"
    assert not desk.state.view.inverted
    desk.at_rest()


def test_the_threshold_of_a_map_with_a_range_of_its_own_goes_back_on_it_alone(
    desk: Desk, study: Path, model: Path
) -> None:
    first = desk.explained(study, model)
    desk.at_rest()
    display, here = desk.presenter.display, first.view.slice
    display.lock_range(False)
    own = desk.state.views.style
    display.set_style("threshold", 2 * own.threshold)
    display.undo()
    assert desk.state.views.style == own
    display.set_style("opacity", 0.3)
    display.set_style("threshold", 2 * own.threshold)
    desk.presenter.go_to(here - 1)
    other = desk.wait(lambda s: s.answer.attribution is not None and s.view.slice == here - 1).views.style
    display.undo()
    assert desk.state.views.style.threshold == other.threshold, "that of another slice is passed over"
    assert desk.state.views.style.opacity == own.opacity, "what all maps of the kind have goes back"
    desk.at_rest()


def test_the_threshold_of_a_preview_ends_with_it(desk: Desk, study: Path, model: Path) -> None:
    shown = desk.explained(study, model).answer.attribution
    desk.at_rest()
    assert shown is not None
    desk.presenter.explaining.choose_method("occlusion")
    maps, display = desk.presenter.explaining._maps, desk.presenter.display
    asking, place, choice = maps.asking(), position_of(desk.state), choice_of(desk.state)
    whole = replace(shown, layer="of its own range")
    so_far = replace(whole, values=whole.values / 100)
    maps.put_preview(asking, place, choice, so_far)
    desk.presenter._store.show()
    assert desk.state.answer.preview
    before = desk.state.views.style.threshold
    display.set_style("threshold", 2 * before)
    display.undo()
    assert desk.state.views.style.threshold == before
    display.set_style("threshold", 2 * before)
    maps.put(asking, place, choice, [whole])
    desk.presenter._store.show()
    assert not desk.state.answer.preview
    own = desk.state.views.style.threshold
    assert own > 3 * before
    display.undo()
    assert desk.state.views.style.threshold == own
    desk.at_rest()


def test_another_series_forgets(desk: Desk, study: Path) -> None:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.display.preset(3)
    desk.presenter.studies.choose_series(1)
    before = desk.state
    desk.presenter.display.undo()
    assert desk.state is before
    desk.at_rest()


def test_a_look_below_the_map_is_no_change(desk: Desk) -> None:
    display = desk.presenter.display
    display.toggle_overlay(False)
    display.peek(True)
    display.peek(False)
    assert not desk.state.views.overlay
    display.undo()
    assert desk.state.views.overlay
    display.peek(True)
    assert not desk.state.views.overlay
    display.peek(False)
    assert desk.state.views.overlay


@pytest.fixture
def window(qtbot, tmp_path: Path) -> Iterator[MainWindow]:
    made = MainWindow(Settings(device="cpu"))
    qtbot.addWidget(made)
    made.resize(1280, 720)
    with qtbot.waitActive(made):
        made.show()
    made.presenter.explaining.load_model(write_model(tmp_path / "model"))
    made.presenter.studies.open([write_stack(tmp_path / "study", 3)])
    qtbot.waitUntil(lambda: not made.presenter.working, timeout=30_000)
    yield made
    made.close()


def test_one_drag_of_the_mouse_and_one_pull_are_taken_back_by_keys(window: MainWindow, qtbot) -> None:
    state = lambda: window.presenter.state  # noqa: E731
    levels, opacity = state().view.levels, state().views.style.opacity
    view, start = window.mapped, window.mapped.rect().center()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    for move in range(1, 8):
        qtbot.mouseMove(view, start + start.__class__(6 * move, 2 * move))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start)
    slider = window.display.opacity
    left = slider.place(slider.value()).toPoint()
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=left)
    for move in range(1, 6):
        qtbot.mouseMove(slider, left + left.__class__(5 * move, 0))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton)
    dragged, pulled = state().view.levels, state().views.style.opacity
    assert dragged != levels
    assert pulled != opacity
    qtbot.keyClick(window, Qt.Key.Key_Z, CONTROL)
    assert (state().view.levels, state().views.style.opacity) == (dragged, opacity)
    assert slider.value() == round(100 * opacity)
    qtbot.keyClick(window, Qt.Key.Key_Z, CONTROL)
    assert state().view.levels == levels
    qtbot.keyClick(window, Qt.Key.Key_Z, CONTROL | SHIFT)
    qtbot.keyClick(window, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert (state().view.levels, state().views.style.opacity) == (dragged, pulled)
