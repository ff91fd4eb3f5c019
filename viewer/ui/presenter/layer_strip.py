# SPDX-License-Identifier: Apache-2.0
"""The layer strip: the same method at every stage of the network, from one forward."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from viewer.task import Task
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import run, targets_of, with_baselines
from viewer.ui.presenter.store import Store
from viewer.ui.state import Busy, MethodChoice, Tile, ViewState, choice_of, position_of

_SIDE = 128
"""Cells along the longer side of a small map, for a picture of half as many pixels."""
_JOB = "strip"


class LayerStrip:
    """Says which maps of all stages a state has, and runs what is missing once all else is done."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._asked: tuple[object, ...] = ()
        self._last: tuple[tuple[object, ...], tuple[Tile | None, ...]] = ((), ())

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The strip of a state about to be shown: each stage's map of its place and target, or None."""
        model = state.answer.model
        if model is None or not _suits(state):
            return {"layer_strip": ()}
        place, choice = position_of(state), choice_of(state)
        found = [self._maps.finished(place, _at(choice, stage), state.target_words) for stage in model.stages]
        # Each in a range of its own, whatever is locked: the strip says where, and never how much.
        styles = [None if one is None else self._maps.own_style(one) for one in found]
        key = (model, state.view.series, state.view.slice, *found, *styles)
        if key != self._last[0]:
            tiles = tuple(
                None if one is None or style is None else self._maps.tile(one, state.view.slice, style, _SIDE)
                for one, style in zip(found, styles, strict=True)
            )
            self._last = key, tiles
        return {"layer_strip": self._last[1]}

    def ask(self, state: ViewState) -> None:
        """Run the other stages once the map itself is there, unasked where that costs next to nothing."""
        if not _suits(state):
            self._rest()
            return
        if all(one is not None for one in state.answer.layer_strip):
            return
        key = (state.answer.model, position_of(state), choice_of(state), targets_of(state))
        if key != self._asked or state.shell.under_way:
            self._rest()
        ready = (
            state.answer.attribution is not None and not state.answer.preview and not state.shell.under_way
        )
        free = state.free and state.answer.model is not None and not state.answer.model.volume
        if ready and free and not state.views.playing and key != self._asked:
            self._asked = key
            self._run(state, _JOB)

    def _rest(self) -> None:
        self._asked = ()
        self._jobs.cancel(_JOB)

    def wish(self) -> None:
        """Run the method at all stages, however long that takes."""
        state = self._store.state
        if state.answer.model is not None and state.answer.layer_strip and not state.shell.under_way:
            self._store.show(busy=Busy("explaining at every layer"))
            self._run(state, "explain")

    def _run(self, state: ViewState, kind: str) -> None:
        model, series = state.answer.model, state.view.series
        if model is None or series is None:
            return
        place, choice, target = position_of(state), choice_of(state), targets_of(state)
        asking = self._maps.asking()
        said, regions, layers = kind != _JOB, state.regions.regions, ",".join(model.stages)

        def work(task: Task) -> Any:
            found = run(self._maps, asking, series, place, choice, target, task, None, regions, layers)
            return with_baselines(found)

        def done(found: Any) -> None:
            explained, made = found
            self._maps.put_all_baselines(explained.attributions, made)
            for stage in model.stages:
                some = [a for a in explained.attributions if a.layer == stage]
                self._maps.put(asking, place, _at(choice, stage), some)
            self._store.show(**({"busy": None} if said else {}))

        failed = self._store.failed if said else lambda _sentence: None
        self._jobs.run("model", kind, work, done, failed, self._store.progress if said else None)


def _at(choice: MethodChoice, stage: str) -> MethodChoice:
    return replace(choice, layer=stage)


def _suits(state: ViewState) -> bool:
    """Whether the chosen method has a map at every stage."""
    item = state.chosen_method
    layered = item is not None and item.layered and not item.unsuitable
    return layered and state.view.number is not None and state.answer.gate != "outside"
