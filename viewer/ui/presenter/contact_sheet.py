# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: all labels by one method, or all quick methods for one label, side by side."""

from collections.abc import Mapping
from typing import Any, Literal

from viewer.task import Task
from viewer.types import Sweep
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import run, run_all, targets_of, with_baselines
from viewer.ui.presenter.store import Store
from viewer.ui.state import Busy, Cell, MethodChoice, MethodItem, Tile, ViewState, choice_of, position_of

_SIDE = 256
"""Cells along the longer side of a map in the sheet."""
_MOST_LABELS = 36
"""Labels that the sheet shows: those with the highest scores."""
_JOB = "sheet"


class ContactSheet:
    """Says of a state the cells of the sheet, while that is the layout."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._asked: tuple[object, ...] = ()
        self._tiles: dict[object, Tile] = {}

    def choose(self, what: Literal["labels", "methods"]) -> None:
        """Fill the sheet with all labels, or with all quick methods."""
        self._store.show(contact_sheet_of=what)

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The sheet of a state that is about to be shown: each cell has the map of its own, or none."""
        if not _shown(state):
            self._tiles.clear()
            return {"contact_sheet": ()}
        cells = self._labels(state) if state.answer.contact_sheet_of == "labels" else self._methods(state)
        tiles = (cell.tile for cell in cells if cell.tile is not None)
        self._tiles = {(tile.map, state.view.slice, state.views.locked): tile for tile in tiles}
        before = state.answer.contact_sheet
        same = len(cells) == len(before) and all(map(_alike, cells, before))
        return {"contact_sheet": before if same else cells}

    def ask(self, state: ViewState) -> None:
        """Run what is missing of a sheet that is shown."""
        if not _shown(state):
            self._rest()
        elif any(cell.tile is None for cell in state.answer.contact_sheet):
            self._run_missing(state)

    # --- cells ------------------------------------------------------------------------------------

    def _labels(self, state: ViewState) -> tuple[Cell, ...]:
        item, place, choice = state.chosen_method, position_of(state), choice_of(state)
        assert state.answer.model is not None
        said = self._maps.prediction(place)
        scores = {} if said is None else {s.label: s for s in said.scores}
        labels = list(state.answer.model.labels)
        if len(labels) > _MOST_LABELS:
            labels.sort(key=lambda n: -scores[n].probability if n in scores else 0.0)
            del labels[_MOST_LABELS:]
        every = item is not None and not item.target_dependent
        cells = []
        for label in labels:
            tile = self._tile(state, choice, label)
            chosen = label == state.request.target and state.request.against is None
            cells.append(Cell(label, label, scores.get(label), tile, chosen))
        return tuple(cells[:1] if every else cells)

    def _methods(self, state: ViewState) -> tuple[Cell, ...]:
        said = self._maps.prediction(position_of(state))
        score = next((s for s in said.scores if s.label == state.request.target), None) if said else None
        return tuple(
            Cell(item.name, item.title, score, self._tile(state, _choice(state, item), state.target_words),
                 item.name == state.request.method)
            for item in _quick(state)
        )  # fmt: skip

    def _tile(self, state: ViewState, choice: MethodChoice, target: str | None) -> Tile | None:
        place = position_of(state)
        one = self._maps.finished(place, choice, target)
        if one is None:
            return None
        among = self._maps.all(place, choice)
        own = state.answer.contact_sheet_of == "labels" and not state.views.locked
        kept = self._tiles.get((one, state.view.slice, state.views.locked))
        style = self._maps.own_style(one) if own else self._maps.style(one, among, True)
        if kept is not None and kept.style == style:
            return kept
        return self._maps.tile(one, state.view.slice, style, _SIDE)

    # --- running ----------------------------------------------------------------------------------

    def _run_missing(self, state: ViewState) -> None:
        """Run the quick methods that are missing, once what is shown is there."""
        answer = state.answer
        key = (answer.model, position_of(state), targets_of(state), choice_of(state), answer.contact_sheet_of)
        if key != self._asked or state.shell.under_way:
            self._rest()
        ready = state.answer.prediction is not None and not state.shell.under_way and not state.views.playing
        if not ready or key == self._asked or isinstance(state.at, Sweep):
            return
        self._asked = key
        if state.answer.contact_sheet_of == "methods":
            self._run_methods(state)
        elif state.chosen_method is not None and state.chosen_method.quick:
            self._run_labels(state, _JOB)

    def _rest(self) -> None:
        self._asked = ()
        self._jobs.cancel(_JOB)

    def wish(self) -> None:
        """Run the method for all labels, however long that takes."""
        state = self._store.state
        if state.answer.contact_sheet and not state.shell.under_way:
            self._store.show(busy=Busy("explaining every label"))
            self._run_labels(state, "explain")

    def _run_labels(self, state: ViewState, kind: str) -> None:
        series, place, choice, regions = (
            state.view.series,
            position_of(state),
            choice_of(state),
            state.regions.regions,
        )
        if series is None:
            return
        asking = self._maps.asking()

        def work(task: Task) -> Any:
            return with_baselines(
                run(self._maps, asking, series, place, choice, "all", task, regions=regions)
            )

        def done(found: Any) -> None:
            explained, made = found
            self._maps.put_all_baselines(explained.attributions, made)
            self._maps.put(asking, place, choice, explained.attributions)
            self._store.show(**({} if kind == _JOB else {"busy": None}))

        quiet = kind == _JOB
        failed = (lambda _sentence: None) if quiet else self._store.failed
        self._jobs.run("model", kind, work, done, failed, None if quiet else self._store.progress)

    def _run_methods(self, state: ViewState) -> None:
        series, place, target = state.view.series, position_of(state), targets_of(state)
        words = state.target_words
        missing = [w for w in (_choice(state, item) for item in _quick(state))
                   if self._maps.find(place, w, words) is None]  # fmt: skip
        if series is None:
            return
        asking = self._maps.asking()

        def work(task: Task) -> Any:
            return run_all(self._maps, asking, series, place, missing, target, task)

        def done(explained: Any) -> None:
            for choice in missing:
                some = [a for a in explained.attributions if a.explainer.name == choice.method]
                self._maps.put(asking, place, choice, some)
            self._store.show()

        self._jobs.run("model", _JOB, work, done, lambda _sentence: None)


def _quick(state: ViewState) -> list[MethodItem]:
    return [] if state.answer.model is None else [item for item in state.answer.model.methods if item.quick]


def _choice(state: ViewState, item: MethodItem) -> MethodChoice:
    """A method as it would be chosen; the chosen one as it is set."""
    if item.name == state.request.method or state.answer.model is None:
        return choice_of(state)
    return MethodChoice(
        item.name, (), state.answer.model.layers[0] if item.layered and state.answer.model.layers else None
    )


def _shown(state: ViewState) -> bool:
    """Whether the sheet is shown, of something."""
    there = state.answer.model is not None and state.view.number is not None
    return state.views.layout == "sheet" and there and state.answer.gate != "outside"


def _alike(one: Cell, other: Cell) -> bool:
    """Whether two cells look the same."""
    return all(getattr(one, name) is getattr(other, name) for name in ("tile", "score")) and (
        (one.name, one.title, one.chosen) == (other.name, other.title, other.chosen)
    )
