# SPDX-License-Identifier: Apache-2.0
"""What came with the study and lies on the shown series: its maps, and what segmentations mark.

Nothing of it needs a model. It is read once for each series, and follows the state: whatever slice of
whatever series is about to be shown gets its own outlines, and its own slice of the wished map, or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from viewer import dicom
from viewer.cache import Cache
from viewer.dicom import Study
from viewer.errors import SeriesError
from viewer.overlay import quantity_style
from viewer.overlay.outline import Box, Outline, box, outlines, slices_of, trimmed
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import LoadedMap, Region, Series, Style
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.drawn_maps import DrawnMaps
from viewer.ui.presenter.store import Store
from viewer.ui.state import Notice, ViewState, messages
from viewer.ui.views.captions import span_words

_ROOM = 512 * 2**20
"""Bytes of maps and regions that are kept for going from series to series."""
_DRAWN = 64 * 2**20
_JOB = "companions"
_NOTHING: Mapping[str, Any] = {
    "came": (), "spans": (), "regions": (), "boxes": MappingProxyType({}), "outlines": (), "loaded": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class OnSeries:
    """What lies on one series; `outlines` by slice, `faults` what is wrong with what could not be read.

    Of each map its `spans` in words and its first style: a volume is looked through once, by the worker.
    """

    series: Series
    maps: tuple[LoadedMap, ...] = ()
    spans: tuple[str, ...] = ()
    styles: tuple[Style, ...] = ()
    regions: tuple[Region, ...] = ()
    outlines: Mapping[int, tuple[Outline, ...]] = field(default_factory=dict)
    boxes: Mapping[tuple[str, int | None], Box] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes."""
        lines = sum(one.lines.nbytes for found in self.outlines.values() for one in found)
        return lines + sum(m.values.nbytes for m in self.maps) + sum(r.mask.nbytes for r in self.regions)


class Companions:
    """Reads what came along, and draws of it what the reader wishes."""

    def __init__(self, store: Store, jobs: Jobs, limits: Limits) -> None:
        self._store = store
        self._jobs = jobs
        self._limits = limits
        self._read: Cache[Series, OnSeries] = Cache(_ROOM, latest=True)
        self._drawn = DrawnMaps(_DRAWN)
        self._styles: dict[tuple[str, ...], Style] = {}
        self._wished: tuple[str, ...] | None = None
        self._study: Study | None = None
        self._asked: Series | None = None

    @property
    def _state(self) -> ViewState:
        return self._store.state

    # --- following --------------------------------------------------------------------------------

    def open(self, study: Study) -> None:
        """Another study: nothing of the old one is read or kept."""
        self._study = study
        self.leave()
        self._read.clear()
        self._drawn.clear()
        self._styles.clear()
        self._store.note(hidden=frozenset())

    def limit(self, limits: Limits) -> None:
        """What the files of the next study may ask for."""
        self._limits = limits

    def leave(self) -> None:
        """Another series, and no other point of this one: no map of it is wished yet."""
        self._jobs.cancel(_JOB)
        self._asked = self._wished = None

    def ask(self, state: ViewState) -> None:
        """Read what lies on the shown series, after its slice; of those that are played, of the last."""
        series, number, study, limits = state.view.series, state.view.number, self._study, self._limits
        ready = state.view.values is not None and not state.views.playing and series is not self._asked
        if (
            not ready
            or series is None
            or number is None
            or study is None
            or self._read.get(series) is not None
        ):
            return
        self._asked = series
        self._jobs.cancel(_JOB)
        drawn = [one for one in study.segmentations if series in dicom.belongs(one, study.series)]
        computed = [one for one in study.parametric if series in dicom.belongs(one, study.series)]
        if not drawn and not computed:
            return

        def done(found: OnSeries) -> None:
            self._read.put(series, found, found.size)
            self._store.show(**({"notice": Notice(found.faults[0], "warning")} if found.faults else {}))

        self._jobs.run(
            "io", _JOB, lambda task: read(series, drawn, computed, limits, task), done, self._store.failed
        )

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """What lies on the series and the slice of a state, as far as it has been read."""
        series = state.view.series
        here = None if series is None or state.view.number is None else self._read.get(series)
        if here is None:
            return _NOTHING
        loaded = next((one for one in here.maps if quantity(one) == self._wished), None)
        changes: dict[str, Any] = {
            "came": here.maps, "spans": here.spans, "regions": here.regions, "boxes": here.boxes,
            "outlines": here.outlines.get(state.view.slice, ()), "loaded": loaded,
        }  # fmt: skip
        if loaded is None:
            return changes
        style = self._styles.get(quantity(loaded)) or here.styles[here.maps.index(loaded)]
        map = self._drawn.on_slice(loaded, state.view.slice, style)
        # What it asks belongs to the map that is not drawn now; it is asked again with that.
        return changes | {"style": style, "styled": loaded, "map": map} | messages.unsaid(state.shell, "map")

    # --- wishes -----------------------------------------------------------------------------------

    def choose(self, number: int | None) -> None:
        """Draw one of the maps that came along; None: what the model says again."""
        came = self._state.regions.came
        if number is not None and not 0 <= number < len(came):
            return
        self._wished = None if number is None else quantity(came[number])
        self._store.show(**({} if number is None else {"overlay": True}))

    def restyle(self, style: Style) -> None:
        """Change how the drawn quantity is drawn."""
        if self._state.regions.loaded is not None:
            self._styles[quantity(self._state.regions.loaded)] = style
            self._store.show()

    def hide(self, sources: Sequence[str], hidden: bool) -> None:
        """Outline these regions, or not; what all outlines are is another wish."""
        now = self._state.regions.hidden
        self._store.show(hidden=now | set(sources) if hidden else now - set(sources))


def quantity(map: LoadedMap) -> tuple[str, ...]:
    """What a map that came along measures, in which file: the same on each series that it lies on."""
    return (map.provenance, map.name, map.unit)


def read(
    series: Series,
    drawn: Sequence[dicom.Segmentation],
    computed: Sequence[dicom.ParametricMap],
    limits: Limits,
    task: Task,
) -> OnSeries:
    """Decode segmentations and parametric maps; those that cannot be are said, and the others come."""
    regions: list[Region] = []
    maps: list[LoadedMap] = []
    faults = []
    every: tuple[dicom.Segmentation | dicom.ParametricMap, ...] = (*drawn, *computed)
    for one in every:
        task.check()
        try:
            if isinstance(one, dicom.ParametricMap):
                maps += dicom.maps(one, series, limits)
            else:
                regions += (trimmed(region) for region in dicom.regions(one, series, limits))
        except SeriesError as error:
            faults.append(str(error))
    for region in regions:
        task.check()
        region.digest  # noqa: B018  # of many voxels: the window's thread asks for it with every request
    found = {}
    for slice in sorted({i for region in regions for i in slices_of(region)}):
        task.check()
        found[slice] = outlines(tuple(regions), slice)
    boxes: dict[tuple[str, int | None], Box] = {(one.source, None): box(one) for one in regions}
    boxes |= {(one.region.source, i): box(one.region, one) for i, some in found.items() for one in some}
    spans, styles = [], []
    for map in maps:
        task.check()
        spans.append(span_words(map))
        styles.append(quantity_style(map))
    return OnSeries(
        series, tuple(maps), tuple(spans), tuple(styles), tuple(regions), found, boxes, tuple(faults)
    )
