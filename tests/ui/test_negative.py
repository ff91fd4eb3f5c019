# SPDX-License-Identifier: Apache-2.0
"""Gate, contact sheet and comparison agree on what explains a label that the model does not call."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from made_maps import explain, predict, series
from program import LABELS, write_model

from viewer import session
from viewer.settings import Settings
from viewer.ui.presenter.maps import Maps
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
    assert captions.explained(state, False).bottom_left[0][0].startswith("No positive evidence")
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
