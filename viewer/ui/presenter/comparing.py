# SPDX-License-Identifier: Apache-2.0
"""Comparing two maps of one slice: as values where those mean the same, else as ranks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from viewer.cache import Cache
from viewer.overlay import ranks
from viewer.task import Task
from viewer.types import Attribution, DerivedMap, Map, Style, Sweep
from viewer.ui.commands import Bindings
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import run
from viewer.ui.presenter.store import Store
from viewer.ui.state import Compared, MethodChoice, Side, ViewState, choice_of, position_of
from viewer.wording import SAME_FOR_ALL, method_text, nothing_text

_ROOM = 256 * 2**20
_RUN, _RANK = "compare", "ranks"
_HIDDEN = "Not called: hidden until asked."
_Pair = tuple[Attribution, Attribution]
_Ranks = tuple[DerivedMap, DerivedMap, DerivedMap]


class Comparing:
    """Says which two maps a state compares: what was kept for comparison, and what is chosen now."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._wished = False
        self._ranked: Cache[_Pair, _Ranks] = Cache(_ROOM, latest=True)
        """While a comparison is shown: a pair holds its inputs, and through them the study."""
        self._asked: tuple[object, ...] = ()
        self._ranking: _Pair | None = None

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {"keep": self.keep}

    # --- wishes -----------------------------------------------------------------------------------

    def keep(self) -> None:
        """Keep what is chosen now, to compare others with it."""
        state = self._store.state
        if state.answer.model is not None:
            self._store.show(reference=_chosen(state), layout="compare")

    def as_ranks(self, ranks: bool) -> None:
        """Compare ranks where values could be compared too, or values again."""
        self._wished = ranks
        self._store.show()

    # --- state ------------------------------------------------------------------------------------

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The comparison of a state that is about to be shown, both maps of its own slice."""
        if not _shown(state):
            return {"compared": None}
        reference = state.request.reference
        if reference is None or reference[0] is not state.answer.model:
            reference = _chosen(state)
            state = state.changed(reference=reference)
        one, other, target = self._one(state), state.answer.attribution, _target(state)
        return {"reference": reference, "compared": self._compared(state, one, other, (reference[1], target))}

    def ask(self, state: ViewState) -> None:
        """Rank the two maps of a comparison that is shown, and run the one that is missing."""
        if not _shown(state):
            self._rest()
            return
        one, other = self._one(state), state.answer.attribution
        if one is None:
            self._run_kept(state)
        elif other is not None and not state.answer.preview and self._ranked.get((one, other)) is None:
            self._rank((one, other))

    def _one(self, state: ViewState) -> Attribution | None:
        """The map of what is kept for comparison."""
        reference = state.request.reference
        if reference is None or state.answer.gate == "outside":
            return None
        return self._maps.finished(position_of(state), reference[1], _target(state))

    def _compared(
        self,
        state: ViewState,
        one: Attribution | None,
        other: Attribution | None,
        reference: tuple[MethodChoice, str | None],
    ) -> Compared:
        apart = "" if one is None or other is None else apart_words(one, other)
        as_ranks = bool(apart) or self._wished
        found = None
        if one is not None and other is not None and not state.answer.preview:
            found = self._ranked.get((one, other))
        title = (
            next((m.title for m in state.answer.model.methods if m.name == reference[0].method), "")
            if state.answer.model
            else ""
        )
        left = self._side(state, one, found and found[0], as_ranks, title, reference[1] or "")
        item = state.chosen_method
        right = self._side(state, other, found and found[1], as_ranks,
                           "" if item is None else item.title, state.target_words or "")  # fmt: skip
        difference = Side("Difference of ranks", why="" if one is None or other is None else "Ranking …")
        if _HIDDEN in (left.why, right.why):
            difference = Side("Difference of ranks", why=_HIDDEN)
        elif any(side is not None and side.shows_nothing for side in (one, other)):
            difference = Side("Difference of ranks", why="A map that shows nothing has no ranks.")
        elif found is not None:
            style = _as_shown(state, ranks.DIFFERENCE)
            drawn = self._maps.drawn.on_slice(found[2], state.view.slice, style)
            negative = left.negative or right.negative
            difference = Side(difference.title, "right − left", found[2], drawn, style, negative=negative)
        return Compared(left, right, difference, as_ranks, apart)

    def _side(
        self, state: ViewState, map: Attribution | None, ranked: DerivedMap | None, as_ranks: bool,
        title: str, target: str,
    ) -> Side:  # fmt: skip
        if map is None:
            return Side(title, target, why="No map of this slice yet.")
        title = method_text(map)
        target = f"the {SAME_FOR_ALL}" if map.target is None else map.target.words
        negative = map.negative
        if negative and not state.answer.asked:
            return Side(title, target, why=_HIDDEN, negative=True)
        if map.shows_nothing:
            return Side(title, target, why=nothing_text(map))
        if as_ranks and ranked is None:
            return Side(title, target, why="Ranking …")
        style = _as_shown(state, ranks.RANKS) if as_ranks else self._maps.style(map, {None: map}, True)
        drawn: Map = ranked if as_ranks and ranked is not None else map
        on_slice = self._maps.drawn.on_slice(drawn, state.view.slice, style)
        return Side(title, target, drawn, on_slice, style, negative=negative)

    # --- work -------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self._asked, self._ranking = (), None
        self._ranked.clear()
        self._jobs.cancel(_RUN)
        self._jobs.cancel(_RANK)

    def _rank(self, pair: _Pair) -> None:
        """Rank two maps, away from the window."""
        if self._ranking is not None and self._ranking[0] is pair[0] and self._ranking[1] is pair[1]:
            return
        self._ranking = pair
        one, other = pair

        def done(found: _Ranks) -> None:
            self._ranked.put(pair, found, sum(m.values.nbytes for m in found))
            self._store.show()

        def work(task: Task) -> _Ranks:
            first = ranks.ranked(one)
            task.check()
            second = ranks.ranked(other)
            task.check()
            for each in (first, second):
                ranks.not_positive(each)  # which is kept with it, for the window to say
            return first, second, ranks.difference(one, other)

        self._jobs.run("io", _RANK, work, done, self._store.failed)

    def _run_kept(self, state: ViewState) -> None:
        """Explain the shown slice as what was kept for comparison, where that costs next to nothing."""
        place, series, model, reference = (
            position_of(state),
            state.view.series,
            state.answer.model,
            state.request.reference,
        )
        if reference is None or state.answer.gate == "outside":
            return
        choice, label, against = reference[1], reference[2] or state.request.target, reference[3]
        item = next((m for m in model.methods if m.name == choice.method), None) if model else None
        key = (model, place, choice, label, against)
        ready = state.answer.prediction is not None and not state.shell.under_way and not state.views.playing
        costly = item is None or not item.quick or isinstance(state.at, Sweep)
        if series is None or costly or not ready or key == self._asked:
            return
        self._asked, asking = key, self._maps.asking()
        target = f"{label}-{against}" if label and against else label or "top"

        def done(explained: Any) -> None:
            self._maps.put(asking, place, choice, explained.attributions)
            self._store.show()

        regions = state.regions.regions
        work = lambda task: run(self._maps, asking, series, place, choice, target, task, regions=regions)  # noqa: E731
        self._jobs.run("model", _RUN, work, done, lambda _sentence: None)


def _shown(state: ViewState) -> bool:
    """Whether a comparison is shown, of something."""
    return (
        state.views.layout == "compare" and state.answer.model is not None and state.view.series is not None
    )


def _chosen(state: ViewState) -> tuple[object, MethodChoice, str | None, str | None]:
    """What is chosen now, to be kept for comparison."""
    return (state.answer.model, choice_of(state), state.request.target, state.request.against)


def _target(state: ViewState) -> str | None:
    """The target of what is kept for comparison, in words."""
    if state.request.reference is None:
        return None
    _, _, label, against = state.request.reference
    label = label or state.request.target
    return label if against is None else f"{label} − {against}"


def _as_shown(state: ViewState, style: Style) -> Style:
    """A style of ranks, as opaque and as smooth as the reader draws other maps."""
    return replace(style, opacity=state.views.style.opacity, interpolation=state.views.style.interpolation)


def apart_words(one: Attribution, other: Attribution) -> str:
    """Why the values of two maps do not compare, in a sentence; "" where they do."""
    if one.unit != other.unit:
        return f"One is in {one.unit}, the other in {other.unit}: only ranks compare."
    if one.explainer.name != other.explainer.name:
        return "The methods differ: only ranks compare."
    if one.layer != other.layer:
        return "The layers differ: only ranks compare."
    kinds = {m.target.kind for m in (one, other) if m.target is not None}
    return "One explains a difference of labels: only ranks compare." if len(kinds) > 1 else ""
