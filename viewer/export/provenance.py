# SPDX-License-Identifier: Apache-2.0
"""Where a map comes from, as plain data for JSON, PNG chunks and `.npz`."""

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from viewer.types import Attribution, Field, Map, Prediction, Region, Series, Swept
from viewer.wording import (
    CAME_ALONG,
    INFLUENCE,
    ONE_BLOCK,
    RESEARCH_USE,
    best_of_text,
    kind_of,
    looked_at_text,
    stride_text,
    whole_text,
)

_PACKAGES = ("whyscope", "torch", "scikit-image", "timm", "numpy", "pydicom")


def versions(*maps: Map, libraries: Iterable[str] = ()) -> dict[str, str | None]:
    """Versions of the packages that shape a map, read without importing them; None where not installed.

    Among them are those whose methods made the `maps`, and further `libraries`, each once.
    """
    made = (getattr(one.explainer, "library", "") for one in maps if isinstance(one, Attribution))
    return {name: _version(name) for name in dict.fromkeys((*_PACKAGES, *made, *libraries)) if name}


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def plain(value: Any) -> Any:
    """The same as JSON can hold it: NaN and infinity become None, arrays lists, the unknown text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def as_json(document: Any, indent: int | None = None) -> str:
    """A document as JSON text that can be stored as UTF-8, whatever a card or a file calls itself."""
    text = json.dumps(document, ensure_ascii=False, indent=indent, allow_nan=False)
    # Half a surrogate pair is no text; JSON has an escape for it, and Python writes the same one.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def settings_facts(attribution: Attribution) -> dict[str, Any]:
    """The settings of a map's method; of a path the name alone, as folders may name people."""

    def shown(value: Any) -> Any:
        return value.replace("\\", "/").rpartition("/")[2] if isinstance(value, str) else value

    return {name: shown(value) for name, value in attribution.explainer.settings().items()}


def _sop_uid(series: Series, slice: int | None) -> str | None:
    """SOP instance UID of a slice, where there is one."""
    return series.sop_uids[slice] if slice is not None and slice < len(series.sop_uids) else None


def _frame_number(series: Series, slice: int | None) -> int | None:
    """DICOM frame number of a slice in its file, from 1, where the series came from DICOM."""
    return series.frame_numbers[slice] if slice is not None and slice < len(series.frame_numbers) else None


def model_facts(prediction: Prediction) -> dict[str, Any]:
    """The model as `result.json` names it."""
    return {"name": prediction.model, "sha256": prediction.weights, "device": prediction.device}


def meaning(map: Map) -> str:
    """What a reader must not conclude from a map."""
    return INFLUENCE if isinstance(map, Attribution) else CAME_ALONG


def provenance(map: Map) -> dict[str, Any]:
    """Where a map comes from, JSON-serialisable; no patient identity in it."""
    if isinstance(map, Attribution):
        return _how_made(map)
    low, high = map.extremes()
    facts = {
        "title": map.title,
        "origin": getattr(map, "provenance", ""),
        "series": map.series.uid,
        "native_shape": map.values.shape,
        "unit": map.unit,
        "min": low,
        "max": high,
        "versions": versions(),
        "use": RESEARCH_USE,
        "meaning": CAME_ALONG,
    }
    return {key: plain(value) for key, value in facts.items()}


def region_facts(attribution: Attribution) -> dict[str, Any]:
    """Where the method was allowed to change the image, None for everywhere; the values of what has a name,
    and the regions that it was made of."""

    def facts(region: Region | None) -> dict[str, Any] | None:
        names = ("name", "origin", "source", "remark")
        return None if region is None else {name: getattr(region, name) for name in names}

    return {
        "within": facts(attribution.within),
        "features": attribution.features,
        "regions": [facts(one) for one in attribution.regions],
    }


def doubt_facts(prediction: Prediction) -> dict[str, Any]:
    """Of how many runs the scores are, and what about the outputs cannot be as the card has it."""
    return {"runs": prediction.runs, "implausible": prediction.implausible}


def use_facts(prediction: Prediction) -> dict[str, str | None]:
    """Whether the model was made for the study, as far as anybody knows, and why not, or why not known."""
    verdict = "outside" if prediction.override else "unknown" if prediction.unknown else "fits"
    return {"verdict": verdict, "reason": prediction.override or prediction.unknown}


def looked_at_facts(series: Series, field: Field) -> dict[str, Any]:
    """The part of a series that a model was shown; sides along (slice, row, column), "mm" None if unknown."""
    spacing = series.geometry.spacing
    known = spacing is not None and (spacing[0] is not None or field.shape[0] == 1)
    steps = spacing if known and spacing is not None else ()
    return {
        "voxels": field.extent,
        "mm": [n * (step or 0.0) for n, step in zip(field.extent, steps, strict=False)] or None,
        "share": field.share(series.shape),
        "of": whole_text(series, field),
    }


def looked_at_and_swept(attribution: Attribution) -> dict[str, Any]:
    """The region that a map and its score are of, and how that was searched, None where it was not."""
    series, swept = attribution.series, attribution.swept
    return {
        "looked_at": looked_at_facts(series, attribution.looked_at)
        | {"words": looked_at_text(attribution), "blocks": 1 if swept is None else swept.count},
        "swept": None if swept is None else swept_facts(series, swept),
    }


def swept_facts(series: Series, swept: Swept) -> dict[str, Any]:
    """How blocks were laid for a label, and the best of them; steps and half-widths are shares of a block
    along (depth, rows, columns) of the input."""
    steps = [step / size for step, size in zip(swept.stride, swept.size, strict=True)]
    facts = {
        "label": swept.label,
        "score": best_of_text(swept),
        "blocks": swept.count,
        "grid": swept.grid,
        "step": steps,
        "refined": swept.refined,
        "half_width": swept.half_width,
        "least": swept.least,
        "finer": swept.finer,
        "blend": "score" if swept.weighted else "plain",
        "words": [stride_text(series, swept), ONE_BLOCK],
        "best": [
            {
                "at": [round(i, 3) for i in block.place],
                "mm": block.position(series.geometry),
                "logit": block.score.logit,
                "score": block.score.probability,
                "kind": kind_of(block.score),
            }
            for block in swept.best
        ],
    }
    return {key: plain(value) for key, value in facts.items()}


def resolution_facts(attribution: Attribution) -> dict[str, Any] | None:
    """What a value stands for, its sides and distances in pixels of the input; None where that is a cell."""
    found = attribution.resolution
    return None if found is None else {"part": found.part, "sizes": found.sizes, "steps": found.steps}


def _how_made(attribution: Attribution) -> dict[str, Any]:
    """All that is needed to make the map again, JSON-serialisable; no patient identity in it."""
    prediction = attribution.predictions[0]
    low, high = attribution.extremes()
    explainer, series = attribution.explainer, attribution.series
    facts = {
        "model": model_facts(prediction),
        "method": explainer.name,
        "title": explainer.title,
        "settings": settings_facts(attribution),
        **region_facts(attribution),
        **looked_at_and_swept(attribution),
        "found": attribution.found,
        "layer": attribution.layer,
        "target": None if attribution.target is None else attribution.target.words,
        "target_kind": None if attribution.target is None else attribution.target.kind,
        "slice": attribution.slice,
        "series": series.uid,
        "sop": _sop_uid(series, attribution.slice),
        "frame": _frame_number(series, attribution.slice),
        "native_shape": attribution.values.shape,
        "resolution": resolution_facts(attribution),
        "unit": attribution.unit,
        "min": low,
        "max": high,
        "completeness_error": attribution.completeness_error,
        "paper": explainer.paper,
        "versions": versions(attribution),
        "override": prediction.override,
        "intended_use": use_facts(prediction),
        **doubt_facts(prediction),
        "use": RESEARCH_USE,
        "meaning": INFLUENCE,
    }
    return {key: plain(value) for key, value in facts.items()}
