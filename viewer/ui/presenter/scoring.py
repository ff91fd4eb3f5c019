# SPDX-License-Identifier: Apache-2.0
"""The score of the shown place, which comes before any map of it."""

from collections.abc import Callable
from functools import partial

from viewer.types import Prediction, Sweep
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.running import predict
from viewer.ui.presenter.store import Store
from viewer.ui.state import position_of, shows

_JOB = "predict"
GAVE_WAY = "The map of the place before was given up: the score of this one comes first."


class Scoring:
    """Asks the model for the scores of the shown place, and keeps them for that place alone."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps, then: Callable[[], None]) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._then = then
        """What comes once the shown place has its scores."""

    @property
    def wanted(self) -> bool:
        """Whether the shown place has no scores yet and may have them without a map.

        Those of a sweep are many forwards and come with its map.
        """
        state = self._store.state
        shown = state.view.number is not None and self._maps.model is not None
        unknown = state.answer.prediction is None and state.answer.gate != "outside"
        return shown and unknown and not isinstance(state.at, Sweep)

    def score(self) -> bool:
        """Ask for the scores of the shown place, if they are wanted; whether they are on their way."""
        state = self._store.state
        series = state.view.series
        if series is None or not self.wanted:
            return False
        place = position_of(state)
        if self._jobs.active(_JOB) and place == state.answer.scoring:
            return True
        asking = self._maps.asking()

        def done(found: Prediction) -> None:
            self._maps.put_predictions(asking, {place: found})
            self._store.note(scoring=None)
            if shows(self._store.state, place):
                self._store.show(target=self._store.state.request.target or found.top.label)
                self._then()

        def failed(sentence: str) -> None:
            self._store.note(scoring=None)
            if shows(self._store.state, place):  # else it is asked again when the reader comes back
                self._store.could_not(sentence)

        self._jobs.run("model", _JOB, partial(predict, asking, series, place), done, failed)
        self._store.show(scoring=place)
        return True

    def stop(self) -> None:
        """Nobody waits for the scores that are on their way."""
        self._jobs.cancel(_JOB)
        self._store.note(scoring=None)
