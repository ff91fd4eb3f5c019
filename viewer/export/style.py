# SPDX-License-Identifier: Apache-2.0
"""How a map is to be drawn, read from words; what is not said stays automatic."""

import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from viewer.errors import ExportError
from viewer.overlay import NAMES
from viewer.types import Style


def read_style(words: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `Style` from words; raises `ExportError`, which names what there is to choose from."""
    unknown = [key for key in words if key not in Style.__dataclass_fields__]
    if unknown:
        known = ", ".join(Style.__dataclass_fields__)
        raise ExportError(f"A style has no {unknown[0]!r}; choose from: {known}.")
    return {key: _READERS[key](key, text) for key, text in words.items()}


def _choice(key: str, text: str) -> str:
    allowed = NAMES if key == "colours" else get_args(get_type_hints(Style)[key])
    if text not in allowed:
        raise ExportError(f"The style's {key} cannot be {text!r}; choose from: {', '.join(allowed)}.")
    return text


def _range(key: str, text: str) -> tuple[float, float]:
    low, _, high = text.partition(",")
    ends = (_number(low), _number(high))
    if not ends[0] < ends[1]:  # also where one is no number
        raise ExportError(f"The style's {key} wants LOW,HIGH with the lower first, not {text!r}.")
    return ends


def _share(key: str, text: str) -> float:
    share = _number(text)
    if not 0 <= share <= 1:
        raise ExportError(f"The style's {key} wants a number from 0 to 1, not {text!r}.")
    return share


def _least(key: str, text: str) -> float:
    least = _number(text)
    if not least >= 0:
        raise ExportError(f"The style's {key} wants a number from 0, in the map's unit, not {text!r}.")
    return least


def _number(text: str) -> float:
    """A finite number, or NaN, which no comparison holds for."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


_READERS = {
    "colours": _choice,
    "range": _range,
    "opacity": _share,
    "threshold": _least,
    "sign": _choice,
    "interpolation": _choice,
}
