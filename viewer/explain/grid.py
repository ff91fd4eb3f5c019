# SPDX-License-Identifier: Apache-2.0
"""Where blocks of a sweep lie, what the network said of each, and which of them are local maxima."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from viewer.models import Model
from viewer.models.tiling import Tiling
from viewer.task import Subtask, Task
from viewer.types import ModelInput, Prediction, Shape3

APART = 0.5
"""Of best blocks nearer to each other than this share of a block along every axis, one is named."""


class Looked:
    """The blocks of one input that a network has been shown, each once, in the order in which it was.

    A `branch` looks further on its own, with what others have been told at hand: what it finds, and how many
    blocks that took, do not depend on them.
    """

    def __init__(
        self, model: Model, tiling: Tiling, task: Task, batch: int = 16, override: str | None = None
    ) -> None:
        self.tiling = tiling
        self.offsets: dict[Shape3, None] = {}
        """The first pixel of every block that was looked at, in this order."""
        self._told: dict[Shape3, Prediction] = {}
        self._model, self._task, self._batch, self._override = model, task, batch, override
        self._softmax = model.card.output.activation == "softmax"

    def branch(self) -> "Looked":
        """The same so far."""
        other = Looked(self._model, self.tiling, self._task, self._batch, self._override)
        other.offsets, other._told = dict(self.offsets), self._told
        return other

    def put(self, offsets: Iterable[Shape3], predictions: Iterable[Prediction]) -> None:
        """Take over what the network has said of blocks already."""
        found = dict(zip(offsets, predictions, strict=True))
        self._told |= found
        self.offsets |= dict.fromkeys(found)

    def look(self, offsets: Iterable[Shape3], doing: str) -> None:
        """Show the network those of these blocks that it has not been shown."""
        wanted = dict.fromkeys(offsets)
        new = [offset for offset in wanted if offset not in self._told]
        if new:
            inputs: list[ModelInput] = [self.tiling.at(offset) for offset in new]
            task = _Named(self._task, doing)
            self.put(new, self._model.predict(inputs, task, self._batch, self._override))
        self.offsets |= wanted

    def prediction(self, offset: Shape3) -> Prediction:
        """What the network says of a block that it has been shown."""
        return self._told[offset]

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The same of every block."""
        return tuple(self._told[offset] for offset in self.offsets)

    def value(self, offset: Shape3, label: str) -> float:
        """What speaks for a label in a block: its logit; of classes that share one score, its log odds."""
        scores = self._told[offset].scores
        own = next(s.logit for s in scores if s.label == label)
        if not self._softmax or len(scores) == 1:
            return own
        others = np.array([s.logit for s in scores if s.label != label])
        return float(own - others.max() - np.log(np.exp(others - others.max()).sum()))

    def values(self, tiling: Tiling, label: str) -> NDArray[np.float64]:
        """The same of every block of a grid, as many along each axis as it has."""
        found = [self.value(offset, label) for offset in tiling.offsets]
        return np.array(found).reshape([len(starts) for starts in tiling.starts])

    def within(self, offset: Sequence[float]) -> Shape3:
        """The block nearest to this first pixel that lies in the input."""
        ends = (n - size for n, size in zip(self.tiling.whole.shape, self.tiling.size, strict=True))
        return tuple(min(max(round(o), 0), end) for o, end in zip(offset, ends, strict=True))  # type: ignore[return-value]

    def apart(self, one: Shape3, other: Shape3, share: float = APART) -> bool:
        """Whether two blocks lie at least this share of a block apart along one axis."""
        sides = zip(one, other, self.tiling.size, strict=True)
        return any(abs(a - b) >= share * size for a, b, size in sides if size > 1)


def maxima(values: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """The places of a grid of which no neighbour along an axis is higher; the highest first.

    Diagonal neighbours do not count: a finding diagonally beside a brighter one has a place of its own.
    """
    padded = np.pad(values, 1, constant_values=-math.inf)
    inner = [slice(1, -1)] * values.ndim
    highest = np.full_like(values, -math.inf)
    for axis in range(values.ndim):
        for ends in (slice(None, -2), slice(2, None)):
            beside = tuple(ends if i == axis else own for i, own in enumerate(inner))
            highest = np.maximum(highest, padded[beside])
    found = [tuple(int(i) for i in place) for place in np.argwhere(values >= highest)]
    return sorted(found, key=lambda place: -float(values[place]))


def middle_of_rise(
    values: NDArray[np.float64], place: Sequence[int], starts: Sequence[Sequence[int]]
) -> list[float]:
    """Where between the blocks of a grid the top of a maximum should lie, as a first pixel.

    Along each axis it is the middle of what a place and its two neighbours rise above the lowest of them.
    """
    found = []
    for axis, here in enumerate(place):
        some = slice(max(here - 1, 0), here + 2)
        line = values[tuple(some if i == axis else at for i, at in enumerate(place))]
        rise = line - line.min()
        along = np.array(starts[axis][some])
        found.append(float((rise * along).sum() / rise.sum()) if rise.any() else float(starts[axis][here]))
    return found


class _Named(Subtask):
    """A task whose work is called by one name, whatever does it."""

    def __init__(self, whole: Task, doing: str) -> None:
        super().__init__(whole)
        self._doing = doing

    def progress(self, done: int, total: int, doing: str) -> None:
        self.whole.progress(done, total, self._doing)
