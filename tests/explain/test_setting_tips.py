# SPDX-License-Identifier: Apache-2.0
"""Every setting of every method says what it is, what a larger value does, and what 0 and none mean."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pytest

from viewer.errors import PluginError
from viewer.explain import Cost, Explainer, Interval, Tip, describe, discover, setting_types
from viewer.types import Tip as TypedTip
from viewer.ui.widgets.form import SettingField, read_hint
from viewer.ui.widgets.form import describe as told

METHODS = [found.load() for found in discover()]
UNITS = re.compile(
    r"pixel|per cent|share|factor|standard deviation|counted|images?\b|copies|channels|places|steps|windows|"
    r"masks|cells|labels|parts|baselines|orders|number|unit|distance",
    re.IGNORECASE,
)
"""A tip of a number names what it counts or measures."""


def tip_of(hint: Any) -> Tip | None:
    """The tip that a type carries, also within another annotated type."""
    found = next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Tip)), None)
    assert found is None or read_hint(hint).tip == found.words
    return found


def silent(name: str, field: SettingField, tip: Tip | None) -> list[str]:
    """What a setting does not say of itself."""
    if tip is None:
        return [name]
    number = field.plain in (int, float) and not field.choices
    zero = number and (field.least is None or field.least < 0 or (field.least == 0 and not field.open_below))
    missing = {
        "what": not tip.what,
        "unit": number and not UNITS.search(tip.what),
        "more": number and not tip.more,
        "zero": zero and not tip.zero,
        "none": field.optional and not tip.none,
    }
    return [f"{name}: {part}" for part, lacks in missing.items() if lacks]


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.name)
def test_every_setting_says_what_it_is(cls: type[Explainer]) -> None:
    defaults = cls().settings()
    hints = setting_types(cls)
    # A layer has a chooser of its own, with its words.
    fields = {name: read_hint(hint, defaults[name]) for name, hint in hints.items() if name != "layer"}
    assert [
        fault for name, field in fields.items() for fault in silent(name, field, tip_of(hints[name]))
    ] == []
    tips = next(item for item in describe() if item["name"] == cls.name)["tips"]
    assert set(tips) == set(fields)


@pytest.mark.parametrize(
    ("hint", "faults"),
    [
        (int, ["x"]),
        (Annotated[int, Interval(ge=1), Tip("Pixels", "coarser")], []),
        (Annotated[int, Interval(ge=1), Tip("Pixels")], ["x: more"]),
        (Annotated[int, Interval(ge=1), Tip("How much of it", "coarser")], ["x: unit"]),
        (Annotated[int, Interval(ge=0), Tip("Pixels", "coarser")], ["x: zero"]),
        (Annotated[float, Interval(gt=0), Tip("Share of it", "coarser")], []),
        (Annotated[int, Tip("Pixels", "coarser")], ["x: zero"]),
        (Annotated[int | None, Interval(ge=1), Tip("Pixels", "coarser")], ["x: none"]),
        (Annotated[bool, Tip("Whether")], []),
    ],
)
def test_a_silent_setting_is_noticed(hint: Any, faults: list[str]) -> None:
    assert silent("x", read_hint(hint), tip_of(hint)) == faults


def test_what_is_said_stands_in_lines() -> None:
    hint = Annotated[int | None, Interval(ge=0, le=9), Tip("Pixels of a side", "coarser", "half", "all")]
    assert told(read_hint(hint)) == (
        "Pixels of a side.\nLarger: coarser.\n0: half.\nNone: all.\nWhole number from 0 to 9 or none"
    )
    assert Tip is TypedTip


def test_a_method_of_a_stranger_without_tips_still_has_its_form() -> None:
    @dataclass(frozen=True)
    class Plain(Explainer):
        size: Annotated[int, Interval(ge=0)] = 3
        name = "plain"
        title = "Plain"
        family = "gradient"
        paper = shows = "Nothing."
        cost = Cost("1")
        signed: ClassVar[bool] = True

        def compute(self, probe: Any) -> Any:
            raise PluginError("never")

    assert told(read_hint(setting_types(Plain)["size"])) == "Whole number from 0"
