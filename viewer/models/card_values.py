# SPDX-License-Identifier: Apache-2.0
"""The ways from an image's values to those that a network reads, as a model card names them."""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

TO_FILL = "TO FILL"
"""What a card has in the place of a value that nothing told."""

Pair = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """A part of a card: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WindowValues(Part):
    """Modality values through a linear window (centre, width) to 0 … 1."""

    window: tuple[float, Positive]


class RangeValues(Part):
    """The stored range (what the stored bits can hold) to low … high."""

    range: Pair

    @model_validator(mode="after")
    def _wide(self) -> Self:
        if self.range[0] == self.range[1]:
            raise ValueError("wants two different numbers")
        return self


class PercentileValues(Part):
    """These percentiles of the input's modality values to 0 … 1."""

    percentiles: Pair

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError("wants two rising numbers from 0 to 100")
        return self


class IntervalValues(Part):
    """Modality values, or the stored ones, from one interval to another; both ends are named."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Literal["stored"] | Pair = Field(alias="from")
    """An interval of modality values, beyond which they are cut off; or all that the stored bits can hold."""
    to: Pair = (0.0, 1.0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.from_ != "stored" and self.from_[0] >= self.from_[1]:
            raise ValueError("from wants stored, or two rising numbers")
        if self.to[0] == self.to[1]:
            raise ValueError("to wants two different numbers")
        return self


def _way(value: Any) -> str | None:
    """Which of the ways to values is meant, so that its own fault is told and not that of the others."""
    if isinstance(value, str):
        return "word"
    if isinstance(value, dict):
        ways = {"window": "WindowValues", "range": "RangeValues", "percentiles": "PercentileValues"}
        ways |= {"from": "IntervalValues", "to": "IntervalValues"}
        close = [way for key in value for way in difflib.get_close_matches(str(key), ways, 1)]
        return ways[close[0]] if close else None
    return type(value).__name__


Values = Annotated[
    Annotated[Literal["voi", "hu"], Tag("word")]
    | Annotated[WindowValues, Tag("WindowValues")]
    | Annotated[RangeValues, Tag("RangeValues")]
    | Annotated[PercentileValues, Tag("PercentileValues")]
    | Annotated[IntervalValues, Tag("IntervalValues")],
    Discriminator(
        _way,
        custom_error_type="way",
        custom_error_message="wants voi, hu, {from: …, to: …}, or one of window, range and percentiles with "
        "its two numbers",
    ),
]
