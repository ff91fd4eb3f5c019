# SPDX-License-Identifier: Apache-2.0
"""`whyscope explain PATH --model MODEL --method NAME --out FOLDER`: why the model says what it says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from viewer.cli.arguments import (
    read_pairs,
    read_place,
    read_run,
    read_settings,
    read_slice,
    read_sweep,
    read_window,
    read_words,
)
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
from viewer.cli.output import print_json, print_lines, progress, remark

if TYPE_CHECKING:
    from viewer.explain import Explained

WithinOption = Annotated[
    str | None,
    typer.Option(
        "--within",
        help="REGION where the image may be changed: ROW,COLUMN,ROW,COLUMN, a segment, a SEG file.",
    ),
]
FeaturesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--features",
        help="REGION, as of --within, for --set over=segments; repeat. Without it all segments of the study.",
    ),
]
LayerOption = Annotated[
    str | None, typer.Option("--layer", help="A layer (see `methods --model`), A,B for several, or stages.")
]
WindowOption = Annotated[
    str | None, typer.Option("--window", help="CENTRE,WIDTH or CENTRE,WIDTH,NAME,FUNCTION.")
]
PeerOption = Annotated[bool, typer.Option("--peer", help="Compare each map with that of captum or grad-cam.")]


def explain(
    path: PathArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    method: Annotated[list[str], typer.Option("--method", help="Repeat, or separate by commas.")],
    target: Annotated[str, typer.Option("--target", help="A label, top, all, A-B or LABEL@REGION.")] = "top",
    within: WithinOption = None,
    features: FeaturesOption = None,
    layer: LayerOption = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. steps=100.")] = None,
    series: SeriesOption = None,
    slice: SliceOption = None,
    at: AtOption = None,
    overlap: OverlapOption = 0.5,
    refine: RefineOption = True,
    finer: FinerOption = True,
    blend: BlendOption = "score",
    formats: Annotated[list[str] | None, typer.Option("--format", help="png, npz, json.")] = None,
    window: WindowOption = None,
    style: Annotated[list[str] | None, typer.Option("--style", help="KEY=VALUE, e.g. opacity=0.4.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Show low values bright.")] = False,
    show_slice: Annotated[int | None, typer.Option("--show-slice", help="Of a volume, from 0.")] = None,
    trust: TrustOption = False,
    outside_intended_use: OutsideOption = False,
    show_identity: Annotated[bool, typer.Option("--show-identity", help="Write the patient's name.")] = False,
    peer: PeerOption = False,
    device: DeviceOption = "auto",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what the model says, as annotated pictures, arrays and a JSON document."""
    which, drawn = read_slice(slice), read_window(window)
    place = read_place(at, read_sweep(overlap, refine, finer, blend))
    wishes, fields, settings = read_settings(setting), read_pairs("--style", style), read_run(limit, device)
    names = read_words(method)
    if not names:
        raise typer.BadParameter("--method wants a name; see `whyscope methods`.")
    from viewer import export, session
    from viewer.errors import ExplainerError

    kinds, looks = _read_export(out, formats, fields)
    with progress(as_json) as task:
        chosen, loaded, drawings = open_series_and_model(path, model, series, trust, settings, task)
        export.check_formats(kinds, chosen)  # some are impossible for some series
        explained = session.ask(
            chosen, loaded, names, target, which, place, layer, wishes, outside_intended_use, settings,
            task, within, segmentations=drawings, features=features or (),
        )  # fmt: skip
        checks = session.peer(loaded, explained, task) if peer else ()
        if not as_json:
            print_lines(check.words for check in checks)
        if not explained.attributions:
            raise ExplainerError(" ".join(f"{name}: {reason}" for name, reason in explained.refused))
        how = (looks, drawn, invert, show_slice, checks)
        document = session.export(explained, out, kinds, show_identity, task, *how)
    if as_json:
        print_json(document)
    else:
        remark(loaded.remarks)
        _print_written(out, document, explained)


def _read_export(
    out: Path, formats: Sequence[str] | None, style: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, Any]]:
    """The formats and the style to write with, found out before hours of work, not after them.

    Raises `ExportError` where a word is none, or where the folder cannot be written to.
    """
    from viewer import export

    kinds = read_words(formats) or export.FORMATS
    export.check_formats(kinds)
    looks = export.read_style(style)
    export.check_folder(out)
    return kinds, looks


def _print_written(out: Path, document: Mapping[str, Any], explained: "Explained") -> None:
    """The written files, `result.json` last; on standard error what was refused, skipped or overridden."""
    from viewer.caveats import doubts, use_text
    from viewer.export import RESULT
    from viewer.wording import nothing_text, refitted_text

    styles = [entry["style"] for entry in document["attributions"] if "range_asked" in entry["style"]]
    remark(dict.fromkeys(refitted_text(s["range_asked"], s["range"], s["sign"]) for s in styles))
    remark([nothing_text(one) for one in explained.attributions if one.shows_nothing])
    remark([f"{name}: {reason}" for name, reason in explained.refused])
    remark([f"{item['format']}: {item['reason']}" for item in document["skipped"] if "format" in item])
    told = (some for one in explained.predictions for some in (use_text(one), *doubts(one)) if some)
    remark(dict.fromkeys(told))
    files = [name for entry in document["attributions"] for name in entry["files"].values()]
    for name in (*(name for name in dict.fromkeys(files) if name != RESULT), RESULT):
        typer.echo(out / name)
