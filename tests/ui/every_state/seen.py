# SPDX-License-Identifier: Apache-2.0
"""Looks at every field of a state that was shown, and says what belongs to another series, slice or target.

Each field has a check of its own; one that is added without a check is a fault. Nothing is taken from the
presenter: images come from the files, scores, maps and gates from a model that was opened a second time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from known import Asked, Known

from viewer.models import Model
from viewer.types import Attribution, Map, Prediction, Score, Series
from viewer.ui.state import RequestState, ViewState, one_stack

NEAR = 1e-3
"""Of an image among others a network gives the same but for rounding: a share of the largest value."""


@dataclass(eq=False)
class Seen:
    """One state that was shown, and what the reader had allowed before."""

    state: ViewState
    known: Known
    overridden: set[tuple[str, bytes]] = field(default_factory=set)
    """Name of a model and contents of a series outside of what it accepts, where the reader went on."""

    @property
    def series(self) -> Series | None:
        """The series, where one is chosen: of one that is still being read nothing is asked."""
        return None if self.state.view.number is None else self.state.view.series

    @property
    def model(self) -> Model | None:
        """The model as it was opened here."""
        item = self.state.answer.model
        return None if item is None else self.known.models[item.name]

    @property
    def place(self) -> int | None:
        """The slice that a network is shown; None of a volume."""
        item = self.state.answer.model
        return None if item is not None and item.volume else self.state.view.slice

    @property
    def why_outside(self) -> str | None:
        """Why the model was not made for the series."""
        model, series = self.model, self.series
        return None if model is None or series is None else model.accepts(self.known.series(series))

    @property
    def why_unknown(self) -> str | None:
        """Why nobody knows whether the model was made for the series."""
        model, series = self.model, self.series
        if model is None or series is None or self.why_outside is not None:
            return None
        return model.unstated(self.known.series(series))

    @property
    def refused(self) -> bool:
        """Whether nothing may be said of the series, for the reader has not said to go on."""
        item, series = self.state.answer.model, self.series
        if self.why_outside is None or item is None or series is None:
            return False
        return (item.name, self.known.content(series)) not in self.overridden

    def said(self, slice: int | None, at: Any) -> tuple[Prediction, ...]:
        """What the model says of a place of the shown series."""
        item, series = self.state.answer.model, self.series
        assert item is not None
        assert series is not None
        return tuple(self.known.said(item.name, series, slice, at))

    def wanted(self, asked: Asked) -> Attribution:
        """The map of the shown place that is asked for."""
        item, series = self.state.answer.model, self.series
        assert item is not None
        assert series is not None
        return self.known.map(item.name, series, self.place, self.state.at, asked)

    def asked(self, method: str | None = None, layer: str | None = None, target: str | None = None) -> Asked:
        """What the state asks for, or the same with another method, layer or target."""
        request = self.state.request
        name = request.method if method is None else method
        item = next(m for m in self.state.answer.model.methods if m.name == name)
        own = name == request.method
        chosen = request.layer if own and request.layer is not None else self.state.answer.model.layers[0]
        words = target if target is not None else _words(request)
        within = request.within if own and item.limited else None
        regions = self.state.regions.regions  # of one that has not been read yet nothing is known
        return Asked(
            name,
            tuple(sorted(request.settings.items())) if own else (),
            None if not item.layered else chosen if layer is None else layer,
            words if item.target_dependent else None,
            within if any(r.source == within for r in regions) else None,
        )


Check = Callable[[Seen, Any], None]
CHECKS: dict[tuple[type, str], Check] = {}
"""What looks at each field, by the dataclass and its name."""


def of(owner: type, *names: str) -> Callable[[Check], Check]:
    """Makes a function the check of fields of a dataclass."""

    def put(check: Check) -> Check:
        for name in names:
            assert name in {one.name for one in fields(owner)}, f"{owner.__name__} has no {name}"
            assert (owner, name) not in CHECKS, name
            CHECKS[owner, name] = check
        return check

    return put


def consistent(seen: Seen) -> None:
    """Every field of a state belongs to its own series, slice, place, method and target."""
    for part in fields(ViewState):
        every(seen, getattr(seen.state, part.name))


def every(seen: Seen, thing: Any) -> None:
    """All fields of one dataclass are looked at; `AssertionError` names the one that is wrong."""
    assert is_dataclass(thing)
    for one in fields(thing):
        check = CHECKS.get((type(thing), one.name))
        name = f"{type(thing).__name__}.{one.name}"
        assert check is not None, f"nothing looks at {name}"
        try:
            check(seen, thing)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def follows(before: ViewState, after: ViewState) -> None:
    """What belongs to a series, a slice or a model does not go on to the next one; no state comes twice."""
    assert after is not before, "a state was shown twice"
    one, other = before.view, after.view
    if one.number is None or other.number is None:
        return
    if not one_stack(one.series, other.series):
        assert other.window is None, "the window of another series"
        assert other.seen is None, "the part of another series that was seen"
        assert other.inverted == other.series.display.inverted, "greys inverted for another series"
        assert (after.request.placed, after.request.swept) == (None, None), "the patch of another series"
        assert after.planes.crosshair is None or after.views.layout == "3", "the crosshair of another series"
    if one.series is not other.series or before.answer.model is not after.answer.model:
        assert not after.answer.asked, "what was hidden is shown, of another series or model"
        assert after.shell.probed is None or one.series is other.series, "what was pointed at elsewhere"
    volume = after.answer.model is not None and after.answer.model.volume
    if one.slice != other.slice and not volume and after.answer.model is before.answer.model is not None:
        assert not after.answer.asked, "what was hidden is shown, of another slice"
    if before.answer.model is after.answer.model and one.series is other.series:
        went_on = before.answer.outside is not None and before.answer.gate != "outside"
        assert not went_on or after.answer.gate != "outside", "the reader's word was forgotten"
    if before.answer.model is not after.answer.model:
        request = after.request
        assert (request.against, request.layer, request.within) == (None,) * 3
        assert request.reference is None or request.reference[0] is after.answer.model
        assert not request.settings


def _words(request: RequestState) -> str | None:
    return request.target if request.against is None else f"{request.target} − {request.against}"


def same_scores(found: Prediction, wanted: Prediction) -> None:
    """Two predictions say the same of each label."""
    assert [s.label for s in found.scores] == [s.label for s in wanted.scores]
    for one, other in zip(found.scores, wanted.scores, strict=True):
        assert abs(one.logit - other.logit) < 1e-4, f"{one} is not {other}"
        assert abs(one.probability - other.probability) < 1e-5, f"{one} is not {other}"
        assert (one.threshold, one.calibrated) == (other.threshold, other.calibrated)


def same_map(found: Attribution, wanted: Attribution, values: bool = True) -> None:
    """Two maps are one: method as it is set, target, layer, place and, unless it is unfinished, values."""
    assert found.explainer.name == wanted.explainer.name
    assert found.explainer.settings() == wanted.explainer.settings()
    words = [None if m.target is None else m.target.words for m in (found, wanted)]
    assert words[0] == words[1]
    assert (found.layer, found.slice, found.unit) == (wanted.layer, wanted.slice, wanted.unit)
    np.testing.assert_allclose(found.matrix, wanted.matrix)
    within = [None if m.within is None else m.within.source for m in (found, wanted)]
    assert within[0] == within[1]
    if values:
        scale = float(np.abs(wanted.values).max())
        np.testing.assert_allclose(found.values, wanted.values, NEAR, NEAR * scale + 1e-9)


def negative(seen: Seen, map: Map | None) -> bool:
    """Whether a map explains a label that the model, as it was opened here, does not call."""
    if not isinstance(map, Attribution) or map.target is None or map.target.minus is not None:
        return False
    best = max((one.score(map.target.label) for one in seen.said(map.slice, seen.state.at)), key=_logit)
    return best.threshold is not None and best.probability < best.threshold


def _logit(score: Score) -> float:
    return score.logit


def belongs(seen: Seen, map: Attribution, asked: Asked, values: bool = True) -> None:
    """A map is the one that is asked for, of the shown place."""
    assert map.series is seen.state.view.series
    assert map.slice == seen.place
    known = seen.known
    known.once(
        ("same", id(map), asked, seen.state.at, values, seen.state.answer.model.name),
        lambda: same_map(map, seen.wanted(asked), values) or map,  # which keeps its number its own
    )
    for said in map.predictions:
        assert said.input.series is seen.state.view.series
        assert said.override == seen.why_outside
