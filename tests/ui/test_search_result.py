# SPDX-License-Identifier: Apache-2.0
"""What a search found stands in the window: a list that leads there, what it may miss, what it takes."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from desk import Desk
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from test_placing import patch_model, paths
from test_placing_window import choose, deep, flat
from test_three_planes import settled

from viewer.types import Score, Sweep
from viewer.ui.presenter import running
from viewer.ui.state import WHOLE, SearchSize
from viewer.ui.views.captions import best_blocks, block_words, chosen_block, explained, search_words
from viewer.ui.window import Window
from viewer.wording import called_text, figures, time_text

LEFT = Qt.MouseButton.LeftButton
FIXTURES = (paths, deep, flat)  # those of the tests of placing


def searched(window: Window, qtbot: QtBot) -> None:
    choose(window, 1)
    settled(window, qtbot)
    qtbot.mouseClick(window.explaining.run_bar.run, LEFT)
    settled(window, qtbot)


def on_slice(window: Window, slice: int) -> bool:
    return window.presenter.state.view.slice == slice


# --- the list -------------------------------------------------------------------------------------


def test_the_best_blocks_are_listed_and_a_click_goes_there(deep: Window, qtbot: QtBot) -> None:
    assert not deep.found.isVisibleTo(deep)
    searched(deep, qtbot)
    blocks = best_blocks(deep.presenter.state)
    listed = [link for link, _ in deep.found.rows if link.isVisibleTo(deep)]
    assert len(listed) == len(blocks) > 1
    assert deep.found.title.text() == f"Best of {deep.presenter.state.answer.attribution.swept.count} blocks"
    for (_, score), block in zip(deep.found.rows, blocks, strict=False):
        assert score.text() == score.full == figures(block.score)  # not elided
        assert score.geometry().right() < deep.found.width()
    for number in (1, 0, len(blocks) - 1):
        qtbot.mouseClick(listed[number], LEFT)
        there = round(blocks[number].place[0])
        qtbot.waitUntil(partial(on_slice, deep, there))
        state = settled(deep, qtbot)
        assert chosen_block(state) is blocks[number]
        assert state.request.patch is blocks[number].field
        assert len(deep.mapped.border()) == 4
        assert listed[number].text() == f"▸ {block_words(blocks[number])}"


def test_no_call_is_made_of_the_best_of_many(deep: Window, qtbot: QtBot) -> None:
    assert "best of" not in deep.prediction.answer.called.text()
    searched(deep, qtbot)
    count = deep.presenter.state.answer.attribution.swept.count
    assert f"best of {count} blocks" in deep.prediction.answer.called.text()
    assert not deep.prediction.answer.called.text().startswith(("Called", "Not called"))


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (
            Score("a", 2.0, 0.9, threshold=0.5),
            "Score, best of 9 blocks · above 0.50, from which one block is called",
        ),
        (
            Score("a", -2.0, 0.1, True, 0.5),
            "Probability, best of 9 blocks · below 0.50, from which one block is called",
        ),
        (Score("a", 7.0, 7.0), "Output, best of 9 blocks"),
    ],
)
def test_the_threshold_of_one_block_is_called_that(score: Score, words: str) -> None:
    assert called_text(score, 9) == words


def test_nothing_is_called_by_the_best_of_many(flat: Window, qtbot: QtBot) -> None:
    """In the panel, its rows and the mark, in the view and the list: the threshold holds for one block."""
    flat.presenter.explaining.choose_target("mass")
    searched(flat, qtbot)
    state = flat.presenter.state
    shown = state.answer.attribution
    assert shown.score.threshold is not None
    rows = flat.prediction.list.scores
    tips = [rows.data(rows.index(i), Qt.ItemDataRole.ToolTipRole) for i in range(len(rows.rows))]
    above = [text for text, _ in explained(state, True, state.view).top_left]
    said = [
        *tips, *above, flat.prediction.caption.toolTip(),
        *(score.toolTip() for _, score in flat.found.rows if score.isVisibleTo(flat)),
    ]  # fmt: skip
    assert len(said) > len(tips) + 2
    assert [text for text in said if "its label is called" in text or "(called from" in text] == []
    assert [text for text in said if text.startswith(("Called", "Not called"))] == []
    assert "called" in " ".join(said)  # that one block is


def test_of_one_block_there_is_no_list(flat: Window, qtbot: QtBot) -> None:
    searched(flat, qtbot)
    assert flat.found.isVisibleTo(flat)
    choose(flat, 0)
    settled(flat, qtbot)
    assert not flat.found.isVisibleTo(flat)
    assert chosen_block(flat.presenter.state) is None


def test_the_panel_says_how_blocks_lie_and_that_thresholds_are_of_one(deep: Window, qtbot: QtBot) -> None:
    searched(deep, qtbot)
    assert "moved in smaller steps around the best" in deep.found.about.text()
    assert "hold for one block" in deep.found.about.text()
    shown = deep.presenter.state.answer.attribution
    finer = replace(shown, swept=replace(shown.swept, finer=99))
    deep.found.show(deep.presenter.state.changed(attribution=finer))
    assert deep.found.finer.isVisibleTo(deep)
    assert deep.found.finer.text() == "Search the finer grid of 99 blocks"


def test_a_finer_search_takes_the_place_of_the_coarse_one_when_it_is_done(
    deep: Window,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched(deep, qtbot)
    coarse = deep.presenter.state.answer.attribution
    asked = Mock(wraps=running.run)
    monkeypatch.setattr("viewer.ui.presenter.explaining.run", asked)
    deep.presenter.patches.search_finer()
    assert deep.presenter.state.answer.attribution is coarse  # and stays where this is cancelled
    state = settled(deep, qtbot)
    assert asked.call_args[1]["finer"]
    assert state.answer.attribution is not coarse
    assert state.at == Sweep()


# --- how long -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (40, "40 s"), (180, "3 min"), (4800, "80 min"), (11_400, "3 h 10 min"), (7200, "2 h")],
)
def test_a_time_is_told_as_one_plans_by_it(seconds: float, words: str) -> None:
    assert time_text(seconds) == words


@pytest.mark.parametrize(
    ("size", "long"),
    [
        (SearchSize(2646, 4.3), True),
        (SearchSize(2646, 0.001), False),
        (SearchSize(2646, None), True),
        (SearchSize(4, None), False),
        (None, False),
    ],
)
def test_a_long_search_is_told_before_it_starts(
    desk: Desk, paths: Path, tmp_path: Path, size: SearchSize, long: bool
) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    desk.presenter.explaining.choose_method("occlusion")
    desk.presenter.patches.sweep(WHOLE)
    desk.at_rest()
    state = desk.state.changed(search=size)
    assert state.long is long
    if size is not None:
        assert f"Occlusion on {size.blocks} blocks" in search_words(state)


def test_a_button_starts_a_long_search(desk: Desk, paths: Path, tmp_path: Path) -> None:
    desk.explained(paths, patch_model(tmp_path / "model"))
    name = desk.state.request.method
    desk.presenter.explaining._maps.seconds = {name: 4.3}
    desk.presenter.patches.sweep(WHOLE)
    desk.at_rest()
    desk.presenter.patches.explain()
    desk.at_rest()
    count = desk.state.request.search.blocks
    assert (
        f"on {count} blocks takes about {time_text(4.3 * count)}, 4.3 s for each"
        in desk.state.shell.notice.text
    )
    assert desk.state.answer.attribution is None
    desk.presenter.explaining.take_action(desk.state.shell.notice.wish)
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert desk.state.shell.notice is None
    assert desk.presenter.explaining._maps.seconds[name] < 4.3
