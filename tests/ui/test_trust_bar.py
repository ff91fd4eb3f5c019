# SPDX-License-Identifier: Apache-2.0
"""The bar that asks to trust a program names the model and shows the bytes; the demo offers its model."""

import hashlib
from pathlib import Path

import pytest
from program import write_model
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from viewer import demo
from viewer.errors import ModelError, UntrustedError
from viewer.settings import Settings
from viewer.ui.presenter.loading import loaded
from viewer.ui.state import ViewState
from viewer.ui.window import Window

LEFT = Qt.MouseButton.LeftButton
NET = "from viewer.models.builtin import SmallCNN\nNet = lambda: SmallCNN(1, 3, [4, 6])\n"
HIDDEN = "# " + chr(0x202E) + "reversed\n"  # a character that turns the rest of a line about


def with_code(folder: Path, code: str = NET, name: str = "Nodules of ours") -> Path:
    model = write_model(folder, architecture="network.py:Net", arguments={}, name=name)
    (model / "network.py").write_text(code, "utf-8")
    return model


def asked(window: Window, qtbot: QtBot, model: Path) -> ViewState:
    window.presenter.explaining.load_model(model)
    qtbot.waitUntil(
        lambda: getattr(window.presenter.state.shell.notice, "wish", None) == "trust", timeout=60_000
    )
    return window.presenter.state


def test_the_bar_names_the_model_and_shows_its_code(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    model = with_code(tmp_path / "model", NET + "# a line\n" * 400)
    state = asked(window, qtbot, model)
    assert "“Nodules of ours”" in state.shell.notice.text
    assert not window.code.isVisible()
    qtbot.mouseClick(window.message.other, LEFT)
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window.code)
    content = (model / "network.py").read_bytes()
    assert window.code.text.toPlainText().encode() == content
    assert window.code.sha256.full == f"SHA-256 {hashlib.sha256(content).hexdigest()}"
    assert window.code.path.full == str(model / "network.py")
    assert window.code.title.full == "Nodules of ours"
    assert window.code.text.verticalScrollBar().maximum() > 0
    qtbot.keyClicks(window.code.text, "import os")
    assert window.code.text.toPlainText().encode() == content  # it cannot be written to
    qtbot.keyClick(window.code.text, Qt.Key.Key_Escape)
    assert not window.code.isVisible()
    assert window.presenter.state.shell.code is None
    assert window.presenter.state.shell.notice is state.shell.notice  # the question stands
    qtbot.mouseClick(window.message.other, LEFT)
    qtbot.waitUntil(window.code.isVisible)
    qtbot.mouseClick(window.message.button, LEFT)
    qtbot.waitUntil(lambda: window.presenter.state.answer.model is not None, timeout=60_000)
    assert not window.code.isVisible()


def test_what_cannot_be_seen_is_written_out(tmp_path: Path) -> None:
    for folder, code, seen in (
        ("bidi", HIDDEN + NET, "# \\u202ereversed\n" + NET),
        ("nul", NET + "#\0\n", NET + "#\\u0000\n"),
        ("latin", NET.encode() + b"# \xe9\n", NET + "# \\xe9\n"),
        ("windows", NET.replace("\n", "\r\n"), NET),
    ):
        model = with_code(tmp_path / folder)
        (model / "network.py").write_bytes(code if isinstance(code, bytes) else code.encode())
        question = loaded(model, False, Settings(device="cpu"), ())
        assert question.code.text == seen
        assert question.code.sha256 == hashlib.sha256((model / "network.py").read_bytes()).hexdigest()


def test_a_program_that_is_no_text_offers_none(
    window: Window, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise UntrustedError(tmp_path / "net.pt2", "0" * 64, "0" * 64, "A program")

    monkeypatch.setattr("viewer.session.load_model", load)
    state = asked(window, qtbot, tmp_path)
    assert state.shell.notice.other is None
    assert not window.message.other.isVisible()
    assert "make sure that it comes from whom you think" in state.shell.notice.text


def test_other_bytes_than_those_that_were_hashed_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_code(tmp_path / "model")

    def load(*_: object) -> None:
        (model / "network.py").write_text(NET + "# changed\n", "utf-8")
        raise UntrustedError(model / "network.py", "0" * 64, "1" * 64, "Nodules")

    monkeypatch.setattr("viewer.session.load_model", load)
    with pytest.raises(ModelError, match="changed while it was read"):
        loaded(model, False, Settings(device="cpu"), ())


def test_a_name_cannot_hide_in_the_question() -> None:
    error = UntrustedError(Path("network.py"), "0" * 64, "1" * 64, f"a\n{chr(0x202E)}b\x1b[2J")
    assert "“ab[2J”" in str(error)


def test_the_demo_offers_its_model_for_a_ct_and_back(window: Window, qtbot: QtBot) -> None:
    presenter = window.presenter
    presenter.studies.open_demo()
    qtbot.waitUntil(lambda: presenter.state.answer.attribution is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not presenter.state.shell.under_way, timeout=60_000)
    presenter.studies.choose_series(1)
    qtbot.waitUntil(
        lambda: presenter.state.shell.notice is not None and presenter.state.shell.notice.wish == "override",
        timeout=60_000,
    )
    qtbot.mouseClick(window.message.other, LEFT)
    qtbot.waitUntil(
        lambda: presenter.state.answer.attribution is not None and presenter.state.answer.model.volume,
        timeout=60_000,
    )
    assert presenter.state.view.series.modality == "CT"
    qtbot.waitUntil(lambda: not presenter.state.shell.under_way, timeout=60_000)
    presenter.studies.choose_series(0)
    qtbot.waitUntil(
        lambda: presenter.state.shell.notice is not None and presenter.state.shell.notice.other is not None,
        timeout=60_000,
    )


def test_only_the_demo_offers_its_models(study: Path) -> None:
    from viewer import dicom

    (own,) = {s.modality: s for s in dicom.scan([demo.studies()[0]]).series if s.modality == "CT"}.values()
    other = dicom.scan([study]).series[0]
    cnn, deep = demo.models()["cnn"], demo.models()["cnn3d"]
    assert demo.model_for(own, cnn) == deep
    assert demo.model_for(own, deep) is None
    assert demo.model_for(other, cnn) is None
    assert demo.model_for(own, study) is None
    assert demo.model_for(own, None) is None
