# SPDX-License-Identifier: Apache-2.0
"""One set of icons, one stroke, drawn on a grid of 16."""

from functools import lru_cache
from importlib.resources import files
from typing import Literal

from PySide6.QtCore import QByteArray, QRectF
from PySide6.QtGui import QColor, QPainter
from PySide6.QtSvg import QSvgRenderer

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
"""The names of the drawings in `resources/icons`."""


def draw_icon(painter: QPainter, icon: Icon, box: QRectF, colour: QColor) -> None:
    """Draw an icon into a square box."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    _drawing(icon, colour.name()).render(painter, box)
    painter.restore()


@lru_cache(maxsize=256)
def _drawing(icon: Icon, colour: str) -> QSvgRenderer:
    """An icon in a colour, "#rrggbb"; no picture of it, which could not lie between the pixels."""
    drawing = (files("resources") / "icons" / f"{icon}.svg").read_text("utf-8")
    return QSvgRenderer(QByteArray(drawing.replace("currentColor", colour).encode()))
