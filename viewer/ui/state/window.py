# SPDX-License-Identifier: Apache-2.0
"""What the window shows, as one frozen value of sub-states, and what follows from several of them.

Two states are compared field by field with `is`, so that a widget redraws only what changed.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from viewer.dicom import in_time
from viewer.overlay.outline import Outline
from viewer.types import Attribution, Map, Region, Style, Sweep, Window
from viewer.ui.state.answer import AnswerState, MethodItem
from viewer.ui.state.planes import Marked, PlanesState, Slab
from viewer.ui.state.regions import RegionsState
from viewer.ui.state.request import NOWHERE, WHOLE, At, RequestState
from viewer.ui.state.shell import Busy, Memory, Notice, Probed, ShellState
from viewer.ui.state.studies import StudiesState
from viewer.ui.state.views import UNFLIPPED, Flips, View, ViewsState

_LONG, _MANY_BLOCKS = 60, 100
"""Seconds of a sweep from which on it is told before it starts, and blocks where those are not known."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewState:
    """All that the window shows."""

    studies: StudiesState = field(default_factory=StudiesState)
    views: ViewsState = field(default_factory=ViewsState)
    request: RequestState = field(default_factory=RequestState)
    answer: AnswerState = field(default_factory=AnswerState)
    regions: RegionsState = field(default_factory=RegionsState)
    planes: PlanesState = field(default_factory=PlanesState)
    shell: ShellState = field(default_factory=ShellState)

    @property
    def view(self) -> View:
        """The active view."""
        return self.views.view

    def seen_by(self, place: int) -> "ViewState":
        """The same with another view as the active one, without what is not of its group."""
        if place == self.views.active:
            return self
        views = replace(self.views, active=place)
        if views.view.group == self.view.group:
            return replace(self, views=views)
        return replace(
            self, views=replace(views, styled=None), request=replace(self.request, patch=None),
            answer=AnswerState(model=self.answer.model), regions=RegionsState(), planes=PlanesState(),
        )  # fmt: skip

    def value(self, name: str) -> Any:
        """A field of a sub-state, or of the active view, by its name."""
        return getattr(getattr(self, OWNERS[name]), name)

    def changed(self, **changes: Any) -> "ViewState":
        """The same with fields of its sub-states changed, by their names; those of a view in the active one.

        Another `layout` lays the views out anew. The very same value is no change, nor is an equal one of
        those that have nothing but their value: the state stays the one that has been shown.
        """
        parts: dict[str, dict[str, Any]] = {}
        layout = changes.pop("layout", self.views.layout)
        for name, value in changes.items():
            if not _one(self.value(name), value):
                parts.setdefault(OWNERS[name], {})[name] = value
        if not parts and layout == self.views.layout:
            return self
        of_view = parts.pop("view", None)
        if of_view is not None:
            parts.setdefault("views", {})["views"] = self.views.with_view(**of_view)
        result = replace(self, **{part: replace(getattr(self, part), **some) for part, some in parts.items()})
        return result if layout == self.views.layout else replace(result, views=result.views.laid_out(layout))

    @property
    def current(self) -> int | None:
        """The place of the shown series in `items`, whether it is chosen or still being read."""
        return self.studies.previewed if self.view.number is None else self.view.number

    @property
    def three(self) -> bool:
        """Whether three planes are shown: wished, and there are such."""
        return self.views.layout == "3" and self.view.series is not None and self.planes.flat is None

    @property
    def flips(self) -> Flips:
        """How what is shown is turned over: planes and the contact sheet keep the patient's sides."""
        return UNFLIPPED if self.three or self.views.layout == "sheet" else self.view.flips

    @property
    def chosen_method(self) -> MethodItem | None:
        """The chosen method, where the model offers it."""
        methods = () if self.answer.model is None else self.answer.model.methods
        return next((m for m in methods if m.name == self.request.method), None)

    @property
    def region(self) -> Region | None:
        """The region of the series that the method is limited to, if it can be."""
        item = self.chosen_method
        if item is None or not item.limited or self.request.within is None:
            return None
        return next((region for region in self.regions.regions if region.source == self.request.within), None)

    @property
    def at(self) -> At:
        """What the model is shown of the slice or volume, if it reads patches."""
        return self.at_slice(self.view.slice)

    def at_slice(self, slice: int) -> At:
        """The same of another slice."""
        if self.answer.model is None or self.answer.model.patch is None:
            return None
        if self.request.swept is None:
            return self.request.placed
        if self.request.swept == WHOLE:
            return Sweep()
        volume = self.answer.model.volume
        if not isinstance(self.request.swept, str):
            first, last = self.request.swept
            return Sweep((first, last) if volume else (first[1:], last[1:]))
        box = self.regions.boxes.get((self.request.swept, None if volume else slice))
        return NOWHERE if box is None else Sweep(box)

    @property
    def free(self) -> bool:
        """Whether the chosen method costs so little here that it runs unasked."""
        item = self.chosen_method
        quick = item is not None and item.quick and item.name not in self.answer.slow
        return quick and not isinstance(self.at, Sweep)

    @property
    def long(self) -> bool:
        """Whether a sweep takes, or may take, so long that the reader is told how long before it starts."""
        size, item = self.request.search, self.chosen_method
        if size is None or item is None:
            return False
        if size.seconds is None:
            return not item.quick and size.blocks > _MANY_BLOCKS
        return size.seconds * size.blocks > _LONG

    @property
    def target_words(self) -> str | None:
        """What is explained, as `Target.words` has it."""
        request = self.request
        return request.target if request.against is None else f"{request.target} − {request.against}"

    @property
    def shown(self) -> Map | None:
        """The map that is drawn: one that came with the study, else what a method made."""
        return self.answer.attribution if self.regions.loaded is None else self.regions.loaded

    @property
    def finished(self) -> Attribution | None:
        """The map that is drawn, where a method made it and has come to its end."""
        return None if self.answer.preview or self.regions.loaded is not None else self.answer.attribution

    @property
    def negative(self) -> bool:
        """Whether the drawn map explains a label that the model does not call."""
        return self.answer.gate == "negative" and self.regions.loaded is None

    @property
    def map_shown(self) -> bool:
        """Whether a map is drawn at all."""
        return self.draws_map(self.view)

    def draws_map(self, view: View) -> bool:
        """Whether what a view has of the map is drawn: its gate is open, or the reader asked to see it."""
        open_to_all = self.answer.gate == "open" or self.answer.asked or self.regions.loaded is not None
        return view.map is not None and self.views.overlay and open_to_all

    def outlines_in(self, view: View) -> tuple[Outline, ...]:
        """The outlines that are drawn in a view, without what is hidden."""
        if not self.views.outlined:
            return ()
        return tuple(one for one in view.outlines if one.region.source not in self.regions.hidden)

    @property
    def points(self) -> range:
        """The places in `items` of the fourth dimension that the shown series is a point of, or none."""
        view, every = self.view, len(self.studies.items)
        part = None if view.series is None else view.series.part
        if part is None or view.number is None:
            return range(0)
        first = view.number - part.index
        return range(first, first + part.count) if 0 <= first <= every - part.count else range(0)

    @property
    def played(self) -> Literal["slices", "points"]:
        """What is played: what there is; of both what is wished, else the points where they are times."""
        if self.view.series is None or len(self.points) < 2:
            return "slices"
        if self.view.series.shape[0] < 2:
            return "points"
        part = self.view.series.part
        return self.views.along or ("points" if part is not None and in_time(part) else "slices")


_BY_VALUE = (str, int, float, frozenset, dict, Busy, Marked, Memory, Notice, Probed, Slab, Style, Window)


def _one(now: object, value: object) -> bool:
    """Whether a value is no change."""
    return now is value or (isinstance(value, _BY_VALUE) and now == value)


OWNERS: dict[str, str] = {
    one.name: part.name
    for part in fields(ViewState)
    for one in fields(part.default_factory)  # type: ignore[arg-type]
} | {one.name: "view" for one in fields(View)}
"""The sub-state that each field belongs to; "view" for those of one view."""
