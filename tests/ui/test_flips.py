# SPDX-License-Identifier: Apache-2.0
"""A slice that is turned over: pixels, map, sides and hands go together, and nothing else moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from made import explained, series
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot
from scipy.ndimage import binary_dilation

from viewer import demo
from viewer.dicom import Graphics
from viewer.overlay import outline
from viewer.types import Field, Region
from viewer.ui.panels.explain_parts import BaselineThumbnails
from viewer.ui.panels.layer_strip import LayerStripView
from viewer.ui.state import Flips, ModelItem, Tile, ViewState
from viewer.ui.views import marks, tiles
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.picture import picture
from viewer.ui.views.slice_view import SliceView
from viewer.ui.views.tiles import TilePainter

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


def marked(state: ViewState, mark: str) -> ViewState:
    """The same with something that lies over the image, off its middle on both ways."""
    if mark == "overlay":
        over = np.zeros((40, 30), bool)
        over[6:9, 3:12] = True
        return state.changed(graphics=Graphics(over, None))
    if mark == "patch":
        matrix = np.eye(4)
        matrix[1:3, 3] = 6, 3
        return state.changed(patch=Field(matrix, (1, 5, 9)))
    assert state.view.series is not None
    region = Region.box(state.view.series, 0, (6, 3, 12, 9), "corner")
    return state.changed(outlines=outline.outlines((region,), 0))


@pytest.mark.parametrize("flips", EVERY)
@pytest.mark.parametrize("mark", ["outline", "overlay", "patch"])
def test_what_lies_over_the_image_is_mirrored_with_it(qtbot: QtBot, flips: Flips, mark: str) -> None:
    state = silent(uneven())
    plain, turned = (
        np.any(pixels(shown(qtbot, marked(state, mark), f)) != pixels(shown(qtbot, state, f)), axis=2)
        for f in ((False, False), flips)
    )
    mirrored = plain[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    assert plain.sum() > 100
    for one, other in ((turned, mirrored), (mirrored, turned)):  # a line may begin on the next pixel
        assert not (one & ~binary_dilation(other, np.ones((3, 3)))).any()


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
    said = [view._said().corners.top_right for view in (plain, turned)]
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


def small(state: ViewState) -> Tile:
    shown, map = state.answer.attribution, state.view.map
    assert shown is not None
    assert map is not None
    return Tile(shown, map, state.views.style, False)


def painted(state: ViewState, box: QRectF) -> np.ndarray:
    """The small map of a state in a box of a larger picture."""
    shot = QImage(140, 140, QImage.Format.Format_RGB32)
    shot.fill(0)
    painter = QPainter(shot)
    assert TilePainter(RenderCache()).draw(painter, state, small(state), box, 1.0, False) == ""
    painter.end()
    bits = np.frombuffer(shot.constBits(), np.uint8).reshape(140, 140, 4)
    return bits[:, :, :3].copy()


@pytest.mark.parametrize("flips", EVERY)
@pytest.mark.parametrize("box", [QRectF(10, 10, 120, 120), QRectF(10.3, 9.6, 120.4, 119.2)])
def test_a_small_map_lies_as_the_views_beside_it(flips: Flips, box: QRectF) -> None:
    plain, turned, sheet = (
        painted(uneven().changed(**changes), box)
        for changes in ({}, {"flips": flips}, {"flips": flips, "layout": "sheet"})
    )
    assert plain.std() > 20
    np.testing.assert_array_equal(sheet, plain)
    mirrored = plain[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1].astype(int)
    inner = np.s_[16:-16, 30:-30]
    apart = [
        np.abs(np.roll(mirrored, (down, across), (0, 1)) - turned)[inner].max()
        for down in range(-2, 3)  # the middle of a box need not be that of the picture
        for across in range(-2, 3)
    ]
    assert min(apart) <= 2
    assert np.abs(plain.astype(int) - turned)[inner].max() > 50


@pytest.mark.parametrize("flips", EVERY)
@pytest.mark.parametrize("layout", ["1", "sheet"])
def test_the_letters_of_a_small_picture_are_those_of_what_it_shows(
    flips: Flips, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(marks, "text", lambda _painter, _at, letter, *_more: said.append(letter))
    state = uneven().changed(flips=flips, layout=layout)
    shot = QImage(10, 10, QImage.Format.Format_RGB32)
    painter = QPainter(shot)
    tiles.sides(painter, state, QRectF(0, 0, 10, 10))
    painter.end()
    assert state.view.series is not None
    own = list((state.view.series.geometry.letters() or ())[:2])
    assert said == (own[::-1] if flips[0] and layout != "sheet" else own)
    assert len(set(own)) == 2


def test_the_layer_strip_and_the_baselines_turn_with_the_views(qtbot: QtBot) -> None:
    state = uneven()
    model = ModelItem("net", "00ff", "cpu", ("pneumonia",), ("a", "b"), (), False, ("a", "b"))
    state = state.changed(model=model, layer_strip=(small(state), small(state)))
    strip, baselines = LayerStripView(), BaselineThumbnails()
    for widget in (strip, baselines):
        qtbot.addWidget(widget)
    strip.resize(280, 140)

    def shot(state: ViewState) -> np.ndarray:
        strip.show(state)
        image = strip.row.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        bits = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
        box = strip.row.boxes()[0].toAlignedRect()
        return bits[box.top() + 4 : box.bottom() - 3, box.left() + 20 : box.right() - 19, :3].astype(int)

    plain, turned = shot(state), shot(state.changed(flips=(False, True)))
    assert np.abs(turned - plain).max() > 50
    assert np.abs(turned - plain[::-1]).mean() < np.abs(turned - plain).mean() / 4
    ramp = (20 * np.arange(12, dtype=np.uint8).reshape(3, 4),)
    pictures = []
    for flips in ((False, False), (True, True)):
        baselines.put(ramp, flips)
        pictures.append(baselines.findChildren(QLabel)[-1].pixmap().toImage())
    both = Qt.Orientation.Horizontal | Qt.Orientation.Vertical
    assert pictures[1] == pictures[0].flipped(both) != pictures[0]


@pytest.mark.parametrize("height", [300, 340, 420])
def test_what_is_said_of_the_flip_does_not_meet_the_colour_bar(
    qtbot: QtBot, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered: dict[str, QRectF] = {}
    real = marks.text

    def heard(painter, at, words, *more):
        covered[words] = real(painter, at, words, *more)
        return covered[words]

    monkeypatch.setattr(marks, "text", heard)
    view = SliceView()
    qtbot.addWidget(view)
    view.resize(WIDE, height)
    state = uneven().changed(flips=(True, True))
    view.show(picture(state, state.views.active))
    view.grab()
    said, unit = covered["flipped left–right and top–bottom"], covered[state.shown.unit]
    assert not said.intersects(unit)
    bar = view.bar and view.bar.box
    assert bar is not None
    assert unit.bottom() <= bar.top()


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
