# SPDX-License-Identifier: Apache-2.0
"""Nothing that is written over an image covers another text, a letter, or the finding."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made import explained
from PySide6.QtCore import QRectF
from PySide6.QtGui import QFontMetricsF
from pytestqt.qtbot import QtBot

from viewer.ui.state import ViewState
from viewer.ui.views import captions, marks, writing
from viewer.ui.views.captions import Corners
from viewer.ui.views.picture import picture
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.theme import font

COLUMNS = 60


def shown(qtbot: QtBot, state: ViewState, width: int, height: int) -> SliceView:
    """The view with the map, drawn."""
    view = SliceView()
    qtbot.addWidget(view)
    view.resize(width, height)
    view.show(picture(state, state.views.active))
    view.grab()
    return view


def spot(left: float, right: float, rows: int = 40) -> np.ndarray:
    """A map of ones between two shares of its width, zero elsewhere."""
    values = np.zeros((rows, COLUMNS), np.float32)
    values[:, round(left * COLUMNS) : round(right * COLUMNS)] = 1
    return values


def made(map: np.ndarray) -> ViewState:
    state = explained(np.zeros(map.shape, np.float32), map)
    return state.changed(style=replace(state.views.style, threshold=0.5))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> dict[str, QRectF]:
    """What each text covers that is written."""
    covered: dict[str, QRectF] = {}
    real = marks.text

    def heard(painter, at, words, *more):
        covered[words] = real(painter, at, words, *more)
        return covered[words]

    monkeypatch.setattr(marks, "text", heard)
    return covered


SIZES = [(461, 648), (220, 300), (300, 260), (520, 320), (900, 640), (1400, 900)]


@pytest.mark.parametrize("flips", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("sign", ["positive", "signed"])
def test_no_text_covers_another(
    qtbot: QtBot, texts: dict[str, QRectF], width: int, height: int, flips: tuple[bool, bool], sign: Any
) -> None:
    state = made(spot(0.2, 0.6)).changed(flips=flips)
    state = state.changed(
        style=replace(state.views.style, sign=sign, range=(-1, 1) if sign == "signed" else (0, 1))
    )
    view = shown(qtbot, state, width, height)
    boxes = list(texts.items())
    for i, (one, box) in enumerate(boxes):
        for other, its in boxes[i + 1 :]:
            assert not box.intersects(its), (one, other)
        if view.bar is not None:
            assert not box.intersects(view.bar.box), one


@pytest.mark.parametrize(("width", "height"), SIZES[3:])
def test_no_text_is_cut_for_another(qtbot: QtBot, texts: dict[str, QRectF], width: int, height: int) -> None:
    """What is said of a flip stood beside the threshold, and cut it."""
    state = made(spot(0.2, 0.6)).changed(flips=(True, True))
    shown(qtbot, state, width, height)
    said = captions.explained(state, True)
    for words, _ in (*said.top_left, *said.top_right, *said.bottom_left, *said.bottom_right):
        assert not words or words in texts


@pytest.mark.parametrize(
    ("left", "right", "at_left"), [(0.0, 0.1, False), (0.9, 1.0, True), (0.4, 0.6, False), (0.7, 1.0, True)]
)
@pytest.mark.parametrize("flipped", [False, True])
def test_the_bar_stands_where_it_covers_less_of_the_map(
    qtbot: QtBot, left: float, right: float, at_left: bool, flipped: bool
) -> None:
    """The image is as high as the view, so that the bar must lie on it."""
    state = made(spot(left, right, rows=90)).changed(flips=(flipped, False))
    view = shown(qtbot, state, 400, 600)
    assert view.bar is not None
    assert view.bar.left is (at_left if not flipped or (left, right) == (0.4, 0.6) else not at_left)
    assert view.evidence_in(view.bar.covers.toAlignedRect()) == 0


def test_the_bar_keeps_its_side_until_it_must_leave(qtbot: QtBot) -> None:
    view = shown(qtbot, made(spot(0.9, 1.0, rows=90)), 400, 600)
    assert view.bar is not None
    assert view.bar.left
    for map, left in ((spot(0.4, 0.5, rows=90), True), (spot(0.0, 0.1, rows=90), False)):
        state = made(map)
        view.show(picture(state, state.views.active))
        view.grab()
        assert view.bar.left is left


def test_the_bar_stays_where_both_sides_are_covered_alike(qtbot: QtBot) -> None:
    view = shown(qtbot, made(spot(0.0, 1.0, rows=90)), 400, 600)
    for edge in (0.02, 0.98, 0.02):
        state = made(spot(0.0, edge, rows=90) if edge > 0.5 else spot(edge, 1.0, rows=90))
        view.show(picture(state, state.views.active))
        view.grab()
        assert view.bar is not None
        assert not view.bar.left


@pytest.mark.parametrize(("width", "height"), [(461, 648), (500, 800), (400, 700)])
def test_the_bar_stays_off_the_image_where_there_is_room(qtbot: QtBot, width: int, height: int) -> None:
    view = shown(qtbot, made(spot(0.2, 0.6, rows=46)), width, height)
    frame = view.frame()
    assert frame is not None
    assert view.bar is not None
    assert view.bar.box.bottom() < frame.top()
    view.zoom(3)
    view.grab()
    assert view.bar.box.height() > 100  # there is no such room any more


def test_the_bar_leaves_the_letters_free(qtbot: QtBot, texts: dict[str, QRectF]) -> None:
    for width, height in SIZES:
        texts.clear()
        view = shown(qtbot, made(spot(0.2, 0.6)), width, height)
        assert view.bar is not None or height < 300
        letters = [box for words, box in texts.items() if len(words) == 1 and words.isalpha()]
        assert len(letters) == 4
        assert view.bar is None or not any(box.intersects(view.bar.box) for box in letters)


def test_lines_that_would_meet_stand_below_each_other() -> None:
    one, other, short = ("a long line of text", "text"), ("and another one", "text"), ("x", "text")
    said = Corners((one, short), (other,), (one,), (other, short))
    narrow, wide = writing.apart(said, 240), writing.apart(said, 900)
    assert wide == said
    assert narrow.top_left == said.top_left
    assert [words for words, _ in narrow.top_right] == ["", other[0]]
    assert narrow.bottom_right == said.bottom_right
    assert [words for words, _ in narrow.bottom_left] == [one[0]]
    below = writing.apart(Corners((), (), (one,), (other,)), 240)
    assert [words for words, _ in below.bottom_left] == [one[0], ""]


LONG = (
    "Grad-CAM · blocks shows nothing for nodule here: its values come to 2.8e-5 logits, and up to "
    "0.00038 counts as nothing. "
    "Another method or layer may show more."
)


@pytest.mark.parametrize("width", [300, 461, 600, 900])
def test_a_remark_longer_than_the_view_is_said_in_full(qtbot: QtBot, width: int) -> None:
    said = writing.apart(Corners(bottom_left=((LONG, "warning"), ("short", "text"))), width)
    lines = [words for words, role in said.bottom_left if role == "warning"]
    assert " ".join(lines) == LONG
    metrics = QFontMetricsF(font())
    assert max(metrics.horizontalAdvance(words) for words in lines) <= width - 2 * marks.MARGIN
    assert said.bottom_left[-1] == ("short", "text")
