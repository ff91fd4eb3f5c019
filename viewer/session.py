"""The program without a window: open, load, predict, explain, export, and the gates between."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from viewer import dicom, models
from viewer import explain as explaining
from viewer import export as exporting
from viewer.dicom import Segmentation, Study
from viewer.errors import ExplainerError, ModelError, SeriesError
from viewer.explain import (
    Explained,
    Explainer,
    ForwardCache,
    OverFeatures,
    at_layers,
    explainer,
    read_region,
    read_regions,
    read_targets,
)
from viewer.models import Model
from viewer.models.tiling import Tiling
from viewer.outline import trimmed
from viewer.settings import Limits, Settings, Trusted
from viewer.task import Task
from viewer.types import Attribution, ModelInput, Prediction, Region, Series, Style, Sweep, Target, Window

Which = int | Literal["all"] | None
"""A slice, all of them, or None for the middle one."""
Where = Sequence[float] | Sweep | None
"""The middle of a patch as (row, column) or (slice, row, column), patches all over, or the middle."""

STAGES = "stages"
"""As a layer: one layer of each stage of the network."""


def load_model(
    path: Path | str,
    trust: bool = False,
    settings: Settings | None = None,
    trusted: Collection[Trusted] = (),
) -> Model:
    """Open a model folder or card; `trust` allows the code beside the weights, `trusted` known code only."""
    return models.load(Path(path), trust, settings, trusted)


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
            listed = ", ".join(f"{i} ({s.modality}, {s.shape[0]} slices)" for i, s in enumerate(found[:8]))
            raise SeriesError(f"There are {len(found)} series; choose one with --series: {listed}.")
        return found[0]
    by_name = {str(i): s for i, s in enumerate(found)} | {s.uid: s for s in found}
    if which not in by_name:
        raise SeriesError(f"There is no series {which!r}; there are 0 to {len(found) - 1}.")
    return by_name[which]


def gate(series: Series, model: Model, outside_intended_use: bool = False) -> str | None:
    """None, or the reason that was overridden; raises `ModelError` where it was not."""
    reason = model.accepts(series)
    if reason is not None and not outside_intended_use:
        raise ModelError(f"{reason} Repeat with --outside-intended-use to go on all the same.")
    return reason


def inputs(series: Series, model: Model, slice: Which = None, at: Where = None) -> list[ModelInput]:
    """The inputs for one slice, for all of them, or for the volume of a 3D network, or all of a sweep."""
    if isinstance(at, Sweep):
        return [patch for one in tilings(series, model, slice, at) for patch in one.patches()]
    if model.card.input.dimensions == 3:
        _refuse_slice(slice)
        return [model.prepare(series, at=at)]
    if slice == "all":
        return [model.prepare(series, i, at) for i in range(series.shape[0])]
    return [model.prepare(series, slice, at)]


def tilings(series: Series, model: Model, slice: Which, sweep: Sweep) -> Iterator[Tiling]:
    """The patches of a sweep, slice by slice, or of the volume; each is prepared when its turn comes."""
    if model.card.input.dimensions == 3:
        _refuse_slice(slice)
        slice = None
    for one in range(series.shape[0]) if slice == "all" else (slice,):
        yield model.tiling(series, sweep, one)


def _refuse_slice(slice: Which) -> None:
    if slice is not None and slice != "all":
        raise ModelError("This network reads the whole volume; leave the slice out, or give a place.")


def predict(
    series: Series,
    model: Model,
    slice: Which = None,
    at: Where = None,
    outside_intended_use: bool = False,
    settings: Settings | None = None,
    task: Task | None = None,
) -> tuple[Prediction, ...]:
    """What the model says of a slice, of all slices, or of the volume."""
    override = gate(series, model, outside_intended_use)
    batch = (settings or Settings()).batch
    return model.predict(inputs(series, model, slice, at), task, batch, override)


def configured(
    methods: Sequence[str | Explainer],
    layer: str | None = None,
    settings: Mapping[str, str] | None = None,
    model: Model | None = None,
) -> list[Explainer]:
    """Methods by name with their settings; raises `ExplainerError` for one that none of them has.

    A setting goes to every method that has it; `METHOD.SETTING` to that one alone. `layer` may name several,
    with commas between them, or be "stages" for one of each stage of `model`: a method for each layer.
    """
    layers = _layers(layer, model)
    if len(layers) > 1:
        plain = configured(methods, None, settings, model)
        if not any("layer" in method.settings() for method in plain):
            return configured(methods, layers[0], settings)  # says which settings there are
        given = [method for method in methods if isinstance(method, Explainer)]
        return [one for m in plain for one in ((m,) if m in given else at_layers(m, layers))]
    layer = layers[0] if layers else None
    wishes = dict(settings or {}) | ({} if layer is None else {"layer": layer})
    result: list[Explainer] = []
    used: set[str] = set()
    for method in methods:
        if isinstance(method, Explainer):
            result.append(method)
            used |= set(wishes)
            continue
        cls = explainer(method)
        own = {}
        for key, value in wishes.items():
            owner, _, field = key.rpartition(".")
            if owner == method or (not owner and field in cls.setting_names()):
                own[field] = value
                used.add(key)
        result.append(cls.configured(own))
    unused = [key for key in wishes if key not in used]
    if unused:
        # Said by the method itself, with the settings that it has.
        result[0].configured({unused[0].rpartition(".")[2]: wishes[unused[0]]})
    return list(dict.fromkeys(result))  # the same twice is once; with other settings it is another


def _layers(text: str | None, model: Model | None) -> tuple[str, ...]:
    """The layers that a text names, each once."""
    if text == STAGES and model is not None:
        return explaining.stages(model)
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def explain(
    series: Series,
    model: Model,
    methods: Sequence[str | Explainer] = ("grad-cam",),
    target: str = "top",
    slice: Which = None,
    at: Where = None,
    layer: str | None = None,
    settings: Mapping[str, str] | None = None,
    outside_intended_use: bool = False,
    preferences: Settings | None = None,
    task: Task | None = None,
    within: Region | str | None = None,
    preview: Callable[[Attribution], None] | None = None,
    kept: ForwardCache | None = None,
    segmentations: Sequence[Segmentation] = (),
    features: Sequence[Region | str] = (),
) -> Explained:
    """Predict and explain in one pass; see `viewer.explain.explain`.

    `within`, `features`, and a target after its @, may name regions in words (see `read_region`), among them
    the segments of `segmentations`. Methods over segments take `features`, or where none are given all
    segments on the series. Of several slices only those are explained on which what is asked for lies.
    """
    override = gate(series, model, outside_intended_use)
    chosen = configured(methods, layer, settings, model)
    where = slice if isinstance(slice, int) else None

    middle = series.shape[0] // 2 if where is None else where
    whole = slice == "all" or model.card.input.dimensions == 3
    slices = range(series.shape[0]) if whole else range(middle, middle + 1)
    limits, batch = (preferences or Settings()).limits, (preferences or Settings()).batch

    def region(text: str) -> Region:
        return read_region(text, series, slices, segmentations, limits)

    wishes = read_targets(target, model, series, where, region)
    within = region(within) if isinstance(within, str) else within
    segments: list[Region] = []
    if any(isinstance(method, OverFeatures) and method.over == "segments" for method in chosen):
        segments = _segments(features, series, slices, segmentations, limits)
    elif features:
        raise ExplainerError("Features are named, and no method takes them; add --set over=segments.")
    if isinstance(at, Sweep):
        placed = tilings(series, model, slice, at)
        return explaining.sweep(model, placed, chosen, wishes, task, batch, override, within, segments)
    given = inputs(series, model, slice, at)
    asked = [within, *(wish.region for wish in wishes if isinstance(wish, Target))]
    for some in filter(None, (*([one] for one in asked if one is not None), segments)):
        given = [i for i in given if any(one.on(i.matrix, i.shape).any() for one in some)] or given
    return explaining.explain(
        model, given, chosen, wishes, task, batch, override, within, preview, kept, segments
    )


def _segments(
    named: Sequence[Region | str],
    series: Series,
    slices: range,
    segmentations: Sequence[Segmentation],
    limits: Limits,
) -> list[Region]:
    """The regions that are named, else all segments that were drawn on the series."""
    if not named:
        drawn = [one for one in segmentations if dicom.belongs(one, [series])]
        return [trimmed(region) for one in drawn for region in dicom.regions(one, series, limits)]
    found: list[Region] = []
    for one in named:
        if isinstance(one, Region):
            found.append(one)
        else:
            found += map(trimmed, read_regions(one, series, slices, segmentations, limits))
    return found


def export(
    explained: Explained,
    out: Path | str,
    formats: Sequence[str] = exporting.FORMATS,
    show_identity: bool = False,
    task: Task | None = None,
    style: Style | Mapping[str, Any] | None = None,
    window: Window | None = None,
    inverted: bool = False,
    show_slice: int | None = None,
) -> dict[str, Any]:
    """Write pictures, arrays and `result.json`; gives the document of the latter.

    `style`, `window`, `inverted` and, of a volume, `show_slice` say how the pictures are drawn; what is
    not said is automatic.
    """
    return exporting.export(
        explained.attributions,
        explained.predictions,
        Path(out),
        formats,
        refused=explained.refused,
        style=style,
        show_identity=show_identity,
        window=window,
        inverted=inverted,
        show_slice=show_slice,
        task=task,
    )
