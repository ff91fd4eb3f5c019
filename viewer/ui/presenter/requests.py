# SPDX-License-Identifier: Apache-2.0
"""What the reader chose, as the request that tells its maps from all others."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from viewer.errors import WhyscopeError
from viewer.types import Place, Region, Request
from viewer.ui.state import NOWHERE, MethodChoice, Position

if TYPE_CHECKING:
    from viewer.explain import Explainer
    from viewer.models import Model

Key = tuple[Place, tuple[Any, ...]]
"""Place and manner of a request: what its maps have in common, whatever they explain."""


class Requests:
    """Makes requests of one model, each once. No file is read: what baselines hold is known of the runs."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._regions: tuple[Region, ...] = ()
        self._explainers: dict[MethodChoice, Explainer] = {}
        self._contents: dict[MethodChoice, tuple[tuple[str, str], ...]] = {}
        self._keys: dict[tuple[Position, MethodChoice], Key | None] = {}

    def open(self, model: "Model") -> None:
        """Another model."""
        self._model = model
        self._explainers.clear()
        self._contents.clear()
        self._keys.clear()

    def forget(self) -> None:
        """Another study."""
        self._keys.clear()

    def use(self, regions: Sequence[Region]) -> None:
        """The regions of the shown series, which choices name by their source."""
        if regions is not self._regions:
            self._regions = tuple(regions) if not isinstance(regions, tuple) else regions
            self._keys = {k: v for k, v in self._keys.items() if not (k[1].within or k[1].segmented)}

    def learn(self, choice: MethodChoice, answered: Iterable[Request]) -> None:
        """Take from the requests that a run answered what the files held that the settings name."""
        contents = next((one.contents for one in answered), ())
        if contents != self._contents.get(choice, ()):
            self._contents[choice] = contents
            self._keys = {k: v for k, v in self._keys.items() if k[1] != choice}

    def key(self, place: Position, choice: MethodChoice) -> Key | None:
        """What tells the maps of a choice at a place from others; None where nothing can be asked so."""
        if (place, choice) not in self._keys:
            self._keys[place, choice] = self._made(place, choice)
        return self._keys[place, choice]

    def _made(self, place: Position, choice: MethodChoice) -> Key | None:
        if self._model is None or place.at == NOWHERE:
            return None
        from viewer import session

        regions = [one for one in self._regions if one.series is place.series]
        within = next((one for one in regions if one.source == choice.within), None)
        if choice.within is not None and within is None:
            return None  # never as if it were limited to nothing
        try:
            where = session.place(place.series, self._model, place.slice, place.at)
            if choice not in self._explainers:
                settings = dict(choice.settings)
                (self._explainers[choice],) = session.configured([choice.method], choice.layer, settings)
            request = session.request(
                place.series, self._model, self._explainers[choice], "top", where, within=within,
                features=regions, contents=self._contents.get(choice, ()),
            )  # fmt: skip
        except WhyscopeError:  # the run says what is wrong with it
            return None
        return request.place, request.how
