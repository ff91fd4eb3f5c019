# SPDX-License-Identifier: Apache-2.0
"""Which slice is shown, of which point of the fourth dimension: read once, kept, gone to, and played."""

import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

from viewer import dicom
from viewer.dicom import Study
from viewer.dicom.memory import KEPT, SliceMemory
from viewer.planes import Point, nearest_slice
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import Series, Window
from viewer.ui.commands import Bindings
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.cine import Cine
from viewer.ui.presenter.display import levels_of
from viewer.ui.presenter.explaining import Explaining
from viewer.ui.presenter.read import Place, Read, read, together
from viewer.ui.presenter.store import Store
from viewer.ui.state import Memory, Notice, ShellState, Unread, ViewState, messages

_NEAR = 32
"""Slices on either side that are read before they are wanted, where each must be decoded."""
_NEAR_POINTS = 4
"""Likewise points of the fourth dimension, of which the same place is read."""


class Scrolling:
    """The slices of the shown series, and of the series that are points of one fourth dimension with it."""

    def __init__(
        self, store: Store, jobs: Jobs, explaining: Explaining, limits: Limits, memory: SliceMemory = KEPT
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._explaining = explaining
        self._limits = limits
        self._memory = memory
        self._own = object()
        weakref.finalize(self, memory.leave, self._own).atexit = False
        self._lost: set[Place] = set()
        """What could not be read ahead."""
        self._series: tuple[Series, ...] = ()
        self._at: Point | None = None
        """The place that points are compared at, where not all of them have a slice just there."""
        self._cine = Cine(self._advance)
        self._played_from = 0

    @property
    def state(self) -> ViewState:
        """What is shown now."""
        return self._store.state

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {"play": self.play}

    # --- series -----------------------------------------------------------------------------------

    def forget(self) -> None:
        """Another study: nothing of the old one is read or kept."""
        self.leave()
        self._jobs.cancel("slice")
        self._memory.forget(self._own)
        self._lost.clear()
        self._series = ()

    def resize(self, room: int) -> None:
        """The bound of all slices that are kept; it holds at once."""
        self._memory.resize(room)
        if self.state.shell.memory is not None:
            self._store.show(memory=Memory(self._memory.used, room))

    def limit(self, limits: Limits) -> None:
        """What the files of the next study may ask for."""
        self._limits = limits

    def leave(self) -> None:
        """Another series: what plays, and what is read beside its slices, stops."""
        self.halt()
        self._jobs.cancel("ahead")

    def enter(self, study: Study) -> None:
        """Read the slice that the state says of the series that it says."""
        self._series, self._at = study.series, None
        kept = self._kept((self.state.view.number or 0, self.state.view.slice))
        if kept is not None:
            self._store.note(**self._drawn(kept))
        self._read_slice()

    @property
    def shown(self) -> Read | None:
        """The shown slice as it was read, once it has been."""
        return self._kept((self.state.view.number or 0, self.state.view.slice))

    # --- going ------------------------------------------------------------------------------------

    def go_to(self, slice: int) -> None:
        """Show another slice, the nearest there is; what plays stops."""
        series = self.state.view.series
        if series is None:
            return
        played = self.halt()
        slice = min(max(slice, 0), series.shape[0] - 1)
        if slice != self.state.view.slice:
            self._go(slice)
        elif played:
            self._explaining.slice_changed()

    def _go(self, slice: int) -> None:
        self._at = None
        self._show_place((self.state.view.number or 0, slice))
        self._explaining.slice_changed(run=not self.state.views.playing)
        self._read_slice()

    def _show_place(self, place: Place) -> None:
        """Note another place, with its slice where that is kept: the window then draws once."""
        self._jobs.cancel("ahead")
        kept = self._kept(place)
        self._store.note(number=place[0], slice=place[1], probed=None, values=None)
        if kept is not None:
            self._store.note(**self._drawn(kept))

    # --- fourth dimension -------------------------------------------------------------------------

    def go_to_point(self, index: int) -> bool:
        """Show the same place at another point of the fourth dimension, the nearest; whether it is another.

        What plays stops.
        """
        points = self.state.points
        if not points:
            return False
        played = self.halt()
        number = points[min(max(index, 0), len(points) - 1)]
        if number != self.state.view.number:
            self._go_on(number)
            return True
        if played:
            self._explaining.slice_changed()
        return played

    def _go_on(self, number: int) -> None:
        """Show the slice of another point that lies where the shown one does, in the same window."""
        state, series = self.state, self._series[number]
        slice, apart = self._across(number)
        self._at = self._here()
        self._store.note(
            series=series, window=self._held(),
            **({} if state.views.playing else _missing(series, apart, state.shell)),
        )  # fmt: skip
        self._show_place((number, slice))
        self._explaining.point_changed(run=not state.views.playing)
        self._read_slice()

    def _across(self, number: int) -> tuple[int, float]:
        """The slice of another point nearest to the shown one, and how many millimetres lie between."""
        there, at = self._series[number], self._here()
        if at is None or there.geometry.position(0) is None:
            return min(self.state.view.slice, there.shape[0] - 1), 0.0
        return nearest_slice(there, at)

    def _here(self) -> Point | None:
        """The place that the reader is at, which a point may have no slice of."""
        series = self.state.view.series
        return self._at or (None if series is None else series.geometry.position(self.state.view.slice))

    def _held(self) -> Window | None:
        """The window for the next point: times compare in one window, contrasts have each their own."""
        state = self.state
        part = None if state.view.series is None else state.view.series.part
        if (
            part is None
            or state.view.window is not None
            or state.view.values is None
            or not dicom.in_time(part)
        ):
            return state.view.window
        table = state.view.series is not None and state.view.series.display.voi_lut is not None
        return None if table else state.view.own

    # --- reading ----------------------------------------------------------------------------------

    def _kept(self, place: Place) -> Read | None:
        found: Read | None = self._memory.get(self._own, place)
        return found

    def _keep(self, place: Place, found: Read) -> None:
        self._memory.put(self._own, place, found, found.arrays)
        self._store.note(memory=Memory(self._memory.used, self._memory.room))

    def _read_slice(self) -> None:
        series, number, slice = self.state.view.series, self.state.view.number, self.state.view.slice
        limits = self._limits
        if series is None or number is None:
            return
        self._memory.pin(self._own, (number, slice))
        kept = self._kept((number, slice))
        if kept is not None:
            self._jobs.cancel("slice")
            if self.state.view.values is not kept.values:
                self._show_slice(kept)
            self._read_ahead(kept)
            return

        def work(_task: Task) -> Read:
            return read(series, slice, limits)

        self._jobs.run(
            "io", "slice", work, lambda found: self._slice_read((number, slice), found), self._slice_failed
        )

    def _slice_read(self, key: Place, found: Read) -> None:
        self._keep(key, found)
        self._show_slice(found)
        self._read_ahead(found)

    def _read_ahead(self, shown: Read) -> bool:
        """Read the nearest places that are not kept, one for each decoder, then the next; False if none.

        Each wish of the reader goes first. What fails is said when the slice is asked for.
        """
        series = self.state.view.series
        if series is None or self.state.view.number is None or self.state.views.playing:
            return False
        size = sum(a.nbytes for a in shown.arrays)
        most = self._memory.room // (4 * size)  # half of it: the rest is where the reader was
        wanted = (one for one in self._nearby(most) if one not in self._lost and self._kept(one) is None)
        missing = list(islice(wanted, getattr(series.voxels, "ahead", 1)))
        if not missing:
            return False

        def done(found: tuple[Read | None, ...]) -> None:
            for place, one in zip(missing, found, strict=True):
                if one is None:
                    self._lost.add(place)
                else:
                    self._keep(place, one)
            if not self._read_ahead(shown):
                self._store.show()  # how much memory it took

        every, limits = self._series, self._limits
        work = lambda _task: together(every, missing, limits)  # noqa: E731
        self._jobs.run("io", "ahead", work, done, lambda _sentence: None)
        return True

    def _nearby(self, most: int) -> Iterator[Place]:
        """What the reader may want next: the place at the next points, then, if slow to read, slices."""
        series, number, here = self.state.view.series, self.state.view.number, self.state.view.slice
        if series is None or number is None:
            return
        points, reach = self.state.points, min(_NEAR_POINTS, most)
        for other in sorted(points, key=lambda n: abs(n - number)):
            if 0 < abs(other - number) <= reach:
                yield other, self._across(other)[0]
        if getattr(series.voxels, "ahead", 1) > 1:
            most = min(_NEAR, most)
            near = range(max(0, here - most), min(series.shape[0], here + most + 1))
            yield from ((number, i) for i in sorted(near, key=lambda i: abs(i - here)))

    def _show_slice(self, found: Read) -> None:
        self._store.show(**self._drawn(found))

    def _drawn(self, found: Read) -> dict[str, Any]:
        """What the state has of a slice."""
        shown = levels_of(self.state.view.series, self.state.view.window, found.window)
        return {
            "values": found.values, "levels": shown or self.state.view.levels, "own": found.window,
            "graphics": found.graphics,
        }  # fmt: skip

    def _slice_failed(self, sentence: str) -> None:
        view = self.state.view
        unread = None if view.series is None else Unread(view.series, view.slice, sentence)
        notice = Notice(sentence, "warning", about="slice")  # of many slices only the last is said
        self._store.could_not(sentence, notice=notice, values=None, unread=unread)

    # --- playing ----------------------------------------------------------------------------------

    def play(self) -> None:
        """Play what there is round and round, or stop; the slice where it stops is then explained."""
        series = self.state.view.series
        if self.halt():
            self._explaining.slice_changed()
        elif series is not None and max(series.shape[0], len(self.state.points)) > 1:
            self._explaining.rest()
            self._store.show(playing=True, probed=None)
            self.start_playing()

    def start_playing(self) -> None:
        """From the shown place, at the rate that the file wants, else the one that is preferred now."""
        state = self.state
        along_points = state.played == "points" and state.view.number is not None
        self._played_from = state.points.index(state.view.number or 0) if along_points else state.view.slice
        self._cine.start((not along_points and state.view.rate) or state.shell.preferences.rate)

    def halt(self) -> bool:
        """Stop playing, without showing it yet; whether anything played."""
        played = self.state.views.playing
        if played:
            self._cine.stop()
            self._jobs.cancel("cine")
            self._store.note(playing=False)
        return played

    def _advance(self, steps: int) -> None:
        """Show the slice that is due; while another one is still being read this one is left out."""
        if self._jobs.active("cine") or self._jobs.active("slice"):
            return
        due = self._due(steps)
        if due is None or due == (self.state.view.number, self.state.view.slice):
            return
        if self._kept(due) is not None:
            self._play_on(due)
            return

        def done(found: Read) -> None:
            self._keep(due, found)
            self._play_on(due)

        def failed(sentence: str) -> None:
            self.halt()
            self._slice_failed(sentence)

        series, limits = self._series[due[0]], self._limits
        self._jobs.run("io", "cine", lambda _task: read(series, due[1], limits), done, failed)

    def _due(self, steps: int) -> Place | None:
        """Where what plays should be after so many steps."""
        state = self.state
        if state.view.series is None or state.view.number is None:
            return None
        if state.played == "slices":
            return state.view.number, (self._played_from + steps) % state.view.series.shape[0]
        number = state.points[(self._played_from + steps) % len(state.points)]
        return number, state.view.slice if number == state.view.number else self._across(number)[0]

    def _play_on(self, place: Place) -> None:
        if place[0] == self.state.view.number:
            self._go(place[1])
        else:
            self._go_on(place[0])

    def close(self) -> None:
        """Play no more, and keep nothing."""
        self._cine.stop()
        self._memory.forget(self._own)


def _missing(series: Series, apart: float, shell: ShellState) -> dict[str, Any]:
    """It is said that a point has no slice at the place that was shown at another one, while that is so."""
    spacing = series.geometry.spacing
    step = spacing[0] if spacing is not None else None
    if series.part is None or apart < 0.5 * (step or 2.0):
        return messages.unsaid(shell, "point")
    words = series.part.words[0].upper() + series.part.words[1:]
    text = f"{words} has no slice at this place: the nearest is shown, {apart:.1f} mm away."
    return messages.said(shell, Notice(text, "warning", about="point"))
