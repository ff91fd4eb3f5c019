# SPDX-License-Identifier: Apache-2.0
"""What of a map is drawn: its range, its threshold, its signs, and whether there is anything to draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.types import Array, Attribution, DerivedMap, Map, Sign, Style

DIVERGING = "blue-white-red"
NAMES = ("inferno", "viridis", "grey", DIVERGING)

POSITIVE_THRESHOLD = 0.2
"""Share of the top blanked in a positive map: ReLU'd and smooth maps have a faint skirt everywhere."""
SIGNED_THRESHOLD = 0.1
"""Likewise for signed maps, lower because their evidence splits over both signs."""
PEAKED_CELLS = 64
"""From this width a map may be so peaked that its largest cell would make the rest invisible."""
PEAKED_PERCENTILE = 99.5
NO_EVIDENCE = 1e-6
"""Below this share of the largest size or the largest logit, a largest value is rounding, not evidence."""


def shown_range(style: Style) -> tuple[float, float]:
    """The values at the ends of the colour table, of an automatic range and of a reader's alike.

    Symmetric about zero where both signs are shown, so that zero is the middle of the table. Else from zero
    at least, as nothing below is drawn; a range that holds nothing which could be drawn counts by its size.
    """
    low, high = style.range
    if style.sign != "signed" and high > 0:
        return max(low, 0.0), high
    high = max(abs(low), abs(high))
    return (-high if style.sign == "signed" else 0.0), high


def restyled(style: Style, changes: Mapping[str, Any]) -> Style:
    """The same with other fields; another sign brings the table that suits it, unless one is named.

    White must be zero where both signs are shown, and there is no zero in the middle of one sign.
    """
    sign = changes.get("sign")
    if sign is not None and "colours" not in changes and (sign == "signed") != (style.colours == DIVERGING):
        changes = {**changes, "colours": DIVERGING if sign == "signed" else NAMES[0]}
    return replace(style, **changes)


def visible(values: Array, style: Style) -> NDArray[np.bool_]:
    """Where values are drawn at all: finite, of a shown sign, not below the threshold."""
    shown = values if style.sign == "positive" else np.abs(values)
    # A comparison with NaN is False, and an infinity is no finding.
    return np.asarray((shown >= max(style.threshold, 0.0)) & np.isfinite(values))


def automatic_style(maps: Sequence[Map], sign: Sign | None = None) -> Style:
    """One style for all these maps, so that slices and labels of one method compare.

    `sign` is what is drawn of them, None for what suits their method. The top is the largest value of that,
    or for maps of at least `PEAKED_CELLS` cells a side the 99.5th percentile of each, the largest of those.
    Where nothing is above rounding it is 1, in which nothing is drawn: noise is not stretched to fill the
    colours.
    """
    sign = sign or ("signed" if any(shows_both_signs(m) for m in maps) else "positive")
    both = sign != "positive"
    top = max((_top(m, both) for m in maps if not blank(m, both)), default=0.0) or 1.0
    threshold = (SIGNED_THRESHOLD if both else POSITIVE_THRESHOLD) * top
    if sign == "signed":
        return Style(DIVERGING, (-top, top), threshold=threshold, sign=sign)
    return Style(NAMES[0], (0.0, top), threshold=threshold, sign=sign)


def shows_nothing(map: Map) -> bool:
    """Whether nothing of a map is drawn, whatever its range: it speaks of too little, or is made of such."""
    made = map.parents if isinstance(map, DerivedMap) else (map,)
    return any(isinstance(one, Attribution) and one.shows_nothing for one in made)


def as_drawn(map: Map, values: Array) -> Array:
    """Values of a map as they are drawn: none of them where it shows nothing. The one place that says so."""
    return np.full_like(values, np.nan) if shows_nothing(map) else values


def blank(map: Map, signed: bool) -> bool:
    """Whether a map has nothing to draw, of both signs or of the positive one."""
    if shows_nothing(map):
        return True
    return no_evidence(map) if signed else no_positive_evidence(map)


def quantity_style(map: Map) -> Style:
    """The style of a map that came with the study: low values mean as much as high ones, so none are blank.

    Only of both signs those about zero are, where the colours are white. The range ends at zero, unless all
    values lie far from it.
    """
    finite = map.values[np.isfinite(map.values)]
    lowest = float(finite.min(initial=0.0)) if finite.size else 0.0
    if lowest < 0:
        top = _top(map, signed=True) or 1.0
        return Style(DIVERGING, (-top, top), threshold=SIGNED_THRESHOLD * top, sign="signed")
    low, top = (float(finite.min()) if finite.size else 0.0), _top(map, signed=False) or 1.0
    return Style(NAMES[0], (low if low > top / 2 and low < top else 0.0, top))


def shows_both_signs(map: Map) -> bool:
    """Whether evidence against is meant to be shown: the method is signed and asks for it."""
    if not isinstance(map, Attribution):
        return bool(np.nanmin(map.values, initial=0.0) < 0)
    method = map.explainer
    return method.signed and getattr(method, "display_sign", "positive") == "signed"


def _shown(map: Map, signed: bool) -> Array:
    finite = map.values[np.isfinite(map.values)]
    return np.abs(finite) if signed else np.clip(finite, 0, None)


def _top(map: Map, signed: bool) -> float:
    shown = _shown(map, signed)
    if shown.size == 0:
        return 0.0
    highest = float(shown.max())
    if min(map.values.shape[1:]) < PEAKED_CELLS:
        return highest
    # A sparse map may be zero at that percentile; its largest value then is all there is to show.
    return float(np.percentile(shown, PEAKED_PERCENTILE)) or highest


def clipped(map: Map, style: Style) -> tuple[int, int, int]:
    """How many cells lie below and above a range, drawn in the colours of its ends; of how many.

    Only cells count that could be drawn: of a shown sign and not zero, which most cells of a sparse map are.
    """
    low, high = shown_range(style)
    values = np.abs(map.values) if style.sign == "magnitude" else map.values
    some = np.isfinite(values) & ((values != 0) if style.sign == "signed" else (values > 0))
    below = some & (values < low) & visible(map.values, style)
    return int(below.sum()), int((some & (values > high)).sum()), int(some.sum())


def no_positive_evidence(map: Map) -> bool:
    """Whether nothing in the map speaks for the target; its picture says so and stretches no noise."""
    low, high = _ends(map)
    if isinstance(map, Attribution) and map.evidence is not None and map.evidence.negligible_positive:
        return True
    return high <= max(NO_EVIDENCE * max(high, -low), rounding(map))


def no_evidence(map: Map) -> bool:
    """Whether no value of the map, of either sign, can be told from rounding; nothing of it is drawn then."""
    low, high = _ends(map)
    return max(high, -low) <= rounding(map)


def rounding(map: Map) -> float:
    """The size up to which values in logits may be what float32 leaves of the largest logit; else 0.

    Of values in another unit it is not known what they are rounded from.
    """
    if not isinstance(map, Attribution) or map.unit != "logit":
        return 0.0
    logits = [abs(score.logit) for said in map.predictions for score in said.scores]
    return NO_EVIDENCE * max((one for one in logits if math.isfinite(one)), default=0.0)


def _ends(map: Map) -> tuple[float, float]:
    """The smallest and the largest finite value, or zero."""
    low, high = (float(end(map.values, initial=0.0)) for end in (np.min, np.max))
    if not (math.isfinite(low) and math.isfinite(high)):  # rare, and finding what is finite takes long
        finite = map.values[np.isfinite(map.values)]
        low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    return low, high
