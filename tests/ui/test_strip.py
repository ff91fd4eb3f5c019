# SPDX-License-Identifier: Apache-2.0
"""The layer strip: every stage's map of what is shown, from one forward, and never of anything else."""

import random
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from program import LABELS, write_model
from PySide6.QtGui import QImage

from viewer import explain, overlay
from viewer.ui.panels.layer_strip import REST, LayerStripView, shortened, some_of
from viewer.ui.state import ViewState
from viewer.ui.window import Window


def _belongs(state: ViewState) -> bool:
    """Whether all small maps are of the shown place, method and target, each of its own stage."""
    for stage, tile in zip(
        state.answer.model.stages if state.answer.layer_strip else (), state.answer.layer_strip, strict=True
    ):
        if tile is None:
            continue
        assert tile.map.series is state.view.series
        assert tile.map.slice in (None, state.view.slice)
        assert tile.map.explainer.name == state.request.method
        assert tile.map.layer == stage
        assert tile.map.target is None or tile.map.target.words == state.target_words
    return True


def test_every_stage_comes_unasked_and_is_the_map_at_that_layer(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    state = desk.wait(lambda s: s.answer.layer_strip and all(s.answer.layer_strip))
    assert state.answer.model.stages == explain.stages(desk.presenter.explaining._maps.model)
    assert len(state.answer.layer_strip) == len(state.answer.model.stages) > 1
    desk.at_rest()
    calls = []
    desk.presenter.explaining._maps.model._module.register_forward_hook(lambda *_: calls.append(1))
    for stage, tile in zip(state.answer.model.stages, state.answer.layer_strip, strict=True):
        desk.presenter.explaining.choose_layer(stage)
        assert desk.state.answer.attribution is tile.map
        assert desk.state.answer.attribution.layer == stage
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        assert all(desk.state.answer.layer_strip)
        assert _belongs(desk.state)
    desk.at_rest()
    assert calls == []


def test_a_small_map_says_what_the_large_one_says(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    state = desk.wait(lambda s: s.answer.layer_strip and all(s.answer.layer_strip))
    for tile in state.answer.layer_strip:
        assert tile.drawn.shape == state.view.values.shape  # so small an image has no smaller one
        full = desk.presenter.explaining._maps.drawn.on_slice(tile.map, state.view.slice, tile.style)
        np.testing.assert_array_equal(tile.drawn, full)


def test_each_small_map_has_a_range_of_its_own(desk: Desk, study: Path, model: Path) -> None:
    """Whatever the reader's is: on the slice before, of the large map, and locked."""
    desk.explained(study, model)
    desk.presenter.display.set_style("range", (0.0, 1000.0))
    desk.presenter.go_to(1)
    state = desk.wait(lambda s: s.view.slice == 1 and s.answer.layer_strip and all(s.answer.layer_strip))
    assert state.views.locked
    assert state.views.style.range == (0.0, 1000.0)
    for tile in state.answer.layer_strip:
        assert tile.style == overlay.automatic_style([tile.map])


def test_a_small_map_looks_as_the_large_one_of_its_layer(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.wait(lambda s: s.answer.layer_strip and all(s.answer.layer_strip))
    desk.presenter.display.set_style("sign", "signed")
    desk.presenter.display.set_style("range", (-1000.0, 1000.0))
    for name, value in (("sign", "magnitude"), ("colours", "viridis"), ("opacity", 0.3)):
        desk.presenter.display.set_style(name, value)
        state = desk.state
        for stage, tile in zip(state.answer.model.stages, state.answer.layer_strip, strict=True):
            own = overlay.automatic_style([tile.map], tile.style.sign)
            here = stage == state.answer.attribution.layer
            assert getattr(tile.style, name) == (value if here else getattr(own, name))
            assert (tile.style.range, tile.style.threshold) == (own.range, own.threshold)
        assert any(stage == state.answer.attribution.layer for stage in state.answer.model.stages)


def test_a_map_that_is_not_there_is_no_picture(window: Window, study: Path, tmp_path: Path, qtbot) -> None:
    """An image without a map would look like a map of nothing."""
    p = window.presenter
    p.studies.open([study])
    p.explaining.load_model(write_model(tmp_path / "volume", dimensions=3))
    qtbot.waitUntil(lambda: p.state.answer.attribution is not None and not p.working, timeout=20_000)
    qtbot.wait(REST + 50)
    row = window.findChild(LayerStripView).row
    drawn = [place for place, painter in enumerate(row._painters) if painter._image._shown[0] is not None]
    assert drawn == [place for place, tile in enumerate(p.state.answer.layer_strip) if tile is not None]
    assert len(drawn) == 1 < len(row._painters)


def test_a_volume_and_a_long_method_wait_to_be_asked(desk: Desk, study: Path, tmp_path: Path) -> None:
    desk.explained(study, write_model(tmp_path / "volume", dimensions=3))
    desk.at_rest()
    assert desk.state.answer.layer_strip
    assert (
        sum(tile is None for tile in desk.state.answer.layer_strip) == len(desk.state.answer.layer_strip) - 1
    )
    desk.presenter.layer_strip.wish()
    assert desk.state.shell.busy is not None
    state = desk.wait(lambda s: all(s.answer.layer_strip) and s.shell.busy is None)
    assert _belongs(state)


def test_methods_without_layers_have_no_strip(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.wait(lambda s: s.answer.layer_strip and all(s.answer.layer_strip))
    desk.presenter.explaining.choose_method("saliency")
    assert desk.state.answer.layer_strip == ()


def test_no_small_map_is_ever_of_something_else(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    chance = random.Random(7)
    for _ in range(80):
        wish = chance.choice(("series", "slice", "label", "against", "method", "layer", "wait"))
        explaining = desk.presenter.explaining
        if wish == "series":
            desk.presenter.studies.choose_series(chance.randrange(2))
        elif wish == "slice":
            desk.presenter.go_to(chance.randrange(5))
        elif wish == "label":
            explaining.choose_target(chance.choice(LABELS))
        elif wish == "against":
            explaining.choose_against(chance.choice((None, *LABELS)))
        elif wish == "method":
            explaining.choose_method(chance.choice(("grad-cam", "saliency", "layer-cam")))
        elif wish == "layer":
            explaining.choose_layer(chance.choice((None, *desk.state.answer.model.stages)))
        else:
            desk.qtbot.wait(chance.randrange(30))
    desk.presenter.explaining.choose_method("grad-cam")
    desk.wait(lambda s: s.answer.layer_strip and all(s.answer.layer_strip))
    assert all(_belongs(state) for state in desk.shown)
    assert sum(any(s.answer.layer_strip) for s in desk.shown) > 5


def _strip(qtbot, state: ViewState) -> LayerStripView:
    strip = LayerStripView()
    qtbot.addWidget(strip)
    strip.resize(280, 140)
    strip.show(state)
    strip.show()
    return strip


def _pictures(strip: LayerStripView) -> list[QImage]:
    """The small maps without their edges."""
    shot = strip.row.grab().toImage()
    return [shot.copy(box.toAlignedRect().adjusted(3, 3, -3, -3)) for box in strip.row.boxes()]


def _blank(pictures: list[QImage]) -> bool:
    black = [QImage(one.size(), one.format()) for one in pictures]
    for one in black:
        one.fill(0xFF000000)
    return pictures == black


def _states(desk: Desk, study: Path, model: Path) -> list[ViewState]:
    """Whole strips of every slice and label of a series, each other than the rest."""
    desk.explained(study, model)
    found = []
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        for i in range(desk.state.view.series.shape[0]):
            desk.presenter.go_to(i)
            state = desk.wait(
                lambda s: s.view.values is not None and s.answer.layer_strip and all(s.answer.layer_strip)
            )
            desk.at_rest()
            found.append(state.changed(gate="open", busy=None, levels=(-1000.0, 1400.0)))
    return found


def test_a_single_step_is_drawn_at_once_and_a_scroll_once_it_rests(
    qtbot, desk: Desk, study: Path, model: Path
) -> None:
    one, two, three = _states(desk, study, model)[:3]
    strip = _strip(qtbot, one)
    qtbot.wait(2 * REST)
    first = _pictures(strip)
    assert not _blank(first)
    strip.show(two)
    assert _pictures(strip) not in ([], first)
    assert not _blank(_pictures(strip))
    strip.show(three)
    assert _blank(_pictures(strip))
    strip.show(three.changed(levels=(0.0, 50.0)))
    assert _blank(_pictures(strip))
    strip.show(one)
    qtbot.waitUntil(lambda: _pictures(strip) == first, timeout=20 * REST)


def test_a_drag_keeps_the_small_maps_and_their_greys_follow(
    qtbot, desk: Desk, study: Path, model: Path
) -> None:
    state = _states(desk, study, model)[0]
    low, high = float(state.view.values.min()), float(state.view.values.max())
    state = state.changed(levels=(low, high), overlay=False)
    strip = _strip(qtbot, state)
    qtbot.wait(2 * REST)
    before = _pictures(strip)
    strip.show(state.changed(levels=(low, 2 * high)))
    began = _pictures(strip)
    last = state.changed(levels=(low, 4 * high))
    strip.show(last)
    assert _pictures(strip) == began != before
    ended = _pictures(_strip(qtbot, last))
    assert ended != began
    qtbot.waitUntil(lambda: _pictures(strip) == ended, timeout=20 * REST)


def test_nothing_is_ever_drawn_but_the_shown_maps_or_none(
    qtbot, desk: Desk, study: Path, model: Path
) -> None:
    states = _states(desk, study, model)
    states += [
        s.changed(layer_strip=(*s.answer.layer_strip[:1], *(None for _ in s.answer.layer_strip[1:])))
        for s in states
    ]
    right = [_pictures(_strip(qtbot, state)) for state in states]
    strip, chance, blank = _strip(qtbot, states[0]), random.Random(3), 0
    for _ in range(150):
        i = chance.randrange(len(states))
        strip.show(states[i])
        for pause in (0, chance.choice((0, 0, 5, REST // 2, 2 * REST))):
            qtbot.wait(pause)
            pictures = _pictures(strip)
            blank += _blank(pictures)
            assert pictures == right[i] or _blank(pictures)
    assert 50 < blank < 290
    qtbot.waitUntil(lambda: _pictures(strip) == right[i], timeout=20 * REST)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("blocks.0.2", "blocks.1.2", "blocks"), ["blocks.0.2", "blocks.1.2", "blocks"]),
        (("features.denseblock1", "features.denseblock2"), ["denseblock1", "denseblock2"]),
        (("blocks.0.norm1", "blocks.11.norm1"), ["blocks.0", "blocks.11"]),
        (("conv",), ["conv"]),
    ],
)
def test_names_lose_what_all_have(names: tuple[str, ...], short: list[str]) -> None:
    assert shortened(names) == short


def test_of_many_stages_some_are_shown_with_both_ends() -> None:
    assert some_of(3) == (0, 1, 2)
    assert some_of(12) == (0, 2, 4, 7, 9, 11)
