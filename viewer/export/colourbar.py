# SPDX-License-Identifier: Apache-2.0
"""The colour bar of an exported picture: numbers, threshold, and blank where the map is blank."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from viewer.export.drawing import LEADING, LINE, QUIET, TEXT, elide, font, wrap, write
from viewer.overlay import coloured, shown_range
from viewer.types import Overlay, Style
from viewer.wording import number

BAR = 104
"""Width of the gutter that holds the bar, right of a view."""
_WIDTH, _LONGEST, _APART = 14, 320, 16
_UNIT_LINES = 3


def colour_bar(frame: Image.Image, overlay: Overlay, x: int, height: int) -> None:
    """Draw the bar of an overlay into the gutter that begins at column `x` of a frame."""
    style = overlay.style
    length = min(_LONGEST, height - 180)
    top, left = (height - length) // 2, x + 4
    low, high = shown_range(style)
    values = np.linspace(high, low, length, dtype=np.float32)[:, None]
    opaque = coloured(np.repeat(values, _WIDTH, axis=1), replace(style, opacity=1.0))
    frame.paste(Image.fromarray(opaque), (left, top), Image.fromarray(opaque[..., 3]))
    draw = ImageDraw.Draw(frame)
    draw.rectangle((left - 1, top - 1, left + _WIDTH, top + length), outline=LINE)
    lines = wrap(overlay.map.unit, font(), BAR - 8)
    if len(lines) > _UNIT_LINES:
        lines = [*lines[: _UNIT_LINES - 1], f"{lines[_UNIT_LINES - 1]}…"]
    for i, line in enumerate(reversed(lines)):
        write(draw, (left - 1, top - 14 - i * LEADING), elide(line, font(), BAR - 8), QUIET)
    for y, value, at in _ticks(style, top, length):
        marked = abs(value) == style.threshold and value != 0
        right = left + _WIDTH
        if marked:
            draw.polygon([(right + 2, at), (right + 8, at - 4), (right + 8, at + 4)], fill=TEXT)
        else:
            draw.line((right + 2, at, right + 6, at), fill=QUIET)
        write(draw, (right + 12, y), number(value, sign=True), TEXT, font(), "lm")


def _ticks(style: Style, top: int, length: int) -> list[tuple[float, float, float]]:
    """(place of the number, value, place on the bar) from top to bottom, the numbers apart."""
    low, high = shown_range(style)
    marks = {high, low, 0.0, style.threshold}
    if style.sign == "signed":
        marks.add(-style.threshold)
    inside = sorted((m for m in marks if low <= m <= high), reverse=True)
    span = (high - low) or 1.0
    ticks: list[tuple[float, float, float]] = []
    for value in inside:
        at = top + (high - value) / span * (length - 1)
        ticks.append((max(at, ticks[-1][0] + _APART) if ticks else at, value, at))
    return ticks
