# SPDX-License-Identifier: Apache-2.0
"""Networks whose cause is known: phantoms with a lesion and a marker, and what learns from one of them.

An image is smooth structure and noise. A lesion is a soft blob somewhere in the middle part, a marker a small
bright letter burned into a corner. "lesion": the label is whether there is a lesion, markers come by chance.
"shortcut": every positive has a marker and no negative has one, lesions come by chance: the planted shortcut.
Each learns in seconds, the same from the same seed on one machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from viewer import affine
from viewer.models import Card, Model
from viewer.models.builtin import SmallCNN, small_vit
from viewer.types import Display, Geometry, ModelInput, Series

Cause = Literal["lesion", "shortcut"]
Kind = Literal["cnn", "vit", "cnn3d"]
LABEL = "positive"
SIZES: dict[Kind, tuple[int, ...]] = {"cnn": (48, 48), "vit": (48, 48), "cnn3d": (10, 24, 24)}
LETTER = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], bool)
"""An L, as radiographers burn it in; in a volume it stands in the slices of the first third or the last."""
_STEPS: dict[Kind, int] = {"cnn": 160, "vit": 200, "cnn3d": 260}
_BATCH = 32


@dataclass(frozen=True)
class Phantom:
    """An image, and where the lesion and the marker are (empty masks for what is not there)."""

    image: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    marker: NDArray[np.bool_]


def phantom(size: tuple[int, ...], lesion: bool, marker: bool, random: np.random.Generator) -> Phantom:
    """One image in about 0 … 1."""
    coarse = torch.from_numpy(random.normal(size=(1, 1, *(max(2, n // 8) for n in size))).astype(np.float32))
    smooth = F.interpolate(coarse, size, mode="bilinear" if len(size) == 2 else "trilinear")[0, 0].numpy()
    image = 0.35 + 0.06 * smooth + 0.03 * random.normal(size=size)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1)
    centre = np.array([random.uniform(0.3 * n, 0.7 * n) for n in size])
    radius = np.array([max(2.2, n * random.uniform(0.07, 0.1)) for n in size])
    away = (((grid - centre) / radius) ** 2).sum(-1)
    corner, thick = random.integers(2, size=3), max(1, size[0] // 3)
    nothing = np.zeros(size, bool)
    there, burned = away < 1, nothing.copy()
    rows, columns = LETTER.shape
    top, left = (2 if c else n - 2 - m for c, n, m in zip(corner[1:], size[-2:], LETTER.shape, strict=True))
    spot = (slice(0, thick) if corner[0] else slice(size[0] - thick, None),) if len(size) == 3 else ()
    burned[(*spot, slice(top, top + rows), slice(left, left + columns))] = LETTER
    if lesion:
        image += 0.3 * np.exp(-away)
    if marker:
        image[burned] = 0.95
    return Phantom(image.astype(np.float32), there if lesion else nothing, burned if marker else nothing)


def cases(
    size: tuple[int, ...], cause: Cause, count: int, seed: int
) -> tuple[list[Phantom], NDArray[np.bool_]]:
    """Phantoms and their labels, half of them positive; what is not the cause is there by chance."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2 == 1
    chance = random.random(count) < 0.5
    made = [
        phantom(size, *((label, other) if cause == "lesion" else (other, label)), random)
        for label, other in zip(labels.tolist(), chance.tolist(), strict=True)
    ]
    return made, labels


def _network(kind: Kind) -> nn.Module:
    if kind == "vit":
        return small_vit(1, 1, SIZES[kind][0], widths=(8, 16, 24), dim=32, depth=2, heads=2)
    return SmallCNN(1, 1, (12, 24) if kind == "cnn" else (6, 12), len(SIZES[kind]))


def train(kind: Kind, cause: Cause, seed: int = 0, say: Callable[[str], None] = lambda _: None) -> Model:
    """A network that learned from phantoms of a cause; its numbers follow from the seed."""
    size = SIZES[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(kind)
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, 4e-3 if kind == "vit" else 1e-2, total_steps=_STEPS[kind]
        )
        net.train()
        for step in range(_STEPS[kind]):
            made, labels = cases(size, cause, _BATCH, seed * 100_003 + step)
            x = torch.from_numpy(np.stack([p.image for p in made]))[:, None]
            loss = F.binary_cross_entropy_with_logits(net(x)[:, 0], torch.from_numpy(labels).float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 40 == 39:
                say(f"{kind} {cause}: step {step + 1}, loss {float(loss.detach()):.3f}")
    return _model(net, kind, cause)


def _model(net: nn.Module, kind: Kind, cause: Cause) -> Model:
    card = Card.model_validate(
        {
            "name": f"{cause} {kind}",
            "architecture": "script:planted",
            "weights": "none",
            "input": {"dimensions": len(SIZES[kind]), "size": SIZES[kind]},
            "output": {"labels": [LABEL]},
        }
    )
    return Model(card, net.requires_grad_(False), "0" * 64, torch.device("cpu"))


def as_input(image: NDArray[np.float32]) -> ModelInput:
    """A phantom as a series of its own, and the input that is its pixels."""
    voxels = image if image.ndim == 3 else image[None]
    geometry = Geometry(np.eye(4), "patient", orientation_known=True, between=len(voxels) > 1)
    series = Series("1.2.826.1", "OT", voxels, geometry, Display(((1.0, 0.0),) * len(voxels)))
    tensor = torch.from_numpy(image.copy())[None, None]
    return ModelInput(
        series, None if image.ndim == 3 else 0, tensor, affine.scale_offset((1, 1, 1), (0, 0, 0))
    )
