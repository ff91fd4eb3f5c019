# SPDX-License-Identifier: Apache-2.0
"""How the map is drawn. Nothing here runs the model."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

from viewer.overlay import NAMES, clipped, colour_table, shown_range, shows_nothing
from viewer.types import Map, Style
from viewer.ui.commands import BY_NAME, Run
from viewer.ui.keyboard import key_of
from viewer.ui.state import ViewState
from viewer.ui.widgets.controls import Combo, IconButton, Slider, Switch
from viewer.ui.widgets.parts import (
    MARGIN,
    ROW,
    Text,
    add_row,
    by_tab,
    dress_panel,
    heading,
    pair,
    rows,
    swatch,
)
from viewer.wording import clipped_text, number

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_SIGNS = {"positive": "positive only", "signed": "both signs", "magnitude": "magnitude"}
_INTERPOLATIONS = {"bilinear": "smooth (bilinear)", "nearest": "cells (nearest)"}
_IMAGE = {"fit-image": "Fit", "actual-size": "1 : 1", "reset-image": "Reset"}
"""Commands of how the image is seen, and their buttons."""
_LOCKED, _FREE = "all labels", "this map"


def _share_of(style: Style) -> int:
    """The threshold in per cent of the top of the range."""
    top = shown_range(style)[1]
    return round(100 * min(max(style.threshold / top, 0.0), 1.0)) if top > 0 else 0


class DisplayPanel(QWidget):
    """Opacity, what is left blank, range, colours, sign, interpolation, overlay on or off."""

    style_changed = Signal(str, object)
    lock_toggled = Signal(bool)
    overlay_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self._style = Style()
        self._locked = True
        self.opacity, self.threshold = Slider(), Slider()
        self.opacity_number, self.threshold_number = Text(right=True), Text(right=True)
        for text in (self.opacity_number, self.threshold_number):
            text.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            text.setFixedWidth(42)
        self.range = Text()
        self.lock = IconButton("locked", "", _LOCKED)
        room = max(self.lock.fontMetrics().horizontalAdvance(words) for words in (_LOCKED, _FREE))
        self.lock.setFixedSize(QSize(room + 34, ROW))  # numbers beside it must not be cut
        self.table, self.sign, self.interpolation = Combo(), Combo(), Combo()
        self.overlay = Switch()
        self.image = {name: QPushButton(words) for name, words in _IMAGE.items()}
        self.overlay_key = Text("", "quiet", right=True)
        self._keys: object = None
        self._counted: tuple[tuple[Any, ...], str] | None = None
        self._fill()
        self._lay_out()
        self._connect()
        self.show(ViewState())

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        for name, button in self.image.items():
            button.clicked.connect(partial(run, name))
        display = presenter.display
        self.style_changed.connect(display.set_style)
        self.lock_toggled.connect(display.lock_range)
        self.overlay_toggled.connect(display.toggle_overlay)

    def _fill(self) -> None:
        self.table.setIconSize(QSize(36, 10))
        for name in NAMES:
            self.table.addItem(swatch(colour_table(name)), name, name)
        for combo, entries in ((self.sign, _SIGNS), (self.interpolation, _INTERPOLATIONS)):
            for value, words in entries.items():
                combo.addItem(words, value)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 10)
        column.setSpacing(6)
        column.addWidget(heading("Display"))
        grid = rows()
        for button in self.image.values():
            by_tab(button)
        add_row(grid, "Image", pair(*self.image.values(), stretch=None))
        add_row(grid, "Overlay", pair(self.overlay, self.overlay_key, stretch=1))
        add_row(grid, "Opacity", pair(self.opacity, self.opacity_number))
        add_row(grid, "Blank below", pair(self.threshold, self.threshold_number))
        add_row(grid, "Range", pair(self.range, self.lock))
        add_row(grid, "Colours", self.table)
        add_row(grid, "Sign", self.sign)
        add_row(grid, "Interpolation", self.interpolation)
        column.addLayout(grid)
        for control, name in (
            (self.opacity, "Opacity"),
            (self.threshold, "Blank below"),
            (self.overlay, "Overlay"),
        ):
            control.setAccessibleName(name)
        self.threshold.setToolTip(
            "Values of the map smaller than this are not drawn, in per cent of the top of the range.\n"
            "0: everything is drawn; more: only the strongest. The score does not change."
        )

    def _connect(self) -> None:
        self.opacity.moved.connect(self._opacity_moved)
        self.threshold.moved.connect(self._threshold_moved)
        for name, combo in (
            ("colours", self.table),
            ("sign", self.sign),
            ("interpolation", self.interpolation),
        ):
            combo.activated.connect(self._chosen(name, combo))
        self.overlay.clicked.connect(lambda on: self.overlay_toggled.emit(on))
        self.lock.clicked.connect(lambda: self.lock_toggled.emit(not self._locked))

    def _chosen(self, name: str, combo: Combo) -> Any:
        return lambda place: self.style_changed.emit(name, combo.itemData(place))

    def _opacity_moved(self, value: int) -> None:
        self.opacity_number.set_text(f"{value} %")
        self.style_changed.emit("opacity", value / 100)

    def _threshold_moved(self, value: int) -> None:
        self.threshold_number.set_text(f"{value} %")
        self.style_changed.emit("threshold", value / 100 * shown_range(self._style)[1])

    def _name_keys(self, state: ViewState) -> None:
        """Say which keys do the same, as they are now."""
        keys = state.shell.preferences.keys
        if keys is self._keys:
            return
        self._keys = keys
        self.overlay_key.set_text(key_of("overlay", keys))
        both = [key for name in ("less-opacity", "more-opacity") if (key := key_of(name, keys))]
        for control, words, own in (
            (self.opacity, "Opacity of the map where it is drawn", ", ".join(both)),
            (self.overlay, "Show or hide the map", self.overlay_key.full),
        ):
            control.setToolTip(f"{words} ({own})" if own else words)
        for name, button in self.image.items():
            own, words = key_of(name, keys), BY_NAME[name].title
            button.setToolTip(f"{words} ({own})" if own else words)

    def _beyond(self, shown: Map, style: Style) -> str:
        """How many cells lie beyond the range, in words; counted anew where map or range are others."""
        low, _ = shown_range(style)
        key = (shown.values, style.range, style.sign, style.threshold if low > 0 else None)
        if self._counted is None or self._counted[0][0] is not key[0] or self._counted[0][1:] != key[1:]:
            nothing = shows_nothing(shown)
            self._counted = key, "" if nothing else clipped_text(*clipped(shown, style), style.sign)
        return self._counted[1]

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        self._name_keys(state)
        for button in self.image.values():
            button.setEnabled(state.view.values is not None and state.views.layout != "sheet")
        self._style = style = state.views.style
        self._locked = state.views.locked
        self.opacity.put(round(100 * style.opacity))
        self.opacity_number.set_text(f"{round(100 * style.opacity)} %")
        self.threshold.put(_share_of(style))
        self.threshold_number.set_text(f"{_share_of(style)} %")
        self.table.choose(style.colours)
        self.sign.choose(style.sign)
        self.interpolation.choose(style.interpolation)
        self.overlay.setChecked(state.views.overlay)
        shown, compared = state.shown, state.answer.compared
        # Ranks are drawn in a range, colours and signs of their own.
        ranked = state.views.layout == "compare" and compared is not None and compared.ranks
        for control in (self.threshold, self.threshold_number):
            control.setEnabled(shown is not None and not ranked)
        for choice in (self.table, self.sign):
            choice.setEnabled(not ranked)
        fixed = ranked or state.answer.attribution is None or state.regions.loaded is not None
        self.lock.setEnabled(not fixed)
        if shown is None:
            self.range.set_text("no map yet")
        else:
            low, high = shown_range(style)
            words = f"± {number(high)}" if low == -high else f"{number(low)} … {number(high)}"
            beyond = self._beyond(shown, style)
            facts = (f"{number(low)} … {number(high)}", f"Unit: {shown.unit or 'none'}", beyond.capitalize())
            self.range.set_text(f"{words} · clipped" if beyond else words, "\n".join(filter(None, facts)))
        if state.views.locked:
            tip = "One range for all slices and labels of this method on this series: they compare"
            self.lock.wear("locked", tip, _LOCKED)
        else:
            self.lock.wear("open", "A range of its own for each map: maps do not compare", _FREE)
