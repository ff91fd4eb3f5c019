# SPDX-License-Identifier: Apache-2.0
"""What does nothing is not offered, and a model that is opened moves nothing."""

from pathlib import Path

import pytest
from hands import settled
from pytestqt.qtbot import QtBot
from test_under_way import held

from viewer import session
from viewer.ui.window import Window


def test_controls_that_ranks_do_not_follow_are_greyed(explained: Window, qtbot: QtBot) -> None:
    display = explained.display
    fixed = (display.table, display.sign, display.threshold, display.lock)
    explained.run("compare")
    for ranks in (True, False, True):
        explained.presenter.comparing.as_ranks(ranks)
        settled(explained, qtbot)
        assert [control.isEnabled() for control in fixed] == [not ranks] * 4
        assert display.opacity.isEnabled()
        assert display.interpolation.isEnabled()
    explained.run("two-views")
    assert all(control.isEnabled() for control in fixed)


def test_what_can_be_opened_stays_while_a_model_is(
    window: Window, model: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held(monkeypatch, session, "load_model")
    before = window.start.geometry()
    window.presenter.explaining.load_model(model)
    for _ in range(2):
        assert window.start.isVisible()
        assert not window.views.isVisible()
        assert window.start.geometry() == before
        go()
        settled(window, qtbot)
    assert window.presenter.state.answer.model is not None
