# SPDX-License-Identifier: Apache-2.0
"""A patch in the real window: placed with Ctrl and a click through zoom and pan, its border, its row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import companion_files as files
import numpy as np
import pytest
from program import COLUMNS, ROWS, write_model
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from test_placing import patch_model, paths
from test_three_planes import THREE, settled, view

from viewer import affine
from viewer.overlay.outline import border
from viewer.types import Field
from viewer.ui.state import WHOLE, ViewState
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.theme import DARK
from viewer.ui.window import Window

__all__ = ["paths"]

CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier
LEFT = Qt.MouseButton.LeftButton
SLICES = 9


def opened(window: Window, qtbot: QtBot, study: Path, model: Path) -> Window:
    window.presenter.explaining.load_model(model)
    window.presenter.studies.open([study])
    settled(window, qtbot)
    assert window.presenter.state.answer.attribution is not None
    return window


@pytest.fixture
def flat(window: Window, qtbot: QtBot, paths: Path, tmp_path: Path) -> Window:
    """A network that reads a patch of a slice."""
    return opened(window, qtbot, paths, patch_model(tmp_path / "model"))


@pytest.fixture
def deep(window: Window, qtbot: QtBot, paths: Path, tmp_path: Path) -> Window:
    """A network that reads a patch of a volume."""
    return opened(window, qtbot, paths, patch_model(tmp_path / "model", 3))


def pixel(shown: SliceView, row: float, column: float) -> QPoint:
    """Where a pixel's middle lies on a view, worked out from its frame alone."""
    frame = shown.frame()
    down, across = frame.height() / shown._rows, frame.width() / shown._columns
    return QPoint(round(frame.x() + (column + 0.5) * across), round(frame.y() + (row + 0.5) * down))


def click(qtbot: QtBot, shown: SliceView, row: float, column: float) -> None:
    qtbot.mouseClick(shown, LEFT, CONTROL, pixel(shown, row, column))


def ends(lines: np.ndarray) -> tuple[list[float], list[float]]:
    """The least and the most row and column of a border."""
    return lines.reshape(-1, 2).min(0).tolist(), lines.reshape(-1, 2).max(0).tolist()


# --- clicks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "mapped"])
def test_ctrl_and_a_click_place_the_patch_on_the_voxel_below(flat: Window, qtbot: QtBot, name: str) -> None:
    shown: SliceView = getattr(flat, name)
    for row, column in ((4, 6), (0, 0), (ROWS - 1, COLUMNS - 1), (13, 21)):
        click(qtbot, shown, row, column)
        assert flat.presenter.state.request.placed == (row, column)
    settled(flat, qtbot)
    middle = affine.apply(flat.presenter.state.answer.prediction.input.matrix, (0, 3.5, 3.5))
    assert middle[1:] == pytest.approx((13, 21), abs=0.5)


def test_the_voxel_is_found_through_zoom_and_pan(flat: Window, qtbot: QtBot) -> None:
    shown = flat.mapped
    for factor, about, step in (
        (3.0, QPointF(100, 200), QPointF(40, -25)), (2.5, QPointF(300, 260), QPointF(-70, 30)),
    ):  # fmt: skip
        shown.zoom(factor, about)
        shown.pan(step)
        inside = QRectF(shown.rect())
        seen = [
            (r, c)
            for r in range(ROWS)
            for c in range(COLUMNS)
            if inside.contains(QPointF(pixel(shown, r, c)))
        ]
        for row, column in seen[:: max(1, len(seen) // 5)]:
            click(qtbot, shown, row, column)
            assert flat.presenter.state.request.placed == (row, column)


def test_a_click_with_ctrl_neither_drags_nor_maximises(flat: Window, qtbot: QtBot) -> None:
    levels, layout = flat.presenter.state.view.levels, flat.presenter.state.views.layout
    at = pixel(flat.mapped, 5, 9)
    qtbot.mousePress(flat.mapped, LEFT, CONTROL, at)
    qtbot.mouseMove(flat.mapped, at + QPoint(40, 25))
    qtbot.mouseRelease(flat.mapped, LEFT, CONTROL, at + QPoint(40, 25))
    qtbot.mouseDClick(flat.mapped, LEFT, CONTROL, at)
    assert (flat.presenter.state.view.levels, flat.presenter.state.views.layout) == (levels, layout)
    (_, *first), _last = flat.presenter.state.request.box  # a drag draws what is searched
    assert first == [5, 9]


def test_other_clicks_and_other_models_place_nothing(flat: Window, qtbot: QtBot, tmp_path: Path) -> None:
    at = pixel(flat.mapped, 5, 9)
    qtbot.mouseClick(flat.mapped, LEFT, NONE, at)
    qtbot.mouseClick(flat.mapped, Qt.MouseButton.RightButton, CONTROL, at)
    assert flat.presenter.state.request.placed is None
    flat.presenter.explaining.load_model(write_model(tmp_path / "whole"))
    settled(flat, qtbot)
    qtbot.mouseClick(flat.mapped, LEFT, CONTROL, at)
    assert flat.presenter.state.request.placed is None
    assert flat.presenter.state.shell.notice is None  # as without Ctrl
    assert not len(flat.mapped.border())


def test_in_a_volume_the_slice_counts(deep: Window, qtbot: QtBot) -> None:
    deep.presenter.go_to(6)
    settled(deep, qtbot)
    click(qtbot, deep.plain, 12, 20)
    assert deep.presenter.state.request.placed == (6, 12, 20)


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_in_three_planes_a_click_is_a_voxel_of_the_patient(
    window: Window, qtbot: QtBot, paths: Path, tmp_path: Path, name: str, dimensions: int
) -> None:
    three = opened(window, qtbot, paths, patch_model(tmp_path / "model", dimensions))
    three.run("three-planes")
    state = settled(three, qtbot)
    shown = view(three, name)
    shown.zoom(1.4, QPointF(150, 120))
    at = QPoint(171, 133)
    point = shown.plane.point(*shown.position(QPointF(at)))
    voxel = affine.apply(affine.inverse(state.view.series.geometry.matrix), point)
    wished = tuple(int(i) for i in np.clip(np.rint(voxel), 0, np.array(state.view.series.shape) - 1))
    qtbot.mouseClick(shown, LEFT, CONTROL, at)
    state = settled(three, qtbot)
    assert state.request.placed == wished[3 - dimensions :]
    assert state.view.slice == wished[0]
    np.testing.assert_allclose(
        affine.apply(affine.inverse(state.view.series.geometry.matrix), state.planes.crosshair),
        voxel,
        atol=0.51,
    )
    assert state.answer.attribution is not None
    (said,) = state.answer.attribution.predictions
    field = three.presenter.explaining._maps.model.field(
        state.view.series, None if dimensions == 3 else wished[0], state.request.placed
    )
    np.testing.assert_array_equal(said.input.matrix, field.matrix)


def test_keys_place_it_at_the_pointer_and_in_the_middle(flat: Window, qtbot: QtBot) -> None:
    qtbot.mouseMove(flat.plain, pixel(flat.plain, 11, 17))
    qtbot.waitUntil(lambda: flat.presenter.state.shell.probed is not None)
    qtbot.keyClick(flat, Qt.Key.Key_B)
    assert flat.presenter.state.request.placed == (11, 17)
    qtbot.keyClick(flat, Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier)
    assert flat.presenter.state.request.placed is None


def test_the_key_places_it_at_the_crosshair(deep: Window, qtbot: QtBot) -> None:
    deep.run("three-planes")
    state = settled(deep, qtbot)
    deep.presenter.point(None, None)
    deep.presenter.mpr.mark(state.view.series.geometry.position(3))
    deep.run("place-patch")
    assert deep.presenter.state.request.placed == (3, 0, 0)


# --- border ---------------------------------------------------------------------------------------


def test_the_border_is_drawn_round_the_patch_and_nowhere_else(flat: Window, qtbot: QtBot) -> None:
    click(qtbot, flat.mapped, 9, 14)
    state = settled(flat, qtbot)
    for shown in (flat.plain, flat.mapped):
        assert ends(shown.border()) == ([4.5, 9.5], [12.5, 17.5])
        rows, columns = accent(shown)
        first, last = shown.frame().topLeft(), shown.frame().bottomRight()
        down = (last.y() - first.y()) / ROWS
        across = (last.x() - first.x()) / COLUMNS
        assert (rows.min(), rows.max()) == pytest.approx(
            (first.y() + 5 * down, first.y() + 13 * down), abs=1.01
        )
        assert (columns.min(), columns.max()) == pytest.approx(
            (first.x() + 10 * across, first.x() + 18 * across), abs=1.01
        )
    seen = np.argwhere(np.isfinite(state.view.map))
    assert (seen.min(0).tolist(), seen.max(0).tolist()) == ([5, 10], [12, 17])
    flat.run("outlines")
    assert not accent(flat.plain)[0].size


def accent(shown: SliceView) -> tuple[Any, Any]:
    """Rows and columns of the pixels of a view in the colour of the border, below and above its texts."""
    picture = shown.grab().toImage().convertToFormat(shown.grab().toImage().Format.Format_RGB32)
    pixels = np.frombuffer(picture.constBits(), np.uint32).reshape(picture.height(), -1) & 0xFFFFFF
    frame = shown.frame().toAlignedRect().adjusted(-2, -2, 2, 2)
    rows, columns = np.nonzero(pixels == QColor(DARK.accent).rgb() & 0xFFFFFF)
    kept = (rows >= frame.top()) & (rows <= frame.bottom())
    texts = (rows < 90) | (rows > shown.height() - 100)
    return rows[kept & ~texts], columns[kept & ~texts]


def test_in_a_volume_the_border_lies_on_its_slices_only(deep: Window, qtbot: QtBot) -> None:
    deep.presenter.explaining.look((4, 9, 14))
    settled(deep, qtbot)
    drawn = []
    for slice in range(SLICES):
        deep.presenter.go_to(slice)
        settled(deep, qtbot)
        mapped = np.isfinite(deep.presenter.state.view.map).any()
        assert bool(len(deep.mapped.border())) == mapped
        drawn += [slice] if mapped else []
    assert drawn == [2, 3, 4, 5]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_in_three_planes_the_border_is_where_each_plane_cuts_the_patch(
    window: Window, qtbot: QtBot, paths: Path, tmp_path: Path, dimensions: int
) -> None:
    three = opened(window, qtbot, paths, patch_model(tmp_path / "model", dimensions))
    three.run("three-planes")
    settled(three, qtbot)
    three.presenter.go_to(4)
    state = settled(three, qtbot)
    x, y, z = affine.apply(state.view.series.geometry.matrix, (4, 9, 14))
    three.presenter.patches.place_at((float(x), float(y), float(z)))
    state = settled(three, qtbot)
    low, high = {2: ((3.5, 4.5, 9.5), (4.5, 12.5, 17.5)), 3: ((1.5, 4.5, 9.5), (5.5, 12.5, 17.5))}[dimensions]
    for name in THREE:
        shown = view(three, name)
        lines = shown.border()
        voxels = affine.apply(
            affine.inverse(state.view.series.geometry.matrix),
            [shown.plane.point(float(r), float(c)) for r, c in lines.reshape(-1, 2)],
        )
        free = [i for i in range(3) if np.ptp(voxels[:, i]) > 1e-3]
        assert len(free) == 2
        for i in free:
            assert (voxels[:, i].min(), voxels[:, i].max()) == pytest.approx((low[i], high[i]), abs=1e-3)
    three.presenter.patches.middle()
    three.presenter.go_to(0)
    state = settled(three, qtbot)
    if dimensions == 3:
        assert not len(view(three, "axial").border())


def test_an_oblique_plane_cuts_the_field_in_a_polygon_whose_corners_lie_on_its_edges() -> None:
    dice = np.random.default_rng(3)
    for _ in range(40):
        turn, _r = np.linalg.qr(dice.normal(size=(3, 3)))
        picture = np.eye(4)
        picture[:3, :3] = turn
        field = Field(affine.scale_offset((1.5, 0.5, 2), (3, -2, 5)), (4, 9, 7))
        picture[:3, 3] = affine.apply(field.matrix, dice.uniform(0, np.array(field.shape) - 1))
        lines = border(field, picture)
        assert 3 <= len(lines) <= 6
        places = np.insert(lines.reshape(-1, 2), 0, 0, axis=1)
        index = affine.apply(affine.inverse(field.matrix) @ picture, places)
        away = np.minimum(np.abs(index + 0.5), np.abs(index - np.array(field.shape) + 0.5))
        assert ((away < 1e-4).sum(1) >= 2).all()
        assert ((index > -0.501) & (index < np.array(field.shape) - 0.499)).all()
        assert np.array_equal(lines[:, 1], np.roll(lines[:, 0], -1, axis=0))
        far = np.array(picture)
        far[:3, 3] += turn[:, 0] * 50
        assert not len(border(field, far))


# --- the row --------------------------------------------------------------------------------------


def entries(window: Window) -> list[tuple[str, Any]]:
    combo = window.explaining.patch
    return [(combo.itemText(i), combo.itemData(i)) for i in range(combo.count())]


def choose(window: Window, place: int) -> None:
    """As by hand: the signal tells only what a person does."""
    window.explaining.patch.setCurrentIndex(place)
    window.explaining.patch.activated.emit(place)


def test_the_row_is_there_for_such_models_only(flat: Window, qtbot: QtBot, tmp_path: Path) -> None:
    assert flat.explaining.patch.isVisibleTo(flat)
    assert entries(flat) == [("one block", None), ("search the whole slice", WHOLE)]
    flat.presenter.explaining.load_model(write_model(tmp_path / "whole"))
    settled(flat, qtbot)
    assert not flat.explaining.patch.isVisibleTo(flat)
    assert not flat.explaining._patch_name.isVisibleTo(flat)


def test_a_sweep_is_chosen_run_and_left(deep: Window, qtbot: QtBot) -> None:
    one = deep.presenter.state.answer.attribution
    assert entries(deep)[1] == ("search the whole scan", WHOLE)
    choose(deep, 1)
    state = settled(deep, qtbot)
    assert state.answer.attribution is None
    qtbot.mouseClick(deep.explaining.run_bar.run, LEFT)
    state = settled(deep, qtbot)
    assert len(state.answer.attribution.predictions) > 1
    many = len(state.answer.attribution.predictions)
    assert deep.prediction.answer.region.text().startswith(f"of the best of {many} blocks, each ")
    choose(deep, 0)
    assert deep.presenter.state.answer.attribution is one


def test_regions_are_offered_and_greyed_where_they_do_not_lie(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = tmp_path / "brought"
    files.segmentation(folder / "seg.dcm", files.stack(folder, "1.2.70", 1.0))
    model = patch_model(tmp_path / "model", accepts={"modality": ["MR"]})
    opened(window, qtbot, folder, model)
    assert [text for text, _source in entries(window)[2:]] == [f"search thing {n}" for n in (1, 2, 3)]
    run: Callable[[], bool] = window.explaining.run_bar.run.isEnabled
    choose(window, 3)
    assert run()
    window.presenter.go_to(0)
    state: ViewState = settled(window, qtbot)
    assert not run()
    assert window.explaining.run_bar.run.toolTip() == "thing 2 does not lie on this slice."
    assert state.request.swept is not None
    window.presenter.go_to(3)
    settled(window, qtbot)
    assert run()


def test_the_hand_shows_that_a_click_would_place(flat: Window, qtbot: QtBot, tmp_path: Path) -> None:
    at = pixel(flat.mapped, 5, 9)

    def shape(held: Qt.KeyboardModifier) -> Qt.CursorShape:
        none = Qt.MouseButton.NoButton
        place = QPointF(at)
        move = QMouseEvent(
            QMouseEvent.Type.MouseMove, place, flat.mapped.mapToGlobal(place), none, none, held
        )
        QApplication.sendEvent(flat.mapped, move)
        return flat.mapped.cursor().shape()

    assert shape(CONTROL) == Qt.CursorShape.CrossCursor
    assert shape(NONE) == Qt.CursorShape.ArrowCursor
    flat.presenter.explaining.load_model(write_model(tmp_path / "whole"))
    settled(flat, qtbot)
    assert shape(CONTROL) == Qt.CursorShape.ArrowCursor
