# SPDX-License-Identifier: Apache-2.0
"""Between which numbers the pixels lie that a card hands to its network, and what is odd about them."""

import numpy as np
from numpy.typing import NDArray

from viewer.models.card import Input
from viewer.models.card_values import IntervalValues, RangeValues

_HOUNSFIELD = (-1000.0, 1000.0)
"""Air, and what is denser than most of the body."""
_FAR = 20.0
"""What lies further than this from 0 is nothing that a mean was taken from and a deviation divided by."""
_NARROW = 0.1


def target(card: Input) -> tuple[float, float]:
    """What pixels are brought to before clip, mean and std; of Hounsfield units, those of the body."""
    if isinstance(card.values, RangeValues):
        return card.values.range
    if isinstance(card.values, IntervalValues):
        return card.values.to
    return _HOUNSFIELD if card.values == "hu" else (0.0, 1.0)


def interval(card: Input) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest pixel of each channel, (channels,), after clip, mean and std."""
    ends = np.sort(np.array(target(card), float))
    if card.clip is not None:
        ends = np.array(card.clip, float) if card.values == "hu" else np.clip(ends, *card.clip)
    mean = np.zeros(card.channels) + (0.0 if card.mean is None else np.array(card.mean, float))
    std = np.ones(card.channels) * (1.0 if card.std is None else np.array(card.std, float))
    return (ends[0] - mean) / std, (ends[1] - mean) / std


def remark(card: Input) -> str | None:
    """None, or why values do not go with mean and std: pixels then leave what a network is trained on.

    What a network was trained on is not known; that a mean and a deviation are of other numbers is.
    """
    if card.mean is None and card.std is None:
        return None
    low, high = interval(card)
    reach, span = float(max(np.abs(low).max(), np.abs(high).max())), float((high - low).max())
    ends = f"With the card's mean and std, pixels reach from {low.min():.4g} to {high.max():.4g}"
    first, last = target(card)
    if reach > _FAR:
        meant = (
            "range is what pixels are brought to; if it was meant of the image, write values: "
            f"{{from: [{first:g}, {last:g}], to: [0, 1]}}"
            if isinstance(card.values, RangeValues)
            else "write in values from which numbers to which they go, {from: [LOW, HIGH], to: [0, 1]}"
        )
        return f"{ends}, where they should be near 0: {meant}."
    if span < _NARROW:
        return (
            f"{ends} alone, as if these were of larger numbers: write in values to which they go, e.g. "
            "{from: stored, to: [0, 255]}."
        )
    return None
