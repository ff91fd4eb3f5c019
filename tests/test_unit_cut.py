# SPDX-License-Identifier: Apache-2.0
"""A unit that is longer than its room by the colour bar ends in "…", in the window and in files."""

from dataclasses import replace
from typing import Any

import pytest
from made_maps import explain, predict, series
from PIL import Image
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage, QPainter

from viewer.export import colourbar
from viewer.types import Overlay, Style
from viewer.ui.views import marks, writing

LONG = "change of the mean logit inside the region per unit of the standardised intensity of each voxel"


@pytest.mark.parametrize(("unit", "cut"), [("logit", False), ("score units", False), (LONG, True)])
def test_in_a_file(unit: str, cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(colourbar, "write", lambda _d, _at, words, *_r: written.append(words))
    shown = replace(explain(predict(series())), unit=unit)
    colourbar.colour_bar(Image.new("RGB", (200, 400)), Overlay(shown, Style()), 80, 400)
    assert ("…" in written[0]) is cut
    assert cut or unit in written


@pytest.mark.parametrize(("unit", "cut"), [("logit", False), ("score units", False), (LONG, True)])
def test_in_the_window(unit: str, cut: bool, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def text(_painter: QPainter, _at: QPointF, words: str, *_rest: Any) -> QRectF:
        written.append(words)
        return QRectF()

    monkeypatch.setattr(marks, "text", text)
    canvas = QImage(240, 400, QImage.Format.Format_ARGB32)
    painter = QPainter(canvas)
    bar = writing.Bar(QRectF(200, 80, 12, 200))
    writing.colour_bar(painter, Style(), unit, bar, 240)
    painter.end()
    assert written[0].endswith("…") is cut
    assert cut or written[0] == unit
