# SPDX-License-Identifier: Apache-2.0
"""Who races whom: explanations beside a bare forward, and beside captum and grad-cam, on one network object.

All have one memory format; only where a peer is raced as people call it, it has the same network as it was
built: contiguous, and with weights that ask for gradients. The networks have random weights: what they cost
does not depend on these.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer.explain import explain, explainer, read_targets
from viewer.models import Card, Model
from viewer.models.architectures import build
from viewer.types import Display, Geometry, ModelInput, Series

LABELS = 14
NETS: dict[str, dict[str, Any]] = {
    "DenseNet-121": {"architecture": "torchvision:densenet121", "size": [224, 224]},
    "ResNet-50": {"architecture": "torchvision:resnet50", "size": [224, 224]},
    "ViT-B/16": {"architecture": "timm:vit_base_patch16_224", "size": [224, 224]},
    "3D ResNet-18": {"architecture": "torchvision:r3d_18", "size": [16, 112, 112]},
    "ResNet-18": {"architecture": "torchvision:resnet18", "size": [224, 224]},
}
Contestants = dict[str, Callable[[], object]]
Pair = tuple[str, str, str, float | None]
"""What a ratio is called, its two contestants, and its aim."""


def network(name: str, device: torch.device) -> tuple[Model, nn.Module]:
    """A network with random weights for 14 labels, and the module for the peers."""
    facts = NETS[name]
    card = Card.model_validate(
        {
            "name": name,
            "architecture": facts["architecture"],
            "arguments": {"num_classes": LABELS},
            "weights": "random",
            "input": {"dimensions": len(facts["size"]), "channels": 3, "size": facts["size"]},
            "output": {"labels": [f"label {i}" for i in range(LABELS)]},
        }
    )
    module = built(card)
    return Model(card, module, "0" * 64, device), module


def built(card: Card) -> nn.Module:
    """The network of a card, always with the same random weights."""
    torch.manual_seed(0)
    module = build(card.architecture, card.arguments)
    for m in module.modules():  # heads that start as zeros have no gradient to compute
        if isinstance(m, nn.Linear) and m.out_features == LABELS:
            nn.init.normal_(m.weight, std=0.1)
    return module


def pictures(model: Model, count: int = 1) -> list[ModelInput]:
    """Random slices, or one random volume."""
    size = model.card.input.size
    generator = torch.Generator().manual_seed(1)
    shape = tuple(size) if len(size) == 3 else (count, *size)
    voxels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    series = Series("benchmark", "picture", voxels, Geometry(np.eye(4)), Display(((1.0, 0.0),) * shape[0]))
    numbers: list[int | None] = [None] if len(size) == 3 else list(range(count))
    return [
        ModelInput(series, n, torch.randn(1, *model.input_shape, generator=generator), np.eye(4))
        for n in numbers
    ]


class Race:
    """One network before whom contestants take turns."""

    def __init__(self, name: str, device: torch.device, count: int = 1) -> None:
        self.model, self.module = network(name, device)
        self.inputs = pictures(self.model, count)
        self.x = self.model.batch(self.inputs)
        self.one = read_targets("label 0", self.model, self.inputs[0].series)
        self.every = read_targets("all", self.model, self.inputs[0].series)

    def ours(self, name: str, wishes: Any = None, batch: int = 16, **settings: str) -> Callable[[], object]:
        """Our prediction and explanation by a method, as the program makes them."""
        method = explainer(name).configured(settings)

        def run() -> object:
            found = explain(self.model, self.inputs, [method], wishes or self.one, batch=batch)
            assert not found.refused, found.refused
            return found

        return run

    def bare(self) -> object:
        with torch.no_grad():
            return self.module(self.x)

    def as_called(self) -> tuple[nn.Module, torch.Tensor]:
        """The network and its input as those have them who just load one."""
        return built(self.model.card).eval().to(self.model.device), self.x.contiguous()


# --- races ---------------------------------------------------------------------------------------------


def race_cam(name: str, device: torch.device) -> tuple[Contestants, list[Pair]]:
    """Grad-CAM of one label and of all, beside a bare forward and, of DenseNet, the peers' loops."""
    race = Race(name, device)
    found: Contestants = {
        "bare forward": race.bare,
        "1 label": race.ours("grad-cam"),
        "14 labels": race.ours("grad-cam", race.every),
    }
    aims = (1.15, 1.35) if name.startswith("ViT") else (1.1, 1.15)
    pairs: list[Pair] = [
        (f"{name}: prediction + {labels} of Grad-CAM ÷ bare forward", labels, "bare forward", aim)
        for labels, aim in zip(("1 label", "14 labels"), aims, strict=True)
    ]
    if name != "DenseNet-121":
        return found, pairs
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer: Any = race.module.features
    captum = LayerGradCam(race.module, layer)

    def peer() -> object:
        # Its hooks live as long as it does, so it is made and ended for each round.
        with GradCAM(model=race.module, target_layers=[layer]) as other:
            return [other(input_tensor=race.x, targets=[ClassifierOutputTarget(i)]) for i in range(LABELS)]

    found["captum's loop"] = lambda: [captum.attribute(race.x, target=i) for i in range(LABELS)]
    found["grad-cam's loop"] = peer
    pairs += [
        ("14 Grad-CAMs ÷ captum's loop", "14 labels", "captum's loop", 0.1),
        ("14 Grad-CAMs ÷ grad-cam's loop", "14 labels", "grad-cam's loop", 0.04),
    ]
    return found, pairs


def race_gradients(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """Integrated gradients of 50 steps, and until the completeness error is under 1 %."""
    from captum.attr import IntegratedGradients

    race = Race("ResNet-50", device)
    chunk = 50 if device.type == "cuda" else 8

    def captum(module: nn.Module, x: torch.Tensor, size: int) -> Callable[[], object]:
        peer, zero = IntegratedGradients(module), torch.zeros_like(x)
        return lambda: peer.attribute(x, zero, target=0, n_steps=50, internal_batch_size=size)

    fixed: dict[str, Any] = {"steps": "50", "baseline": "zero"}
    found: Contestants = {
        "50 steps": race.ours("integrated-gradients", **fixed),
        "50 steps, captum, 10 at once": captum(*race.as_called(), 10),
        "50 steps, captum, tuned alike": captum(race.module, race.x, chunk),
        "until under 1 %": race.ours("integrated-gradients", baseline="zero"),
    }
    called, tuned = "50 steps, captum, 10 at once", "50 steps, captum, tuned alike"
    return found, [
        ("IG of 50 steps ÷ captum as called", "50 steps", called, 0.9),
        ("IG of 50 steps ÷ captum tuned alike", "50 steps", tuned, 1.05),
        ("IG until < 1 % ÷ captum of 50 steps, as called", "until under 1 %", called, 0.6),
        ("IG until < 1 % ÷ captum of 50 steps, tuned", "until under 1 %", tuned, None),
    ]


def race_occlusion(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """169 windows of 32² over 224²."""
    from captum.attr import Occlusion

    race = Race("ResNet-50", device)
    size = 64 if device.type == "cuda" else 8

    def captum(module: nn.Module, x: torch.Tensor, at_once: int) -> Callable[[], object]:
        peer, window = Occlusion(module), ((3, 32, 32), (3, 16, 16), 0.0)

        def run() -> object:
            with torch.no_grad():
                return peer.attribute(x, *window, target=0, perturbations_per_eval=at_once)

        return run

    def bare() -> object:
        """As many images, in the same batches, and nothing else: what no occlusion can fall below."""
        with torch.no_grad():
            counts = (min(size, 169 - done) for done in range(0, 169, size))
            return [race.module(race.x.expand(count, -1, -1, -1)) for count in counts]

    settings: dict[str, Any] = {"window": "32", "stride": "16", "baseline": "zero"}
    found: Contestants = {
        "ours": race.ours("occlusion", **settings),
        "captum": captum(*race.as_called(), 1),
        "captum, tuned alike": captum(race.module, race.x, size),
        "14 labels": race.ours("occlusion", race.every, **settings),
        "bare forwards, some at once": bare,
    }
    return found, [
        ("occlusion ÷ captum's default", "ours", "captum", 0.5),
        ("bare forwards, some at once ÷ captum's default", "bare forwards, some at once", "captum", None),
        ("occlusion ÷ captum tuned alike", "ours", "captum, tuned alike", 1.05),
        ("occlusion of 14 labels ÷ of one", "14 labels", "ours", None),
    ]


def race_score_cam(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """512 channels of the last stage of ResNet-18."""
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam import score_cam as package
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    package.tqdm = _Quiet
    race = Race("ResNet-18", device)

    def peer(module: Any, x: torch.Tensor) -> Callable[[], object]:
        def run() -> object:
            with ScoreCAM(model=module, target_layers=[module.layer4]) as other:
                return other(input_tensor=x, targets=[ClassifierOutputTarget(0)])

        return run

    found: Contestants = {
        "ours": race.ours("score-cam", layer="layer4"),
        "grad-cam": peer(*race.as_called()),
        "grad-cam, in our memory format": peer(race.module, race.x),
    }
    return found, [
        ("Score-CAM ÷ grad-cam", "ours", "grad-cam", 0.85),
        ("Score-CAM ÷ grad-cam in our memory format", "ours", "grad-cam, in our memory format", None),
    ]


class _Quiet:
    """In the place of tqdm: no progress bar among the figures."""

    @staticmethod
    def tqdm(steps: Any) -> Any:
        return steps


def race_slices(device: torch.device) -> tuple[Contestants, list[Pair]]:
    """100 slices with prediction and Grad-CAM, beside the forwards alone in the same batches."""
    race = Race("ResNet-18", device, 100)

    def batched() -> object:
        with torch.no_grad():
            return [race.module(some) for some in race.x.split(16)]

    found: Contestants = {"batched forwards": batched, "100 slices": race.ours("grad-cam")}
    return found, [("100 slices ÷ batched forwards", "100 slices", "batched forwards", 1.1)]


RACES: dict[str, Callable[[torch.device], tuple[Contestants, list[Pair]]]] = {
    **{f"cam {name}": partial(race_cam, name) for name in list(NETS)[:4]},
    "gradients": race_gradients,
    "occlusion": race_occlusion,
    "score-cam": race_score_cam,
    "slices": race_slices,
}
