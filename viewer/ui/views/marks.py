# SPDX-License-Identifier: Apache-2.0
"""What is written over an image: texts in the corners, the patient's sides, the colour bar.

Each text stands on its own dark ground, which is not seen on black and keeps it readable on a bright image.
"""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from viewer.overlay import shown_range
from viewer.overlay.outline import Outline
from viewer.types import Array, Region, Style
from viewer.ui.views import pixels
from viewer.ui.views.captions import Corners, Line
from viewer.ui.widgets.theme import DARK, font
from viewer.wording import number

MARGIN, LEADING = 14, 18
_GROUND = QColor(0, 0, 0, 215)
_BAR_TOP, _BAR_WIDTH, _BAR_LONGEST, _BAR_SHORTEST = 82, 12, 220, 60
_BAR_LEAST = 32
"""How short the bar may be in a small view, right below the lines of text."""
_APART = 17


def colour(name: str) -> QColor:
    """A colour of the dark palette by its role: images are black in both."""
    return QColor(getattr(DARK, name))


def text(painter: QPainter, at: QPointF, words: str, role: str, align: Qt.AlignmentFlag) -> QRectF:
    """Write one line; `at` is its left, right or middle, half its height; what it covers."""
    metrics = QFontMetricsF(painter.font())
    width = metrics.horizontalAdvance(words)
    left = {Qt.AlignmentFlag.AlignRight: at.x() - width, Qt.AlignmentFlag.AlignHCenter: at.x() - width / 2}
    box = QRectF(left.get(align, at.x()), at.y() - LEADING / 2, width, LEADING)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_GROUND)
    painter.drawRoundedRect(box.adjusted(-4, 0, 4, 0), 3, 3)
    painter.setPen(colour(role))
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
    return box


def corners(painter: QPainter, shown: Corners, width: float, height: float) -> None:
    """All four corners; where two lines meet, the left one is cut off."""
    painter.setFont(font())
    _pair(painter, shown.top_left, shown.top_right, width, MARGIN + LEADING / 2)
    lines = max(len(shown.bottom_left), len(shown.bottom_right))
    top = height - MARGIN - (lines - 0.5) * LEADING
    left, right = (
        ((("", "text"),) * (lines - len(side)) + side) for side in (shown.bottom_left, shown.bottom_right)
    )
    _pair(painter, left, right, width, top)


def _pair(painter: QPainter, left: Sequence[Line], right: Sequence[Line], width: float, y: float) -> None:
    metrics = QFontMetricsF(painter.font())
    for i in range(max(len(left), len(right))):
        room = width - 2 * MARGIN
        at = y + i * LEADING
        if i < len(right) and right[i][0]:
            words = metrics.elidedText(right[i][0], Qt.TextElideMode.ElideRight, room)
            text(painter, QPointF(width - MARGIN, at), words, right[i][1], Qt.AlignmentFlag.AlignRight)
            room -= metrics.horizontalAdvance(words) + 16
        if i < len(left) and left[i][0]:
            words = metrics.elidedText(left[i][0], Qt.TextElideMode.ElideRight, max(room, 0))
            text(painter, QPointF(MARGIN, at), words, left[i][1], Qt.AlignmentFlag.AlignLeft)


def sides(
    painter: QPainter,
    letters: tuple[str, str, str, str],
    width: float,
    height: float,
    lines: tuple[float, float] = (2, 3),
) -> None:
    """The patient's sides at the view's left, right, top and bottom.

    Those in the middle stand inside so many lines of the corners, above and below, which may be long.
    """
    above, below = lines
    painter.setFont(font(bold=True))
    middle, centre = width / 2, height / 2
    left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
    both = Qt.AlignmentFlag.AlignHCenter
    places = (
        (QPointF(MARGIN, centre), left),
        (QPointF(width - MARGIN, centre), right),
        (QPointF(middle, MARGIN + (above + 0.5) * LEADING + 2), both),
        (QPointF(middle, height - MARGIN - (below + 0.5) * LEADING - 2), both),
    )
    for letter, (at, align) in zip(letters, places, strict=True):
        if letter:
            text(painter, at, letter, "text", align)


def outlines(painter: QPainter, drawn: Sequence[Outline], frame: QRectF, shape: tuple[int, int]) -> None:
    """What a segmentation marks, over an image of `shape` that fills `frame`; dark below, for bright ones."""
    rows, columns = shape
    scale = (frame.height() / rows, frame.width() / columns)
    pieces: dict[int, list[QLineF]] = {}
    for one in drawn:
        pieces.setdefault(region_colour(one.region).rgba(), []).extend(
            QLineF(
                frame.x() + (b + 0.5) * scale[1], frame.y() + (a + 0.5) * scale[0],
                frame.x() + (d + 0.5) * scale[1], frame.y() + (c + 0.5) * scale[0],
            )
            for (a, b), (c, d) in one.lines.tolist()
        )  # fmt: skip
    for width, ground in ((3.5, _GROUND), (1.5, None)):
        for tone, lines in pieces.items():
            pen = QPen(ground or QColor.fromRgba(tone), width)
            pen.setCapStyle(Qt.PenCapStyle.SquareCap)
            painter.setPen(pen)
            painter.drawLines(lines)


def patch_border(painter: QPainter, lines: Array, frame: QRectF, shape: tuple[int, int]) -> None:
    """What the model is shown, (n, 2, 2) as the lines of an outline: thinner than one, in the accent."""
    rows, columns = shape
    down, across = frame.height() / rows, frame.width() / columns
    x, y = (
        at + (lines[..., i] + 0.5) * step for at, i, step in ((frame.x(), 1, across), (frame.y(), 0, down))
    )
    askew = bool((np.minimum(np.abs(np.diff(x)), np.abs(np.diff(y))) > 0.5).any())
    if not askew:  # on whole pixels, so that the ground is as wide on both sides
        x, y = np.rint(x), np.rint(y)
    drawn = [QLineF(*ends) for ends in np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).tolist()]
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, askew)
    for width, tone in ((3.0, _GROUND), (1.0 + 0.2 * askew, colour("accent"))):
        pen = QPen(tone, width)
        pen.setCapStyle(Qt.PenCapStyle.SquareCap)
        painter.setPen(pen)
        painter.drawLines(drawn)
    painter.restore()


def region_colour(region: Region) -> QColor:
    """The colour that the file recommends, lightened where it could not be seen on a dark image."""
    if region.colour is None:
        return colour("good")
    tone = QColor(*region.colour)
    dark = tone.value() < _LEAST
    return QColor.fromHsv(max(tone.hue(), 0), tone.saturation(), _LEAST) if dark else tone


_LEAST = 120
"""Value (of HSV, up to 255) below which a line would be lost on black."""


def bar_box(width: float, height: float, lines: int, small: bool = False) -> QRectF | None:
    """Where the colour bar stands, if there is room: in the upper half, so that the side's letter stays free.

    Its unit lies below so many lines of text; in a small view right below them, at least one.
    """
    below = MARGIN + (max(lines, 1) + 1.5) * LEADING + 1
    places = ((below, _BAR_LEAST),) if small else ((max(_BAR_TOP, below), _BAR_SHORTEST), (below, _BAR_LEAST))
    for top, shortest in places:
        length = min(_BAR_LONGEST, height / 2 - 24 - top)
        if length >= shortest:
            return QRectF(width - MARGIN - _BAR_WIDTH, top, _BAR_WIDTH, round(length))
    return None


def colour_bar(painter: QPainter, style: Style, unit: str, box: QRectF) -> None:
    """The colours with their numbers; blank where the map is blank, an arrow where it begins to be."""
    low, high = shown_range(style)
    painter.setFont(font(12))
    right = Qt.AlignmentFlag.AlignRight
    room = max(box.right() + 1 - MARGIN, 0)
    unit = QFontMetricsF(painter.font()).elidedText(unit, Qt.TextElideMode.ElideRight, room)
    text(painter, QPointF(box.right() + 1, box.top() - 19), unit, "quiet", right)
    painter.fillRect(box.adjusted(-4, -4, 4, 4), _GROUND)
    rows = round(box.height())
    values = np.linspace(high, low, rows, dtype=np.float32)[:, None]
    places = pixels.indices(values, pixels.Scale.of(style))
    opaque = [0] + [0xFF000000 | c & 0xFFFFFF for c in pixels.table(style)[1:]]
    strip: QImage = pixels.indexed(places, opaque)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    painter.drawImage(box, strip)
    painter.setPen(colour("quiet"))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(box.adjusted(-0.5, -0.5, 0.5, 0.5))
    for y, value, at in _ticks(style, box.top(), box.height()):
        marked = abs(value) == style.threshold and value != 0
        painter.setBrush(colour("text" if marked else "quiet"))
        painter.setPen(Qt.PenStyle.NoPen)
        if marked:
            edge = box.left() - 2
            painter.drawPolygon(
                QPolygonF([QPointF(edge, at), QPointF(edge - 7, at - 4), QPointF(edge - 7, at + 4)])
            )
        else:
            painter.drawRect(QRectF(box.left() - 6, at - 0.5, 4, 1))
        text(painter, QPointF(box.left() - 14, y), number(value, sign=True), "text", right)


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
