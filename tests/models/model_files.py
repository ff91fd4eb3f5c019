# SPDX-License-Identifier: Apache-2.0
"""Makers of small series, cards and model folders."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from viewer import affine
from viewer.affine import Matrix
from viewer.models.builtin import SmallCNN
from viewer.models.card import AttentionFacts, Card, Input
from viewer.models.dry_run import dry_run
from viewer.models.model import Model
from viewer.models.structure import Structure, attention_modules, structure
from viewer.types import Display, Geometry, ModelInput, Series, Window

SMALL = {"channels": 1, "num_classes": 2, "widths": [2, 3]}

CARD: dict[str, Any] = {
    "name": "Small",
    "architecture": "builtin:small-cnn",
    "arguments": SMALL,
    "weights": "model.safetensors",
    "input": {"size": [8, 8], "values": "hu"},
    "output": {"labels": ["no", "yes"], "activation": "softmax"},
}


def fields(**changes: Any) -> dict[str, Any]:
    """The small card with changes; a dotted path is written with two underscores: `input__size`."""
    card = copy.deepcopy(CARD)
    for path, value in changes.items():
        *parts, last = path.split("__")
        part = card
        for name in parts:
            part = part.setdefault(name, {})
        part[last] = value
    return card


def model_input(**changes: Any) -> Input:
    """The `input` of a card: 8 × 8, modality values, unless changed."""
    return Input.model_validate({"size": [8, 8], "values": "hu"} | changes)


def small(seed: int = 0, **arguments: Any) -> SmallCNN:
    torch.manual_seed(seed)
    return SmallCNN(**{**SMALL, **arguments})


def folder_of(folder: Path, state: dict[str, Tensor] | None = None, **changes: Any) -> Path:
    """A model folder with the small card (changed) and, as safetensors, a state dict."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(fields(**changes)), encoding="utf-8")
    save_file(small().state_dict() if state is None else state, folder / "model.safetensors")
    return folder


def model_of(module: nn.Module, **changes: Any) -> Model:
    """A model around any network, on the CPU."""
    return Model(Card.model_validate(fields(**changes)), module, "0" * 64, torch.device("cpu"))


def structure_of(module: nn.Module, shape: tuple[int, ...], facts: AttentionFacts | None = None) -> Structure:
    """The structure of any network with a single output, for images of `shape`, (channels, …)."""
    ran = dry_run(module.eval(), shape, lambda output: output, attention_modules(module))
    return structure(module, ran, shape, facts)


def series(
    voxels: NDArray[Any],
    matrix: Matrix | None = None,
    rescale: tuple[float, float] = (1.0, 0.0),
    spacing_kind: Any = "absent",
    modality: str = "CT",
    body_part: str = "",
    view: str = "",
    patient_orientation: tuple[str, str] | None = None,
    orientation_known: bool = False,
    **display: Any,
) -> Series:
    """A series of (slices, rows, columns[, 3])."""
    facts: dict[str, Any] = {"stored_range": (0.0, 255.0)} | display
    return Series(
        uid="1.2.3",
        modality=modality,
        voxels=voxels,
        geometry=Geometry(
            np.eye(4) if matrix is None else matrix,
            spacing_kind=spacing_kind,
            orientation_known=orientation_known,
            between=len(voxels) > 1,
            patient_orientation=patient_orientation,
        ),
        display=Display(rescale=(rescale,) * len(voxels), **facts),
        body_part=body_part,
        view=view,
    )


def spaced(
    spacing: Sequence[float], rotation: NDArray[np.float64] | None = None, origin: Any = (0, 0, 0)
) -> Matrix:
    """The matrix of a grid of this spacing (slices, rows, columns); `rotation` holds its unit steps."""
    matrix = affine.scale_offset((1, 1, 1), origin)
    matrix[:3, :3] = (np.eye(3) if rotation is None else rotation) @ np.diag(np.asarray(spacing, float))
    return matrix


def inputs(count: int, size: Sequence[int] = (8, 8), channels: int = 1) -> list[ModelInput]:
    """Inputs of noise that come from nowhere in particular."""
    generator = torch.Generator().manual_seed(7)
    source = series(np.zeros((count, 4, 4), np.uint8))
    return [
        ModelInput(source, i, torch.randn(1, channels, *size, generator=generator), np.eye(4))
        for i in range(count)
    ]


def picture(pixels: NDArray[np.uint8]) -> Series:
    """A grey picture (rows, columns) of bytes, as a PNG would be."""
    return series(pixels[None], modality="picture", windows=(Window(127.5, 255, "", "LINEAR_EXACT"),))
