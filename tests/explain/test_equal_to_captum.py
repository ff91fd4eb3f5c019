# SPDX-License-Identifier: Apache-2.0
"""The maps of captum, number by number, on real networks with random weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from captum import attr
from explain_nets import NETS, inputs_of, make, maps, model_of, near, one, per_label, restless
from torch import Tensor, nn

from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.layer_cam import LayerCAM
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from viewer.explain import Made, baseline, explain
from viewer.models import Model
from viewer.types import ModelInput, Target

TARGETS = [Target("effusion", 0), Target("mass", 1), Target("nodule", 2)]


def torchvision_model(name: str, size: int) -> Model:
    torch.manual_seed(11)
    net = torchvision.models.get_model(name, weights=None, num_classes=3)
    return model_of(restless(net), (size, size))


def gradient_and_activation(
    net: nn.Module, layer: nn.Module, x: Tensor, score: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """∂ score / ∂ layer and the layer's output, (n, channels, …grid), the plain way."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _arguments: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()

    handle = layer.register_forward_hook(keep)
    (gradient,) = torch.autograd.grad(score(net(x)).sum(), kept[0])
    handle.remove()
    return gradient.numpy(), kept[0].detach().numpy()


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer3"), ("densenet121", "features.denseblock3")])
def test_grad_cam_is_captums(name: str, layer: str) -> None:
    model = torchvision_model(name, 64)
    net = model._module
    (source,) = inputs_of(model)
    ours = maps(explain(model, [source], [GradCAM(layer)], TARGETS))
    peer = attr.LayerGradCam(net, net.get_submodule(layer))
    for target, found in zip(TARGETS, ours, strict=True):
        theirs = peer.attribute(
            source.tensor, target.index, attr_dim_summation=True, relu_attributions=False
        ).detach()
        assert near(found, theirs[0].numpy())


def test_grad_cam_sees_densenets_features_before_the_in_place_relu() -> None:
    model = torchvision_model("densenet121", 64)
    net = model._module
    (source,) = inputs_of(model)
    gradient, activation = gradient_and_activation(
        net, net.get_submodule("features"), source.tensor, lambda y: y[:, 1]
    )
    assert (activation < 0).any()  # what the ReLU behind would have set to zero
    found = one(model, GradCAM(), TARGETS[1])
    assert found.layer == "features"
    assert near(found.values, (gradient.mean((2, 3), keepdims=True) * activation).sum(1))
    cut = (gradient.mean((2, 3), keepdims=True) * activation.clip(0)).sum(1)
    assert not near(found.values, cut, 0.05)


@pytest.mark.parametrize("kind", ["residual", "3D CNN"])
@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam"])
def test_the_cams_are_their_formulas(kind: str, method: str) -> None:
    model = make(kind)
    layer = "layer1" if kind == "residual" else "blocks"
    (source,) = inputs_of(model)
    net = model._module
    gradient, activation = gradient_and_activation(
        net, net.get_submodule(layer), source.tensor, lambda y: y[:, 2]
    )
    axes = tuple(range(2, gradient.ndim))
    plugin, weights = {
        "grad-cam": (GradCAM, gradient.mean(axes, keepdims=True)),
        "hires-cam": (HiResCAM, gradient),
        "layer-cam": (LayerCAM, gradient.clip(0)),
    }[method]
    wanted = (weights * activation).sum(1)[0]
    found = one(model, plugin(layer), TARGETS[2]).values
    assert near(found, wanted.reshape(found.shape))
    assert method == "layer-cam" or (found < 0).any()  # no final ReLU


@pytest.mark.parametrize("kind", ["dense", "timm ViT", "3D CNN"])
@pytest.mark.parametrize("start", ["minimum", "zero", "mean", "blur"])
def test_integrated_gradients_are_captums(kind: str, start: Made) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    net = model._module
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    method = IntegratedGradients(steps=9, baseline=start, chunk=4)
    found = one(model, method, TARGETS[1])
    values, delta = attr.IntegratedGradients(net).attribute(
        source.tensor,
        baseline(source.tensor, start),
        1,
        n_steps=9,
        method="gausslegendre",
        return_convergence_delta=True,
    )
    assert near(found.values, values.detach().sum(1)[0].reshape(found.values.shape).numpy())
    with torch.no_grad():
        gap = (net(source.tensor) - net(baseline(source.tensor, start)))[0, 1]
    wanted = 100 * abs(float(delta)) / abs(float(gap))
    assert found.completeness_error == pytest.approx(wanted, rel=0.01, abs=2e-3)


def linear() -> Model:
    return model_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3)))


def test_integrated_gradients_of_a_linear_network_are_weight_times_difference() -> None:
    model = linear()
    (source,) = inputs_of(model)
    found = one(model, IntegratedGradients(steps=3, baseline="minimum"), TARGETS[2])
    weight = model._module.get_parameter("1.weight")[2].detach().reshape(3, 32, 32)
    lowest = source.tensor[0].amin((1, 2), keepdim=True)
    assert near(found.values[0], (weight * (source.tensor[0] - lowest)).sum(0).numpy())
    assert found.completeness_error == pytest.approx(0, abs=1e-3)


def test_completeness_error_is_large_where_the_path_was_walked_in_two_steps() -> None:
    class Step(nn.Module):
        """The score jumps on the way, where two steps do not look."""

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(200 * (x.mean((1, 2, 3)) - 0.3))[:, None].expand(-1, 3)

    model = model_of(Step())
    (source,) = inputs_of(model)
    bright = ModelInput(source.series, 0, torch.ones(1, 3, 32, 32), source.matrix)
    explained = explain(model, [bright], [IntegratedGradients(steps=2, baseline="zero")], TARGETS[:1])
    assert explained.attributions[0].completeness_error > 50


def test_completeness_error_is_undefined_where_the_score_does_not_change() -> None:
    model = linear()
    with torch.no_grad():
        model._module.get_parameter("1.weight").zero_()
    model = model_of(model._module)
    assert one(model, IntegratedGradients(steps=3), TARGETS[0]).completeness_error is None


@pytest.mark.parametrize("chunk", [1, 5])
def test_integrated_gradients_never_run_more_than_their_chunk_at_once(chunk: int) -> None:
    model = make("plain CNN")
    sizes: list[int] = []
    model._module.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    one(model, IntegratedGradients(steps=20, chunk=chunk), TARGETS[0])
    assert max(sizes) == chunk
    assert sum(sizes) >= 20


@pytest.mark.parametrize("kind", ["residual", "3D CNN"])
def test_occlusion_is_captums_one_by_one(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    sides = source.tensor.shape[2:]
    channels = source.tensor.shape[1]
    window, stride = (6, 4) if len(sides) == 2 else (5, 3)
    with torch.no_grad():
        theirs = attr.Occlusion(model._module).attribute(
            source.tensor,
            (channels, *[window] * len(sides)),
            (channels, *[stride] * len(sides)),
            baseline(source.tensor, "mean"),
            1,
            perturbations_per_eval=1,
        )
    found = one(model, Occlusion(window=window, stride=stride, baseline="mean", batch=7), TARGETS[1]).values
    assert near(found, theirs[0, 0].reshape(found.shape).numpy(), 1e-4)


def test_occlusions_own_window_is_an_eighth_of_each_side() -> None:
    seen: list[tuple[int, ...]] = []

    class Covered(nn.Module):
        """Notes how far the cover reaches along each side."""

        def forward(self, x: Tensor) -> Tensor:
            for cover in (x == -9).any(1):
                if cover.any():
                    seen.append(tuple(len(cover.nonzero()[:, i].unique()) for i in range(cover.ndim)))
            return x.flatten(1)[:, :3]

    for size, window in (((32, 32), (4, 4)), ((8, 16, 24), (1, 2, 3))):
        seen.clear()
        model = model_of(Covered(), size, 1)
        (source,) = inputs_of(model)
        bright = source.tensor.abs() + 1
        bright.flatten()[0] = -9  # the lowest value, which is the cover
        source = ModelInput(source.series, source.slice, bright, source.matrix)
        (found,) = explain(model, [source], [Occlusion()], TARGETS[:1]).attributions
        assert window in seen
        assert found.explainer.settings()["window"] == (4 if size == (32, 32) else 0)


@pytest.mark.parametrize("kind", NETS)
def test_saliency_is_captums(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    theirs = attr.Saliency(per_label(model._module)).attribute(source.tensor.clone().requires_grad_(), 1)
    found = one(model, Saliency(), TARGETS[1]).values
    assert near(found, theirs[0].amax(0).reshape(found.shape).numpy())


def test_hires_cam_adds_up_to_the_logit_where_only_pooling_and_a_linear_layer_follow() -> None:
    model = make("plain CNN")
    for target in TARGETS:
        found = one(model, HiResCAM(), target)
        logit = found.predictions[0].score(target.label).logit
        bias = float(model._module.get_parameter("head.bias").detach()[target.index])
        assert float(found.values.sum()) + bias == pytest.approx(logit, rel=1e-5)
