"""How the whole window looks: two palettes, one type, one style sheet."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication, QWidget

FAMILY = "Inter"
TEXT_SIZE, HEADING_SIZE, TITLE_SIZE = 13, 11, 15


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


def font(size: int = TEXT_SIZE, bold: bool = False) -> QFont:
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
    app.setPalette(qt_palette(palette))
    app.setStyleSheet(style_sheet(palette))


def mark(widget: QWidget, name: str, value: object = True) -> None:
    """Set a property that the style sheet looks at, and have the widget restyled."""
    widget.setProperty(name, value)
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)


def qt_palette(palette: Palette) -> QPalette:
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
    """The one style sheet; `%name%` stands for a colour of the palette."""
    sheet = _SHEET
    for name in Palette.__dataclass_fields__:
        sheet = sheet.replace(f"%{name}%", getattr(palette, name))
    return sheet


_SHEET = """
* { font-family: "Inter"; font-size: 13px; outline: none; }
QWidget { color: %text%; }
QMainWindow, QDialog { background: %behind%; }
QToolTip { background: %panel%; color: %text%; border: 1px solid %line%; padding: 4px 6px; }

QLabel, QCheckBox, QRadioButton { background: transparent; }
QLabel[heading="true"] {
    color: %quiet%; font-size: 11px; font-weight: 600; letter-spacing: 1px; text-transform: uppercase;
}
QLabel[title="true"] { font-size: 15px; font-weight: 600; }
QLabel[quiet="true"] { color: %quiet%; }
QLabel[kind="warning"] { color: %warning%; }
QLabel[kind="stop"] { color: %stop%; }
QLabel[kind="good"] { color: %good%; }
QLabel:disabled, QCheckBox:disabled, QRadioButton:disabled { color: %quiet%; }

*[panel="true"], QToolBar, QStatusBar, QMenuBar { background: %panel%; border: 0 solid %line%; }
QToolBar { border-bottom-width: 1px; spacing: 8px; padding: 6px 12px; }
QStatusBar { border-top-width: 1px; padding: 0 12px; }
QStatusBar::item { border: 0; }
*[panel="true"][side="left"] { border-right-width: 1px; }
*[panel="true"][side="right"] { border-left-width: 1px; }
*[panel="true"][side="top"] { border-bottom-width: 1px; }
*[panel="true"][side="bottom"] { border-top-width: 1px; }
QFrame[popup="true"] { background: %panel%; border: 1px solid %line%; border-radius: 8px; }
QFrame[rule="true"] { background: %line%; border: 0; max-height: 1px; }
QSplitter::handle { background: %line%; }
QSplitter::handle:hover { background: %accent%; }

QPushButton, QToolButton {
    background: %panel%; border: 1px solid %line%; border-radius: 5px; padding: 4px 10px; min-height: 18px;
}
QPushButton:hover, QToolButton:hover { border-color: %quiet%; }
QPushButton:focus, QToolButton:focus { border-color: %accent%; }
QPushButton:pressed, QToolButton:pressed { background: %chosen%; }
QPushButton:checked, QToolButton:checked { background: %chosen%; color: %accent%; border-color: %accent%; }
QPushButton:disabled, QToolButton:disabled { color: %quiet%; background: %behind%; }
QPushButton[primary="true"] { background: %button%; color: #ffffff; border-color: %button%; }
QPushButton[primary="true"]:hover, QPushButton[primary="true"]:focus { border-color: %accent%; }
QPushButton[primary="true"]:disabled { background: %behind%; color: %quiet%; border-color: %line%; }
QPushButton[menu="true"] { padding-right: 24px; }
QPushButton[flat="true"], QToolButton[flat="true"] { background: transparent; border-color: transparent; }
QPushButton[flat="true"]:hover, QToolButton[flat="true"]:hover { background: %chosen%; }
QPushButton[flat="true"]:focus, QToolButton[flat="true"]:focus { border-color: %accent%; }
QPushButton[link="true"] {
    background: transparent; border: 0; color: %accent%; padding: 0; text-align: left;
}
QPushButton[link="true"]:hover, QPushButton[link="true"]:focus { text-decoration: underline; }

QFileDialog QToolButton { padding: 3px; }
*[segment] { border-radius: 0; border-right-width: 0; padding: 4px 10px; }
*[segment="first"] { border-top-left-radius: 5px; border-bottom-left-radius: 5px; }
*[segment="last"] {
    border-top-right-radius: 5px; border-bottom-right-radius: 5px; border-right-width: 1px;
}
*[segment="only"] { border-radius: 5px; border-right-width: 1px; }
*[segment]:checked { border-color: %line%; background: %chosen%; color: %accent%; }
*[segment]:focus { color: %accent%; border-color: %line%; text-decoration: underline; }

QLineEdit, QSpinBox, QDoubleSpinBox, QPlainTextEdit, QTextEdit {
    background: %behind%; border: 1px solid %line%; border-radius: 5px; padding: 4px 8px; min-height: 18px;
    selection-background-color: %button%; selection-color: #ffffff;
}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QPlainTextEdit:focus, QTextEdit:focus {
    border-color: %accent%;
}
QLineEdit > QToolButton { padding: 0; margin: 0; border: 0; min-height: 0; background: transparent; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled { color: %quiet%; }

QComboBox {
    background: %behind%; border: 1px solid %line%; border-radius: 5px; padding: 4px 8px; min-height: 18px;
}
QComboBox:hover { border-color: %quiet%; }
QComboBox:focus, QComboBox:on { border-color: %accent%; }
QComboBox:disabled { color: %quiet%; }
QComboBox::drop-down, QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {
    background: transparent; border: 0; width: 20px;
}
QAbstractSpinBox QLineEdit { background: transparent; border: 0; padding: 0 6px; min-height: 0; }
QComboBox::down-arrow, QAbstractSpinBox::down-arrow {
    width: 9px; height: 5px; background: qconicalgradient(
        cx: 0.5, cy: 1, angle: 0, stop: 0 transparent, stop: 0.17 transparent, stop: 0.18 %quiet%,
        stop: 0.32 %quiet%, stop: 0.33 transparent, stop: 1 transparent
    );
}
QAbstractSpinBox::up-arrow {
    width: 9px; height: 5px; background: qconicalgradient(
        cx: 0.5, cy: 0, angle: 0, stop: 0 transparent, stop: 0.67 transparent, stop: 0.68 %quiet%,
        stop: 0.82 %quiet%, stop: 0.83 transparent, stop: 1 transparent
    );
}
QComboBox QAbstractItemView {
    background: %panel%; border: 1px solid %line%; padding: 4px;
    selection-background-color: %chosen%; selection-color: %accent%;
}
QComboBox QAbstractItemView::item { min-height: 24px; }

QCheckBox, QRadioButton { spacing: 8px; }
QCheckBox::indicator, QRadioButton::indicator {
    width: 8px; height: 8px; padding: 2px; border: 1px solid %quiet%; background: transparent;
    background-clip: content; background-origin: content;
}
QCheckBox::indicator { border-radius: 2px; }
QRadioButton::indicator { border-radius: 7px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: %text%; }
QCheckBox::indicator:focus, QRadioButton::indicator:focus { border-color: %accent%; }
QCheckBox::indicator:checked, QRadioButton::indicator:checked {
    border-color: %accent%; background-color: %accent%;
}
QRadioButton::indicator:checked {
    background-clip: border; background-color: qradialgradient(
        cx: 0.5, cy: 0.5, radius: 0.5, fx: 0.5, fy: 0.5,
        stop: 0 %accent%, stop: 0.5 %accent%, stop: 0.6 transparent, stop: 1 transparent
    );
}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: %line%; }

QSlider { min-height: 20px; background: transparent; }
QSlider::groove:horizontal { height: 3px; border: 0; border-radius: 1px; background: %line%; }
QSlider::sub-page:horizontal { height: 3px; border-radius: 1px; background: %accent%; }
QSlider::handle:horizontal {
    width: 12px; height: 12px; margin: -6px 0; border-radius: 7px; background: %text%;
    border: 1px solid %panel%;
}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus { background: %accent%; }
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled { background: %quiet%; }

QProgressBar { background: %line%; border: 0; border-radius: 1px; max-height: 3px; }
QProgressBar::chunk { background: %accent%; border-radius: 1px; }

QScrollArea, QAbstractScrollArea { background: transparent; border: 0; }
QAbstractScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar { background: transparent; border: 0; margin: 0; }
QScrollBar:vertical { width: 8px; }
QScrollBar:horizontal { height: 8px; }
QScrollBar::handle { background: %line%; border-radius: 3px; margin: 1px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: %quiet%; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QListView, QTreeView, QTableView { background: transparent; border: 0; }
QListView::item, QTreeView::item { border-radius: 5px; padding: 4px 6px; }
QListView::item:hover, QTreeView::item:hover { background: %line%; }
QListView::item:selected, QTreeView::item:selected { background: %chosen%; color: %accent%; }
QHeaderView::section { background: %panel%; color: %quiet%; border: 0; padding: 4px 6px; }

QMenu { background: %panel%; border: 1px solid %line%; padding: 4px; }
QMenu::item { padding: 5px 24px 5px 12px; border-radius: 4px; }
QMenu::item:selected { background: %chosen%; color: %accent%; }
QMenu::item:disabled { color: %quiet%; }
QMenu::separator { height: 1px; background: %line%; margin: 4px 8px; }
QMenuBar::item { background: transparent; padding: 4px 8px; }
QMenuBar::item:selected { background: %chosen%; }

*[notice="info"] { background: %chosen%; }
*[notice="warning"] { background: %panel%; border: 0 solid %warning%; border-left-width: 3px; }
*[notice="warning"] QLabel { color: %warning%; }
*[notice="stop"] { background: %panel%; border: 0 solid %stop%; border-left-width: 3px; }
*[notice="stop"] QLabel { color: %stop%; }
"""
