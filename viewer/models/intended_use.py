# SPDX-License-Identifier: Apache-2.0
"""Whether a model was made for a series: what its card accepts, beside what the file states."""

from viewer.models.card import Card
from viewer.models.card_values import IntervalValues, WindowValues
from viewer.types import Series


def outside(card: Card, series: Series) -> str | None:
    """None, or why a series lies outside what a model was made for, in words.

    A fact that the file does not state (an absent body part or view) is no reason; see `unstated`.
    """
    for name, allowed, value in _intended(card, series):
        if value and value.upper() not in {a.upper() for a in allowed}:
            this = "a picture" if value == "picture" else value
            made_for = " or ".join(allowed)
            return f"The model {card.name} was made for {name} {made_for}, and this is {this}."
    if _wants_hounsfield(card, series) and series.display.unit != "HU":
        held = f"in {series.display.unit}" if series.display.unit else "not known to be that"
        return f"The model {card.name} wants Hounsfield units, and the values of this series are {held}."
    return None


def unstated(card: Card, series: Series) -> str | None:
    """None, or why nobody knows whether a model was made for a series: its card does not say what it
    accepts, or the file does not state what the card asks for."""
    facts = _intended(card, series)
    if not facts:
        return f"the card of {card.name} does not say which studies it accepts (accepts)."
    missing = [(name, allowed) for name, allowed, value in facts if not value]
    if not missing:
        return None
    made_for = " and ".join(f"{name} {' or '.join(allowed)}" for name, allowed in missing)
    names = " and no ".join(name for name, _ in missing)
    this = "a picture" if series.modality == "picture" else "the file"
    return f"{card.name} was made for {made_for}, and {this} states no {names}."


def _intended(card: Card, series: Series) -> list[tuple[str, tuple[str, ...], str]]:
    """What a card asks for: name, what is allowed, and what a series states."""
    accepts = card.accepts
    every = (
        ("modality", accepts.modality, series.modality),
        ("body part", accepts.body_part, series.body_part),
        ("view", accepts.view, series.view),
    )
    return [(name, allowed, value) for name, allowed, value in every if allowed is not None]


def _wants_hounsfield(card: Card, series: Series) -> bool:
    """Whether the card asks for them of CT: by their name, or as the window of a network for CT alone."""
    values, made_for = card.input.values, card.accepts.modality or ()
    interval = isinstance(values, IntervalValues) and values.from_ != "stored"
    windowed = (interval or isinstance(values, WindowValues)) and {a.upper() for a in made_for} == {"CT"}
    return series.modality == "CT" and (values == "hu" or windowed)
