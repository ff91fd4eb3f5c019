# SPDX-License-Identifier: Apache-2.0
"""The right side of the window: what weighs most in it, and what keeps its place."""

from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from viewer.ui.window import Window


def explained(window: Window, qtbot: QtBot, study: Path, model: Path) -> None:
    """Open both, and wait for the first map."""
    presenter = window.presenter
    presenter.studies.open([study])
    qtbot.waitUntil(lambda: presenter.state.view.values is not None, timeout=20_000)
    presenter.explaining.load_model(model)
    qtbot.waitUntil(lambda: presenter.state.answer.attribution is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not presenter.state.shell.under_way, timeout=60_000)


def test_the_answer_is_the_largest_on_the_right(
    window: Window, qtbot: QtBot, study: Path, model: Path
) -> None:
    explained(window, qtbot, study, model)
    answer, run = window.prediction.answer, window.explaining.run_bar.run
    qtbot.waitUntil(lambda: answer.number.text() != "")
    texts = [label for label in window.right.findChildren(QLabel) if label.text() and label.isVisible()]
    largest = max(text.fontInfo().pixelSize() for text in texts)
    assert {text for text in texts if text.fontInfo().pixelSize() == largest} == {answer.label, answer.number}
    assert run.fontInfo().pixelSize() < largest
    # The ground of the button is the panel's: no block of colour draws the eye from the answer.
    ground = window.right.grab().toImage()
    corner = run.mapTo(window.right, QPoint(12, run.height() // 2))
    beside = window.explaining.mapTo(window.right, QPoint(4, 4))
    ratio = ground.devicePixelRatio()
    assert ground.pixel(corner * ratio) == ground.pixel(beside * ratio)
