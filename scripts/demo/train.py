# SPDX-License-Identifier: Apache-2.0
"""The three networks of the demo: what they see, how they learn, and how well they do.

Each learns from pairs of one anatomy without and with a nodule, so that nothing else tells the two
apart. The convolutional ones learn from where the nodule lies as well: what a cell adds to the logit is
to be as much as there is nodule in it (the aid needs a mask, which a phantom has). The transformer begins
with the blocks of one of them, and learns the label alone. Squares are covered at random, and a covered
nodule counts as none, so that what occlusion does to an image is nothing new.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from bank import Bank, shrunk
from numpy.typing import NDArray
from radiograph import radiograph
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from viewer.models.architectures import build


@dataclass(frozen=True)
class Course:
    """How many steps, on how many pairs at a time, and the highest rate."""

    steps: int
    pairs: int
    rate: float


@dataclass(frozen=True)
class Recipe:
    """One network: what it is, what it reads, and for how long it learns."""

    title: str
    architecture: str
    arguments: dict[str, Any]
    size: tuple[int, ...]
    """(rows, columns) or (slices, rows, columns) of the input."""
    grid: tuple[int, ...]
    """Cells of the last layer, or tokens."""
    values: Any
    accepts: dict[str, list[str]]
    images: Course
    cuttings: Course | None = None
    stem: str | None = None
    """The network with whose blocks it begins instead of learning from cuttings."""
    seed: int = 0

    @property
    def volume(self) -> bool:
        return len(self.size) == 3


_STRENGTH = 8.0
"""What a nodule's cells together add to the logit."""
_AIM = 0.95
_CUTTING = {2: (4, 4), 3: (4, 3, 4)}
"""Cells along each side of a cutting."""

LABEL = "nodule"
CHEST_2D = {"modality": ["CR", "DX"], "body_part": ["CHEST"]}
CHEST_3D = {"modality": ["CT"], "body_part": ["CHEST"]}
RECIPES = {
    "cnn": Recipe(
        "Phantom nodule CNN", "builtin:small-cnn",
        {"channels": 1, "num_classes": 1, "widths": [16, 32, 48, 64]},
        (128, 128), (16, 16), "voi", CHEST_2D, Course(500, 12, 4e-4), Course(900, 48, 3e-3),
    ),
    "vit": Recipe(
        "Phantom nodule ViT", "builtin:small-vit",
        {"channels": 1, "num_classes": 1, "size": 128, "widths": [16, 32, 48, 64], "dim": 96, "depth": 2,
         "heads": 4},
        (128, 128), (16, 16), "voi", CHEST_2D, Course(400, 12, 1e-3), stem="cnn",
    ),
    "cnn3d": Recipe(
        "Phantom nodule 3D CNN", "builtin:small-cnn",
        {"channels": 1, "num_classes": 1, "widths": [8, 16, 32], "dimensions": 3},
        (60, 48, 60), (15, 12, 15), {"window": [-300, 1400]}, CHEST_3D, Course(200, 6, 4e-4),
        Course(500, 48, 3e-3),
    ),
}  # fmt: skip


# --- images ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures:
    """What a network reads of every patient, and where the nodules lie."""

    without: Tensor
    """(patients, …size)"""
    nodules: Tensor
    """(patients, nodules, …size): the picture with the nodule less that without."""
    mass: Tensor
    """(patients, nodules, …size): how much nodule there is."""


def pictures(bank: Bank, recipe: Recipe) -> Pictures:
    """The network's inputs from a bank of anatomies."""
    made = [
        _volumes(bank, i, recipe) if recipe.volume else _radiographs(bank, i, recipe)
        for i in range(len(bank))
    ]
    return Pictures(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))


def _radiographs(bank: Bank, i: int, recipe: Recipe) -> tuple[NDArray[np.float16], ...]:
    lines, nodules = bank.lines[i], bank.line_nodules[i].astype(np.float32)
    shots = [
        shrunk(radiograph(lines + extra, bank.spacing, np.random.default_rng([i, n])), recipe.size)
        for n, extra in enumerate([np.zeros_like(lines), *nodules])
    ]
    mass = shrunk(nodules, recipe.size)
    return tuple(a.astype(np.float16) for a in (shots[0], np.stack(shots[1:]) - shots[0], mass))


def _volumes(bank: Bank, i: int, recipe: Recipe) -> tuple[NDArray[np.float16], ...]:
    center, width = recipe.values["window"]
    without, nodules = bank.volumes[i].astype(np.float32), bank.volume_nodules[i].astype(np.float32)

    def seen(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return shrunk(np.clip((values - center) / width + 0.5, 0, 1), recipe.size)

    plain = seen(without)
    difference = np.stack([seen(without + one) - plain for one in nodules])
    return tuple(
        a.astype(np.float16) for a in (plain, difference, shrunk(np.abs(nodules) / 1000, recipe.size))
    )


# --- learning -------------------------------------------------------------------------------------


def parts(net: nn.Module, x: Tensor) -> Tensor:
    """What every cell adds to the logit of a `SmallCNN`, (n, cells); with the bias they add up to it."""
    cells: Tensor = net.get_submodule("blocks")(x).flatten(2).movedim(1, 2)
    return (cells @ net.get_parameter("head.weight")[0]) / cells.shape[1]


class Drawing:
    """Seeded batches: pairs of an anatomy without and with a nodule, never twice the same."""

    def __init__(self, recipe: Recipe, data: Pictures) -> None:
        self.recipe, self.data = recipe, data
        self.random = torch.Generator().manual_seed(recipe.seed)
        where = data.mass.flatten(2).float().argmax(-1).numpy()
        self.middles = np.stack(np.unravel_index(where, recipe.size), -1)

    def number(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(shape).uniform_(low, high, generator=self.random)

    def pairs(self, count: int) -> tuple[Tensor, Tensor]:
        """(count, 2, …size): without, with; and the nodule's mass, (count, …size)."""
        data = self.data
        who = torch.randint(len(data.without), (count,), generator=self.random)
        which = torch.randint(data.nodules.shape[1], (count,), generator=self.random)
        without, mass = data.without[who].float(), data.mass[who, which].float()
        return torch.stack([without, without + data.nodules[who, which].float()], 1), mass

    def toned(self, x: Tensor) -> Tensor:
        """Brighter or darker, and noisier."""
        one = (len(x),) + (1,) * (x.ndim - 1)
        x = x * self.number(0.93, 1.07, *one) + self.number(-0.03, 0.03, *one)
        return x + torch.randn(x.shape, generator=self.random) * self.number(0, 0.01)

    def cuttings(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """A third around a nodule, a third there without it, a third anywhere: x, mass, label."""
        data, size, cells = self.data, self.recipe.size, self.recipe.grid
        small = _CUTTING[len(size)]
        wide = [n * s // c for n, s, c in zip(small, size, cells, strict=True)]
        plains, ills, elsewhere, weights = [], [], [], []
        for _ in range(count):
            who, which = (int(self.number(0, n).item()) for n in self.middles.shape[:2])
            jitter = [int(self.number(0.2 * w, 0.8 * w).item()) for w in wide]
            middle = self.middles[who, which]
            first = [min(max(t - j, 0), n - w) for t, j, n, w in zip(middle, jitter, size, wide, strict=True)]
            box = tuple(slice(f, f + w) for f, w in zip(first, wide, strict=True))
            plains.append(data.without[who][box])
            ills.append(data.without[who][box] + data.nodules[who, which][box])
            weights.append(data.mass[who, which][box])
            anywhere = [int(self.number(0, n - w + 1).item()) for n, w in zip(size, wide, strict=True)]
            elsewhere.append(
                data.without[who][tuple(slice(f, f + w) for f, w in zip(anywhere, wide, strict=True))]
            )
        x = torch.stack(plains + elsewhere + ills).float()[:, None]
        mass = torch.stack(weights).float()
        mass = torch.cat([torch.zeros_like(mass), torch.zeros_like(mass), mass])[:, None]
        label = (torch.arange(len(x)) >= 2 * count).float()
        return self.toned(x), mass, label

    def images(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Whole images, mirrored, moved, toned, partly covered: x, mass, and the label that is left."""
        x, mass = self.pairs(count)
        x, mass = torch.cat([x[:, 0], x[:, 1]])[:, None], torch.cat([torch.zeros_like(mass), mass])[:, None]
        if self.number(0, 1).item() < 0.5:
            x, mass = x.flip(-1), mass.flip(-1)
        far = max(2, x.shape[-1] // 16)
        moves = torch.randint(-far, far + 1, (x.ndim - 2,), generator=self.random).tolist()
        axes = tuple(range(2, x.ndim))
        x, mass = self.toned(torch.roll(x, moves, axes)), torch.roll(mass, moves, axes).clone()
        before = mass.flatten(1).sum(1)
        for picture, weight in zip(x, mass, strict=True):
            self._cover(picture, weight)
        left = mass.flatten(1).sum(1) / before.clamp(min=1e-9)
        return x, mass, (left > 0.4).float()

    def _cover(self, picture: Tensor, weight: Tensor) -> None:
        """Blank up to two boxes, as occlusion does; what is covered is no longer there."""
        for _ in range(2):
            if self.number(0, 1).item() < 0.7:
                continue
            sides = [int(self.number(n / 14, n / 5).item()) for n in picture.shape[1:]]
            starts = [
                int(self.number(0, n - s).item()) for s, n in zip(sides, picture.shape[1:], strict=True)
            ]
            box = (slice(None), *(slice(a, a + s) for a, s in zip(starts, sides, strict=True)))
            picture[box] = 0 if self.number(0, 1).item() < 0.7 else picture.mean()
            weight[box] = 0


def _misplaced(added: Tensor, mass: Tensor, grid: tuple[int, ...], ill: Tensor) -> Tensor:
    """How far what the cells add to the logit is from lying where the nodule does, and nowhere else."""
    pool: Callable[..., Tensor] = F.adaptive_avg_pool3d if len(grid) == 3 else F.adaptive_avg_pool2d
    places = pool(mass, grid).flatten(1)
    places = places / places.sum(1, keepdim=True).clamp(min=1e-9)
    return ((added - _STRENGTH * places * ill[:, None]) ** 2).sum(1).mean()


def learn(recipe: Recipe, data: Pictures, models: Path, say: Callable[[str], None] = print) -> nn.Module:
    """A trained network; the recipe's seed gives the same one again. `models` has the one of its stem.

    Without a stem first on small cuttings, of which many are as cheap as one image (Shen et al.,
    Scientific Reports 2019, do so for mammograms); then on whole images.
    """
    torch.manual_seed(recipe.seed)
    net = build(recipe.architecture, recipe.arguments)
    draw = Drawing(recipe, data)
    if recipe.stem is not None:
        learned = load_file(models / recipe.stem / "model.safetensors")
        stem = net.get_submodule("patch_embed.blocks")
        stem.load_state_dict({name: learned[f"blocks.{name}"] for name in stem.state_dict()})
    elif recipe.cuttings is not None:
        _learn_cuttings(net, recipe, recipe.cuttings, draw, say)
    # Whole images hold more air and belly than cuttings: their own statistics would be another network's.
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            part.eval()

    def loss() -> tuple[Tensor, Tensor]:
        x, mass, label = draw.images(recipe.images.pairs)
        if recipe.stem is not None:
            return F.binary_cross_entropy_with_logits(net(x)[:, 0], label), torch.zeros(())
        added = parts(net, x)
        right = F.binary_cross_entropy_with_logits(added.sum(1) + net.get_parameter("head.bias")[0], label)
        return right, 0.05 * _misplaced(added, mass, recipe.grid, label > 0)

    _descend(net, loss, recipe.images, say)
    return centred(net.eval(), data)


def _learn_cuttings(
    net: nn.Module, recipe: Recipe, course: Course, draw: Drawing, say: Callable[[str], None]
) -> None:
    small = _CUTTING[len(recipe.size)]

    def loss() -> tuple[Tensor, Tensor]:
        x, mass, label = draw.cuttings(course.pairs)
        added = parts(net, x)
        right = F.binary_cross_entropy_with_logits(added.sum(1) + net.get_parameter("head.bias")[0], label)
        return right, 0.3 * _misplaced(added, mass, small, label > 0)

    _descend(net, loss, course, say)
    with torch.no_grad():  # a cell's part in the mean shrinks with the number of cells
        net.get_parameter("head.weight").mul_(math.prod(recipe.grid) / math.prod(small))


def centred(net: nn.Module, data: Pictures) -> nn.Module:
    """The network with a bias for which a logit of 0 divides best what it learned from."""
    without, ill = scores(net, data)
    cuts = np.linspace(without.min(), ill.max(), 400)
    right = (without[:, None] < cuts).mean(0) + (ill[:, None] >= cuts).mean(0)
    best = cuts[right >= right.max() - 0.002]  # where several do, the middle
    with torch.no_grad():
        net.get_parameter("head.bias").sub_(float(best.mean()))
    return net


def _descend(
    net: nn.Module,
    loss: Callable[[], tuple[Tensor, Tensor]],
    course: Course,
    say: Callable[[str], None],
) -> None:
    # Where a nodule fills few cells of many, the last layer's weights are large, and so are their steps.
    scale = max(1.0, float(net.get_parameter("head.weight").detach().abs().mean()) / 0.1)
    body = [weight for name, weight in net.named_parameters() if not name.startswith("head.")]
    groups = [
        {"params": body, "weight_decay": 1e-2},
        {"params": list(net.get_submodule("head").parameters()), "weight_decay": 0},
    ]
    rate, steps = course.rate, course.steps
    optimiser = torch.optim.AdamW(groups, lr=rate)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, [rate, rate * scale], steps, pct_start=0.15)
    for step in range(steps):
        right, misplaced = loss()
        optimiser.zero_grad()
        (right + misplaced).backward()
        torch.nn.utils.clip_grad_norm_(body, 2.0)
        optimiser.step()
        plan.step()
        if step % 50 == 0 or step == steps - 1:
            say(f"{step}/{steps}: label {right.item():.3f}, place {misplaced.item():.3f}")


def scores(net: nn.Module, data: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits of the pictures without a nodule, (patients,), and with one, (patients × nodules,)."""
    without, ill = [], []
    with torch.no_grad():
        for plain, nodules in zip(data.without.float(), data.nodules.float(), strict=True):
            said = net(torch.cat([plain[None], plain + nodules])[:, None])[:, 0].double()
            without.append(said[0].item())
            ill += said[1:].tolist()
    return np.array(without), np.array(ill)


def auc(without: NDArray[np.float64], ill: NDArray[np.float64]) -> float:
    """The chance that an image with a nodule scores above one without."""
    above = ill[:, None] - without[None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


# --- the model's folder ---------------------------------------------------------------------------


def write(recipe: Recipe, net: nn.Module, learned: int, unseen: Pictures, folder: Path) -> dict[str, Any]:
    """Weights and card; gives the card."""
    without, ill = scores(net, unseen)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in net.state_dict().items()}, folder / "model.safetensors"
    )
    images = "CTs" if recipe.volume else "radiographs"
    card: dict[str, Any] = {
        "name": recipe.title,
        "architecture": recipe.architecture,
        "arguments": recipe.arguments,
        "weights": "model.safetensors",
        "input": {
            "dimensions": len(recipe.size),
            "channels": 1,
            "size": list(recipe.size),
            "fit": "squash",
            "values": recipe.values,
            **({"orientation": "LPH"} if recipe.volume else {}),
        },
        "output": {"labels": [LABEL], "activation": "sigmoid", "thresholds": {LABEL: 0.5}},
        "accepts": recipe.accepts,
        "trained_on": f"Made-up {images} of {learned} phantom patients, each without a nodule and with one "
        "in four places; " + _taught(recipe),
        "measured": {
            "auc": round(auc(without, ill), 3),
            "sensitivity": round(float((ill >= 0).mean()), 3),
            "specificity": round(float((without < 0).mean()), 3),
            "on": f"{images} of {len(without)} phantom patients that it never saw, each without a nodule and "
            "with one in four places",
        },
        "intended_use": "To show the program at work. It has never seen a patient.",
    }
    if card["measured"]["auc"] < _AIM:
        card["measured"]["short"] = f"The demo aims at an AUC of {_AIM}; this network falls short of it."
    (folder / "model.safetensors").chmod(0o644)
    text = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100)
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    return card


def _taught(recipe: Recipe) -> str:
    if recipe.stem is None:
        return "it was taught the label and where the nodule lies."
    return f"it began with the blocks of the network {recipe.stem!r}, and was taught the label alone."
