# SPDX-License-Identifier: Apache-2.0
"""The palettes are readable, the type is the bundled one, and the style sheet parses."""

import re
from importlib.resources import files

import pytest
from PySide6.QtGui import QColor, QFontInfo
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from viewer.ui.widgets import theme
from viewer.ui.widgets.theme import DARK, LIGHT, Palette


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = QColor(colour).getRgbF()[:3]  # type: ignore[index]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_texts_stand_out(palette: Palette) -> None:
    for role in ("text", "quiet", "accent", "warning", "stop", "good"):
        for ground in ("behind", "panel"):
            assert contrast(getattr(palette, role), getattr(palette, ground)) >= 4.5, (role, ground)
    assert contrast(palette.text, palette.chosen) >= 4.5
    assert contrast(palette.accent, palette.chosen) >= 4.5
    assert contrast("#ffffff", palette.button) >= 4.5


def test_texts_over_a_white_image_stand_out() -> None:
    """The dark ground under each text keeps it readable on white."""
    from viewer.ui.views.marks import GROUND

    grey = round(255 * (1 - GROUND.alphaF()))
    for role in ("text", "quiet", "warning", "stop"):
        assert contrast(getattr(DARK, role), QColor(grey, grey, grey).name()) >= 4.5, role


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_the_style_sheet_is_whole(palette: Palette) -> None:
    template = (files("resources") / "style.qss").read_text("utf-8")
    used = set(re.findall(r"%(\w*)%", template))
    assert {"behind", "panel", "line", "text", "quiet", "accent", "chosen"} <= used
    assert used <= set(Palette.__dataclass_fields__) - {"name"}
    sheet = theme.style_sheet(palette)
    assert "%" not in sheet
    assert re.findall(r"#[0-9a-f]{6}", sheet)[:2] == [palette.text, palette.behind]
    assert sheet.count("{") == sheet.count("}") == template.count("{")
    sizes = {int(n) for n in re.findall(r"font-size: (\d+)px", sheet)}
    assert sizes == {11, 13, 15, 20}  # heading, text, title, answer


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_the_program_is_dressed(qtbot: QtBot, qapp: QApplication, palette: Palette) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    window.setProperty("panel", True)
    heading, text, button = QLabel("Series"), QLabel("HEAD"), QPushButton("Export…")
    heading.setProperty("heading", True)
    button.setProperty("primary", True)
    layout = QVBoxLayout(window)
    for widget in (heading, text, button):
        layout.addWidget(widget)
    try:
        theme.apply(qapp, palette)  # Qt warns of a sheet it cannot parse, and pytest-qt fails on that
        window.resize(240, 160)
        window.show()
        shot = window.grab().toImage()
        assert QFontInfo(text.font()).family() == "Inter"
        assert (heading.fontInfo().pixelSize(), text.fontInfo().pixelSize()) == (11, 13)
        ground = {shot.pixelColor(x, 3).name() for x in range(3, 230, 20)}
        assert ground == {palette.panel}
        inside = shot.pixelColor(button.geometry().left() + 6, button.geometry().center().y()).name()
        assert inside == palette.button
    finally:
        qapp.setStyleSheet("")


def test_figures_have_one_width(qapp: QApplication) -> None:
    from PySide6.QtGui import QFontMetricsF

    theme.load_fonts()
    metrics = QFontMetricsF(theme.font())
    assert len({round(metrics.horizontalAdvance(d * 8), 3) for d in "0123456789"}) == 1
