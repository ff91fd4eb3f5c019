# SPDX-License-Identifier: Apache-2.0
"""What timm writes for the Hugging Face hub."""

from pathlib import Path
from typing import Any

from viewer.errors import ModelError
from viewer.models.folders.weights import weights


def wrote(config: dict[str, Any]) -> bool:
    """Whether timm wrote it."""
    return isinstance(config.get("architecture"), str)


def fields(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A card's fields."""
    facts = config.get("pretrained_cfg", config)
    name = config["architecture"]
    if not isinstance(facts, dict):
        raise ModelError(f"{path.name}: pretrained_cfg wants names and values.")
    size = facts.get("input_size") or [3, 224, 224]
    count = config.get("num_classes") or facts.get("num_classes") or 1000
    arguments = config.get("model_args") or {}
    if not (isinstance(size, list) and len(size) == 3 and isinstance(count, int) and 0 < count <= 10**6):
        raise ModelError(f"{path.name}: input_size wants three numbers, and num_classes one.")
    if not isinstance(arguments, dict):
        raise ModelError(f"{path.name}: model_args wants names and values.")
    labels = config.get("label_names") or facts.get("label_names") or [f"class {i}" for i in range(count)]
    return {
        "name": path.parent.name or name,
        "architecture": f"timm:{name}",
        "arguments": {"num_classes": count, "in_chans": size[0], **arguments},
        "weights": weights(path.parent),
        "input": {
            "channels": size[0],
            "size": size[1:],
            "fit": "crop",
            "mean": facts.get("mean"),
            "std": facts.get("std"),
        },
        "output": {"labels": labels, "activation": "softmax" if count > 1 else "sigmoid"},
    }
