# SPDX-License-Identifier: Apache-2.0
"""How long the window's thread does not come back: a timer of 10 ms runs, and its longest gap is told.

While files are opened, while a model is loaded, and while it explains and somebody scrolls. Also part of
`benchmarks/window.py`, in a process of its own: the engine is imported only once.

    python benchmarks/waits.py [--json]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from frames import for_a_core
from opened import REAL, model_folder, series
from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from viewer import demo
from viewer.dicom import Study
from viewer.settings import Settings
from viewer.ui.app import share_the_interpreter
from viewer.ui.window import Window

TICK, SCROLL = 10, 40
"""Milliseconds between two ticks, and between two slices of somebody who scrolls."""
LONGEST, ENGINE = 100.0, 500.0
"""Milliseconds that the timer may have to wait, and once while the engine is imported."""
WATCHED = 5.0
"""Seconds of explaining that are watched."""


class Pulse(QObject):
    """The timer on the window's thread."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last = self._waited = 0.0
        self.gaps: list[tuple[float, float]] = []

    def _beat(self) -> None:
        now, waited = 1000 * time.perf_counter(), for_a_core()
        self.gaps.append((now - self._last, waited - self._waited))
        self._last, self._waited = now, waited

    @contextmanager
    def watched(self) -> Iterator[dict[str, float]]:
        """Measure until the end of the block; the longest gap is in what this gives."""
        result: dict[str, float] = {}
        self.gaps.clear()
        self._last, self._waited = 1000 * time.perf_counter(), for_a_core()
        self._timer.start(TICK)
        yield result
        self._timer.stop()
        self._beat()
        gap, waited = max(self.gaps)
        result |= {"longest": gap, "for a core": waited, "over": sum(g > LONGEST for g, _ in self.gaps)}


def until(done: Callable[[], bool], most: float = 300.0) -> None:
    """Let the window live until something is so."""
    loop, look, end = QEventLoop(), QTimer(), time.monotonic() + most
    look.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    look.start(5)
    loop.exec()


def rest(window: Window) -> None:
    until(lambda: not window.presenter.working)


def open_all(window: Window, folder: Path) -> None:
    """Open a folder and go through all its series; their thumbnails come meanwhile."""
    p = window.presenter
    p.studies.open([folder])
    rest(window)
    for number in range(len(p.state.studies.items)):
        p.studies.choose_series(number)
        rest(window)


def scroll_while(window: Window, method: str, **settings: Any) -> None:
    """Explain for some seconds, and go up and down meanwhile."""
    p, step = window.presenter, 1

    def on() -> None:
        nonlocal step
        series = p.state.view.series
        assert series is not None
        if not 0 <= p.state.view.slice + step < series.shape[0]:
            step = -step
        p.step(step)

    p.explaining.choose_method(method)
    for name, value in settings.items():
        p.explaining.set_setting(name, value)
    p.explaining.explain()
    hand, end = QTimer(), time.monotonic() + WATCHED
    hand.timeout.connect(on)
    hand.start(SCROLL)
    until(lambda: time.monotonic() > end)
    hand.stop()
    p.cancel()
    rest(window)


def measure(window: Window, model: Path) -> dict[str, dict[str, float]]:
    """All waits, in the order in which a reader would cause them."""
    pulse, p = Pulse(), window.presenter
    found = {}
    folder = REAL if REAL.is_dir() else demo.folder() / "studies"
    with pulse.watched() as found[f"opening {folder.name}, going through its series"]:
        open_all(window, folder)
    with pulse.watched() as found["importing the engine, loading a model"]:
        p.explaining.load_model(model)
        rest(window)
    with pulse.watched() as found["loading a model again"]:
        p.explaining.load_model(model)
        rest(window)
    p.studies.show_study(Study((series(512),), (), ()))
    rest(window)
    with pulse.watched() as found["integrated gradients, scrolling"]:
        scroll_while(window, "integrated-gradients", steps=1000)
    with pulse.watched() as found["occlusion, scrolling"]:
        scroll_while(window, "occlusion", step=8)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    application = QApplication([])
    share_the_interpreter()
    with tempfile.TemporaryDirectory() as folder:
        window = Window(Settings())
        window.resize(1600, 1000)
        window.show()
        application.processEvents()
        found = measure(window, model_folder(Path(folder)))
    window.close()
    print(json.dumps(found, indent=1) if asked.json else told(found))


def told(found: dict[str, dict[str, float]]) -> str:
    """Every longest wait beside its aim."""
    lines = []
    if not REAL.is_dir():
        lines.append("No real files beside the checkout: the demo's studies were opened instead.")
    for name, some in found.items():
        aim = ENGINE if name.startswith("importing") else LONGEST
        missed = "" if some["longest"] <= aim else "  missed"
        lines.append(
            f"  {name:<48} longest wait {some['longest']:6.1f} ms, {some['for a core']:6.1f} of it for a core"
            f"  aim ≤ {aim:.0f}{missed}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
