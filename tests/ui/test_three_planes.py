"""Three planes in the window: one crosshair in the patient, and never a picture of something else."""

import threading
from pathlib import Path

import numpy as np
import pytest
from program import LABELS, write_model, write_stack
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from viewer import affine, demo, overlay
from viewer.ui import reformat
from viewer.ui.planeview import PlaneView, direction
from viewer.ui.state import Slab, ViewState
from viewer.ui.window import Window

THREE = ("axial", "sagittal", "coronal")
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two volumes and a single slice."""
    write_stack(tmp_path / "study" / "a", 9)
    write_stack(tmp_path / "study" / "b", 6, uid="1.2.826.78", SeriesDescription="Other")
    write_stack(tmp_path / "study" / "c", 1, uid="1.2.826.79", SeriesDescription="Single")
    return tmp_path / "study"


@pytest.fixture
def three(window: Window, study: Path, qtbot) -> Window:
    """The window with the first volume in three planes."""
    window.presenter.open([study])
    settled(window, qtbot)
    window.run("three-planes")
    settled(window, qtbot)
    return window


def settled(window: Window, qtbot) -> ViewState:
    qtbot.waitUntil(lambda: not window.presenter.working, timeout=30_000)
    qtbot.wait(20)
    return window.presenter.state


def view(window: Window, name: str) -> PlaneView:
    return window.planes.views[name]


def move(widget: PlaneView, at: QPointF, modifiers: Qt.KeyboardModifier = SHIFT) -> None:
    none = Qt.MouseButton.NoButton
    place = widget.mapToGlobal(at)
    QApplication.sendEvent(widget, QMouseEvent(QMouseEvent.Type.MouseMove, at, place, none, none, modifiers))


def wheel(widget: PlaneView, notches: int) -> None:
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at, widget.mapToGlobal(at), QPoint(), QPoint(0, -120 * notches), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


def agree(state: ViewState) -> None:
    """All three planes go through the crosshair, and the shown slice does."""
    assert [cut.plane.name for cut in state.cuts] == list(THREE)
    for cut in state.cuts:
        assert cut.series is state.series
        assert cut.plane.index(state.crosshair)[0] == pytest.approx(0, abs=1e-6)
    voxel = affine.apply(np.linalg.inv(state.series.geometry.matrix), state.crosshair)
    assert state.slice == round(float(voxel[0]))


def test_three_planes_come_in_place_of_two_views(three: Window) -> None:
    assert three.planes.isVisible()
    assert not three.plain.isVisible()
    assert not three.mapped.isVisible()
    agree(three.presenter.state)
    letters = {name: view(three, name).plane.letters() for name in THREE}
    assert letters["axial"] == ("R", "L", "A", "P")
    assert letters["coronal"] == ("R", "L", "H", "F")
    assert letters["sagittal"] == ("A", "P", "H", "F")
    three.run("one-view")
    assert three.mapped.isVisible()
    assert not three.planes.isVisible()


@pytest.mark.parametrize("name", THREE)
def test_what_is_marked_in_one_plane_is_the_same_place_in_the_others(three: Window, qtbot, name: str) -> None:
    marked = view(three, name)
    frame = marked.frame()
    at = QPointF(round(frame.x() + 0.3 * frame.width()), round(frame.y() + 0.6 * frame.height()))
    wished = marked.plane.point(*marked.position(at))
    move(marked, at)
    np.testing.assert_allclose(three.presenter.state.crosshair, wished, atol=1e-9)
    state = settled(three, qtbot)
    agree(state)
    for other in THREE:
        drawn = view(three, other)
        place = drawn.place(state.crosshair)
        row, column = drawn.position(place)
        np.testing.assert_allclose(drawn.plane.point(row, column), wished, atol=1e-6)
    assert abs(marked.place(state.crosshair).x() - at.x()) < 1e-6
    assert abs(marked.place(state.crosshair).y() - at.y()) < 1e-6


def test_a_move_without_shift_marks_nothing(three: Window) -> None:
    before = three.presenter.state.crosshair
    move(view(three, "axial"), QPointF(100, 150), NONE)
    assert three.presenter.state.crosshair == before


def test_the_crosshair_stays_in_the_volume(three: Window, qtbot) -> None:
    three.presenter.reformat.mark((1e4, -1e4, 1e4))
    state = settled(three, qtbot)
    agree(state)
    assert state.slice == 8
    assert state.marked.voxel == (8, 0, 27)


def test_the_wheel_moves_a_plane_by_a_layer_of_voxels(three: Window, qtbot) -> None:
    for name, axis, step in (("axial", 2, 3.0), ("coronal", 1, 0.75), ("sagittal", 0, -0.5)):
        before = three.presenter.state.crosshair
        wheel(view(three, name), 1)
        moved = np.subtract(settled(three, qtbot).crosshair, before)
        expected = np.zeros(3)
        expected[axis] = step
        np.testing.assert_allclose(moved, expected, atol=1e-9)
        agree(three.presenter.state)


def test_slices_and_crosshair_follow_each_other(three: Window, qtbot) -> None:
    before = three.presenter.state.crosshair
    three.run("next-slice")
    np.testing.assert_allclose(np.subtract(three.presenter.state.crosshair, before), (0, 0, 3), atol=1e-9)
    settled(three, qtbot)
    three.presenter.go_to(0)
    agree(settled(three, qtbot))
    x, y, _z = three.presenter.state.crosshair
    three.presenter.reformat.mark((x, y, 13.4))
    assert three.presenter.state.slice == 4
    state = settled(three, qtbot)
    assert state.crosshair == (x, y, 13.4)
    assert state.values is not None


def test_the_window_goes_for_all(three: Window, qtbot) -> None:
    low, high = three.presenter.state.levels
    view(three, "coronal").window_dragged.emit(50.0, 0.0)
    assert three.presenter.state.levels[1] - three.presenter.state.levels[0] > high - low
    assert all(view(three, n)._state.levels == three.presenter.state.levels for n in THREE)


def test_planes_are_cut_by_the_worker_and_the_latest_wish_wins(three: Window, qtbot, monkeypatch) -> None:
    threads = []
    real = reformat.resampled

    def noted(*given):
        threads.append(threading.current_thread().name)
        return real(*given)

    monkeypatch.setattr(reformat, "resampled", noted)
    x, y, z = three.presenter.state.crosshair
    for i in range(60):
        three.presenter.reformat.mark((x + 0.01 * i, y, z))
    state = settled(three, qtbot)
    agree(state)
    assert state.crosshair[0] == pytest.approx(x + 0.59)
    assert set(threads) == {"whyscope io"}
    # What has not moved is not cut again, and wishes that were overtaken are not either.
    assert len(threads) < 20


def test_nothing_of_another_series_is_drawn(three: Window, qtbot, monkeypatch) -> None:
    """The series changes while its planes are being cut: what comes late is dropped."""
    going, may_go = threading.Event(), threading.Event()
    real = reformat.resampled

    def slow(*given):
        going.set()
        assert may_go.wait(20)
        return real(*given)

    shown: list[ViewState] = []
    draw = three.show_state
    three.presenter._board._view = type(
        "Spy", (), {"show_state": lambda _self, s: (shown.append(s), draw(s))}
    )()
    monkeypatch.setattr(reformat, "resampled", slow)
    three.presenter.reformat.step("sagittal", 3)
    assert going.wait(20)
    three.presenter.choose_series(1)
    assert three.presenter.state.cuts == ()
    assert all(view(three, name).frame() is None for name in THREE)
    may_go.set()
    three.presenter.choose_series(0)
    three.presenter.choose_series(1)
    state = settled(three, qtbot)
    agree(state)
    assert state.series.shape[0] == 6
    assert all(cut.series is s.series for s in shown for cut in s.cuts)
    assert all(s.crosshair is not None for s in shown if s.three)


def test_what_is_no_volume_greys_the_layout_and_says_why(three: Window, qtbot) -> None:
    three.presenter.choose_series(2)
    state = settled(three, qtbot)
    button = three.top.layouts.buttons["3"]
    assert not button.isEnabled()
    assert "single image" in button.toolTip()
    assert three.plain.isVisible()
    assert not three.planes.isVisible()
    assert state.cuts == ()
    three.run("two-views")
    three.run("three-planes")
    assert three.presenter.state.layout == "1|1"
    assert "single image" in three.presenter.state.notice.text
    three.presenter.choose_series(0)
    assert button.isEnabled()


def test_a_volume_that_cannot_be_read_is_a_sentence(window: Window, study: Path, qtbot) -> None:
    window.presenter.open([study])
    settled(window, qtbot)
    sorted((study / "a").iterdir())[7].unlink()
    window.run("three-planes")
    state = settled(window, qtbot)
    assert "can no longer be opened" in state.notice.text
    assert state.flat == state.notice.text
    assert window.plain.isVisible()


def test_a_double_click_shows_one_plane_alone(three: Window, qtbot) -> None:
    qtbot.mouseDClick(view(three, "coronal"), Qt.MouseButton.LeftButton)
    assert three.presenter.state.enlarged == "coronal"
    assert [n for n in THREE if view(three, n).isVisible()] == ["coronal"]
    assert not three.planes.facts.isVisible()
    qtbot.wait(20)
    assert view(three, "coronal").width() > 0.95 * three.planes.width()
    qtbot.mouseDClick(view(three, "coronal"), Qt.MouseButton.LeftButton)
    assert all(view(three, n).isVisible() for n in THREE)


def test_a_slab_is_cut_anew(three: Window, qtbot) -> None:
    thin = [cut.values for cut in three.presenter.state.cuts]
    facts = three.planes.facts
    for combo, words in ((facts.thick, "10 mm"), (facts.how, "max")):
        combo.setCurrentText(words)
        combo.activated.emit(combo.currentIndex())
    state = settled(three, qtbot)
    assert state.slab == Slab(10.0, "max")
    for before, cut in zip(thin, state.cuts, strict=True):
        assert cut.plane.thickness == 10
        assert np.nansum(cut.values - before) > 0
        assert np.nanmin(cut.values - before) > -1e-3
    three.presenter.reformat.set_slab(Slab())
    assert np.array_equal(settled(three, qtbot).cuts[0].values, thin[0], equal_nan=True)


def test_the_probe_reads_native_values(three: Window, qtbot) -> None:
    coronal = view(three, "coronal")
    row, column = coronal.plane.index(affine.apply(three.presenter.state.series.geometry.matrix, (6, 9, 8)))[
        1:
    ]
    three.presenter.reformat.mark(
        tuple(affine.apply(three.presenter.state.series.geometry.matrix, (6, 9, 8)))
    )
    settled(three, qtbot)
    three.presenter.reformat.point("coronal", row, column)
    probed = three.presenter.state.probed
    assert (probed.slice, probed.row, probed.column) == (6, 9, 8)
    assert (probed.raw, probed.value) == ("1324", "300 HU")
    assert three.presenter.state.marked.value == "300 HU"
    three.presenter.reformat.point("coronal", None, None)
    assert three.presenter.state.probed is None


def test_the_map_of_a_volume_is_cut_with_the_image(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model", dimensions=3))
    state = settled(three, qtbot)
    for label in LABELS:
        three.presenter.explaining.choose_target(label)
        three.presenter.explaining.answer("show")
        state = settled(three, qtbot)
        assert state.attribution.target.words == label
        for cut in state.cuts:
            assert cut.attribution is state.attribution
            expected = overlay.on_plane(state.attribution, cut.plane, state.style.interpolation)
            np.testing.assert_array_equal(cut.map, expected)
            assert cut.map.shape == cut.values.shape
        assert [n for n in THREE if view(three, n)._with_bar()] == ["axial"]
    # Until the planes of another label are there, none is drawn in its place.
    three.presenter.explaining.choose_target(LABELS[0])
    for name in THREE:
        drawn = view(three, name)
        assert drawn._cut.attribution is not three.presenter.state.attribution
        assert np.isnan(drawn._state.map).all()
        drawn.grab()
        assert drawn.grab_map() is None or not drawn._map.anything
    assert view(three, "axial")._content()[1].top_right == (("image + map", "text"),)
    settled(three, qtbot)
    for name in THREE:
        assert view(three, name)._state.map is view(three, name)._cut.map


def test_the_next_evidence_is_where_the_crosshair_goes(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model", dimensions=3))
    state = settled(three, qtbot)
    three.run("next-evidence")
    state = settled(three, qtbot)
    agree(state)
    _slice, row, column = state.marked.voxel
    assert state.map[row, column] == np.nanmax(state.map)


def test_the_map_of_a_slice_lies_in_the_plane_of_the_slice_only(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model"))
    state = settled(three, qtbot)
    axial, sagittal, coronal = state.cuts
    assert state.attribution.slice == state.slice
    assert axial.remark is None
    assert np.isfinite(axial.map).any()
    for cut in (sagittal, coronal):
        assert cut.map is None
        assert "single slices" in cut.remark


def test_the_colour_bar_stands_where_the_map_is(window: Window, qtbot, tmp_path: Path) -> None:
    """The slices are sagittal, so the map of a network that reads slices lies in that plane."""
    for i in range(6):
        write_stack(
            tmp_path / "study" / str(i), 1, SOPInstanceUID=f"1.2.9.{i}", InstanceNumber=i,
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[3 * i, 0, 0],
        )  # fmt: skip
    window.presenter.explaining.load_model(write_model(tmp_path / "model"))
    window.presenter.open([tmp_path / "study"])
    settled(window, qtbot)
    window.run("three-planes")
    state = settled(window, qtbot)
    assert state.attribution is not None
    assert [cut.map is not None for cut in state.cuts] == [False, True, False]
    assert [n for n in THREE if view(window, n)._with_bar()] == ["sagittal"]


def test_the_lines_are_where_the_planes_meet(three: Window, qtbot) -> None:
    planes = {cut.plane.name: cut.plane for cut in three.presenter.state.cuts}
    assert direction(planes["axial"], planes["axial"]) is None
    for one in THREE:
        for other in THREE:
            if one == other:
                continue
            row, column = direction(planes[one], planes[other])
            way = planes[one].matrix[:3, 1] * row + planes[one].matrix[:3, 2] * column
            assert way @ planes[one].normal == pytest.approx(0, abs=1e-9)
            assert way @ planes[other].normal == pytest.approx(0, abs=1e-9)


def test_the_crosshair_is_painted_at_the_place_that_it_marks(three: Window, qtbot) -> None:
    """The block's voxel at the crosshair is bright in all views, and the lines are drawn beside it."""
    matrix = three.presenter.state.series.geometry.matrix
    for voxel, bright in (((5, 10, 14), True), ((4, 17, 24), False)):
        three.presenter.reformat.mark(tuple(float(v) for v in affine.apply(matrix, voxel)))
        settled(three, qtbot)
        for name in THREE:
            drawn = view(three, name)
            at = drawn.place(three.presenter.state.crosshair)
            shot = drawn.grab().toImage()
            ratio = shot.devicePixelRatio()
            grey = shot.pixelColor(round(at.x() * ratio), round(at.y() * ratio)).red()
            assert (grey > 120) == bright, (name, voxel, grey)


def test_segmentations_are_outlined_in_all_planes(window: Window, qtbot) -> None:
    window.presenter.open([demo.studies()[0]])
    settled(window, qtbot)
    window.presenter.choose_series(1)
    window.run("three-planes")
    state = settled(window, qtbot)
    (region,) = state.regions
    middle = [(n - 1) / 2 for n in region.mask.shape]
    voxel = affine.apply(region.matrix, middle)
    window.presenter.reformat.mark(tuple(affine.apply(state.series.geometry.matrix, voxel)))
    for cut in settled(window, qtbot).cuts:
        (drawn,) = cut.outlines
        assert drawn.name == "Nodule"
        row, column = cut.plane.index(window.presenter.state.crosshair)[1:]
        low, high = drawn.lines.min(axis=(0, 1)), drawn.lines.max(axis=(0, 1))
        assert (low < (row, column)).all()
        assert (high > (row, column)).all()


def test_the_facts_say_the_place(three: Window, qtbot) -> None:
    three.presenter.reformat.mark((-3.0, -12.5, 12.0))
    settled(three, qtbot)
    facts = three.planes.facts
    assert facts.where.full == "R 3.0 · A 12.5 · H 12.0 mm"
    assert facts.voxel.full == "Im 5 / 9 · row 10 · column 14"
    assert facts.volume.full == "9 × 20 × 28 · 3 × 0.75 × 0.5 mm"
    assert view(three, "coronal")._content()[1].top_left[0] == ("Coronal  A 12.5 mm", "text")
