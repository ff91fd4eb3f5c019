# SPDX-License-Identifier: Apache-2.0
"""The fourth dimension: at which point of it one is, and the way to the others."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from viewer import dicom
from viewer.ui.keyboard import key_of
from viewer.ui.state import ViewState
from viewer.ui.views.captions import point_words
from viewer.ui.widgets.controls import IconButton, Segments, Slider
from viewer.ui.widgets.parts import Text, dress_panel

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_HEIGHT, _WORDS = 38, 190
"""Of the bar, and width of its words."""
_ALONG = {"slices": "slices", "points": "times"}
_TIPS = {"slices": "Play through the slices of this point", "points": "Play through the points at this place"}


class PointBar(QWidget):
    """A slider along time, b-value or the like, below the views; hidden where there is one point only."""

    point_requested = Signal(int)
    """Counted from 0."""
    along_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self, "bottom")
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.back, self.on = IconButton("previous", ""), IconButton("next", "")
        self.slider = Slider(step=1)
        self.slider.setAccessibleName("Point of the fourth dimension")
        self.words = Text("")
        self.words.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.words.setFixedWidth(_WORDS)
        self.incomplete = Text("", "warning")
        self.incomplete.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.play = Text("Play", "quiet")
        self.play.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.along = Segments(_ALONG, _TIPS)
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 0, 14, 0)
        line.setSpacing(8)
        for widget in (self.words, self.back, self.slider, self.on, self.incomplete, self.play, self.along):
            line.addWidget(widget, 1 if widget is self.slider else 0)
        self._index = 0
        self._keys: object = None
        self.back.clicked.connect(lambda: self.point_requested.emit(self._index - 1))
        self.on.clicked.connect(lambda: self.point_requested.emit(self._index + 1))
        self.slider.moved.connect(self.point_requested)
        self.along.chosen.connect(self.along_chosen)
        self.show(ViewState())

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.point_requested.connect(presenter.slices.go_to_point)
        self.along_chosen.connect(presenter.play_along)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        part = state.view.series.part if state.view.series is not None and state.points else None
        if part is not None and state.view.series is not None:
            self._index = part.index
            self.slider.blockSignals(True)
            self.slider.setRange(0, part.count - 1)
            self.slider.blockSignals(False)
            self.slider.put(part.index)
            self.words.set_text(point_words(part))
            self.back.setEnabled(part.index > 0)
            self.on.setEnabled(part.index < part.count - 1)
            self.incomplete.set_text("" if part.complete else "incomplete", _lacking(state))
            self.incomplete.setVisible(not part.complete)
            several = state.view.series.shape[0] > 1
            self.play.setVisible(several)
            self.along.setVisible(several)
            self.along.buttons["points"].setText("times" if dicom.in_time(part) else "points")
            self.along.put(state.played)
            self._name_keys(state)
        if self.isHidden() == (part is not None):
            self.setVisible(part is not None)

    def _name_keys(self, state: ViewState) -> None:
        """Say which keys do the same, as they are now."""
        keys = state.shell.preferences.keys
        if keys is self._keys:
            return
        self._keys = keys
        for button, name, words in (
            (self.back, "previous-point", "The same place at the point before"),
            (self.on, "next-point", "The same place at the next point"),
        ):
            key = key_of(name, keys)
            button.setToolTip(f"{words} ({key}, Alt+wheel)" if key else f"{words} (Alt+wheel)")
            button.setAccessibleName(words)


def _lacking(state: ViewState) -> str:
    """What the series says of the positions that this point lacks."""
    found = () if state.view.series is None else state.view.series.warnings
    return "\n".join(text for text in found if "slice positions" in text)
