# SPDX-License-Identifier: Apache-2.0
"""Two maps of one slice side by side, below them the difference of their ranks and what is said of it."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from viewer.overlay import native_facts, ranks
from viewer.types import DerivedMap, Map
from viewer.ui.state import Compared, Side, ViewState
from viewer.ui.views import captions
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.picture import Picture, picture
from viewer.ui.views.slice_grid import ViewGrid
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.controls import Segments
from viewer.ui.widgets.parts import MARGIN, Sentence, Text, add_row, by_tab, dress_panel, heading, rows
from viewer.wording import INFLUENCE_ONLY, ORDER_ONLY

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_AS = {"values": "Values", "ranks": "Ranks"}
_TIPS = {
    "values": "In the unit of the method, both in one range",
    "ranks": "Each cell by its place among all",
}
_RANK = (
    "A rank is a cell's place among all cells of its map: 1 is the strongest. The upper views show the "
    "strongest fifth. Below, red ranks higher on the right, blue on the left."
)
_VALUES = "Both maps are in one unit and drawn in one range."


def side_picture(state: ViewState, side: Side) -> Picture:
    """The slice with one side of a comparison, or the difference of both, over it."""
    own = picture(state, state.views.active)
    shown = side.drawn is not None and state.views.overlay and (not side.negative or state.answer.asked)
    return replace(
        own, map=side.drawn if shown else None, style=side.style, hatched=side.negative, bar=shown,
        unit="" if side.map is None else side.map.unit,
        sentence=None if own.sentence is None else ("", "quiet"),
        says=lambda _seen: _corners(state, side),
    )  # fmt: skip


def _corners(state: ViewState, side: Side) -> captions.Corners:
    """What a side is, or why there is none."""
    lines = ((side.title, "text"), (side.target, "accent"))
    facts = "" if side.map is None else native_facts(side.map)
    several = isinstance(side.map, DerivedMap) and len(side.map.parents) > 1
    meaning = ORDER_ONLY if several else INFLUENCE_ONLY
    return captions.Corners(
        top_left=(*(line for line in lines if line[0]), *captions.caveats(state)),
        top_right=((side.why, "quiet"),) if side.why else (),
        bottom_right=((facts, "text"), (meaning, "text")) if facts else (),
    )


class CompareGrid(ViewGrid):
    """Above the map that was kept and the chosen one, below the difference and the facts."""

    keep_requested = Signal()
    ranks_chosen = Signal(bool)

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self.left, self.right, self.difference = (SliceView(cache=cache) for _ in range(3))
        self.facts = _Facts()
        self.views = (self.left, self.right, self.difference)
        for view, name in zip(self.views, ("Kept map", "Chosen map", "Difference of ranks"), strict=True):
            view.setAccessibleName(name)
            self.link(view)
            view.enlarge_requested.connect(partial(self.enlarge_requested.emit, self.views.index(view)))
        for place, widget in enumerate((*self.views, self.facts)):
            self.grid.addWidget(widget, place // 2, place % 2)
        for i in (0, 1):
            self.grid.setRowStretch(i, 1)
            self.grid.setColumnStretch(i, 1)
        self.facts.keep.clicked.connect(lambda: self.keep_requested.emit())
        self.facts.how.chosen.connect(lambda how: self.ranks_chosen.emit(how == "ranks"))

    @property
    def zoomed(self) -> tuple[SliceView, ...]:
        return tuple(view for view in self.views if not view.isHidden())[-1:]

    def wire(self, presenter: "Presenter") -> None:
        super().wire(presenter)
        self.keep_requested.connect(presenter.comparing.keep)
        self.ranks_chosen.connect(presenter.comparing.as_ranks)

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
        alone = state.views.alone
        for place, (view, side) in enumerate(zip(self.views, sides, strict=True)):
            view.setVisible(alone in (None, place))
            view.show(side_picture(state, side))
        self.facts.setVisible(alone is None)
        self.facts.show(state)
        for i in (0, 1):  # what is hidden must leave no room behind
            self.grid.setRowStretch(i, int(alone is None or alone // 2 == i))
            self.grid.setColumnStretch(i, int(alone is None or alone % 2 == i))


class _Facts(QWidget):
    """What is compared, and how."""

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self.left, self.right = Text(), Text()
        self.how = Segments(_AS, _TIPS)
        self.words, self.apart = Sentence("", "quiet"), Sentence()
        self.against = Sentence("", "warning")
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
        column.addWidget(self.against)
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
        self.left.set_text(_said(found.one))
        self.right.set_text(_said(found.other))
        self.how.put("ranks" if found.ranks else "values")
        self.how.grey("values", found.apart or None)
        same = found.one.map is not None and found.one.map is found.other.map
        hint = "Choose another method, layer or label on the right: it is compared with the one kept here."
        self.apart.setText(hint if same or _alike(found) else found.apart)
        against = [
            words
            for where, side in (("left", found.one), ("right", found.other))
            if (words := _against(where, side.map))
        ]
        self.against.setText("\n".join(against))
        self.against.setVisible(bool(against))
        self.words.setText(_RANK if found.ranks else f"{_VALUES} {_RANK.partition('. The')[0]}.")
        self.keep.setEnabled(found.other.map is not None)


def _against(where: str, map: Map | None) -> str:
    """How much of the strongest fifth of a map does not speak for its label; "" for none, or for values."""
    if not isinstance(map, DerivedMap) or map.unit != ranks.UNIT or len(map.parents) > 1:
        return ""
    share = ranks.not_positive(map)
    return f"On the {where} {share:.0%} of the strongest fifth is not above zero." if share > 0 else ""


def _said(side: Side) -> str:
    return " · ".join(part for part in (side.title, side.target) if part)


def _alike(found: Compared) -> bool:
    return _said(found.one) == _said(found.other)
