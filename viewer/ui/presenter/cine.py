# SPDX-License-Identifier: Apache-2.0
"""The clock by which slices are played."""

from collections.abc import Callable
from time import monotonic

from PySide6.QtCore import Qt, QTimer


class Cine:
    """Tells how many slices on from the start one should be by now: what came too late is left out."""

    def __init__(self, advance: Callable[[int], None], clock: Callable[[], float] = monotonic) -> None:
        self._advance = advance
        self._clock = clock
        self._began = 0.0
        self._rate = 1.0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)

    def start(self, rate: float) -> None:
        """Begin at `rate` slices per second."""
        self._began, self._rate = self._clock(), rate
        self._timer.start(round(1000 / rate))

    def stop(self) -> None:
        """Tell no more."""
        self._timer.stop()

    def tick(self) -> None:
        """Called by the timer, which may come late."""
        self._advance(round((self._clock() - self._began) * self._rate))
