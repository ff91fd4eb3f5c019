"""Where in a stack the evidence lies."""

from collections.abc import Sequence

import numpy as np

from viewer.task import Task
from viewer.types import Attribution, Prediction, Sweep
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.store import Store
from viewer.ui.state import Place

_CHUNK = 8
"""Slices that are scored in one piece: a click waits for no more."""
_EDGE = 1e-6  # what a product of matrices leaves where there should be nothing


class SliceProfile:
    """The target's score slice by slice, or what a volume's map has in each, and the way to the peaks."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._visited: list[int] = []

    def rest(self) -> None:
        """Something more urgent comes."""
        self._jobs.cancel("profile")

    def leave(self) -> None:
        """Another series."""
        self.rest()
        self._visited.clear()

    def follow(self) -> None:
        """Another target: its scores, of what has been run."""
        if self._store.state.answer.model is not None and not self._store.state.answer.model.volume:
            self._store.note(profile=self._scores())

    def score_slices(self) -> None:
        """Fill in the target's score slice by slice, in small chunks that a click can overtake.

        Of sweeps only what the reader has asked for: each is many forwards.
        """
        state, model, series = self._store.state, self._maps.model, self._store.state.view.series
        single = state.answer.model is not None and not state.answer.model.volume
        if model is None or series is None or not single or series.shape[0] < 2:
            return
        number, at = state.view.number or 0, state.at
        self._store.show(profile=self._scores())
        near = sorted(range(series.shape[0]), key=lambda i: abs(i - state.view.slice))
        missing = [i for i in near if Place(number, i, at) not in self._maps.predictions][:_CHUNK]
        if not missing or isinstance(at, Sweep):
            return

        def work(task: Task) -> list[Prediction]:
            return list(model.predict([model.prepare(series, i, at) for i in missing], task))

        def done(found: list[Prediction]) -> None:
            self._maps.predictions |= {Place(number, i, at): p for i, p in zip(missing, found, strict=True)}
            self.score_slices()

        self._jobs.run("model", "profile", work, done, lambda _sentence: None)

    def _scores(self) -> tuple[float | None, ...]:
        """The target's score of every slice of the series, None where it has not been run."""
        state, target = self._store.state, self._store.state.request.target
        count = state.view.series.shape[0] if state.view.series is not None else 0
        number = state.view.number or 0
        found = (self._maps.predictions.get(Place(number, i, state.at_slice(i))) for i in range(count))
        return tuple(
            next((s.probability for s in p.scores if s.label == target), None) if p else None for p in found
        )

    def next_peak(self) -> int | None:
        """The slice with the strongest evidence not visited since the last round."""
        return next_peak(self._store.state.answer.profile, self._visited)


def volume_profile(attribution: Attribution) -> tuple[float, ...]:
    """The share of positive mass per source slice of a volume's map, adding up to 1 (or all 0)."""
    values = np.clip(attribution.values, 0, None)
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


def next_peak(profile: Sequence[float | None], visited: list[int]) -> int | None:
    """The middle of the hill with the highest peak not visited yet; after the last one it starts again.

    `visited` is changed: it keeps the peaks. Slices that have not been run count as nothing.
    """
    height = [-np.inf if v is None else v for v in profile]
    padded = [-np.inf, *height, -np.inf]
    peaks = [
        i for i, h in enumerate(height) if np.isfinite(h) and h > 0 and h >= padded[i] and h > padded[i + 2]
    ]
    if not peaks:
        return None
    left = [i for i in peaks if i not in visited]
    if not left:
        visited.clear()
        left = peaks
    best = max(left, key=lambda i: height[i])
    visited.append(best)
    return _middle(height, best)


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
