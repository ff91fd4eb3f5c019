# SPDX-License-Identifier: Apache-2.0
"""What Hugging Face's `transformers` saves: `config.json`, `preprocessor_config.json` and the weights."""

import json
import math
from pathlib import Path
from typing import Any

from viewer.errors import ModelError
from viewer.models.card_values import TO_FILL
from viewer.models.folders.weights import weights
from viewer.models.transformers import FAMILIES

_MAX_BYTES = 2**22
_PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
_MOST_LABELS = 10**5


def wrote(config: dict[str, Any]) -> bool:
    """Whether transformers wrote it."""
    return isinstance(config.get("model_type"), str)


def fields(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A card's fields: network and labels by `config.json`, pixels by the preprocessor's file."""
    kind = config["model_type"]
    if kind not in FAMILIES:
        raise ModelError(
            f"{path.name} is of a transformers network of the type {kind[:40]!r}; those read here are "
            f"{', '.join(FAMILIES)}. Save it as a program (torch.export) or write a network.py for it."
        )
    family = FAMILIES[kind]
    head = next(iter(config.get("architectures") or [None]), None)
    if head not in family.heads:
        raise ModelError(
            f"{path.name} is of {str(head)[:60]}, which gives no scores for labels; it wants a classifier, "
            f"{' or '.join(family.heads)}."
        )
    facts = config.get("vision_config") if kind == "siglip" else config
    facts = facts if isinstance(facts, dict) else {}
    labels = _labels(config, path)
    seen = _preprocessor(path.parent)
    prepared = _input(seen, facts.get("num_channels", 3))
    arguments = {name: facts[name] for name in family.settings if name in facts}
    if head.endswith("WithTeacher"):
        arguments["head"] = head
    size = prepared["size"]
    own = facts.get("image_size")
    if size == TO_FILL and own is not None:
        prepared["size"] = size = [own, own] if isinstance(own, int) else own
    if family.any_size and size != TO_FILL:
        arguments["input_size"] = size
    elif "image_size" in family.settings and own is not None and size not in ([own, own], own):
        raise ModelError(
            f"The folder {path.parent.name} prepares images of {size[0]} × {size[1]} pixels, and its network "
            f"reads {own}; save network and preprocessor as they were trained."
        )
    return {
        "name": path.parent.name or kind,
        "architecture": f"transformers:{kind}",
        "arguments": arguments | {"num_labels": len(labels)},
        "weights": weights(path.parent),
        "input": prepared,
        "output": {"labels": labels, "activation": _activation(config.get("problem_type"), len(labels))},
    }


def _labels(config: dict[str, Any], path: Path) -> list[str]:
    """The labels in the order of the outputs; two without a name where none are told, as transformers has."""
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", 2)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= _MOST_LABELS:
            raise ModelError(f"{path.name}: num_labels wants a whole number.")
        return [f"LABEL_{i}" for i in range(count)]
    if not isinstance(names, dict) or not 0 < len(names) <= _MOST_LABELS:
        raise ModelError(f"{path.name}: id2label wants numbers and names.")
    found = [names.get(str(i)) for i in range(len(names))]
    if not all(isinstance(name, str) for name in found):
        raise ModelError(f"{path.name}: id2label wants a name for every number from 0 to {len(names) - 1}.")
    return [str(name) for name in found]


def _activation(problem: object, count: int) -> str:
    """As the pipeline of transformers has it."""
    if problem == "regression":
        return "none"
    return "sigmoid" if problem == "multi_label_classification" or count == 1 else "softmax"


def _preprocessor(folder: Path) -> dict[str, Any] | None:
    """What is said of how pixels are prepared; None where nothing is."""
    for name in _PREPROCESSORS:
        path = folder / name
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ModelError(f"{name} is too large for settings.")
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{name} cannot be read as JSON; copy the file again.") from error
        content = content.get("image_processor", content) if isinstance(content, dict) else None
        if not isinstance(content, dict):
            raise ModelError(f"{name} holds no settings.")
        return content
    return None


def _input(seen: dict[str, Any] | None, channels: int) -> dict[str, Any]:
    """A card's `input`; unknown without a preprocessor."""
    if seen is None:
        unknown = dict.fromkeys(("size", "fit", "mean", "std"), TO_FILL)
        return {"channels": channels, "values": TO_FILL, **unknown}
    size, crop = _size(seen.get("size")), _size(seen.get("crop_size"))
    crops = bool(seen.get("do_center_crop")) and crop is not None
    shortest = isinstance(seen.get("size"), dict) and "shortest_edge" in seen["size"]
    mean, std = _normal(seen)
    return {
        "channels": channels,
        "size": (crop if crops else size) or TO_FILL,
        "fit": "crop" if crops or shortest else "squash",
        "values": "voi",
        "mean": mean,
        "std": std,
    }


def _normal(seen: dict[str, Any]) -> tuple[Any, Any]:
    """Mean and deviation of pixels from 0 to 1, of an image of 0 to 255 that is first brought to a factor."""
    factor = seen.get("rescale_factor", 1 / 255) if seen.get("do_rescale", True) else 1.0
    usable = isinstance(factor, int | float) and math.isfinite(factor) and factor > 0
    if not usable:
        return TO_FILL, TO_FILL
    top = 1.0 if math.isclose(255 * factor, 1, rel_tol=1e-6) else 255 * factor
    if not seen.get("do_normalize", True):
        return (None, None) if top == 1 else (None, [1 / top])
    return _over(seen.get("image_mean"), top), _over(seen.get("image_std"), top)


def _over(numbers: object, top: float) -> Any:
    if isinstance(numbers, int | float):
        numbers = [numbers]
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        return TO_FILL
    return [n / top for n in numbers]


def _size(told: object) -> list[int] | None:
    """Rows and columns."""
    if isinstance(told, int):
        return [told, told]
    if isinstance(told, dict):
        edge = told.get("shortest_edge")
        both = [n for n in (told.get("height", edge), told.get("width", edge)) if isinstance(n, int)]
        return both if len(both) == 2 else None
    return None
