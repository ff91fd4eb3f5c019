# SPDX-License-Identifier: Apache-2.0
"""Two views of one layout: linked they scroll and are windowed together, without a link each alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from test_three_planes import settled

from viewer import dicom
from viewer.ui.state import View
from viewer.ui.views.slice_view import SliceView
from viewer.ui.window import Window


def shown(window: Window) -> tuple[View, ...]:
    return window.presenter.state.views.views


def widget(window: Window, place: int) -> SliceView:
    return window.views.view(shown(window)[place].draws)


def scroll(window: Window, place: int, slices: int) -> None:
    view = widget(window, place)
    at = QPointF(view.rect().center())
    event = QWheelEvent(
        at, view.mapToGlobal(at), QPoint(), QPoint(0, -120 * slices), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view, event)


def drag(qtbot, window: Window, place: int) -> None:
    """A left drag to the right: a wider window."""
    view = widget(window, place)
    at = view.rect().center()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=at)
    qtbot.mouseMove(view, at + QPoint(60, 0))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=at + QPoint(60, 0))


@pytest.fixture
def two(window: Window, study: Path, qtbot) -> Window:
    """A series of five slices in both views."""
    window.presenter.studies.open([study / "a"])
    qtbot.waitUntil(lambda: window.presenter.state.view.values is not None)
    window.presenter.display.choose_layout("1|1")
    settled(window, qtbot)
    assert [view.slice for view in shown(window)] == [2, 2]
    return window


def unlink(window: Window) -> None:
    """Take the second view out of the group of the first."""
    first, second = shown(window)
    assert first.group == second.group
    window.presenter._store.show(views=(first, replace(second, group=second.group + 1)))


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("place", [0, 1])
def test_scroll_and_window_move_what_is_linked(two: Window, qtbot, place: int, linked: bool) -> None:
    if not linked:
        unlink(two)
    before, other = shown(two), 1 - place
    scroll(two, place, 1)
    settled(two, qtbot)
    after = shown(two)
    assert [after[i].slice for i in (place, other)] == [3, 3 if linked else 2]
    drag(qtbot, two, place)
    now = shown(two)
    widths = [view.levels[1] - view.levels[0] for view in now]
    assert widths[place] > before[place].levels[1] - before[place].levels[0]
    assert (now[other].levels == now[place].levels) == linked
    assert (now[other].window is None) != linked
    if not linked:
        assert now[other] is before[other]  # nothing of it was touched
    series = now[0].series
    assert series is not None
    for view in now:
        np.testing.assert_array_equal(view.values, dicom.modality_values(series, view.slice))
        assert widget(two, now.index(view))._picture.values is view.values


def test_the_other_of_two_views_without_a_link_goes_on_from_where_it_is(two: Window, qtbot) -> None:
    unlink(two)
    for place, slices in ((0, 1), (1, -1), (0, 1)):
        scroll(two, place, slices)
        settled(two, qtbot)
        assert two.presenter.state.views.active == place
    assert [view.slice for view in shown(two)] == [4, 1]
