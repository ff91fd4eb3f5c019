# SPDX-License-Identifier: Apache-2.0
"""A slice that is turned over: pixels, map, sides and hands go together, and nothing else moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from made import explained, series
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from pytestqt.qtbot import QtBot

from viewer import demo
from viewer.ui.state import Flips, ViewState
from viewer.ui.views.captions import Corners
from viewer.ui.views.picture import picture
from viewer.ui.views.slice_view import SliceView

WIDE = 425
"""Of a view, in pixels: the image then begins on a whole one."""
EVERY: tuple[Flips, ...] = ((True, False), (False, True), (True, True))


def uneven() -> ViewState:
    """An image and a map that look the same from no other side."""
    values = np.arange(40 * 30, dtype=np.float32).reshape(40, 30) % 97
    return explained(values, np.linspace(0, 1, values.size).reshape(values.shape) ** 2)


def silent(state: ViewState) -> ViewState:
    """The same without sides and a colour bar, whose texts lie on the image."""
    return state.changed(series=series(rows=40, columns=30, orientation_known=False))


def shown(qtbot: QtBot, state: ViewState, flips: Flips, seen: tuple[float, ...] | None = None) -> SliceView:
    result = SliceView()
    qtbot.addWidget(result)
    result.resize(WIDE, 300)
    drawn = picture(state.changed(flips=flips, seen=seen), state.views.active)
    result.show(replace(drawn, says=lambda _seen: type(drawn.says(True))(), bar=False))
    result.show()
    qtbot.waitExposed(result)
    return result


def pixels(view: SliceView) -> np.ndarray:
    """What the view paints below the line that says how it is flipped."""
    shot = view.grab().toImage()
    side = shot.bytesPerLine() // 4
    bits = np.frombuffer(shot.constBits(), np.uint8).reshape(shot.height(), side, 4)
    return bits[:, : shot.width(), :3].copy()


@pytest.mark.parametrize("flips", EVERY)
@pytest.mark.parametrize("seen", [None, (3.0, 5.0, 16.0, 12.0)])
def test_image_and_map_are_mirrored_to_the_pixel(
    qtbot: QtBot, flips: Flips, seen: tuple[float, ...] | None
) -> None:
    plain, turned = (pixels(shown(qtbot, silent(uneven()), f, seen)) for f in ((False, False), flips))
    mirrored = plain[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    inner = np.s_[40:260, 1:-1]  # above stand the words about it; an image may end within a border pixel
    assert plain[inner].std() > 20
    assert np.abs(turned[inner].astype(int) - mirrored[inner]).max() <= 2


@pytest.mark.parametrize("flips", EVERY)
def test_the_letters_change_places(flips: Flips) -> None:
    state = uneven()
    plain, turned = (picture(state.changed(flips=f), 1).letters for f in ((False, False), flips))
    assert plain is not None
    assert turned is not None
    assert turned[:2] == (plain[1::-1] if flips[0] else plain[:2])
    assert turned[2:] == (plain[:1:-1] if flips[1] else plain[2:])
    assert len(set(plain)) == 4


@pytest.mark.parametrize("flips", EVERY)
def test_it_is_said(qtbot: QtBot, flips: Flips) -> None:
    words = " and ".join(w for w, f in zip(("left–right", "top–bottom"), flips, strict=True) if f)
    plain, turned = (shown(qtbot, uneven(), f) for f in ((False, False), flips))
    for view in (plain, turned):
        view.grab()
    said = [next(w for w in view._written if isinstance(w, Corners)).top_right for view in (plain, turned)]
    assert said == [(), ((f"flipped {words}", "warning"),)]


@pytest.mark.parametrize("flips", EVERY)
def test_the_pointer_is_over_the_pixel_that_is_seen_there(qtbot: QtBot, flips: Flips) -> None:
    plain, turned = (shown(qtbot, uneven(), f) for f in ((False, False), flips))
    place = QPointF(250, 60)
    mirror = QPointF(WIDE - 250 if flips[0] else 250, 300 - 60 if flips[1] else 60)
    assert turned.position(mirror) == pytest.approx(plain.position(place))
    heard: list[tuple[float, float]] = []
    turned.pointer_moved.connect(lambda row, column: heard.append((row, column)))
    qtbot.mouseMove(turned, mirror.toPoint())
    assert heard[-1] == pytest.approx(plain.position(place))


@pytest.mark.parametrize("flips", EVERY)
def test_a_drag_takes_along_what_is_under_the_hand(qtbot: QtBot, flips: Flips) -> None:
    view = shown(qtbot, uneven(), flips, (3.0, 5.0, 16.0, 12.0))
    before = view.position(QPointF(200, 150))
    qtbot.mousePress(view, Qt.MouseButton.MiddleButton, pos=QPoint(200, 150))
    qtbot.mouseMove(view, QPoint(230, 130))
    qtbot.mouseRelease(view, Qt.MouseButton.MiddleButton, pos=QPoint(230, 130))
    assert view.position(QPointF(230, 130)) == pytest.approx(before)
    view.zoom(1.5, QPointF(230, 130))
    assert view.position(QPointF(230, 130)) == pytest.approx(before)


def test_a_flip_is_taken_back_and_ends_with_the_series(desk: Desk) -> None:
    study: Path = demo.studies()[0]
    desk.presenter.studies.open([study])
    first = desk.wait(lambda s: s.view.values is not None).view.series.uid
    desk.presenter.display.flip(0)
    assert {view.flips for view in desk.state.views.views} == {(True, False)}
    desk.presenter.display.flip(1)
    assert desk.state.view.flips == (True, True)
    desk.presenter.display.undo()
    assert desk.state.view.flips == (True, False)
    desk.presenter.go_to(1)
    assert desk.state.view.flips == (True, False)
    desk.presenter.studies.open([demo.studies()[1]])
    desk.wait(lambda s: s.view.series is not None and s.view.series.uid != first)
    assert desk.state.view.flips == (False, False)


def test_planes_and_the_contact_sheet_keep_the_sides(desk: Desk) -> None:
    desk.presenter.studies.open([demo.studies()[0]])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.display.choose_layout("sheet")
    desk.presenter.display.flip(0)
    assert desk.state.view.flips == (False, False)
    assert desk.state.shell.notice is not None
    assert desk.state.shell.notice.text.startswith("Only views of slices are flipped")


def test_an_unflipped_view_is_painted_as_ever(qtbot: QtBot) -> None:
    view = shown(qtbot, uneven(), (False, False))
    assert view.frame() == QRectF(100, 0, 225, 300)
    assert view._flips().isIdentity()
