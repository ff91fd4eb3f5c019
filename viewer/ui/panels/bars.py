# SPDX-License-Identifier: Apache-2.0
"""The bars: whose image this is, what the window must always say, and messages."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QPushButton, QSizePolicy, QWidget

from viewer.types import Series
from viewer.ui.commands import Run
from viewer.ui.keyboard import key_of
from viewer.ui.panels.opening import MODEL, STUDY, MenuButton
from viewer.ui.panels.prediction import device_name
from viewer.ui.panels.search import SearchField
from viewer.ui.state import Memory, ViewState
from viewer.ui.widgets.controls import IconButton, Segments
from viewer.ui.widgets.parts import Text, by_tab, colours, dress_panel
from viewer.ui.widgets.theme import DARK
from viewer.wording import RESEARCH_USE, bytes_text, true_minus

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_MASK = "●●●●●●"
_LAYOUTS = {"1": "1", "1|1": "1 | 1", "3": "3 planes", "sheet": "Sheet", "compare": "Compare"}
_LAYOUT_TIPS = {
    "1": "Image with map",
    "1|1": "Image beside image with map",
    "3": "Axial, coronal and sagittal",
    "sheet": "All labels, or all quick methods, in a contact sheet",
    "compare": "Two maps side by side, and the difference of their ranks",
}
_TALL, _LOW = 44, 28
"""Heights of the top bar and of the status bar."""
_SHORT = 1400
"""Below this width of the top bar the command search is an icon."""


def _patient_words(series: Series | None, masked: bool) -> str:
    """Whose image this is, or that it is masked."""
    if series is None:
        return "No image"
    if masked:
        return f"Patient {_MASK}"
    who = series.identity
    name = " ".join(part for part in who.patient.replace("^", " ").split() if part)
    return " · ".join(part for part in (name, who.patient_id) if part) or "Patient without a name"


def _memory_words(memory: Memory) -> str:
    """What the slices take of their bound."""
    return f"Slices {bytes_text(memory.used)} of {bytes_text(memory.room)}"


class _PatientButton(QPushButton):
    """The patient, masked or not; elides in its middle where the room is short."""

    def __init__(self) -> None:
        super().__init__()
        self.setFlat(True)
        self.full = ""
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def set_text(self, text: str) -> None:
        if text == self.full:
            return
        self.full = text
        self.setAccessibleName(text)
        self._fit()
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.full) + 24, 30)

    def minimumSizeHint(self) -> QSize:
        return QSize(96, 30)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(
            self.fontMetrics().elidedText(self.full, Qt.TextElideMode.ElideMiddle, max(self.width() - 22, 40))
        )
        how = "Hold Ctrl and click to show" if self.full.endswith(_MASK) else "Click to mask"
        self.setToolTip(f"{self.full}\n{how} the identity everywhere")


class TopBar(QWidget):
    """Title, patient, layouts, command search, open, model, export, settings, theme."""

    mask_requested = Signal(bool)
    """To mask the patient, or with Ctrl held, where it is masked, to show it."""
    layout_chosen = Signal(str)
    open_requested = Signal(str)
    """"folder", "files" or "demo"."""
    model_requested = Signal(str)
    recent_requested = Signal(str, object)
    """"studies" or "models", and the paths of what was opened before."""
    recent_looked_at = Signal()
    recent_forgotten = Signal()
    export_requested = Signal()
    search_requested = Signal()
    settings_requested = Signal()
    theme_toggled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_TALL)
        self.title = Text("Whyscope", "title")
        self.title.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.patient = _PatientButton()
        self.facts = Text("", "quiet")
        self.layouts = Segments(_LAYOUTS, _LAYOUT_TIPS)
        self.search = SearchField()
        self.open, self.model = MenuButton("Open…", STUDY, "studies"), MenuButton("Model…", MODEL, "models")
        self.export = QPushButton("Export…")
        self.settings = IconButton("gear", "Settings")
        self.export.setProperty("primary", True)
        self.theme = IconButton("light", "Light or dark")
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 0, 12, 0)
        line.setSpacing(8)
        for widget, stretch in (
            (self.title, 0),
            (self.patient, 0),
            (self.facts, 1),
            (self.layouts, 0),
            (_gap(8), 0),
            (self.search, 0),
            (_gap(4), 0),
            (self.open, 0),
            (self.model, 0),
            (self.export, 0),
            (self.settings, 0),
            (self.theme, 0),
        ):
            line.addWidget(widget, stretch)
        self.patient.clicked.connect(self._ask_mask)
        self.layouts.chosen.connect(self.layout_chosen)
        self.open.wished.connect(self.open_requested)
        self.model.wished.connect(self.model_requested)
        for menu in (self.open, self.model):
            menu.recent_wished.connect(lambda paths, kind=menu.kind: self.recent_requested.emit(kind, paths))
            menu.looked.connect(self.recent_looked_at)
            menu.forget_wished.connect(self.recent_forgotten)
        self.search.clicked.connect(lambda: self.search_requested.emit())
        self.settings.clicked.connect(lambda: self.settings_requested.emit())
        self.export.clicked.connect(lambda: self.export_requested.emit())
        self.theme.clicked.connect(lambda: self.theme_toggled.emit())
        for button in (self.patient, self.export):
            by_tab(button)
        self._keys: object = None
        self._wear()
        dress_panel(self, "top")
        self.show(ViewState())

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        self.open_requested.connect(lambda what: run(f"open-{what}"))
        self.model_requested.connect(lambda _entry: run("open-model"))
        self.recent_requested.connect(presenter.studies.reopen)
        self.recent_looked_at.connect(presenter.preferences.look)
        self.recent_forgotten.connect(presenter.preferences.forget_recent)
        self.search_requested.connect(partial(run, "search"))
        self.settings_requested.connect(partial(run, "settings"))
        self.export_requested.connect(partial(run, "export"))
        self.theme_toggled.connect(partial(run, "colours"))
        self.mask_requested.connect(presenter.studies.mask)
        self.layout_chosen.connect(presenter.display.choose_layout)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        series = state.view.series
        self.patient.set_text(_patient_words(series, state.shell.masked))
        self.patient.setEnabled(series is not None)
        facts = () if series is None else (series.body_part, series.modality)
        self.facts.set_text(" · ".join(fact for fact in facts if fact))
        self.layouts.put("1|1" if state.views.layout == "3" and not state.three else state.views.layout)
        self.layouts.grey("3", state.planes.flat if series is not None else "There is no image yet.")
        self.export.setEnabled(state.shown is not None)
        self.export.setToolTip(
            "Write the picture with its map" if state.shown is not None else "There is no map to export yet."
        )
        self.open.show(state)
        self.model.show(state)
        self._name_keys(state)
        self.open.setToolTip("Open files or a folder")
        self.model.setToolTip(
            "Open a model"
            if state.answer.model is None
            else f"Open another model than {state.answer.model.name}"
        )

    def _ask_mask(self) -> None:
        held = QApplication.keyboardModifiers() & Qt.KeyboardModifier.ControlModifier
        self.mask_requested.emit(not (held and self.patient.full.endswith(_MASK)))

    def _name_keys(self, state: ViewState) -> None:
        """Search and settings with the keys that do the same."""
        if state.shell.preferences.keys is self._keys:
            return
        self._keys = state.shell.preferences.keys
        self.search.set_text(key_of("search", self._keys))
        key = key_of("settings", self._keys)
        self.settings.setToolTip(f"Settings ({key})" if key else "Settings")

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.search.set_narrow(event.size().width() < _SHORT)
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._wear()

    def _wear(self) -> None:
        """The icon tells what a click gives."""
        dark = colours() is DARK
        self.theme.wear("light" if dark else "dark", "Light colours" if dark else "Dark colours")


class _Fact(Text):
    """A fact of changing length that never gives back room, so that what stands beside it stays."""

    def __init__(self, *marks: str) -> None:
        super().__init__("", *marks, right=True)
        self._widest = 0
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:
        size = super().sizeHint()
        self._widest = max(self._widest, size.width())
        return QSize(self._widest, size.height())

    def forget(self) -> None:
        """Start with no room, for another series."""
        self._widest = 0
        self.updateGeometry()


class StatusBar(QWidget):
    """The research-use sentence, always; what lies under the pointer; memory; the device."""

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self, "bottom")
        self.setFixedHeight(_LOW)
        self.research = Text(RESEARCH_USE, "warning")
        self.research.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.row, self.column = _Fact("quiet"), _Fact("quiet")
        self.raw, self.value, self.map = _Fact(), _Fact(), _Fact()
        self.memory, self.device = Text("", "quiet", right=True), Text("", "quiet")
        self.device.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._series: Series | None = None
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 0, 14, 0)
        line.setSpacing(16)
        for fact in (self.research, self.row, self.column, self.raw, self.value, self.map):
            line.addWidget(fact)
        line.addWidget(self.memory, 1)
        line.addWidget(self.device)
        self.show(ViewState())

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        facts = (self.row, self.column, self.raw, self.value, self.map)
        if state.view.series is not self._series:
            self._series = state.view.series
            for fact in facts:
                fact.forget()
        probed = state.shell.probed
        texts = (
            ("", "", "", "", "")
            if probed is None
            else (
                f"row {probed.row}" if probed.slice is None else f"Im {probed.slice + 1}  row {probed.row}",
                f"column {probed.column}",
                f"raw {probed.raw}" if probed.raw else "",
                probed.value,
                f"map {probed.map}" if probed.map else "",
            )
        )
        for fact, text in zip(facts, texts, strict=True):
            fact.set_text(true_minus(text))
        if state.shell.memory is not None:
            self.memory.set_text(
                _memory_words(state.shell.memory), "What slices take of the memory that they may take"
            )
        self.device.set_text("" if state.answer.model is None else device_name(state.answer.model.device))


def _gap(width: int) -> QWidget:
    gap = QWidget()
    gap.setFixedWidth(width)
    return gap
