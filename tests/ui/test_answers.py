# SPDX-License-Identifier: Apache-2.0
"""What is shown beside a map agrees with it: its target, scores, baselines, small maps and the pointer."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from desk import Desk
from every_state import Seen, consistent
from known import PATCH, PLAIN, STRICT, VOLUME, Folders, Known
from program import LABELS

from viewer import overlay, session
from viewer.ui.presenter.running import baseline_images, leading
from viewer.ui.state import WHOLE, ViewState

DWI, CT = 0, 3
"""The numbers of a stack of MR and of one of CT in the study."""


def explained(desk: Desk, folders: Folders, model: int, number: int = CT) -> ViewState:
    """One of the series, explained by one of the models, and all scores known."""
    desk.presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    desk.presenter.studies.choose_series(number)
    desk.presenter.explaining.load_model(folders[1][model])
    desk.wait(lambda s: s.answer.attribution is not None)
    desk.at_rest()
    return desk.state


def all_consistent(desk: Desk, truth: Known) -> None:
    """Every state that was shown is of what it says."""
    for state in desk.shown:
        consistent(Seen(state, truth))


# --- target ---------------------------------------------------------------------------------------


def test_of_no_target_no_label_is_taken(
    desk: Desk, folders: Folders, truth: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label that the first map explains is not known before it is there, and may be the same one."""
    go, really = threading.Event(), session.explain
    monkeypatch.setattr(session, "explain", lambda *a, **m: go.wait(20) and really(*a, **m))
    desk.presenter.studies.open([folders[0][0]])
    desk.wait(lambda s: s.view.number is not None)
    desk.presenter.studies.choose_series(CT)
    desk.presenter.explaining.load_model(folders[1][PLAIN])
    desk.wait(lambda s: s.answer.model is not None)
    for label in LABELS:
        desk.presenter.explaining.choose_against(label)
        assert desk.state.request.against is None
    go.set()
    desk.at_rest()
    assert desk.state.target_words == desk.state.answer.prediction.top.label
    all_consistent(desk, truth)


def test_the_scores_of_a_sweep_are_those_of_its_best_patch_whatever_the_method(
    desk: Desk, folders: Folders, truth: Known
) -> None:
    """Eigen-CAM is the same for every label, so no target says which patch is the best."""
    explained(desk, folders, PATCH)
    desk.presenter.explaining.choose_method("eigen-cam")
    desk.presenter.patches.sweep(WHOLE)
    desk.presenter.explaining.explain()
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    desk.at_rest()
    found = desk.state.answer
    assert found.attribution.target is None
    assert found.prediction is leading(found.attribution.predictions)
    assert found.prediction is not found.attribution.predictions[0]
    assert found.profile[desk.state.view.slice] == pytest.approx(
        found.prediction.score(desk.state.request.target).probability
    )
    all_consistent(desk, truth)


# --- what it was compared with --------------------------------------------------------------------


def shows_baselines(state: ViewState) -> None:
    """The pictures are those of the shown map's baselines."""
    wanted = baseline_images(state.answer.attribution)
    assert len(wanted) > 0
    np.testing.assert_array_equal(state.answer.baselines, wanted)


def test_maps_of_the_sheet_tell_what_they_were_compared_with(desk: Desk, folders: Folders) -> None:
    explained(desk, folders, PLAIN)
    desk.presenter.explaining.choose_method("occlusion")
    desk.presenter.display.choose_layout("sheet")
    desk.presenter.contact_sheet.wish()
    desk.wait(lambda s: s.shell.busy is None and all(cell.tile for cell in s.answer.contact_sheet))
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        shows_baselines(desk.state)


def test_maps_of_the_strip_tell_what_they_were_compared_with(desk: Desk, folders: Folders) -> None:
    explained(desk, folders, PLAIN)
    desk.presenter.explaining.choose_method("internal-influence")
    desk.presenter.explaining.set_setting("steps", 4)
    desk.presenter.layer_strip.wish()
    desk.wait(lambda s: s.shell.busy is None and all(s.answer.layer_strip))
    for stage in desk.state.answer.model.stages:
        desk.presenter.explaining.choose_layer(stage)
        shows_baselines(desk.state)


# --- what is not finished -------------------------------------------------------------------------


def test_an_unfinished_map_is_neither_drawn_small_nor_compared(
    desk: Desk, folders: Folders, truth: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view says that it is a preview; a small map, and the side of a comparison, could not."""
    explained(desk, folders, PLAIN)
    go, really = threading.Event(), session.explain

    def slow(*asked: Any, preview: Any, **more: Any) -> Any:
        found = really(*asked, **more)
        for attribution in found.attributions:
            preview(replace(attribution, values=attribution.values * 0.5))
        assert go.wait(20)
        return found

    monkeypatch.setattr(session, "explain", slow)
    presenter = desk.presenter
    presenter.explaining.choose_method("score-cam")
    presenter.comparing.keep()
    presenter.explaining.explain()
    state = desk.wait(lambda s: s.answer.preview)
    assert state.view.map is not None
    assert state.answer.compared.one.map is None
    assert not any(state.answer.layer_strip)
    presenter.display.choose_layout("sheet")
    assert desk.state.answer.preview
    assert not any(cell.tile for cell in desk.state.answer.contact_sheet)
    go.set()
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert sum(cell.tile is not None for cell in state.answer.contact_sheet) == 1
    assert sum(tile is not None for tile in state.answer.layer_strip) == 1
    all_consistent(desk, truth)


# --- the pointer ----------------------------------------------------------------------------------


def under(state: ViewState) -> str:
    """The value of the shown map at the pixel that was pointed at, in words."""
    probed = state.shell.probed
    slice = state.view.slice if probed.slice is None else probed.slice
    return f"{overlay.native_value(state.shown, (slice, probed.row, probed.column)):+.3g}"


def test_the_value_under_the_pointer_is_that_of_the_map_that_came_meanwhile(
    desk: Desk, folders: Folders
) -> None:
    explained(desk, folders, PLAIN)
    desk.presenter.point(9.0, 13.0)
    found = set()
    for label in LABELS:
        desk.presenter.explaining.choose_target(label)
        assert desk.state.shell.probed.map == under(desk.state)
        found.add(desk.state.shell.probed.map)
    assert len(found) == len(LABELS)
    desk.presenter.explaining.choose_method("occlusion")
    assert (desk.state.answer.attribution, desk.state.shell.probed.map) == (None, "")
    desk.presenter.explaining.explain()
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert desk.state.shell.probed.map == under(desk.state)
    desk.presenter.display.toggle_overlay()
    assert (desk.state.shell.probed.map, desk.state.shell.probed.row) == ("", 9)


@pytest.mark.parametrize("layout", ["1|1", "3"])
def test_a_map_that_is_hidden_until_asked_tells_no_value_under_the_pointer(
    desk: Desk, folders: Folders, layout: str
) -> None:
    """In the views of slices and in the three planes alike."""
    explained(desk, folders, STRICT, DWI)
    desk.presenter.display.choose_layout(layout)
    desk.wait(lambda s: layout != "3" or s.planes.cuts)
    desk.presenter.explaining.choose_target("mass")
    desk.at_rest()
    assert desk.state.answer.gate == "negative"
    if layout == "3":
        desk.presenter.mpr.point("axial", 20.0, 20.0)
    else:
        desk.presenter.point(20.0, 20.0)
    assert desk.state.shell.probed.value
    assert desk.state.shell.probed.map == ""
    desk.presenter.explaining.take_action("show")
    assert desk.state.map_shown
    if layout == "1|1":
        assert desk.state.shell.probed.map == under(desk.state)


def test_the_planes_of_a_volume_tell_the_map_under_the_pointer(desk: Desk, folders: Folders) -> None:
    explained(desk, folders, VOLUME)
    desk.presenter.display.choose_layout("3")
    desk.wait(lambda s: s.planes.cuts and s.planes.cuts[0].of is s.answer.attribution)
    desk.presenter.mpr.point("coronal", 3.0, 10.0)
    assert desk.state.shell.probed.slice is not None
    assert desk.state.shell.probed.map == under(desk.state)
