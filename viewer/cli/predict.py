# SPDX-License-Identifier: Apache-2.0
"""`whyscope predict PATH --model MODEL`: what the model says."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from viewer.cli.arguments import read_place, read_run, read_slice, read_sweep
from viewer.cli.opening import open_series_and_model
from viewer.cli.options import (
    AtOption,
    BlendOption,
    DeviceOption,
    FinerOption,
    JsonOption,
    LimitOption,
    ModelOption,
    OutsideOption,
    OverlapOption,
    PathArgument,
    RefineOption,
    SeriesOption,
    SliceOption,
    TrustOption,
)
from viewer.cli.output import console, print_json, progress, remark, table
from viewer.types import Prediction, Series, Swept


def predict(
    path: PathArgument,
    model: ModelOption,
    series: SeriesOption = None,
    slice: SliceOption = None,
    at: AtOption = None,
    overlap: OverlapOption = 0.5,
    refine: RefineOption = True,
    finer: FinerOption = True,
    blend: BlendOption = "score",
    trust: TrustOption = False,
    outside_intended_use: OutsideOption = False,
    device: DeviceOption = "auto",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the model says: a logit and a score for every label."""
    # What is wrong with the words themselves is told before anything is loaded.
    which, settings = read_slice(slice), read_run(limit, device)
    place = read_place(at, read_sweep(overlap, refine, finer, blend))
    from viewer import session

    with progress(as_json) as task:
        chosen, loaded, _ = open_series_and_model(path, model, series, trust, settings, task)
        found = session.ask(
            chosen, loaded, (), slice=which, at=place, outside_intended_use=outside_intended_use, task=task
        )
    facts = {"name": loaded.name, "sha256": loaded.sha256, "device": loaded.device_name}
    if as_json:
        results = [_facts(p) for p in found.predictions]
        print_json({"model": facts, "results": results} | _swept_facts(chosen, found.swept))
        return
    from viewer.caveats import doubts, use_text

    if found.swept:
        _print_best(chosen, found.swept)
    else:
        _print_scores(found.predictions)
    told = (some for one in found.predictions for some in (use_text(one), *doubts(one)) if some)
    remark([f"{loaded.name} on {loaded.device_name}.", *loaded.remarks, *dict.fromkeys(told)])


def _swept_facts(series: Series, swept: Sequence[Swept]) -> dict[str, Any]:
    """How blocks were laid, and the best of them, where there was a sweep."""
    from viewer.export import swept_facts

    return {"swept": [swept_facts(series, one) for one in swept]} if swept else {}


def _print_best(series: Series, swept: Sequence[Swept]) -> None:
    """The best blocks of each sweep, not all; on standard error how they were laid and what that may miss."""
    from viewer.wording import ONE_BLOCK, best_of_text, kind_of, place_text, share_text, stride_text

    kind = kind_of(swept[0].best[0].score)
    rows = table("middle (slice, row, column)", "label", "logit", kind, "threshold")
    for one in swept:
        for block in one.best:
            score, threshold = block.score, block.score.threshold
            figures = (f"{score.logit:+.3f}", share_text(score.probability, 3))
            where = place_text(series, block)
            rows.add_row(where, escape(one.label), *figures, "" if threshold is None else f"{threshold:g}")
    console().print(rows)
    remark([f"Scores are the {best_of_text(one)}. {stride_text(series, one)}" for one in swept])
    remark([ONE_BLOCK])


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
            spread = "" if label["spread"] is None else f" ± {share_text(label['spread'], 3)}"
            row = (f"{label['logit']:+.3f}", share_text(label["probability"], 3) + spread)
            rows.add_row(where, escape(label["label"]), *row, "" if threshold is None else f"{threshold:g}")
    console().print(rows)
