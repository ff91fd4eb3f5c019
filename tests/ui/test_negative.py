# SPDX-License-Identifier: Apache-2.0
"""Gate, contact sheet and comparison agree on what explains a label that the model does not call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from desk import Desk
from made_maps import explain, predict, series
from program import LABELS, write_model

from viewer import session
from viewer.explain import Explained
from viewer.overlay import restyled, visible
from viewer.settings import Settings
from viewer.types import Attribution, Sweep
from viewer.ui.presenter.maps import Maps, MapsByTarget
from viewer.ui.presenter.running import result_of
from viewer.ui.state import Position
from viewer.ui.views import captions


@pytest.fixture
def careful(tmp_path: Path) -> Path:
    """A model that calls "mass" hardly ever, and says nothing of when it calls the others."""
    output = {"labels": list(LABELS), "activation": "sigmoid", "thresholds": {"mass": 0.999}}
    return write_model(tmp_path / "careful", output=output)


def test_all_views_of_a_negative_agree(desk: Desk, study: Path, careful: Path) -> None:
    desk.explained(study, careful)
    desk.presenter.explaining.choose_target("mass")
    desk.at_rest()
    desk.presenter.display.choose_layout("sheet")
    state = desk.wait(
        lambda s: s.answer.contact_sheet and all(cell.tile is not None for cell in s.answer.contact_sheet)
    )
    assert (state.answer.gate, state.answer.attribution.negative) == ("negative", True)
    assert {cell.name: cell.tile.negative for cell in state.answer.contact_sheet} == {
        label: label == "mass" for label in LABELS
    }
    desk.presenter.comparing.keep()
    assert desk.state.answer.compared.one.negative
    desk.presenter.explaining.take_action("show")
    state = desk.wait(lambda s: s.answer.compared.one.map is not None)
    assert state.answer.compared.one.negative


def test_a_map_that_is_the_same_for_every_label_explains_no_negative(
    desk: Desk, study: Path, careful: Path
) -> None:
    desk.explained(study, careful)
    desk.presenter.explaining.choose_target("mass")
    desk.at_rest()
    desk.presenter.explaining.choose_method("eigen-cam")
    state = desk.wait(
        lambda s: s.answer.attribution is not None and s.answer.attribution.explainer.name == "eigen-cam"
    )
    assert (state.answer.gate, state.map_shown, state.answer.asked) == ("open", True, False)
    desk.presenter.display.choose_layout("sheet")
    desk.presenter.contact_sheet.choose("methods")
    state = desk.wait(
        lambda s: s.answer.contact_sheet and all(cell.tile is not None for cell in s.answer.contact_sheet)
    )
    negative = {cell.name: cell.tile.negative for cell in state.answer.contact_sheet}
    assert not negative["eigen-cam"]
    assert negative["grad-cam"]


def test_a_map_of_rounding_is_said_and_blank_in_the_window(
    desk: Desk, study: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = session.explain

    def numb(*arguments, **more):
        found = real(*arguments, **more)
        maps = tuple(replace(one, values=one.values * 1e-9) for one in found.attributions)
        return replace(found, attributions=maps)

    monkeypatch.setattr(session, "explain", numb)
    state = desk.explained(study, model)
    assert captions.explained(state, False).bottom_left[0][0].startswith("Grad-CAM at layer blocks shows no")
    signed = state.changed(style=replace(state.views.style, sign="signed"))
    assert "above rounding" in captions.explained(signed, False).bottom_left[0][0]
    assert state.view.map is not None
    assert np.nanmax(np.abs(state.view.map)) < state.views.style.threshold


def test_a_map_of_nothing_gives_others_no_range() -> None:
    said = predict(series())
    nothing, some = (explain(said, values=np.full((1, 4, 4), top)) for top in (0.0, 0.01))
    maps = Maps(Settings())
    assert maps.style(nothing, {None: nothing}, locked=True).range == (0.0, 1.0)
    assert maps.style(some, {None: some}, locked=True).range[1] == pytest.approx(0.01)


def against(top: float = 0.01) -> Attribution:
    """A map that holds evidence against its label alone."""
    return explain(predict(series()), values=np.full((1, 4, 4), -top))


def test_both_signs_that_a_reader_chose_show_what_speaks_against() -> None:
    """Also of another map than the one at which they were chosen, and where what was chosen is taken back."""
    map, maps = against(), Maps(Settings())
    among: MapsByTarget = {None: map}
    suited = maps.style(map, among, True)
    assert suited.range == (0.0, 1.0)
    signed = maps.restyle(map, restyled(suited, {"sign": "signed"}), suited, among, True)
    assert signed.range == pytest.approx((-0.01, 0.01))
    assert visible(map.values, signed).all()
    other = against(0.02)
    assert maps.style(other, {None: other}, True).range == signed.range  # maps of one series compare
    back = maps.restyle(map, suited, signed, among, True)
    assert (back.sign, back.range) == ("positive", (0.0, 1.0))
    again = maps.restyle(map, restyled(back, {"sign": "magnitude"}), back, among, True)
    assert again.range == pytest.approx((0.0, 0.01))
    elsewhere = against(5)
    maps.forget()
    assert maps.style(elsewhere, {None: elsewhere}, True).range == pytest.approx((0.0, 5.0))


def test_a_range_that_a_reader_chose_stays_with_another_sign() -> None:
    map, maps = against(), Maps(Settings())
    suited = maps.style(map, {None: map}, True)
    own = maps.restyle(map, replace(suited, range=(0.0, 0.5)), suited, {None: map}, True)
    signed = maps.restyle(map, restyled(own, {"sign": "signed"}), own, {None: map}, True)
    assert (signed.range, signed.sign) == ((0.0, 0.5), "signed")
    assert maps.style(against(7), {None: map}, True).range == (0.0, 0.5)


@pytest.mark.parametrize(("top", "suggested"), [(0.0, None), (0.01, (0.0, 0.01))])
def test_a_sweep_suggests_its_range_unless_it_is_blank(top: float, suggested: Any) -> None:
    said = predict(series(), slice=None)
    said = replace(said, input=replace(said.input, tensor=torch.zeros(1, 1, 3, 32, 32)))
    map = explain(said, values=np.full((3, 4, 4), top))
    place = Position(map.series, 0, Sweep(None, 0.5))
    found = result_of(Maps(Settings()), Explained(map.predictions, (map,)), place, None, 0, "bilinear")
    assert (None if found.style is None else found.style.range) == pytest.approx(suggested)
