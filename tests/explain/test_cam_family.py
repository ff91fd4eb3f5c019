# SPDX-License-Identifier: Apache-2.0
"""CAM methods against the grad-cam package on every kind of network, before it cuts off and scales."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import MORE, inputs_of, make, maps, model_of, near
from fingerprint import changed, fingerprint
from pytorch_grad_cam import GradCAM as PeerGradCAM
from pytorch_grad_cam import GradCAMPlusPlus as PeerGradCAMPlusPlus
from pytorch_grad_cam import HiResCAM as PeerHiResCAM
from pytorch_grad_cam import LayerCAM as PeerLayerCAM
from pytorch_grad_cam import XGradCAM as PeerXGradCAM
from torch import Tensor, nn

from plugins.cam import ClassActivationMap
from plugins.grad_cam import GradCAM
from plugins.grad_cam_plus_plus import GradCAMPlusPlus
from plugins.hires_cam import HiResCAM
from plugins.layer_cam import LayerCAM
from plugins.xgrad_cam import XGradCAM
from viewer.explain import discover, explain
from viewer.models import Model
from viewer.types import Target

LAYERS = {
    "plain CNN": "blocks",
    "residual": "layer1",
    "dense": "features",
    "DenseNet": "features",
    "timm ViT": "blocks.1.norm1",
    "ViT with registers": "blocks.1.norm1",
    "Swin": "layers.0",
    "3D CNN": "blocks",
    "U-Net": "bottom",
}
PEERS = [
    (GradCAM, PeerGradCAM),
    (HiResCAM, PeerHiResCAM),
    (LayerCAM, PeerLayerCAM),
    (XGradCAM, PeerXGradCAM),
    (GradCAMPlusPlus, PeerGradCAMPlusPlus),
]


class WithoutPoles(PeerGradCAMPlusPlus):
    """The package's equation where a channel's sum is negative: with zero for the sum."""

    def get_cam_weights(self, *arguments: Any) -> np.ndarray:
        activations, gradients = (a.astype(np.float64) for a in arguments[-2:])
        axes = tuple(range(2, activations.ndim))
        summed = np.maximum(activations.sum(axes, keepdims=True), 0)
        raising = np.maximum(gradients, 0)
        return (raising**3 / np.where(raising > 0, 2 * raising**2 + summed * raising**3, 1)).sum(axes)


LABELS = [Target(label, i) for i, label in enumerate(("effusion", "mass", "nodule"))]


def as_map(kind: str, tensor: Tensor) -> Tensor:
    """(n, channels, …grid), written down here kind by kind."""
    if kind == "Swin":
        return tensor.permute(0, 3, 1, 2)
    if "ViT" in kind:
        prefix = 5 if "registers" in kind else 1
        return tensor[:, prefix:].reshape(len(tensor), 4, 4, -1).permute(0, 3, 1, 2)
    return tensor


def felt(model: Model, kind: str, layer: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Activations (n, channels, …grid) and each label's gradients there, by one plain backward a label."""
    (source,) = inputs_of(model)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()

    handle = model._module.get_submodule(layer).register_forward_hook(keep)
    output = model._module(source.tensor)
    handle.remove()
    scores = output[0] if output.ndim == 2 else output[0].flatten(1).mean(1)
    gradients = [torch.autograd.grad(score, kept[0], retain_graph=True)[0] for score in scores]
    return as_map(kind, kept[0].detach()).numpy(), [as_map(kind, g).numpy() for g in gradients]


def package(kind: Any, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """What the package makes of these, (…grid), before its ReLU and its scaling."""
    peer: Any = kind.__new__(kind)
    peer.activations_and_grads = None  # what its end would let go of

    class Quiet:
        def release(self) -> None: ...

    peer.activations_and_grads = Quiet()
    return np.asarray(peer.get_cam_image(None, None, None, activations, gradients, False))[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("ours", "theirs"), PEERS)
def test_all_labels_at_once_are_the_packages_maps(kind: str, ours: Any, theirs: type) -> None:
    model = make(kind)
    activations, gradients = felt(model, kind, LAYERS[kind])
    if ours is GradCAMPlusPlus:
        # So large that the package's small number in the denominator is small.
        activations, gradients = activations / 1e4, [g * 1e4 for g in gradients]
        theirs = PeerGradCAMPlusPlus if activations.min() >= 0 else WithoutPoles
    found = maps(explain(model, inputs_of(model), [ours(layer=LAYERS[kind])], LABELS))
    assert len(found) == 3
    for one, gradient in zip(found, gradients, strict=True):
        wanted = package(theirs, activations, gradient)
        assert near(one.reshape(wanted.shape), wanted, 2e-4 if ours is GradCAMPlusPlus else 3e-5)


def test_the_small_number_of_the_package_outweighs_weak_gradients_and_ours_has_none() -> None:
    """Grad-CAM++ of a score of a millionth: the package gives a map smaller by another million millions."""
    strong, weak = make("residual"), make("residual")
    with torch.no_grad():
        weak._module.get_parameter("fc.weight").mul_(1e-6)
    weak = model_of(weak._module)
    activations, (gradient, *_) = felt(weak, "residual", "layer2")
    ours = maps(explain(weak, inputs_of(weak), [GradCAMPlusPlus("layer2")], LABELS[:1]))[0]
    exact = np.maximum(gradient[0].astype(float), 0)
    exact = exact / (2 + activations[0].sum((1, 2), keepdims=True) * exact)
    exact = np.tensordot(exact.sum((1, 2)), activations[0], 1)
    assert near(ours[0], exact)
    assert np.abs(package(PeerGradCAMPlusPlus, activations, gradient)).max() < 1e-5 * ours.max()
    assert maps(explain(strong, inputs_of(strong), [GradCAMPlusPlus("layer2")], LABELS[:1]))[0].max() > 0


def test_a_pole_of_the_equation_turns_the_packages_weight_and_not_ours() -> None:
    """A raising gradient at a channel whose sum is negative: the package takes it for a lowering one."""
    activations = np.full((1, 1, 2, 2), -1.0, np.float32)
    gradients = np.full((1, 1, 2, 2), 1.0, np.float32)
    assert package(PeerGradCAMPlusPlus, activations, gradients).min() > 0
    ours = GradCAMPlusPlus().combine(torch.tensor(activations), torch.tensor(gradients)[None])
    assert torch.allclose(ours, torch.full((1, 1, 2, 2), -2.0))


HEADS = {"plain CNN": ("blocks", "head"), "residual": ("layer2", "fc"), "3D CNN": ("blocks", "head")}


@pytest.mark.parametrize("kind", HEADS)
def test_cam_is_the_linear_layers_weights_times_the_activations(kind: str) -> None:
    model = make(kind)
    layer, head = HEADS[kind]
    activations, _ = felt(model, kind, layer)
    linear = model._module.get_submodule(head)
    explained = explain(model, inputs_of(model), [ClassActivationMap()], LABELS)
    for i, found in enumerate(maps(explained)):
        wanted = np.tensordot(linear.get_parameter("weight").detach().numpy()[i], activations[0], 1)
        assert near(found.reshape(wanted.shape), wanted)
        score = explained.predictions[0].scores[i].logit
        assert float(found.mean()) + float(linear.get_parameter("bias").detach()[i]) == pytest.approx(
            score, rel=1e-4, abs=1e-5
        )


def test_cam_goes_by_the_numbers_and_not_by_the_modules_names() -> None:
    """Swin's last norm, a mean over its cells and a linear layer: channels last, and exact all the same."""
    model = make("Swin")
    assert ClassActivationMap("norm").unsuitable(model) is None
    activations, _ = felt(model, "Swin", "norm")
    wanted = np.tensordot(
        model._module.get_parameter("head.fc.weight").detach().numpy()[1], activations[0], 1
    )
    assert near(maps(explain(model, inputs_of(model), [ClassActivationMap("norm")], LABELS))[1][0], wanted)


class Tail(nn.Module):
    """A layer, and something behind it."""

    def __init__(self, tail: str) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.between = nn.Linear(4, 4)
        self.flat = nn.Linear(4 * 32 * 32, 3)
        self.head = nn.Linear(4, 3)
        self.tail = tail

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        match self.tail:
            case "flatten":
                return self.flat(x.flatten(1))
            case "maximum":
                return self.head(x.amax((2, 3)))
            case "hidden layer":
                return self.head(self.between(x.mean((2, 3))).relu())
            case "probability":
                return self.head(x.mean((2, 3))).sigmoid()
            case "sum":
                return self.head(x.sum((2, 3)))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("tail", ["mean", "sum"])
def test_cam_suits_a_mean_or_a_sum_and_one_linear_layer(tail: str) -> None:
    assert ClassActivationMap("body").unsuitable(model_of(Tail(tail))) is None


@pytest.mark.parametrize("tail", ["flatten", "maximum", "hidden layer", "probability"])
def test_cam_refuses_any_other_tail_with_a_sentence(tail: str) -> None:
    model = model_of(Tail(tail))
    ((_, told),) = explain(model, inputs_of(model), [ClassActivationMap("body")]).refused
    assert told.startswith("Behind the layer 'body' there is more than a mean over the cells")


@pytest.mark.parametrize(("kind", "layer"), [("residual", "layer1"), ("U-Net", "bottom"), ("timm ViT", None)])
def test_cam_refuses_layers_that_other_layers_follow(kind: str, layer: str | None) -> None:
    assert "more than a mean" in str(ClassActivationMap(layer).unsuitable(make(kind)))


def test_a_network_that_does_not_take_noise_is_told_and_stops_nothing() -> None:
    class Fussy(Tail):
        def forward(self, x: Tensor) -> Tensor:
            if x.device.type != "meta" and float(x.max()) > 6:
                raise RuntimeError("too bright")
            return super().forward(x)

    model = model_of(Fussy("mean"))
    told = ClassActivationMap("body").unsuitable(model)
    assert told is not None
    assert told.startswith("What follows the layer 'body' could not be tried:")
    assert "too bright" in told
    assert maps(explain(model, inputs_of(model), [GradCAM("body")], LABELS))


def test_cam_of_an_unknown_layer_says_which_there_are() -> None:
    told = ClassActivationMap("layer22").unsuitable(make("residual"))
    assert told == "The layer 'layer22' is not in this network. Did you mean 'layer2'?"


def test_a_weight_behind_a_sum_is_not_divided() -> None:
    """Behind a sum over the cells the gradient is the weight itself; the map's scale follows the tail's."""
    torch.manual_seed(0)
    net = Tail("sum")
    model = model_of(net)
    activations, _ = felt(model, "tail", "body")
    found = maps(explain(model, inputs_of(model), [ClassActivationMap("body")], LABELS))[0]
    wanted = np.tensordot(net.head.weight.detach().numpy()[0], activations[0], 1) * 32 * 32
    assert near(found[0], wanted)


FAMILY = [found.name for found in discover() if found.load().family == "CAM"]


@pytest.mark.parametrize("kind", MORE)
def test_every_method_of_the_family_explains_every_kind_or_says_why_not(kind: str) -> None:
    """What the contract's tests ask, on the kinds that they leave out for their time."""
    model = make(kind)
    inputs = inputs_of(model, 2)
    methods = [next(f for f in discover() if f.name == name).load()() for name in FAMILY]
    together = explain(model, inputs, methods, LABELS)
    assert {name for name, _ in together.refused} <= {"cam"}  # which wants a linear tail
    net_is_fine = fingerprint(model._module)
    for method in methods:
        own = [a for a in together.attributions if a.explainer == method]
        if not own:
            continue
        rows = LABELS if method.target_dependent else LABELS[:1]
        assert len(own) == 2 * len(rows)
        alone = explain(model, inputs[1:], [method], LABELS[1:2]).attributions[0]
        twin = own[3 if method.target_dependent else 1]
        assert near(alone.values, twin.values, 1e-3)
        assert all(np.isfinite(a.values).all() and a.values.any() for a in own)
    assert changed(net_is_fine, fingerprint(model._module)) == []


def test_cam_is_refused_on_an_image_whose_activations_are_clipped() -> None:
    """No trial on noise reaches the clip; on such an image a map would not add up to the score."""

    class Clipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
            self.head = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x).clamp(max=50).mean((2, 3)))

    torch.manual_seed(0)
    model = model_of(Clipped())
    (dim,) = inputs_of(model)
    bright = replace(dim, tensor=dim.tensor * 100)
    method = ClassActivationMap(layer="body")
    assert method.unsuitable(model) is None
    assert len(explain(model, [dim], [method]).attributions) == 1
    ((_, reason),) = explain(model, [bright], [method]).refused
    assert reason.startswith("On this image")
