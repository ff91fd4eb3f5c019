# SPDX-License-Identifier: Apache-2.0
"""A box that the reader drags, and its search: the same as the command line's, of its own series alone."""

from dataclasses import replace
from typing import Any

import numpy as np
from program import ROWS
from PySide6.QtCore import QPoint
from pytestqt.qtbot import QtBot
from test_placing import paths
from test_placing_window import CONTROL, LEFT, NONE, SLICES, deep, flat, pixel
from test_three_planes import settled, view

from viewer import affine, session
from viewer.types import Sweep
from viewer.ui.panels.explain import ExplainPanel
from viewer.ui.presenter import boxes
from viewer.ui.views.captions import swept_name
from viewer.ui.views.slice_view import SliceView
from viewer.ui.window import Window

__all__ = ["deep", "flat", "paths"]


def panel(window: Window) -> ExplainPanel:
    (found,) = window.findChildren(ExplainPanel)
    return found


def drag(qtbot: QtBot, shown: SliceView, first: QPoint, last: QPoint, held: Any = CONTROL) -> None:
    qtbot.mousePress(shown, LEFT, held, first)
    qtbot.mouseMove(shown, (first + last) / 2)
    qtbot.mouseMove(shown, last)
    qtbot.mouseRelease(shown, LEFT, held, last)


def drag_pixels(qtbot: QtBot, shown: SliceView, first: tuple[int, int], last: tuple[int, int]) -> None:
    drag(qtbot, shown, pixel(shown, *first), pixel(shown, *last))


def searched(window: Window, qtbot: QtBot) -> Any:
    window.presenter.patches.explain()
    return settled(window, qtbot)


def test_a_drag_with_ctrl_held_draws_a_box_that_waits(deep: Window, qtbot: QtBot) -> None:
    deep.presenter.go_to(4)
    settled(deep, qtbot)
    before = deep.presenter.state.view.levels
    drag_pixels(qtbot, deep.plain, (18, 25), (5, 6))
    state = settled(deep, qtbot)
    assert state.request.box == ((2.0, 5.0, 6.0), (6.0, 18.0, 25.0))  # as deep as a block, about the slice
    assert state.at == Sweep(((2.0, 5.0, 6.0), (6.0, 18.0, 25.0)))
    assert (state.view.levels, state.request.placed) == (before, None)
    assert state.answer.attribution is None  # many forwards wait for the reader
    model, series = deep.presenter.explaining._maps.model, state.view.series
    assert state.request.search.blocks == model.blocks(series, state.at) > 1
    assert "your box of" in swept_name(state, state.request.swept)
    assert panel(deep).patch.currentText() == "search your box"


def test_what_is_found_is_what_the_command_line_finds(deep: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, deep.plain, (3, 4), (16, 22))
    state = searched(deep, qtbot)
    (first, last), shown = state.request.box, state.answer.attribution
    model = deep.presenter.explaining._maps.model
    (one,) = session.ask(
        state.view.series, model, ["grad-cam"], state.request.target, None, Sweep((first, last))
    ).attributions
    np.testing.assert_allclose(shown.values, one.values, rtol=1e-4, atol=1e-6 * np.abs(one.values).max())
    np.testing.assert_allclose(shown.matrix, one.matrix)
    assert shown.swept.count == one.swept.count
    assert shown.looked_at.share(state.view.series.shape) < 1


def test_a_network_of_slices_searches_the_same_rows_of_each(flat: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, flat.mapped, (2, 3), (14, 20))
    for slice in (0, 5):
        flat.presenter.go_to(slice)
        assert settled(flat, qtbot).at == Sweep(((2.0, 3.0), (14.0, 20.0)))
    assert not panel(flat).slices.isVisible()


def test_another_plane_sets_what_the_first_left_open(deep: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, deep.plain, (5, 6), (18, 25))
    deep.run("three-planes")
    state = settled(deep, qtbot)
    box, series = state.request.box, state.view.series
    shown = view(deep, "coronal")
    frame = shown.frame().toRect()
    first, last = frame.topLeft() + QPoint(8, 8), frame.bottomRight() - QPoint(8, 8)
    inverse = affine.inverse(series.geometry.matrix)
    corners = [
        affine.apply(inverse, shown.plane.point(*shown.position(at.toPointF()))) for at in (first, last)
    ]
    drag(qtbot, shown, first, last)
    after = settled(deep, qtbot).request.box
    wished = np.clip(np.rint([np.min(corners, 0), np.max(corners, 0)]), 0, np.array(series.shape) - 1)
    for axis in (0, 2):
        assert (after[0][axis], after[1][axis]) == (wished[0][axis], wished[1][axis])
    assert (after[0][1], after[1][1]) == (box[0][1], box[1][1])  # the plane cuts it: its rows stay


def test_numbers_set_its_slices(deep: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, deep.plain, (5, 6), (18, 25))
    settled(deep, qtbot)
    assert panel(deep).slices.isVisibleTo(deep)
    panel(deep).slices.first.setValue(1)
    panel(deep).slices.last.setValue(SLICES)
    box = settled(deep, qtbot).request.box
    assert (box[0][0], box[1][0]) == (0, SLICES - 1)
    assert (panel(deep).slices.first.value(), panel(deep).slices.last.value()) == (1, SLICES)


def test_it_is_drawn_where_it_lies_and_goes_with_its_series(deep: Window, qtbot: QtBot) -> None:
    deep.presenter.go_to(4)
    settled(deep, qtbot)
    drag_pixels(qtbot, deep.plain, (5, 6), (18, 25))
    drawn = []
    for slice in range(SLICES):
        deep.presenter.go_to(slice)
        settled(deep, qtbot)
        lines = deep.mapped.border(searched=True)
        drawn += [slice] if len(lines) else []
        if len(lines):
            assert lines.reshape(-1, 2).min(0).tolist() == [4.5, 5.5]
            assert lines.reshape(-1, 2).max(0).tolist() == [18.5, 25.5]
    assert drawn == [2, 3, 4, 5, 6]
    deep.presenter.studies.choose_series(1)
    state = settled(deep, qtbot)
    assert (state.request.swept, state.request.searched) == (None, None)
    assert not len(deep.mapped.border(searched=True))


def test_a_click_goes_back_to_one_block_and_undo_to_the_box(deep: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, deep.plain, (5, 6), (18, 25))
    box = settled(deep, qtbot).request.box
    qtbot.mouseClick(deep.plain, LEFT, CONTROL, pixel(deep.plain, 9, 9))
    state = settled(deep, qtbot)
    assert (state.request.box, state.request.placed[-2:]) == (None, (9, 9))
    deep.presenter.display.undo()
    assert settled(deep, qtbot).request.box == box


def test_beyond_the_image_it_ends_at_the_border(deep: Window, qtbot: QtBot) -> None:
    drag(
        qtbot,
        deep.plain,
        pixel(deep.plain, 10, 10),
        QPoint(deep.plain.width() + 50, deep.plain.height() + 90),
    )
    first, last = settled(deep, qtbot).request.box
    assert (first[1:], last[1]) == ((10.0, 10.0), ROWS - 1)


def test_without_ctrl_or_with_another_model_nothing_is_drawn(deep: Window, qtbot: QtBot) -> None:
    drag(qtbot, deep.plain, pixel(deep.plain, 3, 3), pixel(deep.plain, 12, 12), NONE)
    assert deep.presenter.state.request.swept is None


def test_a_shorter_stack_keeps_what_lies_in_it(deep: Window, qtbot: QtBot) -> None:
    drag_pixels(qtbot, deep.plain, (5, 6), (18, 25))
    state = settled(deep, qtbot)
    series = state.view.series
    tall = boxes.with_slices(series, state.request.box, 0, SLICES + 4)
    assert (tall[0][0], tall[1][0]) == (0, SLICES - 1)
    request = replace(state.request, swept=((2.0, 5.0, 6.0), (SLICES + 3.0, 18.0, 25.0)))
    assert boxes.in_stack(series, request)["swept"] == ((2.0, 5.0, 6.0), (SLICES - 1.0, 18.0, 25.0))
