# SPDX-License-Identifier: Apache-2.0
"""How long a frame of the window takes: scrolling, windowing, opacity and label, with an overlay.

A frame is one wish to the presenter and the paint that follows, in the real window of 1600 × 1000, idle
and with integrated gradients running behind. It takes turns with a bare widget that paints ready pictures
of the same size, and is told as a multiple of that one's 99th percentile too: milliseconds are of one
machine, the multiples of any. Then how long the window's thread ever waits (`waits.py`).
Without a screen Qt draws offscreen, in software; on one in memory, with room for both windows:

    python benchmarks/window.py [--frames 200] [--json]
    xvfb-run -a -s "-screen 0 3200x1000x24" python benchmarks/window.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from frames import Bare, Frames, in_turns, ratios
from opened import SLICES, model_folder, series
from PySide6.QtWidgets import QApplication
from waits import told

from viewer.dicom import Study
from viewer.settings import Settings
from viewer.ui.app import share_the_interpreter
from viewer.ui.window import Window as MainWindow

SIZE = (1600, 1000)
IDLE, BEHIND = "bare widget", "bare widget, integrated gradients behind"
AIMS = {512: (12.0, 16.7), 2048: (20.0, 33.0)}
"""p99 in milliseconds of scrolling and windowing, idle and with integrated gradients behind."""
FRAME = 16.7
"""Likewise of another opacity or label."""
PAINT = 1.5
"""Seconds until the first paint."""


def settle(app: QApplication, window: MainWindow) -> None:
    while window.presenter.working:
        app.processEvents()
        time.sleep(0.002)
    app.processEvents()


def measure(app: QApplication, window: MainWindow, side: int, count: int) -> dict[str, dict[str, float]]:
    """All actions on one size of image, idle and with work behind, with a map over the image throughout.

    Those of the bare widget are under `IDLE` and `BEHIND`.
    """
    p, bare = window.presenter, Bare(side, *SIZE)
    bare.show()
    p.studies.show_study(Study((series(side),), (), ()))
    settle(app, window)
    for i in range(SLICES):  # every slice explained once, as after a first look through the stack
        p.go_to(i)
        settle(app, window)
    scroll = [lambda i=i: p.go_to(i % SLICES) for i in range(count)]
    drag = [lambda i=i: p.display.drag_window(3 if i % 2 else -3, 1) for i in range(count)]
    opacity = [lambda i=i: p.display.set_style("opacity", 0.3 + 0.4 * (i % 2)) for i in range(count)]
    label = [lambda i=i: p.explaining.choose_target(("one", "two", "three")[i % 3]) for i in range(count)]
    result = {IDLE: Frames(), BEHIND: Frames()}
    for name, wishes in (("scroll", scroll), ("window", drag), ("opacity", opacity), ("label", label)):
        result[name] = in_turns(wishes, bare, result[IDLE])
    p.explaining.choose_method("integrated-gradients")
    p.explaining.set_setting("steps", 1000)
    p.explaining.explain()
    while (
        p.state.shell.busy is not None and not p.state.shell.busy.total
    ):  # imports of the method, told by `waits.py`
        app.processEvents()
        time.sleep(0.002)
    p.explaining.choose_method("grad-cam")  # whose maps are shown meanwhile
    Frames().take(scroll[:60])  # the engine's threads start with the first steps
    for name, wishes in (("scroll", scroll), ("window", drag)):
        result[f"{name}, integrated gradients behind"] = in_turns(wishes, bare, result[BEHIND])
    if not (p.working and p.state.map_shown):
        raise SystemExit("the explainer ended before the frames did; raise its steps")
    bare.close()
    p.cancel()
    settle(app, window)
    return {name: taken.spread() for name, taken in result.items()}


def first_paint() -> tuple[float, float]:
    """Seconds from starting Python to the first painted window, by the clock and of its own work."""
    code = (
        "from PySide6.QtWidgets import QApplication\n"
        "from viewer.settings import Settings\n"
        "import viewer.ui.app\n"
        "from viewer.ui.window import Window\n"
        "app = QApplication([])\n"
        "w = Window(Settings()); w.resize(1600, 1000); w.show()\n"
        "app.processEvents(); w.repaint(); w.close()\n"
    )
    taken, worked = [], []
    for _ in range(5):
        start, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
        after = os.times()
        taken.append(time.perf_counter() - start)
        worked.append(sum(after[2:4]) - sum(before[2:4]))
    return statistics.median(taken), statistics.median(worked)


def waits() -> dict[str, dict[str, float]]:
    """The longest waits of the window's thread, measured in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("waits.py")), "--json"]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def multiples(actions: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """What every action takes as a multiple of the bare widget's frames under the same work."""
    return {
        name: ratios(some, actions[BEHIND if "behind" in name else IDLE])
        for name, some in actions.items()
        if name not in (IDLE, BEHIND)
    }


def aim(side: int, name: str) -> float:
    """The p99 in milliseconds that an action may take."""
    return FRAME if name in ("opacity", "label") else AIMS[side]["behind" in name]


def row(side: int, name: str, some: dict[str, float], multiple: dict[str, float] | None) -> str:
    """One action, or the bare widget, which has no aim and no multiple."""
    line = (
        f"  {side:>4}²  {name:<40} median {some['median']:5.1f}  p99 {some['p99']:5.1f}"
        f"  (cores free {some['p99, cores free']:5.1f}; work {some['work, median']:4.1f}) ms"
    )
    if multiple is None:
        return line
    most = aim(side, name)
    missed = "" if some["p99"] <= most else "  missed"
    return f"{line}  aim ≤ {most:g}{missed}  × bare {multiple['median']:.2f}, p99 {multiple['p99']:.2f}"


def table(result: dict[str, Any]) -> str:
    """All figures beside their aims, and frames as multiples of the bare widget's 99th percentile."""
    paint = result["first paint, s"]
    work = result["first paint, work, s"]
    missed = "" if paint <= PAINT else "  missed"
    lines = [f"{result['platform']}, first paint {paint:.2f} s (work {work:.2f})  aim ≤ {PAINT}{missed}"]
    for side, actions in result["ms"].items():
        multiple = result["ratios"][side]
        lines += [row(side, name, some, multiple.get(name)) for name, some in actions.items()]
    return "\n".join(lines)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--frames", type=int, default=200)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    app = QApplication([])
    share_the_interpreter()
    window = MainWindow(Settings())
    window.resize(*SIZE)
    window.show()
    paint, work = first_paint()
    result: dict[str, Any] = {
        "platform": app.platformName(), "first paint, s": paint, "first paint, work, s": work,
        "waits, ms": waits(), "ms": {}, "ratios": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        window.presenter.explaining.load_model(model_folder(Path(folder)))
        settle(app, window)
        for side in AIMS:
            result["ms"][side] = measure(app, window, side, asked.frames)
            result["ratios"][side] = multiples(result["ms"][side])
    window.close()
    if asked.json:
        print(json.dumps(result, indent=1))
    else:
        print(table(result), told(result["waits, ms"]), sep="\n")


if __name__ == "__main__":
    main()
