# SPDX-License-Identifier: Apache-2.0
"""What the reader prefers: a dialogue beside the window, whose changes hold at once."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from viewer.settings import BATCHES, MIB, RANGES, RATES, SLICE_MEMORY, Limits, Preferences
from viewer.ui.panels.keys import KeysPage
from viewer.ui.state import ViewState
from viewer.ui.widgets.controls import Combo, Link, Segments, Switch
from viewer.ui.widgets.form import SettingField, WholeNumber
from viewer.ui.widgets.parts import Sentence, add_row, heading, pair, rows

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_PAGES = {"general": "General", "files": "Files", "computation": "Computation", "keys": "Keys"}
_COLOURS = {"dark": "Dark", "light": "Light"}
_WIDE = 96
"""The width of a field for thousands of MiB."""
_DEVICES = {
    "auto": "the best there is",
    "cuda": "NVIDIA GPU (CUDA)",
    "mps": "Apple GPU (MPS)",
    "cpu": "processor (CPU)",
}


class _Amount(NamedTuple):
    """A limit as the dialogue has it: its words, its unit, and how many of the limit's own the unit is."""

    words: str
    unit: str
    each: int = 1


AMOUNTS = {
    "rows": _Amount("Rows", "at most"),
    "columns": _Amount("Columns", "at most"),
    "frames": _Amount("Frames", "in a file"),
    "bytes": _Amount("Pixels", "MiB in a file, once they are unpacked", MIB),
    "decode_seconds": _Amount("Decoding", "seconds an image"),
    "decode_memory": _Amount("Memory", "MiB for each decoder", MIB),
}
"""The limits that a reader may want to change; the command line knows all."""


class PreferencesDialog(QDialog):
    """General, files, computation and keys. `changed` tells a preference by its name, with its new value."""

    changed = Signal(str, object)
    forget_recent_wished = Signal()
    forget_trusted_wished = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self.setModal(False)
        self.resize(560, 560)
        self._preferences: Preferences | None = None
        self.pages = Segments(_PAGES, {name: f"{words} settings" for name, words in _PAGES.items()})
        self.keys = KeysPage()
        self.stack = QStackedWidget()
        for page in (self._general(), self._files(), self._computation(), self.keys):
            self.stack.addWidget(page)
        self.pages.chosen.connect(self.turn_to)
        head = QHBoxLayout()
        head.addWidget(self.pages)
        head.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 12, 16)
        column.setSpacing(14)
        column.addLayout(head)
        column.addWidget(self.stack, 1)
        self.turn_to("general")
        self.show(ViewState())

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        reader, keys = presenter.preferences, self.keys
        self.changed.connect(presenter.prefer)
        self.forget_recent_wished.connect(reader.forget_recent)
        self.forget_trusted_wished.connect(reader.forget_trusted)
        keys.wished.connect(lambda *wish: keys.refuse(reader.set_key(*wish)))
        keys.default_wished.connect(lambda name: keys.refuse(reader.default_key(name)))
        keys.defaults_wished.connect(reader.default_keys)

    def turn_to(self, page: str) -> None:
        """Show another page."""
        self.pages.put(page)
        self.stack.setCurrentIndex(list(_PAGES).index(page))
        self.keys.refuse(None)

    def _general(self) -> QWidget:
        self.colours = Segments(_COLOURS, {name: f"{words} colours" for name, words in _COLOURS.items()})
        self.masked = Switch("Mask the patient at the start")
        self.remember = Switch("Remember the studies and models opened last")
        self.recent, self.forget_recent = QLabel(), Link("Forget them")
        self.rate = WholeNumber(SettingField(int, least=RATES[0], most=RATES[1]))
        self.rate.setFixedWidth(64)
        self.rate.setAccessibleName("Slices per second")
        self.trusted, self.forget_trusted = QLabel(), Link("Forget trusted code")
        self.colours.chosen.connect(lambda value: self.changed.emit("colours", value))
        self.masked.clicked.connect(lambda on: self.changed.emit("masked", on))
        self.remember.clicked.connect(lambda on: self.changed.emit("remember", on))
        self.rate.valueChanged.connect(lambda value: self.changed.emit("rate", value))
        self.forget_recent.clicked.connect(lambda: self.forget_recent_wished.emit())
        self.forget_trusted.clicked.connect(lambda: self.forget_trusted_wished.emit())
        page, column = _page()
        for title, parts in {
            "Colours": (_left(self.colours),),
            "Patient": (self.masked,),
            "Opened before": (
                self.remember,
                Sentence("Names of files and folders may tell who the patient is.", "quiet"),
                _left(self.recent, self.forget_recent),
            ),
            "Playing slices": (_left(self.rate, QLabel("slices per second")),),
            "Trusted code": (_left(self.trusted, self.forget_trusted),),
        }.items():
            _section(column, title, *parts)
        column.addStretch(1)
        return page

    def _files(self) -> QWidget:
        least, most = SLICE_MEMORY
        self.slice_memory = WholeNumber(SettingField(int, least=least // MIB, most=most // MIB))
        self.slice_memory.setFixedWidth(_WIDE)
        self.slice_memory.setAccessibleName("Memory for slices, in MiB")
        self.slice_memory.valueChanged.connect(lambda value: self.changed.emit("slice_memory", value * MIB))
        self.limits = {name: self._limit(name, amount) for name, amount in AMOUNTS.items()}
        self.usual_limits = Link("As at first")
        self.usual_limits.clicked.connect(lambda: self.changed.emit("limits", Limits()))
        page, column = _page()
        _section(
            column,
            "Memory for slices",
            _left(self.slice_memory, QLabel("MiB for the slices of all open series")),
            Sentence(
                "The slice on the screen is always kept; three planes hold their volume beside it.", "quiet"
            ),
        )
        column.addSpacing(10)
        column.addWidget(heading("What a file may ask for"))
        grid = rows()
        for name, amount in AMOUNTS.items():
            add_row(grid, amount.words, _left(self.limits[name], QLabel(amount.unit)))
        column.addLayout(grid)
        column.addWidget(_left(self.usual_limits))
        column.addWidget(
            Sentence("They hold from the next study on; what asks for more is refused.", "quiet")
        )
        column.addStretch(1)
        return page

    def _limit(self, name: str, amount: _Amount) -> WholeNumber:
        least, most = RANGES[name]
        number = WholeNumber(SettingField(int, least=least // amount.each, most=most // amount.each))
        number.setFixedWidth(_WIDE)
        number.setAccessibleName(f"{amount.words}, {amount.unit}")
        number.valueChanged.connect(lambda value: self._limited(name, value * amount.each))
        return number

    def _limited(self, name: str, value: int) -> None:
        if self._preferences is not None:
            self.changed.emit("limits", replace(self._preferences.limits, **{name: value}))

    def _computation(self) -> QWidget:
        self.device = Combo()
        for value, words in _DEVICES.items():
            self.device.addItem(words, value)
        self.batch = WholeNumber(SettingField(int, least=BATCHES[0], most=BATCHES[1]))
        self.batch.setFixedWidth(80)
        self.device.activated.connect(lambda at: self.changed.emit("device", self.device.itemData(at)))
        self.batch.valueChanged.connect(lambda value: self.changed.emit("batch", value))
        page, column = _page()
        column.addWidget(heading("Where models run"))
        grid = rows()
        add_row(grid, "Device", self.device)
        add_row(grid, "Batch", pair(self.batch, QWidget(), stretch=1))
        self.batch.setAccessibleName("Batch")
        self.batch.setToolTip("Slices or masks sent through the network at once; fewer need less memory")
        column.addLayout(grid)
        column.addWidget(Sentence("Both hold from the next model on that is opened.", "quiet"))
        column.addStretch(1)
        return page

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        now = state.shell.preferences
        if now is self._preferences:
            return
        self._preferences = now
        self.keys.show(state)
        self.colours.put(now.colours)
        self.masked.setChecked(now.masked)
        self.remember.setChecked(now.remember)
        _put(self.rate, now.rate)
        _put(self.batch, now.batch)
        _put(self.slice_memory, now.slice_memory // MIB)
        for name, number in self.limits.items():
            _put(number, int(getattr(now.limits, name)) // AMOUNTS[name].each)
        self.usual_limits.setEnabled(now.limits != Limits())
        self.device.choose(now.device)
        recent = [_count(len(now.studies), "study", "studies"), _count(len(now.models), "model", "models")]
        self.recent.setText(f"{recent[0]} and {recent[1]} remembered")
        self.forget_recent.setEnabled(bool(now.studies or now.models))
        self.forget_recent.setVisible(bool(now.studies or now.models))
        self.trusted.setText(_count(len(now.trusted), "program runs", "programs run") + " without asking")
        self.forget_trusted.setVisible(bool(now.trusted))


def _put(number: WholeNumber, value: Any) -> None:
    if number.chosen != value:
        number.put(value)


def _count(number: int, one: str, many: str) -> str:
    return f"{number or 'no'} {one if number == 1 else many}"


def _page() -> tuple[QWidget, QVBoxLayout]:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 8, 0)
    column.setSpacing(8)
    return page, column


def _section(column: QVBoxLayout, title: str, *parts: QWidget) -> None:
    if column.count():
        column.addSpacing(10)
    column.addWidget(heading(title))
    for part in parts:
        column.addWidget(part)


def _left(*parts: QWidget) -> QWidget:
    """Widgets side by side from the left."""
    return pair(*parts, QWidget(), stretch=len(parts))
