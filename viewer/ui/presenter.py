"""What the window does: it takes wishes, starts work, and shows one frozen state after another."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from viewer import dicom, overlay
from viewer.dicom import Study
from viewer.errors import SeriesError
from viewer.export import export, without_identity
from viewer.settings import Settings
from viewer.task import Progress, Task
from viewer.types import Array, Attribution, Prediction, Series, Style, Window
from viewer.ui.evidence import next_peak, volume_profile
from viewer.ui.jobs import Jobs
from viewer.ui.state import Busy, MethodItem, ModelItem, Notice, Probed, SeriesItem, ViewState

if TYPE_CHECKING:
    from viewer.models import Model

_KEPT_SLICES = 64
_PROFILE_CHUNK = 8
_THUMBNAIL = 64
PRESETS = {
    2: Window(40, 400, "soft tissue"),
    3: Window(-600, 1500, "lung"),
    4: Window(400, 1800, "bone"),
    5: Window(40, 80, "brain"),
    6: Window(50, 350, "mediastinum"),
    7: Window(300, 600, "angiography"),
    8: Window(60, 160, "liver"),
}


class View(Protocol):
    """The window, as far as the presenter knows it."""

    def show_state(self, state: ViewState) -> None: ...


MapKey = tuple[int, int | None, str, str, str | None]


class Presenter:
    """Holds the state, and the study and model behind it. Lives on the GUI thread, never calls torch."""

    def __init__(self, view: View, jobs: Jobs, settings: Settings) -> None:
        self.state = ViewState()
        self._view = view
        self._jobs = jobs
        self._settings = settings
        self._study: Study | None = None
        self._model: Model | None = None
        self._slices: OrderedDict[tuple[int, int], tuple[Array, Window]] = OrderedDict()
        self._maps: dict[MapKey, dict[str | None, Attribution]] = {}
        self._predictions: dict[tuple[int, int | None], Prediction] = {}
        self._overridden: set[int] = set()
        self._styles: dict[tuple[str, str | None], Style] = {}
        self._visited: list[int] = []

    def _show(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self._view.show_state(self.state)

    # --- study ------------------------------------------------------------------------------------

    def open(self, paths: Sequence[Path]) -> None:
        """Scan files and folders in the background; a folder with a model card is opened as a model."""
        models = [p for p in paths if p.is_dir() and (p / "model.yaml").is_file()]
        studies = [p for p in paths if p not in models]
        if models:
            self.load_model(models[0])
        if not studies:
            return
        self._show(busy=Busy("reading files"), notice=None)
        self._jobs.run(
            "io",
            "scan",
            lambda task: dicom.scan(studies, self._settings, task),
            self._opened,
            self._failed,
            self._progress,
        )

    def _opened(self, study: Study) -> None:
        self._jobs.cancel("slice")
        self._jobs.cancel("explain")
        self._jobs.cancel("profile")
        self._study = study
        self._slices.clear()
        self._maps.clear()
        self._predictions.clear()
        self._overridden.clear()
        items = tuple(_item(s, self.state.masked) for s in study.series)
        other = tuple((i.path.name, i.reason) for i in (*study.refused, *study.other))
        nothing = Notice("Nothing here could be opened as an image.", "warning")
        notice = self._undecided() or (None if items else nothing)
        self._show(
            items=items, not_opened=other, chosen=None, series=None, values=None, busy=None, notice=notice,
            attribution=None, map=None, prediction=None, profile=(),
        )  # fmt: skip
        if items:
            self.choose_series(0)
            self._thumbnails(0)

    def choose_series(self, number: int) -> None:
        """Show another series from its middle slice."""
        if self._study is None or not 0 <= number < len(self._study.series):
            return
        series = self._study.series[number]
        self._jobs.cancel("explain")
        self._jobs.cancel("profile")
        self._visited.clear()
        self._show(
            chosen=number, series=series, slice=series.shape[0] // 2, values=None, window=None,
            inverted=series.display.inverted, attribution=None, map=None, prediction=None, profile=(),
            probed=None, busy=None, asked=False, gate="open", outside=None, notice=self._undecided(),
        )  # fmt: skip
        self._read_slice()
        self._study_changed()

    def _undecided(self) -> Notice | None:
        """The trust decision that still waits for an answer: nothing that happens meanwhile hides it."""
        notice = self.state.notice
        return notice if notice is not None and (notice.wish or "").startswith("trust:") else None

    def go_to(self, slice: int) -> None:
        """Show another slice, the nearest there is."""
        series = self.state.series
        if series is None:
            return
        slice = min(max(slice, 0), series.shape[0] - 1)
        if slice == self.state.slice:
            return
        kept = self._kept(slice)
        self.state = replace(self.state, slice=slice, probed=None, values=None if kept is None else kept[0])
        self._slice_changed()
        self._read_slice()

    def step(self, by: int) -> None:
        self.go_to(self.state.slice + by)

    def _kept(self, slice: int) -> tuple[Array, Window] | None:
        return self._slices.get((self.state.chosen or 0, slice))

    def _read_slice(self) -> None:
        series, number, slice = self.state.series, self.state.chosen, self.state.slice
        if series is None or number is None:
            return
        kept = self._kept(slice)
        if kept is not None:
            self._jobs.cancel("slice")
            self._slice_read((number, slice), kept)
            return

        def work(_task: Task) -> tuple[Array, Window]:
            return _shown_values(series, slice), dicom.default_window(series, slice)

        self._jobs.run(
            "io", "slice", work, lambda found: self._slice_read((number, slice), found), self._slice_failed
        )

    def _slice_read(self, key: tuple[int, int], found: tuple[Array, Window]) -> None:
        self._slices[key] = found
        self._slices.move_to_end(key)
        while len(self._slices) > _KEPT_SLICES:
            self._slices.popitem(last=False)
        values, own = found
        self._show(values=values, levels=levels(self.state.window or own))

    def _slice_failed(self, sentence: str) -> None:
        self._show(values=None, notice=Notice(sentence, "warning"))

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
                self._show(items=tuple(items))
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
            self._show(window=None, levels=levels(kept[1]) if kept else self.state.levels)
        elif number in PRESETS:
            self._window(PRESETS[number])

    def _window(self, window: Window) -> None:
        self._show(window=window, levels=levels(window))

    def invert(self) -> None:
        self._show(inverted=not self.state.inverted)

    def toggle_mask(self) -> None:
        """Show or hide whose image this is, in the file's own descriptions too."""
        masked = not self.state.masked
        study = self._study.series if self._study else ()
        named = zip(self.state.items, study, strict=True)
        self._show(masked=masked, items=tuple(replace(i, title=_title(s, masked)) for i, s in named))

    def choose_layout(self, layout: str) -> None:
        self._show(layout="1" if layout == "1" else "1|1")

    def point(self, row: float | None, column: float | None) -> None:
        """Say what lies under the pointer, from native values."""
        state = self.state
        if row is None or column is None or state.values is None or state.series is None:
            self._show(probed=None)
            return
        r, c = round(row), round(column)
        if not (0 <= r < state.values.shape[0] and 0 <= c < state.values.shape[1]):
            self._show(probed=None)
            return
        series = state.series
        raw = series.voxels[state.slice][r, c]  # kept: the shown slice has just been read
        if series.colour:
            value = ""
        else:
            value = (
                f"{float(dicom.modality_values(series, state.slice)[r, c]):g} {series.display.unit}".strip()
            )
        mapped = "" if state.map is None or not state.map_shown else f"{float(state.map[r, c]):+.3g}"
        self._show(probed=Probed(r, c, str(raw), value, mapped))

    # --- model ------------------------------------------------------------------------------------

    def load_model(self, path: Path, trust: bool = False) -> None:
        """Open a model in the background; the first time this starts the engine."""
        self._show(busy=Busy("starting engine"), notice=None)
        self._jobs.cancel("explain")
        self._jobs.cancel("profile")

        def work(_task: Task) -> tuple[Any, ModelItem]:
            from viewer import explain, session

            model = session.load_model(path, trust, self._settings)
            hints = {f.name: explain.setting_types(f.load()) for f in explain.discover() if f.broken is None}
            return model, _model_item(model, explain.describe(model), explain.suggest(model), hints)

        def failed(sentence: str) -> None:
            if "--trust" not in sentence:
                self._failed(sentence)
                return
            text = sentence.replace(" and repeat with --trust if you trust it", "")
            self._show(busy=None, notice=Notice(text, "stop", "Trust and run it", f"trust:{path}"))

        self._jobs.run("model", "load", work, self._loaded, failed)

    def _loaded(self, found: tuple[Any, ModelItem]) -> None:
        self._model, item = found
        self._maps.clear()
        self._predictions.clear()
        self._styles.clear()
        suited = [m.name for m in item.methods if m.unsuitable is None]
        method = "grad-cam" if "grad-cam" in suited or not suited else suited[0]
        self._show(
            model=item, busy=None, method=method, settings={}, layer=None, target=None,
            attribution=None, map=None, prediction=None, profile=(),
        )  # fmt: skip
        self._study_changed()

    def _study_changed(self) -> None:
        """A new pair of series and model: ask the gate, then predict and explain."""
        if self._model is None or self.state.series is None or self.state.chosen is None:
            return
        outside = self._model.accepts(self.state.series)
        if outside is not None and self.state.chosen not in self._overridden:
            notice = Notice(outside, "stop", "Go on all the same", "override")
            self._show(outside=outside, gate="outside", notice=notice)
            return
        self._show(outside=outside)
        self.explain()

    def _slice_changed(self) -> None:
        """Show the map of the new slice with it, or none: never that of another slice."""
        model, attribution = self.state.model, self.state.attribution
        if model is None or self.state.gate == "outside":
            self._show(attribution=None, map=None)
        elif model.volume:
            self._show() if attribution is None else self._draw_map()
        else:
            self._wish(prediction=self._predictions.get(self._place()), asked=False)

    def answer(self, wish: str) -> None:
        """The button of the message bar."""
        if wish == "override" and self.state.chosen is not None:
            self._overridden.add(self.state.chosen)
            self._show(notice=None, gate="open")
            self._study_changed()
        elif wish == "show":
            self._show(asked=True, notice=None)
        elif wish.startswith("trust:"):
            self.load_model(Path(wish.removeprefix("trust:")), trust=True)

    def dismiss(self) -> None:
        self._show(notice=None)

    # --- explanation ------------------------------------------------------------------------------

    def choose_target(self, label: str) -> None:
        """Explain another label: from what is kept where it is, without running the model."""
        self._wish(target=label, asked=False)

    def choose_method(self, name: str) -> None:
        self._wish(method=name, settings={})

    def choose_layer(self, layer: str | None) -> None:
        self._wish(layer=layer)

    def set_setting(self, name: str, value: object) -> None:
        self._wish(settings={**self.state.settings, name: value}, run=False)

    def _wish(self, run: bool = True, **changes: Any) -> None:
        """Another target, method, layer or setting: show the kept map for it, or run what is quick.

        The old map goes in the same state in which the wish comes: the two are never seen together.
        """
        self.state = replace(self.state, attribution=None, map=None, **changes)
        self._show(**self._kept_map())
        if self.state.attribution is None and run and self._quick():
            self.explain()

    def _item(self) -> MethodItem | None:
        methods = self.state.model.methods if self.state.model else ()
        return next((m for m in methods if m.name == self.state.method), None)

    def _quick(self) -> bool:
        """Whether a method costs so little that it runs unasked."""
        item = self._item()
        return item is not None and "shared with the prediction" in item.cost and item.unsuitable is None

    def _place(self) -> tuple[int, int | None]:
        volume = self.state.model is not None and self.state.model.volume
        return (self.state.chosen or 0, None if volume else self.state.slice)

    def _key(self) -> MapKey:
        settings = repr(sorted(self.state.settings.items(), key=lambda item: item[0]))
        return (*self._place(), self.state.method, settings, self.state.layer)

    def explain(self) -> None:
        """Run the chosen method on the shown slice or volume, for all labels where that is free."""
        model, series, item = self._model, self.state.series, self._item()
        if model is None or series is None or item is None or self.state.gate == "outside":
            return
        if item.unsuitable is not None:
            self._show(notice=Notice(f"{item.title}: {item.unsuitable}", "warning"))
            return
        self._jobs.cancel("profile")
        key, place, state = self._key(), self._place(), self.state
        target = "all" if self._quick() and item.family != "attention" else state.target or "top"
        settings = {name: str(value) for name, value in state.settings.items()}
        layer = state.layer if "layer" in item.settings else None

        def work(task: Task) -> Any:
            from viewer import session

            return session.explain(
                series, model, [state.method], target, place[1], layer=layer, settings=settings,
                outside_intended_use=True, preferences=self._settings, task=task,
            )  # fmt: skip

        self._show(busy=Busy("explaining"), notice=None)
        self._jobs.run(
            "model", "explain", work, lambda e: self._explained(key, place, e), self._failed, self._progress
        )

    def cancel(self) -> None:
        """Stop what is under way; what is drawn stays."""
        stopped = [kind for kind in ("explain", "load", "scan") if self._jobs.cancel(kind)]
        self._jobs.cancel("profile")
        self._show(busy=None, notice=Notice("Cancelled.") if stopped else None)

    def _explained(self, key: MapKey, place: tuple[int, int | None], explained: Any) -> None:
        self._predictions[place] = explained.predictions[0]
        found = {None if a.target is None else a.target.words: a for a in explained.attributions}
        if found:
            self._maps.setdefault(key, {}).update(found)
        notice = Notice(explained.refused[0][1], "warning") if explained.refused else None
        self.state = replace(self.state, busy=None, notice=notice, prediction=explained.predictions[0])
        if self.state.target is None:
            self.state = replace(self.state, target=explained.predictions[0].top.label)
        self._show(**self._kept_map())
        self._profile()

    def _kept_map(self) -> dict[str, Any]:
        """What changes in the state where a map for the present wishes is kept; else nothing."""
        state = self.state
        found = self._maps.get(self._key(), {})
        attribution = found.get(None) or found.get(state.target)
        if attribution is None:
            return {}
        group = (state.method, attribution.layer)
        if group not in self._styles or not state.locked:
            self._styles[group] = overlay.automatic_style(list(found.values()))
        style = self._styles[group]
        changes = {"attribution": attribution, "prediction": attribution.predictions[0], "style": style}
        changes["map"] = overlay.on_source(attribution, state.slice, style.interpolation)
        if attribution.slice is None:
            changes["profile"] = volume_profile(attribution)
        return changes | self._judged(attribution.predictions[0])

    def _judged(self, prediction: Prediction) -> dict[str, Any]:
        """Hide the map of a label below its threshold until the reader asks for it."""
        state = self.state
        score = next((s for s in prediction.scores if s.label == state.target), None)
        if score is None or score.positive is not False:
            offered = state.notice is not None and state.notice.wish == "show"
            return {"gate": "open", "notice": None if offered else state.notice}
        if state.asked:
            return {"gate": "negative"}
        text = f"{score.label} is below its threshold; the map would explain a negative."
        return {"gate": "negative", "notice": Notice(text, "info", "Show it hatched", "show")}

    def _draw_map(self) -> None:
        """The shown slice of the map again, after another slice of a volume or another interpolation."""
        state = self.state
        if state.attribution is not None:
            self._show(map=overlay.on_source(state.attribution, state.slice, state.style.interpolation))

    # --- evidence ---------------------------------------------------------------------------------

    def _profile(self) -> None:
        """Fill in the target's score slice by slice, in small chunks that a click can overtake."""
        state, model, series = self.state, self._model, self.state.series
        if (
            model is None
            or series is None
            or state.model is None
            or state.model.volume
            or series.shape[0] < 2
        ):
            return
        number, count = state.chosen or 0, series.shape[0]
        self._show(profile=self._scores(number, count))
        near = sorted(range(count), key=lambda i: abs(i - state.slice))
        missing = [i for i in near if (number, i) not in self._predictions][:_PROFILE_CHUNK]
        if not missing:
            return

        def work(task: Task) -> list[Prediction]:
            found = model.predict([model.prepare(series, i) for i in missing], task)
            return list(found)

        def done(found: list[Prediction]) -> None:
            self._predictions |= {(number, i): p for i, p in zip(missing, found, strict=True)}
            self._profile()

        self._jobs.run("model", "profile", work, done, lambda _sentence: None)

    def _scores(self, number: int, count: int) -> tuple[float | None, ...]:
        target = self.state.target
        found = (self._predictions.get((number, i)) for i in range(count))
        return tuple(
            next((s.probability for s in p.scores if s.label == target), None) if p else None for p in found
        )

    def next_evidence(self) -> None:
        """Go to the strongest peak of the evidence that has not been visited since the last round."""
        peak = next_peak(self.state.profile, self._visited)
        if peak is not None:
            self.go_to(peak)

    # --- display ----------------------------------------------------------------------------------

    def set_style(self, name: str, value: Any) -> None:
        """Change how the map is drawn; the model is never asked."""
        style = replace(self.state.style, **{name: value})
        attribution = self.state.attribution
        if attribution is not None:
            self._styles[(self.state.method, attribution.layer)] = style
        self._show(style=style)
        if name == "interpolation":
            self._draw_map()

    def toggle_overlay(self, shown: bool | None = None) -> None:
        self._show(overlay=not self.state.overlay if shown is None else shown)

    def lock_range(self, locked: bool) -> None:
        self._show(locked=locked)

    # --- export -----------------------------------------------------------------------------------

    def export(self, folder: Path, formats: Sequence[str], show_identity: bool) -> None:
        """Write the shown map as the command line would."""
        attribution = self.state.attribution
        if attribution is None:
            self._show(notice=Notice("There is no map to export yet; run a method first.", "warning"))
            return
        style, window = self.state.style, self.state.window

        def work(task: Task) -> int:
            found = [attribution]
            document = export(
                found, attribution.predictions, folder, formats,
                style=style, window=window, show_identity=show_identity, task=task,
            )  # fmt: skip
            return len(document["attributions"][0]["files"])

        self._show(busy=Busy("writing"))
        self._jobs.run("io", "export", work, lambda _n: self._exported(folder), self._failed, self._progress)

    def _exported(self, folder: Path) -> None:
        self._show(busy=None, notice=Notice(f"Written to {folder}."))

    # --- work -------------------------------------------------------------------------------------

    def _failed(self, sentence: str) -> None:
        self._show(busy=None, notice=Notice(sentence, "warning"))

    def _progress(self, step: Progress) -> None:
        self._show(busy=Busy(step.doing, step.done, step.total))

    @property
    def working(self) -> bool:
        """Whether anything is under way."""
        return self._jobs.busy

    def close(self) -> None:
        """End all work."""
        self._jobs.close()


def levels(window: Window) -> tuple[float, float]:
    """The modality values shown as black and white (PS3.3 C.11.2.1.2)."""
    if window.function == "LINEAR" and window.width > 1:
        return (window.center - window.width / 2, window.center + window.width / 2 - 1)
    return (window.center - window.width / 2, window.center + window.width / 2)


def _shown_values(series: Series, slice: int) -> Array:
    """What the canvas levels: modality values, or colour as it is shown."""
    try:
        return dicom.displayed(series, slice) if series.colour else dicom.modality_values(series, slice)
    except IndexError as error:
        raise SeriesError(f"There is no slice {slice}.") from error


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


def _model_item(
    model: Any,
    described: Sequence[Mapping[str, Any]],
    layers: Sequence[str],
    hints: Mapping[str, Mapping[str, Any]],
) -> ModelItem:
    methods = tuple(
        MethodItem(
            d["name"], d["title"], d["family"], d["shows"],
            "; ".join(filter(None, (d.get("cost") or {}).values())), d["settings"], d["unsuitable"],
            hints.get(d["name"], {}),
        )
        for d in described
    )  # fmt: skip
    return ModelItem(
        model.name, model.sha256, model.device_name, model.labels, tuple(layers), methods,
        model.card.input.dimensions == 3,
    )  # fmt: skip
