# SPDX-License-Identifier: Apache-2.0
"""Requests in words, as scripts and the command line have them: methods, settings, places, targets."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from viewer import dicom
from viewer.dicom import Segmentation
from viewer.errors import ExplainerError
from viewer.explain import requests as made
from viewer.explain.discover import explainer
from viewer.explain.explainer import Explainer, at_layers
from viewer.explain.features import OverFeatures
from viewer.explain.layers import stages
from viewer.explain.regions import read_region, read_regions
from viewer.explain.targets import read_targets
from viewer.models import Model
from viewer.settings import Limits, Settings
from viewer.types import Asked, Place, Region, Request, Series, Sweep, Target

Which = int | Literal["all"] | None
"""A slice, all of them, or None for the middle one."""
Where = Sequence[float] | Sweep | None
"""The middle of a patch as (row, column) or (slice, row, column), patches all over, or the middle."""
STAGES = "stages"
"""As a layer: one layer of each stage of the network."""


def places(series: Series, model: Model, slice: Which = None, at: Where = None) -> list[Place]:
    """One slice, all of them, or the volume of a 3D network, each with the patch or the sweep."""
    if slice != "all":
        return [made.place(series, model, slice, at)]
    if model.card.input.dimensions == 3:
        return [made.place(series, model, None, at)]
    every = (made.place(series, model, i, at) for i in range(series.shape[0]))
    return list(dict.fromkeys(every))  # a place that names its slice is one, however many there are


def configured(
    methods: Sequence[str | Explainer],
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
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
        return stages(model)
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def request(
    series: Series,
    model: Model,
    method: str | Explainer,
    target: str | Asked = "top",
    place: Place | None = None,
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    within: Region | None = None,
    features: Sequence[Region] = (),
    contents: made.Contents | None = None,
) -> Request:
    """What asks for one map, by the middle slice where no place is named; see `viewer.explain.request`.

    `target` may be in words, which then name one. Raises `ExplainerError`.
    """
    where = place or made.place(series, model)
    wishes = read_targets(target, model, series, where.slice) if isinstance(target, str) else (target,)
    chosen = configured([method], layer, settings, model)
    if len(wishes) != 1 or len(chosen) != 1:
        raise ExplainerError("A request is for one map: of one target, at one layer.")
    return made.request(series, model, chosen[0], wishes[0], where, within, features, contents)


def requests(
    series: Series,
    model: Model,
    methods: Sequence[str | Explainer] = ("grad-cam",),
    target: str = "top",
    slice: Which = None,
    at: Where = None,
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    preferences: Settings | None = None,
    within: Region | str | None = None,
    segmentations: Sequence[Segmentation] = (),
    features: Sequence[Region | str] = (),
) -> list[Request]:
    """What words ask for: a request for every map.

    `within`, `features`, and a target after its @, may name regions in words (see `read_region`), among them
    the segments of `segmentations`. Methods over segments take `features`, or where none are given all
    segments on the series. Of several slices only those are asked about on which what is asked for lies.
    """
    chosen = configured(methods, layer, settings, model)
    where = slice if isinstance(slice, int) else None
    middle = series.shape[0] // 2 if where is None else where
    whole = slice == "all" or model.card.input.dimensions == 3
    slices = range(series.shape[0]) if whole else range(middle, middle + 1)
    limits = (preferences or Settings()).limits

    def region(text: str) -> Region:
        return read_region(text, series, slices, segmentations, limits)

    wishes = read_targets(target, model, series, where, region)
    within = region(within) if isinstance(within, str) else within
    segments: list[Region] = []
    if any(isinstance(method, OverFeatures) and method.over == "segments" for method in chosen):
        segments = _segments(features, series, slices, segmentations, limits)
    elif features:
        raise ExplainerError("Features are named, and no method takes them; add --set over=segments.")
    asked = [within, *(wish.region for wish in wishes if isinstance(wish, Target))]
    there = _there(series, model, places(series, model, slice, at), asked, segments)
    contents = {method: made.file_contents(method, model) for method in chosen}  # each file is read once
    return [
        made.request(series, model, method, wish, one, within, segments, contents[method])
        for one in there
        for method in chosen
        for wish in wishes
    ]


def _there(
    series: Series,
    model: Model,
    places: list[Place],
    asked: Sequence[Region | None],
    segments: Sequence[Region],
) -> list[Place]:
    """The places on which what is asked for lies, and of the segments any; all where that is on none."""
    for some in filter(None, (*([one] for one in asked if one is not None), segments)):
        if len(places) < 2:
            break
        fields = [(p, model.field(series, p.slice, p.at)) for p in places if not isinstance(p.at, Sweep)]
        on = [p for p, field in fields if any(one.on(field.matrix, field.shape).any() for one in some)]
        places = on or places
    return places


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
        return [region.trimmed() for one in drawn for region in dicom.regions(one, series, limits)]
    found: list[Region] = []
    for one in named:
        if isinstance(one, Region):
            found.append(one)
        else:
            found += (region.trimmed() for region in read_regions(one, series, slices, segmentations, limits))
    return found
