"""What the window does: it takes wishes, starts work, and shows one frozen state after another."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from viewer import demo, dicom
from viewer.dicom import Study
from viewer.errors import SeriesError
from viewer.export import export, without_identity
from viewer.outline import Outline, outlines, slices_of
from viewer.settings import Limits, Preferences, Settings
from viewer.task import Task
from viewer.types import Array, Region, Series, Window
from viewer.ui.board import Board, View
from viewer.ui.choices import Choices
from viewer.ui.explaining import Explaining
from viewer.ui.jobs import Jobs
from viewer.ui.kept import Kept
from viewer.ui.preferences import PreferencesFile
from viewer.ui.state import Busy, Notice, Probed, SeriesItem, ViewState

_ROOM = 512 * 2**20
"""Bytes of slices that are kept once they have been read."""
_THUMBNAIL = 64
# Exact, so that the command line draws the same with their two numbers.
PRESETS = {
    2: Window(40, 400, "soft tissue", "LINEAR_EXACT"),
    3: Window(-600, 1500, "lung", "LINEAR_EXACT"),
    4: Window(400, 1800, "bone", "LINEAR_EXACT"),
    5: Window(40, 80, "brain", "LINEAR_EXACT"),
    6: Window(50, 350, "mediastinum", "LINEAR_EXACT"),
    7: Window(300, 600, "angiography", "LINEAR_EXACT"),
    8: Window(60, 160, "liver", "LINEAR_EXACT"),
}


class Read(NamedTuple):
    """A slice that has been read: its stored and shown values, and the window it comes with."""

    stored: Array
    values: Array
    window: Window

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.stored.nbytes + self.values.nbytes


class Presenter:
    """The study and how its image is shown; `explaining` is the model and its maps.

    Lives on the GUI thread, where no file is read and torch is never called.
    """

    def __init__(
        self,
        view: View,
        jobs: Jobs,
        settings: Settings,
        preferences: Preferences | None = None,
        file: PreferencesFile | None = None,
    ) -> None:
        self._board = Board(view)
        self.choices = Choices(self._board, jobs, preferences or Preferences(), file)
        self.explaining = Explaining(self._board, jobs, settings, self.choices)
        self._jobs = jobs
        self._settings = settings
        self._study: Study | None = None
        self._slices: Kept[Read] = Kept(_ROOM)
        self._outlines: dict[int, tuple[Outline, ...]] = {}

    @property
    def state(self) -> ViewState:
        """What is shown now."""
        return self._board.state

    def start(self, warning: str | None = None) -> None:
        """What can only be found out once the window is there; `warning` is of the preferences."""
        if warning is not None:
            self._board.show(notice=Notice(warning, "warning", stays=True))
        self.choices.look()

    def prefer(self, name: str, value: object) -> None:
        """Change a preference; device and batch are for the next model."""
        self.choices.prefer(**{name: value})
        if name in ("device", "batch"):
            self.explaining.compute_with(self.state.preferences.device, self.state.preferences.batch)

    # --- study ------------------------------------------------------------------------------------

    def open(self, paths: Sequence[Path]) -> None:
        """Scan files and folders in the background; a folder with a model card is opened as a model."""
        models = [p for p in paths if p.is_dir() and (p / "model.yaml").is_file()]
        studies = [p for p in paths if p not in models]
        if models:
            self.explaining.load_model(models[0])
        if not studies:
            return
        self._board.show(busy=Busy("reading files"), notice=self._board.lasting)
        self._jobs.run(
            "io",
            "scan",
            lambda task: dicom.scan(studies, self._settings, task),
            lambda study: self._opened(study, studies),
            self._board.failed,
            self._board.progress,
        )

    def open_demo(self) -> None:
        """Open the studies that the program brings along, and the network that reads their radiographs."""
        self.explaining.load_model(demo.models()["cnn"])
        self.open(demo.studies())

    def reopen(self, kind: str, paths: Sequence[str]) -> None:
        """Open something again: "studies" or "models"."""
        found = [Path(path) for path in paths]
        if kind == "models":
            self.explaining.load_model(found[0])
        else:
            self.open(found)

    def _opened(self, study: Study, paths: Sequence[Path]) -> None:
        self._jobs.cancel("slice")
        self._jobs.cancel("outlines")
        self.explaining.forget()
        self._study = study
        self._slices.clear()
        items = tuple(_item(s, self.state.masked) for s in study.series)
        drawn = {one.path for one in study.segmentations}
        listed = [i for i in (*study.refused, *study.other) if i.path.absolute() not in drawn]
        other = tuple((i.path.name, i.reason) for i in listed)
        nothing = Notice("Nothing here could be opened as an image.", "warning")
        notice = self._board.lasting or (None if items else nothing)
        self._board.show(
            items=items, not_opened=other, chosen=None, series=None, values=None, busy=None, notice=notice,
            attribution=None, map=None, prediction=None, profile=(), outlines=(),
        )  # fmt: skip
        if items:
            self.choices.opened_study(paths)
            self.choose_series(0)
            self._thumbnails(0)

    def choose_series(self, number: int) -> None:
        """Show another series from its middle slice."""
        if self._study is None or not 0 <= number < len(self._study.series):
            return
        series = self._study.series[number]
        self.explaining.leave()
        self._board.show(
            chosen=number, series=series, slice=series.shape[0] // 2, values=None, window=None,
            inverted=series.display.inverted, attribution=None, map=None, prediction=None, profile=(),
            probed=None, busy=None, asked=False, gate="open", outside=None, notice=self._board.lasting,
            outlines=(),
        )  # fmt: skip
        self._read_slice()
        self._read_outlines()
        self.explaining.study_changed()

    def go_to(self, slice: int) -> None:
        """Show another slice, the nearest there is."""
        series = self.state.series
        if series is None:
            return
        slice = min(max(slice, 0), series.shape[0] - 1)
        if slice == self.state.slice:
            return
        kept = self._kept(slice)
        self._board.note(slice=slice, probed=None, values=None, outlines=self._outlines.get(slice, ()))
        if kept is not None:  # all of the slice in one state: the window draws once
            self._board.note(
                values=kept.values, levels=levels(self.state.window or kept.window), own=kept.window
            )
        self.explaining.slice_changed()
        self._read_slice()

    def step(self, by: int) -> None:
        self.go_to(self.state.slice + by)

    def _kept(self, slice: int) -> Read | None:
        return self._slices.get((self.state.chosen or 0, slice))

    def _read_slice(self) -> None:
        series, number, slice = self.state.series, self.state.chosen, self.state.slice
        if series is None or number is None:
            return
        kept = self._kept(slice)
        if kept is not None:
            self._jobs.cancel("slice")
            if self.state.values is not kept.values:
                self._show_slice(kept)
            return

        def work(_task: Task) -> Read:
            return _read(series, slice)

        self._jobs.run(
            "io", "slice", work, lambda found: self._slice_read((number, slice), found), self._slice_failed
        )

    def _slice_read(self, key: tuple[int, int], found: Read) -> None:
        self._slices.put(key, found, found.size)
        self._show_slice(found)

    def _show_slice(self, found: Read) -> None:
        self._board.show(
            values=found.values, levels=levels(self.state.window or found.window), own=found.window
        )

    def _slice_failed(self, sentence: str) -> None:
        self._board.show(values=None, notice=Notice(sentence, "warning"))

    def _read_outlines(self) -> None:
        """Read the segmentations that belong to the shown series, after its first slice."""
        self._outlines = {}
        self._jobs.cancel("outlines")
        study, series = self._study, self.state.series
        if study is None or series is None:
            return
        drawn = [one for one in study.segmentations if series in dicom.belongs(one, study.series)]
        if not drawn:
            return

        def read(found: tuple[dict[int, tuple[Outline, ...]], list[str]]) -> None:
            self._outlines, faults = found
            notice = Notice(faults[0], "warning") if faults else self.state.notice
            self._board.show(outlines=self._outlines.get(self.state.slice, ()), notice=notice)

        limits = self._settings.limits
        self._jobs.run(
            "io", "outlines", lambda task: _outlined(drawn, series, limits, task), read, self._board.failed
        )

    def _thumbnails(self, number: int) -> None:
        """Read one thumbnail after the other, whenever the io worker has nothing better to do."""
        study = self._study
        if study is None or number >= len(study.series):
            return
        series = study.series[number]

        def work(_task: Task) -> Array:
            picture = dicom.displayed(series, series.shape[0] // 2)
            by = max(1, max(picture.shape[:2]) // _THUMBNAIL)
            return np.ascontiguousarray(picture[::by, ::by])

        def done(picture: Array | None) -> None:
            items = list(self.state.items)
            if picture is not None and number < len(items):
                items[number] = replace(items[number], thumbnail=picture)
                self._board.show(items=tuple(items))
            self._thumbnails(number + 1)

        self._jobs.run("io", "thumbnails", work, done, lambda _sentence: done(None))

    # --- image ------------------------------------------------------------------------------------

    def drag_window(self, across: float, down: float) -> None:
        """Left drag: width by the way across, centre by the way down, in proportion to the width."""
        low, high = self.state.levels
        width, centre = high - low, (low + high) / 2
        width = max(width * (1 + 0.005 * across), 1e-3 * max(abs(centre), 1.0))
        self._window(Window(centre + 0.003 * width * down, width, "", "LINEAR_EXACT"))

    def preset(self, number: int) -> None:
        """0 automatic, 1 the file's window, 2 to 8 presets for CT."""
        if self.state.values is None:
            return
        if number == 0:
            finite = self.state.values[np.isfinite(self.state.values)]
            low, high = (float(v) for v in np.percentile(finite, (1, 99)))
            self._window(Window((low + high) / 2, max(high - low, 1e-6), "auto", "LINEAR_EXACT"))
        elif number == 1:
            kept = self._kept(self.state.slice)
            self._board.show(window=None, levels=levels(kept.window) if kept else self.state.levels)
        elif number in PRESETS:
            self._window(PRESETS[number])

    def _window(self, window: Window) -> None:
        self._board.show(window=window, levels=levels(window))

    def invert(self) -> None:
        self._board.show(inverted=not self.state.inverted)

    def toggle_mask(self) -> None:
        """Show or hide whose image this is, in the file's own descriptions too."""
        masked = not self.state.masked
        study = self._study.series if self._study else ()
        named = zip(self.state.items, study, strict=True)
        self._board.show(masked=masked, items=tuple(replace(i, title=_title(s, masked)) for i, s in named))

    def choose_layout(self, layout: str) -> None:
        self._board.show(layout="1" if layout == "1" else "1|1")

    def point(self, row: float | None, column: float | None) -> None:
        """Say what lies under the pointer, from native values."""
        state = self.state
        if row is None or column is None or state.values is None or state.series is None:
            self._board.show(probed=None)
            return
        r, c = round(row), round(column)
        if not (0 <= r < state.values.shape[0] and 0 <= c < state.values.shape[1]):
            self._board.show(probed=None)
            return
        kept = self._kept(state.slice)
        raw = "" if kept is None else str(kept.stored[r, c])
        value = "" if state.series.colour else f"{state.values[r, c]:g} {state.series.display.unit}".strip()
        mapped = "" if state.map is None or not state.map_shown else f"{float(state.map[r, c]):+.3g}"
        self._board.show(probed=Probed(r, c, raw, value, mapped))

    def next_evidence(self) -> None:
        """Go to the strongest peak of the evidence that has not been visited since the last round."""
        peak = self.explaining.next_peak()
        if peak is not None:
            self.go_to(peak)

    def toggle_overlay(self, shown: bool | None = None) -> None:
        self._board.show(overlay=not self.state.overlay if shown is None else shown)

    def toggle_outlines(self) -> None:
        """Show or hide what the segmentations mark."""
        self._board.show(outlined=not self.state.outlined)

    def lock_range(self, locked: bool) -> None:
        self._board.show(locked=locked)

    # --- export -----------------------------------------------------------------------------------

    def export(self, folder: Path, formats: Sequence[str], show_identity: bool) -> None:
        """Write the shown map as the command line would."""
        attribution = self.state.attribution
        if attribution is None:
            self._board.show(notice=Notice("There is no map to export yet; run a method first.", "warning"))
            return
        style, window = self.state.style, self.state.window

        def work(task: Task) -> int:
            found = [attribution]
            document = export(
                found, attribution.predictions, folder, formats,
                style=style, window=window, show_identity=show_identity, task=task,
            )  # fmt: skip
            return len(document["attributions"][0]["files"])

        self._board.show(busy=Busy("writing"))
        written = lambda _n: self._board.show(busy=None, notice=Notice(f"Written to {folder}."))  # noqa: E731
        self._jobs.run("io", "export", work, written, self._board.failed, self._board.progress)

    # --- work -------------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """Close the message bar."""
        self._board.show(notice=None)

    def cancel(self) -> None:
        """Stop what is under way; what is drawn stays."""
        stopped = [kind for kind in ("explain", "load", "scan") if self._jobs.cancel(kind)]
        self._jobs.cancel("profile")
        self._board.show(busy=None, notice=Notice("Cancelled.") if stopped else None)

    @property
    def working(self) -> bool:
        """Whether anything is under way."""
        return self._jobs.busy

    def close(self) -> None:
        """End all work."""
        self._jobs.close()
        self.choices.close()


def levels(window: Window) -> tuple[float, float]:
    """The modality values shown as black and white (PS3.3 C.11.2.1.2)."""
    if window.function == "LINEAR" and window.width > 1:
        return (window.center - window.width / 2, window.center + window.width / 2 - 1)
    return (window.center - window.width / 2, window.center + window.width / 2)


def _read(series: Series, slice: int) -> Read:
    """A slice for the canvas and the probe: modality values, or colour as it is shown."""
    try:
        stored = series.voxels[slice]
        values = dicom.displayed(series, slice) if series.colour else dicom.modality_values(series, slice)
        return Read(stored, values, dicom.default_window(series, slice))
    except IndexError as error:
        raise SeriesError(f"There is no slice {slice}.") from error


def _outlined(
    drawn: Sequence[dicom.Segmentation], series: Series, limits: Limits, task: Task
) -> tuple[dict[int, tuple[Outline, ...]], list[str]]:
    """The outlines by slice, and what is wrong with segmentations that cannot be drawn."""
    regions: list[Region] = []
    faults = []
    for one in drawn:
        try:
            regions += dicom.regions(one, series, limits)
        except SeriesError as error:
            faults.append(str(error))
    found = {}
    for slice in sorted({i for region in regions for i in slices_of(region)}):
        task.check()
        found[slice] = outlines(tuple(regions), slice)
    return found, faults


def _title(series: Series, masked: bool) -> str:
    words = series.description or series.modality
    return without_identity(words, series.identity) if masked else words


def _item(series: Series, masked: bool) -> SeriesItem:
    slices, rows, columns = series.shape
    spacing = series.geometry.spacing
    size = f"{rows} × {columns}" if slices == 1 else f"{slices} slices"
    facts = [f"{series.modality} · {size}"]
    if spacing is not None and spacing[0] is not None:
        facts.append(f"{spacing[0]:.3g} mm")
    return SeriesItem(_title(series, masked), tuple(facts), series.warnings)
