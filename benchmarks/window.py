# SPDX-License-Identifier: Apache-2.0
"""How long a frame of the window takes: scrolling, windowing, opacity and label, with an overlay.

A frame is one wish to the presenter and the paint that follows, in the real window of 1600 × 1000, idle
and with integrated gradients running behind. Then how long the window's thread ever waits (`waits.py`).
Without a screen Qt draws offscreen, in software; on one in memory:

    python benchmarks/window.py [--frames 200] [--json]
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtWidgets import QApplication
from waits import for_a_core, made, told

from viewer.dicom import Study
from viewer.settings import Settings
from viewer.types import Display, Geometry, Series, Window
from viewer.ui.app import share_the_interpreter
from viewer.ui.window import Window as MainWindow

SLICES = 12
AIMS = {512: (12.0, 16.7), 2048: (20.0, 33.0)}
"""p99 in milliseconds of scrolling and windowing, idle and with integrated gradients behind."""
FRAME = 16.7
"""Likewise of another opacity or label."""
PAINT = 1.5
"""Seconds until the first paint."""


def series(side: int) -> Series:
    """A CT-like stack of noise with a bright block."""
    random = np.random.default_rng(0)
    voxels = random.integers(-1000, 400, (SLICES, side, side), dtype=np.int16)
    voxels[:, side // 3 : side // 2, side // 3 : side // 2] += 900
    matrix = np.diag([3.0, 0.5, 0.5, 1.0])
    display = Display(((1.0, 0.0),) * SLICES, "HU", (Window(-100, 1400),), stored_range=(-1024, 3071))
    return Series(f"bench {side}", "CT", voxels, Geometry(matrix, "patient", True, True), display)


def model_folder(folder: Path) -> Path:
    """A small untrained network with three labels."""
    import torch
    import yaml
    from safetensors.torch import save_file

    from viewer.models.builtin import SmallCNN

    arguments: dict[str, Any] = {"channels": 1, "num_classes": 3, "widths": [16, 32, 32]}
    torch.manual_seed(0)
    save_file(SmallCNN(**arguments).state_dict(), folder / "model.safetensors")
    card = {
        "name": "Benchmark CNN", "architecture": "builtin:small-cnn", "arguments": arguments,
        "weights": "model.safetensors", "input": {"size": [224, 224], "values": {"window": [0, 2000]}},
        "output": {"labels": ["one", "two", "three"]},
    }  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(card), "utf-8")
    return folder


def settle(app: QApplication, window: MainWindow) -> None:
    while window.presenter.working:
        app.processEvents()
        time.sleep(0.002)
    app.processEvents()


class Frames:
    """Milliseconds from each wish to the end of its paint, by the clock and of this thread's own work."""

    def __init__(self, app: QApplication, wishes: Sequence[Callable[..., object]]) -> None:
        self.taken: list[float] = []
        self.cored: list[float] = []
        """The same without the time in which others had the cores."""
        self.worked: list[float] = []
        for wish in wishes:
            start, work, waited = time.perf_counter(), time.thread_time(), for_a_core()
            wish()
            app.processEvents()
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


def measure(app: QApplication, window: MainWindow, side: int, count: int) -> dict[str, dict[str, float]]:
    """All actions on one size of image, idle and with work behind, with a map over the image throughout."""
    p = window.presenter
    p.show_study(Study((series(side),), (), ()))
    settle(app, window)
    for i in range(SLICES):  # every slice explained once, as after a first look through the stack
        p.go_to(i)
        settle(app, window)
    scroll = [lambda i=i: p.go_to(i % SLICES) for i in range(count)]
    drag = [lambda i=i: p.display.drag_window(3 if i % 2 else -3, 1) for i in range(count)]
    opacity = [lambda i=i: p.display.set_style("opacity", 0.3 + 0.4 * (i % 2)) for i in range(count)]
    label = [lambda i=i: p.explaining.choose_target(("one", "two", "three")[i % 3]) for i in range(count)]
    result = {
        "scroll": Frames(app, scroll),
        "window": Frames(app, drag),
        "opacity": Frames(app, opacity),
        "label": Frames(app, label),
    }
    p.explaining.choose_method("integrated-gradients")
    p.explaining.set_setting("steps", 1000)
    p.explaining.explain()
    while (
        p.state.shell.busy is not None and not p.state.shell.busy.total
    ):  # imports of the method, told by `waits.py`
        app.processEvents()
        time.sleep(0.002)
    p.explaining.choose_method("grad-cam")  # whose maps are shown meanwhile
    Frames(app, scroll[:60])  # the engine's threads start with the first steps
    for name, wishes in (("scroll", scroll), ("window", drag)):
        result[f"{name}, integrated gradients behind"] = Frames(app, wishes)
    if not (p.working and p.state.map_shown):
        raise SystemExit("the explainer ended before the frames did; raise its steps")
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


def aim(side: int, name: str) -> float:
    """The p99 in milliseconds that an action may take."""
    return FRAME if name in ("opacity", "label") else AIMS[side]["behind" in name]


def table(result: dict[str, Any]) -> str:
    """All figures beside their aims."""
    paint = result["first paint, s"]
    work = result["first paint, work, s"]
    missed = "" if paint <= PAINT else "  missed"
    lines = [f"{result['platform']}, first paint {paint:.2f} s (work {work:.2f})  aim ≤ {PAINT}{missed}"]
    for side, actions in result["ms"].items():
        for name, some in actions.items():
            most = aim(side, name)
            lines.append(
                f"  {side:>4}²  {name:<36} median {some['median']:5.1f}  p99 {some['p99']:5.1f}"
                f"  (cores free {some['p99, cores free']:5.1f}; work {some['work, median']:4.1f}) ms"
                f"  aim ≤ {most:g}{'' if some['p99'] <= most else '  missed'}"
            )
    return "\n".join(lines)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--frames", type=int, default=200)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    app = QApplication([])
    share_the_interpreter()
    window = MainWindow(Settings())
    window.resize(1600, 1000)
    window.show()
    paint, work = first_paint()
    result: dict[str, Any] = {
        "platform": app.platformName(), "first paint, s": paint, "first paint, work, s": work,
        "waits, ms": waits(), "ms": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        window.presenter.explaining.load_model(made(Path(folder)))
        settle(app, window)
        for side in AIMS:
            result["ms"][side] = measure(app, window, side, asked.frames)
    window.close()
    if asked.json:
        print(json.dumps(result, indent=1))
    else:
        print(table(result), told(result["waits, ms"]), sep="\n")


if __name__ == "__main__":
    main()
