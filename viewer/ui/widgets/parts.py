# SPDX-License-Identifier: Apache-2.0
"""What the panels share: text that is never cut, headings, rows, and how a control gets the keyboard."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetrics,
    QIcon,
    QImage,
    QKeyEvent,
    QPainter,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QWidget,
)

from viewer.ui.widgets.theme import DARK, LIGHT, Palette, mark
from viewer.wording import clean

ROW = 28
"""Height of a row of controls, in pixels."""
_NAMES = 94
"""Width of the column of names beside controls."""
MARGIN = 14
"""Between a panel's edge and what it holds."""


def colours() -> Palette:
    """The palette that the program is dressed in, for what paints itself."""
    return DARK if QApplication.palette().window().color().lightness() < 128 else LIGHT


class _NavigationKeys(QObject):
    """Lets a focused control keep the arrows, Home, End and pages, which the window else takes as keys."""

    _KEYS = frozenset(
        (
            Qt.Key.Key_Up,
            Qt.Key.Key_Down,
            Qt.Key.Key_Home,
            Qt.Key.Key_End,
            Qt.Key.Key_PageUp,
            Qt.Key.Key_PageDown,
        )
    )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kept = event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent)
        if kept and event.key() in self._KEYS:  # type: ignore[attr-defined]
            event.accept()
            return True
        return False


def by_tab(control: QWidget) -> None:
    """Reached by Tab, and not by a click: after a click ↑ and ↓ still go through the slices."""
    control.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    keep_keys(control)


def keep_keys(control: QWidget) -> None:
    """See `_NavigationKeys`."""
    control.installEventFilter(_NavigationKeys(control))


def mark_as(widget: QWidget, *marks: str) -> None:
    """Mark as "quiet", "title", … or as a kind: "warning", "stop", "good"."""
    for name in marks:
        if name in ("warning", "stop", "good"):
            mark(widget, "kind", name)
        else:
            mark(widget, name)


def image(pixels: NDArray[np.uint8]) -> QImage:
    """A copy of uint8 pixels (rows, columns[, 3]) as a picture."""
    rows, columns = pixels.shape[:2]
    colour = pixels.ndim == 3
    kind = QImage.Format.Format_RGB888 if colour else QImage.Format.Format_Grayscale8
    return QImage(pixels.tobytes(), columns, rows, columns * (3 if colour else 1), kind).copy()


def wrapped(
    text: str,
    metrics: QFontMetrics,
    room: int,
    most: int,
    cut: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
) -> list[str]:
    """A text in lines of `room` pixels, at most `most`; names keep both ends, sentences their beginning."""
    lines: list[str] = []
    words = clean(text).replace(" × ", "\u00a0×\u00a0").split(" ")  # a size stays together
    while words:
        if len(lines) == most - 1:
            return [*lines, metrics.elidedText(" ".join(words), cut, room)]
        line = words.pop(0)
        while words and metrics.horizontalAdvance(f"{line} {words[0]}") <= room:
            line += f" {words.pop(0)}"
        # Of a line that fits Qt would still cut a part of a pixel's width.
        fits = metrics.horizontalAdvance(line) <= room
        lines.append(line if fits else metrics.elidedText(line, cut, room))
    return lines


def focus_ring(painter: QPainter, box: QRectF, radius: float = 5) -> None:
    """The frame of what has the keyboard."""
    painter.setPen(QPen(QColor(colours().accent), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), radius, radius)


class Text(QLabel):
    """One line of plain text; where the room is short its middle goes and the tool tip has it all."""

    def __init__(self, text: str = "", *marks: str, right: bool = False) -> None:
        super().__init__()
        self._given: tuple[str, str] | None = None
        self._full = ""
        self._tip = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        if right:
            self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        mark_as(self, *marks)
        self.set_text(text)

    @property
    def full(self) -> str:
        """The whole text, whatever is drawn of it."""
        return self._full

    def set_text(self, text: str, tip: str = "") -> None:
        """Show a text, and a tool tip that is longer than it."""
        if (text, tip) == self._given:
            return
        self._given = text, tip
        self._full, self._tip = clean(text), tip
        self.setAccessibleName(self._full)
        self._fit()
        self.updateGeometry()

    def _fit(self) -> None:
        room = self.contentsRect().width()
        shown = self.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideMiddle, max(room, 0))
        super().setText(shown)
        cut = self._full if shown != self._full else ""
        self.setToolTip("\n".join(part for part in (cut, self._tip) if part))

    def sizeHint(self) -> QSize:
        margins = self.contentsMargins()
        width = self.fontMetrics().horizontalAdvance(self._full) + margins.left() + margins.right() + 2
        return QSize(width, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()


class Sentence(QLabel):
    """Plain text over several lines."""

    def __init__(self, text: str = "", *marks: str) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        mark_as(self, *marks)


def heading(text: str) -> QLabel:
    """A heading in spaced capitals."""
    label = QLabel(text.upper())
    mark(label, "heading")
    return label


def _name_of(text: str, control: QWidget) -> Text:
    """The quiet name to the left of a control; it also names the control for a screen reader."""
    label = Text(text, "quiet")
    label.setFixedWidth(_NAMES)
    control.setAccessibleName(text)
    return label


def dress_panel(widget: QWidget, side: str = "") -> None:
    """Give a panel its ground, and a line at the inner edge of the side where it lies."""
    widget.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    if side:
        mark(widget, "side", side)
    mark(widget, "panel")


def rows(parent: QWidget | None = None) -> QGridLayout:
    """An empty column of named rows."""
    grid = QGridLayout(parent)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(6)
    grid.setColumnMinimumWidth(0, _NAMES)
    grid.setColumnStretch(1, 1)
    return grid


def add_row(grid: QGridLayout, text: str, control: QWidget) -> Text:
    """Put a named control under the others."""
    row = grid.rowCount()
    label = _name_of(text, control)
    grid.addWidget(label, row, 0)
    grid.addWidget(control, row, 1)
    grid.setRowMinimumHeight(row, ROW)
    return label


def pair(*parts: QWidget, stretch: int | None = 0) -> QWidget:
    """Widgets side by side; the one at `stretch` takes the room, or all share it."""
    box = QWidget()
    line = QHBoxLayout(box)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(8)
    for place, part in enumerate(parts):
        line.addWidget(part, int(stretch in (place, None)))
    return box


def swatch(colours: NDArray[np.uint8], width: int = 36, height: int = 10) -> QIcon:
    """A strip of a colour table, uint8 (256, 3), as an icon."""
    strip = colours[[round(255 * i / (width - 1)) for i in range(width)]]
    return QIcon(QPixmap.fromImage(image(strip[None].repeat(height, axis=0))))
