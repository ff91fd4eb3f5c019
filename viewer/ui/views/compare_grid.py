# SPDX-License-Identifier: Apache-2.0
"""Two maps of one slice side by side, below them the difference of their ranks and what is said of it."""

from PySide6.QtCore import QRectF, Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from viewer.overlay import native_facts
from viewer.ui.state import Compared, Side, ViewState
from viewer.ui.views import captions
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.controls import Segments
from viewer.ui.widgets.parts import MARGIN, Sentence, Text, add_row, by_tab, dress_panel, heading, rows
from viewer.ui.widgets.theme import DARK
from viewer.wording import INFLUENCE_ONLY

AS = {"values": "Values", "ranks": "Ranks"}
TIPS = {"values": "In the unit of the method, both in one range", "ranks": "Each cell by its place among all"}
RANK = (
    "A rank is a cell's place among all cells of its map: 1 is the strongest. The upper views show the "
    "strongest fifth. Below, red ranks higher on the right, blue on the left."
)
VALUES = "Both maps are in one unit and drawn in one range."


class CompareView(SliceView):
    """One side of a comparison, or the difference of both."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(plain=False, parent=parent)
        self._side = Side("")
        self._of: ViewState | None = None
        self.setAccessibleName(name)

    def show(self, state: ViewState | None = None, side: Side | None = None) -> None:
        """Draw a side of a state. Without one: Qt's `show`."""
        if state is None or side is None:
            super().show()
        elif state is not self._of:
            self._of, self._side = state, side
            own = state.changed(map=side.drawn, style=side.style, loaded=None)
            super().show(own.changed(gate="negative" if side.negative else "open"))

    def _unit(self) -> str:
        return "" if self._side.map is None else self._side.map.unit

    def _content(self) -> tuple[captions.Line | None, captions.Corners, tuple[str, str, str, str] | None]:
        state, side = self._state, self._side
        if captions.sentence(state) is not None or state.view.series is None:
            return ("", "quiet"), captions.Corners(), None
        lines = ((side.title, "text"), (side.target, "warning"))
        facts = "" if side.map is None else native_facts(side.map)
        corners = captions.Corners(
            top_left=tuple(line for line in lines if line[0]),
            top_right=((side.why, "quiet"),) if side.why else (),
            bottom_right=((facts, "text"), (INFLUENCE_ONLY, "text")) if facts else (),
        )
        return None, corners, state.view.series.geometry.letters()


class CompareGrid(QWidget):
    """Above the map that was kept and the chosen one, below the difference and the facts."""

    window_dragged = Signal(float, float)
    slice_wheel = Signal(int)
    point_wheel = Signal(int)
    pointer_moved = Signal(object, object)
    patch_placed = Signal(float, float)
    view_changed = Signal(object)
    maximise_requested = Signal()
    keep_requested = Signal()
    ranks_chosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = CompareView("Kept map"), CompareView("Chosen map")
        self.difference = CompareView("Difference of ranks")
        self.facts = _Facts()
        self.views = (self.left, self.right, self.difference)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(1)
        for place, widget in enumerate((*self.views, self.facts)):
            grid.addWidget(widget, place // 2, place % 2)
        for i in (0, 1):
            grid.setRowStretch(i, 1)
            grid.setColumnStretch(i, 1)
        for view in self.views:
            view.window_dragged.connect(self.window_dragged)
            view.slice_wheel.connect(self.slice_wheel)
            view.point_wheel.connect(self.point_wheel)
            view.pointer_moved.connect(self.pointer_moved)
            view.patch_placed.connect(self.patch_placed)
            view.maximise_requested.connect(self.maximise_requested)
            view.view_changed.connect(self.set_view)
            view.view_changed.connect(self.view_changed)
        self.facts.keep.clicked.connect(lambda: self.keep_requested.emit())
        self.facts.how.chosen.connect(lambda how: self.ranks_chosen.emit(how == "ranks"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setStyleSheet(f"CompareGrid {{ background: {DARK.line}; }}")
        self.setVisible(False)

    def set_view(self, seen: QRectF | None) -> None:
        """Show this part of the image in all views; emits nothing."""
        for view in self.views:
            view.set_view(seen)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        found = state.answer.compared
        if state.views.layout != "compare":
            return
        nothing = Side("", why="Open a model and an image first.")
        sides = (nothing,) * 3 if found is None else (found.one, found.other, found.difference)
        for view, side in zip(self.views, sides, strict=True):
            view.show(state, side)
        self.facts.show(state)


class _Facts(QWidget):
    """What is compared, and how."""

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self.left, self.right = Text(), Text()
        self.how = Segments(AS, TIPS)
        self.words, self.apart = Sentence("", "quiet"), Sentence()
        self.keep = QPushButton("Keep the right one on the left")
        by_tab(self.keep)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 10)
        column.setSpacing(6)
        column.addWidget(heading("Compare"))
        grid = rows()
        add_row(grid, "Left", self.left)
        add_row(grid, "Right", self.right)
        add_row(grid, "As", self.how)
        column.addLayout(grid)
        column.addWidget(self.apart)
        column.addWidget(self.words)
        column.addWidget(self.keep)
        column.addStretch(1)  # where numbers of agreement will stand
        self.setMinimumSize(160, 160)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        found = state.answer.compared
        if found is None:
            return
        self.left.say(_said(found.one))
        self.right.say(_said(found.other))
        self.how.put("ranks" if found.ranks else "values")
        self.how.grey("values", found.apart or None)
        same = found.one.map is not None and found.one.map is found.other.map
        hint = "Choose another method, layer or label on the right: it is compared with the one kept here."
        self.apart.setText(hint if same or _alike(found) else found.apart)
        self.words.setText(RANK if found.ranks else f"{VALUES} {RANK.partition('. The')[0]}.")
        self.keep.setEnabled(found.other.map is not None)


def _said(side: Side) -> str:
    return " · ".join(part for part in (side.title, side.target) if part)


def _alike(found: Compared) -> bool:
    return _said(found.one) == _said(found.other)
