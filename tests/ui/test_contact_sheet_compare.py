# SPDX-License-Identifier: Apache-2.0
"""The contact sheet and the comparison: whatever is shown is of this slice, method and label."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import made_maps
import numpy as np
import pytest
from desk import Desk
from program import LABELS
from PySide6.QtCore import QRectF, Qt

from viewer.overlay import ranks
from viewer.ui.presenter.comparing import apart_words
from viewer.ui.presenter.drawn_maps import DrawnMaps
from viewer.ui.state import ViewState
from viewer.ui.views import contact_sheet_grid, marks
from viewer.ui.views.compare_grid import side_picture
from viewer.ui.views.contact_sheet_grid import cell_words, sheet_words
from viewer.ui.window import Window
from viewer.wording import INFLUENCE_ONLY, ORDER_ONLY


def _sheet_belongs(state: ViewState) -> None:
    for cell in state.answer.contact_sheet:
        if cell.tile is None:
            continue
        map = cell.tile.map
        assert map.series is state.view.series
        assert map.slice in (None, state.view.slice)
        if state.answer.contact_sheet_of == "labels":
            assert map.explainer.name == state.request.method
            assert map.target is None or map.target.words == cell.name
        else:
            assert map.explainer.name == cell.name
            assert map.target is None or map.target.words == state.target_words
        if cell.score is not None:
            assert cell.score in map.predictions[0].scores


def _compare_belongs(state: ViewState) -> None:
    found = state.answer.compared
    for side in () if found is None else (found.one, found.other, found.difference):
        if side.map is not None:
            assert side.map.series is state.view.series
            assert side.drawn.shape == state.view.series.shape[1:]
            parents = getattr(side.map, "parents", (side.map,))
            assert all(p.slice in (None, state.view.slice) for p in parents)
    if found is not None and found.other.map is not None:
        shown: Any = found.other.map
        assert shown is state.answer.attribution or shown.parents == (state.answer.attribution,)


def test_all_labels_come_without_a_run_and_a_click_chooses(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.jobs.run = create_autospec(desk.jobs.run)
    desk.presenter.display.choose_layout("sheet")
    state = desk.state
    assert [cell.name for cell in state.answer.contact_sheet] == list(LABELS)
    assert all(cell.tile is not None for cell in state.answer.contact_sheet)
    assert [cell.chosen for cell in state.answer.contact_sheet] == [
        label == state.request.target for label in LABELS
    ]
    assert (
        len({cell.tile.style for cell in state.answer.contact_sheet}) == 1
    )  # one range, so that they compare
    assert sheet_words(state).endswith("one range for all")
    desk.presenter.display.lock_range(False)
    tops = [cell.tile.style.range for cell in desk.state.answer.contact_sheet]
    assert len(set(tops)) == len(tops)
    assert cell_words(desk.state.answer.contact_sheet[0]).endswith("logit")
    desk.presenter.display.set_style("colours", "viridis")
    desk.presenter.display.set_style("interpolation", "nearest")
    styles = [cell.tile.style for cell in desk.state.answer.contact_sheet]
    assert {(style.colours, style.interpolation) for style in styles} == {("viridis", "nearest")}
    assert [style.range for style in styles] == tops
    desk.jobs.run.assert_not_called()


def test_all_quick_methods_come_from_one_run(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.display.choose_layout("sheet")
    desk.presenter.contact_sheet.choose("methods")
    state = desk.wait(
        lambda s: s.answer.contact_sheet and all(c.tile is not None for c in s.answer.contact_sheet)
    )
    assert {c.name for c in state.answer.contact_sheet} == {
        m.name for m in state.answer.model.methods if m.quick
    }
    assert {"grad-cam", "layer-cam", "saliency"} <= {c.name for c in state.answer.contact_sheet}
    desk.at_rest()
    desk.jobs.run = create_autospec(desk.jobs.run)
    desk.presenter.explaining.choose_method("layer-cam")
    assert desk.state.answer.attribution.explainer.name == "layer-cam"
    kept = {c.name: c.tile.map for c in state.answer.contact_sheet}
    assert desk.state.answer.attribution is kept["layer-cam"]


def test_no_cell_is_run_while_the_slices_play(desk: Desk, study: Path, model: Path) -> None:
    first = desk.explained(study, model)
    desk.presenter.display.choose_layout("sheet")
    desk.at_rest()
    desk.presenter.contact_sheet.choose("methods")
    desk.wait(lambda s: s.answer.contact_sheet and all(c.tile is not None for c in s.answer.contact_sheet))
    sheet: Any = desk.presenter.contact_sheet
    sheet._run_methods = create_autospec(sheet._run_methods)
    desk.presenter.slices.play()
    desk.wait(lambda s: s.view.slice != first.view.slice)
    sheet._run_methods.assert_not_called()
    desk.presenter.slices.play()
    desk.at_rest()
    sheet._run_methods.assert_called_once()


@pytest.mark.parametrize(("side", "shape"), [(20, (15, 20)), (2, (3, 4)), (500, (60, 80))])
def test_a_small_map_has_the_shape_of_its_image(side: int, shape: tuple[int, int]) -> None:
    map = made_maps.explain(made_maps.predict(made_maps.series()))
    assert DrawnMaps().small(map, 1, made_maps.snapshot(map).overlay.style, side).shape == shape


def test_a_blank_cell_says_so_and_a_picture_has_its_sides(
    window: Window, study: Path, model: Path, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = window.presenter
    p.studies.open([study])
    p.explaining.load_model(model)
    qtbot.waitUntil(lambda: p.state.answer.attribution is not None and not p.working, timeout=20_000)
    window.run("sheet")
    p.display.set_style("threshold", 1e6)
    said: list[str] = []
    real = contact_sheet_grid._write

    def heard(painter, box, text, *more):
        said.append(text)
        return real(painter, box, text, *more)

    monkeypatch.setattr(contact_sheet_grid, "_write", heard)
    sides: list[str] = []
    monkeypatch.setattr(marks, "text", lambda _painter, _at, letter, *_more: sides.append(letter))
    cells, state = window.contact_sheet.cells, p.state
    cells.grab()
    shown = [cell.tile for cell in state.answer.contact_sheet if cell.tile and not cell.tile.negative]
    assert len(shown) > 0
    assert sides == list(state.view.series.geometry.letters()[:2]) * len(state.answer.contact_sheet)
    unseen = [
        replace(c, tile=c.tile and replace(c.tile, drawn=np.full_like(c.tile.drawn, np.nan)))
        for c in state.answer.contact_sheet
    ]
    for why, changes in (
        ("All of the map on this slice is smaller than “Blank below” · 0 … ", {}),
        ("Reading the slice · 0 … ", {"values": None}),
        ("The model did not look at this slice · 0 … ", {"contact_sheet": tuple(unseen)}),
        ("0 … ", {"overlay": False}),
    ):
        said.clear()
        cells.put(state.changed(**changes))
        cells.grab()
        assert sum(text.startswith(why) for text in said) == len(shown), why


def test_a_long_method_waits_to_be_asked_for_every_label(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.explaining.choose_method("occlusion")
    desk.presenter.display.choose_layout("sheet")
    desk.at_rest()
    assert not any(cell.tile for cell in desk.state.answer.contact_sheet)
    desk.presenter.contact_sheet.wish()
    state = desk.wait(
        lambda s: (
            s.answer.contact_sheet
            and all(c.tile is not None for c in s.answer.contact_sheet)
            and s.shell.busy is None
        )
    )
    _sheet_belongs(state)


def test_two_methods_compare_as_ranks_and_two_labels_as_values(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.explaining.take_action("show")
    first = desk.state.answer.attribution
    desk.presenter.comparing.keep()
    assert desk.state.views.layout == "compare"
    desk.presenter.explaining.choose_method("layer-cam")
    desk.presenter.explaining.take_action("show")
    state = desk.wait(lambda s: s.answer.compared.difference.map is not None)
    assert state.answer.compared.ranks
    assert state.answer.compared.apart == "The methods differ: only ranks compare."
    assert state.answer.compared.one.map.unit == "rank"
    wanted = ranks.difference(first, state.answer.attribution)
    np.testing.assert_array_equal(state.answer.compared.difference.map.values, wanted.values)
    desk.presenter.explaining.choose_method("grad-cam")
    other = next(label for label in LABELS if label != state.request.target)
    desk.presenter.explaining.choose_target(other)
    desk.presenter.explaining.take_action("show")
    state = desk.wait(lambda s: s.answer.compared.difference.map is not None)
    assert not state.answer.compared.ranks
    assert state.answer.compared.one.map is first
    assert state.answer.compared.other.map is state.answer.attribution
    assert state.answer.compared.one.style == state.answer.compared.other.style
    desk.presenter.comparing.as_ranks(True)
    assert desk.state.answer.compared.ranks


def test_the_difference_of_ranks_says_what_it_is(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.presenter.comparing.keep()
    desk.presenter.explaining.choose_method("layer-cam")
    state = desk.wait(lambda s: s.answer.compared.difference.map is not None)
    found = state.answer.compared
    said = [
        side_picture(state, side).says(True).bottom_right[-1][0]
        for side in (found.one, found.other, found.difference)
    ]
    assert said == [INFLUENCE_ONLY, INFLUENCE_ONLY, ORDER_ONLY]


def test_the_kept_map_follows_the_slice(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.comparing.keep()
    desk.presenter.explaining.choose_method("layer-cam")
    desk.at_rest()
    desk.presenter.go_to(0)
    assert desk.state.answer.compared.one.map is None
    desk.wait(
        lambda s: s.answer.attribution is not None and s.answer.compared.one.title.startswith("Grad-CAM · ")
    )
    desk.presenter.explaining.take_action("show")
    state = desk.wait(lambda s: s.answer.compared.difference.map is not None)
    difference: Any = state.answer.compared.difference.map
    assert {p.slice for p in difference.parents} == {0}


def test_a_label_below_its_threshold_stays_hidden_in_a_comparison(
    desk: Desk, study: Path, model: Path
) -> None:
    card = model / "model.yaml"
    card.write_text(card.read_text("utf-8").replace("mass: 0.25", "mass: 0.99"), "utf-8")
    desk.explained(study, model)
    desk.at_rest()
    desk.presenter.explaining.choose_target("mass")
    desk.presenter.comparing.keep()
    desk.at_rest()
    for side in (
        desk.state.answer.compared.one,
        desk.state.answer.compared.other,
        desk.state.answer.compared.difference,
    ):
        assert side.map is None
        assert "hidden until asked" in side.why


def test_no_cell_and_no_side_is_ever_of_something_else(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    chance = random.Random(11)
    explaining = desk.presenter.explaining
    for _ in range(110):
        wish = chance.choice(
            ("series", "slice", "label", "method", "layer", "layout", "of", "keep", "show", "wait")
        )
        if wish == "series":
            desk.presenter.studies.choose_series(chance.randrange(2))
        elif wish == "slice":
            desk.presenter.go_to(chance.randrange(5))
        elif wish == "label":
            explaining.choose_target(chance.choice(LABELS))
        elif wish == "method":
            explaining.choose_method(chance.choice(("grad-cam", "saliency", "layer-cam")))
        elif wish == "layer":
            explaining.choose_layer(chance.choice((None, *desk.state.answer.model.stages)))
        elif wish == "layout":
            desk.presenter.display.choose_layout(chance.choice(("1", "sheet", "sheet", "compare")))
        elif wish == "of":
            desk.presenter.contact_sheet.choose(chance.choice(("labels", "methods")))
        elif wish == "keep":
            desk.presenter.comparing.keep()
        elif wish == "show":
            explaining.take_action("show")
        else:
            desk.qtbot.wait(chance.randrange(120))
    explaining.choose_method("grad-cam")
    desk.presenter.display.choose_layout("sheet")
    desk.wait(lambda s: s.answer.contact_sheet and all(c.tile is not None for c in s.answer.contact_sheet))
    desk.at_rest()
    for state in desk.shown:
        _sheet_belongs(state)
        _compare_belongs(state)
        assert state.answer.compared is None or state.views.layout == "compare"
        assert not state.answer.contact_sheet or state.views.layout == "sheet"
    assert sum(any(c.tile for c in s.answer.contact_sheet) for s in desk.shown) > 3
    assert (
        sum(s.answer.compared is not None and s.answer.compared.other.map is not None for s in desk.shown) > 3
    )


def test_units_layers_and_kinds_of_target_keep_values_apart(desk: Desk, study: Path, model: Path) -> None:
    state = desk.explained(study, model)
    one = state.answer.attribution
    assert apart_words(one, one) == ""
    assert "only ranks" in apart_words(one, replace(one, unit="activation"))
    assert "layers differ" in apart_words(one, replace(one, layer="elsewhere"))


def test_the_window_shows_sheet_and_comparison(window: Window, study: Path, model: Path, qtbot) -> None:
    p = window.presenter
    p.studies.open([study])
    qtbot.waitUntil(lambda: p.state.view.values is not None, timeout=20_000)
    p.explaining.load_model(model)
    qtbot.waitUntil(lambda: p.state.answer.attribution is not None and not p.working, timeout=20_000)
    window.run("sheet")
    assert window.contact_sheet.isVisible()
    assert not window.mapped.isVisible()
    boxes = window.contact_sheet.cells.boxes()
    assert len(boxes) == len(LABELS)
    place = next(i for i, label in enumerate(LABELS) if label != p.state.request.target)
    qtbot.mouseClick(
        window.contact_sheet.cells, Qt.MouseButton.LeftButton, pos=boxes[place].center().toPoint()
    )
    assert p.state.request.target == LABELS[place]
    qtbot.mouseClick(window.contact_sheet.of.buttons["methods"], Qt.MouseButton.LeftButton)
    assert p.state.answer.contact_sheet_of == "methods"
    window.run("compare")
    assert window.compare.isVisible()
    qtbot.waitUntil(lambda: not p.working, timeout=20_000)
    for view in window.compare.views:  # the window is as small as 1280 × 720
        view.grab()
        box = view.bar.box if view.bar else None
        assert box is not None
        assert QRectF(view.rect()).contains(box)
    assert not window.contact_sheet.isVisible()
    window.compare.left.zoom(2)
    seen = window.compare.left._seen
    assert seen is not None
    assert all(view._seen == seen for view in (*window.compare.views, window.mapped))
    window.grab()
    window.run("two-views")
    assert window.mapped.isVisible()
    assert window.plain.isVisible()
