# SPDX-License-Identifier: Apache-2.0
"""The bar at a view's right edge: where in the stack one is, and where the model found evidence."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from viewer.types import Score
from viewer.ui import plots
from viewer.ui.state import ViewState
from viewer.ui.widgets.icons import draw_icon
from viewer.ui.widgets.theme import DARK
from viewer.wording import figures

if TYPE_CHECKING:
    from viewer.ui.plots.profile import Profile
    from viewer.ui.presenter.presenter import Presenter

_WIDTH, END, _TRACK = 44, 14, 8
"""Widths of the bar, of its empty ends and of the track in it."""
_LOOK_MS = 20
"""How often it is looked whether what draws plots has come."""


class SliceBar(QWidget):
    """Position and evidence profile; the first slice is at the top. Hidden for a single slice."""

    slice_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._count = 0
        self._slice = 0
        self._profile: tuple[float | None, ...] = ()
        self._threshold: float | None = None
        self._volume = False
        self._playing = False
        self._plot: Profile | None = None
        self._coming = QTimer(self)
        self._coming.setInterval(_LOOK_MS)
        self._coming.timeout.connect(self._plot_profile)
        self.setFixedWidth(_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Slices and evidence")
        self.setVisible(False)

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        self.slice_requested.connect(presenter.go_to)

    def sizeHint(self) -> QSize:
        return QSize(_WIDTH, 400)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; without one, what Qt means by it: become visible."""
        if state is None:
            super().show()
            return
        count = state.view.series.shape[0] if state.view.series is not None else 0
        volume = state.answer.model is not None and state.answer.model.volume
        threshold = None if volume else _threshold(state)
        key = (count, state.view.slice, threshold, volume, state.views.playing)
        if key != (self._count, self._slice, self._threshold, self._volume, self._playing) or (
            state.answer.profile is not self._profile
        ):
            self._count, self._slice, self._threshold, self._volume, self._playing = key
            self.setAccessibleDescription("playing" if self._playing else "")
            self._profile = state.answer.profile
            self._plot_profile()
            self.update()
        if self.isHidden() == (count > 1):
            self.setVisible(count > 1)

    # Places

    def _edges(self, index: int) -> tuple[float, float]:
        """Top and bottom of a slice on the bar."""
        length = (self.height() - 2 * END) / max(self._count, 1)
        return END + index * length, END + (index + 1) * length

    def slice_at(self, y: float) -> int:
        """The slice at a height of the widget."""
        length = max(self.height() - 2 * END, 1)
        return min(max(int((y - END) / length * self._count), 0), self._count - 1)

    def _top(self) -> float:
        """The value that fills the profile's width: 1 for scores, the largest share for a volume."""
        values = [v for v in self._profile if v is not None]
        if not self._volume and all(0 <= v <= 1 for v in values):
            return 1.0
        return max(values, default=0.0) or 1.0

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK.images))
        track = QRectF(_WIDTH - _TRACK - 6, END, _TRACK, self.height() - 2 * END)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(DARK.line))
        painter.drawRoundedRect(track, _TRACK / 2, _TRACK / 2)
        self._handle(painter, track)
        if self._playing:
            draw_icon(painter, "play", QRectF(track.center().x() - 5, 2, 10, 10), QColor(DARK.accent))
        painter.end()

    def _plot_profile(self) -> None:
        """Have the plot show the profile; the first one with values brings it, a moment later."""
        some = any(value is not None for value in self._profile)
        if self._plot is None and some:
            if not plots.ready():
                self._coming.start()
                return
            from viewer.ui.plots.profile import Profile

            self._plot = Profile(DARK, self)
            self._plot.setGeometry(self._room())
        self._coming.stop()
        if self._plot is not None:
            values = self._profile[: self._count] + (None,) * (self._count - len(self._profile))
            self._plot.set_profile(values, self._top(), self._threshold)
            self._plot.set_slice(self._slice)
            self._plot.setVisible(some)

    def _room(self) -> QRect:
        """Where the profile lies: between the left edge and the track."""
        return QRect(5, END, _WIDTH - _TRACK - 14, max(self.height() - 2 * END, 0) + 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._plot is not None:
            self._plot.setGeometry(self._room())

    def _handle(self, painter: QPainter, track: QRectF) -> None:
        first, last = self._edges(self._slice)
        height = max(last - first, 10.0)
        middle = min(max((first + last) / 2, track.top() + height / 2), track.bottom() - height / 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(DARK.accent))
        painter.drawRect(QRectF(2, round((first + last) / 2), track.left() - 2, 1))
        painter.drawRoundedRect(
            QRectF(track.left() - 1, middle - height / 2, _TRACK + 2, height), _TRACK / 2, _TRACK / 2
        )

    # Hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._count:
            self._ask(event.position().y())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._count:
            return
        index = self.slice_at(event.position().y())
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._ask(event.position().y())
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(index), self)

    def _ask(self, y: float) -> None:
        index = self.slice_at(y)
        if index != self._slice:
            self.slice_requested.emit(index)

    def describe(self, index: int) -> str:
        """A slice in words: its number, and its evidence with a name."""
        text = f"Im {index + 1} / {self._count}"
        value = self._profile[index] if index < len(self._profile) else None
        if value is None:
            return f"{text} · not run"
        if self._volume:
            return f"{text} · {100 * value:.1f} % of the positive evidence"
        return f"{text} · score {figures(Score('', 0.0, value, threshold=self._threshold))}"


def _threshold(state: ViewState) -> float | None:
    """The target's threshold, which belongs to its label and not to one slice."""
    if state.answer.prediction is None or state.request.target is None:
        return None
    return next(
        (s.threshold for s in state.answer.prediction.scores if s.label == state.request.target), None
    )
