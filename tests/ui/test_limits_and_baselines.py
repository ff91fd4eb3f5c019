# SPDX-License-Identifier: Apache-2.0
"""Methods that change the image: where they may, and what they put in its place."""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from desk import Desk
from made import explained
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from viewer import demo
from viewer.types import ModelInput, Region
from viewer.ui.panels import ExplainPanel
from viewer.ui.presenter.running import baseline_images
from viewer.ui.state import MethodItem, ModelItem, ViewState, choice_of
from viewer.ui.widgets.controls import Combo
from viewer.ui.widgets.form import SettingsForm, read_hint

CAM = MethodItem("grad-cam", "Grad-CAM", "CAM", "", "1", {"layer": None})
OCCLUSION = MethodItem("occlusion", "Occlusion", "perturbation", "", "many", {"baseline": "mean"})


@pytest.fixture
def state() -> ViewState:
    made = explained(np.zeros((8, 8)), np.ones((8, 8)))
    region = Region(np.ones((1, 2, 2), bool), np.eye(4), made.view.series, "Nodule", "seg", "seg 1")
    model = ModelItem("net", "00", "CPU", ("pneumonia",), ("conv_2",), (CAM, OCCLUSION), False)
    return made.changed(model=model, regions=(region,), masked=False)


def test_a_region_limits_what_changes_the_image_and_nothing_else(state: ViewState) -> None:
    limited = state.changed(within="seg 1")
    assert limited.region is None  # Grad-CAM changes nothing
    assert choice_of(limited) == choice_of(state)
    changed = limited.changed(method="occlusion")
    assert changed.region is state.regions.regions[0]
    assert choice_of(changed) != choice_of(changed.changed(within=None))
    assert changed.changed(regions=()).region is None  # on another series there is no such region


def test_regions_are_offered_where_they_lie(qtbot: QtBot, state: ViewState) -> None:
    panel = ExplainPanel()
    qtbot.addWidget(panel)
    panel.show(state)
    assert not panel.within.isHidden()  # it keeps its place when the method changes
    assert not panel.within.isEnabled()
    assert panel.within.toolTip() == "Grad-CAM changes nothing of the image."
    panel.show(state.changed(regions=()))
    assert panel.within.isHidden()
    panel.show(state.changed(method="occlusion"))
    assert not panel.within.isHidden()
    assert panel.within.isEnabled()
    told = []
    panel.within_chosen.connect(told.append)
    qtbot.keyClick(panel.within, Qt.Key.Key_Down)
    qtbot.keyClick(panel.within, Qt.Key.Key_Up)
    assert told == ["seg 1", None]
    panel.show(state.changed(method="occlusion", within="seg 1"))
    assert panel.within.currentText() == "Nodule"


def test_an_occlusion_limited_to_a_region_is_zero_elsewhere(desk: Desk) -> None:
    presenter = desk.presenter
    presenter.studies.open([demo.studies()[0]])
    presenter.explaining.load_model(demo.models()["cnn"])
    desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None and s.regions.regions)
    presenter.explaining.choose_method("occlusion")
    region = desk.state.regions.regions[0]
    presenter.explaining.choose_within(region.source)
    assert desk.state.answer.attribution is None
    presenter.explaining.explain()
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    assert state.answer.attribution.within is region
    inside = region.on(state.answer.attribution.matrix, state.answer.attribution.values.shape)
    assert np.abs(state.answer.attribution.values).max() > 0
    assert np.abs(state.answer.attribution.values[~inside]).max() == 0
    presenter.explaining.choose_within(None)
    assert desk.state.answer.attribution is None  # what is kept is of the region only


def test_a_baseline_has_the_greys_of_its_image() -> None:
    made = explained(np.zeros((8, 8)), np.ones((8, 8))).answer.attribution
    image = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    source = ModelInput(made.series, 0, image, np.eye(4))
    shown = replace(made.predictions[0], input=source)
    stack = np.stack([np.full((1, 4, 4), value, np.float32) for value in (-1, 0, 5)])
    greys = baseline_images(replace(made, predictions=(shown,), baselines=stack))
    assert [int(one[0, 0]) for one in greys] == [0, 128, 255]
    assert greys[0].dtype == np.uint8
    assert baseline_images(made) == ()


def test_a_baseline_is_named_or_typed(qtbot: QtBot) -> None:
    hint = Annotated[Literal["minimum", "blur"] | str, "checked"]
    field = read_hint(hint, "minimum")
    assert (field.choices, field.free) == (("minimum", "blur"), True)
    form = SettingsForm()
    qtbot.addWidget(form)
    form.show_fields({"baseline": "minimum"}, {}, {"baseline": hint})
    combo = form.controls["baseline"]
    assert isinstance(combo, Combo)
    assert combo.currentText() == "minimum"
    told = []
    form.changed.connect(lambda *wish: told.append(wish))
    line = combo.lineEdit()
    line.selectAll()
    qtbot.keyClicks(line, "mine.npy")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert told == [("baseline", "mine.npy")]
    form.show_fields({"baseline": "minimum"}, {"baseline": "other.npy"}, {"baseline": hint})
    assert line.text() == "other.npy"
    form.show_fields({"baseline": "minimum"}, {"baseline": "blur"}, {"baseline": hint})
    assert combo.currentText() == "blur"
