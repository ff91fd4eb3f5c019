# SPDX-License-Identifier: Apache-2.0
"""The document `result.json`: what was predicted, what explained it, and which files hold it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from viewer import affine
from viewer.export.provenance import (
    doubt_facts,
    looked_at_and_swept,
    looked_at_facts,
    meaning,
    model_facts,
    plain,
    region_facts,
    resolution_facts,
    settings_facts,
    use_facts,
    versions,
)
from viewer.overlay import shown_range
from viewer.types import Attribution, Evidence, Map, PeerCheck, Prediction, Series, Snapshot, Style, Window
from viewer.wording import RESEARCH_USE, kind_of

Document = dict[str, Any]


def style_facts(style: Style) -> Document:
    """How a map was drawn; its range is the one that the colour bar shows, beside one that did not fit."""
    drawn = replace(style, range=shown_range(style))
    facts = {name: plain(getattr(drawn, name)) for name in Style.__dataclass_fields__}
    return facts if drawn.range == style.range else {**facts, "range_asked": plain(style.range)}


def display_facts(snapshot: Snapshot) -> Document:
    """What of the image a picture shows; no window where it is the file's own or an automatic one."""
    window = snapshot.window
    names = Window.__dataclass_fields__
    facts = {
        "slice": snapshot.slice,
        "window": None if window is None else {name: plain(getattr(window, name)) for name in names},
        "inverted": snapshot.inverted,
    }
    return facts if snapshot.overlays else {**facts, "overlays": False}


def entry(map: Map, snapshot: Snapshot) -> Document:
    """One map and the picture of it as `result.json` lists them; "files" is still empty."""
    if isinstance(map, Attribution):
        return _explained(map, snapshot)
    low, high = map.extremes()
    facts = {
        "title": map.title,
        "origin": getattr(map, "provenance", ""),
        "meaning": meaning(map),
        "native_shape": map.values.shape,
        "unit": map.unit,
        "min": low,
        "max": high,
        "matrix": map.matrix,
        "style": style_facts(snapshot.overlay.style),
        "display": display_facts(snapshot),
        "files": {},
    }
    return {key: plain(value) for key, value in facts.items()}


def _explained(attribution: Attribution, snapshot: Snapshot) -> Document:
    low, high = attribution.extremes()
    target = attribution.target
    facts = {
        "method": attribution.explainer.name,
        "settings": settings_facts(attribution),
        **region_facts(attribution),
        **looked_at_and_swept(attribution),
        "found": attribution.found,
        "baselines": 0 if attribution.baselines is None else len(attribution.baselines),
        "layer": attribution.layer,
        "label": None if target is None else target.words,
        "negative": attribution.negative,
        "slice": attribution.slice,
        "native_shape": attribution.values.shape,
        "resolution": resolution_facts(attribution),
        "unit": attribution.unit,
        "min": low,
        "max": high,
        "completeness_error": attribution.completeness_error,
        "evidence": _evidence_facts(attribution.evidence),
        "seconds": attribution.seconds,
        "matrix": attribution.matrix,
        "style": style_facts(snapshot.overlay.style),
        "display": display_facts(snapshot),
        "files": {},
    }
    return {key: plain(value) for key, value in facts.items()}


def _evidence_facts(found: Evidence | None) -> Document | None:
    """What a map speaks of beside the score, and whether it is too little to be drawn; None if unmeasured."""
    if found is None:
        return None
    names = ("measure", "change", "positive", "size", "share", "limit", "negligible")
    return {name: plain(getattr(found, name)) for name in names}


def document(
    maps: Sequence[Map],
    predictions: Sequence[Prediction],
    entries: list[Document],
    skipped: list[Document],
    show_identity: bool,
    checks: Sequence[PeerCheck] = (),
) -> Document:
    """The whole of `result.json`; `entries` are those of `maps`. Without an attribution it names no model.

    "peer" stands there only if something was checked.
    """
    made = [one for one in maps if isinstance(one, Attribution)]
    overrides = {p.override for a in made for p in a.predictions} - {None}
    of = list(zip(maps, entries, strict=True))
    return {
        "model": model_facts(made[0].predictions[0]) if made else None,
        "series": _series(maps[0].series, show_identity),
        "predictions": [prediction_facts(p) for p in predictions],
        "attributions": [facts for one, facts in of if isinstance(one, Attribution)],
        "maps": [facts for one, facts in of if not isinstance(one, Attribution)],
        "skipped": skipped,
        "override": " ".join(sorted(str(o) for o in overrides)) or None,
        "intended_use": use_facts(made[0].predictions[0]) if made else None,
        "versions": versions(*maps, libraries=(check.library for check in checks)),
        "use": RESEARCH_USE,
    } | ({"peer": [_peer_facts(check) for check in checks]} if checks else {})


def _peer_facts(check: PeerCheck) -> Document:
    """One comparison with a library as `result.json` lists it; what there is nothing of is None."""
    names = (
        "method", "label", "slice", "layer", "library", "version", "call", "difference", "largest", "double",
        "rounding", "remark", "fault", "reason",
    )  # fmt: skip
    facts = {name: plain(getattr(check, name)) for name in names}
    return {name: None if value == "" else value for name, value in facts.items()}


def prediction_facts(prediction: Prediction) -> Document:
    """One prediction as `result.json` and `predict --json` list it; "at" is the middle of what was read, and
    "looked_at" how large that is.

    "kind" says what "probability" is, whose name is older: a score, a probability where the card gives a
    calibration, or a plain output.
    """
    names = ("label", "logit", "probability", "calibrated", "threshold", "spread")
    labels = [
        {name: plain(getattr(score, name)) for name in names} | {"kind": kind_of(score)}
        for score in prediction.scores
    ]
    looked_at = plain(looked_at_facts(prediction.input.series, prediction.input.field))
    middle = [(n - 1) / 2 for n in prediction.input.shape]
    at = [round(float(i), 3) for i in affine.apply(prediction.input.matrix, middle)]
    return {
        "slice": prediction.input.slice,
        "at": at,
        "looked_at": {name: looked_at[name] for name in ("voxels", "mm", "share")},
        "labels": labels,
        "intended_use": use_facts(prediction),
        **doubt_facts(prediction),
    }


def _series(series: Series, show_identity: bool) -> Document:
    """Facts of a series; description and names only where identity is to be shown."""
    slices, rows, columns = series.shape
    facts: Document = {
        "uid": series.uid,
        "modality": series.modality,
        "slices": slices,
        "rows": rows,
        "columns": columns,
        "spacing": plain(series.geometry.spacing),
        "part": series.part.words if series.part else None,
    }
    if show_identity:
        facts["description"] = series.description
        facts["patient"], facts["patient_id"] = series.identity.patient, series.identity.patient_id
    return facts
