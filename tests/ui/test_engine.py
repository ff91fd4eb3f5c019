# SPDX-License-Identifier: Apache-2.0
"""What starting the engine changes in the process, and what it leaves as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import write_model, write_stack

from viewer.ui import app

ROOT = Path(__file__).parents[2]


def run(code: str) -> None:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_window_appears_and_lists_a_study_without_the_engine(tmp_path: Path) -> None:
    study = write_stack(tmp_path / "study", 3)
    run(
        "import sys\n"
        "from pathlib import Path\n"
        "from PySide6.QtWidgets import QApplication\n"
        "import viewer.ui.app\n"
        "from viewer.settings import Settings\n"
        "from viewer.ui.window import Window\n"
        "app = QApplication([])\n"
        "w = Window(Settings()); w.show(); app.processEvents(); w.grab()\n"
        f"w.presenter.studies.open([Path({str(study)!r})])\n"
        "while w.presenter.working: app.processEvents()\n"
        "assert w.presenter.state.view.values is not None\n"
        "w.grab(); w.close()\n"
        "assert 'torch' not in sys.modules\n"
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="priorities of threads are Linux's")
def test_the_models_worker_stands_back_and_the_window_does_not(tmp_path: Path) -> None:
    """Nothing of the loaded model is out of the garbage collector's reach, and nothing is said at the end."""
    model = write_model(tmp_path / "model")
    run(
        "import gc, os, threading\n"
        "from pathlib import Path\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from viewer.settings import Settings\n"
        "from viewer.ui.window import Window\n"
        "app = QApplication([])\n"
        "w = Window(Settings(device='cpu'))\n"
        "nice = lambda thread: os.getpriority(os.PRIO_PROCESS, thread)\n"
        "before = nice(threading.get_native_id())\n"
        f"w.presenter.explaining.load_model(Path({str(model)!r}))\n"
        "while w.presenter.working: app.processEvents()\n"
        "assert w.presenter.state.answer.model is not None\n"
        "by_name = {t.name: nice(t.native_id) for t in threading.enumerate()}\n"
        "assert by_name['whyscope model'] == min(before + 5, 19)\n"
        "assert by_name['whyscope io'] == by_name['MainThread'] == before\n"
        "assert gc.isenabled() and gc.get_freeze_count() > 0\n"
        "import torch\n"
        "assert any(isinstance(o, torch.nn.Conv2d) for o in gc.get_objects())\n"
        "w.close()\n"
    )


def test_a_worker_hands_the_interpreter_over_at_once() -> None:
    before = sys.getswitchinterval()
    try:
        app.share_the_interpreter()
        assert sys.getswitchinterval() < 1e-3
    finally:
        sys.setswitchinterval(before)
