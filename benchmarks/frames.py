# SPDX-License-Identifier: Apache-2.0
"""How long frames take, in turns with those of a bare widget that paints ready pictures.

The bare widget is the yardstick: it does what no viewer can do without, on the same machine in the same
minute. What a frame of the window takes as a multiple of that holds on machines that differ by two.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

TURN = 10
"""Frames of one before it is the other's turn."""
_COLD = 2
"""Frames after the other's turn that do not count: the caches of the processor hold its pixels."""
_READY = 3
"""Pictures that the bare widget has; more would only take memory."""

Wish = Callable[[], object]


def for_a_core() -> float:
    """Milliseconds that this thread was ready and other programs or threads had the cores (Linux)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6
    except OSError:
        return 0.0


class Frames:
    """Milliseconds from each wish to the end of its paint, by the clock and of this thread's own work."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.cored: list[float] = []
        """The same without the time in which others had the cores."""
        self.worked: list[float] = []

    def take(self, wishes: Sequence[Wish]) -> None:
        """Do the wishes one after the other, each with its paint."""
        for wish in wishes:
            start, work, waited = time.perf_counter(), time.thread_time(), for_a_core()
            wish()
            QApplication.processEvents()
            self.taken.append(1000 * (time.perf_counter() - start))
            self.worked.append(1000 * (time.thread_time() - work))
            self.cored.append(self.taken[-1] - (for_a_core() - waited))

    def spread(self) -> dict[str, float]:
        """Medians and 99th percentiles."""
        return {
            "median": statistics.median(self.taken),
            "p99": float(np.percentile(self.taken, 99)),
            "p99, cores free": float(np.percentile(self.cored, 99)),
            "work, median": statistics.median(self.worked),
        }


class Bare(QWidget):
    """A window that paints a ready picture, another one in every frame, in the largest square it has."""

    def __init__(self, side: int, width: int, height: int) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setGeometry(width, 0, width, height)  # beside a window of this size, which it must not cover
        random = np.random.default_rng(0)
        self._pixels = random.integers(0, 256, (_READY, side, side, 4), np.uint8)  # a QImage borrows them
        kind = QImage.Format.Format_RGB32
        self._pictures = [QImage(one.data, side, side, 4 * side, kind) for one in self._pixels]
        self._shown = 0

    def turn(self) -> None:
        """Wish for the next picture."""
        self._shown = (self._shown + 1) % len(self._pictures)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        side = min(self.width(), self.height())
        box = QRect((self.width() - side) // 2, (self.height() - side) // 2, side, side)
        painter = QPainter(self)
        painter.drawImage(box, self._pictures[self._shown])
        painter.end()


def in_turns(wishes: Sequence[Wish], bare: Bare, frames: Frames) -> Frames:
    """The frames of some wishes, between which the bare widget adds as many of its own to `frames`."""
    found = Frames()
    for first in range(0, len(wishes), TURN):
        some = wishes[first : first + TURN]
        turns: list[Wish] = [bare.turn] * len(some)
        for counted, wished in ((found, some), (frames, turns)):
            Frames().take(wished[:_COLD])
            counted.take(wished)
    return found


def ratios(ours: dict[str, float], bare: dict[str, float]) -> dict[str, float]:
    """Median and 99th percentile of ours as multiples of the bare widget's 99th percentile."""
    return {name: ours[name] / bare["p99"] for name in ("median", "p99")}
