"""The bar at a view's right edge: where in the stack one is, and where the model found evidence."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from viewer.types import Score
from viewer.ui.state import ViewState
from viewer.ui.widgets.icons import draw_icon
from viewer.ui.widgets.theme import DARK
from viewer.wording import figures

WIDTH, END, TRACK = 44, 14, 8
"""Widths of the bar, of its empty ends and of the track in it."""


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
        self.setFixedWidth(WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Slices and evidence")
        self.setVisible(False)

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 400)

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
        track = QRectF(WIDTH - TRACK - 6, END, TRACK, self.height() - 2 * END)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(DARK.line))
        painter.drawRoundedRect(track, TRACK / 2, TRACK / 2)
        self._draw_profile(painter, 5.0, track.left() - 4)
        self._handle(painter, track)
        if self._playing:
            draw_icon(painter, "play", QRectF(track.center().x() - 5, 2, 10, 10), QColor(DARK.accent))
        painter.end()

    def _draw_profile(self, painter: QPainter, left: float, right: float) -> None:
        """One row of the screen per slice or, where slices are thinner, the largest of its slices."""
        if not any(v is not None for v in self._profile):
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        top, room = self._top(), right - left
        rows: dict[int, tuple[float, int]] = {}
        for index, value in enumerate(self._profile[: self._count]):
            if value is None:
                continue
            first, last = self._edges(index)
            place = round(first)
            height = max(1, round(last) - place - (1 if last - first >= 4 else 0))
            best = rows.get(place, (value, height))
            rows[place] = (max(value, best[0]), max(height, best[1]))
        for place, (value, height) in rows.items():
            over = self._threshold is not None and value >= self._threshold
            length = max(2.0, room * min(max(value / top, 0.0), 1.0))  # what has run is never blank
            colour = QColor(DARK.warning if over else DARK.bar)
            painter.fillRect(QRectF(right - length, place, length, height), colour)
        if self._threshold is not None and 0 <= self._threshold <= top:
            x = right - room * self._threshold / top
            painter.setPen(QColor(DARK.text))
            painter.drawLine(QPointF(x, END), QPointF(x, self.height() - END))

    def _handle(self, painter: QPainter, track: QRectF) -> None:
        first, last = self._edges(self._slice)
        height = max(last - first, 10.0)
        middle = min(max((first + last) / 2, track.top() + height / 2), track.bottom() - height / 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(DARK.accent))
        painter.drawRect(QRectF(2, round((first + last) / 2), track.left() - 2, 1))
        painter.drawRoundedRect(
            QRectF(track.left() - 1, middle - height / 2, TRACK + 2, height), TRACK / 2, TRACK / 2
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
