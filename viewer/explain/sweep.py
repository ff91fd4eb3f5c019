# SPDX-License-Identifier: Apache-2.0
"""Explaining a network that reads blocks (patches) all over an image: searched, and their maps blended.

First the blocks of an even grid go through the network, each once: its score and its map come out of one
forward. Then the best of them are refined (`viewer.explain.refine`), and where the network is found to
answer too near the middle of a block for this grid (`viewer.explain.half_width`), a finer one follows if
that is wished for; there, scores are asked for alone. The best blocks are explained like those of the grid.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from viewer.errors import ExplainerError
from viewer.explain.blend import LEAST_WEIGHT, Blend
from viewer.explain.explainer import Explainer
from viewer.explain.explore import Search
from viewer.explain.grid import Looked
from viewer.explain.run import Assignment, Explained, Outcome, outcome, suited
from viewer.models import Model
from viewer.models.tiling import Tiling
from viewer.task import Subtask, Task
from viewer.types import Asked, Attribution, ModelInput, Prediction, Region, Shape3, Target

_MOST_BYTES = 2**31
"""What the maps of one sweep may take together."""
_DOING = "sweeping patches"


def sweep(
    model: Model,
    tilings: Iterable[Tiling],
    methods: Sequence[Explainer],
    wishes: Sequence[Asked] = ("top",),
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
    within: Region | None = None,
    features: Sequence[Region] = (),
) -> Explained:
    """Predict and explain every patch; one attribution for each tiling, method and target.

    "top" is the label with the highest score in any patch of a tiling. Where a method cannot explain a
    patch, such as one that no gradient passes, its map counts as zero there, and `refused` says of how many.
    The predictions are those of the grid, then of all other blocks that were looked at.
    """
    assignments = [Assignment(m, tuple(wishes), within, tuple(features)) for m in methods]
    return swept(model, tilings, assignments, task, batch, override).explained(assignments)


def swept(
    model: Model,
    tilings: Iterable[Tiling],
    assignments: Sequence[Assignment],
    task: Task | None = None,
    batch: int = 16,
    override: str | None = None,
) -> Outcome:
    """Predict every patch and carry out assignments on each, all of them on one forward a batch; see `sweep`.

    An input of the outcome is a tiling, and what stands in `refused` may be said of some patches of a map.
    Without assignments patches are predicted, and the best of them found.
    """
    task = task or Task()
    whole = Outcome((), {}, {})
    maps: dict[int, list[tuple[int, int, Attribution]]] = {}
    for number, tiling in enumerate(tilings):
        chosen = _chosen(model, tiling, assignments, task, batch)
        found = _Swept(model, tiling, chosen, task, batch, override).outcome()
        for i, some in found.maps.items():
            maps.setdefault(i, []).extend((row, number, one) for row, _, one in some)
        whole = Outcome(
            whole.predictions + found.predictions, maps, dict(found.refused) | dict(whole.refused),
            whole.swept + found.swept,
        )  # fmt: skip
    return whole


def _chosen(
    model: Model, tiling: Tiling, assignments: Sequence[Assignment], task: Task, batch: int
) -> Sequence[Assignment]:
    """The assignments with targets that are the same for every patch.

    Which of several labels has the highest score is known once all patches have been predicted.
    """

    def left_open(one: Assignment) -> bool:
        return one.method.target_dependent and "top" in one.wishes

    if not any(map(left_open, assignments)):
        return assignments
    top = model.labels[0]
    if len(model.labels) > 1:
        top = _leading(model.predict(list(tiling.patches()), task, batch))
    named = Target(top, model.labels.index(top), plain=model.card.output.activation == "none")
    return [
        replace(a, wishes=tuple(named if w == "top" else w for w in a.wishes)) if left_open(a) else a
        for a in assignments
    ]


def _leading(predictions: Iterable[Prediction]) -> str:
    """The label with the highest score of any."""
    return max((p.top for p in predictions), key=lambda score: score.probability).label


def _told(reason: str, missing: int, count: int) -> str:
    return reason if missing == count else f"The maps of {missing} of {count} patches count as zero. {reason}"


@dataclass(slots=True)
class _Maps:
    """What has been found of the maps of blocks so far."""

    blends: dict[tuple[int, int], Blend] = field(default_factory=dict)
    """By the number of the assignment and that of its target."""
    reasons: dict[int, str] = field(default_factory=dict)
    missing: defaultdict[int, set[Shape3]] = field(default_factory=lambda: defaultdict(set))
    """The blocks of the grid that an assignment has no map of."""


@dataclass(frozen=True, slots=True)
class _Swept:
    model: Model
    tiling: Tiling
    assignments: Sequence[Assignment]
    task: Task
    batch: int
    override: str | None

    def outcome(self) -> Outcome:
        """Maps of the whole tiling, some patches at a time: no map of a patch is kept."""
        fitting, unsuitable = suited([a.method for a in self.assignments], self.model)
        looked = Looked(self.model, self.tiling, self.task, self.batch, self.override)
        maps, numbers = _Maps(), list(fitting)
        self._explain(self.tiling.offsets, numbers, looked, maps)
        leading = _leading(looked.predictions)
        searches = {label: Search(looked, label, self.task) for label in self._labels(leading)}
        if maps.blends:
            self._explain_best(searches, leading, looked, maps)
        told = unsuitable | {
            i: _told(why, len(maps.missing[i]), len(self.tiling)) for i, why in maps.reasons.items()
        }
        blended: dict[int, list[tuple[int, int, Attribution]]] = {}
        for (i, row), blend in maps.blends.items():
            target = blend.first.target
            missing = [(o, self._weight(looked.prediction(o), target)) for o in maps.missing[i]]
            search = searches[leading if target is None else target.label]
            found = search.swept(self._weighs(target))
            made = blend.attribution(search.looked.predictions, missing, found)
            blended.setdefault(i, []).append((row, 0, made))
        first = searches.get(leading) or next(iter(searches.values()))
        every = dict.fromkeys(p for one in searches.values() for p in one.looked.predictions)
        return Outcome(tuple(every), blended, told, (first.swept(False),))

    def _labels(self, leading: str) -> list[str]:
        """The labels to search for, each once: those of the targets, and the one with the highest score for
        methods that are the same for every label, and where nothing is to be explained."""
        found: dict[str, None] = {}
        for one in self.assignments:
            targets = one.wishes if one.method.target_dependent else ()
            found |= dict.fromkeys([t.label for t in targets if isinstance(t, Target)] or [leading])
        return list(found) or [leading]

    def _explain_best(
        self,
        searches: Mapping[str, Search],
        leading: str,
        looked: Looked,
        maps: _Maps,
    ) -> None:
        """Blend the maps of the best blocks that are none of the grid, each into those of its own label."""
        wanted: dict[Shape3, set[str]] = {}
        for label, search in searches.items():
            for offset in search.off_grid:
                wanted.setdefault(offset, set()).add(label)
        with_map = sorted({i for i, _ in maps.blends})

        def suits(offset: Shape3, target: Target | None) -> bool:
            return (leading if target is None else target.label) in wanted[offset]

        self._explain(list(wanted), with_map, looked, maps, suits)

    def _explain(
        self,
        offsets: Sequence[Shape3],
        numbers: Sequence[int],
        looked: Looked,
        maps: _Maps,
        wanted: Callable[[Shape3, Target | None], bool] | None = None,
    ) -> None:
        """Show the network these blocks, and blend what the assignments find of each where that is wanted.

        Without `wanted` they are the grid, in which a block without a map counts as zero.
        """
        if not numbers:
            looked.look(offsets, _DOING)
        for first in range(0, len(offsets) if numbers else 0, self.batch):
            some = offsets[first : first + self.batch]
            doing = _DOING if wanted is None else "explaining the best blocks"
            share = _Share(self.task, first, len(some), len(offsets), doing)
            patches = [self.tiling.at(offset) for offset in some]
            for place, found in self._parts(patches, numbers, share):
                looked.put(some[place : place + len(found.predictions)], found.predictions)
                for i, reason in found.refused.items() if wanted is None else ():
                    maps.reasons.setdefault(i, reason)
                    maps.missing[i].add(some[place])
                for i, made in found.maps.items():
                    for row, n, one in made:
                        if wanted is None or wanted(some[place + n], one.target):
                            weight = self._weight(one.prediction, one.target)
                            self._blend(maps.blends, (i, row), one).add(some[place + n], one, weight)

    def _weighs(self, target: Target | None) -> bool:
        """Whether a map is blended by the score of its label; an output has no score that weighs."""
        by_score = self.tiling.wish.blend == "score" and self.model.card.output.activation != "none"
        return by_score and target is not None

    def _weight(self, prediction: Prediction, target: Target | None) -> float:
        """What the map of a block weighs."""
        if target is None or not self._weighs(target):
            return 1.0
        return max(prediction.score(target.label).probability, LEAST_WEIGHT)

    def _parts(
        self, some: Sequence[ModelInput], numbers: Sequence[int], share: Task
    ) -> Iterator[tuple[int, Outcome]]:
        """What these assignments find of some patches, and where among them it begins.

        A method that refuses them together is asked patch by patch, so that one which it cannot explain
        takes nothing from those beside it.
        """
        together = self._found(some, numbers, share)
        again = list(together.refused) if len(some) > 1 else []
        yield 0, replace(together, refused={}) if again else together
        for i, patch in enumerate(some if again else ()):
            yield i, replace(self._found([patch], again, share), predictions=())

    def _found(self, patches: Sequence[ModelInput], numbers: Sequence[int], share: Task) -> Outcome:
        """What these assignments find, under their numbers."""
        asked = [self.assignments[i] for i in numbers]
        found = outcome(self.model, patches, asked, share, self.batch, self.override)
        maps = {numbers[k]: some for k, some in found.maps.items()}
        return Outcome(found.predictions, maps, {numbers[k]: why for k, why in found.refused.items()})

    def _blend(self, blends: dict[tuple[int, int], Blend], key: tuple[int, int], one: Attribution) -> Blend:
        """The one that the map of a patch belongs to; begun with its first patch."""
        if key not in blends:
            new = Blend(self.tiling, one)
            if sum(4 * math.prod(blend.shape) for blend in (*blends.values(), new)) > _MOST_BYTES:
                raise ExplainerError(
                    "The maps of this sweep need too much memory; choose fewer labels, or a box of the image."
                )
            blends[key] = new
        return blends[key]


class _Share(Subtask):
    """The part of a task that some of its patches are."""

    def __init__(self, whole: Task, first: int, count: int, total: int, doing: str) -> None:
        super().__init__(whole)
        self._first, self._count, self._total = first, count, total
        self._doing = doing
        self._done = 0

    def progress(self, done: int, total: int, doing: str) -> None:
        # One method after another begins at nothing.
        self._done = max(self._done, self._count * done // max(total, 1))
        self.whole.progress(self._first + self._done, self._total, self._doing)
