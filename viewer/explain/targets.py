"""Targets in words: a label, `top`, `all`, `A-B`, `LABEL@ROW,COLUMN,ROW,COLUMN`."""

from viewer.errors import ExplainerError
from viewer.explain.probe import Wish
from viewer.models import Model
from viewer.types import Region, Series, Target


def read_targets(text: str, model: Model, series: Series, slice: int | None = None) -> tuple[Wish, ...]:
    """The targets that a text names for a model; raises `ExplainerError` naming what is unknown.

    A region is a box on `slice`: first row, first column, last row, last column.
    """
    if text == "top":
        return ("top",)
    if text == "all":
        return tuple(_target(label, model) for label in model.labels)
    if text in model.labels:
        return (_target(text, model),)
    label, at, place = text.rpartition("@")
    if at and label in model.labels:
        return (_target(label, model, _box(place, series, slice)),)
    # A label may hold a minus itself, so every place where the text could be split is tried.
    for i, character in enumerate(text):
        first, second = text[:i].strip(), text[i + 1 :].strip()
        if character == "-" and first in model.labels and second in model.labels:
            plain = model.card.output.activation == "none"
            pair = (model.labels.index(first), second, model.labels.index(second))
            return (Target(first, *pair, plain=plain),)
    known = ", ".join(model.labels[:12]) + (", …" if len(model.labels) > 12 else "")
    raise ExplainerError(
        f"The target {text!r} is not known; give top, all, A-B, or one of the labels: {known}."
    )


def _target(label: str, model: Model, region: Region | None = None) -> Target:
    plain = model.card.output.activation == "none"
    return Target(label, model.labels.index(label), region=region, plain=plain)


def _box(text: str, series: Series, slice: int | None) -> Region:
    try:
        top, left, bottom, right = (int(part) for part in text.split(","))
    except ValueError:
        raise ExplainerError(
            f"The region {text!r} is not a box; write FIRST ROW,FIRST COLUMN,LAST ROW,LAST COLUMN."
        ) from None
    rows, columns = series.shape[1:]
    if not (0 <= top <= bottom < rows and 0 <= left <= right < columns):
        raise ExplainerError(f"The box {text} does not lie in the image of {rows} × {columns} pixels.")
    where = series.shape[0] // 2 if slice is None else slice
    return Region.box(series, where, (top, left, bottom, right), f"box {text}")
