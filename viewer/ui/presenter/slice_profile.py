# SPDX-License-Identifier: Apache-2.0
"""Where in a stack the evidence lies."""

from collections.abc import Sequence
from functools import partial

from viewer import overlay
from viewer.types import Prediction, Sweep
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.evidence import next_peak
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import predict_slices
from viewer.ui.presenter.store import Store
from viewer.ui.state import Position, ViewState, choice_of

_CHUNK = 8
"""Slices that are scored in one piece: a click waits for no more."""


class SliceProfile:
    """Runs the target's score slice by slice, and leads the way to the peaks."""

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

    def score_slices(self) -> None:
        """Fill in the target's score slice by slice, in small chunks that a click can overtake.

        Of sweeps only what the reader has asked for: each is many forwards.
        """
        state, series = self._store.state, self._store.state.view.series
        single = state.answer.model is not None and not state.answer.model.volume
        if series is None or not single or series.shape[0] < 2 or state.answer.gate == "outside":
            return
        at = state.at
        near = sorted(range(series.shape[0]), key=lambda i: abs(i - state.view.slice))
        missing = [i for i in near if self._maps.prediction(Position(series, i, at)) is None][:_CHUNK]
        if not missing or isinstance(at, Sweep):
            return

        asking = self._maps.asking()

        def done(found: Sequence[Prediction]) -> None:
            self._maps.put_predictions(
                asking, {Position(series, i, at): p for i, p in zip(missing, found, strict=True)}
            )
            self._store.show()
            self.score_slices()

        work = lambda task: predict_slices(asking, series, missing, at, task)  # noqa: E731
        self._jobs.run("model", "profile", work, done, lambda _sentence: None)

    def next_peak(self) -> int | None:
        """The slice with the strongest evidence that is drawn and was not visited since the last round."""
        state = self._store.state
        return next_peak(state.answer.profile, self._visited, partial(self._drawn, state))

    def _drawn(self, state: ViewState, slice: int) -> bool:
        """Whether anything of the map is drawn on a slice, as far as that is known before it is computed."""
        series, shown = state.view.series, state.shown
        if series is None or (state.negative and shown is not None and shown.slice is None):
            return state.answer.asked
        volume = state.answer.model is not None and state.answer.model.volume
        if state.regions.loaded is None and not volume:
            place = Position(series, slice, state.at_slice(slice))
            found = self._maps.finished(place, choice_of(state), state.target_words)
            if found is None or found.negative:
                return found is None and not self._uncalled(state, place)
            shown = found
        if shown is None:
            return True
        values = self._maps.drawn.on_slice(shown, slice, state.views.style)
        return bool(overlay.visible(values, state.views.style).any())

    def _uncalled(self, state: ViewState, place: Position) -> bool:
        """Whether the map of a place would explain a negative, which is hidden until asked for."""
        item, said = state.chosen_method, self._maps.prediction(place)
        if said is None or state.request.against is not None or (item and not item.target_dependent):
            return False
        return any(s.label == state.request.target and s.positive is False for s in said.scores)
