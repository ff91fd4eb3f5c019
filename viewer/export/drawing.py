# SPDX-License-Identifier: Apache-2.0
"""Colours, type and the few marks of an exported picture."""

import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from PIL import ImageDraw, ImageFont, features

from viewer.wording import clean

BACK, IMAGE, PANEL, LINE = "#0e1014", "#000000", "#161920", "#2a303b"
TEXT, QUIET, ACCENT, CHOSEN = "#d9dee7", "#8b93a3", "#56c4ff", "#22303d"
WARNING, STOP = "#f2b84b", "#ff6b6b"
BAR_QUIET = "#5b8db3"

LEADING = 18
"""Pixels from one line of 13 px text to the next."""

_Font = ImageFont.FreeTypeFont
Draw = ImageDraw.ImageDraw


@cache
def font(size: int = 13, bold: bool = False) -> _Font:
    """Inter from the program's own files, so that a picture looks the same on every machine."""
    name = "Inter-SemiBold.otf" if bold else "Inter-Regular.otf"
    return ImageFont.truetype(io.BytesIO((files("resources") / "fonts" / name).read_bytes()), size)


@cache
def _tabular() -> list[str] | None:
    # Digits of one width, where the text engine can choose them.
    return ["tnum"] if features.check("raqm") else None


def width(text: str, face: _Font) -> float:
    return face.getlength(text)


def elide(text: str, face: _Font, room: float) -> str:
    """The text, its middle replaced by "…" where it is wider than `room` pixels."""
    text = clean(text)
    if width(text, face) <= room:
        return text
    low, high = 0, len(text)
    while low < high:  # the most characters that fit
        keep = (low + high + 1) // 2
        low, high = (keep, high) if width(_shortened(text, keep), face) <= room else (low, keep - 1)
    return _shortened(text, low)


def _shortened(text: str, keep: int) -> str:
    head = (keep + 1) // 2
    return f"{text[:head].rstrip()}…{text[len(text) - (keep - head) :].lstrip()}"


def wrap(text: str, face: _Font, room: float) -> list[str]:
    """Lines no wider than `room` pixels; a word that is wider alone is broken, nothing is lost."""
    lines: list[str] = []
    line = ""
    for word in clean(text).split():
        longer = f"{line} {word}" if line else word
        if width(longer, face) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        while width(word, face) > room and len(word) > 1:
            fits = next(n for n in range(len(word), 0, -1) if n == 1 or width(word[:n], face) <= room)
            # Rather behind a mark, as in dotted layer names, than within a word.
            mark = max(word.rfind(c, fits // 2, fits) for c in "._/-") + 1
            lines.append(word[: mark or fits])
            word = word[mark or fits :]
        line = word
    return [*lines, line] if line else lines


def packed(parts: Sequence[str], face: _Font, room: float) -> list[str]:
    """Lines of parts with " · " between them, broken between parts and not within, where one fits a line."""
    lines: list[str] = []
    for part in map(clean, parts):
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and width(longer, face) <= room:
            lines[-1] = longer
        else:
            lines += wrap(part, face, room)
    return lines


def write(
    draw: Draw,
    at: tuple[float, float],
    text: str,
    colour: str = TEXT,
    face: _Font | None = None,
    anchor: str = "ls",
    figures: bool = False,
) -> None:
    """Text with its anchor (as Pillow's, by default the left end of the base line) at a point.

    `figures` are set with digits of one width, for columns; elsewhere a 11 would look like 1 1.
    """
    features = _tabular() if figures else None
    draw.text(at, text, fill=colour, font=face or font(), anchor=anchor, features=features)


def heading(draw: Draw, at: tuple[float, float], text: str) -> None:
    """A small heading in spaced capitals."""
    x, y = at
    face = font(12, bold=True)
    for letter in text.upper():
        write(draw, (x, y), letter, QUIET, face)
        x += width(letter, face) + 1
