# SPDX-License-Identifier: Apache-2.0
"""How far a block may be moved from where the network's answer is highest until half of its rise is gone.

It is measured on the data, along each axis to both sides, and says whether a grid is fine enough: of a
finding midway between its blocks the network must still show a good part.
"""

import math

import numpy as np

from viewer.explain.grid import Looked
from viewer.models.tiling import Tiling
from viewer.types import Shape3
from viewer.types.swept import least_share

DOING = "measuring how near the middle of a block the network wants a finding"
_HALVINGS = 4
LEAST = 0.2
"""The share of its rise that a finding midway between blocks must show, for a grid to be fine enough."""
ENOUGH = 5 / 3
"""The step of a grid that is, in half-widths: midway between blocks of a volume 24 % of a rise are left."""
_STEPS = 8
"""Half a block is looked at in so many steps."""
Widths = tuple[float | None, float | None, float | None]


def half_width(looked: Looked, tiling: Tiling, label: str, best: Shape3, floor: float) -> Widths:
    """The half-width along each axis, as a share of the block's side, at most 0.5.

    `floor` is what the score rises from. None along an axis without room to move, and along all where the
    block does not rise.
    """
    top = looked.value(best, label)
    half = floor + (top - floor) / 2
    if not top > floor:
        return (None, None, None)
    low = dict.fromkeys(_sides(looked, best), 0)
    high = dict.fromkeys(low, _STEPS + 1)
    for _ in range(_HALVINGS):  # halving what is left between what holds and what does not
        tried = {side: (low[side] + high[side]) // 2 for side in low if high[side] - low[side] > 1}
        looked.look((_moved(looked, best, side, step) for side, step in tried.items()), DOING)
        for side, step in tried.items():
            holds = looked.value(_moved(looked, best, side, step), label) >= half
            (low if holds else high)[side] = step
    found: list[float | None] = []
    for axis in range(3):
        own = [_crossing(looked, label, best, side, low[side], half) for side in low if side[0] == axis]
        found.append(float(np.mean(own)) if own else None)
    return (found[0], found[1], found[2])


def _sides(looked: Looked, best: Shape3) -> list[tuple[int, int]]:
    """(axis, direction) in which a block can be moved by half its side."""
    shape, size = looked.tiling.whole.shape, looked.tiling.size
    sides = [(axis, sign) for axis in range(3) for sign in (-1, 1) if size[axis] > 1]
    reach = {1: [n - s - b for n, s, b in zip(shape, size, best, strict=True)], -1: list(best)}
    return [(axis, sign) for axis, sign in sides if reach[sign][axis] >= math.ceil(size[axis] / 2)]


def _moved(looked: Looked, best: Shape3, side: tuple[int, int], step: int) -> Shape3:
    axis, sign = side
    far = sign * step / (2 * _STEPS) * looked.tiling.size[axis]
    return looked.within([o + (far if i == axis else 0) for i, o in enumerate(best)])


def _crossing(
    looked: Looked, label: str, best: Shape3, side: tuple[int, int], low: int, half: float
) -> float:
    """Where the rise is halved, between the last step that holds and the next, ÷ the side of a block."""
    ends = [_moved(looked, best, side, step) for step in (low, low + 1)]
    if low == _STEPS or ends[1] not in looked.offsets:
        return 0.5
    places = [abs(end[side[0]] - best[side[0]]) / looked.tiling.size[side[0]] for end in ends]
    above, below = (looked.value(end, label) - half for end in ends)
    share = above / (above - below) if above > below else 0.0
    return min(places[0] + share * (places[1] - places[0]), 0.5)


def fine_enough(tiling: Tiling, widths: Widths) -> bool:
    """Whether a finding midway between the blocks of a grid shows enough; also where that is not known."""
    least = least_share(tiling.stride, tiling.size, widths)
    return least is None or least >= LEAST


def finer(tiling: Tiling, widths: Widths) -> Tiling:
    """A grid over the same input that is fine enough for a network with these half-widths."""
    overlap = []
    for stride, size, width in zip(tiling.stride, tiling.size, widths, strict=True):
        own = stride / size
        step = own if width is None or not stride else min(own, ENOUGH * width)
        overlap.append(1 - max(step, 1 / size))
    return tiling.finer(overlap)
