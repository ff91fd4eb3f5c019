# SPDX-License-Identifier: Apache-2.0
"""The window is tested without a screen."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from desk import Desk
from hands import drop, settled
from known import Folders, Known, write_models, write_study, write_twin
from program import write_model, write_stack
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QWidget

from viewer.settings import Settings
from viewer.ui.widgets import theme
from viewer.ui.window import Window


def _windows() -> set[QWidget]:
    """Top-level widgets that belong to nobody; Qt keeps its tool tip for itself."""
    if QApplication.instance() is None:
        return set()
    return {w for w in QApplication.topLevelWidgets() if w.parent() is None and not w.inherits("QTipLabel")}


@pytest.fixture(autouse=True)
def _no_window_left() -> Iterator[None]:
    """A test that leaves a window behind fails: it would live on in every later one."""
    before = _windows()
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left = _windows() - before
    for widget in left:
        widget.deleteLater()
    assert not left, f"left behind: {sorted(type(w).__name__ for w in left)}"


@pytest.fixture
def desk(qtbot) -> Iterator[Desk]:
    made = Desk(qtbot)
    yield made
    made.presenter.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("whyscope ")]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_stack(tmp_path / "study" / "a", 5)
    write_stack(tmp_path / "study" / "b", 3, uid="1.2.826.78", SeriesDescription="Other")
    (tmp_path / "study" / "notes.txt").write_text("nothing", "utf-8")
    return tmp_path / "study"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Two studies with the same UIDs and other pixels, and four models; not to be written to."""
    base = tmp_path_factory.mktemp("known")
    study = write_study(base / "study")
    return [study, write_twin(study, base / "twin")], write_models(base / "models")


@pytest.fixture(scope="session")
def truth(folders: Folders) -> Known:
    """What is known of them without the window."""
    return Known(*folders)


@pytest.fixture
def window(qapp: QApplication, qtbot) -> Iterator[Window]:
    """The real window at its smaller size, dark and empty."""
    theme.apply(qapp, theme.DARK)
    made = Window(Settings(device="cpu"))
    qtbot.addWidget(made)
    made.resize(1280, 720)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.close()


@pytest.fixture
def explained(window: Window, qtbot, tmp_path: Path) -> Window:
    """The window on a small stack of five slices, explained by a small network."""
    window.presenter.explaining.load_model(write_model(tmp_path / "model"))
    drop(window, write_stack(tmp_path / "study", 5))
    settled(window, qtbot)
    assert window.presenter.state.answer.attribution is not None
    return window
