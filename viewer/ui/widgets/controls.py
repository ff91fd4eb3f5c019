# SPDX-License-Identifier: Apache-2.0
"""Controls drawn in one manner: combo, slider, switch, buttons."""

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QStandardItemModel,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QListView,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from viewer.ui.widgets.icons import Icon, draw_icon
from viewer.ui.widgets.parts import ROW, by_tab, colours, focus_ring
from viewer.ui.widgets.theme import LIGHT


class Unhurried:
    """For controls in a panel that scrolls: the wheel in passing goes to the panel, not to their value."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():  # type: ignore[attr-defined]
            super().wheelEvent(event)  # type: ignore[misc]
        else:
            event.ignore()


class Combo(Unhurried, QComboBox):
    """A chooser that the wheel does not change in passing, and that cuts no text without saying so."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setStyleSheet(
            "QComboBox::drop-down { border: 0; width: 22px; }"
            "QComboBox::down-arrow { image: none; border: 0; background: transparent; width: 0; height: 0; }"
        )
        by_tab(self)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.isEditable():
            super().paintEvent(event)
        else:
            self._paint_text()
        painter = QPainter(self)
        look = colours()
        colour = QColor(look.text if self.isEnabled() else look.quiet)
        draw_icon(painter, "unfold", QRectF(self.width() - 20, self.height() / 2 - 6, 12, 12), colour)

    def _paint_text(self) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        icon = 0 if option.currentIcon.isNull() else self.iconSize().width() + 6
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - icon - 4
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def open_up(self, typed: Callable[[str], None]) -> None:
        """Take any other text too; `typed` is told it."""
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        line = self.lineEdit()
        assert line is not None

        def finished() -> None:
            if line.isModified():
                line.setModified(False)
                typed(line.text().strip())

        line.editingFinished.connect(finished)

    def grey(self, reasons: Mapping[Any, str]) -> None:
        """Grey the entries that carry these values, each with its reason, and no other."""
        entries = self.model()
        for place in range(self.count()):
            entry = entries.item(place) if isinstance(entries, QStandardItemModel) else None
            reason = reasons.get(self.itemData(place), "")
            if entry is not None and entry.isEnabled() == bool(reason):
                entry.setEnabled(not reason)
                entry.setToolTip(reason)

    def choose(self, value: object) -> None:
        """Show the entry that carries `value`, or none; emits nothing. Where any text may stand, `value`."""
        place = next((i for i in range(self.count()) if self.itemData(i) == value), -1)
        if place != self.currentIndex():
            self.blockSignals(True)
            self.setCurrentIndex(place)
            self.blockSignals(False)
        line = self.lineEdit()
        if line is not None and place < 0 and isinstance(value, str):
            line.setText(value)
        tip = self.itemData(place, Qt.ItemDataRole.ToolTipRole) or self.currentText()
        if tip != self.toolTip():
            self.setToolTip(tip)

    def fill(self, entries: QStandardItemModel) -> None:
        """Offer these entries, none of them chosen; emits nothing."""
        entries.setParent(self)  # whose next `setModel` then deletes it
        self.blockSignals(True)
        self.setModel(entries)
        self.setCurrentIndex(-1)
        self.blockSignals(False)


class Rows(QListView):
    """A list that paints its own rows, and knows which one lies below the pointer (-1: none)."""

    def __init__(self) -> None:
        super().__init__()
        self.under = -1
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        by_tab(self)
        self.entered.connect(lambda index: self._hover(index.row()))
        self.viewportEntered.connect(lambda: self._hover(-1))

    def _hover(self, row: int) -> None:
        if row != self.under:
            self.under = row
            self.viewport().update()

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self._hover(-1)


class Slider(Unhurried, QSlider):
    """A horizontal slider in whole steps whose handle goes to the pointer; `moved` is by hand only."""

    moved = Signal(int)

    def __init__(self, highest: int = 100, step: int = 5) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, highest)
        self.setSingleStep(1)
        self.setPageStep(step)
        self.setFixedHeight(ROW)
        by_tab(self)
        self.valueChanged.connect(self.moved)

    def put(self, value: int) -> None:
        """Show a value; emits nothing. A handle that is held stays under the hand."""
        if self.isSliderDown() or value == self.value():
            return
        self.blockSignals(True)
        self.setValue(value)
        self.blockSignals(False)
        self.update()

    def place(self, value: int) -> QPointF:
        """Where the handle's middle is at a value."""
        share = (value - self.minimum()) / max(self.maximum() - self.minimum(), 1)
        return QPointF(8 + share * (self.width() - 16), self.height() / 2)

    def _to_pointer(self, x: float) -> None:
        share = min(max((x - 8) / max(self.width() - 16, 1), 0.0), 1.0)
        self.setValue(round(self.minimum() + share * (self.maximum() - self.minimum())))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self._to_pointer(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self.isSliderDown():
            self._to_pointer(event.position().x())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(False)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours()
        at = self.place(self.value())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(look.line))
        painter.drawRoundedRect(QRectF(2, at.y() - 1.5, self.width() - 4, 3), 1.5, 1.5)
        painter.setBrush(QColor(look.accent if self.isEnabled() else look.quiet))
        painter.drawRoundedRect(QRectF(2, at.y() - 1.5, at.x() - 2, 3), 1.5, 1.5)
        painter.setBrush(QColor(look.text if self.isEnabled() else look.quiet))
        if look is LIGHT and self.isEnabled():
            painter.setBrush(QColor(look.accent))
        painter.drawEllipse(at, 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(look.accent), 1.5))
            painter.drawEllipse(at, 7.2, 7.2)


class Switch(QCheckBox):
    """A check box drawn as a switch, with its text beside it."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        by_tab(self)

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text()) + 12 if self.text() else 0
        return QSize(36 + words, 24)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def hitButton(self, position: Any) -> bool:
        return self.rect().contains(position)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look, on = colours(), self.isChecked()
        if not self.isEnabled():
            painter.setOpacity(0.4)
        if self.hasFocus():
            focus_ring(painter, QRectF(0, 0, 36, 24), 11)
        painter.setPen(QPen(QColor(look.accent if on else look.quiet), 1))
        painter.setBrush(QColor(look.accent if on else look.panel))
        painter.drawRoundedRect(QRectF(3.5, 4.5, 29, 15), 7.5, 7.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(look.panel if on else look.quiet))
        painter.drawEllipse(QRectF(19.5 if on else 5.5, 6.5, 11, 11))
        if self.text():
            painter.setPen(QColor(look.text))
            painter.drawText(
                QRectF(self.rect()).adjusted(44, 0, 0, 0),
                Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
                self.text(),
            )


class IconButton(QPushButton):
    """A button with a drawn icon, and text beside it if there is any."""

    def __init__(self, icon: Icon, name: str, text: str = "") -> None:
        super().__init__()
        self.icon_name: Icon = icon
        self.words = text
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFlat(True)
        by_tab(self)

    def wear(self, icon: Icon, name: str, text: str = "") -> None:
        """Change icon, name and text."""
        if (icon, text) != (self.icon_name, self.words):
            self.icon_name, self.words = icon, text
            self.update()
        self.setAccessibleName(name)
        self.setToolTip(name)

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.words) + 6 if self.words else 0
        return QSize(28 + words, ROW)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect())
        if not self.isEnabled():
            painter.setOpacity(0.4)
        if self.underMouse() and self.isEnabled():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours().chosen))
            painter.drawRoundedRect(box, 5, 5)
        if self.hasFocus():
            focus_ring(painter, box)
        bright = self.underMouse() or self.isChecked() or bool(self.words)
        colour = QColor(colours().text if bright else colours().quiet)
        middle = box.center().y()
        left = 6.0 if self.words else box.center().x() - 8
        draw_icon(painter, self.icon_name, QRectF(left, middle - 8, 16, 16), colour)
        if self.words:
            painter.setPen(colour)
            room = box.adjusted(28, 0, -4, 0)
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.words)


class Link(QPushButton):
    """Text in the accent that can be clicked."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setFlat(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        by_tab(self)
        self.quiet_part = ""
        """What stands before the text, not in the accent."""
        self.inset = 3
        """Pixels from the left edge to the text."""

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.quiet_part + self.text()) + 6, 24)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.hasFocus():
            focus_ring(painter, QRectF(self.rect()), 4)
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        box = QRectF(self.rect()).adjusted(self.inset, 0, 0, 0)
        painter.setPen(QColor(colours().text))
        painter.drawText(box, middle, self.quiet_part)
        box.setLeft(box.left() + self.fontMetrics().horizontalAdvance(self.quiet_part))
        font = self.font()
        font.setUnderline(self.underMouse())
        painter.setFont(font)
        painter.setPen(QColor(colours().accent if self.isEnabled() else colours().quiet))
        painter.drawText(box, middle, self.text())


class Segments(QWidget):
    """Buttons side by side of which one is chosen."""

    chosen = Signal(str)

    def __init__(self, entries: dict[str, str], tips: dict[str, str]) -> None:
        super().__init__()
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(0)
        self.buttons: dict[str, QAbstractButton] = {}
        for value, text in entries.items():
            button = QPushButton(text)
            button.setCheckable(True)
            by_tab(button)
            button.setProperty("segment", _place(len(self.buttons), len(entries)))
            button.setToolTip(tips[value])
            button.setAccessibleName(tips[value])
            button.clicked.connect(self._press(value))
            line.addWidget(button)
            self.buttons[value] = button
        self._value, self._tips = next(iter(entries)), tips

    def _press(self, value: str) -> Callable[[], None]:
        def press() -> None:
            shown = self._value
            self.put(shown)  # what is chosen is told by the next state
            if value != shown:
                self.chosen.emit(value)

        return press

    def put(self, value: str) -> None:
        """Show which is chosen; emits nothing."""
        self._value = value
        for name, button in self.buttons.items():
            button.setChecked(name == value)

    def grey(self, value: str, reason: str | None) -> None:
        """Let an entry be chosen, or say why it cannot be."""
        button = self.buttons[value]
        button.setEnabled(reason is None)
        button.setToolTip(reason or self._tips[value])


def _place(number: int, count: int) -> str:
    return "only" if count == 1 else "first" if number == 0 else "last" if number == count - 1 else "middle"
