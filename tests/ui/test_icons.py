# SPDX-License-Identifier: Apache-2.0
"""The icons are one set: one file each, one stroke, drawn in any colour at any size."""

import re
from importlib.resources import files
from typing import get_args

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from viewer.ui.widgets.icons import Icon, draw_icon

NAMES = get_args(Icon)
GROUND, INK = QColor("#161920"), QColor("#d9dee7")


def drawn(name: Icon, box: QRectF, colour: QColor, ratio: float = 1.0) -> QImage:
    """An icon on 32 × 32 of the ground."""
    image = QImage(round(32 * ratio), round(32 * ratio), QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(ratio)
    image.fill(GROUND)
    painter = QPainter(image)
    draw_icon(painter, name, box, colour)
    painter.end()
    return image


def inked(image: QImage) -> list[tuple[int, int]]:
    """The pixels that are no longer of the ground."""
    return [
        (x, y)
        for x in range(image.width())
        for y in range(image.height())
        if image.pixelColor(x, y) != GROUND
    ]


def test_there_is_one_file_for_each() -> None:
    assert sorted(one.name for one in (files("resources") / "icons").iterdir()) == sorted(
        f"{n}.svg" for n in NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_all_have_one_stroke_and_no_colour_of_their_own(name: str) -> None:
    drawing = (files("resources") / "icons" / f"{name}.svg").read_text("utf-8")
    assert 'viewBox="0 0 16 16" fill="none" stroke="currentColor"' in drawing
    assert re.findall(r'stroke-\w+="[^"]*"', drawing) == [
        'stroke-width="1.5"', 'stroke-linecap="round"', 'stroke-linejoin="round"',
    ]  # fmt: skip
    assert not re.search("#|rgb|style|opacity", drawing)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("side", "ratio"), [(12, 1.0), (16, 1.0), (20, 1.0), (16, 1.5)])
def test_it_fills_its_box_and_nothing_else(qapp, name: Icon, side: int, ratio: float) -> None:
    ink = inked(drawn(name, QRectF(5, 6, side, side), INK, ratio))
    for axis, start in ((0, 5), (1, 6)):
        first, last = min(p[axis] for p in ink), max(p[axis] for p in ink)
        assert first >= ratio * start - 1
        assert last <= ratio * (start + side)
        assert last - first + 1 >= 0.35 * ratio * side  # the arrow heads are the narrowest


def test_the_colour_is_the_one_asked_for(qapp) -> None:
    for colour in (INK, QColor("#f2b84b"), INK):  # what was drawn before does not colour what comes
        middle = drawn("close", QRectF(0, 0, 32, 32), colour).pixelColor(16, 16)
        assert middle == colour


def test_it_lies_where_its_box_lies_between_the_pixels(qapp) -> None:
    whole, half = (drawn("next", QRectF(x, 4, 16, 16), INK) for x in (4, 4.5))
    middles = [
        sum(x * i.pixelColor(x, y).lightness() for x, y in inked(i))
        / sum(i.pixelColor(x, y).lightness() for x, y in inked(i))
        for i in (whole, half)
    ]
    assert 0.3 < middles[1] - middles[0] < 0.7
