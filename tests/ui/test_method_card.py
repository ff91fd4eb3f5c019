# SPDX-License-Identifier: Apache-2.0
"""The method card: all that is known of a method, beside the chooser."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made import explained
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from viewer.types import Style
from viewer.ui.panels.explain import completeness_words
from viewer.ui.panels.method_card import cost_words, family_words
from viewer.ui.state import MethodItem, ModelItem, ViewState
from viewer.ui.window import Window

ITEM = MethodItem(
    "grad-cam", "Grad-CAM", "CAM", "Where channels are active.", "1, shared with the prediction; 1 upward",
    {"layer": None}, caution="It misleads at times.", paper="Selvaraju 2017", unit="logit",
)  # fmt: skip
OTHER = MethodItem("rollout", "Rollout", "attention", "Ways.", "1", {}, "No attention.", {}, False)


@pytest.fixture
def carded(window: Window) -> Callable[..., None]:
    def show(**changes: Any) -> None:
        model = ModelItem("net", "00ff", "CPU", ("a",), (), (ITEM, OTHER), False)
        window.show_state(ViewState().changed(model=model, **changes))

    show()
    return show


def test_the_card_says_all_facts_and_goes_with_esc(window: Window, carded: object, qtbot: QtBot) -> None:
    window.run("method-card")
    card = window.card
    assert card.isVisible()
    assert card.title.full == "Grad-CAM"
    assert card.caution.text() == "It misleads at times."
    assert card.paper.text() == "Selvaraju 2017"
    assert card.cost.text() == "Forward: 1, shared with the prediction. Backward: 1 upward."
    assert not card.unsuitable.isVisible()
    assert card.geometry().right() < window.explaining.mapTo(window, window.explaining.rect().topLeft()).x()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not card.isVisible()


def test_a_long_card_leaves_the_last_line_of_the_window_free(window: Window, carded: object) -> None:
    window.resize(1280, 720)
    long = replace(ITEM, caution="It misleads at times. " * 44)
    window.show_state(ViewState().changed(model=ModelItem("net", "00ff", "CPU", ("a",), (), (long,), False)))
    window.run("method-card")
    card = window.card.geometry()
    assert card.bottom() + 1 == 720 - 40
    assert window.status.geometry().top() > card.bottom()
    assert card.top() > 0


def test_esc_is_the_cards_own_where_it_is_a_key_of_the_window_too(
    window: Window, carded: object, qtbot: QtBot
) -> None:
    """A window system asks first whether somebody wants the key; else the shortcut "cancel" has it."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.run("method-card")
    press = (QEvent.Type.ShortcutOverride, Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier)
    asked = QKeyEvent(*press)
    asked.ignore()
    QApplication.sendEvent(window.focusWidget() or window, asked)
    assert asked.isAccepted()
    qtbot.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
    assert not window.card.isVisible()
    asked = QKeyEvent(*press)
    asked.ignore()
    QApplication.sendEvent(window.focusWidget() or window, asked)
    assert not asked.isAccepted()


def test_it_follows_what_is_pointed_at_and_the_choice(window: Window, carded: Callable[..., None]) -> None:
    chooser = window.explaining.method
    chooser.looked_at.emit("rollout")
    assert window.card.title.full == "Rollout"
    assert window.card.unsuitable.text() == "Not for this model: No attention."
    chooser.looked_at.emit(None)
    assert not window.card.isVisible()
    window.run("method-card")
    chooser.looked_at.emit("rollout")
    chooser.looked_at.emit(None)
    assert window.card.title.full == "Grad-CAM"
    carded(method="rollout")
    assert window.card.title.full == "Rollout"
    window.run("method-card")
    assert not window.card.isVisible()


def test_the_arrows_choose_without_opening_it(
    window: Window, carded: Callable[..., None], qtbot: QtBot
) -> None:
    looked = []
    window.explaining.method.looked_at.connect(looked.append)
    qtbot.keyClick(window.explaining.method, Qt.Key.Key_Up)
    qtbot.keyClick(window.explaining.method, Qt.Key.Key_Down)
    assert looked == []
    carded()
    window.explaining.method.showPopup()
    assert looked == ["grad-cam"]
    assert window.card.isVisible()
    window.explaining.method.hidePopup()
    assert not window.card.isVisible()


def test_a_click_beside_closes_it(window: Window, carded: object, qtbot: QtBot) -> None:
    window.run("method-card")
    qtbot.mouseClick(window.card, Qt.MouseButton.LeftButton)
    assert window.card.isVisible()
    qtbot.mouseClick(window.status, Qt.MouseButton.LeftButton)
    assert not window.card.isVisible()


def test_facts_in_words() -> None:
    assert family_words(ITEM) == "CAM · values in logit, both signs"
    assert family_words(OTHER) == "Attention · the same for every label"
    assert cost_words(OTHER) == "Forward: 1."


def test_completeness_is_said_or_that_there_is_none() -> None:

    state = explained(np.zeros((8, 8)), np.ones((8, 8)))
    assert completeness_words(state)[0] == "Completeness not defined for this method"
    exact = state.changed(
        attribution=replace(state.answer.attribution, completeness_error=0.43, seconds=1.26)
    )
    assert completeness_words(exact)[0] == "Completeness error 0.43 %"
    assert completeness_words(exact)[1].endswith("The map took 1.3 s.")
    covered = replace(exact.answer.attribution, found={"steps": 64, "features": 1})
    told = completeness_words(exact.changed(attribution=covered))[1]
    assert told.endswith("\nComputed with 64 steps, 1 feature.\nThe map took 1.3 s.")
    assert completeness_words(exact.changed(preview=True))[0] == "Preview, still computing"
    assert completeness_words(state.changed(attribution=None, style=Style()))[0] == ""
