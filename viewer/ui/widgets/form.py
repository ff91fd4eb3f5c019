# SPDX-License-Identifier: Apache-2.0
"""A form generated from an explainer's fields."""

import math
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Interval
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from viewer.ui.widgets.controls import Combo, Switch, Unhurried
from viewer.ui.widgets.parts import ROW, add_row, keep_keys, pair, rows

_LARGEST = 1_000_000
"""The bound of a whole number that has none."""
_QT = 2**31 - 2
"""Larger whole numbers than this no spin box takes."""
_NONE = "none"


@dataclass(frozen=True, slots=True)
class SettingField:
    """What a type hint says of a setting: a plain type, its choices or bounds, whether None is allowed.

    `least` and `most` are inclusive; whether a bound of a real number is exclusive is in `open_below`
    and `open_above`.
    """

    plain: type
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    open_below: bool = False
    open_above: bool = False
    optional: bool = False
    free: bool = False
    """Whether any other text may stand in place of the choices."""
    tip: str = ""
    """What a reader is told of it: the `words` of what the hint carries beside the type."""


def read_hint(hint: Any, value: object = None) -> SettingField:
    """The field of a hint with extras; of a hint that says nothing, the type of the value."""
    bounds, tip = None, ""
    optional = free = False
    while True:
        origin = get_origin(hint)
        if hasattr(hint, "__metadata__"):
            bounds = next((m for m in hint.__metadata__ if isinstance(m, Interval)), bounds)
            tip = next((m.words for m in hint.__metadata__ if hasattr(m, "words")), tip)
            hint = hint.__origin__
        elif origin in (Union, types.UnionType):
            rest = [a for a in get_args(hint) if a is not type(None)]
            optional = optional or len(rest) < len(get_args(hint))
            named = next((a for a in rest if get_origin(a) is Literal), None)
            free = named is not None and str in rest
            hint = rest[0] if len(rest) == 1 else named if free else str
        else:
            break
    if origin is Literal:
        choices = get_args(hint)
        some = tuple(c for c in choices if c is not None)
        return SettingField(str, some, optional=optional or None in choices, free=free, tip=tip)
    plain = hint if hint in (bool, int, float, str) else type(value)
    if plain not in (bool, int, float, str):
        plain = str
    if bounds is None:
        return SettingField(plain, optional=optional, tip=tip)
    least, open_below = (bounds.ge, False) if bounds.gt is None else (bounds.gt, True)
    most, open_above = (bounds.le, False) if bounds.lt is None else (bounds.lt, True)
    return SettingField(plain, (), _number(least), _number(most), open_below, open_above, optional, tip=tip)


def _number(bound: Any) -> float | None:
    return None if bound is None else float(bound)


class SettingsForm(QWidget):
    """One row per setting; `changed` tells a name and its new value. `layer` has its own chooser."""

    changed = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.controls: dict[str, QWidget] = {}
        self._shown: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._rows: QWidget | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)

    def show_fields(
        self,
        defaults: Mapping[str, Any],
        values: Mapping[str, Any],
        hints: Mapping[str, Any],
        closed: Mapping[tuple[str, Any], str] = MappingProxyType({}),
        idle: Collection[str] = (),
    ) -> None:
        """Show the settings of a method; `values` stand over `defaults`. Emits nothing.

        `hints` are `get_type_hints(cls, include_extras=True)`, `closed` says why a choice of a setting cannot
        be made now, `idle` are settings that change nothing beside the others. The rows are built anew only
        for other defaults or hints, so that the keyboard stays where it is.
        """
        if self._shown is None or (dict(self._shown[0]), dict(self._shown[1])) != (
            dict(defaults),
            dict(hints),
        ):
            self._shown = (defaults, hints)
            self._build(defaults, hints)
        for name, control in self.controls.items():
            if isinstance(control, Combo):
                control.grey({choice: why for (of, choice), why in closed.items() if of == name})
            control.setEnabled(name not in idle)
            value = values.get(name, defaults[name])
            if not control.hasFocus() or not isinstance(control, QLineEdit):
                _put(control, value)

    def _build(self, defaults: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
        if self._rows is not None:
            self._column.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()
        self.controls = {}
        self._rows = QWidget()
        grid = rows(self._rows)
        for name, default in defaults.items():
            if name == "layer":
                continue
            field = read_hint(hints.get(name), default)
            control = self._control(name, field)
            self.controls[name] = control
            shown = pair(control, QWidget(), stretch=1) if isinstance(control, Switch) else control
            label = add_row(grid, name.replace("_", " ").capitalize(), shown)
            control.setAccessibleName(name)
            control.setToolTip(describe(field))
            label.set_text(label.full, describe(field))
        self._column.addWidget(self._rows)
        self.setVisible(bool(self.controls))

    def _control(self, name: str, field: SettingField) -> QWidget:
        if field.choices or (field.plain is bool and field.optional):
            return self._chooser(name, field)
        if field.plain is bool:
            switch = Switch()
            switch.clicked.connect(lambda on: self.changed.emit(name, on))
            return switch
        if field.plain is int:
            whole = WholeNumber(field)
            whole.valueChanged.connect(lambda _: self.changed.emit(name, whole.chosen))
            return whole
        if field.plain is float:
            real = RealNumber(field)
            real.valueChanged.connect(lambda _: self.changed.emit(name, real.chosen))
            return real
        return self._line(name, field)

    def _chooser(self, name: str, field: SettingField) -> Combo:
        combo = Combo()
        if field.optional:
            combo.addItem(_NONE, None)
        for choice in field.choices or (True, False):
            words = (
                {True: "yes", False: "no"}.get(choice, str(choice))
                if isinstance(choice, bool)
                else str(choice)
            )
            combo.addItem(words, choice)
        combo.activated.connect(lambda place: self.changed.emit(name, combo.itemData(place)))
        if field.free:
            combo.open_up(lambda text: self.changed.emit(name, text))
        return combo

    def _line(self, name: str, field: SettingField) -> QLineEdit:
        line = QLineEdit()
        line.setProperty("optional", field.optional)
        if field.optional:
            line.setPlaceholderText(_NONE)

        def tell() -> None:
            if line.isModified():
                line.setModified(False)
                self.changed.emit(name, line.text() or (None if field.optional else ""))

        line.editingFinished.connect(tell)
        return line


class _Number(Unhurried):
    """What both kinds of numbers do with None, which is their least value where it is allowed."""

    _optional: bool

    @property
    def chosen(self: Any) -> Any:
        """The number, or None."""
        return None if self._optional and self.value() == self.minimum() else self.value()

    def put(self: Any, value: float | None) -> None:
        """Show a value; emits nothing."""
        self.blockSignals(True)
        self.setValue(self.minimum() if value is None else value)
        self.blockSignals(False)


class WholeNumber(_Number, QSpinBox):
    """A whole number in bounds, with "none" one below the least where None is allowed."""

    def __init__(self, field: SettingField) -> None:
        super().__init__()
        least = -_LARGEST if field.least is None else int(max(field.least, -_QT)) + field.open_below
        most = _LARGEST if field.most is None else int(min(field.most, _QT)) - field.open_above
        self._optional = field.optional
        self.setRange(least - field.optional, most)
        if field.optional:
            self.setSpecialValueText(_NONE)
        dress(self)


class RealNumber(_Number, QDoubleSpinBox):
    """A real number in bounds, with "none" one step below the least where None is allowed."""

    def __init__(self, field: SettingField) -> None:
        super().__init__()
        # As many as the least number needs: a bound of 1e-9 must not read 0.
        self.setDecimals(4 if not field.least else max(4, math.ceil(-math.log10(abs(field.least)))))
        grain = 10.0 ** -self.decimals()
        least = -float(_LARGEST) if field.least is None else field.least + grain * field.open_below
        most = float(_LARGEST) if field.most is None else field.most - grain * field.open_above
        self._optional = field.optional
        span = most - least
        self.setSingleStep(0.01 if span <= 2 else 0.1 if span <= 20 else 1.0)
        self.setRange(least - (self.singleStep() if field.optional else 0), most)
        if field.optional:
            self.setSpecialValueText(_NONE)
        dress(self)

    def textFromValue(self, value: float) -> str:
        """The number without zeros at its end."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").removesuffix(point) if point in text else text


def dress(spin: QSpinBox | QDoubleSpinBox) -> None:
    """The manner of every field of a number here."""
    spin.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    spin.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    # One run with what was typed, not one with its first digit and then one with all.
    spin.setKeyboardTracking(False)
    spin.setAccelerated(True)
    # Arrow keys and the wheel step; the room is for the number.
    spin.setStyleSheet(
        "QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow { border: 0; width: 0; height: 0; }"
        "QAbstractSpinBox { padding: 4px 8px; }"
        "QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 0; border: 0; }"
    )
    spin.setFixedHeight(ROW)
    spin.lineEdit().setTextMargins(0, 0, 6, 0)  # no padding of a style sheet reaches the number
    keep_keys(spin)


def _put(control: QWidget, value: Any) -> None:
    """Show a value in a control of the form."""
    if isinstance(control, Switch):
        control.setChecked(bool(value))
    elif isinstance(control, Combo):
        control.choose(value)
    elif isinstance(control, WholeNumber | RealNumber):
        if control.chosen != value:
            control.put(value)
    elif isinstance(control, QLineEdit):
        control.setText("" if value is None else str(value))


def describe(field: SettingField) -> str:
    """What a setting is, what 0 means and what a larger value does, and what may be put in."""
    return "\n".join(part for part in (field.tip, _bounds(field)) if part)


def _bounds(field: SettingField) -> str:
    """What may be put in, in words."""
    if field.choices or field.plain in (bool, str):
        return ""
    words = "whole number" if field.plain is int else "number"
    parts = []
    if field.least is not None:
        parts.append(f"{'more than' if field.open_below else 'from'} {field.least:g}")
    if field.most is not None:
        parts.append(f"{'less than' if field.open_above else 'to'} {field.most:g}")
    none = [f"or {_NONE}"] if field.optional else []
    return " ".join([words, *parts, *none]).capitalize()
