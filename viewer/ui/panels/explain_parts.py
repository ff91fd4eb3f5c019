# SPDX-License-Identifier: Apache-2.0
"""Parts of the panel that explains: the chooser of layers, the bar that runs, pictures of baselines."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QWidget,
)

from viewer.types import Array
from viewer.ui.state import UNFLIPPED, Busy, Flips
from viewer.ui.widgets.controls import Combo
from viewer.ui.widgets.parts import (
    Text,
    by_tab,
    image,
)

_SUGGESTED = "suggested"
_SMALL = 40
"""Pixels along a side of a baseline's picture."""
_FINE = 100
"""Parts of a step that the bar of progress tells apart."""


class LayerCombo(Combo):
    """Suggested layers, and any other by its name. `chosen` tells a name, or None for the suggested."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setEditable(True)
        self.setInsertPolicy(Combo.InsertPolicy.NoInsert)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._layers: tuple[str, ...] | None = None
        self._value: str | None = None
        self.activated.connect(lambda place: self._tell(self.itemData(place)))
        line = self.lineEdit()
        assert line is not None
        self._line: QLineEdit = line
        self._line.setPlaceholderText(_SUGGESTED)
        self._line.editingFinished.connect(self._typed)

    def put(self, layers: tuple[str, ...], value: str | None) -> None:
        """Show the names and which is chosen; emits nothing."""
        if layers != self._layers:
            self._layers = layers
            self.blockSignals(True)
            self.clear()
            self.addItem(_SUGGESTED, None)
            for layer in layers:
                self.addItem(layer, layer)
            self.blockSignals(False)
            self._value = None
            self._rest()
        if value != self._value:
            self._value = value
            self._rest()

    def _rest(self) -> None:
        """Show what is chosen."""
        text = _SUGGESTED if self._value is None else self._value
        self.blockSignals(True)
        self.setCurrentIndex(self.findText(text, Qt.MatchFlag.MatchExactly))
        self.blockSignals(False)
        self._line.setText(text)
        self._line.setCursorPosition(0)
        self.setToolTip(f"{text}\nA suggested layer, or any other by its name.")

    def _typed(self) -> None:
        text = self._line.text().strip()
        self._tell(None if text in ("", _SUGGESTED) else text)

    def _tell(self, value: str | None) -> None:
        if value == self._value:
            self._rest()
            return
        self._value = value
        self.chosen.emit(value)


class RunBar(QStackedWidget):
    """The button that runs, or progress and the button that cancels, in one place of one height."""

    def __init__(self) -> None:
        super().__init__()
        self.run = QPushButton("Explain")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.words = Text("", "quiet", right=True)
        self.cancel = QPushButton("Cancel")
        busy = QWidget()
        line = QHBoxLayout(busy)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(10)
        line.addWidget(self.progress, 1)
        line.addWidget(self.words, 1)
        line.addWidget(self.cancel)
        self.addWidget(self.run)
        self.addWidget(busy)
        self.setFixedHeight(30)
        for button in (self.run, self.cancel):
            button.setFixedHeight(30)
            by_tab(button)

    def put(self, under_way: Sequence[Busy], obstacle: str) -> None:
        """Show progress, of several works that of one whose end is known, or the button.

        That is greyed with `obstacle` where there is one.
        """
        had = self.window().focusWidget() in (self.run, self.cancel)
        self.run.setEnabled(not obstacle)
        self.run.setToolTip(obstacle or "Compute the map for this target with these settings.")
        if under_way:
            most = max(under_way, key=lambda one: one.total)
            self.progress.setRange(0, most.total * _FINE)
            self.progress.setValue(round((most.done + most.part) * _FINE))
            count = f"step {most.done + bool(most.step)} / {most.total}" if most.total else f"{most.doing}…"
            every = " · ".join(" · ".join(filter(None, (one.words, one.detail))) for one in under_way)
            self.words.set_text(count if len(under_way) == 1 else f"{every}…", every)
        self.setCurrentIndex(1 if under_way else 0)
        if had:
            # The keyboard stays here when one button makes room for the other.
            (self.cancel if under_way else self.run).setFocus()


class BaselineThumbnails(QWidget):
    """What the image was compared with, small; hidden where it was compared with nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._pictures: tuple[Array, ...] = ()
        self._flips = UNFLIPPED
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 2)
        self._line.setSpacing(6)
        self._line.addWidget(Text("Compared with", "quiet"), 1)
        self.hide()

    def put(self, pictures: tuple[Array, ...], flips: Flips = UNFLIPPED) -> None:
        """Show these, grey (rows, columns), flipped as the image is."""
        if pictures is self._pictures and flips == self._flips:
            return
        self._pictures, self._flips = pictures, flips
        across, down = (-1 if turned else 1 for turned in flips)
        for place in reversed(range(1, self._line.count())):
            taken = self._line.takeAt(place)
            widget = None if taken is None else taken.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for one in pictures:
            label = QLabel()
            picture = QPixmap.fromImage(image(one[::down, ::across]))
            label.setPixmap(picture.scaled(_SMALL, _SMALL, Qt.AspectRatioMode.KeepAspectRatio))
            label.setToolTip("The baseline of this map, in the greys of the image as the model reads it")
            label.setAccessibleName("Baseline")
            label.setFrameShape(QLabel.Shape.Box)
            self._line.addWidget(label)
        self.setVisible(bool(pictures))
