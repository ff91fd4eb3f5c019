# SPDX-License-Identifier: Apache-2.0
"""What the model said and why, of every place that was looked at: kept, so that going back runs nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer import overlay
from viewer.cache import ArrayCache, Cache
from viewer.settings import Settings
from viewer.types import Array, Attribution, Override, Prediction, Series, Sign, Style
from viewer.ui.presenter.drawn_maps import DrawnMaps
from viewer.ui.presenter.requests import Key, Requests
from viewer.ui.state import MethodChoice, Position, Tile

if TYPE_CHECKING:
    from viewer.explain import ForwardCache
    from viewer.models import Model
    from viewer.session import Gate

_ROOM = 512 * 2**20
_PATIENCE = 2.0
"""Seconds beside the forward after which a method is too slow to run unasked."""
_LOOK = ("colours", "opacity", "sign", "interpolation")
"""What of a style does not depend on how large the values are."""
MapsByTarget = Mapping[str | None, Attribution]
"""Maps by what they explain, in words; None for a method that is the same for every label."""


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """What the model's worker is asked with, as it was at the wish: another model may come meanwhile."""

    model: "Model"
    settings: Settings
    overridden: frozenset[Override]
    age: int
    """Of the `Maps`: what it brings is dropped where those are of another study or model by then."""


class Maps:
    """The model, what it said, and the maps that were made of it; no longer than the model or the study."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """With which the model is opened and asked."""
        self.model: Model | None = None
        self.forwards: ForwardCache | None = None
        """Made on the model's worker, for it comes with the engine."""
        self._predictions: dict[tuple[object, ...], Prediction] = {}
        self.predicted = 0
        """How often the model has said something."""
        self._overridden: set[Override] = set()
        """Where the reader has said to go on outside of what the model accepts: of which series and model."""
        self.drawn = DrawnMaps()
        self._age = 0
        self.requests = Requests()
        self.slow: frozenset[str] = frozenset()
        """Methods that took long on this model when they last ran."""
        self.seconds: dict[str, float] = {}
        """Those that a map of one place took when a method last ran on this model."""
        self._found: Cache[Key, dict[str | None, Attribution]] = Cache(_ROOM, latest=True)
        self._previews: dict[Key, dict[str | None, Attribution]] = {}
        self._pictures: ArrayCache[tuple[Array, ...]] = ArrayCache(2**20)
        self._automatic: dict[tuple[_Kind, Sign], Style] = {}
        """Found from the maps, for each sign that is drawn."""
        self._styles: dict[_Kind, Style] = {}
        """With the range or the threshold that the reader chose."""
        self._looks: dict[tuple[str, str | None], dict[str, Any]] = {}
        self._own: ArrayCache[Style] = ArrayCache(4096)

    def forget(self) -> None:
        """Another study: what was computed for the old one can not be asked for again."""
        self._age += 1
        self.forwards = None  # a run that goes on keeps the old one for itself
        self._predictions.clear()
        self._overridden.clear()
        self.drawn.clear()
        self.requests.forget()
        self._automatic.clear()
        self._styles.clear()
        self._found.clear()
        self._previews.clear()

    def open(self, model: "Model") -> None:
        """Another model."""
        self.forget()
        self._looks.clear()
        self.slow = frozenset()
        self.seconds = {}
        self.model = model
        self.requests.open(model)

    def gate(self, series: Series) -> "Gate":
        """What the session judges of the model and a series, with what the reader has overridden."""
        from viewer import session

        assert self.model is not None
        return session.judge(series, self.model, self._overridden)

    def go_on(self, stack: Iterable[Series]) -> None:
        """The reader's word that the model is asked about these series, whatever it was made for."""
        from viewer import session

        assert self.model is not None
        self._overridden |= {session.override(one, self.model) for one in stack}

    def asking(self) -> Asking:
        """What the worker is asked with now; there is a model."""
        assert self.model is not None
        return Asking(self.model, self.settings, frozenset(self._overridden), self._age)

    def current(self, asking: Asking) -> bool:
        """Whether what was asked so is still of this study and this model."""
        return asking.age == self._age

    def prediction(self, place: Position) -> Prediction | None:
        """What the model said of a place, if it has been asked."""
        if self.model is None or not self._predictions:
            return None
        return self._predictions.get(_shown(place, self.model.digest))

    def put_predictions(self, asking: Asking, found: Mapping[Position, Prediction]) -> None:
        """Keep what the model said of places."""
        if self.current(asking):
            digest = asking.model.digest
            self._predictions |= {_shown(place, digest): one for place, one in found.items()}
            self.predicted += 1

    def remember(self, asking: Asking) -> "ForwardCache":
        """What forwards found, for the model's worker; an empty one for what is not current any more."""
        from viewer import session

        if not self.current(asking):
            return session.ForwardCache()
        self.forwards = self.forwards or session.ForwardCache()
        return self.forwards

    # --- maps -------------------------------------------------------------------------------------

    def all(self, place: Position, choice: MethodChoice) -> MapsByTarget:
        """All that is kept of a place for a choice, whatever it explains; previews last of all."""
        key = self.requests.key(place, choice)
        return {} if key is None else self._found.get(key) or self._previews.get(key, {})

    def find(self, place: Position, choice: MethodChoice, target: str | None) -> Attribution | None:
        """The map for a choice and a target in words, or the one for every label."""
        found = self.all(place, choice)
        return found.get(None) or found.get(target)

    def finished(self, place: Position, choice: MethodChoice, target: str | None) -> Attribution | None:
        """The same, and no preview: for what is drawn small or compared, where nothing says which it is."""
        found = self.find(place, choice, target)
        return None if self.is_preview(found) else found

    def put(
        self,
        asking: Asking,
        place: Position,
        choice: MethodChoice,
        attributions: Sequence[Attribution],
        anew: bool = False,
    ) -> None:
        """Keep maps; `anew` in place of those that are kept, else those stay. Previews of them go."""
        key = self.requests.key(place, choice)
        if key is None or not self.current(asking):
            return
        self._previews.pop(key, None)
        before, new = self._found.get(key) or {}, {_words(a): a for a in attributions}
        found = {**before, **new} if anew else {**new, **before}
        if found:
            size = sum(a.values.nbytes for a in found.values()) + max(map(_input_bytes, found.values()))
            self._found.put(key, found, size)

    def learn_cost(self, attributions: Sequence[Attribution]) -> None:
        """Take from finished maps whether their method is too slow here to run unasked."""
        took: dict[str, float] = {}
        for one in attributions:
            blocks = 1 if one.swept is None else one.swept.grid
            took[one.explainer.name] = max(took.get(one.explainer.name, 0.0), one.seconds / blocks)
        self.seconds |= took
        slow = {name for name, seconds in took.items() if seconds > _PATIENCE}
        self.slow = (self.slow - took.keys()) | slow

    def put_preview(
        self, asking: Asking, place: Position, choice: MethodChoice, attribution: Attribution
    ) -> None:
        """Keep what a method has so far, until it has all."""
        key = self.requests.key(place, choice)
        if key is not None and self.current(asking):
            self._previews.setdefault(key, {})[_words(attribution)] = attribution

    def drop_previews(self) -> None:
        """What was under way has ended, or never will."""
        self._previews.clear()

    def is_preview(self, attribution: Attribution | None) -> bool:
        """Whether a map is not finished."""
        return any(attribution is one for found in self._previews.values() for one in found.values())

    def baselines(self, attribution: Attribution | None) -> tuple[Array, ...]:
        """The pictures of what a map's image was compared with."""
        if attribution is None or attribution.baselines is None:
            return ()
        return self._pictures.get(attribution.baselines, "", lambda: ((), 0))

    def put_baselines(self, attribution: Attribution, made: tuple[Array, ...]) -> None:
        """Keep these pictures; they are made on the model's worker, for an input is a tensor."""
        if attribution.baselines is not None:
            size = sum(one.nbytes for one in made)
            self._pictures.get(attribution.baselines, "", lambda: (made, size))

    def put_all_baselines(
        self, attributions: Sequence[Attribution], made: Sequence[tuple[Array, ...]]
    ) -> None:
        """Keep the pictures of several maps."""
        for attribution, one in zip(attributions, made, strict=True):
            self.put_baselines(attribution, one)

    # --- drawing ----------------------------------------------------------------------------------

    def style(self, attribution: Attribution, among: MapsByTarget, locked: bool) -> Style:
        """How a map is drawn: as its kind was before, so that labels and slices compare, if `locked`.

        A range is kept for one series: how large the values of a method are depends on the image, and in the
        range of another patient a map would be blank, or saturated, without meaning more or less evidence.
        What a method has so far may be far from what it ends with, and says nothing for others.
        """
        kind, sign = _kind(attribution), self.sign(attribution)
        style = (self._styles.get(kind) or self._automatic.get((kind, sign))) if locked else None
        if style is None:
            style, known = suited_style(list(among.values()) or [attribution], sign)
            if known and not self.is_preview(attribution):
                self._styles.pop(kind, None)
                self._automatic[kind, sign] = style
        return overlay.restyled(style, self._looks.get(kind[:2], {}))

    def sign(self, attribution: Attribution) -> Sign:
        """Which values of a map are drawn: those that the reader chose for its kind, else what suits it."""
        chosen: Sign | None = self._looks.get(_kind(attribution)[:2], {}).get("sign")
        return chosen or ("signed" if overlay.shows_both_signs(attribution) else "positive")

    def own_style(self, attribution: Attribution) -> Style:
        """How a map is drawn in a range of its own, whatever is locked; the rest as the reader has it."""
        sign = self.sign(attribution)

        def found() -> tuple[Style, int]:
            return suited_style([attribution], sign)[0], 1

        own = self._own.get(attribution.values, sign, found)
        return overlay.restyled(own, self._looks.get(_kind(attribution)[:2], {}))

    def suggest(self, attribution: Attribution, style: Style) -> None:
        """Draw maps of this kind so, unless it is known how; found by the worker where cells are many."""
        self._automatic.setdefault((_kind(attribution), style.sign), style)

    def restyle(
        self, attribution: Attribution, style: Style, before: Style, among: MapsByTarget, locked: bool
    ) -> Style:
        """Draw maps of this kind so from now on: range and threshold on this series, the rest on all.

        `before` is how the map was drawn; with another sign comes its automatic range, unless the reader has
        chosen one. Those of a preview end with it, for they are in the range of what the method had so far.
        """
        kind, own = _kind(attribution), self._styles.get(_kind(attribution))
        self._looks[kind[:2]] = {name: getattr(style, name) for name in _LOOK}
        if style.sign != before.sign and (own is None or _range(own) != _range(before)):
            automatic = self.style(attribution, among, locked)
            if _range(style) in (_range(before), _range(automatic)):  # the latter where a step is taken back
                return automatic
        if _range(style) != _range(before) and not self.is_preview(attribution):
            self._styles[kind] = style
        return style

    def tile(self, map: Attribution, slice: int, style: Style, side: int) -> Tile:
        """A map over a slice, drawn small."""
        return Tile(map, self.drawn.small(map, slice, style, side), style, map.negative)


def _shown(place: Position, model: str) -> tuple[object, ...]:
    """What tells a prediction from others: series and model as digests, as requests have them."""
    return (place.series.digest, model, place.slice, place.at)


def _input_bytes(attribution: Attribution) -> int:
    """What the patches of a sweep keep in memory: they are views of one input as large as its map."""
    if len(attribution.predictions) == 1:
        return 0
    source = attribution.predictions[0].input
    pixels = attribution.values.size * abs(np.linalg.det(attribution.matrix) / np.linalg.det(source.matrix))
    return 4 * int(source.tensor.shape[1]) * round(float(pixels))


def suited_style(maps: Sequence[Attribution], sign: Sign) -> tuple[Style, bool]:
    """How maps are drawn by themselves, and whether that says something for others: a map of nothing has no
    range of its own, and gives none."""
    style = overlay.automatic_style(maps, sign)
    return style, not all(overlay.blank(one, sign != "positive") for one in maps)


def _range(style: Style) -> tuple[tuple[float, float], float]:
    return style.range, style.threshold


_Kind = tuple[str, str | None, str]


def _kind(attribution: Attribution) -> _Kind:
    """Method, layer and series: what maps must share for one range. Points in time share a series' UID."""
    return attribution.explainer.name, attribution.layer, attribution.series.uid


def _words(attribution: Attribution) -> str | None:
    return None if attribution.target is None else attribution.target.words
