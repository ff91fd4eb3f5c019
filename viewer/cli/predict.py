# SPDX-License-Identifier: Apache-2.0
"""`whyscope predict PATH --model MODEL`: what the model says."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from viewer.cli.arguments import read_place, read_run, read_slice
from viewer.cli.opening import open_series_and_model
from viewer.cli.options import (
    AtOption,
    DeviceOption,
    JsonOption,
    LimitOption,
    ModelOption,
    OutsideOption,
    OverlapOption,
    PathArgument,
    SeriesOption,
    SliceOption,
    TrustOption,
)
from viewer.cli.output import console, print_json, progress, remark, table
from viewer.types import Prediction


def predict(
    path: PathArgument,
    model: ModelOption,
    series: SeriesOption = None,
    slice: SliceOption = None,
    at: AtOption = None,
    overlap: OverlapOption = 0.5,
    trust: TrustOption = False,
    outside_intended_use: OutsideOption = False,
    device: DeviceOption = "auto",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the model says: a logit and a score for every label."""
    # What is wrong with the words themselves is told before anything is loaded.
    which, place, settings = read_slice(slice), read_place(at, overlap), read_run(limit, device)
    from viewer import session

    with progress(as_json) as task:
        chosen, loaded, _ = open_series_and_model(path, model, series, trust, settings, task)
        predictions = session.predict(chosen, loaded, which, place, outside_intended_use, task=task)
    facts = {"name": loaded.name, "sha256": loaded.sha256, "device": loaded.device_name}
    if as_json:
        print_json({"model": facts, "results": [_facts(p) for p in predictions]})
        return
    _print_scores(predictions)
    remark(
        [
            f"{loaded.name} on {loaded.device_name}.",
            *loaded.remarks,
            *filter(None, {p.override for p in predictions}),
        ]
    )


def _facts(prediction: Prediction) -> dict[str, Any]:
    from viewer.export import prediction_facts

    return {"series": prediction.input.series.uid, **prediction_facts(prediction)}


def _print_scores(predictions: Sequence[Prediction]) -> None:
    from viewer.wording import kind_of, share_text

    kind = kind_of(predictions[0].scores[0])
    rows = table("slice", "label", "logit", kind, "called from")
    for result in map(_facts, predictions):
        for label in result["labels"]:
            where = "volume" if result["slice"] is None else str(result["slice"])
            threshold = label["threshold"]
            row = (f"{label['logit']:+.3f}", share_text(label["probability"], 3))
            rows.add_row(where, escape(label["label"]), *row, "" if threshold is None else f"{threshold:g}")
    console().print(rows)
