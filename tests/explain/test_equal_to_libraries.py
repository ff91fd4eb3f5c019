# SPDX-License-Identifier: Apache-2.0
"""The methods of captum and grad-cam are those of the libraries, called directly on the same numbers."""

import warnings
from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam as peers
import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._core.lime import get_exp_kernel_similarity_function
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from explain_nets import inputs_of, make, model_of, near, one, per_label
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from plugins.deep_lift_shap import DeepLiftSHAP
from plugins.eigen_grad_cam import EigenGradCAM
from plugins.fem import FEM
from plugins.finer_cam import FinerCAM
from plugins.grad_cam import GradCAM
from plugins.input_x_gradient import InputXGradient
from plugins.internal_influence import InternalInfluence
from plugins.kpca_cam import KPCACAM
from plugins.layer_conductance import LayerConductance
from plugins.lime import LIME
from plugins.lrp import LRP
from plugins.shapley_cam import ShapleyCAM
from plugins.shapley_value_sampling import ShapleyValueSampling
from viewer.explain import baseline, features
from viewer.models import Model
from viewer.types import Target

TARGET = Target("mass", 1)


def patches(tensor: Tensor) -> Tensor:
    """timm's tokens as a map: what grad-cam calls a reshape transform."""
    return tensor[:, 1:].reshape(len(tensor), 4, 4, -1).movedim(-1, 1)


def raw(kind: type, model: Model, layer: str, **settings: Any) -> np.ndarray:
    """The package's own map of the target, up to its picture."""
    (source,) = inputs_of(model)
    kept: list[np.ndarray] = []

    class Keeps(peers.GradCAM if kind is peers.FinerCAM else kind):  # type: ignore[misc]
        def get_cam_image(self, *arguments: Any) -> np.ndarray:
            kept.append(np.array(super().get_cam_image(*arguments)))
            return kept[0]

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model._module

        def forward(self, x: Tensor) -> Tensor:
            return per_label(self.net)(x)

    layers = [model._module.get_submodule(layer)]
    transform = patches if layer.endswith("norm1") else None
    if kind is peers.FinerCAM:
        peers.FinerCAM(Module(), layers, transform, Keeps)(source.tensor, target_idx=1)
    else:
        Keeps(Module(), layers, transform, **settings)(source.tensor, [ClassifierOutputTarget(1)])
    model._module.zero_grad()
    return kept[0][0]


CASES = [
    ("plain CNN", "blocks.0"),
    ("residual", "layer1"),
    ("timm ViT", "blocks.1.norm1"),
    ("3D CNN", "blocks.0"),
]


@pytest.mark.parametrize(("kind", "layer"), CASES)
@pytest.mark.parametrize(
    ("method", "peer"),
    [(FinerCAM, peers.FinerCAM), (FEM, peers.FEM), (EigenGradCAM, peers.EigenGradCAM)],
)
def test_a_cam_is_grad_cams_before_its_scaling(kind: str, layer: str, method: Any, peer: type) -> None:
    model = make(kind)
    wanted = raw(peer, model, layer)
    found = one(model, method(layer), TARGET).values.reshape(wanted.shape)
    sides = (1, -1) if method is EigenGradCAM else (1,)  # a component has no sign of its own
    assert any(near(side * found, wanted) for side in sides)


@pytest.mark.parametrize(("kind", "layer"), CASES)
@pytest.mark.parametrize("kernel", ["sigmoid", "rbf"])
def test_kpca_cam_is_grad_cams_with_the_search_begun_at_the_same_place(
    kind: str, layer: str, kernel: Any
) -> None:
    model = make(kind)
    before = np.random.get_state()
    np.random.seed(0)
    wanted = raw(peers.KPCA_CAM, model, layer, kernel=kernel, gamma=0.3)
    np.random.set_state(before)
    assert near(one(model, KPCACAM(layer, kernel=kernel, gamma=0.3)).values.reshape(wanted.shape), wanted)


# Of tokens grad-cam weights them before it has made a map of them, and fails.
@pytest.mark.parametrize(("kind", "layer"), [c for c in CASES if c[0] != "timm ViT"])
def test_shapley_cam_is_grad_cams_before_its_scaling(kind: str, layer: str) -> None:
    model = make(kind)
    wanted = raw(peers.ShapleyCAM, model, layer)
    assert near(one(model, ShapleyCAM(layer), TARGET).values.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(("kind", "layer"), [("timm ViT", "blocks.0.norm1"), ("Swin", "layers.0")])
def test_shapley_cam_of_tokens_is_its_definition(kind: str, layer: str) -> None:
    """Weights: the mean over the patches of gradient − ½ ∂ (gradient · activation) ÷ ∂ activation."""
    model = make(kind)
    (source,) = inputs_of(model)
    net, taps = model._module, []

    def tap(_module: nn.Module, _arguments: Any, output: Tensor) -> Tensor:
        taps.append(output.detach().requires_grad_())
        return taps[0]

    for module in net.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", False)  # noqa: B010 - it has no second derivative
    handle = net.get_submodule(layer).register_forward_hook(tap)
    score = net(source.tensor)[0, 1]
    handle.remove()
    (gradient,) = torch.autograd.grad(score, taps[0], create_graph=True)
    # Only the patches are the map; the class token is held fast.
    cells = taps[0][:, 1:] if kind == "timm ViT" else taps[0]
    change = torch.zeros_like(taps[0])
    change[:, -cells.shape[1] :] = cells.detach()
    (curve,) = torch.autograd.grad((gradient * change).sum(), taps[0])
    weight = (gradient - curve / 2).detach()[0, -cells.shape[1] :]
    channels = cells.shape[-1]
    wanted = cells.detach()[0].reshape(-1, channels) @ weight.reshape(-1, channels).mean(0)
    assert near(one(make(kind), ShapleyCAM(layer), TARGET).values.ravel(), wanted.numpy())
    assert curve.abs().max() > 0


def test_shapley_cam_is_grad_cam_where_a_logit_has_no_curvature() -> None:
    model = make("plain CNN")
    found = one(model, ShapleyCAM("blocks.0"), TARGET).values
    assert near(found, one(model, GradCAM("blocks.0"), TARGET).values)


def test_shapley_cam_is_grad_cam_where_no_weight_follows_the_layer() -> None:
    """The end of a SqueezeNet: behind its last layer is a mean alone, whose derivative hangs on nothing."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.ReLU(inplace=True))
    model = model_of(nn.Sequential(*module, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    for layer in ("2", "3"):
        found, wanted = (one(model, method, TARGET).values for method in (ShapleyCAM(layer), GradCAM(layer)))
        assert near(found, wanted)
        assert bool(np.any(wanted))


# --- captum ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain CNN", "residual", "3D CNN", "U-Net"])
@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_trapezoid"])
@pytest.mark.parametrize(
    ("method", "peer"),
    [(LayerConductance, attr.LayerConductance), (InternalInfluence, attr.InternalInfluence)],
)
def test_a_path_at_a_layer_is_captums(kind: str, rule: Any, method: Any, peer: Any) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    layer = {"residual": "layer1", "U-Net": "down"}.get(kind, "blocks.0")
    net, start = model._module, baseline(source.tensor, "mean")
    theirs = peer(per_label(net), net.get_submodule(layer))
    values = theirs.attribute(source.tensor, start, 1, n_steps=7, method=rule).detach()
    for chunk in (3, 64):
        found = one(model, method(layer, 7, rule, "mean", chunk), TARGET)
        assert near(found.values, values[0].sum(0).numpy().reshape(found.values.shape))
        if method is LayerConductance:
            delta = theirs.compute_convergence_delta(values, start, source.tensor, target=1)
            with torch.no_grad():
                gap = (per_label(net)(source.tensor) - per_label(net)(start))[0, 1]
            wanted = 100 * abs(float(delta)) / abs(float(gap))
            assert found.completeness_error == pytest.approx(wanted, rel=0.02, abs=2e-3)


@pytest.mark.parametrize(
    ("method", "peer"),
    [(LayerConductance, attr.LayerConductance), (InternalInfluence, attr.InternalInfluence)],
)
def test_a_path_at_tokens_is_captums_without_the_class_token(method: Any, peer: Any) -> None:
    model = make("timm ViT")
    (source,) = inputs_of(model)
    net, start = model._module, baseline(source.tensor, "minimum")
    values = (
        peer(net, net.get_submodule("blocks.0.norm1")).attribute(source.tensor, start, 1, n_steps=6).detach()
    )
    found = one(model, method("blocks.0.norm1", 6), TARGET).values[0]
    assert near(found, patches(values)[0].sum(0).numpy())


def smooth() -> Model:
    """A CNN in which no module with a rule stands right behind another."""
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ELU(),
        nn.Flatten(), nn.Linear(8 * 36, 3),
    )  # fmt: skip
    return model_of(net)


def direct(model: Model, starts: Tensor) -> Tensor:
    """DeepLiftSHAP of the target by captum as people call it, (channels, …)."""
    (source,) = inputs_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attr.DeepLiftShap(model._module).attribute(source.tensor, starts, 1).detach()[0]


def draws(method: DeepLiftSHAP, x: Tensor) -> Tensor:
    """The baselines that the plugin says it takes: those named in turn, with noise."""
    starts = torch.cat([baseline(x, kind) for kind in ("minimum", "blur", "mean")])
    noise = torch.randn(method.samples, *x.shape[1:], generator=torch.Generator().manual_seed(method.seed))
    return starts[torch.arange(method.samples) % 3] + method.noise * (x.max() - x.min()) * noise


@pytest.mark.parametrize("chunk", [2, 3, 64])
def test_deep_lift_shap_is_captums(chunk: int) -> None:
    model = smooth()
    (source,) = inputs_of(model)
    method = DeepLiftSHAP(samples=7, seed=3, chunk=chunk)
    found = one(model, method, TARGET)
    assert near(found.values[0], direct(model, draws(method, source.tensor)).sum(0).numpy())
    assert found.completeness_error < 0.01
    assert found.baselines.shape[0] == 7


@pytest.mark.parametrize("kind", ["plain CNN", "3D CNN", "U-Net"])
def test_deep_lift_shap_keeps_the_rule_that_captum_loses_behind_a_relu(kind: str) -> None:
    """A pooling right behind a ReLU: captum's map misses the change of the score, the plugin's does not."""
    model = make(kind)
    (source,) = inputs_of(model)
    method = DeepLiftSHAP(samples=3)
    found = one(model, method, TARGET)
    assert found.completeness_error < 0.01
    if kind == "U-Net":
        return
    starts = draws(method, source.tensor)
    theirs = direct(model, starts)
    with torch.no_grad():
        gap = (model._module(source.tensor) - model._module(starts)).mean(0)[1]
    assert abs(theirs.sum() - gap) > 0.02 * abs(gap)
    assert not near(found.values, theirs.sum(0).numpy().reshape(found.values.shape), 0.02)


@pytest.mark.parametrize("rule", ["epsilon", "gamma"])
def test_lrp_is_captums(rule: Any) -> None:
    model = make("CNN without biases")
    (source,) = inputs_of(model)
    found = one(model, LRP(rule), TARGET)
    net = make("CNN without biases")._module
    for module in net.children():
        if isinstance(module, nn.Flatten):  # for which captum names no rule
            module.rule = EpsilonRule()
        elif rule == "gamma" and isinstance(module, (nn.Conv2d, nn.Linear)):
            module.rule = GammaRule(0.25)
    wanted = attr.LRP(net).attribute(source.tensor.requires_grad_(), target=1).detach()[0]
    assert near(found.values[0], wanted.sum(0).numpy())
    assert found.completeness_error < 0.01


def test_lrp_with_the_epsilon_rule_is_input_times_gradient_in_a_network_of_relu() -> None:
    model = make("CNN without biases")
    found = one(model, LRP(), TARGET).values
    assert near(found, one(model, InputXGradient(), TARGET).values, 1e-4)
    assert not near(one(model, LRP("gamma"), TARGET).values, found, 0.05)


def test_lrp_of_a_difference_is_the_difference() -> None:
    model = make("CNN without biases")
    a, b = (one(model, LRP(), Target(label, i)).values for i, label in enumerate(("effusion", "mass")))
    found = one(model, LRP(), Target("effusion", 0, "mass", 1))
    assert near(found.values, a - b)
    assert found.completeness_error < 0.01


@pytest.mark.parametrize("kind", ["plain CNN", "residual", "timm ViT", "3D CNN", "U-Net"])
def test_lime_is_captums(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    x = source.tensor
    method = LIME(features=10, over="grid", samples=60, width=0.5, seed=7, batch=8)
    mask = features(x[0], "grid", 10)
    found = one(model, method, TARGET).values
    scores: list[Tensor] = []

    def run(some: Tensor) -> Tensor:
        scores.append(per_label(model._module)(some).detach())
        return scores[-1]

    def captums(penalty: float) -> Tensor:
        torch.manual_seed(7)
        similar = get_exp_kernel_similarity_function("cosine", 0.5)
        lime = attr.Lime(run, SkLearnLasso(alpha=penalty), similar)
        facts = {"feature_mask": mask[None, None], "n_samples": 60, "perturbations_per_eval": 8}
        return lime.attribute(x, baseline(x, "minimum"), 1, **facts)

    captums(1.0)
    spread = float(torch.cat(scores)[:, 1].numpy().std())
    wanted = captums(0.01 * spread)
    assert near(found, wanted[0, 0].numpy().reshape(found.shape))


@pytest.mark.parametrize("kind", ["plain CNN", "residual", "timm ViT", "3D CNN", "U-Net"])
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_shapley_value_sampling_is_captums(kind: str, batch: int) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    x = source.tensor
    method = ShapleyValueSampling(features=10, over="grid", orders=3, seed=7, batch=batch)
    found = one(model, method, TARGET).values
    torch.manual_seed(7)
    wanted = attr.ShapleyValueSampling(per_label(model._module)).attribute(
        x, baseline(x, "minimum"), 1, feature_mask=features(x[0], "grid", 10)[None, None], n_samples=3
    )
    assert near(found, wanted[0, 0].numpy().reshape(found.shape))
    with torch.no_grad():
        gap = per_label(model._module)(x) - per_label(model._module)(baseline(x, "minimum"))
    each = torch.tensor(found).flatten()[_first(features(x[0], "grid", 10))]
    assert float(each.sum()) == pytest.approx(float(gap[0, 1]), rel=1e-3, abs=1e-5)


def _first(numbers: Tensor) -> Tensor:
    """One pixel of every feature."""
    flat = numbers.flatten()
    return torch.stack([(flat == i).nonzero()[0, 0] for i in range(int(flat.max()) + 1)])
