# SPDX-License-Identifier: Apache-2.0
"""What the reader wishes, as the request that tells its maps from all others."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from viewer.errors import WhyscopeError
from viewer.types import Place as RequestPlace
from viewer.types import Region, Request
from viewer.ui.state import NOWHERE, Place, Wish

if TYPE_CHECKING:
    from viewer.explain import Explainer
    from viewer.models import Model

Key = tuple[RequestPlace, tuple[Any, ...]]
"""Place and manner of a request: what its maps have in common, whatever they explain."""


class Requests:
    """Makes requests of one model, each once. No file is read: what baselines hold is known of the runs."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._regions: tuple[Region, ...] = ()
        self._explainers: dict[Wish, Explainer] = {}
        self._contents: dict[Wish, tuple[tuple[str, str], ...]] = {}
        self._keys: dict[tuple[Place, Wish], Key | None] = {}

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
        """The regions of the shown series, which wishes name by their source."""
        if regions is not self._regions:
            self._regions = tuple(regions) if not isinstance(regions, tuple) else regions
            self._keys = {k: v for k, v in self._keys.items() if not (k[1].within or k[1].segmented)}

    def learn(self, wish: Wish, answered: Iterable[Request]) -> None:
        """Take from the requests that a run answered what the files held that the settings name."""
        contents = next((one.contents for one in answered), ())
        if contents != self._contents.get(wish, ()):
            self._contents[wish] = contents
            self._keys = {k: v for k, v in self._keys.items() if k[1] != wish}

    def key(self, place: Place, wish: Wish) -> Key | None:
        """What tells the maps of a wish at a place from others; None where nothing can be asked so."""
        if (place, wish) not in self._keys:
            self._keys[place, wish] = self._made(place, wish)
        return self._keys[place, wish]

    def _made(self, place: Place, wish: Wish) -> Key | None:
        if self._model is None or place.at == NOWHERE:
            return None
        from viewer import session

        regions = [one for one in self._regions if one.series is place.series]
        within = next((one for one in regions if one.source == wish.within), None)
        if wish.within is not None and within is None:
            return None  # never as if it were limited to nothing
        try:
            where = session.place(place.series, self._model, place.slice, place.at)
            if wish not in self._explainers:
                settings = dict(wish.settings)
                (self._explainers[wish],) = session.configured([wish.method], wish.layer, settings)
            request = session.request(
                place.series, self._model, self._explainers[wish], "top", where, within=within,
                features=regions, contents=self._contents.get(wish, ()),
            )  # fmt: skip
        except WhyscopeError:  # the run says what is wrong with it
            return None
        return request.place, request.how
