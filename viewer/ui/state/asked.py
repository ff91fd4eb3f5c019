# SPDX-License-Identifier: Apache-2.0
"""What a state asks of the model, as the key of what is kept of its answers."""

from typing import NamedTuple

from viewer.types import Series
from viewer.ui.state.request import At, MethodChoice
from viewer.ui.state.window import ViewState


class Position(NamedTuple):
    """Where the reader looks, and what the model is shown of it.

    It differs from the `Place` of a `Request` in its series, and in that there may be nothing to be shown:
    a region that is swept need not lie on the slice.
    """

    series: Series
    slice: int | None
    """None where the model reads volumes."""
    at: At = None


def position_of(state: ViewState) -> Position:
    """The place that a state shows; raises `ValueError` where it shows no image."""
    series = state.view.series
    if series is None:
        raise ValueError("No series is shown.")
    volume = state.answer.model is not None and state.answer.model.volume
    return Position(series, None if volume else state.view.slice, state.at)


def shows(state: ViewState, place: object) -> bool:
    """Whether a place is the one that is shown."""
    return state.view.series is not None and place == position_of(state)


def choice_of(state: ViewState) -> MethodChoice:
    """What a state asks for; the suggested layer by its name, so that it is one with the same by hand.

    Settings that are as the method has them by itself are left out, so that they are one with none.
    """
    item, model = state.chosen_method, state.answer.model
    layers = () if item is None or model is None else model.layers
    has_layer = item is None or "layer" in item.settings
    own = {} if item is None else item.settings
    changed = (
        pair for pair in state.request.settings.items() if pair[0] not in own or pair[1] != own[pair[0]]
    )
    settings = tuple(sorted((name, _text(value)) for name, value in changed))
    layer = state.request.layer or (layers[0] if layers else None)
    within = None if state.region is None else state.region.source
    return MethodChoice(state.request.method, settings, layer if has_layer else None, within)


def _text(value: object) -> str:
    """A value of a setting as text; 1 and 1.0 are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
