# SPDX-License-Identifier: Apache-2.0
"""What the window does: it takes wishes, starts work, and shows one frozen state after another."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from viewer import dicom
from viewer.settings import Preferences, Settings
from viewer.task import Task
from viewer.ui.commands import Bindings
from viewer.ui.jobs import Jobs, Lane
from viewer.ui.presenter.companions import Companions
from viewer.ui.presenter.comparing import Comparing
from viewer.ui.presenter.contact_sheet import ContactSheet
from viewer.ui.presenter.display import Displaying
from viewer.ui.presenter.explaining import Explaining
from viewer.ui.presenter.headers import Headers
from viewer.ui.presenter.layer_strip import LayerStrip
from viewer.ui.presenter.library_check import LibraryCheck
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.mpr import MPR
from viewer.ui.presenter.patches import Patches
from viewer.ui.presenter.pointer import Pointer
from viewer.ui.presenter.preferences import ReaderPreferences
from viewer.ui.presenter.preferences_file import PreferencesFile
from viewer.ui.presenter.running import write
from viewer.ui.presenter.slices import Scrolling
from viewer.ui.presenter.store import Store, WindowView
from viewer.ui.presenter.studies import Studies
from viewer.ui.state import Busy, Notice, ViewState, reply


class Presenter:
    """Makes the parts that decide, and does what concerns several of them.

    `studies` is what is open, `slices` which slice is shown, `display` how it is drawn, `mpr` the planes
    through it, `patches` where a network that reads patches looks, `companions` what came with the study,
    `explaining` the model and its maps, `preferences` what the reader prefers.

    Lives on the GUI thread, where no file is read and torch is never called.
    """

    def __init__(
        self,
        view: WindowView,
        jobs: Jobs,
        settings: Settings,
        preferences: Preferences | None = None,
        file: PreferencesFile | None = None,
    ) -> None:
        self._store = Store(view)
        self.preferences = ReaderPreferences(self._store, jobs, preferences or Preferences(), file)
        maps = Maps(settings)
        self.explaining = Explaining(self._store, jobs, self.preferences, maps)
        self.layer_strip = LayerStrip(self._store, jobs, maps)
        self.contact_sheet = ContactSheet(self._store, jobs, maps)
        self.comparing = Comparing(self._store, jobs, maps)
        self.library_check = LibraryCheck(self._store, jobs, maps)
        self.companions = Companions(self._store, jobs, settings.limits)
        self.slices = Scrolling(self._store, jobs, self.explaining, settings.limits)
        self.headers = Headers(self._store, jobs, settings.limits)
        self.display = Displaying(self._store, self.explaining, self.companions)
        self.mpr = MPR(self._store, jobs, self.slices)
        self.patches = Patches(self._store, maps, self.display, self.mpr, self.slices)
        self.pointer = Pointer(self._store, self.slices)
        # The regions say what is swept, the answer which map the planes and the small maps go with.
        self._store.parts = (
            self.companions, self.explaining.answers, self.mpr, self.patches, self.layer_strip,
            self.contact_sheet, self.comparing, self.headers, self.library_check, self.pointer,
        )  # fmt: skip
        self._jobs = jobs
        self._settings = settings
        self.studies = Studies(
            self._store, jobs, self.preferences, self.explaining, self.slices, self.companions,
            self.display, settings,
        )  # fmt: skip

    @property
    def state(self) -> ViewState:
        """What is shown now."""
        return self._store.state

    def start(self, warning: str | None = None) -> None:
        """What can only be found out once the window is there; `warning` is of the preferences."""
        if warning is not None:
            self._store.show(notice=Notice(warning, "warning", stays=True))
        self.preferences.look()

    def start_decoders(self) -> None:
        """Have what decodes compressed images ready before there is one."""
        limits = self._settings.limits
        self._jobs.run(
            "aside", "decoders", lambda _task: dicom.start_decoders(limits), lambda _: None, lambda _: None
        )

    def prefer(self, name: str, value: object) -> None:
        """Change a preference; device and batch are for the next model, limits for the next study."""
        self.preferences.prefer(**{name: value})
        if name == "rate" and self.state.views.playing:
            self.slices.start_playing()
        if name in ("device", "batch"):
            self.explaining.compute_with(
                self.state.shell.preferences.device, self.state.shell.preferences.batch
            )
        if name == "slice_memory":
            self._settings = replace(self._settings, slice_memory=self.state.shell.preferences.slice_memory)
            self.studies.use(self._settings)
            self.slices.resize(self._settings.slice_memory)
        if name == "limits":
            self._settings = replace(self._settings, limits=self.state.shell.preferences.limits)
            self.studies.use(self._settings)
            self.slices.limit(self._settings.limits)
            self.companions.limit(self._settings.limits)
            self.headers.limit(self._settings.limits)

    def commands(self) -> Bindings:
        """What keys and lists may ask, of all parts."""
        own: Bindings = {
            "next-slice": partial(self.step, 1),
            "previous-slice": partial(self.step, -1),
            "ten-slices-on": partial(self.step, 10),
            "ten-slices-back": partial(self.step, -10),
            "first-slice": partial(self.go_to, 0),
            "last-slice": partial(self.step, 10**6),
            "next-point": partial(self.step_point, 1),
            "previous-point": partial(self.step_point, -1),
            "play-along": self.play_other,
            "next-evidence": self.next_evidence,
            "cancel": self.cancel,
        }
        parts = (
            self.studies, self.slices, self.display, self.mpr, self.patches, self.comparing,
        )  # fmt: skip
        return {name: action for part in parts for name, action in part.commands().items()} | own

    def go_to(self, slice: int) -> None:
        """Show another slice, the nearest there is."""
        self.slices.go_to(slice)

    def step(self, by: int) -> None:
        """Show the slice so many onward, or back."""
        self.go_to(self.state.view.slice + by)

    def step_point(self, by: int) -> None:
        """Show the next point of the fourth dimension, or the one before."""
        series = self.state.view.series
        if series is not None and series.part is not None:
            self.slices.go_to_point(series.part.index + by)

    def play_along(self, along: Literal["slices", "points"]) -> None:
        """Play this from now on where there are both."""
        self._store.show(along=along)
        if self.state.views.playing:
            self.slices.start_playing()

    def play_other(self) -> None:
        """Play the other of slices and points."""
        self.play_along("points" if self.state.played == "slices" else "slices")

    # --- image ------------------------------------------------------------------------------------

    def point(self, row: float | None, column: float | None) -> None:
        """Say what lies under the pointer, from native values."""
        self.pointer.point(row, column)

    def next_evidence(self) -> None:
        """Go to the strongest peak of the evidence that has not been visited since the last round."""
        peak = self.explaining.next_peak()
        if isinstance(peak, str):
            self._store.show(notice=reply(peak))
        elif peak is not None:
            self.go_to(peak)
            self.mpr.mark_strongest()

    # --- export -----------------------------------------------------------------------------------

    def export(self, folder: Path, formats: Sequence[str], show_identity: bool) -> None:
        """Write the shown map as the command line would."""
        shown = self.state.shown
        if shown is None:
            self._store.could_not("There is no map to export yet; run a method first.")
            return
        state = self.state
        inverted = state.view.inverted != shown.series.display.inverted

        def work(task: Task) -> None:
            write(
                shown, folder, formats, show_identity, task, state.views.style, state.view.window, inverted,
                state.view.slice, overlays=state.views.annotated, checks=state.answer.checks,
            )  # fmt: skip

        self._store.show(writing=Busy("writing"))
        written = lambda _nothing: self._store.show(writing=None, notice=Notice(f"Written to {folder}."))  # noqa: E731
        failed = partial(self._store.failed, work="writing")
        so_far = partial(self._store.progress, work="writing")
        # What writes comes with the engine, which starts on the model's worker alone.
        lane: Lane = "io" if self.state.answer.model is not None else "model"
        self._jobs.run(lane, "export", work, written, failed, so_far)

    # --- work -------------------------------------------------------------------------------------

    def dismiss(self) -> None:
        """Close the message bar."""
        self._store.show(notice=None)

    def cancel(self) -> None:
        """Stop what is under way, first of all what plays; what is drawn stays."""
        if self.state.views.playing:
            self.slices.play()
            return
        kinds = ("load", "scan", "export", "library check")
        stopped = [kind for kind in kinds if self._jobs.cancel(kind)]
        stopped += ["explain"] if self.explaining.cancel() else []
        if "scan" in stopped:
            self.studies.forget_preview()
        ended = dict.fromkeys(("reading", "loading", "busy", "writing"))
        self._store.show(**ended, notice=reply("Cancelled.") if stopped else None)

    @property
    def working(self) -> bool:
        """Whether anything is under way."""
        return self._jobs.busy

    @property
    def problem(self) -> str | None:
        """What could not be done first of all that was asked for, in a sentence."""
        return self._store.problem

    def close(self) -> None:
        """End all work."""
        self.slices.close()
        self._jobs.close()
        self.preferences.close()
