# SPDX-License-Identifier: Apache-2.0
"""The form made from an explainer's fields: hints become controls, hands become wishes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from viewer.ui.widgets.controls import Combo, Switch
from viewer.ui.widgets.form import RealNumber, SettingsForm, WholeNumber, describe, read_hint

DEFAULTS: Mapping[str, Any] = {
    "layer": None,
    "steps": 50,
    "sigma": 0.25,
    "baseline": "minimum",
    "head": None,
    "smooth": True,
    "note": "",
}
HINTS: Mapping[str, Any] = {
    "layer": str | None,
    "steps": Annotated[int, Interval(ge=2, le=2000)],
    "sigma": Annotated[float, Interval(gt=0, le=1)],
    "baseline": Literal["minimum", "zero", "blur"],
    "head": Annotated[int | None, Interval(ge=0, le=11)],
    "smooth": bool,
    "note": str,
}


@pytest.fixture
def form(qtbot: QtBot) -> SettingsForm:
    form = SettingsForm()
    qtbot.addWidget(form)
    form.show_fields(DEFAULTS, {}, HINTS)
    form.show()
    qtbot.waitExposed(form)
    return form


@pytest.fixture
def told(form: SettingsForm) -> list[tuple[str, object]]:
    """What the form emitted."""
    told: list[tuple[str, object]] = []
    form.changed.connect(lambda name, value: told.append((name, value)))
    return told


def test_each_type_has_its_control_and_the_layer_none(form: SettingsForm) -> None:
    kinds = {name: type(control) for name, control in form.controls.items()}
    assert kinds == {
        "steps": WholeNumber,
        "sigma": RealNumber,
        "baseline": Combo,
        "head": WholeNumber,
        "smooth": Switch,
        "note": QLineEdit,
    }


def test_bounds_are_those_of_the_interval(form: SettingsForm) -> None:
    steps, sigma, head = (form.controls[name] for name in ("steps", "sigma", "head"))
    assert isinstance(steps, WholeNumber)
    assert (steps.minimum(), steps.maximum(), steps.value()) == (2, 2000, 50)
    assert isinstance(sigma, RealNumber)
    assert 0 < sigma.minimum() < 0.001
    assert sigma.maximum() == 1
    assert sigma.text() == "0.25"
    assert isinstance(head, WholeNumber)
    assert head.text() == "none"
    assert head.chosen is None


def test_showing_emits_nothing(form: SettingsForm, told: list[tuple[str, object]]) -> None:
    form.show_fields(
        DEFAULTS,
        {"steps": 7, "sigma": 0.5, "baseline": "zero", "head": 3, "smooth": False, "note": "x"},
        HINTS,
    )
    steps, head, baseline = (form.controls[name] for name in ("steps", "head", "baseline"))
    assert isinstance(steps, WholeNumber)
    assert isinstance(head, WholeNumber)
    assert isinstance(baseline, Combo)
    assert (steps.value(), head.chosen, baseline.currentText()) == (7, 3, "zero")
    form.show_fields({"chunk": 8}, {}, {})
    assert list(form.controls) == ["chunk"]
    assert told == []


def test_a_number_is_typed_once(form: SettingsForm, told: list[tuple[str, object]], qtbot: QtBot) -> None:
    steps = form.controls["steps"]
    assert isinstance(steps, WholeNumber)
    steps.setFocus()
    steps.selectAll()
    qtbot.keyClicks(steps, "120")
    assert told == []  # not one run for each digit
    qtbot.keyClick(steps, Qt.Key.Key_Return)
    assert told == [("steps", 120)]


def test_arrows_step_and_reach_none(form: SettingsForm, told: list[tuple[str, object]], qtbot: QtBot) -> None:
    head, sigma = form.controls["head"], form.controls["sigma"]
    qtbot.keyClick(head, Qt.Key.Key_Up)
    qtbot.keyClick(head, Qt.Key.Key_Down)
    qtbot.keyClick(sigma, Qt.Key.Key_Up)
    assert told == [("head", 0), ("head", None), ("sigma", 0.26)]


def test_switch_combo_and_line(form: SettingsForm, told: list[tuple[str, object]], qtbot: QtBot) -> None:
    qtbot.mouseClick(form.controls["smooth"], Qt.MouseButton.LeftButton)
    qtbot.keyClick(form.controls["smooth"], Qt.Key.Key_Space)
    qtbot.keyClick(form.controls["baseline"], Qt.Key.Key_Down)
    note = form.controls["note"]
    qtbot.keyClicks(note, "seen")
    qtbot.keyClick(note, Qt.Key.Key_Return)
    assert told == [("smooth", False), ("smooth", True), ("baseline", "zero"), ("note", "seen")]


def test_the_same_rows_stay(form: SettingsForm) -> None:
    before = dict(form.controls)
    form.show_fields(dict(DEFAULTS), {"steps": 3}, dict(HINTS))
    assert form.controls == before


def test_a_hint_that_says_nothing_takes_the_type_of_the_value() -> None:
    assert read_hint(None, 3).plain is int
    assert read_hint(None, None).plain is str
    assert read_hint(Literal["a", None], "a").optional
    assert read_hint(Annotated[int, Interval(ge=1)] | None).optional
    assert describe(read_hint(HINTS["head"])) == "Whole number from 0 to 11 or none"
    assert describe(read_hint(HINTS["sigma"])) == "Number more than 0 to 1"


def test_a_bound_beyond_what_the_control_takes_is_no_obstacle(qtbot: QtBot) -> None:
    form = SettingsForm()
    qtbot.addWidget(form)
    hint = Annotated[int, Interval(ge=0, le=2**63 - 1)]
    form.show_fields({"seed": 0}, {"seed": 7}, {"seed": hint})
    control: Any = form.controls["seed"]
    assert control.chosen == 7
    assert control.maximum() > 2_000_000_000


def test_a_small_number_is_not_shown_as_nothing(qtbot: QtBot) -> None:
    """LRP's epsilon is 1e-9 at least, and by itself."""
    form = SettingsForm()
    qtbot.addWidget(form)
    hints = {"epsilon": Annotated[float, Interval(ge=1e-9, le=1)]}
    form.show_fields({"epsilon": 1e-9}, {}, hints)
    epsilon = form.controls["epsilon"]
    assert isinstance(epsilon, RealNumber)
    assert (epsilon.text(), epsilon.value()) == ("0.000000001", 1e-9)
    form.show_fields({"epsilon": 1e-9}, {"epsilon": 0.25}, hints)
    assert epsilon.text() == "0.25"
