# SPDX-License-Identifier: Apache-2.0
"""The answer to what is asked: of a state that is about to be shown, what is known of just that."""

from collections.abc import Mapping
from typing import Any

from viewer.cache import ArrayCache
from viewer.types import Attribution, LoadedMap, Style
from viewer.ui.presenter.evidence import scores, volume_profile
from viewer.ui.presenter.maps import Maps
from viewer.ui.state import Notice, ViewState, choice_of, messages, position_of
from viewer.wording import hidden_text


class Answers:
    """Finds what is kept for a state's own place, method and target, or nothing: never that of another."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._profiles: ArrayCache[tuple[float, ...]] = ArrayCache(2**20)
        self._scores: tuple[tuple[object, ...], tuple[float | None, ...]] = ((), ())

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """Map, scores, evidence by slice and gate of a state; of none that is not chosen or not accepted."""
        model, series = self._maps.model, state.view.series
        if model is None or series is None or state.view.number is None or state.answer.model is None:
            return _nothing(state, gate="open", outside=None, unknown=None)
        gate = self._maps.gate(series)
        if not gate.open:
            return _nothing(state, gate="outside", outside=gate.reason, unknown=None)
        self._maps.requests.use(state.regions.regions)
        place, key = position_of(state), (model, position_of(state), choice_of(state), state.target_words)
        if state.answer.answers == key:
            key = state.answer.answers  # the very same, else the state would be another one each time
        found = self._maps.find(*key[1:])
        if found is None and state.answer.answers == key and not state.answer.preview:
            found = state.answer.attribution  # let go of for want of room: it is still the answer
        negative = found is not None and found.negative
        changes: dict[str, Any] = {
            "outside": gate.reason if gate.verdict == "outside" else None,
            "unknown": gate.reason if gate.verdict == "unknown" else None,
            "gate": "negative" if negative else "open", "attribution": found,
            "answers": None if found is None else key,
            "prediction": self._maps.prediction(place) if found is None else found.prediction,
            "profile": self._profile(state, found), "preview": self._maps.is_preview(found),
            "baselines": self._maps.baselines(found), "slow": self._maps.slow,
        }  # fmt: skip
        return changes | self._drawn(state, found)

    def ask(self, state: ViewState) -> None:
        """Nothing: what runs unasked is started by the reader's wish."""

    def _drawn(self, state: ViewState, found: Attribution | None) -> dict[str, Any]:
        """How the map is drawn, where none that came with the study is drawn in its place."""
        if state.regions.loaded is not None:
            return {}
        if found is None:
            return _undrawn(state)
        style, said = state.views.style, {}
        if found is not state.views.styled:
            among = self._maps.all(position_of(state), choice_of(state))
            style, said = self._maps.style(found, among, state.views.locked), _judged(state, found)
        drawn = self._maps.drawn.on_slice(found, state.view.slice, style)
        return {"style": style, "styled": found, "map": drawn, **said}

    def _profile(self, state: ViewState, found: Attribution | None) -> tuple[float | None, ...]:
        """Evidence per slice: the share of a volume's map, or the target's score where it has been run."""
        if state.answer.model is None or not state.answer.model.volume:
            request, boxes = state.request, state.regions.boxes if state.request.swept else None
            key = (
                state.view.series,
                request.target,
                request.placed,
                request.swept,
                boxes,
                self._maps.predicted,
            )
            if key != self._scores[0]:
                self._scores = key, scores(state, self._maps)
            return self._scores[1]
        return () if found is None else self.volume_profile(found)

    def volume_profile(
        self, attribution: Attribution, made: tuple[float, ...] | None = None
    ) -> tuple[float, ...]:
        """The share of a volume's evidence in each slice; `made` is what the worker made of it."""

        def profile() -> tuple[tuple[float, ...], int]:
            found = volume_profile(attribution) if made is None else made
            return found, 8 * len(found)

        return self._profiles.get(attribution.values, "", profile)


def _nothing(state: ViewState, **gate: Any) -> dict[str, Any]:
    """No answer."""
    undrawn = {} if state.regions.loaded is not None else _undrawn(state)
    return {
        "attribution": None, "answers": None, "prediction": None, "profile": (), "preview": False,
        "baselines": (), **gate, **undrawn,
    }  # fmt: skip


def _undrawn(state: ViewState) -> dict[str, Any]:
    """No map: the style of one that came with the study goes with it, as does what a negative asked."""
    changes = {"map": None, "styled": None, **messages.unsaid(state.shell, "map")}
    return changes | ({"style": Style()} if isinstance(state.views.styled, LoadedMap) else {})


def _judged(state: ViewState, found: Attribution) -> dict[str, Any]:
    """What is said of a map that comes: that of a label below its threshold is hidden until asked for."""
    if not found.negative or found.target is None:
        return messages.unsaid(state.shell, "map")
    if state.answer.asked:
        return {}
    offer = Notice(hidden_text(found), "info", "Show it hatched", "show", about="map")
    return messages.said(state.shell, offer)
