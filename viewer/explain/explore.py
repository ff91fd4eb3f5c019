# SPDX-License-Identifier: Apache-2.0
"""The search for the best blocks: refined around those of a grid, and of a finer one where that is needed."""

import numpy as np

from viewer.explain.grid import Looked
from viewer.explain.half_width import Widths, fine_enough, finer, half_width
from viewer.explain.refine import LEAST_FORWARDS, refine
from viewer.task import Task
from viewer.types import BestBlock, Shape3, Swept

_LISTED = 8
"""The best blocks that are named."""
_EXPLAINED = 4
"""Of those, the ones whose map enters the blend."""
_DOING = "searching on a finer grid"


class Search:
    """What the blocks of a grid, and those around and between them, tell of one label.

    It depends on no other label that is asked about beside this one.
    """

    def __init__(self, looked: Looked, label: str, task: Task) -> None:
        """Look further than the blocks of the grid, which have been looked at: half as many blocks again, or
        `LEAST_FORWARDS` where the grid is small, and those of a finer grid where one is wished for."""
        self.label = label
        self._grid = self._first = looked.tiling
        self.looked = looked = looked.branch()
        self._widths: Widths = (None, None, None)
        self._best: list[Shape3] = []
        if not self._grid.wish.refine:
            self._best = self._highest()
            return
        self._refine()
        if self._grid.wish.finer and not fine_enough(self._grid, self._widths):
            self._grid = finer(self._grid, self._widths)
            times = len(self._grid) / len(self._first)
            task.announce(
                f"The network answers for {label} only near the middle of a block, so a finer grid of "
                f"{len(self._grid)} blocks is searched too: {times:.1f} times as many as the first."
            )
            looked.look(self._grid.offsets, _DOING)
            self._refine()

    def _refine(self) -> None:
        measuring = 4 * 2 * sum(size > 1 for size in self._grid.size)
        most = max(len(self._first) // 2, LEAST_FORWARDS) - measuring
        found = refine(self.looked, self._grid, self.label, most)[:_LISTED]
        self._best = [peak.offset for peak in found]
        floor = float(np.median(self.looked.values(self._first, self.label)))
        self._widths = half_width(self.looked, self._first, self.label, self._best[0], floor)
        # What was looked at to measure it may be higher still.
        top = max(self.looked.offsets, key=lambda one: self.looked.value(one, self.label))
        if self.looked.value(top, self.label) > self.looked.value(self._best[0], self.label):
            self._best = [top, *(one for one in self._best if self.looked.apart(one, top))]

    def _highest(self) -> list[Shape3]:
        """The best blocks of those that were looked at, kept apart, without a further forward."""
        found: list[Shape3] = []
        for offset in sorted(self.looked.offsets, key=lambda one: -self.looked.value(one, self.label)):
            if all(self.looked.apart(offset, other) for other in found):
                found.append(offset)
            if len(found) == _LISTED:
                break
        return found

    @property
    def off_grid(self) -> list[Shape3]:
        """The first of the best blocks, without those of the first grid."""
        grid = set(self._first.offsets)
        return [one for one in self._best[:_EXPLAINED] if one not in grid]

    def swept(self, weighted: bool) -> Swept:
        """What is known; `weighted` says whether the map is blended by the score."""
        grid, enough = self._grid, fine_enough(self._grid, self._widths)
        return Swept(
            label=self.label,
            count=len(self.looked.offsets),
            grid=len(grid),
            size=grid.size,
            stride=grid.stride,
            best=tuple(map(self._block, self._best)),
            refined=grid.wish.refine,
            half_width=self._widths,
            finer=0 if enough else len(finer(grid, self._widths)),
            weighted=weighted,
        )

    def _block(self, offset: Shape3) -> BestBlock:
        prediction = self.looked.prediction(offset)
        return BestBlock(prediction.score(self.label), prediction.input.field)
