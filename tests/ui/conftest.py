"""The window is tested without a screen."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QWidget


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
