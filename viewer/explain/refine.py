# SPDX-License-Identifier: Apache-2.0
"""From the best blocks of a grid to the best blocks there are: steps are halved until no score rises.

A network that answers only where a finding is near the middle of its block gives less, or nothing, half a
step away. Each local maximum of the grid is moved to the middle of what it and its neighbours rise, then
step by step along each axis (a pattern search, Hooke and Jeeves, J. ACM 1961, with the vertex of a parabola
through the steps as its pattern move). Local maxima stay apart, and no block is shown twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from viewer.explain.grid import APART, Looked, maxima, middle_of_rise
from viewer.models.tiling import Tiling
from viewer.types import Shape3

DOING = "refining around the best blocks"
MOST = 12
"""Local maxima that are refined to the end."""
LEAST_FORWARDS = 64
"""What a refinement may always take, however small the grid."""
_GUESSES = 1 / 4
"""Of what a refinement may take, the part for maxima of the grid that may not be refined further."""
_GAIN = 0.01
"""A round that adds less than this share of what a block rises above the grid's median is the last ..."""
_ONE = 1 / 8
"""While they move, peaks nearer than this share of a block along every axis are one: a finding beside a
brighter thing keeps a peak of its own."""
_SMALL = 1 / 16
"""... once the step is no larger than this share of a block."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A local maximum: the block, what speaks for the label there, and the step that comes next."""

    offset: Shape3
    value: float
    step: tuple[float, ...]
    done: bool = False


def refine(looked: Looked, tiling: Tiling, label: str, most: int) -> list[Peak]:
    """The best blocks around the local maxima of a grid whose blocks have been looked at, the best first.

    It takes at most `most` forwards. Every two are half a block apart along one axis at least.
    """
    values, before = looked.values(tiling, label), len(looked.offsets)
    floor = float(np.median(values))
    step = tuple(_first_step(s, n) for s, n in zip(tiling.stride, tiling.size, strict=True))
    places = maxima(values)[: max(1, int(most * _GUESSES))]
    starts = [tuple(tiling.starts[axis][i] for axis, i in enumerate(place)) for place in places]
    guesses = [looked.within(middle_of_rise(values, place, tiling.starts)) for place in places]
    looked.look(guesses[: max(0, most)], DOING)
    peaks = [
        _best(looked, label, Peak(start, looked.value(start, label), step), [guess])  # type: ignore[arg-type]
        for start, guess in zip(starts, guesses, strict=True)
    ]
    peaks = _kept_apart(looked, peaks)
    live, rest = peaks[:MOST], peaks[MOST:]
    while True:
        left = most - (len(looked.offsets) - before)
        going = [peak for peak in live if not peak.done]
        cost = 1 + 2 * sum(size > 1 for size in tiling.size)
        going = going[: left // cost]
        if not going:
            break
        stayed = [peak for peak in live if peak not in going]
        live = _kept_apart(looked, [*_round(looked, label, going, floor), *stayed])
    return _polished(looked, label, _kept_apart(looked, [*live, *rest]), before + most)


def _polished(looked: Looked, label: str, peaks: list[Peak], most: int) -> list[Peak]:
    """The same, the best moved pixel by pixel until none of its neighbours, diagonal ones among them, is
    higher, as far as forwards last."""
    best = peaks[0]
    moves = [
        m for m in product((-1, 0, 1), repeat=3) if all(s or not d for s, d in zip(best.step, m, strict=True))
    ]
    while len(looked.offsets) + len(moves) <= most:
        around = [looked.within([o + d for o, d in zip(best.offset, m, strict=True)]) for m in moves]
        looked.look(around, DOING)
        found = _best(looked, label, best, around)
        if found.offset == best.offset:
            break
        best = found
    return _kept_apart(looked, [best, *peaks[1:]], APART)


def _first_step(stride: int, size: int) -> float:
    """A quarter of the grid's; where there is one block along an axis, there is nowhere to go."""
    return max(1.0, stride / 4) if stride else 0.0


def _round(looked: Looked, label: str, peaks: list[Peak], floor: float) -> list[Peak]:
    """Each peak once to either side along each axis, then to the vertex of what was found."""
    around = [_around(looked, peak) for peak in peaks]
    looked.look((one for some in around for one in some), DOING)
    vertices = [_vertex(looked, label, peak) for peak in peaks]
    looked.look(vertices, DOING)
    result = []
    for peak, some, vertex in zip(peaks, around, vertices, strict=True):
        best = _best(looked, label, peak, [*some, vertex])
        gain, rise = best.value - peak.value, max(best.value - floor, 1e-12)
        far = any(abs(a - b) >= s > 0 for a, b, s in zip(best.offset, peak.offset, peak.step, strict=True))
        small = all(s <= max(1, _SMALL * n) for s, n in zip(peak.step, looked.tiling.size, strict=True))
        step = peak.step if far and gain > 0 else tuple(s and max(1.0, s / 2) for s in peak.step)
        still = gain <= 0 and step == peak.step
        result.append(replace(best, step=step, done=still or (small and gain < _GAIN * rise)))
    return result


def _around(looked: Looked, peak: Peak) -> list[Shape3]:
    """The blocks a step away along each axis."""
    found = []
    for axis, step in enumerate(peak.step):
        found += [_moved(looked, peak.offset, axis, sign * step) for sign in (-1, 1)]
    return [one for one in found if one != peak.offset]


def _moved(looked: Looked, offset: Shape3, axis: int, step: float) -> Shape3:
    return looked.within([o + (step if i == axis else 0) for i, o in enumerate(offset)])


def _vertex(looked: Looked, label: str, peak: Peak) -> Shape3:
    """The vertex of a parabola through a peak and its two neighbours, along each axis; never more than a
    step away. Where they do not bend downward, it is the higher neighbour."""
    moved = list(map(float, peak.offset))
    for axis, step in enumerate(peak.step):
        if not step:
            continue
        ends = [_moved(looked, peak.offset, axis, sign * step) for sign in (-1, 1)]
        low, high = (looked.value(end, label) for end in ends)
        bend = low + high - 2 * peak.value
        even = peak.offset[axis] - ends[0][axis] == ends[1][axis] - peak.offset[axis]
        if bend < 0 and even:
            moved[axis] += float(np.clip((low - high) / (2 * bend), -1, 1)) * step
        elif max(low, high) > peak.value:
            moved[axis] = ends[int(high > low)][axis]
    return looked.within(moved)


def _best(looked: Looked, label: str, peak: Peak, offsets: Iterable[Shape3]) -> Peak:
    """The same at the best of these blocks, or where it is."""
    known = [one for one in offsets if one in looked.offsets]
    best = max([peak.offset, *known], key=lambda one: looked.value(one, label))
    return replace(peak, offset=best, value=looked.value(best, label))


def _kept_apart(looked: Looked, peaks: Iterable[Peak], share: float = _ONE) -> list[Peak]:
    """The peaks with the highest values, none of them near a higher one."""
    kept: list[Peak] = []
    for peak in sorted(peaks, key=lambda one: -one.value):
        if all(looked.apart(peak.offset, other.offset, share) for other in kept):
            kept.append(peak)
    return kept
