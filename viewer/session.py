# SPDX-License-Identifier: Apache-2.0
"""The program without a window: open, load, predict, explain, export, and the gates between."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from viewer import explain as explaining
from viewer import export as exporting
from viewer import models
from viewer.dicom import Segmentation, Study
from viewer.errors import ModelError, SeriesError
from viewer.explain import Explained as Explained
from viewer.explain import Explainer as Explainer
from viewer.explain import ForwardCache as ForwardCache
from viewer.explain import Refused
from viewer.explain import describe as describe
from viewer.explain import place as place
from viewer.explain import stages as stages
from viewer.explain import suggest as suggest
from viewer.explain.words import Where, Which
from viewer.explain.words import configured as configured
from viewer.explain.words import places as places
from viewer.explain.words import request as request
from viewer.explain.words import requests as requests
from viewer.models import Model
from viewer.models.engine import first_dry_run as first_dry_run
from viewer.models.engine import leave_one_core as leave_one_core
from viewer.settings import Settings, Trusted
from viewer.task import Task
from viewer.types import (
    Attribution,
    LoadedMap,
    Map,
    ModelInput,
    Override,
    PeerCheck,
    Prediction,
    Region,
    Request,
    Series,
    Style,
    Sweep,
    Window,
)

Outside = bool | Collection[Override]
"""Whether to go on outside a model's intended use: always, never, or where the reader has said so."""


def load_model(
    path: Path | str,
    trust: bool = False,
    settings: Settings | None = None,
    trusted: Collection[Trusted] = (),
    task: Task | None = None,
) -> Model:
    """Open a model folder or card; `trust` allows the code beside the weights, `trusted` known code only."""
    return models.load(Path(path), trust, settings, trusted, task)


def setting_types() -> dict[str, dict[str, Any]]:
    """The types of the settings of every explainer that can be loaded, by its name: what a form needs."""
    return {f.name: explaining.setting_types(f.load()) for f in explaining.discover() if f.broken is None}


def draft_card(path: Path | str, out: Path | None = None) -> models.Draft:
    """Draft the model card of a weights file, which is not run; `out` is where it is written, if anywhere."""
    made = models.draft(Path(path), None if out is None else out.parent)
    if out is not None:
        if out.exists():
            raise ModelError(f"{out.name} is there already and is left as it is; give another name.")
        with exporting.whole(out) as part:
            part.write_text(made.text(), encoding="utf-8")
    return made


def choose_series(study: Study, which: str | None = None) -> Series:
    """The series of this number (as listed, from 0) or UID; the only one where none is asked for."""
    found = study.series
    if not found:
        reasons = [f"{item.path.name}: {item.reason}" for item in (*study.refused, *study.other)]
        raise SeriesError(" ".join(["There is no image to open.", *reasons[:3]]))
    if which is None:
        if len(found) > 1:
            listed = ", ".join(f"{i} ({_in_short(s)})" for i, s in enumerate(found[:8]))
            raise SeriesError(f"There are {len(found)} series; choose one with --series: {listed}.")
        return found[0]
    by_name = {str(i): s for i, s in enumerate(found)} | {s.uid: s for s in found}
    if which not in by_name:
        raise SeriesError(f"There is no series {which!r}; there are 0 to {len(found) - 1}.")
    return by_name[which]


def _in_short(series: Series) -> str:
    """What tells a series from others: its kind and size; of a picture, which has no other name, its file."""
    if series.modality == "picture" and series.paths:
        return f"picture {series.paths[0].name}"
    count = series.shape[0]
    return f"{series.modality}, {count} {'slice' if count == 1 else 'slices'}"


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate of intended use before a series: whether the model was made for it, why not or why nobody
    knows, and whether it is open."""

    verdict: Literal["fits", "outside", "unknown"]
    reason: str | None
    open: bool


def judge(series: Series, model: Model, outside_intended_use: Outside = False) -> Gate:
    """Whether a model may be asked about a series: what its card accepts, or the reader has overridden."""
    reason = model.accepts(series)
    if reason is None:
        unknown = model.unstated(series)
        return Gate("fits" if unknown is None else "unknown", unknown, True)
    if isinstance(outside_intended_use, bool):
        return Gate("outside", reason, outside_intended_use)
    return Gate("outside", reason, override(series, model) in outside_intended_use)


def gate(series: Series, model: Model, outside_intended_use: Outside = False) -> str | None:
    """None, or the reason that was overridden; raises `ModelError` where it was not."""
    found = judge(series, model, outside_intended_use)
    if not found.open:
        raise ModelError(f"{found.reason} Repeat with --outside-intended-use to go on all the same.")
    return found.reason if found.verdict == "outside" else None


def override(series: Series, model: Model) -> Override:
    """The reader's word that this model is asked about this series: it holds for no other study, nor card."""
    return Override(series.digest, model.digest)


def inputs(
    series: Series, model: Model, slice: Which = None, at: Sequence[float] | None = None
) -> list[ModelInput]:
    """The inputs for one slice, for all of them, or for the volume of a 3D network."""
    where = places(series, model, slice, at)
    return [model.prepare(series, p.slice, p.at) for p in where if not isinstance(p.at, Sweep)]


def predict(
    series: Series,
    model: Model,
    slice: Which | Sequence[int] = None,
    at: Where = None,
    outside_intended_use: Outside = False,
    settings: Settings | None = None,
    task: Task | None = None,
) -> tuple[Prediction, ...]:
    """What the model says of a slice, of some or all slices, or of the volume."""
    return _predicted(series, model, slice, at, outside_intended_use, settings, task).predictions


def _predicted(
    series: Series,
    model: Model,
    slice: Which | Sequence[int],
    at: Where,
    outside_intended_use: Outside,
    settings: Settings | None,
    task: Task | None,
) -> Explained:
    """The same, and of sweeps the best blocks."""
    reason = gate(series, model, outside_intended_use)
    batch = (settings or Settings()).batch
    each = [slice] if slice is None or isinstance(slice, (int, str)) else slice
    if isinstance(at, Sweep):
        where = (one for i in each for one in places(series, model, i, at))
        return explaining.searched(series, model, where, task, batch, reason)
    given = [one for i in each for one in inputs(series, model, i, at)]
    return Explained(model.predict(given, task, batch, reason), ())


def explain(
    series: Series,
    model: Model,
    requests: Sequence[Request],
    *,
    outside_intended_use: Outside = False,
    preferences: Settings | None = None,
    task: Task | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
) -> Explained:
    """The maps that were asked for, and what the model says, out of one forward for all of one place.

    `Explained.of(request)` is the map of a request. Raises `SeriesError` or `ModelError` for what was asked
    of another series or model, and where the model was not made for the series; see `viewer.explain.answer`.
    """
    explaining.refuse_others(series, model, requests)
    reason = gate(series, model, outside_intended_use)
    batch = (preferences or Settings()).batch
    return explaining.answer(series, model, requests, task, batch, reason, preview, kept)


def ask(
    series: Series,
    model: Model,
    methods: Sequence[str | Explainer] = ("grad-cam",),
    target: str = "top",
    slice: Which = None,
    at: Where = None,
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    outside_intended_use: Outside = False,
    preferences: Settings | None = None,
    task: Task | None = None,
    within: Region | str | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
    segmentations: Sequence[Segmentation] = (),
    features: Sequence[Region | str] = (),
) -> Explained:
    """Predict and explain what words ask for, in one pass; see `requests` and `explain`."""
    gate(series, model, outside_intended_use)  # before anything is read
    asked = requests(
        series,
        model,
        methods,
        target,
        slice,
        at,
        layer,
        settings,
        preferences,
        within,
        segmentations,
        features,
    )
    if not asked:
        return _predicted(series, model, slice, at, outside_intended_use, preferences, task)
    return explain(
        series, model, asked, outside_intended_use=outside_intended_use, preferences=preferences, task=task,
        preview=preview, kept=kept,
    )  # fmt: skip


def peer(model: Model, explained: Explained, task: Task | None = None) -> tuple[PeerCheck, ...]:
    """Every map beside the same method by captum or grad-cam on the same tensor; see `check_with_library`.

    Methods that were asked and gave no map anywhere are looked at too, on the first input.
    """
    made = {one.explainer for one, found in explained.answers.items() if isinstance(found, Attribution)}
    reasons: dict[Explainer, str] = {}
    for one, found in explained.answers.items():
        if isinstance(found, str) and isinstance(one.explainer, Explainer) and one.explainer not in made:
            reasons.setdefault(one.explainer, found)
    gone = [Refused(method, explained.predictions[0].input, reason) for method, reason in reasons.items()]
    return explaining.check_with_library(model, explained.attributions, task, gone)


def export(
    explained: Explained | LoadedMap,
    out: Path | str,
    formats: Sequence[str] = exporting.FORMATS,
    show_identity: bool = False,
    task: Task | None = None,
    style: Style | Mapping[str, Any] | None = None,
    window: Window | None = None,
    inverted: bool = False,
    show_slice: int | None = None,
    checks: Sequence[PeerCheck] = (),
    overlays: bool = True,
) -> dict[str, Any]:
    """Write pictures, arrays and `result.json`; gives the document of the latter.

    A map that came with the study is written like one that was made. `style`, `window`, `inverted` and, of a
    volume, `show_slice` say how the pictures are drawn; what is not said is automatic. `overlays` are those
    of the file, and its shutter. `checks` are what `peer` gave.
    """
    if isinstance(explained, LoadedMap):
        maps: Sequence[Map] = (explained,)
        explained = Explained((), ())
    else:
        maps = explained.attributions
    return exporting.export(
        maps,
        explained.predictions,
        Path(out),
        formats,
        refused=explained.refused,
        style=style,
        show_identity=show_identity,
        window=window,
        inverted=inverted,
        overlays=overlays,
        show_slice=show_slice,
        task=task,
        checks=checks,
    )
