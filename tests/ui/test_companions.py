# SPDX-License-Identifier: Apache-2.0
"""Maps and segmentations that came with the study: without a model, at their place, in their unit."""

import json
from itertools import product
from pathlib import Path

import companion_files as files
import numpy as np
import pytest
from companion_files import SLICES, Kinds, N
from desk import Desk
from program import write_model
from PySide6.QtCore import Qt
from test_three_planes import settled

from viewer import overlay
from viewer.overlay.outline import Outline
from viewer.types import LoadedMap, Style
from viewer.ui.panels import CompanionsPanel
from viewer.ui.state import ViewState
from viewer.ui.views import captions
from viewer.ui.window import Window

CELLS = np.arange(SLICES * N * N, dtype=np.float32).reshape(SLICES, N, N)


def outlines(state: ViewState) -> tuple[Outline, ...]:
    """What is outlined in the active view."""
    return state.outlines_in(state.view)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A series with two quantities and three segments, and another series with nothing."""
    folder = tmp_path / "brought"
    sources = files.stack(folder, "1.2.70", 1.0, SeriesNumber=1)
    files.parametric(folder / "map.dcm", sources)
    files.segmentation(folder / "seg.dcm", sources)
    files.stack(folder, "1.2.71", 2.0, SeriesNumber=2, FrameOfReferenceUID="1.2.99")
    return folder


@pytest.fixture
def brought(desk: Desk, study: Path) -> Desk:
    desk.presenter.studies.open([study])
    desk.wait(lambda s: s.regions.came and s.regions.regions)
    desk.at_rest()
    return desk


def test_maps_and_segments_are_offered_where_they_lie(brought: Desk) -> None:
    state = brought.state
    known = [("apparent diffusion", "mm2/s"), ("relative change", "")]
    assert [(m.name, m.unit) for m in state.regions.came] == known
    assert [r.name for r in state.regions.regions] == ["thing 1", "thing 2", "thing 3"]
    here, other = state.studies.items
    drawn, computed = here.overlaid
    assert drawn == "3 segments: thing 1, thing 2, thing 3"
    assert computed == "2 maps: apparent diffusion, relative change"
    assert other.overlaid == ()
    assert state.studies.not_opened == ()
    assert (state.regions.loaded, state.view.map) == (None, None)
    brought.presenter.studies.choose_series(1)
    assert (brought.state.regions.came, brought.state.regions.regions, brought.state.view.outlines) == (
        (),
        (),
        (),
    )


def test_a_chosen_map_is_drawn_without_a_model(brought: Desk) -> None:
    brought.presenter.companions.choose(0)
    state = brought.state
    assert (state.answer.model, state.answer.attribution) == (None, None)
    assert state.shown is state.regions.loaded is state.regions.came[0]
    assert state.map_shown
    for slice in range(SLICES):
        brought.presenter.go_to(slice)
        np.testing.assert_array_equal(
            brought.state.view.map, np.float32(1e-3) + CELLS[slice] * np.float32(1e-7)
        )
    low, high = overlay.shown_range(state.views.style)
    assert (low, state.views.style.threshold) == (0.0, 0.0)
    assert high == state.regions.came[0].values.max()
    brought.presenter.companions.choose(None)
    assert (brought.state.regions.loaded, brought.state.view.map, brought.state.views.style) == (
        None,
        None,
        Style(),
    )


def test_the_probe_reads_the_native_value_with_its_unit(brought: Desk) -> None:
    brought.presenter.companions.choose(0)
    brought.presenter.go_to(2)
    brought.wait(lambda s: s.view.values is not None)
    brought.presenter.point(7.0, 11.0)
    value = 1e-3 + float(CELLS[2, 7, 11]) * 1e-7
    assert brought.state.shell.probed.map == f"{value:+.3g} mm2/s"


def test_both_signs_wear_colours_with_a_middle(brought: Desk) -> None:
    brought.presenter.companions.choose(1)
    style = brought.state.views.style
    assert (style.colours, style.sign) == ("blue-white-red", "signed")
    assert style.threshold == pytest.approx(0.1 * overlay.shown_range(style)[1])


def test_each_quantity_keeps_its_style(brought: Desk) -> None:
    brought.presenter.companions.choose(0)
    brought.presenter.display.set_style("opacity", 0.3)
    brought.presenter.display.set_style("interpolation", "nearest")
    brought.presenter.companions.choose(1)
    assert brought.state.views.style.opacity == 0.5
    brought.presenter.companions.choose(0)
    assert (brought.state.views.style.opacity, brought.state.views.style.interpolation) == (0.3, "nearest")
    brought.presenter.display.undo()
    brought.presenter.display.undo()
    assert (brought.state.views.style.opacity, brought.state.views.style.interpolation) == (0.5, "bilinear")
    brought.presenter.display.set_style("threshold", 0.002)
    brought.presenter.companions.choose(1)
    before = brought.state.views.style
    brought.presenter.display.undo()  # of the other quantity: its unit is another
    assert brought.state.views.style == before


def test_no_state_holds_a_map_of_another_series_or_slice(brought: Desk, tmp_path: Path) -> None:
    presenter = brought.presenter
    presenter.explaining.load_model(write_model(tmp_path / "model", accepts={"modality": ["MR"]}))
    rng = np.random.default_rng(3)
    for _ in range(40):
        presenter.studies.choose_series(int(rng.integers(2)))
        presenter.go_to(int(rng.integers(SLICES)))
        presenter.companions.choose(None if rng.random() < 0.3 else int(rng.integers(2)))
        brought.qtbot.wait(int(rng.integers(15)))
    brought.at_rest()
    drawn = 0
    for state in brought.shown:
        assert all(m.series is state.view.series for m in state.regions.came)
        assert all(o.region.series is state.view.series for o in state.view.outlines)
        if state.regions.loaded is None:
            continue
        drawn += 1
        assert state.regions.loaded.series is state.view.series
        expected = overlay.on_source(state.regions.loaded, state.view.slice, state.views.style.interpolation)
        np.testing.assert_array_equal(state.view.map, expected)
    assert drawn > 10


def test_the_models_map_comes_back_when_the_loaded_one_goes(brought: Desk, tmp_path: Path) -> None:
    presenter = brought.presenter
    presenter.explaining.load_model(write_model(tmp_path / "model", accepts={"modality": ["MR"]}))
    before = brought.wait(lambda s: s.answer.attribution is not None and s.view.map is not None)
    presenter.companions.choose(0)
    assert isinstance(brought.state.shown, LoadedMap)
    presenter.companions.choose(None)
    after = brought.state
    assert after.shown is after.answer.attribution is before.answer.attribution
    assert after.view.map is before.view.map
    assert after.views.style == before.views.style


def test_a_segment_is_hidden_and_stays_so(brought: Desk) -> None:
    second = brought.state.regions.regions[1]
    brought.presenter.companions.hide([second.source], True)
    assert [o.name for o in outlines(brought.state)] == ["thing 1", "thing 3"]
    assert captions.outlined(brought.state)[0][0] == "outlined: thing 1, thing 3"
    brought.presenter.studies.choose_series(1)
    brought.presenter.studies.choose_series(0)
    brought.wait(lambda s: s.view.outlines)
    assert [o.name for o in outlines(brought.state)] == ["thing 1", "thing 3"]
    brought.presenter.companions.hide([second.source], False)
    assert len(outlines(brought.state)) == 3


def test_a_loaded_map_is_exported_with_where_it_came_from(brought: Desk, tmp_path: Path) -> None:
    brought.presenter.companions.choose(0)
    brought.presenter.go_to(2)
    brought.presenter.display.set_style("threshold", 0.002)
    brought.presenter.export(tmp_path / "out", ("png", "npz", "json"), False)
    brought.wait(lambda s: s.shell.notice is not None and s.shell.notice.text.startswith("Written"))
    document = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert (document["model"], document["predictions"], document["attributions"]) == (None, [], [])
    (facts,) = document["maps"]
    came = brought.state.regions.came[0]
    assert (facts["title"], facts["unit"], facts["origin"]) == (came.name, "mm2/s", came.provenance)
    assert facts["style"]["threshold"] == 0.002
    assert facts["display"]["slice"] == 2
    assert facts["files"]["png"] == "apparent-diffusion_loaded_volume_s2.png"
    with np.load(tmp_path / "out" / facts["files"]["npz"]) as arrays:
        np.testing.assert_array_equal(arrays["native"], came.values)
        np.testing.assert_array_equal(arrays["map"][2], overlay.on_source(came, 2))
        assert "not computed here" in json.loads(str(arrays["provenance"]))["meaning"]
    assert "Jane" not in (tmp_path / "out" / "result.json").read_text("utf-8")


# --- the window -----------------------------------------------------------------------------------


def test_a_click_draws_a_map_and_another_ends_that(window: Window, qtbot, study: Path) -> None:
    window.presenter.studies.open([study])
    settled(window, qtbot)
    panel, rows = window.companions, window.companions.list
    assert panel.isVisible()
    texts = [rows.entries.data(rows.entries.index(i)) for i in range(5)]
    assert texts == ["apparent diffusion", "relative change", "thing 1", "thing 2", "thing 3"]
    assert rows.entries.rows[0].facts == "0.001 … 0.00238 mm2/s"

    def click(row: int) -> ViewState:
        at = rows.visualRect(rows.entries.index(row)).center()
        qtbot.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, pos=at)
        return window.presenter.state

    assert click(0).regions.loaded is window.presenter.state.regions.came[0]
    assert window.top.export.isEnabled()
    said = captions.explained(window.presenter.state, drawn=True)
    assert [t for t, _ in said.top_left] == ["apparent diffusion", "0.001 … 0.00238 mm2/s"]
    assert said.bottom_right[1][0] == "Came with the study, not computed here."
    assert click(0).regions.loaded is None
    assert click(3).regions.hidden == {window.presenter.state.regions.regions[1].source}
    panel.every.click()
    assert outlines(window.presenter.state) == ()
    window.presenter.studies.choose_series(1)
    settled(window, qtbot)
    assert not panel.isVisible()


def test_a_loaded_map_is_cut_into_the_three_planes(window: Window, qtbot, study: Path) -> None:
    window.presenter.studies.open([study])
    settled(window, qtbot)
    window.presenter.companions.choose(0)
    window.presenter.display.choose_layout("3")
    state = settled(window, qtbot)
    came = state.regions.came[0]
    slice, row, column = state.planes.marked.voxel
    assert state.planes.marked.map == f"{came.values[slice, row, column]:+.3g}"
    for cut in state.planes.cuts:
        assert cut.of is came
        np.testing.assert_array_equal(cut.map, overlay.on_plane(came, cut.plane))
        assert np.isfinite(cut.map).any()


def test_colours_and_fractions_are_told(window: Window, qtbot, tmp_path: Path) -> None:
    folder = tmp_path / "fraction"
    sources = files.stack(folder, "1.2.70", 1.0)
    files.segmentation(folder / "seg.dcm", sources, Kinds.FRACTIONAL, 1)
    window.presenter.studies.open([folder])
    settled(window, qtbot)
    (row,) = window.companions.list.entries.rows
    assert row.facts == "probability ≥ 50 %"
    assert row.colour == "#e63c3c"
    picture = window.plain.grab().toImage()
    places = product(range(picture.width()), range(0, picture.height(), 3))
    assert "#e63c3c" in {picture.pixelColor(x, y).name() for x, y in places}


def test_nothing_that_came_takes_no_room(qtbot) -> None:
    panel = CompanionsPanel()
    qtbot.addWidget(panel)
    panel.show(ViewState())
    assert not panel.isVisible()


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
def test_the_real_map_is_drawn_on_its_series(desk: Desk, shared: Path) -> None:
    path = shared / "dicom/pydicom-data/parametric_map_float.dcm"
    desk.presenter.studies.open([path, shared / "dicom/pydicom/test_files/CT_small.dcm"])
    desk.wait(lambda s: s.regions.came)
    desk.presenter.companions.choose(0)
    state = desk.state
    assert state.regions.loaded.name == "feature_001"
    np.testing.assert_allclose(state.view.map, state.regions.loaded.values[0], rtol=1e-6, atol=1e-9)
