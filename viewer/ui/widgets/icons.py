"""One set of icons, one stroke, drawn on a grid of 16."""

import math
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

Icon = Literal[
    "warning",
    "info",
    "stop",
    "locked",
    "open",
    "close",
    "narrow",
    "wide",
    "unfold",
    "light",
    "dark",
    "search",
    "gear",
    "play",
    "restore",
    "previous",
    "next",
]
STROKE = 1.5


def draw_icon(painter: QPainter, icon: Icon, box: QRectF, colour: QColor) -> None:
    """Draw an icon into a square box."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / 16, box.height() / 16)
    pen = QPen(colour, STROKE)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    _DRAW[icon](painter)
    painter.restore()


def _line(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in points]))


def _shape(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in points]))


def _dot(painter: QPainter, x: float, y: float) -> None:
    painter.drawEllipse(QRectF(x - 0.25, y - 0.25, 0.5, 0.5))


def _warning(painter: QPainter) -> None:
    _shape(painter, (8, 2), (14.5, 13.5), (1.5, 13.5))
    _line(painter, (8, 6.5), (8, 9.3))
    _dot(painter, 8, 11.5)


def _info(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(1.75, 1.75, 12.5, 12.5))
    _line(painter, (8, 7.5), (8, 11.2))
    _dot(painter, 8, 5)


def _stop(painter: QPainter) -> None:
    around = [math.radians(22.5 + 45 * i) for i in range(8)]
    _shape(painter, *((8 + 6.8 * math.cos(a), 8 + 6.8 * math.sin(a)) for a in around))
    _line(painter, (5.7, 5.7), (10.3, 10.3))
    _line(painter, (10.3, 5.7), (5.7, 10.3))


def _locked(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(3, 7, 10, 7), 1.5, 1.5)
    _line(painter, (5.2, 7), (5.2, 5))
    painter.drawArc(QRectF(5.2, 2, 5.6, 6), 0, 180 * 16)
    _line(painter, (10.8, 7), (10.8, 5))


def _open(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(3, 7, 10, 7), 1.5, 1.5)
    _line(painter, (10.8, 7), (10.8, 5))
    painter.drawArc(QRectF(10.8, 2, 4.4, 6), 0, 180 * 16)


def _close(painter: QPainter) -> None:
    _line(painter, (4, 4), (12, 12))
    _line(painter, (12, 4), (4, 12))


def _narrow(painter: QPainter) -> None:
    _line(painter, (8, 4), (4, 8), (8, 12))
    _line(painter, (13, 4), (9, 8), (13, 12))


def _wide(painter: QPainter) -> None:
    _line(painter, (3, 4), (7, 8), (3, 12))
    _line(painter, (8, 4), (12, 8), (8, 12))


def _unfold(painter: QPainter) -> None:
    _line(painter, (4, 6), (8, 10), (12, 6))


def _light(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(5, 5, 6, 6))
    for step in range(8):
        x, y = math.cos(step * math.pi / 4), math.sin(step * math.pi / 4)
        _line(painter, (8 + 5.2 * x, 8 + 5.2 * y), (8 + 6.8 * x, 8 + 6.8 * y))


def _dark(painter: QPainter) -> None:
    painter.drawArc(QRectF(2, 2, 12, 12), 90 * 16, 270 * 16)
    painter.drawArc(QRectF(6.6, 0.6, 8.4, 8.4), 125 * 16, 200 * 16)


def _search(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(2, 2, 9, 9))
    _line(painter, (9.8, 9.8), (14, 14))


def _gear(painter: QPainter) -> None:
    painter.drawEllipse(QRectF(5.6, 5.6, 4.8, 4.8))
    rim = []
    for step in range(32):  # eight teeth
        radius = 6.9 if step % 4 in (1, 2) else 5.3
        angle = (step - 1.5) * math.pi / 16
        rim.append((8 + radius * math.cos(angle), 8 + radius * math.sin(angle)))
    _shape(painter, *rim)


def _play(painter: QPainter) -> None:
    _shape(painter, (4.5, 2.5), (13, 8), (4.5, 13.5))


def _previous(painter: QPainter) -> None:
    _line(painter, (10, 3.5), (5.5, 8), (10, 12.5))


def _next(painter: QPainter) -> None:
    _line(painter, (6, 3.5), (10.5, 8), (6, 12.5))


def _restore(painter: QPainter) -> None:
    painter.drawArc(QRectF(2.5, 3, 10.5, 10.5), -120 * 16, 265 * 16)
    _line(painter, (2.3, 2.8), (3.2, 6.6), (7, 5.6))


_DRAW = {
    "warning": _warning,
    "info": _info,
    "stop": _stop,
    "locked": _locked,
    "open": _open,
    "close": _close,
    "narrow": _narrow,
    "wide": _wide,
    "unfold": _unfold,
    "light": _light,
    "dark": _dark,
    "search": _search,
    "gear": _gear,
    "play": _play,
    "restore": _restore,
    "previous": _previous,
    "next": _next,
}
