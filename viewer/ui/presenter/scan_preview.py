# SPDX-License-Identifier: Apache-2.0
"""What is shown of a study while it is still being read: series as they are found, and one image.

Nothing of that is chosen, so nothing explains or exports it: where the image lies is not known yet.
"""

from collections.abc import Callable
from typing import NamedTuple

from viewer.dicom import Arrival, Study
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.task import Task
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.display import levels
from viewer.ui.presenter.read import Read, read
from viewer.ui.presenter.rows import growing_row
from viewer.ui.presenter.store import Store
from viewer.ui.state import UNFLIPPED, SeriesItem


class _Found(NamedTuple):
    """What the scan has found so far, and the first image of the series `key`, if it was read just now."""

    arrivals: tuple[Arrival, ...]
    key: str
    image: Read | None


class ScanPreview:
    """The series of a study that is still being read; lives on the GUI thread."""

    def __init__(self, store: Store, jobs: Jobs, limits: Limits) -> None:
        self._store = store
        self._jobs = jobs
        self._limits = limits
        self._arrivals: tuple[Arrival, ...] = ()
        self._images: dict[str, Read] = {}
        self._rows: dict[str, tuple[tuple[int, bool, bool], SeriesItem]] = {}
        self._wish: str | None = None
        """The series that the reader chose to see; None: the first that came. The worker reads it too."""

    def limit(self, limits: Limits) -> None:
        """What the files of the next study may ask for."""
        self._limits = limits

    def __bool__(self) -> bool:
        return bool(self._arrivals)

    def listener(self, task: Task) -> Callable[[tuple[Arrival, ...]], None]:
        """What a scan tells on its worker's thread, which it keeps busy: so images are read in between."""
        done: set[str] = set()

        def report(arrivals: tuple[Arrival, ...]) -> None:
            one = _wished(arrivals, self._wish)
            image = None
            if one.key not in done:
                done.add(one.key)
                try:
                    image = read(one.series, 0, self._limits)
                except SeriesError:  # it is said of the slice once it has its place
                    image = None
            self._jobs.report(task, self._on_found, _Found(arrivals, one.key, image))

        return report

    def _on_found(self, found: _Found) -> None:
        self._arrivals = found.arrivals
        if found.image is not None:
            self._images[found.key] = found.image
        self._show()

    def choose(self, number: int) -> None:
        """Show the first image of another series, as soon as the scan has read it in passing."""
        if 0 <= number < len(self._arrivals):
            self._wish = self._arrivals[number].key
            self._show()

    def _show(self) -> None:
        """Show the rows, and the image of the wished series if it has been read and is another."""
        one = _wished(self._arrivals, self._wish)
        image, state = self._images.get(one.key), self._store.state
        number = self._arrivals.index(one)
        self._store.note(items=self.rows(), previewed=number)
        if state.view.series is one.series and (image is None or state.view.values is image.values):
            self._store.show()
            return
        self._store.note(
            number=None, series=one.series, slice=0, seen=None, flips=UNFLIPPED, window=None,
            values=None, graphics=None, probed=None,
            inverted=one.series.dark_first,
        )  # fmt: skip
        if image is not None:
            self._store.note(
                values=image.values, levels=levels(image.window), own=image.window, graphics=image.graphics
            )
        self._store.show()

    def rows(self) -> tuple[SeriesItem, ...]:
        """A row for each series; the same object as before where nothing has changed."""
        shown, masked = _wished(self._arrivals, self._wish), self._store.state.shell.masked
        for one in self._arrivals:
            facts = one.images, masked, one is shown
            if one.key not in self._rows or self._rows[one.key][0] != facts:
                self._rows[one.key] = facts, growing_row(one, masked, one is shown)
        return tuple(self._rows[one.key][1] for one in self._arrivals)

    def place_in(self, study: Study) -> tuple[int, int] | None:
        """Number of series and slice of the image that the reader chose to see; None without a choice."""
        if self._wish is None:
            return None
        early = _wished(self._arrivals, self._wish).series
        path, name, frame = early.paths[0], early.sop_uids[0], early.frame_numbers[0]
        places = [
            (number, slice)
            for number, series in enumerate(study.series)
            for slice, its in enumerate(series.frame_numbers)
            if its == frame and (series.paths[slice] == path or (name and series.sop_uids[slice] == name))
        ]
        exact = (p for p in places if study.series[p[0]].paths[p[1]] == path)
        return next(exact, places[0] if places else None)

    def forget(self) -> None:
        """The study has been read, or is not read any more."""
        self._arrivals, self._wish = (), None
        self._images.clear()
        self._rows.clear()


def _wished(arrivals: tuple[Arrival, ...], wish: str | None) -> Arrival:
    return next((one for one in arrivals if one.key == wish), arrivals[0])
