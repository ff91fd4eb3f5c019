# SPDX-License-Identifier: Apache-2.0
"""What a person does with the real window."""

from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from viewer.ui.window import Window


def settled(window: Window, qtbot) -> None:
    qtbot.waitUntil(lambda: not window.presenter.working, timeout=30_000)
    qtbot.wait(20)


def drop(window: Window, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(400, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    window.dropEvent(event)
