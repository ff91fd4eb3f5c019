"""Writes explanations as files, all of them or none, and the document that names them."""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngInfo

from viewer.errors import ExportError
from viewer.export.document import Document, display_facts, document, entry, style_facts
from viewer.export.files import whole, whole_set
from viewer.export.picture import compose
from viewer.export.provenance import RESEARCH_USE, as_json, provenance, versions
from viewer.overlay import automatic_style, on_source
from viewer.task import Task
from viewer.types import Array, Attribution, Overlay, Prediction, Snapshot, Style, Window

FORMATS = ("png", "npz", "json")
PLANNED = ("tiff", "csv", "pdf", "sc", "pm", "sr", "gsps", "blend", "seg")
RESULT = "result.json"


def export(
    attributions: Sequence[Attribution],
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
) -> Document:
    """Write maps of one model and one series to the folder `out`; gives the document of `result.json`.

    Without a `style` each method, layer and kind of target has one of its own, so that slices and
    labels compare; a mapping replaces fields of it. The picture of a volume shows `show_slice`, or the
    slice with the strongest evidence. `overlays` are those of the file, and its shutter. `result.json`
    is always written; its "skipped" names the formats that this version does not write and the methods
    that were `refused`, given as (method, reason). Raises `ExportError` where nothing can be written;
    then nothing is.
    """
    asked, skipped = check_formats(formats)
    skipped += [{"method": method, "reason": reason} for method, reason in refused]
    _check(attributions, predictions)
    task = task or Task()
    styles = _styles(attributions, style)
    names = _names(attributions)
    entries: list[Document] = []
    with whole_set(out) as folder:
        for done, (attribution, name) in enumerate(zip(attributions, names, strict=True)):
            task.progress(done, len(attributions), "writing")
            overlay = Overlay(attribution, styles[_kind(attribution)])
            at = _slice(overlay, attribution, show_slice)
            snapshot = Snapshot(
                overlay, at, window, show_identity=show_identity, inverted=inverted, overlays=overlays
            )
            facts = entry(attribution, snapshot)
            facts["files"] = _files(snapshot, attribution, folder, name, asked)
            entries.append(facts)
        result = document(attributions, predictions, entries, skipped, show_identity)
        with whole(folder / RESULT) as part:
            part.write_text(as_json(result, indent=1), "utf-8")
        task.check()
    return result


def _files(
    snapshot: Snapshot, attribution: Attribution, folder: Path, name: str, asked: Sequence[str]
) -> dict[str, str]:
    """Write one map in the formats asked for; gives the file names by format."""
    files = {}
    if "png" in asked:
        files["png"] = f"{name}.png" if attribution.slice is not None else f"{name}_s{snapshot.slice}.png"
        save_png(snapshot, folder / files["png"])
    if "npz" in asked:
        files["npz"] = f"{name}.npz"
        save_npz(attribution, folder / files["npz"])
    if "json" in asked:
        files["json"] = RESULT
    return files


def check_formats(formats: Sequence[str]) -> tuple[list[str], list[Document]]:
    """The formats to write, and those to be skipped with the reason.

    Raises `ExportError` for a format that does not exist, and where none is left to be written.
    """
    words = list(dict.fromkeys(word.strip().lower() for word in formats))
    unknown = [word for word in words if word not in FORMATS + PLANNED]
    if unknown:
        known = ", ".join(FORMATS + PLANNED)
        raise ExportError(f"There is no format {unknown[0]!r}; choose from: {known}.")
    asked = [word for word in words if word in FORMATS]
    if not asked:
        named = f"{', '.join(words)} is not written by this version" if words else "no format was named"
        raise ExportError(f"Nothing was written: {named}; choose from: {', '.join(FORMATS)}.")
    reason = "not written by this version"
    return asked, [{"format": word, "reason": reason} for word in words if word in PLANNED]


def _check(attributions: Sequence[Attribution], predictions: Sequence[Prediction]) -> None:
    """One model and one series: the document names one of each, and a map must not meet another's image."""
    if not attributions:
        raise ExportError("Nothing was written: there is no explanation to export.")
    series, first = attributions[0].series, attributions[0].predictions[0]
    every = [*predictions, *(p for a in attributions for p in a.predictions)]
    if any(p.input.series is not series for p in every):
        raise ExportError("Nothing was written: these explanations belong to different series.")
    if any((p.model, p.weights) != (first.model, first.weights) for p in every):
        raise ExportError("Nothing was written: these explanations belong to different models.")


def _kind(attribution: Attribution) -> tuple[str | None, ...]:
    """What maps must share for their values to compare."""
    target = attribution.target
    kind = None if target is None else target.kind
    return (attribution.explainer.name, attribution.layer, kind, attribution.unit)


def _styles(
    attributions: Sequence[Attribution], style: Style | Mapping[str, Any] | None
) -> dict[tuple[str | None, ...], Style]:
    groups: dict[tuple[str | None, ...], list[Attribution]] = {}
    for attribution in attributions:
        groups.setdefault(_kind(attribution), []).append(attribution)
    if isinstance(style, Style):
        return dict.fromkeys(groups, style)
    return {kind: replace(automatic_style(group), **(style or {})) for kind, group in groups.items()}


def slug(text: str, otherwise: str) -> str:
    """A short name for a file from any text, of a–z, 0–9 and "-" alone; nothing in it can be a path."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text)[:48].strip("-") or otherwise


def _names(attributions: Iterable[Attribution]) -> list[str]:
    """`<method>_<label>_s<slice>` for each, no two alike."""
    names: list[str] = []
    used: Counter[str] = Counter()
    for attribution in attributions:
        target = attribution.target
        label = "all"
        if target is not None:
            label = slug(target.words.replace("−", " minus "), f"label-{target.index}")
        where = "volume" if attribution.slice is None else f"s{attribution.slice}"
        name = f"{slug(attribution.explainer.name, 'method')}_{label}_{where}"
        used[name] += 1
        names.append(name if used[name] == 1 else f"{name}-{used[name]}")
    return names


def _slice(overlay: Overlay, attribution: Attribution, wished: int | None) -> int:
    """The slice in the picture: the explained one, else the wished one, else the strongest."""
    if attribution.slice is not None:
        return attribution.slice
    slices = attribution.series.shape[0]
    if wished is not None and not 0 <= wished < slices:
        raise ExportError(f"There is no slice {wished} to show; there are 0 to {slices - 1}.")
    return strongest_slice(overlay) if wished is None else wished


def strongest_slice(overlay: Overlay) -> int:
    """The source slice on which the shown value is largest, of cells that lie on the series."""
    values, matrix = overlay.map.values, overlay.map.matrix
    shown = values if overlay.style.sign == "positive" else np.abs(values)
    index = np.ogrid[tuple(slice(n) for n in values.shape)]
    within = np.isfinite(shown)
    for axis, length in enumerate(overlay.map.series.shape):
        place = sum((matrix[axis, k] * index[k] for k in range(3)), matrix[axis, 3])
        within = within & (place >= -0.5) & (place <= length - 0.5)
    cell = np.unravel_index(int(np.argmax(np.where(within, shown, -np.inf))), shown.shape)
    slices = overlay.map.series.shape[0]
    at = matrix[0, :3] @ np.asarray(cell) + matrix[0, 3]
    return int(np.clip(np.rint(at), 0, slices - 1))


def save_png(snapshot: Snapshot, path: Path) -> None:
    """The composed picture, with its provenance in text chunks that carry no patient identity."""
    shown = snapshot.overlay.map
    info = PngInfo()
    info.add_itxt("Software", f"Whyscope {versions()['whyscope'] or ''}".strip())
    info.add_itxt("Description", f"{shown.title}, slice {snapshot.slice + 1}. {RESEARCH_USE}")
    if isinstance(shown, Attribution):
        facts = {
            **provenance(shown),
            "style": style_facts(snapshot.overlay.style),
            "display": display_facts(snapshot),
            "shown_slice": snapshot.slice,
        }
        info.add_itxt("whyscope:provenance", as_json(facts))
    # Encoded in memory: Pillow turns a full disk into an error without its number.
    encoded = io.BytesIO()
    compose(snapshot).save(encoded, "PNG", pnginfo=info, optimize=False)
    with whole(path) as part:
        part.write_bytes(encoded.getbuffer())


def save_npz(attribution: Attribution, path: Path) -> None:
    """`map` (signed float32 on the source grid, NaN where the model did not look), `native`,
    `matrix` (native cell to source voxel) and `provenance` (JSON text); read without pickles."""
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            map=_source_map(attribution),
            native=np.asarray(attribution.values, dtype=np.float32),
            matrix=attribution.matrix,
            provenance=np.asarray(as_json(provenance(attribution))),
        )


def _source_map(attribution: Attribution) -> Array:
    """(rows, columns) of the explained slice, or (slices, rows, columns) of a volume."""
    if attribution.slice is not None:
        return on_source(attribution, attribution.slice)
    return np.stack([on_source(attribution, i) for i in range(attribution.series.shape[0])])
