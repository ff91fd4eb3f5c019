# SPDX-License-Identifier: Apache-2.0
"""What the model says of the shown image, and why: its gates, its maps, and where the evidence lies."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewer.overlay.outline import Box
from viewer.settings import Device, Trusted
from viewer.task import Task
from viewer.types import Attribution, Series, Style
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.answers import Answers
from viewer.ui.presenter.boxes import in_stack
from viewer.ui.presenter.loading import OpeningProgress, Question, loaded, said_of
from viewer.ui.presenter.maps import Asking, Maps
from viewer.ui.presenter.preferences import ReaderPreferences
from viewer.ui.presenter.refusing import DEMO_MODEL, demo_model, refused
from viewer.ui.presenter.running import BaselineImages, RunResult, baseline_images, result_of, run, target_of
from viewer.ui.presenter.scoring import GAVE_WAY, Scoring
from viewer.ui.presenter.slice_profile import SliceProfile
from viewer.ui.presenter.store import Store
from viewer.ui.state import (
    NO_SEGMENTS,
    Busy,
    MethodChoice,
    ModelItem,
    Notice,
    Position,
    ViewState,
    choice_of,
    position_of,
    shows,
)

if TYPE_CHECKING:
    from viewer.models import Model


class Explaining:
    """Holds the model, its predictions and the maps that were made. Never calls torch itself."""

    def __init__(self, store: Store, jobs: Jobs, preferences: ReaderPreferences, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._preferences = preferences
        self._maps = maps
        self._slice_profile = SliceProfile(store, jobs, maps)
        self._scoring = Scoring(store, jobs, maps, self._slice_profile.score_slices)
        self._explained_place: Position | None = None  # whose map is under way, or was last
        self._asked: tuple[Path, Question] | None = None
        self._series: Sequence[Series] = ()
        self.arrived: Callable[[], bool] = lambda: False
        """Whether somebody shows another series, now that there is a model; it then says what follows."""
        self.wished = self.granted = 0
        """How many models were wished for, and which of these wishes brought the one that is here."""
        self.answers = Answers(maps)

    @property
    def _state(self) -> ViewState:
        return self._store.state

    # --- model ------------------------------------------------------------------------------------

    def compute_with(self, device: Device, batch: int) -> None:
        """Use these from the next model on."""
        self._maps.settings = replace(self._maps.settings, device=device, batch=batch)

    def load_model(self, path: Path, trust: bool = False, decided: Trusted | None = None) -> None:
        """Open a model in the background; the first time this starts the engine.

        `trust` runs whatever program comes with it, `decided` only the one that the reader was shown.
        """
        self.wished += decided is None  # else it is the same wish, of which the reader was asked
        known = self._preferences.now.trusted
        settings = self._maps.settings
        said = self._store.lasting("question")  # of another model, which is wished for no more
        self._rest()
        # What was asked of the model until now is given up.
        self._store.show(loading=Busy("opening the model"), busy=None, **said, code=None)

        def work(task: Task) -> tuple[Any, ModelItem] | Question:
            return loaded(path, trust, settings, known if decided is None else (*known, decided), task)

        def done(found: tuple[Any, ModelItem] | Question) -> None:
            if isinstance(found, Question):
                self._ask(path, found)
                return
            if decided is not None and (found[0].code, found[0].sha256) == (decided.code, decided.weights):
                self._preferences.trust(decided)
            self._preferences.opened_model(path)
            self._loaded(*found, known)

        failed, progress = partial(self._store.failed, work="loading"), OpeningProgress(self._store)
        self._jobs.run("model", "load", work, done, failed, progress.show)

    def _ask(self, path: Path, question: Question) -> None:
        """Whether the program beside the weights may run: the reader decides for these bytes alone."""
        self._asked = (path, question)
        self._store.show(loading=None, notice=question.notice)

    def leave_code(self) -> None:
        """Nobody looks at the model's program any more."""
        self._store.show(code=None)

    def _loaded(self, model: "Model", item: ModelItem, known: Collection[Trusted]) -> None:
        remembered = model.code is not None and Trusted(model.code, model.sha256) in known
        # What was asked of the old one meanwhile is no answer of this one; what is written stays so.
        self._jobs.cancel_all("model", but="export")
        self._maps.drop_previews()
        self._maps.open(model)
        self.granted = self.wished
        suited = [m.name for m in sorted(item.methods, key=lambda m: not m.quick) if m.unsuitable is None]
        method = "grad-cam" if "grad-cam" in suited or not suited else suited[0]
        self._store.note(
            model=item, loading=None, busy=None, method=method, settings={}, layer=None, within=None,
            target=None, against=None, placed=None, swept=None, reference=None, asked=False,
            **self._store.lasting("model", said_of(item, remembered)),
        )  # fmt: skip
        if not self.arrived():
            self.study_changed()

    def first_accepted(self, series: Sequence[Series]) -> int | None:
        """The place of the first series that the model was made for, if there is a model and such a one; else
        of the first of which nobody knows."""
        if self._maps.model is None:
            return None
        verdicts = [self._maps.gate(one).verdict for one in series]
        return next((verdicts.index(one) for one in ("fits", "unknown") if one in verdicts), None)

    # --- what is shown ----------------------------------------------------------------------------

    def open(self, series: Sequence[Series]) -> None:
        """Another study: nothing that was computed for the old one can be asked for again."""
        self.leave()
        self._maps.forget()
        self._series = series

    def leave(self) -> None:
        """Another series: what runs for the old one stops."""
        self._rest()
        self._slice_profile.leave()

    def study_changed(self) -> None:
        """A new pair of series and model: ask the gate, then predict and explain; shows the state."""
        if self._settled().answer.gate == "outside":
            self._refuse()
        else:
            self._explain_unless_known(run=True)

    def point_changed(self, run: bool = True) -> None:
        """Another point of the fourth dimension: show its own map, or none; `run` as for a slice."""
        self.leave()
        self._store.note(busy=None, asked=False)
        if self._state.view.series is not None:
            self._store.note(**in_stack(self._state.view.series, self._state.request))
        if run and self._settled().answer.gate == "outside":
            self._refuse()
        else:
            self._explain_unless_known(run)

    def _settled(self) -> ViewState:
        """The state with all that follows from it, before it is shown."""
        return self._store.settle()

    def _refuse(self) -> None:
        """Say that the model was not made for this series, and leave the decision to the reader."""
        self._store.show(notice=refused(self._state, self._maps.model))

    def rest(self) -> None:
        """Slices are about to be played: what runs for the one that is left stops."""
        self._scoring.stop()
        if self._stop():
            self._store.note(busy=None)

    def slice_changed(self, run: bool = True) -> None:
        """Show the map of the new slice with it, or none: never that of another slice.

        `run` says whether one that is not kept may be computed.
        """
        model = self._state.answer.model
        if model is None or model.volume:
            self._store.show()
            return
        self._store.note(asked=False)
        self._explain_unless_known(run)

    def take_action(self, wish: str) -> None:
        """The button of the message bar."""
        series = self._state.view.series
        if wish == "override" and series is not None and self._state.view.number is not None:
            stack = {series, *(self._series[n] for n in self._state.points)}
            self._maps.go_on(stack)
            self._store.note(notice=None)
            self.study_changed()
        elif wish == "show":
            self._store.show(asked=True, notice=None)
        elif wish == "start":
            self._run()
        elif wish == "trust" and self._asked is not None:
            path, question = self._asked
            self.load_model(path, decided=question.decides)
        elif wish == "show-code" and self._asked is not None:
            self._store.show(code=self._asked[1].code)
        elif wish == DEMO_MODEL and (offered := demo_model(self._state, self._maps.model)) is not None:
            self.load_model(offered)

    # --- wishes -----------------------------------------------------------------------------------

    def choose_target(self, label: str) -> None:
        """Explain another label: from what is kept where it is, without running the model."""
        against = None if label == self._state.request.against else self._state.request.against
        self._wish(target=label, against=against, asked=False)

    def choose_against(self, label: str | None) -> None:
        """Explain why the target rather than this label: the difference of the two; None for the target.

        While no target is known there is none to take a label from: it may turn out to be this one.
        """
        target = self._state.request.target
        self._wish(against=None if target in (None, label) else label, asked=False)

    def choose_method(self, name: str) -> None:
        self._wish(method=name, settings={})

    def choose_layer(self, layer: str | None) -> None:
        self._wish(layer=layer)

    def choose_within(self, source: str | None) -> None:
        """Change the image in this region only; None: anywhere."""
        self._wish(within=source, run=False)

    def set_setting(self, name: str, value: object) -> None:
        self._wish(settings={**self._state.request.settings, name: value}, run=False)

    def look(self, placed: tuple[float, ...] | None = None, swept: str | Box | None = None) -> None:
        """Show the model the patch about a voxel, the middle one, or patches all over; see `RequestState`.

        A sweep waits for the reader, for it is many forwards.
        """
        if (placed, swept) == (self._state.request.placed, self._state.request.swept):
            return
        self._slice_profile.rest()
        self._wish(placed=placed, swept=swept, asked=False, best=0)
        if self._state.answer.attribution is not None:
            self._slice_profile.score_slices()

    def _wish(self, run: bool = True, **changes: Any) -> None:
        """Another target, method, layer or setting: show the kept map for it, or run what is quick."""
        self._store.note(**changes)
        self._explain_unless_known(run)

    def _explain_unless_known(self, run: bool) -> None:
        """Show the state with the map that is kept for it, or run what is quick; the score in any case.

        What is slow waits for the reader. Where it runs for another place, whose scores are known, it ends if
        those of this one are not: else they would wait for it.
        """
        state = self._settled()
        known = state.answer.attribution is not None or state.answer.gate == "outside"
        if run and not known and state.free and self._run():
            return
        unscored = run and not known and self._scoring.wanted
        elsewhere = self._jobs.active("explain") and not shows(state, self._explained_place)
        if unscored and elsewhere and self._stop():
            self._store.note(busy=None, **self._store.lasting(then=Notice(GAVE_WAY)))
        if unscored:
            self._slice_profile.rest()
        if not (unscored and self._scoring.score()):
            self._store.show_settled()

    # --- running ----------------------------------------------------------------------------------

    def explain(self, finer: bool = False) -> None:
        """Run the chosen method on what is shown; `finer` has a sweep go on with a finer grid."""
        self._run(finer)

    def _run(self, finer: bool = False) -> bool:
        """Run it, or say why not; False, and the state not shown, where there is nothing to run."""
        model, series, item = self._maps.model, self._state.view.series, self._state.chosen_method
        if model is None or series is None or item is None or self._state.view.number is None:
            return False  # a series that is shown and not chosen is a provisional one
        if self._state.answer.gate == "outside":
            self._refuse()  # again, where the bar has been dismissed
            return True
        if item.unsuitable is not None:
            self._store.could_not(f"{item.title}: {item.unsuitable}")
            return True
        place, choice = position_of(self._state), choice_of(self._state)
        if choice.segmented and not self._state.regions.regions:
            self._store.could_not(NO_SEGMENTS)
            return True
        self._stop()
        self._slice_profile.rest()
        self._explained_place = place
        if self._state.free:
            self._scoring.stop()  # the scores come with the map, out of one forward
        else:
            self._scoring.score()
        target, regions = target_of(self._state), self._state.regions.regions
        words, slice = self._state.target_words, self._state.view.slice
        interpolation, asking = self._state.views.style.interpolation, self._maps.asking()

        def work(task: Task) -> RunResult:
            def preview(so_far: Attribution) -> None:
                self._jobs.report(
                    task,
                    lambda a: self._preview(asking, place, choice, *a),
                    (so_far, baseline_images(so_far)),
                )

            explained = run(
                self._maps, asking, series, place, choice, target, task, preview, regions, finer=finer
            )
            return result_of(self._maps, explained, place, words, slice, interpolation)

        def failed(sentence: str) -> None:
            self._stop()
            self._store.failed(sentence)
            self._scoring.score()

        self._store.show(busy=Busy("explaining"), **self._store.lasting())

        def done(found: RunResult) -> None:
            for attribution, one in found.overlaid:
                self._maps.drawn.put(attribution, slice, interpolation, one)
            self._explained(asking, place, choice, found)

        self._jobs.run("model", "explain", work, done, failed, self._store.progress)
        return True

    def _preview(
        self,
        asking: Asking,
        place: Position,
        choice: MethodChoice,
        so_far: Attribution,
        compared: BaselineImages,
    ) -> None:
        """Show what a method has so far, where the reader still looks at the same and asks for the same."""
        self._maps.put_preview(asking, place, choice, so_far)
        self._maps.put_baselines(so_far, compared)
        if shows(self._state, place) and choice == choice_of(self._state):
            self._store.show()

    def _stop(self) -> bool:
        """End the map that is under way, if one is: what it had so far is no map and goes with it."""
        stopped = self._jobs.cancel("explain")
        self._maps.drop_previews()
        return stopped

    def cancel(self) -> bool:
        """The reader stops what is under way; whether anything was."""
        return self._rest()

    def _rest(self) -> bool:
        """End all that the model is asked here; whether a map was under way."""
        self._slice_profile.rest()
        self._scoring.stop()
        return self._stop()

    def _explained(self, asking: Asking, place: Position, choice: MethodChoice, found: RunResult) -> None:
        self._stop()
        explained, said = found.explained, found.said
        self._maps.put_predictions(asking, {place: said})
        self._maps.requests.learn(choice, explained.answers)
        self._maps.put(asking, place, choice, explained.attributions, anew=True)
        for i, attribution in enumerate(explained.attributions):
            self._maps.put_baselines(attribution, found.baselines[i])
            if found.profiles[i]:
                self.answers.volume_profile(attribution, found.profiles[i])
            if found.style is not None:
                self._maps.suggest(attribution, found.style)
        self._maps.learn_cost(explained.attributions)
        changes: dict[str, Any] = {"busy": None}
        if shows(self._state, place):  # what another place says chooses no target here
            changes["target"] = self._state.request.target or said.top.label
        if explained.refused:
            self._store.could_not(explained.refused[0][1], **changes)
        else:
            self._store.show(**changes, **self._store.lasting())
        self._slice_profile.score_slices()

    def next_peak(self) -> int | str | None:
        """The slice with the strongest evidence not visited since the last round, or why there is none."""
        return self._slice_profile.next_peak()

    # --- display ----------------------------------------------------------------------------------

    def restyle(self, style: Style) -> None:
        """Change the style of the shown kind of map."""
        state, attribution = self._state, self._state.answer.attribution
        if attribution is not None:
            among = self._maps.all(position_of(state), choice_of(state))
            style = self._maps.restyle(attribution, style, state.views.style, among, state.views.locked)
        self._store.show(style=style)
