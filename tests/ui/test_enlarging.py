# SPDX-License-Identifier: Apache-2.0
"""Fit, actual size, reset, and one view in the room of all: with mouse, keys and buttons."""

import pytest
from hands import settled
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from viewer.ui.state import UNFLIPPED
from viewer.ui.views import captions
from viewer.ui.views.slice_view import SliceView
from viewer.ui.window import Window

SHIFT = Qt.KeyboardModifier.ShiftModifier


def seen(window: Window) -> list[SliceView]:
    return [view for view in window.findChildren(SliceView) if view.isVisible()]


def column_on_screen(view: SliceView) -> float:
    """Pixels of the screen that a column of the image takes."""
    frame, values = view.frame(), view._picture.values
    assert frame is not None
    assert values is not None
    return frame.width() * view.devicePixelRatioF() / values.shape[1]


def press(window: Window, qtbot: QtBot, key: Qt.Key, held: Qt.KeyboardModifier | None = None) -> None:
    qtbot.keyClick(window, key, held or Qt.KeyboardModifier.NoModifier)


def test_keys_show_the_image_in_actual_size_and_whole_again(explained: Window, qtbot: QtBot) -> None:
    whole = column_on_screen(explained.mapped)
    press(explained, qtbot, Qt.Key.Key_Z)
    assert column_on_screen(explained.mapped) == pytest.approx(1, rel=0.01)
    assert column_on_screen(explained.plain) == pytest.approx(1, rel=0.01)
    press(explained, qtbot, Qt.Key.Key_F)
    assert column_on_screen(explained.mapped) == pytest.approx(whole)
    assert explained.presenter.state.view.seen is None


def test_buttons_do_the_same_and_name_their_keys(explained: Window, qtbot: QtBot) -> None:
    buttons = explained.display.image
    qtbot.mouseClick(buttons["actual-size"], Qt.MouseButton.LeftButton)
    assert column_on_screen(explained.mapped) == pytest.approx(1, rel=0.01)
    qtbot.mouseClick(buttons["fit-image"], Qt.MouseButton.LeftButton)
    assert explained.presenter.state.view.seen is None
    assert [button.toolTip().rpartition(" ")[2] for button in buttons.values()] == ["(F)", "(Z)", "(Shift+F)"]


def test_actual_size_is_of_the_part_that_was_looked_at(explained: Window, qtbot: QtBot) -> None:
    view = explained.mapped
    view.zoom(40.0, QPointF(view.width() / 3, view.height() / 2))
    before = view.position(QPointF(view.width() / 2, view.height() / 2))
    press(explained, qtbot, Qt.Key.Key_Z)
    after = view.position(QPointF(view.width() / 2, view.height() / 2))
    assert after == pytest.approx(before, abs=0.01)


def test_reset_takes_back_zoom_flips_and_window_and_is_taken_back_itself(
    explained: Window, qtbot: QtBot
) -> None:
    explained.mapped.zoom(3.0)
    press(explained, qtbot, Qt.Key.Key_X)
    press(explained, qtbot, Qt.Key.Key_I)
    explained.mapped.window_dragged.emit(40.0, 10.0)
    changed = explained.presenter.state.view
    assert changed.window is not None
    assert changed.seen is not None
    assert changed.flips != UNFLIPPED
    press(explained, qtbot, Qt.Key.Key_F, SHIFT)
    now = explained.presenter.state.view
    assert (now.seen, now.flips, now.window, now.inverted) == (None, UNFLIPPED, None, not changed.inverted)
    explained.run("undo")
    back = explained.presenter.state.view
    assert (back.seen, back.flips, back.window) == (changed.seen, changed.flips, changed.window)


@pytest.mark.parametrize("name", ["plain", "mapped"])
def test_the_view_that_is_clicked_twice_is_enlarged(explained: Window, qtbot: QtBot, name: str) -> None:
    view: SliceView = getattr(explained, name)
    room = explained.views.width()
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert seen(explained) == [view]
    qtbot.waitUntil(lambda: view.width() == room)
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert seen(explained) == [explained.plain, explained.mapped]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_view_of_a_comparison_is_enlarged(explained: Window, qtbot: QtBot, place: int) -> None:
    explained.run("compare")
    settled(explained, qtbot)
    view = explained.compare.views[place]
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert seen(explained) == [view]
    assert not explained.compare.facts.isVisible()
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert seen(explained) == list(explained.compare.views)


def test_a_plane_is_enlarged_and_zoomed_by_key(explained: Window, qtbot: QtBot) -> None:
    explained.run("three-planes")
    settled(explained, qtbot)
    view = explained.planes.views["coronal"]
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert seen(explained) == [view]
    press(explained, qtbot, Qt.Key.Key_Z)
    assert column_on_screen(view) == pytest.approx(1, rel=0.01)
    press(explained, qtbot, Qt.Key.Key_F)
    assert view._seen is None


def test_another_layout_shows_all_of_its_views(explained: Window, qtbot: QtBot) -> None:
    qtbot.mouseDClick(explained.plain, Qt.MouseButton.LeftButton)
    explained.run("compare")
    settled(explained, qtbot)
    assert len(seen(explained)) == 3


@pytest.mark.parametrize("layout", ["one-view", "enlarged"])
def test_a_map_alone_says_what_its_image_says(explained: Window, qtbot: QtBot, layout: str) -> None:
    if layout == "enlarged":
        qtbot.mouseDClick(explained.mapped, Qt.MouseButton.LeftButton)
    else:
        explained.run("one-view")
    settled(explained, qtbot)
    (view,) = seen(explained)
    said, image = view._picture.says(True), captions.plain(explained.presenter.state)
    assert said.top_left[:2] == image.top_left
    assert said.bottom_left[-2:] == image.bottom_left[-2:]
    assert ("image + map", "text") in said.top_right


def test_the_buttons_rest_where_there_is_nothing_to_zoom(explained: Window, qtbot: QtBot) -> None:
    explained.run("sheet")
    settled(explained, qtbot)
    assert not any(button.isEnabled() for button in explained.display.image.values())
