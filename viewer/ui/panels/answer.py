# SPDX-License-Identifier: Apache-2.0
"""The answer: what the model says of the explained label, how sure it is, and what it looked at."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from viewer.types import Prediction, Score
from viewer.ui.state import ViewState
from viewer.ui.widgets.parts import Sentence, Text, colours
from viewer.wording import called_text, clean, figures, region_text

_BAR = 14
"""Height of the bar with its mark."""


class Answer(QWidget):
    """The largest thing on the right; every line keeps its place while there is nothing to say yet."""

    def __init__(self) -> None:
        super().__init__()
        self.label, self.number = Text("", "answer"), Text("", "answer", right=True)
        self.number.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.bar = _ScoreBar()
        self.called, self.region = Sentence(), Sentence("", "quiet")
        first = QHBoxLayout()
        first.setSpacing(10)
        first.addWidget(self.label, 1)
        first.addWidget(self.number)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 8, 2)
        column.setSpacing(3)
        column.addLayout(first)
        column.addWidget(self.bar)
        column.addWidget(self.called)
        column.addWidget(self.region)

    def put(self, state: ViewState) -> None:
        """Show what is said of the target, or that nothing is known yet."""
        prediction = state.answer.prediction
        score = _of_target(state)
        model = state.answer.model
        only = model.labels[0] if model is not None and len(model.labels) == 1 else None
        name = (state.request.target or only) if score is None else score.label
        self.label.set_text(clean(name or "–"))
        self.number.set_text("–" if score is None else figures(score))
        self.bar.put(score)
        tip = "The mark on the bar is where the card calls the label from."
        blocks = blocks_of(state)
        self.called.setText("" if score is None else called_text(score, blocks))
        self.called.setToolTip(tip)
        looked = "" if score is None or prediction is None else f"of {region_text(prediction, blocks)}"
        self.region.setText(looked)
        self.region.setToolTip("What the model looked at for this score")
        lines = 1 if model is None or model.patch is None else 2  # a block has its size and its share
        for sentence in (self.called, self.region):
            sentence.setMinimumHeight(lines * sentence.fontMetrics().height())


def _of_target(state: ViewState) -> Score | None:
    """The score of the explained label."""
    said: Prediction | None = state.answer.prediction
    if said is None or not said.scores:
        return None
    return next((one for one in said.scores if one.label == state.request.target), said.top)


def blocks_of(state: ViewState) -> int:
    """How many places were looked at, of which the shown score is the highest."""
    shown = state.answer.attribution
    return 1 if shown is None else len(shown.predictions)


class _ScoreBar(QWidget):
    """A score between 0 and 1, and the mark from which the label is called."""

    def __init__(self) -> None:
        super().__init__()
        self._score: Score | None = None
        self.setFixedHeight(_BAR)

    def put(self, score: Score | None) -> None:
        """Show a score, or an empty bar."""
        if score != self._score:
            self._score = score
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(80, _BAR)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        draw_score(painter, self._score, QRectF(0, middle - 3, self.width(), 6), explained=True)


def draw_score(
    painter: QPainter, score: Score | None, bar: QRectF, explained: bool, chosen: bool = False
) -> None:
    """Paint a score as a bar, in the accent where it is the explained one; `chosen`: on the chosen ground."""
    look = colours()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(look.panel if chosen else look.line))
    painter.drawRoundedRect(bar, 3, 3)
    if score is None:
        return
    share = min(max(score.probability, 0.0), 1.0)
    if share * bar.width() >= 1:
        painter.setBrush(QColor(look.accent if explained else look.bar))
        filled = QRectF(bar.left(), bar.top(), max(share * bar.width(), 3), bar.height())
        painter.drawRoundedRect(filled, min(3, filled.width() / 2), 3)
    if score.threshold is not None and 0 <= score.threshold <= 1:
        x = bar.left() + score.threshold * bar.width()
        painter.setBrush(QColor(look.panel))
        painter.drawRect(QRectF(x - 2, bar.top() - 4, 4, bar.height() + 8))
        painter.setBrush(QColor(look.text))
        painter.drawRect(QRectF(x - 1, bar.top() - 4, 2, bar.height() + 8))
