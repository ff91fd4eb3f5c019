# SPDX-License-Identifier: Apache-2.0
"""A draft of a model card from a file of weights: what they tell is filled in, and what not is marked."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from viewer.errors import ModelError
from viewer.models.card import CARD, WEIGHTS, read_fields
from viewer.models.card_values import TO_FILL
from viewer.models.folders import CONFIG
from viewer.models.program import PROGRAM, check_program
from viewer.models.recognise import Guess, Shapes, recognise, shapes_of
from viewer.models.shards import is_index
from viewer.models.weights import FoundWeights, find_weights, first_bytes, is_program, left_out, sha256

_IMAGENET = "torchvision's own weights: [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]"
_NOTES = {
    "architecture": "timm:NAME, torchvision:NAME, builtin:NAME, or network.py:Net beside the weights",
    "size": "rows, columns",
    "values": "voi, hu, {window: [40, 400]}, {range: [0, 1]} or {percentiles: [2, 98]}, as in training",
    "mean": "of each channel, or null if nothing was subtracted",
    "std": "of each channel, or null if nothing was divided by",
    "spacing": "millimetres between slices, rows and columns, or null",
    "orientation": "towards what columns, rows and slices increase, e.g. LPS, or null",
    "activation": "softmax (one label is right), sigmoid (each for itself) or none",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A card's fields, some of them `TO FILL`, and what a reader should know of them."""

    file: Path
    card: dict[str, Any]
    remarks: tuple[str, ...]
    notes: dict[str, str]
    """What to write, by the name of the field."""

    @property
    def to_fill(self) -> tuple[str, ...]:
        """The fields that are left, e.g. "input.size"."""
        parts = [(k, v) for k, v in self.card.items() if not isinstance(v, dict)]
        parts += [(f"{p}.{k}", v) for p in ("input", "output") for k, v in self.card[p].items()]
        return tuple(name for name, value in parts if value == TO_FILL)

    def document(self) -> dict[str, Any]:
        """The draft as values."""
        return {
            "file": self.file.name,
            "card": self.card,
            "to_fill": list(self.to_fill),
            "remarks": list(self.remarks),
        }

    def text(self) -> str:
        """The draft as a `model.yaml` with remarks."""
        head = f"Drafted by `whyscope card` from {_line(self.file.name)}; complete what is marked {TO_FILL}."
        lines = [f"# {_line(remark)}" for remark in (head, *self.remarks)]
        for key, value in self.card.items():
            if key in ("input", "output"):
                lines += [f"{key}:", *(f"  {self._field(k, v)}" for k, v in value.items())]
            else:
                lines.append(self._field(key, value))
        lines.append("# Worth adding: accepts, trained_on, measured, intended_use (docs/model-card.md).")
        return "\n".join(lines) + "\n"

    def _field(self, name: str, value: Any) -> str:
        written = (
            yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n...\n").strip()
        )
        if "\n" in written:  # a file's name may have lines; JSON is YAML too, and has one
            written = json.dumps(value)
        note = self.notes.get(name) if value == TO_FILL else None
        return f"{name}: {written}" + (f"  # {_line(note)}" if note else "")


def _line(text: str) -> str:
    """Text from a file as one line of a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)


def draft(path: Path, beside: Path | None = None) -> Draft:
    """Draft the card of a weights file, or of the one in a folder; raises `ModelError`.

    `beside` is the folder that the card will lie in, if not that of the weights. Nothing in the file is run.
    """
    if (path / CONFIG).is_file():
        return _of_folder(path, beside)
    file = _only(path)
    size = 0 if is_index(file) else first_bytes(file)[1]
    place = {"weights": _relative(file, beside), "sha256": sha256(file)}
    if size and is_program(file):
        check_program(file, size)
        remark = (
            "A program: it runs only where it is trusted, and does not tell before what it reads and gives."
        )
        card = {"name": file.stem, "architecture": PROGRAM, **place, **_input({}), **_output({}, {})}
        return Draft(file, card, (remark,), _NOTES)
    found = find_weights(file)
    guess = recognise(found.state)
    known = guess.known if guess is not None and guess.fits else _read_off(shapes_of(found.state))
    if found.path:
        place["weights_key"] = found.path[0]
    thresholds, more = _operating_points(found)
    notes = _NOTES | {"labels": f"{known.get('count') or 'the'} names in the order of the outputs"}
    if known.get("dimensions") == 3:
        notes["size"] = "slices, rows, columns"
    if known.get("channels") == 3:
        notes["mean"] += f"; of {_IMAGENET}"
    card = {"name": file.stem, **_architecture(guess), **place, **_input(known), **_output(known, thresholds)}
    return Draft(file, card, (*_remarks(found, guess), *more), notes)


def _of_folder(folder: Path, beside: Path | None) -> Draft:
    """The card that a folder of timm or transformers stands for, which opens without one if all is said."""
    card = read_fields(folder / CONFIG)
    file = folder / str(card["weights"])
    card |= {"weights": _relative(file, beside), "sha256": sha256(file)}
    opens = Draft(file, card, (), _NOTES).to_fill == ()
    how = f"the folder opens without a {CARD} too" if opens else "no file says how pixels are prepared"
    return Draft(file, card, (f"From {CONFIG}; {how}.",), _NOTES)


def _architecture(guess: Guess | None) -> dict[str, Any]:
    if guess is None or not guess.fits:
        return {"architecture": TO_FILL}
    return {"architecture": guess.architecture, "arguments": guess.arguments}


def _only(path: Path) -> Path:
    """The weights file that a path means."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelError(f"There is no file {path.name} to draft a card from.")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in WEIGHTS and p.is_file())
    if len(found) != 1:
        named = ", ".join(p.name for p in found[:8]) or "none"
        raise ModelError(
            f"The folder {path.name} must hold one weights file to draft from; there is: {named}."
        )
    return found[0]


def _relative(file: Path, beside: Path | None) -> str:
    if beside is None or beside.resolve() == file.parent.resolve():
        return file.name
    return Path(os.path.relpath(file.resolve(), beside.resolve())).as_posix()


def _input(known: dict[str, Any]) -> dict[str, Any]:
    volume = known.get("dimensions") == 3
    fields = {
        "dimensions": known.get("dimensions") or 2,
        "channels": known.get("channels") or TO_FILL,
        "size": known.get("size") or TO_FILL,
        "fit": "pad" if volume else "squash",
        "values": TO_FILL,
        "mean": TO_FILL,
        "std": TO_FILL,
    }
    return {"input": fields | ({"spacing": TO_FILL, "orientation": TO_FILL} if volume else {})}


def _output(known: dict[str, Any], thresholds: dict[str, float]) -> dict[str, Any]:
    select = known.get("select")
    fields: dict[str, Any] = {"labels": TO_FILL, "activation": "sigmoid" if thresholds else TO_FILL}
    return {"output": fields | ({} if select is None else {"select": select})}


def _operating_points(found: FoundWeights) -> tuple[dict[str, float], tuple[str, ...]]:
    """torchxrayvision's thresholds, which become those of the card once its labels have names."""
    for name, tensor in found.beside.items():
        if name.rpartition(".")[2] == "op_threshs" and tensor.ndim == 1:
            points = {str(i): float(v) for i, v in enumerate(tensor) if bool(v == v)}
            told = ", ".join(f"{i}: {v:.4g}" for i, v in points.items())
            return points, (
                "A net of torchxrayvision: its operating points are output.thresholds, label by label: "
                f"{{{told}}}. It reads [-1024, 1024], so input.values is {{range: [-1024, 1024]}}.",
            )
    return {}, ()


def _remarks(found: FoundWeights, guess: Guess | None) -> tuple[str, ...]:
    remarks = []
    if guess is None:
        remarks.append("No architecture that is known here has tensors of these names.")
    elif guess.fits:
        count = len(found.state) - len(guess.aside)
        remarks.append(f"All {count} tensors fit {guess.architecture}, names and shapes.")
        if guess.aside:
            remarks.append(left_out(guess.aside))
        remarks += guess.remarks
    else:
        remarks.append(
            f"The nearest known architecture is {guess.architecture}, with {guess.share:.0%} of the names; "
            "it does not fit."
        )
    if found.others:
        remarks.append(f"The file holds other weights too ({', '.join(found.others)}); see weights_key.")
    return tuple(remarks)


def _read_off(shapes: Shapes) -> dict[str, Any]:
    """What the shapes alone say of a network that is not known."""
    kernels = [s for s in shapes.values() if len(s) in (4, 5)]
    rows = [s for k, s in shapes.items() if len(s) in (2, *map(len, kernels[-1:])) and k.endswith("weight")]
    first = next((s for s in kernels if max(s[2:]) > 1), None)
    known: dict[str, Any] = {"count": rows[-1][0] if rows else None}
    if first is not None:
        return known | {"dimensions": len(first) - 2, "channels": first[1]}
    return known | _from_patches(shapes)


def _from_patches(shapes: Shapes) -> dict[str, Any]:
    """The size of a transformer's square input, where patches are read by one linear layer."""
    tokens = next((s[1] for k, s in shapes.items() if "pos_embed" in k and len(s) == 3), 0)
    numbers = next((s[1] for k, s in shapes.items() if "patch" in k and len(s) == 2), 0)
    for channels in (1, 3):
        patch = math.isqrt(numbers // channels)
        grid = math.isqrt(tokens)
        if patch and grid and patch**2 * channels == numbers and grid in (tokens**0.5, (tokens - 1) ** 0.5):
            return {"channels": channels, "size": [grid * patch] * 2}
    return {}
