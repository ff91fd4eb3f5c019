# SPDX-License-Identifier: Apache-2.0
"""Beside the three planes: where the crosshair is, what is there, how thick the planes are."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from viewer.overlay import native_facts
from viewer.planes import ANATOMICAL, Point, Views, acquired
from viewer.types import Series
from viewer.ui.state import Slab, ViewState
from viewer.ui.views.captions import NOT_COMPUTED, title_of
from viewer.ui.widgets.controls import Combo
from viewer.ui.widgets.parts import MARGIN, Sentence, Text, add_row, dress_panel, heading, pair, rows
from viewer.wording import INFLUENCE_ONLY, true_minus

_THICK = {0.0: "thin", 5.0: "5 mm", 10.0: "10 mm", 20.0: "20 mm", 50.0: "50 mm"}
_ALONG = {"patient": "patient's axes", "acquired": "acquired slices", "turned": "turned by hand"}
_HOW = {"mean": "mean", "max": "max", "min": "min"}
_LINE = 20
"""Height of a line of facts, in pixels."""
_HANDS = "Shift + move marks · wheel scrolls · rings tilt"
_PLACE = ("uneven", "slant", "straight line")
"""Words of those warnings of a series that say how far its planes can be believed."""


def _lps_words(point: Point) -> str:
    """An LPS position with the letters of the sides, e.g. "L 12.0 · A 3.5 · H 120.0 mm"."""
    pairs = (("L", "R"), ("P", "A"), ("H", "F"))
    parts = (f"{p[0] if round(v, 1) >= 0 else p[1]} {abs(v):.1f}" for v, p in zip(point, pairs, strict=True))
    return " · ".join(parts) + " mm"


class PlanesPanel(QWidget):
    """The free field of the three planes."""

    slab_changed = Signal(object)
    alignment_chosen = Signal(str)
    """"patient" or "acquired"."""

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self._along = "patient"
        self.where, self.voxel, self.value, self.map = Text(), Text(), Text(), Text()
        self.volume, self.explained, self.cells = Text(), Text(), Text()
        self.remark = Sentence("", "quiet")
        self.thick, self.how, self.along = Combo(), Combo(), Combo()
        for combo, entries in ((self.thick, _THICK), (self.how, _HOW), (self.along, _ALONG)):
            for value, words in entries.items():
                combo.addItem(words, value)
        self.thick.setToolTip("How thick the planes are")
        self.along.setToolTip("How the planes lie; the rings on the lines turn them")
        self.how.setToolTip("What is shown of a slab: its mean, the brightest (MIP) or the darkest (MinIP)")
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 10)
        column.setSpacing(6)
        column.addWidget(heading("Crosshair"))
        grid = rows()
        grid.setVerticalSpacing(2)
        for name, control in (
            ("Place", self.where), ("Voxel", self.voxel), ("Image", self.value), ("Map", self.map),
            ("Volume", self.volume), ("Explained", self.explained), ("Cells", self.cells),
        ):  # fmt: skip
            add_row(grid, name, control)
            grid.setRowMinimumHeight(grid.rowCount() - 1, _LINE)
        add_row(grid, "Along", self.along)
        add_row(grid, "Slab", pair(self.thick, self.how))
        self.how.setAccessibleName("Shown of the slab")
        column.addLayout(grid)
        column.addWidget(self.remark)
        column.addStretch(1)
        self.hands = Sentence(_HANDS, "quiet")
        column.addWidget(self.hands)
        for combo in (self.thick, self.how):
            combo.activated.connect(self._wish)
        self.along.activated.connect(self._align)
        self.setMinimumSize(160, 160)

    def _wish(self, _place: int) -> None:
        self.slab_changed.emit(Slab(self.thick.currentData(), self.how.currentData()))

    def _align(self, _place: int) -> None:
        if self.along.currentData() == "turned":  # which only the hand can
            self.along.choose(self._along)
        else:
            self.alignment_chosen.emit(self.along.currentData())

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        self.thick.choose(state.planes.slab.thickness)
        self.how.choose(state.planes.slab.how)
        self.how.setEnabled(state.planes.slab.thickness > 0)
        if not state.three or state.view.series is None:
            return
        patch = state.answer.model is not None and state.answer.model.patch is not None
        self.hands.setText(f"{_HANDS} · Ctrl + click: block, drag: search" if patch else _HANDS)
        self._along = _alignment(state.planes.ways, state.view.series)
        self.along.choose(self._along)
        found, shown = state.planes.marked, state.shown
        self.where.set_text("" if state.planes.crosshair is None else _lps_words(state.planes.crosshair))
        if found is not None:
            slice, row, column = found.voxel
            self.voxel.set_text(
                f"Im {slice + 1} / {state.view.series.shape[0]} · row {row} · column {column}"
            )
        self.value.set_text("" if found is None else true_minus(found.value))
        seen = "" if shown is None or found is None else true_minus(found.map)
        unseen = "not seen by the model" if state.regions.loaded is None else "no value here"
        self.map.set_text("no map yet" if shown is None else f"{seen} {shown.unit}" if seen else unseen)
        self.volume.set_text(_volume(state.view.series))
        self.explained.set_text(_what(state) or "nothing yet")
        self.cells.set_text("" if shown is None else native_facts(shown).removeprefix("map "))
        said = INFLUENCE_ONLY if state.regions.loaded is None else NOT_COMPUTED
        doubts = [w for w in state.view.series.warnings if any(word in w for word in _PLACE)]
        self.remark.setText(" ".join(doubts if shown is None else [*doubts, said]))


def _what(state: ViewState) -> str:
    """What the map is: label, method and layer, or what the file calls it."""
    if state.regions.loaded is not None:
        return title_of(state.regions.loaded, state.shell.masked)
    shown = state.answer.attribution
    label = shown.target.words if shown is not None and shown.target is not None else ""
    parts = () if shown is None else (label, shown.title, shown.layer)
    return " · ".join(part for part in parts if part)


def _alignment(views: Views, series: Series) -> str:
    """How the planes lie, as `_ALONG` has it."""
    if views == ANATOMICAL:
        return "patient"
    return "acquired" if views == acquired(series) else "turned"


def _volume(series: Series) -> str:
    """Voxels and their size."""
    spacing = series.geometry.spacing
    size = " × ".join(f"{v:.3g}" for v in spacing if v is not None) if spacing else ""
    return f"{' × '.join(str(n) for n in series.shape)} · {size} mm"
