# SPDX-License-Identifier: Apache-2.0
"""Where in a stack the evidence lies."""

from collections.abc import Sequence
from functools import partial

from viewer import overlay
from viewer.types import Attribution, Map, Prediction, Sweep
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.evidence import next_peak
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import predict_slices
from viewer.ui.presenter.store import Store
from viewer.ui.state import Position, ViewState, choice_of
from viewer.wording import nothing_text

NOTHING_DRAWN = "On no slice that was run is anything of the map drawn: see score, “Blank below” and sign."
NOTHING_FURTHER = (
    "No further: a slice with a higher score than those that are left has nothing of the map that is drawn. "
    "See “Blank below” and sign of the map; N begins again with the highest score."
)
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

    def next_peak(self) -> int | str | None:
        """The slice with the strongest evidence that is drawn and was not visited since the last round.

        Else the sentence why there is none, or None where there is no evidence at all. A slice whose map is
        not known is gone to as long as its score is above those of all slices that are known to draw nothing.
        """
        state = self._store.state
        if isinstance(state.shown, Attribution) and state.shown.shows_nothing and state.shown.slice is None:
            return nothing_text(state.shown)
        profile, before = state.answer.profile, len(self._visited)
        blank = max((profile[i] or 0.0 for i in self._known_blank(state)), default=0.0)
        place = next_peak(profile, self._visited, partial(self._drawn, state, blank))
        left = any(score and score <= blank and self._unknown(state, i) for i, score in enumerate(profile))
        if left and (place is None or 0 < len(self._visited) <= before):  # the next round would begin
            self._visited.clear()
            return NOTHING_FURTHER
        return NOTHING_DRAWN if place is None and any(profile) else place

    def _known_blank(self, state: ViewState) -> list[int]:
        """The slices whose own maps are known, and draw nothing."""
        count = 0 if state.view.series is None else len(state.answer.profile)
        found = ((i, self._own(state, i)) for i in range(count))
        return [
            i for i, one in found if one is not None and not one.negative and not self._draws(state, one, i)
        ]

    def _own(self, state: ViewState, slice: int) -> Attribution | None:
        """The map of a slice, where each has its own."""
        series = state.view.series
        volume = state.answer.model is not None and state.answer.model.volume
        if series is None or volume or state.regions.loaded is not None:
            return None
        place = Position(series, slice, state.at_slice(slice))
        return self._maps.finished(place, choice_of(state), state.target_words)

    def _unknown(self, state: ViewState, slice: int) -> bool:
        """Whether a slice has a map of its own that is not known, and would be shown."""
        series = state.view.series
        volume = state.answer.model is not None and state.answer.model.volume
        if (
            series is None
            or volume
            or state.regions.loaded is not None
            or self._own(state, slice) is not None
        ):
            return False
        return not self._uncalled(state, Position(series, slice, state.at_slice(slice)))

    def _draws(self, state: ViewState, shown: Map, slice: int) -> bool:
        values = self._maps.drawn.on_slice(shown, slice, state.views.style)
        return bool(overlay.visible(values, state.views.style).any())

    def _drawn(self, state: ViewState, blank: float, slice: int) -> bool:
        """Whether anything of the map is drawn on a slice, as far as that is known before it is computed.

        `blank` is the highest score of a slice that is known to draw nothing.
        """
        shown = state.shown
        if state.view.series is None or (
            state.negative and not state.answer.asked and shown is not None and shown.slice is None
        ):
            return False
        if self._unknown(state, slice):
            return (state.answer.profile[slice] or 0.0) > blank
        own = self._own(state, slice)
        if own is not None:
            return not own.negative and self._draws(state, own, slice)
        volume = state.answer.model is not None and state.answer.model.volume
        if state.regions.loaded is None and not volume:
            return False  # it would explain a negative, which is hidden until asked for
        return shown is None or self._draws(state, shown, slice)

    def _uncalled(self, state: ViewState, place: Position) -> bool:
        """Whether the map of a place would explain a negative, which is hidden until asked for."""
        item, said = state.chosen_method, self._maps.prediction(place)
        if said is None or state.request.against is not None or (item and not item.target_dependent):
            return False
        return said.rejects(state.request.target)
