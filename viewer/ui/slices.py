"""Which slice is shown: read once, kept, gone to, and played."""

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from viewer import dicom
from viewer.dicom import Graphics, Study
from viewer.dicom.memory import KEPT, SliceMemory
from viewer.errors import SeriesError
from viewer.outline import Outline, outlines, slices_of, trimmed
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import Array, Region, Series, Window
from viewer.ui.board import Board
from viewer.ui.cine import Cine
from viewer.ui.displaying import levels_of
from viewer.ui.explaining import Explaining
from viewer.ui.jobs import Jobs
from viewer.ui.state import Memory, Notice, ViewState

_NEAR = 32
"""Slices on either side that are read before they are wanted, where each must be decoded."""


class Read(NamedTuple):
    """A slice that has been read: its stored and shown values, its window, and what its file lays over it."""

    stored: Array
    values: Array
    window: Window
    graphics: Graphics | None = None

    @property
    def arrays(self) -> tuple[Array, ...]:
        """All that it takes memory for."""
        laid = () if self.graphics is None else (self.graphics.overlay, self.graphics.shutter)
        return tuple(a for a in (self.stored, self.values, *laid) if a is not None)


class Slices:
    """The slices of the shown series, and what segmentations mark on them."""

    def __init__(
        self, board: Board, jobs: Jobs, explaining: Explaining, limits: Limits, memory: SliceMemory = KEPT
    ) -> None:
        self._board = board
        self._jobs = jobs
        self._explaining = explaining
        self._limits = limits
        self._memory = memory
        self._own = object()
        weakref.finalize(self, memory.leave, self._own).atexit = False
        self._lost: set[tuple[int, int]] = set()
        """What could not be read ahead."""
        self._outlines: dict[int, tuple[Outline, ...]] = {}
        self._cine = Cine(self._advance)
        self._played_from = 0

    @property
    def state(self) -> ViewState:
        """What is shown now."""
        return self._board.state

    # --- series -----------------------------------------------------------------------------------

    def forget(self) -> None:
        """Another study: nothing of the old one is read or kept."""
        self.leave()
        self._jobs.cancel("slice")
        self._memory.forget(self._own)
        self._lost.clear()

    def resize(self, room: int) -> None:
        """The bound of all slices that are kept; it holds at once."""
        self._memory.resize(room)
        if self.state.memory is not None:
            self._board.show(memory=Memory(self._memory.used, room))

    def limit(self, limits: Limits) -> None:
        """What the files of the next study may ask for."""
        self._limits = limits

    def leave(self) -> None:
        """Another series: what plays, and what is read beside its slices, stops."""
        self.halt()
        self._jobs.cancel("ahead")
        self._jobs.cancel("outlines")
        self._outlines = {}

    def enter(self, study: Study) -> None:
        """Read the slice that the state says of the series that it says."""
        self._read_slice()
        self._read_outlines(study)

    @property
    def shown(self) -> Read | None:
        """The shown slice as it was read, once it has been."""
        return self._kept(self.state.slice)

    # --- going ------------------------------------------------------------------------------------

    def go_to(self, slice: int) -> None:
        """Show another slice, the nearest there is; what plays stops."""
        series = self.state.series
        if series is None:
            return
        played = self.halt()
        slice = min(max(slice, 0), series.shape[0] - 1)
        if slice != self.state.slice:
            self._go(slice)
        elif played:
            self._explaining.slice_changed()

    def _go(self, slice: int) -> None:
        self._jobs.cancel("ahead")
        kept = self._kept(slice)
        self._board.note(slice=slice, probed=None, values=None, outlines=self._outlines.get(slice, ()))
        if kept is not None:  # all of the slice in one state: the window draws once
            self._board.note(**self._drawn(kept))
        self._explaining.slice_changed(run=not self.state.playing)
        self._read_slice()

    def _kept(self, slice: int) -> Read | None:
        found: Read | None = self._memory.get(self._own, (self.state.chosen or 0, slice))
        return found

    def _keep(self, key: tuple[int, int], found: Read) -> None:
        self._memory.put(self._own, key, found, found.arrays)
        self._board.note(memory=Memory(self._memory.used, self._memory.room))

    def _read_slice(self) -> None:
        series, number, slice = self.state.series, self.state.chosen, self.state.slice
        limits = self._limits
        if series is None or number is None:
            return
        self._memory.pin(self._own, (number, slice))
        kept = self._kept(slice)
        if kept is not None:
            self._jobs.cancel("slice")
            if self.state.values is not kept.values:
                self._show_slice(kept)
            self._read_ahead(kept)
            return

        def work(_task: Task) -> Read:
            return read(series, slice, limits)

        self._jobs.run(
            "io", "slice", work, lambda found: self._slice_read((number, slice), found), self._slice_failed
        )

    def _slice_read(self, key: tuple[int, int], found: Read) -> None:
        self._keep(key, found)
        self._show_slice(found)
        self._read_ahead(found)

    def _read_ahead(self, shown: Read) -> bool:
        """Read the nearest slices that are not kept, one for each decoder, then the next; False if none.

        Each wish of the reader goes first. What fails is said when the slice is asked for.
        """
        series, number, here = self.state.series, self.state.chosen, self.state.slice
        at_once = 1 if series is None else getattr(series.voxels, "ahead", 1)
        if series is None or number is None or self.state.playing or at_once < 2:
            return False
        size = sum(a.nbytes for a in shown.arrays)
        most = min(_NEAR, self._memory.room // (4 * size))  # half of it: the rest is where the reader was
        near = sorted(range(max(0, here - most), min(series.shape[0], here + most + 1)), key=_from(here))
        missing = [i for i in near if (number, i) not in self._lost and self._kept(i) is None][:at_once]
        if not missing:
            return False

        def done(found: tuple[Read | None, ...]) -> None:
            for slice, one in zip(missing, found, strict=True):
                if one is None:
                    self._lost.add((number, slice))
                else:
                    self._keep((number, slice), one)
            if not self._read_ahead(shown):
                self._board.show()  # how much memory it took

        limits = self._limits
        work = lambda _task: _together(series, missing, limits)  # noqa: E731
        self._jobs.run("io", "ahead", work, done, lambda _sentence: None)
        return True

    def _show_slice(self, found: Read) -> None:
        self._board.show(**self._drawn(found))

    def _drawn(self, found: Read) -> dict[str, Any]:
        """What the state has of a slice."""
        shown = levels_of(self.state.series, self.state.window, found.window)
        return {
            "values": found.values, "levels": shown or self.state.levels, "own": found.window,
            "graphics": found.graphics,
        }  # fmt: skip

    def _slice_failed(self, sentence: str) -> None:
        self._board.show(values=None, notice=Notice(sentence, "warning"))

    def _read_outlines(self, study: Study) -> None:
        """Read the segmentations that belong to the shown series, after its first slice."""
        series = self.state.series
        if series is None:
            return
        drawn = [one for one in study.segmentations if series in dicom.belongs(one, study.series)]
        if not drawn:
            return

        def done(found: tuple[dict[int, tuple[Outline, ...]], tuple[Region, ...], list[str]]) -> None:
            self._outlines, regions, faults = found
            notice = Notice(faults[0], "warning") if faults else self.state.notice
            shown = self._outlines.get(self.state.slice, ())
            self._board.show(outlines=shown, regions=regions, notice=notice)

        limits = self._limits
        self._jobs.run(
            "io", "outlines", lambda task: _outlined(drawn, series, limits, task), done, self._board.failed
        )

    # --- playing ----------------------------------------------------------------------------------

    def play(self) -> None:
        """Play the slices round and round, or stop; the slice where it stops is then explained."""
        series = self.state.series
        if self.halt():
            self._explaining.slice_changed()
        elif series is not None and series.shape[0] > 1:
            self._explaining.rest()
            self._board.show(playing=True, probed=None)
            self.start_playing()

    def start_playing(self) -> None:
        """From the shown slice, at the rate that is preferred now."""
        self._played_from = self.state.slice
        self._cine.start(self.state.preferences.rate)

    def halt(self) -> bool:
        """Stop playing, without showing it yet; whether anything played."""
        played = self.state.playing
        if played:
            self._cine.stop()
            self._jobs.cancel("cine")
            self._board.note(playing=False)
        return played

    def _advance(self, steps: int) -> None:
        """Show the slice that is due; while another one is still being read this one is left out."""
        series, number, limits = self.state.series, self.state.chosen, self._limits
        if series is None or number is None or self._jobs.active("cine") or self._jobs.active("slice"):
            return
        slice = (self._played_from + steps) % series.shape[0]
        if slice == self.state.slice:
            return
        if self._kept(slice) is not None:
            self._go(slice)
            return

        def done(found: Read) -> None:
            self._keep((number, slice), found)
            self._go(slice)

        def failed(sentence: str) -> None:
            self.halt()
            self._slice_failed(sentence)

        self._jobs.run("io", "cine", lambda _task: read(series, slice, limits), done, failed)

    def close(self) -> None:
        """Play no more, and keep nothing."""
        self._cine.stop()
        self._memory.forget(self._own)


def read(series: Series, slice: int, limits: Limits) -> Read:
    """A slice for the canvas and the probe: modality values, or colour as it is shown."""
    try:
        stored = series.voxels[slice]
        values = dicom.displayed(series, slice) if series.colour else dicom.modality_values(series, slice)
        laid = dicom.graphics(series, slice, limits)
        return Read(stored, values, dicom.default_window(series, slice), laid)
    except IndexError as error:
        raise SeriesError(f"There is no slice {slice}.") from error


def _from(here: int) -> Callable[[int], int]:
    return lambda slice: abs(slice - here)


def _together(series: Series, slices: Sequence[int], limits: Limits) -> tuple[Read | None, ...]:
    """Several slices at once; None for what cannot be read."""

    def attempt(slice: int) -> Read | None:
        try:
            return read(series, slice, limits)
        except SeriesError:
            return None

    with ThreadPoolExecutor(len(slices), "whyscope ahead") as pool:
        return tuple(pool.map(attempt, slices))


def _outlined(
    drawn: Sequence[dicom.Segmentation], series: Series, limits: Limits, task: Task
) -> tuple[dict[int, tuple[Outline, ...]], tuple[Region, ...], list[str]]:
    """The outlines by slice, the regions, and what is wrong with segmentations that cannot be drawn."""
    regions: list[Region] = []
    faults = []
    for one in drawn:
        try:
            regions += (trimmed(region) for region in dicom.regions(one, series, limits))
        except SeriesError as error:
            faults.append(str(error))
    found = {}
    for slice in sorted({i for region in regions for i in slices_of(region)}):
        task.check()
        found[slice] = outlines(tuple(regions), slice)
    return found, tuple(regions), faults
