# SPDX-License-Identifier: Apache-2.0
"""What is drawn over an image: single texts, outlines, the border of a patch.

Each text stands on its own dark ground, which is not seen on black and keeps it readable on a bright image.
"""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from viewer.overlay.outline import Outline
from viewer.types import Array, Region
from viewer.ui.widgets.theme import DARK

MARGIN, LEADING = 14, 18
GROUND = QColor(0, 0, 0, 215)


def colour(name: str) -> QColor:
    """A colour of the dark palette by its role: images are black in both."""
    return QColor(getattr(DARK, name))


def text_box(painter: QPainter, at: QPointF, words: str, align: Qt.AlignmentFlag) -> QRectF:
    """What one line takes; `at` is its left, right or middle, half its height."""
    width = QFontMetricsF(painter.font()).horizontalAdvance(words)
    left = {Qt.AlignmentFlag.AlignRight: at.x() - width, Qt.AlignmentFlag.AlignHCenter: at.x() - width / 2}
    return QRectF(left.get(align, at.x()), at.y() - LEADING / 2, width, LEADING)


def text(painter: QPainter, at: QPointF, words: str, role: str, align: Qt.AlignmentFlag) -> QRectF:
    """Write one line where `text_box` has it; what it covers."""
    box = text_box(painter, at, words, align)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(GROUND)
    painter.drawRoundedRect(box.adjusted(-4, 0, 4, 0), 3, 3)
    painter.setPen(colour(role))
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
    return box


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
    for width, ground in ((3.5, GROUND), (1.5, None)):
        for tone, lines in pieces.items():
            pen = QPen(ground or QColor.fromRgba(tone), width)
            pen.setCapStyle(Qt.PenCapStyle.SquareCap)
            painter.setPen(pen)
            painter.drawLines(lines)


def patch_border(
    painter: QPainter, lines: Array, frame: QRectF, shape: tuple[int, int], dashed: bool = False
) -> None:
    """What the model is shown, (n, 2, 2) as the lines of an outline: thinner than one, in the accent; dashed
    what it is to be shown block by block."""
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
    for width, tone in ((3.0, GROUND), (1.0 + 0.2 * askew, colour("accent"))):
        pen = QPen(tone, width)
        pen.setCapStyle(Qt.PenCapStyle.SquareCap)
        if dashed and tone != GROUND:
            pen.setDashPattern([6.0, 4.0])
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
