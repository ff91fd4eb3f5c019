# SPDX-License-Identifier: Apache-2.0
"""What the model says: the answer, and a row for each of several labels with its number."""

from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QHBoxLayout,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from viewer.caveats import doubts, unknown_text
from viewer.types import Score
from viewer.ui.commands import Run
from viewer.ui.panels.answer import Answer, blocks_of, draw_score
from viewer.ui.panels.opening import NoModel
from viewer.ui.state import ViewState, shows
from viewer.ui.widgets.controls import Rows
from viewer.ui.widgets.parts import MARGIN, Sentence, Text, colours, dress_panel, heading
from viewer.wording import called_text, clean, figures, kind_of, number, outside_text

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

ROW = 26
_MOST_ROWS = 12
_SPACE = 4
"""Between two parts of the panel."""
_NUMBER = 46
"""Width of the column of numbers."""
_SPREAD = 44
"""What a spread behind the number takes from the bar."""
_Index = QModelIndex | QPersistentModelIndex
_ROW = Qt.ItemDataRole.UserRole


class _ScoreModel(QAbstractListModel):
    """(label, score) per row; the score is None until the model has run."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[tuple[str, Score | None], ...] = ()
        self.blocks = 1

    def put(self, rows: tuple[tuple[str, Score | None], ...], blocks: int) -> None:
        same = [label for label, _ in rows] == [label for label, _ in self.rows]
        self.rows, self.blocks = rows, blocks
        if same and rows:
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
        elif not same:
            self.beginResetModel()
            self.endResetModel()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        label, score = self.rows[index.row()]
        if role == _ROW:
            return (label, score)
        if role == Qt.ItemDataRole.DisplayRole:
            return clean(label)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return _describe(label, score, self.blocks)
        return None


def _describe(label: str, score: Score | None, blocks: int) -> str:
    """All that is known of a row, in words."""
    if score is None:
        return f"{clean(label)}: not run yet"
    return f"{clean(label)} {figures(score)}\n{called_text(score, blocks)} · logit {number(score.logit)}"


class _ScoreDelegate(QStyledItemDelegate):
    """Draws label, bar with the mark from which the label is called, number."""

    def __init__(self, view: "_ScoreList") -> None:
        super().__init__(view)
        self._view = view

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return QSize(80, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        label, score = index.data(_ROW)
        view, look = self._view, colours()
        explained = label == view.target
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(option.rect)
        if explained or index.row() == view.under:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(look.chosen))
            painter.drawRoundedRect(box.adjusted(0, 1, 0, -1), 5, 5)
        if view.hasFocus() and index.row() == view.currentIndex().row():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(look.accent), 1.5))
            painter.drawRoundedRect(box.adjusted(1, 2, -1, -2), 5, 5)
        inner = box.adjusted(8, 0, -8, 0)
        more = 0 if score is None or score.spread is None else _SPREAD
        bar = QRectF(0, 0, max(70.0, inner.width() * 0.40) - more, 6)
        bar.moveRight(inner.right() - _NUMBER - more - 4)
        bar.moveTop(box.center().y() - 3)
        self._text(painter, label, score, inner, bar, explained)
        draw_score(painter, score, bar, explained, chosen=explained)
        painter.restore()

    def _text(
        self, painter: QPainter, label: str, score: Score | None, inner: QRectF, bar: QRectF, explained: bool
    ) -> None:
        look = colours()
        font = QFont(self._view.font())
        font.setWeight(QFont.Weight.DemiBold if explained else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(look.accent if explained else look.text))
        room = int(bar.left() - inner.left() - 10)
        name = painter.fontMetrics().elidedText(clean(label), Qt.TextElideMode.ElideMiddle, room)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, middle | Qt.AlignmentFlag.AlignLeft, name)
        painter.setFont(self._view.font())
        painter.setPen(QColor(look.quiet if score is None else look.text))
        painter.drawText(
            inner, middle | Qt.AlignmentFlag.AlignRight, "–" if score is None else figures(score)
        )


class _ScoreList(Rows):
    """The rows of labels."""

    picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.target: str | None = None
        self.scores = _ScoreModel()
        self.setModel(self.scores)
        self.setItemDelegate(_ScoreDelegate(self))
        self.setUniformItemSizes(True)
        self.setAccessibleName("Prediction")
        self.clicked.connect(self._pick)

    def _pick(self, index: _Index) -> None:
        self.picked.emit(index.data(_ROW)[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        super().keyPressEvent(event)
        pressed = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
        if pressed and self.currentIndex().isValid():
            self._pick(self.currentIndex())

    def put(self, rows: tuple[tuple[str, Score | None], ...], target: str | None, blocks: int = 1) -> None:
        """Show scores, the best of so many blocks, and which label is explained; emits nothing."""
        moved, same = target != self.target, (rows, blocks) == (self.scores.rows, self.scores.blocks)
        if same and not moved:
            return
        self.target = target
        self.scores.put(rows, blocks)
        self.setFixedHeight(min(len(rows), _MOST_ROWS) * ROW)
        place = next((i for i, (label, _) in enumerate(rows) if label == target), -1)
        if place >= 0 and (moved or not self.currentIndex().isValid()):
            self.setCurrentIndex(self.scores.index(place))
        self.viewport().update()


def _shortened(sha256: str) -> str:
    """A hash by its first four and last two digits, e.g. "3f9a…c1"."""
    return f"{sha256[:4]}…{sha256[-2:]}" if len(sha256) > 8 else sha256


def device_name(device: str) -> str:
    """A torch device in capitals, e.g. "CUDA:0"."""
    return device.upper()


class PredictionPanel(QWidget):
    """What the model says of the shown slice or volume."""

    target_chosen = Signal(str)
    model_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        dress_panel(self)
        self.model_name, self.model_facts = Text("", "quiet", right=True), Text("", "quiet")
        self.model_facts.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.answer = Answer()
        self.list = _ScoreList()
        self.list.picked.connect(self.target_chosen)
        self.caption = Text("", "quiet")
        self.outside, self.unknown, self.doubts = Sentence("", "stop"), Sentence(""), Sentence("", "warning")
        self.no_model = NoModel()
        self.no_model.open_model.clicked.connect(self.model_requested)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN - 8, 10, MARGIN - 8, 4)
        column.setSpacing(_SPACE)
        head = QHBoxLayout()
        head.setContentsMargins(8, 0, 8, 0)
        head.setSpacing(0)
        head.addWidget(heading("Prediction"))
        head.addSpacing(10)
        head.addWidget(self.model_name, 1)
        head.addSpacing(4)
        head.addWidget(self.model_facts)
        column.addLayout(head)
        column.addWidget(self.answer)
        column.addWidget(self.list)
        below = QVBoxLayout()
        below.setContentsMargins(8, 2, 8, 0)
        below.setSpacing(8)
        below.addWidget(self.outside)
        below.addWidget(self.unknown)
        below.addWidget(self.doubts)
        below.addWidget(self.caption)
        below.addWidget(self.no_model)
        column.addLayout(below)
        self.show(ViewState())

    def wire(self, presenter: "Presenter", run: Run) -> None:
        """Ask the presenter for what is asked of this part."""
        self.target_chosen.connect(presenter.explaining.choose_target)
        self.model_requested.connect(partial(run, "open-model"))

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; emits nothing. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        model, prediction, outside = state.answer.model, state.answer.prediction, state.answer.overridden
        self.outside.setText("" if outside is None else outside_text(outside))
        self.outside.setVisible(outside is not None)
        unknown = state.answer.unknown
        self.unknown.setText("" if unknown is None else unknown_text(unknown))
        self.unknown.setVisible(unknown is not None)
        self.doubts.setText(" ".join(doubts(prediction)))
        self.doubts.setVisible(bool(doubts(prediction)))
        self.answer.put(state)
        self.no_model.setVisible(model is None)
        short = self.answer.sizeHint().height() + _SPACE + self.caption.sizeHint().height()
        self.no_model.put(state.shell.loading, short)
        self.answer.setVisible(model is not None)
        self.list.setVisible(model is not None and len(model.labels) > 1)
        self.caption.setVisible(model is not None)
        if model is None:
            self.model_name.set_text("")
            self.model_facts.set_text("")
            self.list.put((), None)
            return
        tip = f"{clean(model.name)}\nSHA-256 {model.sha256}\nruns on {device_name(model.device)}"
        self.model_name.set_text(model.name, tip)
        self.model_facts.set_text(f"· {_shortened(model.sha256)}", tip)
        if prediction is None:
            rows: tuple[tuple[str, Score | None], ...] = tuple((label, None) for label in model.labels)
        else:
            rows = tuple((score.label, score) for score in prediction.scores)
        blocks = blocks_of(state)
        self.list.put(rows, state.request.target, blocks)
        what = "its label is" if blocks == 1 else "one block is"
        self.caption.set_text(self._words(state), f"The mark on a bar is where {what} called from.")

    @staticmethod
    def _words(state: ViewState) -> str:
        if state.view.series is None:
            return "Open an image to see what the model says."
        if state.answer.gate == "outside":
            return "Not asked: not made for this image."
        if state.answer.prediction is None:
            if shows(state, state.answer.scoring):
                return "Scoring this place…"
            if state.shell.under_way:
                return f"{' · '.join(one.doing for one in state.shell.under_way)}…".capitalize()
            return (
                "Not searched yet: Explain runs it."
                if state.request.swept is not None
                else "Not run on this slice yet."
            )
        kinds = {kind_of(score) for score in state.answer.prediction.scores}
        if kinds == {"probability"}:
            return "Calibrated probabilities"
        return "Scores, not probabilities" if "score" in kinds else "Plain outputs of the network"
