# SPDX-License-Identifier: Apache-2.0
"""Nothing jumps, nothing is covered that is looked at, and nobody is left before a window that only reads."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hands import drop, settled
from program import write_stack
from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from viewer.ui.app import inside
from viewer.ui.state import Notice
from viewer.ui.views import captions
from viewer.ui.window import Window

LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier


def places(window: Window) -> dict[str, QRect]:
    parts: dict[str, QWidget] = {
        "plain": window.plain, "mapped": window.mapped, "right": window.right, "left": window.series,
        "top": window.top, "status": window.status, "slices": window.slices,
    }  # fmt: skip
    return {name: QRect(part.mapTo(window, QPoint(0, 0)), part.size()) for name, part in parts.items()}


@pytest.mark.parametrize("length", [4, 40, 400])
def test_a_message_lies_over_the_lower_edge_and_moves_nothing(
    explained: Window, qtbot: QtBot, length: int
) -> None:
    before = places(explained)
    explained.presenter._store.show(notice=Notice("word " * length, "warning"))
    qtbot.wait(30)
    assert places(explained) == before
    bar = explained.message
    stage = QRect(QPoint(0, 0), bar.parentWidget().size())
    assert bar.isVisible()
    assert stage.contains(bar.geometry())
    assert bar.geometry().bottom() == stage.bottom()
    assert bar.height() >= bar.sentence.heightForWidth(bar.sentence.width())
    explained.resize(1500, 800)
    qtbot.waitUntil(lambda: bar.geometry().bottom() == bar.parentWidget().height() - 1)
    qtbot.mouseClick(bar.close_button, LEFT)
    assert not bar.isVisible()


@pytest.mark.parametrize(
    ("room", "wished", "found"),
    [
        (QRect(0, 0, 1920, 1080), (1600, 1000), (1600, 1000)),
        (QRect(0, 24, 1280, 696), (1600, 1000), (1280, 664)),  # 150 % of 1920 × 1080, with a bar above
        (QRect(0, 0, 960, 540), (1600, 1000), (960, 508)),  # 200 % of it
        (QRect(1920, 0, 1024, 600), (1600, 1000), (1024, 568)),  # a second screen
    ],
)
def test_the_window_opens_inside_its_screen(
    room: QRect, wished: tuple[int, int], found: tuple[int, int]
) -> None:
    place = inside(wished, room)
    assert place.size() == QSize(*found)
    assert room.contains(place)
    assert place.top() - room.top() >= 32 or found[1] < room.height() - 32


def test_a_small_window_shows_its_image_and_its_answer(explained: Window, qtbot: QtBot) -> None:
    """As on a screen of 1920 × 1080 at 200 %."""
    explained.setMinimumSize(960, 508)
    explained.resize(960, 508)
    qtbot.waitUntil(lambda: explained.width() == 960)
    for part in (explained.mapped, explained.right, explained.status, explained.top):
        lies = QRect(part.mapTo(explained, QPoint(0, 0)), part.size())
        assert explained.rect().contains(lies), type(part).__name__


def masked(window: Window) -> bool:
    return window.presenter.state.shell.masked


def test_showing_the_patient_asks_for_ctrl_and_masking_does_not(explained: Window, qtbot: QtBot) -> None:
    assert masked(explained)
    qtbot.keyClick(explained, Qt.Key.Key_M)
    assert masked(explained)
    assert "Ctrl" in explained.message.sentence.text()
    qtbot.keyClick(explained, Qt.Key.Key_M, CTRL)
    assert not masked(explained)
    qtbot.keyClick(explained, Qt.Key.Key_M)
    assert masked(explained)


def test_a_click_masks_and_only_one_with_ctrl_shows(
    explained: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    qtbot.mouseClick(explained.top.patient, LEFT)
    assert masked(explained)
    assert "Ctrl" in explained.top.patient.toolTip()
    qtbot.mouseClick(explained.top.patient, LEFT, CTRL)
    assert not masked(explained)
    qtbot.mouseClick(explained.top.patient, LEFT, CTRL)
    assert masked(explained)


def open_card(window: Window, qtbot: QtBot) -> QRect:
    qtbot.mouseClick(window.explaining.about, LEFT)
    assert window.card.isVisible()
    return QRect(window.card.mapTo(window, QPoint(0, 0)), window.card.size())


@pytest.mark.parametrize("corner", ["near", "far"])
def test_the_card_lies_where_less_of_the_map_is(explained: Window, qtbot: QtBot, corner: str) -> None:
    """The views are wide here, so that the card has two places."""
    explained.resize(1600, 900)
    explained.run("one-view")
    settled(explained, qtbot)
    state = explained.presenter.state
    values = state.view.map.copy()
    values[:] = 0
    columns = values.shape[1]
    values[:, columns // 2 :] = 1 if corner == "near" else 0
    values[:, : columns // 2] = 0 if corner == "near" else 1
    explained.mapped.show(picture_with(explained, values))
    card = open_card(explained, qtbot)
    assert explained._evidence_in(card) <= explained._evidence_in(mirrored(explained, card))
    assert (card.center().x() < explained.mapped.mapTo(explained, QPoint(0, 0)).x() + 200) == (
        corner == "near"
    )


def picture_with(window: Window, values):
    shown = window.mapped._picture
    return replace(shown, map=values, style=replace(shown.style, threshold=0.5))


def mirrored(window: Window, card: QRect) -> QRect:
    """The other place of the card: as far from the other edge of the views."""
    stage = QRect(window._stage.mapTo(window, QPoint(0, 0)), window._stage.size())
    return card.translated(stage.right() + stage.left() - card.right() - card.left(), 0)


def test_esc_closes_the_card_wherever_the_keyboard_is(explained: Window, qtbot: QtBot) -> None:
    for focus in (explained.mapped, explained.explaining.method, explained.prediction.list):
        open_card(explained, qtbot)
        focus.setFocus()
        qtbot.keyClick(focus, Qt.Key.Key_Escape)
        assert not explained.card.isVisible()


def test_a_folder_that_is_gone_is_said_and_not_read_for_ever(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    folder = write_stack(tmp_path / "study", 5)
    drop(window, folder)
    settled(window, qtbot)
    shutil.move(folder, tmp_path / "elsewhere")
    slices = window.presenter.slices
    slices._memory.forget(slices._own)  # what was read ahead
    qtbot.keyClick(window, Qt.Key.Key_Down)
    settled(window, qtbot)
    state = window.presenter.state
    said = captions.sentence(state)
    assert said is not None
    assert "…" not in said[0]
    assert "another slice and back" in said[0]
    shutil.move(tmp_path / "elsewhere", folder)
    qtbot.keyClick(window, Qt.Key.Key_Up)
    qtbot.keyClick(window, Qt.Key.Key_Down)
    settled(window, qtbot)
    assert captions.sentence(window.presenter.state) is None
