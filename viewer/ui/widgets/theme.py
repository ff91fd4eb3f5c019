# SPDX-License-Identifier: Apache-2.0
"""How the whole window looks: two palettes, one type, one style sheet."""

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QWidget

FAMILY = "Inter"
_TEXT_SIZE, _HEADING_SIZE, _TITLE_SIZE = 13, 11, 15


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by role, as "#rrggbb"."""

    name: Literal["dark", "light"]
    behind: str
    images: str
    panel: str
    line: str
    text: str
    quiet: str
    accent: str
    chosen: str
    warning: str
    stop: str
    good: str
    button: str
    """The main button's ground; its text is white."""
    bar: str
    """Bars of what is not the explained label."""


DARK = Palette(
    name="dark",
    behind="#0e1014",
    images="#000000",
    panel="#161920",
    line="#2a303b",
    text="#d9dee7",
    quiet="#8b93a3",
    accent="#56c4ff",
    chosen="#22303d",
    warning="#f2b84b",
    stop="#ff6b6b",
    good="#58d39b",
    button="#2a6f9c",
    bar="#5b8fb9",
)
LIGHT = Palette(
    name="light",
    behind="#eceef2",
    images="#000000",
    panel="#ffffff",
    line="#d4d9e1",
    text="#1a1e26",
    quiet="#5b6472",
    accent="#0b6fa8",
    chosen="#dcedf8",
    warning="#8f5d00",
    stop="#b3261e",
    good="#0f7a4f",
    button="#0b6fa8",
    bar="#5b8fb9",
)


def load_fonts() -> bool:
    """Register the bundled Inter with Qt, once per application; False if it could not be read."""
    if FAMILY in QFontDatabase.families():
        return True
    folder = files("resources") / "fonts"
    faces = [folder / f"Inter-{weight}.otf" for weight in ("Regular", "SemiBold")]
    places = [QFontDatabase.addApplicationFontFromData(face.read_bytes()) for face in faces]
    return min(places) >= 0


def font(size: int = _TEXT_SIZE, bold: bool = False) -> QFont:
    """Inter in pixels, its figures all of one width so that numbers do not dance."""
    result = QFont([FAMILY, "Noto Sans", "Segoe UI", "sans-serif"])
    result.setPixelSize(size)
    result.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    result.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    result.setFeature(QFont.Tag.fromString("tnum"), 1)
    return result


def apply(app: QApplication, palette: Palette) -> None:
    """Dress the whole program; may be called again to change between dark and light."""
    load_fonts()
    app.setStyle("Fusion")
    app.setFont(font())
    app.setPalette(_qt_palette(palette))
    app.setStyleSheet(style_sheet(palette))


def mark(widget: QWidget, name: str, value: object = True) -> None:
    """Set a property that the style sheet looks at, and have the widget restyled."""
    widget.setProperty(name, value)
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)


def _qt_palette(palette: Palette) -> QPalette:
    """The colours of what Fusion itself draws: check marks, arrows, selections."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    result = QPalette()
    for colour, roles in (
        (palette.behind, (role.Window,)),
        (palette.panel, (role.Base, role.AlternateBase, role.Button, role.ToolTipBase)),
        (palette.text, (role.WindowText, role.Text, role.ButtonText, role.ToolTipText, role.BrightText)),
        (palette.quiet, (role.PlaceholderText,)),
        (palette.accent, (role.Link, role.LinkVisited, role.Accent)),
        (palette.chosen, (role.Highlight,)),
        (palette.text, (role.HighlightedText,)),
        (palette.line, (role.Light, role.Midlight, role.Mid, role.Dark, role.Shadow)),
    ):
        for one in roles:
            result.setColor(one, QColor(colour))
    for one in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(group.Disabled, one, QColor(palette.quiet))
    return result


def style_sheet(palette: Palette) -> str:
    """The one style sheet, `resources/style.qss`; `%name%` in it stands for a colour of the palette."""
    sheet = (files("resources") / "style.qss").read_text("utf-8")
    return re.sub(r"%(\w+)%", lambda found: str(getattr(palette, found[1])), sheet)
