# SPDX-License-Identifier: Apache-2.0
"""What is written over an image: corners, the patient's sides, the colour bar; none of it on another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import QFontMetrics, QFontMetricsF, QImage, QPainter, QPixmap, QPolygonF
from PySide6.QtWidgets import QWidget

from viewer.overlay import shown_range
from viewer.types import Style
from viewer.ui.views import marks, pixels
from viewer.ui.views.captions import Corners, Line
from viewer.ui.views.marks import GROUND, LEADING, MARGIN
from viewer.ui.widgets.parts import wrapped
from viewer.ui.widgets.theme import font
from viewer.wording import number

Letters = tuple[str, str, str, str]
"""The patient's sides: left, right, top, bottom."""
_BAR_TOP, _BAR_WIDTH, _BAR_LONGEST, _BAR_SHORTEST = 82, 12, 220, 60
_BAR_LEAST = 32
"""How short the bar may be in a small view, right below the lines of text."""
_NUMBERS = 58
"""Pixels beside the bar that its numbers take, with the arrow."""
_APART = LEADING
_CLEAR = 12
"""Pixels between the bar and the image below it, for the last number."""
_BETWEEN = 16
"""Least pixels between two texts of one line."""
_LEFT, _RIGHT, _MIDDLE = (
    Qt.AlignmentFlag.AlignLeft,
    Qt.AlignmentFlag.AlignRight,
    Qt.AlignmentFlag.AlignHCenter,
)
_MOST_LINES = 6
"""Of one sentence that is longer than the view is wide."""
_NOTHING: Line = ("", "text")


@dataclass(frozen=True, slots=True)
class Bar:
    """Where the colours stand, and whether at the view's left edge: numbers are on the side of the image."""

    box: QRectF
    left: bool = False

    @property
    def covers(self) -> QRectF:
        """What bar and numbers take."""
        beside = (-4, _NUMBERS) if self.left else (-_NUMBERS, 4)
        return self.box.adjusted(beside[0], -9, beside[1], 9)


@dataclass(frozen=True, slots=True)
class Said:
    """All that is written over one picture: a sentence in its middle where there is none, or the rest."""

    sentence: Line | None = None
    corners: Corners = field(default_factory=Corners)
    letters: Letters | None = None
    clear: tuple[float, float] = (2, 3)
    """Lines of the corners, above and below, that the letters in the middle keep clear of."""
    style: Style | None = None
    """Of the map whose colour bar is drawn."""
    unit: str = ""
    small: bool = False
    """Whether the bar begins right below the texts."""

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others; the opacity of a map is in no bar."""
        style = self.style
        bar = style and (style.colours, style.range, style.threshold, style.sign, self.unit)
        return (self.sentence, self.corners, self.letters, self.clear, bar)


class Writing:
    """Paints what is said over one view, anew only where something of it changes."""

    def __init__(self, view: QWidget) -> None:
        self._view = view
        self._pixmap: QPixmap | None = None
        self._key: tuple[object, ...] = ()
        self._apart: tuple[object, Corners] = (None, Corners())
        self._left = False
        self.bar: Bar | None = None
        """Where the colour bar was drawn last."""

    def draw(self, painter: QPainter, said: Said, image: QRectF, evidence: Callable[[QRect], float]) -> None:
        """Write over a view with its picture at `image`; `evidence` is what a part covers of the map."""
        view = self._view
        size, ratio = view.size().toSizeF(), view.devicePixelRatioF()
        if self._apart[0] != (said.corners, size):
            self._apart = (said.corners, size), apart(said.corners, size.width())
        shown = self._apart[1]
        self.bar = None if said.style is None else self._place(_bars(size, shown, said, image), evidence)
        key = (*said.key, self.bar, size, ratio)
        if self._pixmap is None or key != self._key:
            self._key, self._pixmap = key, _blank(size, ratio)
            on = QPainter(self._pixmap)
            on.setRenderHint(QPainter.RenderHint.Antialiasing)
            if said.sentence is not None:
                _sentence(on, said.sentence, size)
            taken = corners(on, shown, size)
            if said.style is not None and self.bar is not None:
                taken += colour_bar(on, said.style, said.unit, self.bar, size.width())
            if said.letters is not None:
                sides(on, said.letters, size, said.clear, taken)
            on.end()
        painter.drawPixmap(0, 0, self._pixmap)

    def _place(self, found: Sequence[Bar], evidence: Callable[[QRect], float]) -> Bar | None:
        """The bar leaves its side only for one where it covers less than half as much of the map.

        Else it would go to and fro from slice to slice where a map lies on both sides.
        """
        if len(found) < 2:
            return found[0] if found else None
        right, left = (evidence(one.covers.toAlignedRect()) for one in found)
        here, there = (left, right) if self._left else (right, left)
        self._left ^= there < here / 2
        return found[self._left]


def _blank(size: QSizeF, ratio: float) -> QPixmap:
    result = QPixmap((size * ratio).toSize())
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    return result


def _sentence(painter: QPainter, sentence: Line, size: QSizeF) -> None:
    words, role = sentence
    painter.setFont(font(15) if role == "text" else font())
    painter.setPen(marks.colour(role))
    box = QRectF(QPointF(0, 0), size).adjusted(24, 24, -24, -24)
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    painter.drawText(box, int(flags), words)


def apart(said: Corners, width: float) -> Corners:
    """The same in a view of this width, with lines below or above each other that would meet side by side.

    A sentence at the lower left that is longer than the view is wide is broken: a remark is said in full.
    """
    metrics, room = QFontMetricsF(font()), width - 2 * MARGIN - _BETWEEN
    remarks = _broken(said.bottom_left, int(width - 2 * MARGIN) - 1)

    def meet(one: Line, other: Line) -> bool:
        both = bool(one[0] and other[0])
        return both and metrics.horizontalAdvance(one[0]) + metrics.horizontalAdvance(other[0]) > room

    def beside(first: Sequence[Line], second: Sequence[Line]) -> tuple[Line, ...]:
        result: list[Line] = []
        for line in second:
            while len(result) < len(first) and meet(first[len(result)], line):
                result.append(_NOTHING)
            result.append(line)
        return tuple(result)

    return Corners(
        top_left=said.top_left,
        top_right=beside(said.top_left, said.top_right),
        bottom_left=beside(said.bottom_right[::-1], remarks[::-1])[::-1],
        bottom_right=said.bottom_right,
    )


def _broken(lines: Sequence[Line], room: int) -> tuple[Line, ...]:
    """The same with each sentence that no view of this room could hold in a line over several."""
    metrics = QFontMetrics(font())
    result: list[Line] = []
    for words, role in lines:
        long = metrics.horizontalAdvance(words) > room
        result += [(part, role) for part in (wrapped(words, metrics, room, _MOST_LINES) if long else [words])]
    return tuple(result)


def corners(painter: QPainter, said: Corners, size: QSizeF) -> list[QRectF]:
    """Write all four corners, as `apart` has them; what they cover."""
    painter.setFont(font())
    metrics, room = QFontMetricsF(painter.font()), size.width() - 2 * MARGIN
    covered = []
    above = MARGIN + LEADING / 2
    below = size.height() - MARGIN - LEADING / 2
    for lines, align in (
        (said.top_left, _LEFT), (said.top_right, _RIGHT),
        (said.bottom_left, _LEFT), (said.bottom_right, _RIGHT),
    ):  # fmt: skip
        x = MARGIN if align == _LEFT else size.width() - MARGIN
        top = lines is said.top_left or lines is said.top_right
        for i, (words, role) in enumerate(lines):
            y = above + i * LEADING if top else below - (len(lines) - 1 - i) * LEADING
            if words:
                fits = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)
                covered.append(marks.text(painter, QPointF(x, y), fits, role, align))
    return covered


def sides(
    painter: QPainter, letters: Letters, size: QSizeF, lines: tuple[float, float], taken: Sequence[QRectF]
) -> None:
    """The patient's sides at the view's left, right, top and bottom, inside of what is `taken`.

    Those in the middle stand inside so many lines of the corners, above and below: they keep their place
    while texts come and go.
    """
    above, below = lines
    painter.setFont(font(bold=True))
    width, height = size.width(), size.height()
    places = (
        (QPointF(MARGIN, height / 2), _LEFT, QPointF(LEADING, 0)),
        (QPointF(width - MARGIN, height / 2), _RIGHT, QPointF(-LEADING, 0)),
        (QPointF(width / 2, MARGIN + (above + 0.5) * LEADING + 2), _MIDDLE, QPointF(0, LEADING)),
        (QPointF(width / 2, height - MARGIN - (below + 0.5) * LEADING - 2), _MIDDLE, QPointF(0, -LEADING)),
    )
    room = QRectF(QPointF(0, 0), size)
    for letter, (at, align, inward) in zip(letters, places, strict=True):
        if not letter:
            continue
        while room.contains(at) and any(
            one.intersects(marks.text_box(painter, at, letter, align)) for one in taken
        ):
            at += inward
        if room.contains(at):
            marks.text(painter, at, letter, "text", align)


def _bars(size: QSizeF, shown: Corners, said: Said, image: QRectF) -> tuple[Bar, ...]:
    """Where the colour bar may stand: in the upper half at the right and at the left, below the texts.

    It ends above the `image` where there is room for its numbers; else so that the side's letter stays free.
    None where there is no room.
    """
    if said.style is None:
        return ()
    result = []
    small, need = said.small, max(_BAR_SHORTEST, _APART * len(_ticks(said.style, 0, 0)))
    for left in (False, True):
        lines = _lines_over(shown, size.width(), left)
        below = MARGIN + (max(lines, 1) + 1.5) * LEADING + 1
        least = ((max(_BAR_TOP, below), _BAR_SHORTEST), (below, _BAR_LEAST))
        places = [
            (top, min(_BAR_LONGEST, size.height() / 2 - 24 - top), shortest)
            for top, shortest in least[small:]
        ]
        free = image.top() - _CLEAR - below
        if need <= free < places[0][1]:
            places.insert(0, (below, free, need))
        for top, length, shortest in places:
            if length >= shortest:
                x = MARGIN if left else size.width() - MARGIN - _BAR_WIDTH
                result.append(Bar(QRectF(x, top, _BAR_WIDTH, round(length)), left))
                break
    return tuple(result)


def _lines_over(shown: Corners, width: float, left: bool) -> int:
    """How many lines of text stand above the bar at this side; a long one reaches there from the other."""
    own, other = (shown.top_left, shown.top_right) if left else (shown.top_right, shown.top_left)
    metrics, room = QFontMetricsF(font()), width - 2 * MARGIN - _BAR_WIDTH - _NUMBERS
    reach = [i + 1 for i, (words, _) in enumerate(other) if metrics.horizontalAdvance(words) > room]
    return max(len(own), *reach, 0)


def colour_bar(painter: QPainter, style: Style, unit: str, bar: Bar, width: float) -> list[QRectF]:
    """The colours with their numbers; blank where the map is blank, an arrow where it begins to be.

    What bar and texts cover, in a view of this width.
    """
    low, high = shown_range(style)
    box, align = bar.box, _LEFT if bar.left else _RIGHT
    painter.setFont(font(12))
    room = max(width - 2 * MARGIN, 0)
    unit = QFontMetricsF(painter.font()).elidedText(unit, Qt.TextElideMode.ElideRight, room)
    edge = box.left() - 1 if bar.left else box.right() + 1
    covered = [marks.text(painter, QPointF(edge, box.top() - 19), unit, "quiet", align)]
    painter.fillRect(box.adjusted(-4, -4, 4, 4), GROUND)
    rows = round(box.height())
    values = np.linspace(high, low, rows, dtype=np.float32)[:, None]
    places = pixels.indices(values, pixels.Scale.of(style))
    opaque = [0] + [0xFF000000 | c & 0xFFFFFF for c in pixels.table(style)[1:]]
    strip: QImage = pixels.indexed(places, opaque)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(box, strip)
    painter.setPen(marks.colour("quiet"))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box.adjusted(-0.5, -0.5, 0.5, 0.5))
    out = 1 if bar.left else -1
    side = box.right() if bar.left else box.left()
    for y, value, at in _ticks(style, box.top(), box.height()):
        marked = abs(value) == style.threshold and value != 0
        painter.setBrush(marks.colour("text" if marked else "quiet"))
        painter.setPen(Qt.PenStyle.NoPen)
        if marked:
            tip, base = side + out * 2, side + out * 9
            painter.drawPolygon(QPolygonF([QPointF(tip, at), QPointF(base, at - 4), QPointF(base, at + 4)]))
        else:
            painter.drawRect(QRectF(min(side + out * 2, side + out * 6), at - 0.5, 4, 1))
        words = number(value, sign=True)
        covered.append(marks.text(painter, QPointF(side + out * 14, y), words, "text", align))
    return [*covered, box]


def _ticks(style: Style, top: float, length: float) -> list[tuple[float, float, float]]:
    """(place of the number, value, place on the bar) from top to bottom, the numbers apart."""
    low, high = shown_range(style)
    values = {high, low, 0.0, style.threshold}
    if style.sign == "signed":
        values.add(-style.threshold)
    span = (high - low) or 1.0
    result: list[tuple[float, float, float]] = []
    for value in sorted((v for v in values if low <= v <= high), reverse=True):
        at = top + (high - value) / span * length
        result.append((max(at, result[-1][0] + _APART) if result else at, value, at))
    return result
