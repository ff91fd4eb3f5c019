# SPDX-License-Identifier: Apache-2.0
"""Three planes in the window: one crosshair in the patient, and never a picture of something else."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from program import COLUMNS, LABELS, ROWS, write_model, write_stack
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from viewer import affine, demo, overlay
from viewer.planes import ANATOMICAL, Point
from viewer.ui.presenter import mpr
from viewer.ui.state import Slab, ViewState
from viewer.ui.views.plane_view import PlaneView, direction
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
    window.presenter.studies.open([study])
    settled(window, qtbot)
    window.run("three-planes")
    settled(window, qtbot)
    return window


def settled(window: Window, qtbot) -> ViewState:
    qtbot.waitUntil(lambda: not window.presenter.working, timeout=30_000)
    qtbot.wait(20)
    return window.presenter.state


def view(window: Window, name: Any) -> PlaneView:
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
    assert [cut.plane.name for cut in state.planes.cuts] == list(THREE)
    for cut in state.planes.cuts:
        assert cut.series is state.view.series
        assert cut.plane.index(state.planes.crosshair)[0] == pytest.approx(0, abs=1e-6)
    voxel = affine.apply(affine.inverse(state.view.series.geometry.matrix), state.planes.crosshair)
    assert state.view.slice == round(float(voxel[0]))


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
    np.testing.assert_allclose(three.presenter.state.planes.crosshair, wished, atol=1e-9)
    state = settled(three, qtbot)
    agree(state)
    for other in THREE:
        drawn = view(three, other)
        place = drawn.place(state.planes.crosshair)
        row, column = drawn.position(place)
        np.testing.assert_allclose(drawn.plane.point(row, column), wished, atol=1e-6)
    assert abs(marked.place(state.planes.crosshair).x() - at.x()) < 1e-6
    assert abs(marked.place(state.planes.crosshair).y() - at.y()) < 1e-6


def test_a_move_without_shift_marks_nothing(three: Window) -> None:
    before = three.presenter.state.planes.crosshair
    move(view(three, "axial"), QPointF(100, 150), NONE)
    assert three.presenter.state.planes.crosshair == before


def test_the_crosshair_stays_in_the_volume(three: Window, qtbot) -> None:
    three.presenter.mpr.mark((1e4, -1e4, 1e4))
    state = settled(three, qtbot)
    agree(state)
    assert state.view.slice == 8
    assert state.planes.marked.voxel == (8, 0, 27)


def test_the_wheel_moves_a_plane_by_a_layer_of_voxels(three: Window, qtbot) -> None:
    for name, axis, step in (("axial", 2, 3.0), ("coronal", 1, 0.75), ("sagittal", 0, -0.5)):
        before = three.presenter.state.planes.crosshair
        wheel(view(three, name), 1)
        moved = np.subtract(settled(three, qtbot).planes.crosshair, before)
        expected = np.zeros(3)
        expected[axis] = step
        np.testing.assert_allclose(moved, expected, atol=1e-9)
        agree(three.presenter.state)


def test_slices_and_crosshair_follow_each_other(three: Window, qtbot) -> None:
    before = three.presenter.state.planes.crosshair
    three.run("next-slice")
    np.testing.assert_allclose(
        np.subtract(three.presenter.state.planes.crosshair, before), (0, 0, 3), atol=1e-9
    )
    settled(three, qtbot)
    three.presenter.go_to(0)
    agree(settled(three, qtbot))
    x, y, _z = three.presenter.state.planes.crosshair
    three.presenter.mpr.mark((x, y, 13.4))
    assert three.presenter.state.view.slice == 4
    state = settled(three, qtbot)
    assert state.planes.crosshair == (x, y, 13.4)
    assert state.view.values is not None


def test_the_window_goes_for_all(three: Window, qtbot) -> None:
    low, high = three.presenter.state.view.levels
    view(three, "coronal").window_dragged.emit(50.0, 0.0)
    assert three.presenter.state.view.levels[1] - three.presenter.state.view.levels[0] > high - low
    assert all(view(three, n)._state.view.levels == three.presenter.state.view.levels for n in THREE)


def test_planes_are_cut_by_the_worker_and_the_latest_wish_wins(three: Window, qtbot, monkeypatch) -> None:
    threads = []
    real = mpr.resampled  # type: ignore[attr-defined]

    def noted(*given):
        threads.append(threading.current_thread().name)
        return real(*given)

    monkeypatch.setattr(mpr, "resampled", noted)
    x, y, z = three.presenter.state.planes.crosshair
    for i in range(60):
        three.presenter.mpr.mark((x + 0.01 * i, y, z))
    state = settled(three, qtbot)
    agree(state)
    assert state.planes.crosshair[0] == pytest.approx(x + 0.59)
    assert set(threads) == {"whyscope io"}
    # What has not moved is not cut again, and wishes that were overtaken are not either.
    assert len(threads) < 20


def test_nothing_of_another_series_is_drawn(three: Window, qtbot, monkeypatch) -> None:
    """The series changes while its planes are being cut: what comes late is dropped."""
    going, may_go = threading.Event(), threading.Event()
    real = mpr.resampled  # type: ignore[attr-defined]

    def slow(*given):
        going.set()
        assert may_go.wait(20)
        return real(*given)

    shown: list[ViewState] = []
    draw = three.show_state
    three.presenter._store._view = type(
        "Spy", (), {"show_state": lambda _self, s: (shown.append(s), draw(s))}
    )()
    monkeypatch.setattr(mpr, "resampled", slow)
    three.presenter.mpr.step("sagittal", 3)
    assert going.wait(20)
    three.presenter.studies.choose_series(1)
    assert three.presenter.state.planes.cuts == ()
    assert all(view(three, name).frame() is None for name in THREE)
    may_go.set()
    three.presenter.studies.choose_series(0)
    three.presenter.studies.choose_series(1)
    state = settled(three, qtbot)
    agree(state)
    assert state.view.series.shape[0] == 6
    assert all(cut.series is s.view.series for s in shown for cut in s.planes.cuts)
    assert all(s.planes.crosshair is not None for s in shown if s.three)


def test_what_is_no_volume_greys_the_layout_and_says_why(three: Window, qtbot) -> None:
    three.presenter.studies.choose_series(2)
    state = settled(three, qtbot)
    button = three.top.layouts.buttons["3"]
    assert not button.isEnabled()
    assert "single image" in button.toolTip()
    assert three.plain.isVisible()
    assert not three.planes.isVisible()
    assert state.planes.cuts == ()
    three.run("two-views")
    three.run("three-planes")
    assert three.presenter.state.views.layout == "1|1"
    assert "single image" in three.presenter.state.shell.notice.text
    three.presenter.studies.choose_series(0)
    assert button.isEnabled()


def test_hidden_planes_keep_no_series_that_is_gone(three: Window, qtbot) -> None:
    first = three.presenter.state.view.series
    three.run("one-view")
    three.presenter.studies.choose_series(1)
    now = settled(three, qtbot).view.series
    assert now is not first
    for name in THREE:
        hidden = view(three, name)
        assert hidden._state.view.series is now
        assert (hidden._view.values, hidden._cut) == (None, None)


def test_a_volume_that_cannot_be_read_is_a_sentence(window: Window, study: Path, qtbot) -> None:
    window.presenter.studies.open([study])
    settled(window, qtbot)
    sorted((study / "a").iterdir())[7].unlink()
    window.run("three-planes")
    state = settled(window, qtbot)
    assert "can no longer be opened" in state.shell.notice.text
    assert state.planes.flat == state.shell.notice.text
    assert window.plain.isVisible()


def test_a_double_click_shows_one_plane_alone(three: Window, qtbot) -> None:
    qtbot.mouseDClick(view(three, "coronal"), Qt.MouseButton.LeftButton)
    assert three.presenter.state.planes.enlarged == "coronal"
    assert [n for n in THREE if view(three, n).isVisible()] == ["coronal"]
    assert not three.planes.facts.isVisible()
    qtbot.wait(20)
    assert view(three, "coronal").width() > 0.95 * three.planes.width()
    qtbot.mouseDClick(view(three, "coronal"), Qt.MouseButton.LeftButton)
    assert all(view(three, n).isVisible() for n in THREE)


def test_a_slab_is_cut_anew(three: Window, qtbot) -> None:
    thin = [cut.values for cut in three.presenter.state.planes.cuts]
    facts = three.planes.facts
    for combo, words in ((facts.thick, "10 mm"), (facts.how, "max")):
        combo.setCurrentText(words)
        combo.activated.emit(combo.currentIndex())
    state = settled(three, qtbot)
    assert state.planes.slab == Slab(10.0, "max")
    for before, cut in zip(thin, state.planes.cuts, strict=True):
        assert cut.plane.thickness == 10
        assert np.nansum(cut.values - before) > 0
        assert np.nanmin(cut.values - before) > -1e-3
    three.presenter.mpr.set_slab(Slab())
    assert np.array_equal(settled(three, qtbot).planes.cuts[0].values, thin[0], equal_nan=True)


def test_the_probe_reads_native_values(three: Window, qtbot) -> None:
    coronal = view(three, "coronal")
    place: Any = affine.apply(three.presenter.state.view.series.geometry.matrix, (6, 9, 8))
    _, row, column = coronal.plane.index(place)
    three.presenter.mpr.mark(
        tuple(affine.apply(three.presenter.state.view.series.geometry.matrix, (6, 9, 8)))
    )
    settled(three, qtbot)
    three.presenter.mpr.point("coronal", row, column)
    probed = three.presenter.state.shell.probed
    assert (probed.slice, probed.row, probed.column) == (6, 9, 8)
    assert (probed.raw, probed.value) == ("1324", "300 HU")
    assert three.presenter.state.planes.marked.value == "300 HU"
    three.presenter.mpr.point("coronal", None, None)
    assert three.presenter.state.shell.probed is None


def test_the_map_of_a_volume_is_cut_with_the_image(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model", dimensions=3))
    state = settled(three, qtbot)
    for label in LABELS:
        three.presenter.explaining.choose_target(label)
        three.presenter.explaining.take_action("show")
        state = settled(three, qtbot)
        assert state.answer.attribution.target.words == label
        for cut in state.planes.cuts:
            assert cut.of is state.answer.attribution
            expected = overlay.on_plane(state.answer.attribution, cut.plane, state.views.style.interpolation)
            np.testing.assert_array_equal(cut.map, expected)
            assert cut.map.shape == cut.values.shape
        assert [n for n in THREE if view(three, n)._picture.bar] == ["axial"]
    # Until the planes of another label are there, none is drawn in its place.
    three.presenter.explaining.choose_target(LABELS[0])
    for name in THREE:
        drawn = view(three, name)
        assert drawn._cut.of is not three.presenter.state.answer.attribution
        assert np.isnan(drawn._view.map).all()
        drawn.grab()
        assert drawn.grab_map() is None or not drawn._map.anything
    assert view(three, "axial")._corners(True).top_right == (("image + map", "text"),)
    settled(three, qtbot)
    for name in THREE:
        assert view(three, name)._view.map is view(three, name)._cut.map


def test_the_next_evidence_is_where_the_crosshair_goes(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model", dimensions=3))
    state = settled(three, qtbot)
    three.presenter.display.set_style("threshold", 1e-6)  # in the range of all labels this one is blank
    three.run("next-evidence")
    state = settled(three, qtbot)
    agree(state)
    _slice, row, column = state.planes.marked.voxel
    assert state.view.map[row, column] == np.nanmax(state.view.map)


def test_the_map_of_a_slice_lies_in_the_plane_of_the_slice_only(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model"))
    state = settled(three, qtbot)
    axial, sagittal, coronal = state.planes.cuts
    assert state.answer.attribution.slice == state.view.slice
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
    window.presenter.studies.open([tmp_path / "study"])
    settled(window, qtbot)
    window.run("three-planes")
    state = settled(window, qtbot)
    assert state.answer.attribution is not None
    assert [cut.map is not None for cut in state.planes.cuts] == [False, True, False]
    assert [n for n in THREE if view(window, n)._picture.bar] == ["sagittal"]


def test_the_lines_are_where_the_planes_meet(three: Window, qtbot) -> None:
    planes = {cut.plane.name: cut.plane for cut in three.presenter.state.planes.cuts}
    assert direction(planes["axial"], planes["axial"].normal) is None
    for one in THREE:
        for other in THREE:
            if one == other:
                continue
            row, column = direction(planes[one], planes[other].normal)
            way = planes[one].matrix[:3, 1] * row + planes[one].matrix[:3, 2] * column
            assert way @ planes[one].normal == pytest.approx(0, abs=1e-9)
            assert way @ planes[other].normal == pytest.approx(0, abs=1e-9)


def test_the_crosshair_is_painted_at_the_place_that_it_marks(three: Window, qtbot) -> None:
    """The block's voxel at the crosshair is bright in all views, and the lines are drawn beside it."""
    matrix = three.presenter.state.view.series.geometry.matrix
    for voxel, bright in (((5, 10, 14), True), ((4, 17, 24), False)):
        x, y, z = affine.apply(matrix, voxel).tolist()
        three.presenter.mpr.mark((x, y, z))
        settled(three, qtbot)
        for name in THREE:
            drawn = view(three, name)
            at = drawn.place(three.presenter.state.planes.crosshair)
            shot = drawn.grab().toImage()
            ratio = shot.devicePixelRatio()
            grey = shot.pixelColor(round(at.x() * ratio), round(at.y() * ratio)).red()
            assert (grey > 120) == bright, (name, voxel, grey)


def test_segmentations_are_outlined_in_all_planes(window: Window, qtbot) -> None:
    window.presenter.studies.open([demo.studies()[0]])
    settled(window, qtbot)
    window.presenter.studies.choose_series(1)
    window.run("three-planes")
    state = settled(window, qtbot)
    (region,) = state.regions.regions
    middle = [(n - 1) / 2 for n in region.mask.shape]
    voxel = affine.apply(region.matrix, middle)
    window.presenter.mpr.mark(tuple(affine.apply(state.view.series.geometry.matrix, voxel)))
    for cut in settled(window, qtbot).planes.cuts:
        (drawn,) = cut.outlines
        assert drawn.name == "Nodule"
        row, column = cut.plane.index(window.presenter.state.planes.crosshair)[1:]
        low, high = drawn.lines.min(axis=(0, 1)), drawn.lines.max(axis=(0, 1))
        assert (low < (row, column)).all()
        assert (high > (row, column)).all()


def drag(widget: PlaneView, *places: QPointF) -> None:
    """Press the left button at the first place, go through the others, and let go at the last."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    kinds = QMouseEvent.Type
    steps = [(kinds.MouseButtonPress, places[0], left, left)]
    steps += [(kinds.MouseMove, at, none, left) for at in places[1:]]
    steps += [(kinds.MouseButtonRelease, places[-1], left, none)]
    for kind, at, button, held in steps:
        event = QMouseEvent(kind, at, widget.mapToGlobal(at), button, held, NONE)
        QApplication.sendEvent(widget, event)


def turn(widget: PlaneView, degrees: float) -> None:
    """Drag one of the rings about the crosshair, clockwise."""
    ring = widget.handles()[0][0]
    middle = widget.place(widget._state.planes.crosshair)
    arm = ring - middle
    places = []
    for part in (0, 0.3, 0.7, 1):
        a = np.deg2rad(degrees * part)
        x, y = arm.x() * np.cos(a) - arm.y() * np.sin(a), arm.x() * np.sin(a) + arm.y() * np.cos(a)
        places.append(middle + QPointF(float(x), float(y)))
    drag(widget, *places)


def test_a_ring_turns_the_other_two_planes(three: Window, qtbot) -> None:
    crosshair, levels = three.presenter.state.planes.crosshair, three.presenter.state.view.levels
    axial = view(three, "axial")
    before = {name: view(three, name).plane for name in THREE}
    turn(axial, 25)
    state = settled(three, qtbot)
    agree(state)
    assert state.planes.crosshair == crosshair
    assert state.view.levels == levels
    np.testing.assert_array_equal(axial.plane.matrix, before["axial"].matrix)
    for name in ("sagittal", "coronal"):
        plane = view(three, name).plane
        cosine = plane.normal @ before[name].normal
        assert np.rad2deg(np.arccos(cosine)) == pytest.approx(25, abs=1e-6)
        assert plane.normal @ axial.plane.normal == pytest.approx(0, abs=1e-12)
        # Clockwise in the axial picture, whose rows run to the left and columns to the back.
        assert np.cross(before[name].normal, plane.normal) @ axial.plane.normal > 0
    assert view(three, "coronal").plane.letters() == ("RA", "LP", "H", "F")
    title = view(three, "coronal")._corners(True).top_left[0][0]
    assert title.startswith("Coronal, tilted 25.0°  ")
    assert three.planes.facts.along.currentText() == "turned by hand"
    # The line that is drawn lies where the plane is now, and the rings lie on it.
    row, column = direction(axial.plane, view(three, "coronal").plane.normal)
    assert np.rad2deg(np.arctan2(row, column)) % 180 == pytest.approx(25)
    middle = axial.place(crosshair)
    for at, name in axial.handles():
        away = at - middle
        normal = view(three, name).plane.normal
        step = axial.plane.matrix[:3, 1] * away.y() + axial.plane.matrix[:3, 2] * away.x()
        assert step @ normal == pytest.approx(0, abs=1e-6)


def test_what_is_marked_is_the_same_place_on_turned_planes_too(three: Window, qtbot, tmp_path: Path) -> None:
    three.presenter.explaining.load_model(write_model(tmp_path / "model", dimensions=3))
    settled(three, qtbot)
    turn(view(three, "axial"), 30)
    settled(three, qtbot)
    turn(view(three, "sagittal"), -20)
    settled(three, qtbot)
    for name in THREE:
        marked = view(three, name)
        frame = marked.frame()
        at = QPointF(round(frame.center().x() + 6), round(frame.center().y() - 5))
        wished = marked.plane.point(*marked.position(at))
        move(marked, at)
        np.testing.assert_allclose(three.presenter.state.planes.crosshair, wished, atol=1e-9)
        state = settled(three, qtbot)
        agree(state)
        for other in THREE:
            drawn = view(three, other)
            np.testing.assert_allclose(
                drawn.plane.point(*drawn.position(drawn.place(wished))), wished, atol=1e-6
            )
    for cut in state.planes.cuts:
        expected = overlay.on_plane(state.answer.attribution, cut.plane, state.views.style.interpolation)
        np.testing.assert_array_equal(cut.map, expected)
        assert np.isfinite(cut.map).any()


def test_planes_go_back_to_the_patients_axes_or_onto_the_slices(three: Window, qtbot) -> None:
    straight = [cut.plane.matrix for cut in three.presenter.state.planes.cuts]
    turn(view(three, "coronal"), 40)
    settled(three, qtbot)
    three.run("patient-planes")
    for cut, matrix in zip(settled(three, qtbot).planes.cuts, straight, strict=True):
        np.testing.assert_array_equal(cut.plane.matrix, matrix)
    facts = three.planes.facts
    assert facts.along.currentText() == "patient's axes"
    facts.along.setCurrentIndex(2)  # no wish that could be fulfilled
    facts.along.activated.emit(2)
    assert facts.along.currentText() == "patient's axes"
    turn(view(three, "coronal"), 40)
    settled(three, qtbot)
    three.presenter.studies.choose_series(1)  # another series begins along the axes
    assert settled(three, qtbot).planes.ways == ANATOMICAL


def test_a_drag_beside_the_rings_sets_the_window(three: Window, qtbot) -> None:
    axial, levels = view(three, "axial"), three.presenter.state.view.levels
    middle = axial.place(three.presenter.state.planes.crosshair)
    drag(axial, middle + QPointF(3, 3), middle + QPointF(60, 3))
    assert three.presenter.state.view.levels != levels
    assert three.presenter.state.planes.ways == ANATOMICAL


def test_an_enlarged_part_stays_where_it_was_seen(three: Window, qtbot) -> None:
    sagittal = view(three, "sagittal")
    sagittal.zoom(3.0)
    before = sagittal.place(three.presenter.state.planes.crosshair)
    scale = sagittal.frame().width() / sagittal.plane.shape[1] / sagittal.plane.pixel
    turn(view(three, "axial"), 30)
    state = settled(three, qtbot)
    after = sagittal.place(state.planes.crosshair)
    assert (after - before).manhattanLength() < 1e-6
    assert sagittal.frame().width() / sagittal.plane.shape[1] / sagittal.plane.pixel == pytest.approx(scale)


def test_a_slab_askew_follows_its_thin_plane(three: Window, qtbot, monkeypatch) -> None:
    turn(view(three, "axial"), 30)
    settled(three, qtbot)
    going, may_go = threading.Event(), threading.Event()
    real = mpr._thick

    def slow(*given):
        going.set()
        assert may_go.wait(20)
        return real(*given)

    monkeypatch.setattr(mpr, "_thick", slow)
    three.presenter.mpr.set_slab(Slab(6.0, "max"))
    qtbot.waitUntil(going.is_set, timeout=10_000)
    thin = three.presenter.state.planes.cuts
    assert [cut.slab for cut in thin] == [Slab(6.0, "max"), Slab(), Slab()]  # the axial one lies in the grid
    words = [view(three, name)._corners(True).top_left[1] for name in THREE]
    assert words == [(f"maximum of 6 mm{end}", "text") for end in ("", " …", " …")]
    may_go.set()
    state = settled(three, qtbot)
    agree(state)
    for cut, before in zip(state.planes.cuts, thin, strict=True):
        assert cut.slab == Slab(6.0, "max")
        assert cut.plane.thickness == 6
        assert np.nanmin(cut.values - before.values) > -1e-2
    assert np.nansum(state.planes.cuts[1].values - thin[1].values) > 0


def test_a_slab_in_the_making_is_given_up_for_another_place(three: Window, qtbot, monkeypatch) -> None:
    turn(view(three, "axial"), 30)
    settled(three, qtbot)
    going, ended = threading.Event(), []
    real = mpr._thick

    def slow(shown, cut, slab, task):
        going.set()
        if not ended:
            ended.append("waited")
            while not task.cancelled:
                threading.Event().wait(0.005)
            ended.append("cancelled")
            task.check()
        return real(shown, cut, slab, task)

    monkeypatch.setattr(mpr, "_thick", slow)
    three.presenter.mpr.set_slab(Slab(6.0, "max"))
    qtbot.waitUntil(going.is_set, timeout=10_000)
    x, y, z = three.presenter.state.planes.crosshair
    three.presenter.mpr.mark((x + 1.3, y - 1.1, z))
    state = settled(three, qtbot)
    assert ended == ["waited", "cancelled"]
    agree(state)
    assert all(cut.slab == Slab(6.0, "max") for cut in state.planes.cuts)


def shaped(folder: Path, inside: Callable[[np.ndarray], np.ndarray], **tags: Any) -> Path:
    """A CT of 40 slices of 60 × 72 pixels, at 1024 where a place in LPS millimetres is inside, else at 0."""
    spacing, along, step = tags["spacing"], np.array(tags["along"], float), np.array(tags["step"], float)
    rows, columns = np.indices((60, 72))
    for i in range(40):
        origin = np.array([-25.0, -20.0, 0.0]) + step * i
        lps = origin + along[:3] * columns[..., None] * spacing[1] + along[3:] * rows[..., None] * spacing[0]
        pixels = np.where(inside(lps), 2048, 1024).astype(np.int16)
        write_stack(
            folder / str(i), 1, SOPInstanceUID=f"1.2.9.{i}", InstanceNumber=i, Rows=60, Columns=72,
            PixelSpacing=list(spacing), ImageOrientationPatient=[float(v) for v in along],
            ImagePositionPatient=[float(v) for v in origin], PixelData=pixels.tobytes(),
        )  # fmt: skip
    return folder


def shown_at(window: Window, folder: Path, point: Point, qtbot) -> ViewState:
    """The window on a study in three planes, the crosshair on a place."""
    window.presenter.studies.open([folder])
    settled(window, qtbot)
    window.run("three-planes")
    settled(window, qtbot)
    window.presenter.mpr.mark(point)
    return settled(window, qtbot)


@pytest.mark.parametrize("turned", [False, True])
def test_a_ball_in_a_tilted_gantry_is_round_in_all_planes(
    window: Window, tmp_path: Path, qtbot, turned: bool
) -> None:
    """Slices inclined by 18°, moved straight along the table; the ball's radius is 9 mm."""
    tilt, centre, radius = np.deg2rad(18), np.array([3.0, 9.0, 28.0]), 9.0
    folder = shaped(
        tmp_path / "study", lambda lps: np.linalg.norm(lps - centre, axis=-1) <= radius,
        spacing=(0.8, 0.7), along=(1, 0, 0, 0, np.cos(tilt), np.sin(tilt)), step=(0, 0, 1.5),
    )  # fmt: skip
    state = shown_at(window, folder, tuple(centre), qtbot)
    assert any("slant" in w or "tilt" in w for w in state.view.series.warnings)
    if turned:
        window.presenter.mpr.turn("axial", 0.7)
        window.presenter.mpr.turn("sagittal", -0.4)
        state = settled(window, qtbot)
    for cut in state.planes.cuts:
        row, column = cut.plane.index(tuple(centre))[1:]
        lit = np.nan_to_num(cut.values) > 512
        rows, columns = np.nonzero(lit)
        assert np.sqrt(lit.sum() / np.pi) * cut.plane.pixel == pytest.approx(radius, abs=0.35)
        assert (rows.mean(), columns.mean()) == pytest.approx((row, column), abs=1)
        away = np.hypot(rows - row, columns - column)
        edge = np.hypot(*np.subtract(np.nonzero(lit & ~inner(lit)), [[row], [column]]))
        voxel = 1.5  # millimetres: what is marked in whole voxels is round to about half of the largest
        assert np.abs(edge * cut.plane.pixel - radius).max() <= cut.plane.pixel + voxel / 2
        assert away.max() * cut.plane.pixel <= radius + cut.plane.pixel + voxel / 2
        drawn = view(window, cut.plane.name)  # and a pixel of the screen is as wide as it is high
        frame = drawn.frame()
        assert frame.width() / cut.plane.shape[1] == pytest.approx(frame.height() / cut.plane.shape[0])


def inner(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask with all four neighbours in it."""
    wide = np.pad(mask, 1)
    return wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]


def test_a_cube_measures_right_in_all_planes(window: Window, tmp_path: Path, qtbot) -> None:
    """Pixels of 0.9 × 0.5 mm and slices of 1.4 mm: a cube of 14 mm is one on the screen too."""
    centre = np.array([-7.0, 6.0, 28.0])
    folder = shaped(
        tmp_path / "study", lambda lps: np.abs(lps - centre).max(axis=-1) <= 7.0,
        spacing=(0.9, 0.5), along=(1, 0, 0, 0, 1, 0), step=(0, 0, 1.4),
    )  # fmt: skip
    state = shown_at(window, folder, tuple(centre), qtbot)
    voxel = {"L": 0.5, "P": 0.9, "H": 1.4}
    across = {"axial": "PL", "sagittal": "HP", "coronal": "HL"}
    for cut in state.planes.cuts:
        lit = np.nan_to_num(cut.values) > 512
        for axis, side in zip((1, 0), across[cut.plane.name], strict=True):
            length = lit.any(axis).sum() * cut.plane.pixel
            assert length == pytest.approx(14, abs=voxel[side] + cut.plane.pixel), (cut.plane.name, side)
        drawn = view(window, cut.plane.name)
        frame = drawn.frame()
        size = frame.width() / cut.plane.shape[1], frame.height() / cut.plane.shape[0]
        assert size[0] == pytest.approx(size[1])


def overlaid(folder: Path) -> Path:
    """Nine slices with a shutter, on the fifth of them an overlay with one mark."""
    edges = dict(zip(("Left", "Right"), (10, 26), strict=True))
    tags: dict[str, Any] = {f"Shutter{side}VerticalEdge": place for side, place in edges.items()}
    tags |= {"ShutterUpperHorizontalEdge": 2, "ShutterLowerHorizontalEdge": 18}
    write_stack(folder, 9, ShutterShape="RECTANGULAR", **tags)
    path = sorted(folder.iterdir())[4]
    file = pydicom.dcmread(path)
    mark = np.zeros((ROWS, COLUMNS), np.uint8)
    mark[12, 17] = 1
    for element, vr, value in (
        (0x10, "US", ROWS), (0x11, "US", COLUMNS), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
        (0x100, "US", 1), (0x102, "US", 0),
        (0x3000, "OW", np.packbits(mark, bitorder="little").tobytes()),
    ):  # fmt: skip
        file.add_new((0x6000, element), vr, value)
    file.save_as(path)
    return folder


def test_what_a_file_lays_over_its_slices_is_drawn_on_the_plane_that_lies_on_one(
    window: Window, tmp_path: Path, qtbot
) -> None:
    state = shown_at(window, overlaid(tmp_path / "study"), (-1.5, -11.0, 12.0), qtbot)
    assert state.view.slice == 4
    axial, *others = state.planes.cuts
    marks = np.argwhere(axial.graphics.overlay)
    matrix = state.view.series.geometry.matrix
    row, column = axial.plane.index(tuple(affine.apply(matrix, (4, 12, 17))))[1:]
    assert np.abs(marks - (row, column)).max() <= 1
    assert marks.shape[0] * axial.plane.pixel**2 == pytest.approx(0.75 * 0.5, abs=0.15)
    hidden = axial.graphics.shutter.mean()
    assert hidden == pytest.approx(1 - 17 * 17 / (ROWS * COLUMNS), abs=0.03)
    words = {n: [text for text, _ in view(window, n)._corners(True).bottom_left] for n in THREE}
    assert "overlay and shutter" in words["axial"]
    for cut in others:
        assert cut.graphics is None
        assert "overlay and shutter: only on acquired slices" in words[cut.plane.name]
    # The shutter covers a part of the bright block, the key takes it away.
    corner = view(window, "axial").place(tuple(affine.apply(matrix, (4, 6, 7))))

    def brightness() -> int:
        return int(view(window, "axial").grab().toImage().pixelColor(corner.toPoint()).red())

    assert brightness() == 0
    window.run("annotations")
    assert brightness() > 120
    assert not any("only on" in text for text, _ in view(window, "coronal")._corners(True).bottom_left)
    window.run("annotations")
    window.presenter.go_to(5)
    state = settled(window, qtbot)
    assert state.planes.cuts[0].graphics.overlay is None
    assert state.planes.cuts[0].graphics.shutter.any()
    turn(view(window, "sagittal"), 20)
    assert [cut.graphics for cut in settled(window, qtbot).planes.cuts] == [None] * 3
    window.run("acquired-planes")
    assert settled(window, qtbot).planes.cuts[0].graphics is not None


def test_the_facts_say_the_place(three: Window, qtbot) -> None:
    three.presenter.mpr.mark((-3.0, -12.5, 12.0))
    settled(three, qtbot)
    facts = three.planes.facts
    assert facts.where.full == "R 3.0 · A 12.5 · H 12.0 mm"
    assert facts.voxel.full == "Im 5 / 9 · row 10 · column 14"
    assert facts.volume.full == "9 × 20 × 28 · 3 × 0.75 × 0.5 mm"
    assert view(three, "coronal")._corners(True).top_left[0] == ("Coronal  A 12.5 mm", "text")
