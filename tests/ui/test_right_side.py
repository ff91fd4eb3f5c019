# SPDX-License-Identifier: Apache-2.0
"""The right side of the window: what weighs most in it, and what keeps its place."""

from pathlib import Path

from program import write_model
from PySide6.QtCore import QPoint, Qt
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


def places(window: Window) -> dict[str, int]:
    """How far below the top of the right side each thing lies that every method has."""
    explaining = window.explaining
    parts = {
        "answer": window.prediction.answer, "method": explaining.method, "layer": explaining.layer,
        "strip": explaining.layer_strip, "run": explaining.run_bar, "settings": explaining.settings,
        "display": window.display.opacity,
    }  # fmt: skip
    return {name: part.mapTo(window.right.widget(), QPoint()).y() for name, part in parts.items()}


def test_nothing_moves_when_the_method_changes(
    window: Window, qtbot: QtBot, study: Path, model: Path
) -> None:
    explained(window, qtbot, study, model)
    presenter = window.presenter
    qtbot.waitUntil(lambda: all(tile is not None for tile in presenter.state.answer.layer_strip))
    qtbot.wait(20)
    before = places(window)
    for name in ("occlusion", "saliency", "integrated-gradients", "grad-cam"):
        presenter.explaining.choose_method(name)
        qtbot.waitUntil(lambda: not presenter.state.shell.under_way, timeout=60_000)
        qtbot.wait(20)
        assert places(window) == before, name
        item = presenter.state.chosen_method
        assert window.explaining.layer_strip.none.isVisible() == (not item.layered)


def test_a_method_with_layers_is_never_said_to_have_none(
    window: Window, qtbot: QtBot, study: Path, tmp_path: Path
) -> None:
    """Where the model was not made for the image, there are no small maps of any method."""
    presenter = window.presenter
    presenter.studies.open([study])
    qtbot.waitUntil(lambda: presenter.state.view.values is not None, timeout=20_000)
    presenter.explaining.load_model(write_model(tmp_path / "other", accepts={"modality": ["US"]}))
    qtbot.waitUntil(lambda: presenter.state.answer.gate == "outside", timeout=60_000)
    assert presenter.state.chosen_method.layered
    assert window.explaining.layer_strip.none.full == ""
    presenter.explaining.choose_method("saliency")
    assert window.explaining.layer_strip.none.full == "Saliency reads no single layer."


def test_settings_unfold_and_say_how_many_were_changed(
    window: Window, qtbot: QtBot, study: Path, model: Path
) -> None:
    explained(window, qtbot, study, model)
    explaining, presenter = window.explaining, window.presenter
    assert explaining.settings.text() == "No settings"
    assert not explaining.settings.isEnabled()
    presenter.explaining.choose_method("occlusion")
    qtbot.waitUntil(lambda: "window" in explaining.form.controls)
    assert explaining.settings.text() == f"▸ Settings · {len(explaining.form.controls)}"
    assert not explaining.form.isVisible()
    qtbot.mouseClick(explaining.settings, Qt.MouseButton.LeftButton)
    assert explaining.form.isVisible()
    qtbot.keyClick(explaining.form.controls["window"], Qt.Key.Key_Up)
    assert explaining.settings.text() == f"▾ Settings · {len(explaining.form.controls)} · 1 changed"
    tip = explaining.form.controls["window"].toolTip()
    assert "in pixels of the model's input" in tip
    assert "0: an eighth of each side." in tip
    qtbot.mouseClick(explaining.settings, Qt.MouseButton.LeftButton)
    assert not explaining.form.isVisible()


def test_another_sign_says_that_the_range_is_another(
    window: Window, qtbot: QtBot, study: Path, model: Path
) -> None:
    explained(window, qtbot, study, model)
    presenter = window.presenter
    presenter.explaining.choose_method("input-x-gradient")
    qtbot.waitUntil(lambda: not presenter.state.shell.under_way, timeout=60_000)
    old = presenter.state.views.style
    presenter.display.set_style("sign", "positive" if old.sign != "positive" else "signed")
    new = presenter.state.views.style
    assert new.range != old.range
    assert "another sign has a range of its own" in presenter.state.shell.notice.text
    presenter.dismiss()
    presenter.display.set_style("opacity", 0.3)
    assert presenter.state.shell.notice is None
