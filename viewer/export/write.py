# SPDX-License-Identifier: Apache-2.0
"""Writes explanations as files, all of them or none, and the document that names them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from viewer.errors import ExportError
from viewer.export.document import Document, document, entry
from viewer.export.files import whole_set
from viewer.export.formats import FORMATS, check_formats, save_result
from viewer.overlay import automatic_style, quantity_style, restyled
from viewer.task import Task
from viewer.types import (
    Attribution,
    LoadedMap,
    Map,
    Overlay,
    PeerCheck,
    Prediction,
    Sign,
    Snapshot,
    Style,
    Window,
    distinct,
)
from viewer.wording import without_identity

_RANKS = 8
"""How many of the largest values are looked at to find the slice for a picture."""


def export(
    maps: Sequence[Map],
    predictions: Sequence[Prediction],
    out: Path,
    formats: Sequence[str] = FORMATS,
    *,
    refused: Sequence[tuple[str, str]] = (),
    style: Style | Mapping[str, Any] | None = None,
    show_identity: bool = False,
    window: Window | None = None,
    inverted: bool = False,
    overlays: bool = True,
    show_slice: int | None = None,
    task: Task | None = None,
    checks: Sequence[PeerCheck] = (),
) -> Document:
    """Write maps of one series, those that were made by one model, to the folder `out`.

    Gives the document of `result.json`.

    Without a `style` each method, layer and kind of target has one of its own, so that slices and
    labels compare; a mapping replaces fields of it. The picture of a volume shows `show_slice`, or the
    slice with the strongest evidence. `overlays` are those of the file, and its shutter. `result.json`
    is always written; its "skipped" names the formats that this version does not write or that are
    impossible for the series, and the methods that were `refused`, given as (method, reason), its "peer"
    holds the `checks`, if any. Raises
    `ExportError` where nothing can be written; then nothing is.
    """
    _check(maps, predictions)
    asked, skipped = check_formats(formats, maps[0].series)
    skipped += [{"method": method, "reason": reason} for method, reason in refused]
    maps = maps if show_identity else [_unnamed(one) for one in maps]
    task = task or Task()
    styles = _styles(maps, style)
    names = _names(maps)
    entries: list[Document] = []
    with whole_set(out) as folder:
        for done, (map, name) in enumerate(zip(maps, names, strict=True)):
            task.progress(done, len(maps), "writing")
            overlay = Overlay(map, styles[_kind(map)])
            at = _slice(overlay, show_slice)
            snapshot = Snapshot(
                overlay, at, window, show_identity=show_identity, inverted=inverted, overlays=overlays
            )
            facts = entry(map, snapshot)
            facts["files"] = {one.name: one.write(snapshot, folder, name) for one in asked}
            entries.append(facts)
        result = document(maps, predictions, entries, skipped, show_identity, checks)
        save_result(result, folder)
        task.check()
    return result


def _check(maps: Sequence[Map], predictions: Sequence[Prediction]) -> None:
    """One model and one series: the document names one of each, and a map must not meet another's image."""
    if not maps:
        raise ExportError("Nothing was written: there is no explanation to export.")
    series = maps[0].series
    every = [*predictions, *(p for a in maps if isinstance(a, Attribution) for p in a.predictions)]
    others = [*(one.series for one in maps), *(p.input.series for p in every)]
    if any(other is not series for other in others):
        raise ExportError("Nothing was written: these explanations belong to different series.")
    if len({(p.model, p.weights) for p in every}) > 1:
        raise ExportError("Nothing was written: these explanations belong to different models.")


def _kind(map: Map) -> tuple[str | None, ...]:
    """What maps must share for their values to compare."""
    if not isinstance(map, Attribution):
        return ("", map.title, None, map.unit)
    kind = None if map.target is None else map.target.kind
    return (map.explainer.name, map.layer, kind, map.unit)


def _unnamed(map: Map) -> Map:
    """The same where what a file calls the map, or a region, cannot name the patient."""

    def named(text: str) -> str:
        return without_identity(text, map.series.identity)

    if isinstance(map, LoadedMap):
        return replace(map, name=named(map.name))
    if not isinstance(map, Attribution):
        return map
    names = distinct(named(name) for name in map.features)
    return replace(
        map,
        within=None if map.within is None else replace(map.within, name=named(map.within.name)),
        regions=tuple(replace(one, name=named(one.name)) for one in map.regions),
        features=dict(zip(names, map.features.values(), strict=True)),
    )


def _automatic(maps: Sequence[Map], sign: Sign | None) -> Style:
    made = [one for one in maps if isinstance(one, Attribution)]
    return automatic_style(made, sign) if made else quantity_style(maps[0])


def _styles(
    maps: Sequence[Map], style: Style | Mapping[str, Any] | None
) -> dict[tuple[str | None, ...], Style]:
    groups: dict[tuple[str | None, ...], list[Map]] = {}
    for map in maps:
        groups.setdefault(_kind(map), []).append(map)
    if isinstance(style, Style):
        return dict.fromkeys(groups, style)
    wished = style or {}
    return {kind: restyled(_automatic(group, wished.get("sign")), wished) for kind, group in groups.items()}


def _slug(text: str, otherwise: str) -> str:
    """A short name for a file from any text, of a–z, 0–9 and "-" alone; nothing in it can be a path."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text)[:48].strip("-") or otherwise


def _names(maps: Sequence[Map]) -> list[str]:
    """`<method>_<label>_s<slice>` for each, or `<quantity>_loaded_volume`; no two alike.

    Of a method at several layers they are `<method>_<layer>_<label>_s<slice>`.
    """
    ours = [map for map in maps if isinstance(map, Attribution)]
    layers = Counter(name for name, _ in {(map.explainer.name, map.layer) for map in ours})
    names: list[str] = []
    used: Counter[str] = Counter()
    for map in maps:
        name = f"{_slug(map.title, 'map')}_loaded_volume"
        if isinstance(map, Attribution):
            label = "all"
            if map.target is not None:
                label = _slug(map.target.words.replace("−", " minus "), f"label-{map.target.index}")
            where = "volume" if map.slice is None else f"s{map.slice}"
            method = _slug(map.explainer.name, "method")
            if layers[map.explainer.name] > 1:
                method += f"_{_slug(map.layer or '', 'input')}"
            name = f"{method}_{label}_{where}"
        used[name] += 1
        names.append(name if used[name] == 1 else f"{name}-{used[name]}")
    return names


def _slice(overlay: Overlay, wished: int | None) -> int:
    """The slice in the picture: the explained one, else the wished one, else the strongest."""
    if overlay.map.slice is not None:
        return overlay.map.slice
    slices = overlay.map.series.shape[0]
    if wished is not None and not 0 <= wished < slices:
        raise ExportError(f"There is no slice {wished} to show; there are 0 to {slices - 1}.")
    return strongest_slice(overlay) if wished is None else wished


def strongest_slice(overlay: Overlay) -> int:
    """The source slice on which the shown value is largest, of cells that lie on the series.

    Of several with the same value, as where all hold a part of one large feature, it is the one with the
    largest value below that, and so on; the middle one of those that are left.
    """
    values, matrix = overlay.map.values, overlay.map.matrix
    shown = values if overlay.style.sign == "positive" else np.abs(values)
    index = np.ogrid[tuple(slice(n) for n in values.shape)]
    within = np.isfinite(shown)
    for axis, length in reversed(list(enumerate(overlay.map.series.shape))):
        place = sum((matrix[axis, k] * index[k] for k in range(3)), matrix[axis, 3])
        within = within & (place >= -0.5) & (place <= length - 0.5)
    shown = np.where(within, shown, -np.inf)
    left = np.zeros(0)
    for _ in range(_RANKS):
        value = shown.max()
        if len(left) == 1 or value == -np.inf:
            break
        here = shown == value
        on = np.unique(np.clip(np.rint(place[here]), 0, length - 1))
        both = np.intersect1d(left, on)
        left = both if len(both) else left if len(left) else on
        shown[here] = -np.inf
    return int(left[len(left) // 2]) if len(left) else 0
