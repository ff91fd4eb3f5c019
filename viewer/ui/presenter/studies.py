# SPDX-License-Identifier: Apache-2.0
"""What is open: files are scanned, the series of a study listed, and one of them chosen."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from viewer import demo, dicom
from viewer.dicom import Study
from viewer.settings import Settings
from viewer.task import Task
from viewer.types import Array
from viewer.ui import garbage
from viewer.ui.commands import Bindings
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.companions import Companions
from viewer.ui.presenter.display import Displaying
from viewer.ui.presenter.explaining import Explaining
from viewer.ui.presenter.preferences import ReaderPreferences
from viewer.ui.presenter.rows import Names, Overlaid, not_opened, overlaid, rows, thumbnail
from viewer.ui.presenter.scan_preview import ScanPreview
from viewer.ui.presenter.slices import Scrolling
from viewer.ui.presenter.store import Store
from viewer.ui.state import UNFLIPPED, Busy, Notice, ViewState, one_stack, reply
from viewer.ui.views.captions import nothing_opened

_MASKED = "The patient is masked already. Hold Ctrl, and click on it or press the same key, to show it."

_LOST = (
    "Files were lost while they were read: their folder was deleted, or its drive is gone. What was read of "
    "them is listed, but cannot be shown; open the folder again once it is back."
)


class Studies:
    """Opens studies and models, and goes from series to series; `preview` is of one that is still read."""

    def __init__(
        self, store: Store, jobs: Jobs, preferences: ReaderPreferences, explaining: Explaining,
        slices: Scrolling, companions: Companions, display: Displaying, settings: Settings,
    ) -> None:  # fmt: skip
        self._store = store
        self._jobs = jobs
        self._settings = settings
        self._preferences = preferences
        self._explaining = explaining
        self._slices = slices
        self._companions = companions
        self._display = display
        self.preview = ScanPreview(store, jobs, settings.limits)
        self._study: Study | None = None
        self._for_model: int | None = None
        """The wish for a model that the study came with, until that is here or the reader chooses."""
        explaining.arrived = self._show_accepted

    @property
    def state(self) -> ViewState:
        """What is shown now."""
        return self._store.state

    def use(self, settings: Settings) -> None:
        """What the files of the next study may ask for."""
        self._settings = settings
        self.preview.limit(settings.limits)

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {
            "open-demo": self.open_demo,
            "next-series": partial(self.step_series, 1),
            "previous-series": partial(self.step_series, -1),
            "mask": partial(self.mask, True),
            "unmask": partial(self.mask, False),
        }

    # --- opening ----------------------------------------------------------------------------------

    def open(self, paths: Sequence[Path]) -> None:
        """Scan files and folders in the background; a folder with a model card is opened as a model."""
        self.forget_preview()
        given = self._explaining.wished if self._jobs.active("load") else None
        self._store.show(reading=Busy("reading files"), **self._store.lasting())
        failed = partial(self._store.failed, work="reading")
        sort = partial(self._scan, given=given)
        self._jobs.run("io", "scan", lambda _task: _sorted(paths), sort, failed)

    def _scan(self, found: tuple[list[Path], list[Path]], given: int | None) -> None:
        """`given` is the wish for the model that is opened with them, unless they bring one."""
        models, studies = found
        if models:
            self._explaining.load_model(models[0])
            given = self._explaining.wished
        if not studies:
            self._store.show(reading=None)
            return
        first = self._study is None  # else what is read now stays until there is something to show for it

        def work(task: Task) -> tuple[Study, Names, Overlaid, bool]:
            listener = self.preview.listener(task) if first else None
            with garbage.put_off():
                study = dicom.scan(studies, self._settings, task, listener)
            return study, not_opened(study), overlaid(study), dicom.lost(study)

        def failed(sentence: str) -> None:
            self.forget_preview()
            self._store.failed(sentence, "reading")

        def opened(read: tuple[Study, Names, Overlaid, bool]) -> None:
            self.show_study(read[0], read[1], studies, read[2], given)
            if read[3] and read[0].series:
                self._store.could_not(_LOST, notice=Notice(_LOST, "warning", stays=True, about="study"))

        so_far = partial(self._store.progress, work="reading")
        self._jobs.run("io", "scan", work, opened, failed, so_far)

    def forget_preview(self) -> None:
        """The study whose series were shown as they were found was not read to its end."""
        if self.preview:
            self.preview.forget()
            self._display.forget()
            self._store.note(items=(), series=None, values=None, probed=None, previewed=None)

    def open_demo(self) -> None:
        """Open the studies that the program brings along, and the network that reads their radiographs."""
        self._explaining.load_model(demo.models()["cnn"])
        self.open(demo.studies())

    def reopen(self, kind: str, paths: Sequence[str]) -> None:
        """Open something again: "studies" or "models"."""
        found = [Path(path) for path in paths]
        if kind == "models":
            self._explaining.load_model(found[0])
        else:
            self.open(found)

    def show_study(
        self, study: Study, not_opened: Names = (), paths: Sequence[Path] = (), over: Overlaid | None = None,
        given: int | None = None,
    ) -> None:  # fmt: skip
        """Show a study at its first series, or at the image that was chosen while it was read.

        `over` is what lies on its series, as `overlaid` has it; `given` is the wish for the model that came
        with it.
        """
        place = self.preview.place_in(study)
        self.preview.forget()
        self._slices.forget()
        self._explaining.open(study.series)
        self._study = study
        self._companions.open(study)
        items = tuple(
            replace(item, overlaid=words)
            for item, words in zip(
                rows(study.series, self.state.shell.masked), over or overlaid(study), strict=True
            )
        )
        self._store.note(
            items=items, not_opened=not_opened, number=None, series=None, seen=None, flips=UNFLIPPED,
            values=None, busy=None, reading=None, **self._store.lasting("study"), previewed=None,
        )  # fmt: skip
        if not items:
            text = nothing_opened(not_opened)
            self._store.could_not(text)
        if items:
            self._for_model = given if place is None else None
            self._choose(study, *(place or (self._accepted(study) or 0, None)))
            self._preferences.opened_study(paths)  # which shows the state: not before it is of a series
            self._thumbnails(0)

    def choose_series(self, number: int) -> None:
        """Show another series from its middle slice, or another point of the same stack at the same place.

        Of one that is still being read, its first image.
        """
        self._for_model = None
        if self.preview:
            self._display.forget()
            self.preview.choose(number)
        elif number in self.state.points and self._slices.go_to_point(self.state.points.index(number)):
            return
        elif self._study is not None and 0 <= number < len(self._study.series):
            self._choose(self._study, number)

    def _show_accepted(self) -> bool:
        """Go to the first series that the model accepts, which came with the study; whether to another."""
        if self._study is None or self.state.view.number is None:
            return False
        place = self._accepted(self._study)
        if place is None or place == self.state.view.number:
            return False
        self._choose(self._study, place)
        return True

    def _accepted(self, study: Study) -> int | None:
        """The first series that is accepted by the model that the study came with, once that is here."""
        if self._for_model is None or self._for_model != self._explaining.granted:
            return None  # none came, or it is still opened: one from before says nothing of this study
        self._for_model = None
        return self._explaining.first_accepted(study.series)

    def _choose(self, study: Study, number: int, slice: int | None = None) -> None:
        series = study.series[number]
        self._slices.leave()
        self._companions.leave()
        self._display.forget()
        self._explaining.leave()
        view = self.state.view
        together = one_stack(view.series, series)
        self._store.note(
            number=number, series=series, slice=series.shape[0] // 2 if slice is None else slice,
            seen=view.seen if together else None, flips=view.flips if together else UNFLIPPED,
            values=None, graphics=None, window=None, inverted=series.dark_first, placed=None,
            swept=None, probed=None, busy=None, asked=False, **self._store.lasting(),
        )  # fmt: skip
        self._slices.enter(study)
        self._explaining.study_changed()

    def step_series(self, by: int) -> None:
        """Show the next series or the one before; points of one fourth dimension count as one."""
        now = self.state.current or 0
        here = self.state.points or range(now, now + 1)
        number = here.stop if by > 0 else here.start - 1
        part = self.state.studies.items[number].part if 0 <= number < len(self.state.studies.items) else None
        self.choose_series(number if part is None else number - part.index)

    def _thumbnails(self, number: int) -> None:
        """Read one thumbnail after the other, whenever the io worker has nothing better to do."""
        study = self._study
        if study is None or number >= len(study.series):
            return
        series = study.series[number]

        def done(picture: Array | None) -> None:
            items = list(self.state.studies.items)
            if picture is not None and number < len(items):
                items[number] = replace(items[number], thumbnail=picture)
                self._store.show(items=tuple(items))
            self._thumbnails(number + 1)

        self._jobs.run(
            "io", "thumbnails", lambda _task: thumbnail(series), done, lambda _sentence: done(None)
        )

    def mask(self, masked: bool) -> None:
        """Hide or show whose image this is, in the file's own descriptions too."""
        if masked == self.state.shell.masked:
            if masked:
                self._store.show(notice=reply(_MASKED))
            return
        self._store.note(masked=masked)
        if self.preview:
            items = self.preview.rows()
        else:
            named = rows(self._study.series if self._study else (), masked)
            again = zip(self.state.studies.items, named, strict=True)
            items = tuple(replace(item, title=r.title, facts=r.facts) for item, r in again)
        self._store.show(items=items)


def _sorted(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Folders of models, and all else."""
    models = [p for p in paths if p.is_dir() and (p / "model.yaml").is_file()]
    return models, [p for p in paths if p not in models]
