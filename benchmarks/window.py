"""How long a frame of the window takes: scrolling, windowing, opacity and label, with an overlay.

A frame is one wish to the presenter and the paint that follows, in the real window of 1600 × 1000, idle
and with integrated gradients running behind. Without a screen Qt draws offscreen, in software.

    python benchmarks/window.py [--frames 200] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtWidgets import QApplication

from viewer.dicom import Study
from viewer.settings import Settings
from viewer.types import Display, Geometry, Series, Window
from viewer.ui import theme
from viewer.ui.window import Window as MainWindow

SLICES = 12
AIMS = {512: (12.0, 16.7), 2048: (20.0, 33.0)}
"""p99 in milliseconds, idle and with integrated gradients behind."""


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

    arguments = {"channels": 1, "num_classes": 3, "widths": [16, 32, 32]}
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


def frames(app: QApplication, wishes: list[Callable[[], object]]) -> list[float]:
    """Milliseconds from each wish to the end of its paint."""
    taken = []
    for wish in wishes:
        start = time.perf_counter()
        wish()
        app.processEvents()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def spread(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {"median": statistics.median(values), "p99": float(np.percentile(values, 99))}


def measure(app: QApplication, window: MainWindow, side: int, count: int) -> dict[str, dict[str, float]]:
    """All actions on one size of image, idle and with work behind."""
    p = window.presenter
    p._opened(Study((series(side),), (), ()))
    settle(app, window)
    for i in range(SLICES):  # every slice explained once, as after a first look through the stack
        p.go_to(i)
        settle(app, window)
    scroll = [lambda i=i: p.go_to(i % SLICES) for i in range(count)]
    drag = [lambda i=i: p.display.drag_window(3 if i % 2 else -3, 1) for i in range(count)]
    opacity = [lambda i=i: p.display.set_style("opacity", 0.3 + 0.4 * (i % 2)) for i in range(count)]
    label = [lambda i=i: p.explaining.choose_target(("one", "two", "three")[i % 3]) for i in range(count)]
    result = {
        "scroll": frames(app, scroll),
        "window": frames(app, drag),
        "opacity": frames(app, opacity),
        "label": frames(app, label),
    }
    p.explaining.choose_method("integrated-gradients")
    p.explaining.set_setting("steps", 1000)
    p.explaining.explain()
    result["window, integrated gradients behind"] = frames(app, drag)
    busy = p.working
    p.cancel()
    p.explaining.choose_method("grad-cam")
    settle(app, window)
    if not busy:
        raise SystemExit("the explainer ended before the frames did; raise its steps")
    return {name: spread(taken) for name, taken in result.items()}


def first_paint() -> float:
    """Seconds from starting Python to the first painted window, in a process of its own."""
    code = (
        "from PySide6.QtWidgets import QApplication\n"
        "from viewer.settings import Settings\n"
        "from viewer.ui import theme\n"
        "from viewer.ui.window import Window\n"
        "app = QApplication([]); theme.apply(app, theme.DARK)\n"
        "w = Window(Settings()); w.resize(1600, 1000); w.show()\n"
        "app.processEvents(); w.repaint(); w.close()\n"
    )
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--frames", type=int, default=200)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    app = QApplication([])
    theme.apply(app, theme.DARK)
    window = MainWindow(Settings())
    window.resize(1600, 1000)
    window.show()
    result: dict[str, Any] = {"platform": app.platformName(), "first paint, s": first_paint(), "ms": {}}
    with tempfile.TemporaryDirectory() as folder:
        window.presenter.explaining.load_model(model_folder(Path(folder)))
        settle(app, window)
        for side in AIMS:
            result["ms"][side] = measure(app, window, side, asked.frames)
    window.close()
    if asked.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{result['platform']}, first paint {result['first paint, s']:.2f} s (aim ≤ 1.5)")
    for side, actions in result["ms"].items():
        for name, some in actions.items():
            aim = AIMS[side]["behind" in name]
            print(
                f"  {side}²  {name:<38} median {some['median']:6.1f}  p99 {some['p99']:6.1f} ms  aim ≤ {aim}"
            )


if __name__ == "__main__":
    main()
