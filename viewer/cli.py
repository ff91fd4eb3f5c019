"""The command line: `series`, `methods`, `predict`, `explain`, `card`, `demo`.

Heavy imports stay inside the commands, so that `series` runs without torch and nothing here ever
needs Qt. Standard output carries results, standard error progress and problems; exit status 0 is
done, 1 a problem in the input (one sentence), 2 wrong usage.
"""

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from viewer.arguments import (
    read_limits,
    read_pairs,
    read_place,
    read_settings,
    read_slice,
    read_window,
    read_words,
)
from viewer.errors import WhyscopeError
from viewer.task import Cancelled, Task
from viewer.task import Progress as Step

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Why did this imaging model say that, on this patient's image? For research use only.",
)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A file, a folder, a PNG or a JPEG.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ModelOption = Annotated[Path, typer.Option("--model", help="A model folder or its model.yaml.")]
SeriesOption = Annotated[
    str | None, typer.Option("--series", help="A number as listed by `series`, from 0, or a UID.")
]
SliceOption = Annotated[str | None, typer.Option("--slice", help="A slice, from 0, or all.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="The middle of a patch, ROW,COLUMN or SLICE,ROW,COLUMN; A..B: over a box; sweep: over all.",
    ),
]
OverlapOption = Annotated[
    float, typer.Option("--overlap", help="What patches of a sweep share, from 0 to 1.")
]
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
TrustOption = Annotated[bool, typer.Option("--trust", help="Run the code beside the weights.")]
OutsideOption = Annotated[
    bool, typer.Option("--outside-intended-use", help="Go on where the card does not accept the study.")
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option("--limit", help="KEY=VALUE: what a file may ask for, e.g. rows=4096 or bytes=8G."),
]
ScreenshotOption = Annotated[
    Path | None, typer.Option("--screenshot", help="Save the window to a PNG and end.")
]
SizeOption = Annotated[str, typer.Option("--size", help="WIDTHxHEIGHT of the window.")]
LightOption = Annotated[bool, typer.Option("--light", help="Light instead of dark.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]


def run(words: Sequence[str]) -> None:
    """Run a command; ends the process with the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name or label may hold what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not words or words[0] not in (*COMMANDS, "--help"):
        first = words[0] if words else "-"
        # A first word that is neither a command nor a path is a mistyped command: typer says so.
        if first.startswith("-") or os.path.exists(first):  # noqa: PTH110 - never raises
            words = ["window", *words]
    try:
        app(list(words), prog_name="whyscope")
    except WhyscopeError as error:
        _fail(str(error))
    except (Cancelled, KeyboardInterrupt):
        _fail("Cancelled.")
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _fail("Cancelled.")
        raise
    except OSError as error:
        # What no layer has told in its own words, such as a name that is too long.
        _fail(f"A file or folder cannot be used: {error.strerror or type(error).__name__}.")
    except MemoryError:
        _fail("There is too little memory for this; choose one slice, or a smaller --set batch.")


_INTERRUPTED = 130
"""The status with which typer ends, without a word, after Ctrl-C."""


def _fail(sentence: str) -> None:
    sentence = " ".join(sentence.split())
    typer.echo(sentence if sentence.endswith((".", "?")) else f"{sentence}.", err=True)
    raise SystemExit(1)


@app.command()
def series(path: PathArgument, limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List what is there: series with their facts and warnings, and what was not opened and why."""
    settings = _settings(limit)
    from viewer import dicom
    from viewer.dicom.listing import listing

    with _progress(as_json) as task:
        study = dicom.scan([path], settings, task)
    if as_json:
        _print_json(listing(study))
        return
    console = Console()
    table = Table("#", "modality", "description", "size", "spacing (mm)", "syntax", "files", box=None)
    for i, s in enumerate(study.series):
        spacing = s.geometry.spacing
        table.add_row(
            str(i),
            s.modality,
            s.description,
            " × ".join(map(str, s.shape)),
            " × ".join("–" if v is None else f"{v:.3g}" for v in spacing) if spacing else "unknown",
            s.syntax,
            str(s.files),
        )
    console.print(table)
    for i, s in enumerate(study.series):
        for warning in s.warnings:
            console.print(f"  # {i}: {warning}", style="yellow", markup=False)
    for title, listed in (("Not an image", study.other), ("Refused", study.refused)):
        for item in listed:
            console.print(f"{title}: {item.path.name}: {item.reason}", markup=False, highlight=False)


@app.command()
def methods(
    model: Annotated[Path | None, typer.Option("--model", help="Say which of them suit this model.")] = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the explainers, their settings, and whether they suit a model."""
    from viewer import explain, session

    loaded = None if model is None else session.load_model(model, trust)
    listed = explain.describe(loaded)
    if as_json:
        _print_json(
            {"methods": listed} | ({} if loaded is None else {"layers": list(explain.suggest(loaded))})
        )
        return
    table = Table("method", "family", "settings", "shows", box=None)
    for item in listed:
        settings = ", ".join(f"{k}={v}" for k, v in item["settings"].items())
        why = item["unsuitable"]
        table.add_row(item["name"], item["family"], settings, f"unsuitable: {why}" if why else item["shows"])
    Console().print(table)
    if loaded is not None:
        Console().print("Layers: " + ", ".join(explain.suggest(loaded)[:8]), markup=False, highlight=False)


@app.command()
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
    which, place, settings = read_slice(slice), read_place(at, overlap), _settings(limit, device)
    from viewer import session

    with _progress(as_json) as task:
        chosen, loaded, _ = _open(path, model, series, trust, settings, task)
        predictions = session.predict(chosen, loaded, which, place, outside_intended_use, task=task)
    results = [_labels(p) for p in predictions]
    facts = {"name": loaded.name, "sha256": loaded.sha256, "device": loaded.device_name}
    if as_json:
        _print_json({"model": facts, "results": results})
        return
    kind = "probability" if predictions[0].scores[0].calibrated else "score"
    table = Table("slice", "label", "logit", kind, "threshold", box=None)
    for result in results:
        for label in result["labels"]:
            where = "volume" if result["slice"] is None else str(result["slice"])
            threshold = label["threshold"]
            row = (f"{label['logit']:+.3f}", f"{label['probability']:.3f}")
            table.add_row(where, label["label"], *row, "" if threshold is None else f"{threshold:g}")
    Console().print(table)
    _remarks([f"{loaded.name} on {loaded.device_name}.", *filter(None, {p.override for p in predictions})])


@app.command()
def explain(
    path: PathArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")],
    method: Annotated[list[str], typer.Option("--method", help="Repeat, or separate by commas.")],
    target: Annotated[str, typer.Option("--target", help="A label, top, all, A-B or LABEL@REGION.")] = "top",
    within: WithinOption = None,
    features: FeaturesOption = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="A layer (see `methods --model`), A,B for several, or stages."),
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, e.g. steps=100.")] = None,
    series: SeriesOption = None,
    slice: SliceOption = None,
    at: AtOption = None,
    overlap: OverlapOption = 0.5,
    formats: Annotated[list[str] | None, typer.Option("--format", help="png, npz, json.")] = None,
    window: Annotated[str | None, typer.Option("--window", help="CENTRE,WIDTH of the picture.")] = None,
    style: Annotated[list[str] | None, typer.Option("--style", help="KEY=VALUE, e.g. opacity=0.4.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Show low values bright.")] = False,
    show_slice: Annotated[int | None, typer.Option("--show-slice", help="Of a volume, from 0.")] = None,
    trust: TrustOption = False,
    outside_intended_use: OutsideOption = False,
    show_identity: Annotated[bool, typer.Option("--show-identity", help="Write the patient's name.")] = False,
    device: DeviceOption = "auto",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what the model says, as annotated pictures, arrays and a JSON document."""
    which, place, drawn = read_slice(slice), read_place(at, overlap), read_window(window)
    wishes, fields, names = read_settings(setting), read_pairs("--style", style), read_words(method)
    if not names:
        raise typer.BadParameter("--method wants a name; see `whyscope methods`.")
    settings = _settings(limit, device)
    from viewer import export, session
    from viewer.errors import ExplainerError

    # Before hours of work, not after them.
    chosen_formats = read_words(formats) or export.FORMATS
    export.check_formats(chosen_formats)
    looks = export.read_style(fields)
    export.check_folder(out)
    with _progress(as_json) as task:
        chosen, loaded, segmentations = _open(path, model, series, trust, settings, task)
        explained = session.ask(
            chosen, loaded, names, target, which, place, layer, wishes, outside_intended_use, settings,
            task, within, segmentations=segmentations, features=features or (),
        )  # fmt: skip
        if not explained.attributions:
            raise ExplainerError(" ".join(reason for _, reason in explained.refused))
        document = session.export(
            explained, out, chosen_formats, show_identity, task, looks, drawn, invert, show_slice
        )
    if as_json:
        _print_json(document)
        return
    _remarks([f"{name}: {reason}" for name, reason in explained.refused])
    _remarks([f"{item['format']}: {item['reason']}" for item in document["skipped"] if "format" in item])
    _remarks([document["override"]] if document["override"] else [])
    files = [name for entry in document["attributions"] for name in entry["files"].values()]
    for name in sorted(dict.fromkeys(files), key=lambda name: name == export.RESULT):
        typer.echo(out / name)


@app.command()
def card(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A weights file, or a folder with one.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write it, e.g. to model.yaml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draft the model card of a file of weights, which is read and never run.

    What the weights do not tell is left marked TO FILL.
    """
    from viewer import session

    made = session.draft_card(path, out)
    if as_json:
        _print_json(made.document())
    elif out is None:
        typer.echo(made.text(), nl=False)
    else:
        _remarks(made.remarks)
        _remarks([f"Complete {', '.join(made.to_fill)}."] if made.to_fill else [])
        typer.echo(out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path("whyscope-demo"),
    screenshot: ScreenshotOption = None,
    size: SizeOption = "1600x1000",
    light: LightOption = False,
) -> None:
    """Open the window on the phantom studies that the program brings along, explained.

    Without a display the explained pictures are written instead.
    """
    from viewer import demo

    if screenshot is not None or _on_a_screen():
        _open_window(list(demo.studies()), demo.models()["cnn"], screenshot, size, light)
        return
    with _progress(False) as task:
        pictures = demo.run(out, task)
    typer.echo(f"The explained picture{'s are' if len(pictures) > 1 else ' is'}:")
    for picture in pictures:
        typer.echo(picture.resolve())


@app.command(hidden=True)
def window(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="A model folder or its model.yaml.")] = None,
    screenshot: ScreenshotOption = None,
    size: SizeOption = "1600x1000",
    light: LightOption = False,
    trust: TrustOption = False,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda or mps; as preferred if left out.")
    ] = None,
    limit: LimitOption = None,
) -> None:
    """Open the window."""
    missing = next((p for p in paths or () if not p.exists()), None)
    if missing is not None:
        _fail(f"There is no file or folder {missing.name}.")
    _open_window(paths or [], model, screenshot, size, light, trust, device, read_limits(limit))


COMMANDS = ("series", "methods", "predict", "explain", "card", "demo")


def _open_window(
    paths: Sequence[Path],
    model: Path | None,
    screenshot: Path | None,
    size: str,
    light: bool,
    trust: bool = False,
    device: str | None = None,
    limits: Mapping[str, int] | None = None,
) -> None:
    from viewer.ui import app as ui

    try:
        width, height = (int(part) for part in size.split("x"))
    except ValueError:
        raise typer.BadParameter(f"--size wants WIDTHxHEIGHT, not {size!r}.") from None
    chosen = None if device is None else _device(device)
    ui.run(paths, model, screenshot, (width, height), light, trust, chosen, limits)


def _on_a_screen() -> bool:
    """Whether there is a display; told without Qt, which a machine without one may lack libraries for."""
    shown = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return shown or not sys.platform.startswith("linux")


# --- words → values -------------------------------------------------------------------------------


def _open(
    path: Path, model: Path, series: str | None, trust: bool, settings: Any, task: Task
) -> tuple[Any, Any, Any]:
    """The series, the model, and what is drawn on the study."""
    from viewer import dicom, session

    study = dicom.scan([path], settings, task)
    chosen = session.choose_series(study, series)
    return chosen, session.load_model(model, trust, settings), study.segmentations


def _settings(limit: Sequence[str] | None, device: str = "auto") -> Any:
    from viewer.settings import Limits, Settings

    return Settings(Limits(**read_limits(limit)), _device(device))


def _device(name: str) -> Any:
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise typer.BadParameter(f"{name!r} is not one of auto, cpu, cuda, mps.")
    return name


# --- output ---------------------------------------------------------------------------------------


def _labels(prediction: Any) -> dict[str, Any]:
    from viewer.export import prediction_facts

    return {"series": prediction.input.series.uid, **prediction_facts(prediction)}


def _print_json(document: object) -> None:
    # Where standard output is not UTF-8, or a name is no text, JSON's own escapes stand for it.
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(document, ensure_ascii=not unicode, indent=1, allow_nan=False) + "\n")


def _remarks(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        typer.echo(sentence, err=True)


@contextmanager
def _progress(quiet: bool) -> Iterator[Task]:
    """A task whose progress is drawn on standard error, with the time left; silent if `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield Task()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("working", total=None)
        doing = ""

        def report(step: Step) -> None:
            nonlocal doing
            if step.doing != doing:
                doing = step.doing
                bar.reset(line, description=doing)
            bar.update(line, completed=step.done, total=step.total or None)

        yield Task(report)
