# SPDX-License-Identifier: Apache-2.0
"""The fourth dimension: the same place at another time or b-value, and nothing of the one before."""

from pathlib import Path

import companion_files as files
import numpy as np
import pytest
from companion_files import SLICES
from desk import Desk
from program import write_model
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from test_three_planes import settled

from viewer.types import SeriesPoint
from viewer.ui.panels.stacks import entries, row_of
from viewer.ui.state import SeriesItem
from viewer.ui.views.captions import point_words, several_points
from viewer.ui.window import Window


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that reads MR."""
    return write_model(tmp_path / "model", accepts={"modality": ["MR"]})


@pytest.fixture
def dwi(desk: Desk, tmp_path: Path) -> Desk:
    desk.presenter.studies.open([files.diffusion(tmp_path / "dwi", lacking=4)])
    desk.wait(lambda s: s.view.values is not None)
    desk.at_rest()
    return desk


@pytest.fixture
def heart(desk: Desk, tmp_path: Path) -> Desk:
    desk.presenter.studies.open([files.times(tmp_path / "heart")])
    desk.wait(lambda s: s.view.values is not None)
    desk.at_rest()
    return desk


def shows(state, slice: int, bright: float) -> None:
    """The values are those of this slice at this point."""
    np.testing.assert_array_equal(state.view.values, files.image(slice, bright))


def test_the_same_place_at_the_next_point(dwi: Desk) -> None:
    presenter = dwi.presenter
    presenter.go_to(1)
    dwi.at_rest()
    presenter.display.drag_window(30, 20)
    window = dwi.state.view.window
    for number, bright in ((1, 1.0), (2, 0.5)):
        presenter.step_point(1)
        state = dwi.wait(lambda s: s.view.values is not None)
        assert (state.view.number, state.view.slice, state.view.window) == (number, 1, window)
        shows(state, 1, bright)
    presenter.step_point(1)  # there is no more
    assert dwi.state.view.number == 2


def test_a_point_without_the_place_says_so_and_the_place_is_not_lost(dwi: Desk) -> None:
    presenter = dwi.presenter
    presenter.go_to(4)
    presenter.step_point(1)
    assert dwi.state.shell.notice is None
    presenter.step_point(1)
    state = dwi.wait(lambda s: s.view.values is not None)
    assert state.shell.notice.text == "B 1000 has no slice at this place: the nearest is shown, 4.0 mm away."
    assert not state.view.series.part.complete
    presenter.step_point(-1)
    state = dwi.wait(lambda s: s.view.values is not None)
    assert (state.view.number, state.view.slice, state.shell.notice) == (1, 4, None)


def test_the_neighbours_in_time_are_read_before_they_are_wanted(heart: Desk) -> None:
    slices, here = heart.presenter.slices, heart.state.view.slice
    assert [slices._kept((n, here)) is not None for n in range(5)] == [True] * 5
    shown = len(heart.shown)
    heart.presenter.step_point(1)
    assert all(s.view.values is not None for s in heart.shown[shown:])


def test_times_keep_the_window_and_contrasts_have_their_own(heart: Desk, dwi: Desk) -> None:
    heart.presenter.studies.open([dwi.state.view.series.paths[0].parent])  # the same desk, another study
    dwi.wait(lambda s: s.view.series is not None and s.view.series.part.by == "b-value")
    dwi.at_rest()
    dwi.presenter.step_point(1)
    assert dwi.state.view.window is None


def test_moments_compare_in_one_window(heart: Desk) -> None:
    shown = heart.state.view.own
    heart.presenter.step_point(1)
    assert heart.state.view.window == shown


def test_cine_goes_along_time_at_one_place_or_along_slices(heart: Desk) -> None:
    slices, at = heart.presenter.slices, heart.state.view.slice
    assert heart.state.played == "points"
    slices.play()
    slices._cine.stop()  # the test is the clock
    for steps in (1, 2, 6):
        slices._advance(steps)
        heart.wait(lambda s: s.view.values is not None)
        assert (heart.state.view.number, heart.state.view.slice) == (steps % 5, at)
    heart.presenter.play_along("slices")
    slices._cine.stop()
    slices._advance(2)
    heart.wait(lambda s: s.view.slice == (at + 2) % SLICES)
    assert heart.state.view.number == 1
    slices.play()
    assert not heart.state.views.playing


def test_the_model_does_not_run_while_times_are_played(heart: Desk, model: Path) -> None:
    heart.presenter.explaining.load_model(model)
    heart.wait(lambda s: s.answer.attribution is not None)
    heart.at_rest()
    slices = heart.presenter.slices
    slices.play()
    slices._cine.stop()
    slices._advance(1)
    assert (heart.state.answer.attribution, heart.state.view.map, heart.state.answer.profile) == (
        None,
        None,
        (),
    )
    assert not heart.jobs.active("explain")
    slices.play()
    heart.wait(lambda s: s.answer.attribution is not None)


def test_a_map_of_one_time_never_shows_on_another(heart: Desk, model: Path) -> None:
    presenter = heart.presenter
    presenter.explaining.load_model(model)
    heart.wait(lambda s: s.answer.attribution is not None)
    rng = np.random.default_rng(5)
    for _ in range(40):
        presenter.slices.go_to_point(int(rng.integers(5)))
        presenter.go_to(int(rng.integers(SLICES)))
        heart.qtbot.wait(int(rng.integers(12)))
    heart.at_rest()
    for state in heart.shown:
        if state.answer.attribution is not None:
            assert state.answer.attribution.series is state.view.series
            assert state.answer.attribution.slice == state.view.slice
        if state.answer.prediction is not None:
            assert state.answer.prediction.input.series is state.view.series
        if state.view.values is not None and state.view.series is not None and state.view.number is not None:
            shows(state, state.view.slice, 0.5 + state.view.series.part.index / 4)
    assert heart.state.answer.attribution.series is heart.state.view.series


def test_a_decision_about_the_gate_holds_for_all_points(heart: Desk, tmp_path: Path) -> None:
    heart.presenter.explaining.load_model(write_model(tmp_path / "other"))  # which reads CT
    heart.wait(lambda s: s.answer.gate == "outside")
    heart.presenter.explaining.take_action("override")
    heart.wait(lambda s: s.answer.attribution is not None)
    heart.presenter.step_point(1)
    assert heart.state.answer.gate != "outside"
    heart.wait(lambda s: s.answer.attribution is not None)


# --- the list -------------------------------------------------------------------------------------


def item(index: int, count: int, complete: bool = True) -> SeriesItem:
    part = SeriesPoint("1", "b-value", (500.0 * index,), index, count, f"b {500 * index}", complete)
    warnings = () if complete else ("Lacks.",)
    return SeriesItem(f"DWI · {part.words}", ("MR · 6 slices",), warnings, part=part)


def test_points_stand_under_one_heading() -> None:
    items = (SeriesItem("T1", ("MR",)), *(item(i, 3, i < 2) for i in range(3)), SeriesItem("T2", ("MR",)))
    rows = entries(items)
    assert [r.kind for r in rows] == ["series", "stack", "point", "point", "point", "series"]
    head = rows[1].item
    assert (head.title, head.facts, head.warnings) == ("DWI", ("MR · 6 slices", "3 b-values"), ("Lacks.",))
    assert [row_of(rows, n) for n in range(5)] == [0, 2, 3, 4, 5]
    narrow = entries(items, narrow=True)
    assert [r.kind for r in narrow] == ["series", "stack", "series"]
    assert row_of(narrow, 3) == 1


def test_many_points_have_one_row() -> None:
    rows = entries(tuple(item(i, 20) for i in range(20)))
    assert len(rows) == 1
    assert row_of(rows, 13) == 0


@pytest.mark.parametrize(
    ("part", "said", "several"),
    [
        (SeriesPoint("1", "b-value", (1000.0,), 1, 3, "b 1000"), "b 1000 s/mm² · 2 / 3", "3 b-values"),
        (
            SeriesPoint("1", "temporal position", (3.0,), 2, 20, "phase 3 of 20 · 240 ms"),
            "phase 3 / 20 · 240 ms",
            "20 phases",
        ),
        (SeriesPoint("1", "echo", (4.6,), 0, 2, "echo 1 · 4.6 ms"), "echo 1 · 4.6 ms · 1 / 2", "2 echoes"),
        (
            SeriesPoint("1", "echo, temporal position", (4.6, 1.0), 1, 4, "echo 1 · time 2 of 2"),
            "echo 1 · time 2 of 2 · 2 / 4",
            "4 points: echo and temporal position",
        ),
    ],
)
def test_points_in_words(part: SeriesPoint, said: str, several: str) -> None:
    assert point_words(part) == said
    assert several_points(part) == several


# --- the window -----------------------------------------------------------------------------------


@pytest.fixture
def beating(window: Window, qtbot, tmp_path: Path) -> Window:
    window.presenter.studies.open(
        [files.diffusion(tmp_path / "both"), files.times(tmp_path / "both" / "heart")]
    )
    settled(window, qtbot)
    return window


def test_keys_bar_and_wheel_lead_through_the_points(beating: Window, qtbot) -> None:
    state = lambda: beating.presenter.state  # noqa: E731
    beating.presenter.studies.choose_series(state().points.start if state().points else 0)
    first = state().points.start
    beating.mapped.setFocus()
    qtbot.keyClick(beating.mapped, Qt.Key.Key_BracketRight)
    assert state().view.number == first + 1
    qtbot.keyClick(beating.mapped, Qt.Key.Key_BracketLeft)
    assert state().view.number == first
    beating.points.on.click()
    assert state().view.number == first + 1
    beating.points.back.click()
    assert state().view.number == first
    beating.points.on.click()
    beating.points.slider.setValue(2)
    assert state().view.number == first + 2
    middle = QPointF(beating.mapped.rect().center())
    event = QWheelEvent(
        middle, beating.mapped.mapToGlobal(middle), QPoint(), QPoint(120, 0), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.AltModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(beating.mapped, event)
    assert state().view.number == first + 1
    settled(beating, qtbot)


def test_zoom_crosshair_and_planes_follow_to_the_next_point(beating: Window, qtbot) -> None:
    presenter = beating.presenter
    beating.mapped.zoom(2.0)
    seen = beating.mapped._seen
    presenter.step_point(1)
    settled(beating, qtbot)
    assert seen is not None
    assert beating.mapped._seen == seen == beating.plain._seen
    presenter.display.choose_layout("3")
    settled(beating, qtbot)
    place = presenter.state.planes.crosshair
    presenter.mpr.mark((place[0] + 3, place[1] - 2, place[2] + 1))
    state = settled(beating, qtbot)
    presenter.step_point(1)
    after = settled(beating, qtbot)
    assert after.view.series is not state.view.series
    np.testing.assert_allclose(after.planes.crosshair, state.planes.crosshair, atol=1e-6)
    assert all(cut.series is after.view.series for cut in after.planes.cuts)


def test_the_bar_is_there_for_points_only_and_says_which(beating: Window, qtbot, tmp_path: Path) -> None:
    state = beating.presenter.state
    assert beating.points.isVisible()
    assert beating.points.words.full == point_words(state.view.series.part)
    beating.presenter.studies.step_series(1)
    settled(beating, qtbot)
    after = beating.presenter.state
    assert after.view.series.part.of != state.view.series.part.of
    assert after.view.series.part.index == 0
    beating.presenter.studies.open([files.stack(tmp_path / "alone", "1.2.5", 1.0)[0].parent])
    settled(beating, qtbot)
    assert not beating.points.isVisible()


def test_the_list_leads_to_points_and_keeps_the_place(beating: Window, qtbot) -> None:
    beating.series.set_narrow(False)
    beating.presenter.go_to(1)
    rows = beating.series.list
    here = beating.presenter.state
    target = next(n for n in here.points if n != here.view.number)
    place = row_of(rows.rows.entries, target)
    qtbot.mouseClick(
        rows.viewport(), Qt.MouseButton.LeftButton, pos=rows.visualRect(rows.rows.index(place)).center()
    )
    after = settled(beating, qtbot)
    assert (after.view.number, after.view.slice) == (target, 1)
    heading = row_of(rows.rows.entries, after.points.start) - 1
    assert rows.rows.entries[heading].kind == "stack"
    qtbot.mouseClick(
        rows.viewport(), Qt.MouseButton.LeftButton, pos=rows.visualRect(rows.rows.index(heading)).center()
    )
    assert beating.presenter.state.view.number == target
