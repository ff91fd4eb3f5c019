# SPDX-License-Identifier: Apache-2.0
"""Segments as features in the window: offered where there are some, and their values listed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from desk import Desk
from made import explained
from pytestqt.qtbot import QtBot

from viewer import demo
from viewer.explain import explainer, setting_types
from viewer.types import Region
from viewer.ui.panels import ExplainPanel
from viewer.ui.state import NO_SEGMENTS, MethodItem, ModelItem, ViewState
from viewer.ui.views.captions import feature_values
from viewer.ui.widgets.controls import Combo

HINTS = setting_types(explainer("kernel-shap"))
SHAPLEY = MethodItem(
    "kernel-shap",
    "KernelSHAP",
    "perturbation",
    "",
    "many",
    {"features": 60, "over": "superpixels"},
    None,
    HINTS,
)
OVER = {"over": "segments"}


@pytest.fixture
def state() -> ViewState:
    made = explained(np.zeros((8, 8)), np.ones((8, 8)))
    region = Region(np.ones((1, 2, 2), bool), np.eye(4), made.view.series, "Nodule", "seg", "seg 1")
    model = ModelItem("net", "00", "CPU", ("pneumonia",), ("conv_2",), (SHAPLEY,), False)
    return made.changed(model=model, method="kernel-shap", regions=(region,), masked=False)


def test_segments_are_offered_where_there_are_some(qtbot: QtBot, state: ViewState) -> None:
    panel = ExplainPanel()
    qtbot.addWidget(panel)
    for shown, reason in ((state, ""), (state.changed(regions=()), NO_SEGMENTS), (state, "")):
        panel.show(shown.changed(settings=OVER))
        combo = panel.form.controls["over"]
        assert isinstance(combo, Combo)
        items: Any = combo.model()
        entry = items.item(combo.findData("segments"))
        assert (entry.isEnabled(), entry.toolTip()) == (not reason, reason)
        assert items.item(combo.findData("grid")).isEnabled()
        assert combo.currentText() == "segments"
        assert panel.run_bar.run.isEnabled() == (not reason)
        assert not panel.form.controls["features"].isEnabled()  # segments are as many as they are
        panel.show(shown)
        assert panel.run_bar.run.isEnabled()  # superpixels need no segmentation
        assert panel.form.controls["features"].isEnabled()


def test_the_values_of_features_are_listed_the_strongest_first(qtbot: QtBot, state: ViewState) -> None:
    panel = ExplainPanel()
    qtbot.addWidget(panel)
    panel.show(state)
    assert panel.values.isHidden()
    features = {"spleen": 0.02, "the rest": -1.5, "liver": 0.314}
    who = replace(state.view.series.identity, patient="Zoidberg^Wilhelmina")
    assert state.answer.attribution is not None
    shown = state.changed(attribution=replace(state.answer.attribution, features=features))
    panel.show(shown)
    assert not panel.values.isHidden()
    listed = [(n.full, v.full) for n, v in panel.values.rows if not n.isHidden()]
    assert listed == [("the rest", "−1.5"), ("liver", "+0.314"), ("spleen", "+0.02")]
    many = {f"part {i}": 1.0 + i for i in range(12)}
    words = feature_values(shown.changed(attribution=replace(state.answer.attribution, features=many)), 6)
    assert words[0] == ("part 11", "+12")
    assert (len(words), words[-1]) == (7, ("and 6 more", ""))
    prediction = state.answer.attribution.predictions[0]
    series = replace(state.view.series, identity=who)
    source = replace(prediction.input, series=series)
    named = replace(
        state.answer.attribution,
        predictions=(replace(prediction, input=source),),
        features={"of Zoidberg": 1.0},
    )
    assert feature_values(shown.changed(attribution=named), 6) == [("of Zoidberg", "+1")]
    assert feature_values(shown.changed(attribution=named, masked=True), 6) == [("of ●●●", "+1")]
    panel.show(state)
    assert panel.values.isHidden()


def test_segments_of_the_study_get_their_values(desk: Desk) -> None:
    presenter = desk.presenter
    presenter.studies.open([demo.studies()[0]])
    presenter.explaining.load_model(demo.models()["cnn"])
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None and s.regions.regions)
    presenter.explaining.choose_method("kernel-shap")
    presenter.explaining.set_setting("over", "segments")
    presenter.explaining.explain()
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    names = [region.name for region in state.regions.regions]
    assert list(state.answer.attribution.features) == [*names, "the rest"]
    assert state.answer.attribution.regions == state.regions.regions
    inside = state.regions.regions[0].on(
        state.answer.attribution.matrix, state.answer.attribution.values.shape
    )
    value = state.answer.attribution.features[names[0]]
    assert np.unique(state.answer.attribution.values[inside]) == pytest.approx([value])


def test_a_study_without_segments_is_told_so(desk: Desk) -> None:
    desk.presenter.studies.open([demo.studies()[1]])
    desk.presenter.explaining.load_model(demo.models()["cnn"])
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    desk.at_rest()
    desk.presenter.explaining.choose_method("feature-ablation")
    desk.presenter.explaining.set_setting("over", "segments")
    desk.presenter.explaining.explain()  # by its key: the button is grey
    assert desk.state.shell.notice is not None
    assert desk.state.shell.notice.text == NO_SEGMENTS
    assert (desk.state.shell.busy, desk.state.answer.attribution) == (None, None)


def test_maps_of_every_label_are_limited_to_the_region_too(desk: Desk) -> None:
    """What the contact sheet asks for is kept as the map of the same wish."""
    presenter = desk.presenter
    presenter.studies.open([demo.studies()[0]])
    presenter.explaining.load_model(demo.models()["cnn"])
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None and s.regions.regions)
    presenter.explaining.choose_method("occlusion")
    region = desk.state.regions.regions[0]
    presenter.explaining.choose_within(region.source)
    presenter.display.choose_layout("sheet")
    desk.at_rest()
    presenter.contact_sheet.wish()
    state = desk.wait(
        lambda s: (
            s.answer.contact_sheet
            and all(c.tile is not None for c in s.answer.contact_sheet)
            and s.shell.busy is None
        )
    )
    assert {cell.tile.map.within for cell in state.answer.contact_sheet if cell.tile} == {region}
