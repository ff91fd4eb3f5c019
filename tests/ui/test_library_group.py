# SPDX-License-Identifier: Apache-2.0
"""The methods of libraries are folded away in the chooser until asked for."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QStandardItemModel
from pytestqt.qtbot import QtBot

from viewer import explain
from viewer.explain import describe
from viewer.ui.panels.explain import ExplainPanel
from viewer.ui.panels.method_card import MethodCombo
from viewer.ui.state import MethodItem, ModelItem, ViewState

OWN = MethodItem("grad-cam", "Grad-CAM", "CAM", "Places.", "1", {"layer": None})
OTHER = MethodItem("saliency", "Saliency", "gradient", "Pixels.", "1", {})
LIME = MethodItem("lime", "LIME", "perturbation", "Parts.", "many", {}, library="captum")
FEM = MethodItem("fem", "FEM", "CAM", "Cells.", "1", {"layer": None}, library="grad-cam")
LRP = MethodItem("lrp", "LRP", "gradient", "Shares.", "2", {}, "It adds.", library="captum")
METHODS = (FEM, OWN, LIME, LRP, OTHER)
FOLDED = ["CAM", "Grad-CAM", "GRADIENT", "Saliency", "From libraries (3) …"]
UNFOLDED = [*FOLDED[:4], "From libraries", "GRAD-CAM", "FEM", "CAPTUM", "LIME", "LRP"]


@pytest.fixture
def panel(qtbot: QtBot) -> ExplainPanel:
    made = ExplainPanel()
    qtbot.addWidget(made)
    return made


def state(method: str) -> ViewState:
    model = ModelItem("net", "00ff", "CPU", ("a", "b"), (), METHODS, False)
    return ViewState().changed(model=model, method=method)


def entries(chooser: MethodCombo) -> list[str]:
    return [chooser.itemText(i) for i in range(chooser.count())]


def take(chooser: MethodCombo, text: str) -> None:
    """What a click on an entry of the open list does."""
    place = chooser.findText(text)
    chooser.setCurrentIndex(place)
    chooser.activated.emit(place)


def test_they_are_folded_away_and_shown_by_library(panel: ExplainPanel) -> None:
    panel.show(state("grad-cam"))
    chooser = panel.method
    told: list[str] = []
    panel.method_chosen.connect(told.append)
    assert entries(chooser) == FOLDED
    take(chooser, "From libraries (3) …")
    assert entries(chooser) == UNFOLDED
    assert (chooser.currentText(), told) == ("Grad-CAM", [])
    assert chooser.view().isVisible()  # the list stays open
    model = chooser.model()
    assert isinstance(model, QStandardItemModel)
    assert not model.item(UNFOLDED.index("LRP")).isEnabled()
    take(chooser, "LIME")
    assert told == ["lime"]
    take(chooser, "From libraries")
    assert entries(chooser) == FOLDED
    assert (chooser.currentText(), told) == ("Grad-CAM", ["lime"])
    chooser.hidePopup()


def test_they_stay_as_they_are_while_other_things_change(panel: ExplainPanel) -> None:
    start = state("grad-cam")
    panel.show(start)
    take(panel.method, "From libraries (3) …")
    panel.method.hidePopup()
    panel.show(start.changed(target="b"))
    assert entries(panel.method) == UNFOLDED
    assert panel.method.currentText() == "Grad-CAM"


def test_the_chosen_one_is_never_hidden(panel: ExplainPanel) -> None:
    start = state("grad-cam")
    panel.show(start)
    panel.show(start.changed(method="lime"))
    assert panel.method.currentText() == "LIME"
    assert entries(panel.method) == UNFOLDED


def test_without_such_methods_there_is_no_group(panel: ExplainPanel) -> None:
    model = ModelItem("net", "00ff", "CPU", ("a", "b"), (), (OWN, OTHER), False)
    panel.show(ViewState().changed(model=model, method="saliency"))
    assert entries(panel.method) == FOLDED[:4]


def test_the_keyboard_reaches_the_group(panel: ExplainPanel, qtbot: QtBot) -> None:
    panel.show(state("saliency"))
    qtbot.keyClick(panel.method, Qt.Key.Key_Down)
    assert entries(panel.method) == UNFOLDED
    assert panel.method.currentText() == "Saliency"
    panel.method.hidePopup()


def test_what_the_window_knows_of_a_method_says_its_library() -> None:
    from viewer.ui.presenter.loading import _FACTS

    listed = {facts["name"]: facts for facts in describe()}
    assert "library" in _FACTS
    assert listed["lime"]["library"] == "captum"
    assert explain.explainer("finer-cam").library == "grad-cam"
