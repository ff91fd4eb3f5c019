# SPDX-License-Identifier: Apache-2.0
"""Why the model says it: method, target, layer, settings, run."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QVBoxLayout,
    QWidget,
)

from viewer.types import Sweep
from viewer.ui.commands import Run
from viewer.ui.panels.explain_parts import BaselineThumbnails, LayerCombo, RunBar
from viewer.ui.panels.layer_strip import LayerStripView
from viewer.ui.panels.method_card import MethodCombo
from viewer.ui.panels.searched_slices import SearchedSlices
from viewer.ui.panels.values import FeatureValues
from viewer.ui.state import NO_SEGMENTS, NOWHERE, SEGMENTS, WHOLE, MethodItem, ViewState, choice_of
from viewer.ui.views.captions import patch_place, region_name, search_words, swept_name
from viewer.ui.views.layers import RenderCache
from viewer.ui.widgets.controls import Combo, IconButton, Link
from viewer.ui.widgets.form import SettingsForm
from viewer.ui.widgets.parts import (
    MARGIN,
    ROW,
    Text,
    add_row,
    dress_panel,
    heading,
    pair,
    rows,
)
from viewer.wording import SAME_FOR_ALL, clean, time_text, used_words

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter


class ExplainPanel(QWidget):
    """Method, target, layer and settings; wishes only."""

    method_chosen = Signal(str)
    target_chosen = Signal(str)
    against_chosen = Signal(object)
    """The label to compare the target with, or None."""
    layer_chosen = Signal(object)
    layer_strip_requested = Signal()
    """The map at every layer, where that takes long."""
    card_requested = Signal()
    looked_at = Signal(object)
    """The name of the method that the open chooser points at, or None."""
    within_chosen = Signal(object)
    """The source of a region, or None."""
    sweep_chosen = Signal(object)
    """`WHOLE`, the source of a region, a box, or None for one patch."""
    setting_changed = Signal(str, object)
    explain_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, cache: RenderCache | None = None) -> None:
        super().__init__()
        dress_panel(self)
        self._shown: ViewState | None = None
        self.method, self.target, self.against, self.layer = MethodCombo(), Combo(), Combo(), LayerCombo()
        self.about = IconButton("info", "About this method: what it shows, its cost, when not to believe it")
        self.about.setProperty("opens-card", True)
        self.completeness = Text("", "quiet")
        self.form = SettingsForm()
        self.settings = Link()
        self.settings.inset, self._unfolded = 0, False
        self.run_bar = RunBar()
        self.layer_strip = LayerStripView(cache)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 4)
        column.setSpacing(6)
        column.addWidget(heading("Explain"))
        grid = rows()
        for text, control in (
            ("Method", pair(self.method, self.about)),
            ("Target", self.target),
            ("Rather than", self.against),
            ("Layer", self.layer),
        ):
            add_row(grid, text, control)
        self.within = Combo()
        self.patch, self.slices = Combo(), SearchedSlices()
        self._grid = grid
        self._within_name = add_row(grid, "Only inside", self.within)
        self._within_row = grid.rowCount() - 1
        self._patch_name, self._patch_row = add_row(grid, "Look at", self.patch), grid.rowCount() - 1
        self._slices_name = add_row(grid, "Slices", self.slices)
        self._regions: tuple[object, ...] = ()
        self._sweeps: tuple[object, ...] = ()
        column.addLayout(grid)
        column.addWidget(self.layer_strip)
        column.addWidget(self.run_bar)
        self.values, self.baselines = FeatureValues(), BaselineThumbnails()
        column.addWidget(self.completeness)
        # Below what every method has, and folded: methods have from none to eight of them.
        column.addWidget(self.settings, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.form)
        column.addWidget(self.values)
        column.addWidget(self.baselines)
        self.within.activated.connect(lambda place: self.within_chosen.emit(self.within.itemData(place)))
        self.patch.activated.connect(lambda place: self.sweep_chosen.emit(self.patch.itemData(place)))
        self.method.setAccessibleName("Method")
        self.method.looked_at.connect(self.looked_at)
        self.about.clicked.connect(lambda: self.card_requested.emit())
        self.method.chosen.connect(self.method_chosen)
        self.target.activated.connect(lambda place: self._choose(self.target, place, self.target_chosen))
        self.against.activated.connect(lambda place: self.against_chosen.emit(self.against.itemData(place)))
        self.layer.chosen.connect(self.layer_chosen)
        self.layer_strip.layer_chosen.connect(self.layer_chosen)
        self.layer_strip.wished.connect(self.layer_strip_requested)
        self.form.changed.connect(self.setting_changed)
        self.settings.clicked.connect(self._fold)
        self.run_bar.run.clicked.connect(lambda: self.explain_requested.emit())
        self.run_bar.cancel.clicked.connect(lambda: self.cancel_requested.emit())
        self.show(ViewState())

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        explaining = presenter.explaining
        self.method_chosen.connect(explaining.choose_method)
        self.target_chosen.connect(explaining.choose_target)
        self.against_chosen.connect(explaining.choose_against)
        self.layer_chosen.connect(explaining.choose_layer)
        self.within_chosen.connect(explaining.choose_within)
        self.setting_changed.connect(explaining.set_setting)
        self.explain_requested.connect(presenter.patches.explain)
        self.sweep_chosen.connect(presenter.patches.sweep)
        self.slices.changed.connect(presenter.patches.choose_slices)
        self.layer_strip_requested.connect(presenter.layer_strip.wish)
        self.cancel_requested.connect(presenter.cancel)
        self.card_requested.connect(partial(run, "method-card"))

    def _choose(self, combo: Combo, place: int, signal: Any) -> None:
        value = combo.itemData(place)
        if value is not None:
            signal.emit(value)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        old, self._shown = self._shown, state
        model = state.answer.model
        if old is None or old.answer.model is not model:
            self._fill_targets(() if model is None else model.labels)
        item = state.chosen_method
        self.method.put(() if model is None else model.methods, item)
        self.method.setEnabled(model is not None)
        self._show_targets(state, item)
        has_layer = item is not None and "layer" in item.settings
        self.layer.put(() if model is None else model.layers, state.request.layer)
        self.layer.setEnabled(has_layer)
        if item is not None and not has_layer:
            self.layer.setToolTip(f"{item.title} reads no single layer.")
        self.layer_strip.show(state)
        settings = {} if item is None else item.settings
        closed = {} if state.regions.regions else {SEGMENTS: NO_SEGMENTS}
        # Segments are as many as they are.
        idle = {"features"} if choice_of(state).segmented else ()
        self.form.show_fields(
            settings, state.request.settings, {} if item is None else item.hints, closed, idle
        )
        self._show_fold(state)
        self.run_bar.put(state.shell.under_way, self._obstacle(state, item))
        self.about.setEnabled(item is not None)
        self.completeness.set_text(*completeness_words(state))
        self.values.put(state)
        self.baselines.put(state.answer.baselines, state.flips)
        self._show_regions(state, item)
        self._show_patch(state)

    def _fold(self) -> None:
        self._unfolded = not self._unfolded
        if self._shown is not None:
            self._show_fold(self._shown)

    def _show_fold(self, state: ViewState) -> None:
        """The settings while they are unfolded, and how many there are and are changed."""
        count, item = len(self.form.controls), state.chosen_method
        changed = 0
        if item is not None:
            given = {
                name: state.request.settings.get(name, item.settings[name]) for name in self.form.controls
            }
            changed = sum(str(value) != str(item.settings[name]) for name, value in given.items())
        self.form.setVisible(self._unfolded and count > 0)
        sign = "▾" if self._unfolded else "▸"
        more = f" · {changed} changed" if changed else ""
        self.settings.setText(f"{sign} Settings · {count}{more}" if count else "No settings")
        self.settings.setEnabled(count > 0)
        self.settings.setToolTip("Show or hide the settings of this method" if count else "")
        self.settings.updateGeometry()

    def _show_targets(self, state: ViewState, item: MethodItem | None) -> None:
        """The target and what it is compared with, greyed where the method is the same for every label."""
        self.target.choose(state.request.target)
        self.against.choose(state.request.against)
        same = item is not None and not item.target_dependent
        several = state.answer.model is not None and len(state.answer.model.labels) > 1
        self.target.setEnabled(state.answer.model is not None and not same)
        self.against.setEnabled(several and not same)
        why = f"{item.title} is the {SAME_FOR_ALL}." if item is not None and same else ""
        if why:
            self.target.setToolTip(why)
        self.against.setToolTip(
            why or "Explain the difference of two scores: why the target rather than this."
        )

    def _show_regions(self, state: ViewState, item: MethodItem | None) -> None:
        """The regions that a method may be limited to, where there are any; grey where this one cannot be."""
        offered = bool(state.regions.regions)
        limited = item is not None and item.limited
        for widget in (self._within_name, self.within):
            widget.setVisible(offered)
        self.within.setEnabled(limited)
        self._grid.setRowMinimumHeight(self._within_row, ROW if offered else 0)
        regions = (state.shell.masked, *state.regions.regions)
        if offered and regions != self._regions:
            self._regions = regions
            self.within.clear()
            self.within.addItem("anywhere", None)
            for region in state.regions.regions:
                self.within.addItem(region_name(state, region), region.source)
        self.within.choose(None if state.region is None else state.region.source)
        if item is not None and not limited:
            self.within.setToolTip(f"{item.title} changes nothing of the image.")
        else:
            self.within.setToolTip("Where the method may change the image: anywhere, or in one region only")

    def _show_patch(self, state: ViewState) -> None:
        """What a model that reads patches is shown: one, or many over something; for no other model."""
        model = state.answer.model
        offered = model is not None and model.patch is not None
        for widget in (self._patch_name, self.patch):
            widget.setVisible(offered)
        self._grid.setRowMinimumHeight(self._patch_row, ROW if offered else 0)
        ranged = offered and self.slices.put(state)
        self._slices_name.setVisible(ranged)
        self.slices.setVisible(ranged)
        self._grid.setRowMinimumHeight(self._patch_row + 1, ROW if ranged else 0)
        if model is None or model.patch is None:
            return
        box = state.request.box
        sweeps = (model, state.shell.masked, box, *state.regions.regions)
        if sweeps != self._sweeps:
            self._sweeps = sweeps
            self.patch.clear()
            self.patch.addItem("one block", None)
            sources = (region.source for region in state.regions.regions)
            for over in (WHOLE, *(() if box is None else (box,)), *sources):
                name = swept_name(state, over) if isinstance(over, str) else "your box"
                self.patch.addItem(f"search {name}", over)
        self.patch.choose(state.request.swept)
        size = " × ".join(map(str, model.patch))
        self.patch.setToolTip(
            f"The model reads blocks of {size} pixels. One lies {patch_place(state)}: hold Ctrl and click\n"
            f"to place it, hold Ctrl and drag to search a box.\n"
            f"A search shows the model many blocks, refines the best and blends their maps."
        )

    @staticmethod
    def _obstacle(state: ViewState, item: MethodItem | None) -> str:
        """Why there is nothing to run, or ""."""
        if state.answer.model is None:
            return "Open a model first."
        if state.view.series is None:
            return "Open an image first."
        if item is None:
            return "Choose a method first."
        if state.at == NOWHERE:
            return f"{swept_name(state, state.request.swept or WHOLE)} does not lie on this slice."
        if not state.regions.regions and SEGMENTS in state.request.settings.items():
            return NO_SEGMENTS
        return item.unsuitable or ""

    def _fill_targets(self, labels: tuple[str, ...]) -> None:
        self.target.fill(_labels(labels))
        others = _labels(labels)
        nothing = QStandardItem("–")
        nothing.setData(None, Qt.ItemDataRole.UserRole)
        others.insertRow(0, nothing)
        self.against.fill(others)


def _waiting_words(state: ViewState) -> tuple[str, str]:
    """That the chosen method waits for the reader, and why; nothing where it runs by itself or cannot run."""
    item = state.chosen_method
    asked = state.view.number is not None and state.answer.gate != "outside"
    if item is None or item.unsuitable or state.free or not asked or state.shell.under_way:
        return "", ""
    if isinstance(state.at, Sweep):
        return (
            f"Waits for Explain{_size_words(state)}",
            f"A search shows the model many blocks.\n{search_words(state)}",
        )
    if item.quick:
        return f"{item.title} waits for Explain.", "It took long on this model, so it does not run unasked."
    tip = f"It asks the model often, so it does not run unasked. Its cost: {item.cost}."
    return f"{item.title} waits for Explain.", tip


def _size_words(state: ViewState) -> str:
    """How many blocks are searched, and how long that takes where it is known; short, for one line."""
    size = state.request.search
    if size is None:
        return "."
    time = "" if size.seconds is None else f", about {time_text(size.seconds * size.blocks)}"
    return f": {size.blocks} {'block' if size.blocks == 1 else 'blocks'}{time}"


def completeness_words(state: ViewState) -> tuple[str, str]:
    """How far the map's sum is off the score that it explains, and what that means."""
    shown = state.answer.attribution
    if shown is None:
        return _waiting_words(state)
    if state.answer.preview:
        return "Preview, still computing", "What the method has so far; the finished map takes its place."
    took = f"\nThe map took {shown.seconds:.1f} s." if shown.seconds >= 0.1 else ""
    if shown.found:
        # The form keeps what was asked for, where 0 means that the method chooses.
        took = f"\nComputed with {', '.join(used_words(shown))}.{took}"
    if shown.completeness_error is None:
        tip = "Its values need not add up to the score, or the score does not change from the baseline."
        return "Completeness not defined for this method", tip + took
    tip = "How far the sum of the map is off the change of the score from the baseline; below 1 % is usual."
    return f"Completeness error {shown.completeness_error:.2g} %", tip + took


def _labels(labels: tuple[str, ...]) -> QStandardItemModel:
    entries = QStandardItemModel()
    for label in labels:
        entry = QStandardItem(clean(label))
        entry.setData(label, Qt.ItemDataRole.UserRole)
        entry.setToolTip(clean(label))
        entries.appendRow(entry)
    return entries
