# SPDX-License-Identifier: Apache-2.0
"""Targets in words: a label, `top`, `all`, `A-B`, `LABEL@REGION`."""

from collections.abc import Callable

from viewer.errors import ExplainerError
from viewer.explain.regions import read_region
from viewer.models import Model
from viewer.types import Asked, Region, Series, Target


def read_targets(
    text: str,
    model: Model,
    series: Series,
    slice: int | None = None,
    region: Callable[[str], Region] | None = None,
) -> tuple[Asked, ...]:
    """The targets that a text names for a model; raises `ExplainerError` naming what is unknown.

    `region` reads what stands behind an @; without it that is a box on `slice`, or on the middle one.
    """

    def boxes(place: str) -> Region:
        middle = series.shape[0] // 2 if slice is None else slice
        return read_region(place, series, range(middle, middle + 1))

    if text == "top":
        return ("top",)
    if text == "all":
        return tuple(_target(label, model) for label in model.labels)
    if text in model.labels:
        return (_target(text, model),)
    for i in reversed(range(len(text))):  # a label may hold an @, and so may the name of a file
        if text[i] == "@" and text[:i] in model.labels:
            return (_target(text[:i], model, (region or boxes)(text[i + 1 :])),)
    itself = ""
    # A label may hold a minus itself, so every place where the text could be split is tried.
    for i, character in enumerate(text):
        first, second = text[:i].strip(), text[i + 1 :].strip()
        if character == "-" and first == second and first in model.labels:
            itself = first
        elif character == "-" and first in model.labels and second in model.labels:
            plain = model.card.output.activation == "none"
            pair = (model.labels.index(first), second, model.labels.index(second))
            return (Target(first, *pair, plain=plain),)
    if itself:
        raise ExplainerError(f"{itself!r} cannot be contrasted with itself: A-B wants two different labels.")
    known = ", ".join(model.labels[:12]) + (", …" if len(model.labels) > 12 else "")
    raise ExplainerError(
        f"The target {text!r} is not known; give top, all, A-B, or one of the labels: {known}."
    )


def _target(label: str, model: Model, region: Region | None = None) -> Target:
    plain = model.card.output.activation == "none"
    return Target(label, model.labels.index(label), region=region, plain=plain)
