# SPDX-License-Identifier: Apache-2.0
"""The frozen state that the window shows: one sub-state a file.

The presenter makes a `ViewState`; every widget draws its part of it in `show(state)` and reads nothing else.
"""

from viewer.ui.state.answer import AnswerState, Cell, Compared, MethodItem, ModelItem, Side, Tile
from viewer.ui.state.asked import Position, choice_of, position_of, shows
from viewer.ui.state.messages import reply
from viewer.ui.state.planes import Cut, Marked, PlanesState, Slab
from viewer.ui.state.regions import RegionsState
from viewer.ui.state.request import (
    NO_SEGMENTS,
    NOWHERE,
    SEGMENTS,
    WHOLE,
    At,
    MethodChoice,
    RequestState,
    SearchSize,
)
from viewer.ui.state.shell import BroughtCode, Busy, Memory, Notice, Probed, ShellState, ShownHeader
from viewer.ui.state.studies import SeriesItem, StudiesState, one_stack
from viewer.ui.state.views import LAYOUTS, UNFLIPPED, Draws, Flips, Layout, Seen, Unread, View, ViewsState
from viewer.ui.state.window import OWNERS, ViewState

__all__ = [
    "LAYOUTS",
    "NOWHERE",
    "NO_SEGMENTS",
    "OWNERS",
    "SEGMENTS",
    "UNFLIPPED",
    "WHOLE",
    "AnswerState",
    "At",
    "BroughtCode", "Busy",
    "Cell",
    "Compared",
    "Cut",
    "Draws",
    "Flips",
    "Layout",
    "Marked",
    "Memory",
    "MethodChoice",
    "MethodItem",
    "ModelItem",
    "Notice",
    "PlanesState",
    "Position",
    "Probed",
    "RegionsState",
    "RequestState",
    "SearchSize",
    "Seen",
    "SeriesItem",
    "ShellState",
    "ShownHeader",
    "Side",
    "Slab",
    "StudiesState",
    "Tile",
    "Unread",
    "View",
    "ViewState",
    "ViewsState",
    "choice_of",
    "one_stack",
    "position_of",
    "reply",
    "shows",
]  # fmt: skip
