# SPDX-License-Identifier: Apache-2.0
"""What a search of many blocks found: the best of them, how they were laid, and what may be missed."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QVBoxLayout, QWidget

from viewer.ui.state import ViewState
from viewer.ui.views.captions import block_words, chosen_block
from viewer.ui.widgets.controls import Link
from viewer.ui.widgets.parts import MARGIN, Sentence, Text, dress_panel, heading
from viewer.wording import ONE_BLOCK, best_of_text, figures, place_text, score_text, stride_text, weighed_text

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_MOST, _NUMBER = 8, 52
"""Rows, and the width of their numbers."""


class SearchResultPanel(QWidget):
    """A row for each of the best blocks, which leads to it; hidden where nothing was searched."""

    block_chosen = Signal(int)
    """The number of one of the best blocks."""
    finer_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self._shown: tuple[object, ...] = ()
        self.title = heading("Best blocks")
        self.rows = [(Link(), Text("", right=True)) for _ in range(_MOST)]
        self.about, self.finer = Sentence("", "quiet"), Link()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        for number, (link, score) in enumerate(self.rows):
            grid.addWidget(link, number, 0)
            grid.addWidget(score, number, 1)
            link.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            score.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
            score.setFixedWidth(_NUMBER)
            link.clicked.connect(partial(self._choose, number))
        self.finer.clicked.connect(lambda: self.finer_requested.emit())
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, 10, MARGIN, 4)
        column.setSpacing(6)
        for part in (self.title, self.about, self.finer):
            column.addWidget(part)
        column.insertLayout(1, grid)
        self.hide()

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.block_chosen.connect(presenter.patches.show_block)
        self.finer_requested.connect(presenter.patches.search_finer)

    def _choose(self, number: int, _pressed: bool = False) -> None:
        self.block_chosen.emit(number)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        shown, series = state.answer.attribution, state.view.series
        swept = None if shown is None else shown.swept
        self.setVisible(swept is not None and series is not None)
        if swept is None or series is None:
            return
        chosen, busy = chosen_block(state), bool(state.shell.under_way)
        key = (swept, chosen, busy)
        if key == self._shown:
            return
        self._shown = key
        self.title.setText(best_of_text(swept).capitalize())
        for number, (link, score) in enumerate(self.rows):
            block = swept.best[number] if number < len(swept.best) else None
            for widget in (link, score):
                widget.setVisible(block is not None)
            if block is not None:
                mark = "▸ " if block is chosen else ""
                link.setText(f"{mark}{block_words(block)}")
                link.setToolTip(f"Go there: {place_text(series, block)}")
                score.set_text(figures(block.score), score_text(block.score, swept.count))
        self.about.setText(f"{stride_text(series, swept)} {ONE_BLOCK}")
        self.about.setToolTip(weighed_text(swept))
        self.finer.setVisible(swept.finer > 0)
        self.finer.setEnabled(not busy)
        self.finer.setText(f"Search the finer grid of {swept.finer} blocks")
