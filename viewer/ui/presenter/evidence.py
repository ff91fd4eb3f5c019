# SPDX-License-Identifier: Apache-2.0
"""The evidence per slice: the target's scores, or the shares of a volume's map, and where it peaks."""

from collections.abc import Callable, Sequence

import numpy as np

from viewer.types import Attribution
from viewer.ui.presenter.maps import Maps
from viewer.ui.state import Position, ViewState

_EDGE = 1e-6  # what a product of matrices leaves where there should be nothing


def scores(state: ViewState, maps: Maps) -> tuple[float | None, ...]:
    """The target's score of every slice of the shown series, None where it has not been run.

    Nothing of a single slice.
    """
    series, target = state.view.series, state.request.target
    if series is None or series.shape[0] < 2:
        return ()
    found = [maps.prediction(Position(series, i, state.at_slice(i))) for i in range(series.shape[0])]
    if not any(found):
        return ()
    return tuple(
        next((s.probability for s in p.scores if s.label == target), None) if p else None for p in found
    )


def volume_profile(attribution: Attribution) -> tuple[float, ...]:
    """The share of positive mass per source slice of a volume's map, adding up to 1 (or all 0)."""
    values = np.clip(attribution.values, 0, None)
    if attribution.shows_nothing:
        values = np.zeros_like(values)
    across = attribution.matrix[0]  # of the source slices, per native cell along each axis
    main = int(np.argmax(np.abs(across[:3])))
    others = tuple(axis for axis in range(3) if axis != main)
    slices = np.arange(attribution.series.shape[0])[:, None]
    # A native cell spreads over the slices between its neighbours, as its picture does.
    reach = max(1.0, float(np.abs(across[main])))
    if all(abs(across[axis]) * values.shape[axis] < _EDGE for axis in others):
        values = values.sum(axis=others, keepdims=True)  # a whole plane of cells lies in one place
    planes = np.moveaxis(values, main, 0)
    offset = np.add.outer(*(across[axis] * np.arange(values.shape[axis]) for axis in others))
    mass = np.zeros(len(slices))
    for number, plane in enumerate(planes):
        place = across[main] * number + across[3] + offset
        weight = np.clip(1 - np.abs(slices - place.ravel()) / reach, 0, None)
        mass += weight @ plane.ravel()
    total = float(mass.sum())
    return tuple(float(m) for m in (mass / total if total > 0 else mass))


def next_peak(
    profile: Sequence[float | None], visited: list[int], drawn: Callable[[int], bool] | None = None
) -> int | None:
    """The middle of the hill with the highest peak not visited yet; after the last one it starts again.

    `visited` is changed: it keeps the peaks. Slices that have not been run count as nothing. Where nothing is
    `drawn` in the middle it is the peak itself, and a hill with neither is passed by; where that leaves none,
    it is the highest slice on which something is drawn.
    """
    height = [-np.inf if v is None else v for v in profile]
    padded = [-np.inf, *height, -np.inf]
    peaks = [
        i for i, h in enumerate(height) if np.isfinite(h) and h > 0 and h >= padded[i] and h > padded[i + 2]
    ]
    left = [i for i in peaks if i not in visited]
    for round in (left, peaks):  # the second begins again
        for best in sorted(round, key=lambda i: -height[i]):
            places = (_middle(height, best), best)
            place = next((one for one in places if drawn is None or drawn(one)), None)
            if place is not None:
                visited[:] = [*(visited if round is left else ()), best]
                return place
    if drawn is None:
        return None
    # The slices beside the peaks are left: looking at all of a volume takes long, and is seldom needed.
    return next_peak([v if v and drawn(i) else None for i, v in enumerate(profile)], visited)


def _middle(height: Sequence[float], peak: int) -> int:
    """The centre of mass of what rises above half the height of a peak, up to the next valley.

    The cells of a volume's map are often thicker than its slices: then a peak lies in the middle of a
    cell, or at the end of a plateau, and only the neighbours tell where between the cells the finding is.
    """
    foot = height[peak] / 2
    first = last = peak
    while first > 0 and foot < height[first - 1] <= height[first]:
        first -= 1
    while last < len(height) - 1 and foot < height[last + 1] <= height[last]:
        last += 1
    hill = np.arange(first, last + 1)
    return round(float(np.average(hill, weights=np.asarray(height[first : last + 1]) - foot)))
