# SPDX-License-Identifier: Apache-2.0
"""The gradient family against captum and closed forms, and the silent errors of others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from captum import attr
from explain_nets import (
    NETS,
    inputs_of,
    make,
    maps,
    model_of,
    near,
    one,
    per_label,
    restless,
    torchvision_vit,
    vit,
)
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from plugins.deep_lift import DeepLift
from plugins.expected_gradients import ExpectedGradients
from plugins.guided_grad_cam import GuidedGradCAM
from plugins.input_x_gradient import InputXGradient
from plugins.integrated_gradients import LEVELS, IntegratedGradients
from plugins.saliency import Saliency
from plugins.smooth_grad import SmoothGrad
from plugins.var_grad import VarGrad
from viewer import dicom
from viewer.errors import ExplainerError
from viewer.explain import Explainer, baseline, explain, explainer
from viewer.export import export
from viewer.models import Model
from viewer.models.builtin import SmallCNN
from viewer.types import Attribution, ModelInput, Region, Target

MASS = Target("mass", 1)
EVERY = [Target("effusion", 0), MASS, Target("nodule", 2)]


def frozen(model: Model) -> nn.Module:
    return model._module.requires_grad_(False)


def linear() -> Model:
    torch.manual_seed(3)
    return model_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3)))


# --- input × gradient, noise ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETS)
def test_input_x_gradient_is_captums(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    theirs = attr.InputXGradient(per_label(frozen(model))).attribute(
        source.tensor.clone().requires_grad_(), 1
    )
    found = one(model, InputXGradient(), MASS).values
    assert near(found, theirs.detach()[0].sum(0).reshape(found.shape).numpy())


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have captum draw the noise that ours draws, sample by sample."""

    def normal(mean: Any, deviation: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.stack([torch.randn(d.shape, generator=generator) * d for d in deviation])

    monkeypatch.setattr(torch, "normal", normal)


@pytest.mark.usefixtures("same_noise")
@pytest.mark.parametrize("kind", ["residual", "timm ViT", "3D CNN"])
@pytest.mark.parametrize(("plugin", "type_"), [(SmoothGrad, "smoothgrad"), (VarGrad, "vargrad")])
@pytest.mark.parametrize("of", ["saliency", "input-x-gradient"])
def test_noise_is_captums_noise_tunnel(kind: str, plugin: Any, type_: str, of: Any) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    x = source.tensor
    net = frozen(model)
    peer = attr.Saliency(net) if of == "saliency" else attr.InputXGradient(net)
    more = {"abs": False} if of == "saliency" else {}
    theirs = attr.NoiseTunnel(peer).attribute(
        x, nt_type=type_, nt_samples=6, stdevs=0.1 * float(x.max() - x.min()), target=1, **more
    )[0].detach()  # fmt: skip
    wanted = theirs.abs().amax(0) if of == "saliency" else theirs.sum(0)
    method = plugin(of=of, samples=6, noise=0.1)
    found = one(model, method, MASS)
    assert near(found.values, wanted.reshape(found.values.shape).numpy(), 1e-4)
    assert found.unit == (method._method.unit if plugin is SmoothGrad else f"({method._method.unit})²")


def test_noise_is_a_share_of_the_range_whatever_the_units() -> None:
    """NoiseTunnel's default of 1.0 drowns an image of 0 … 1 and does nothing to one in HU."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 1024, 3))
    torch.manual_seed(0)
    restless(net)
    scaled = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *net[1:])
    scaled[0].load_state_dict(
        {"weight": net.get_parameter("0.weight") / 1000, "bias": net.get_parameter("0.bias")}
    )
    (source,) = inputs_of(model_of(net))
    large = ModelInput(source.series, 0, source.tensor * 1000, source.matrix)
    (small,) = explain(model_of(net), [source], [SmoothGrad(of="input-x-gradient")], [MASS]).attributions
    (great,) = explain(model_of(scaled), [large], [SmoothGrad(of="input-x-gradient")], [MASS]).attributions
    assert near(small.values, great.values, 1e-4)


def test_of_a_linear_network_noise_changes_no_gradient() -> None:
    model = linear()
    assert near(one(model, SmoothGrad(), MASS).values, one(model, Saliency(), MASS).values)
    assert np.abs(one(model, VarGrad(), MASS).values).max() < 1e-12


def test_noise_over_integrated_gradients_keeps_the_baseline_of_the_image() -> None:
    """Of a linear network: w × (x + mean noise − lowest value of the image without noise)."""
    model = linear()
    (source,) = inputs_of(model)
    found = one(model, SmoothGrad(of="integrated-gradients", samples=4, noise=0.2), MASS).values
    generator = torch.Generator().manual_seed(0)
    x = source.tensor[0]
    noise = torch.stack([torch.randn(x.shape, generator=generator) for _ in range(4)]).mean(0)
    weight = model._module.get_parameter("1.weight")[1].detach().reshape(3, 32, 32)
    start = x.amin((1, 2), keepdim=True)
    assert near(found[0], (weight * (x + 0.2 * (x.max() - x.min()) * noise - start)).sum(0).numpy())


# --- integrated gradients -------------------------------------------------------------------------


def test_steps_are_taken_until_the_map_is_complete_enough() -> None:
    model = make("residual")
    seen: list[int] = []
    for bound in (20.0, 1.0, 0.05):
        method = IntegratedGradients(error=bound)
        for found in explain(model, inputs_of(model, 2), [method], EVERY).attributions:
            assert found.completeness_error is not None
            assert found.completeness_error <= bound or found.found["steps"] == LEVELS[-1]
            assert near(found.values, by_midpoints(model, found, found.found["steps"]))
            seen.append(found.found["steps"])
            # The rule before was not good enough.
            number = LEVELS.index(found.found["steps"])
            if number:
                before = by_midpoints(model, found, LEVELS[number - 1])
                x, target = found.predictions[0].input.tensor, found.target
                assert target is not None
                with torch.no_grad():
                    scores = model._module(torch.cat([x, baseline(x, "minimum")]))[:, target.index]
                gap = float(scores[0] - scores[1])
                assert abs(before.sum() - gap) > 0.99 * bound / 100 * abs(gap)
    assert len(set(seen)) > 1


def by_midpoints(model: Model, found: Attribution, steps: int) -> np.ndarray:
    """The same map by captum's midpoint rule."""
    source, target = found.predictions[0].input, found.target
    assert target is not None
    values = attr.IntegratedGradients(frozen(model)).attribute(
        source.tensor,
        baseline(source.tensor, "minimum"),
        target.index,
        n_steps=steps,
        method="riemann_middle",
    )
    return values.detach()[0].sum(0)[None].numpy()


def one_of(model: Model, found: Attribution, method: IntegratedGradients) -> Attribution:
    """The map of the same target and input by another method."""
    return explain(model, [found.predictions[0].input], [method], [found.target]).attributions[0]


def test_a_label_stops_on_its_own_so_that_its_map_is_the_same_with_others() -> None:
    model = make("dense")
    method = IntegratedGradients(error=0.3)
    together = explain(model, inputs_of(model, 3), [method], EVERY).attributions
    assert len({a.found["steps"] for a in together}) > 1
    for found in together:
        alone = one_of(model, found, method)
        assert alone.found == found.found
        assert near(found.values, alone.values)


def test_all_labels_share_each_forward() -> None:
    model = make("residual")
    calls: list[int] = []
    model._module.register_forward_pre_hook(lambda _m, args: calls.append(len(args[0])))
    explain(model, inputs_of(model), [IntegratedGradients(steps=16, chunk=8)], EVERY)
    assert calls == [1, 1, 8, 8]  # the prediction, the baseline, the steps


def test_a_preview_comes_after_the_first_rule() -> None:
    model = make("residual")
    seen: list[Attribution] = []
    method = IntegratedGradients(error=1e-3)
    explain(model, inputs_of(model), [method], [MASS], preview=seen.append)
    assert [a.found["steps"] for a in seen][:2] == [*LEVELS[:2]]
    assert near(seen[0].values, by_midpoints(model, seen[0], LEVELS[0]))


def test_several_baselines_are_averaged_and_kept() -> None:
    model = make("residual")
    each = [one(model, IntegratedGradients(steps=8, baseline=b), MASS) for b in ("minimum", "blur", "mean")]
    found = one(model, IntegratedGradients(steps=8, baseline="several"), MASS)
    assert near(found.values, np.mean([a.values for a in each], 0))
    assert found.found == {"steps": 24}
    assert found.baselines is not None
    assert found.baselines.shape == (3, 3, 32, 32)
    (source,) = inputs_of(model)
    assert np.allclose(found.baselines[1], baseline(source.tensor, "blur")[0].numpy())


# --- expected gradients ---------------------------------------------------------------------------


def test_expected_gradients_of_a_linear_network_are_weight_times_mean_difference() -> None:
    model = linear()
    (source,) = inputs_of(model)
    found = one(model, ExpectedGradients(samples=7), MASS)
    x = source.tensor
    starts = torch.stack([baseline(x, kind)[0] for kind in ("minimum", "blur", "mean")])
    weight = model._module.get_parameter("1.weight")[1].detach().reshape(3, 32, 32)
    assert near(found.values[0], (weight * (x[0] - starts.mean(0))).sum(0).numpy())
    assert found.completeness_error == pytest.approx(0, abs=1e-3)
    assert found.found == {"samples": 9}


def test_expected_gradients_are_gradient_shap_on_average() -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    x = source.tensor
    starts = torch.cat([baseline(x, kind) for kind in ("minimum", "blur", "mean")])
    torch.manual_seed(0)
    np.random.seed(0)
    theirs = attr.GradientShap(frozen(model)).attribute(x, starts, n_samples=3000, stdevs=0.0, target=1)
    wanted = theirs.detach()[0].sum(0).numpy()
    ours = [one(model, ExpectedGradients(samples=1500, seed=seed), MASS).values[0] for seed in (0, 1)]
    # What is left is captum's scatter: ours of two seeds lie nearer to each other than to it.
    size = np.linalg.norm(wanted)
    assert np.linalg.norm(ours[0] - wanted) < 0.1 * size
    assert np.linalg.norm(ours[0] - ours[1]) < np.linalg.norm(ours[0] - wanted)


def test_gradient_shaps_noise_leaves_the_expectation_of_a_linear_network() -> None:
    model = linear()
    calm = one(model, ExpectedGradients(baseline="zero"), MASS).values
    noisy = one(model, ExpectedGradients(baseline="zero", noise=0.05, samples=600), MASS).values
    assert not near(calm, noisy, 1e-4)
    assert np.linalg.norm(calm - noisy) < 0.05 * np.linalg.norm(calm)
    again = one(model, ExpectedGradients(baseline="zero", noise=0.05, samples=600, chunk=7), MASS).values
    assert near(noisy, again)


# --- guided Grad-CAM ------------------------------------------------------------------------------


class Rectifying(nn.Module):
    """The same network with its ReLUs called in one way."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.first, self.second, self.third = (
            nn.Conv2d(3, 6, 3, 1, 1),
            nn.Conv2d(6, 8, 3, 2, 1),
            nn.Conv2d(8, 8, 3),
        )
        self.relus = nn.ModuleList(nn.ReLU(inplace=way == "in place") for _ in range(3))
        self.head = nn.Linear(8, 3)

    def relu(self, x: Tensor, number: int) -> Tensor:
        if self.way == "reused":
            return self.relus[0](x)
        ways = {
            "F.relu": F.relu, "F.relu in place": lambda x: F.relu(x, inplace=True), "torch.relu": torch.relu,
            "relu_": lambda x: x.relu_(), "torch.relu_": torch.relu_,
        }  # fmt: skip
        return ways.get(self.way, self.relus[number])(x)

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate((self.first, self.second, self.third)):
            x = self.relu(layer(x), number)
        return self.head(x.mean((2, 3)))


def rectifying(way: str) -> Model:
    torch.manual_seed(4)
    return model_of(Rectifying(way))


def guided_by_captum(model: Model, layer: str) -> np.ndarray:
    (source,) = inputs_of(model)
    net = model._module
    peer = attr.GuidedGradCam(net, net.get_submodule(layer))
    found = peer.attribute(source.tensor.clone().requires_grad_(), 1, interpolate_mode="bilinear")
    return found.detach()[0].sum(0).numpy()


WAYS = ["modules", "in place", "reused", "F.relu", "F.relu in place", "torch.relu", "relu_", "torch.relu_"]


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
@pytest.mark.parametrize("way", WAYS)
def test_guided_grad_cam_catches_every_relu(way: str) -> None:
    found = one(rectifying(way), GuidedGradCAM("second"), MASS).values[0]
    wanted = guided_by_captum(rectifying("modules"), "second")
    assert near(found, wanted)
    if way.startswith("F."):  # captum looks at modules alone
        assert not near(guided_by_captum(rectifying(way), "second"), wanted, 0.05)


def test_guided_grad_cam_needs_a_relu() -> None:
    assert "no ReLU" in str(GuidedGradCAM().unsuitable(make("timm ViT")))
    assert all(GuidedGradCAM().unsuitable(rectifying(way)) is None for way in WAYS)


# --- baselines ------------------------------------------------------------------------------------


def test_a_file_is_a_baseline(tmp_path: Path) -> None:
    model = make("residual")
    path = tmp_path / "two.npy"
    np.save(path, np.random.default_rng(0).normal(size=(2, 3, 32, 32)))
    each = []
    for n, some in enumerate(np.load(path)):
        np.save(tmp_path / f"{n}.npy", some)
        each.append(
            one(model, IntegratedGradients(steps=5, baseline=str(tmp_path / f"{n}.npy")), MASS).values
        )
    found = one(model, IntegratedGradients(steps=5, baseline=str(path)), MASS)
    assert near(found.values, np.mean(each, 0))
    assert np.allclose(found.baselines, np.load(path), atol=1e-6)


class Payload:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "There is no baseline at"),
        (np.zeros((3, 31, 32)), "is 3 × 31 × 32; the model's input is 3 × 32 × 32"),
        (np.zeros((65, 3, 32, 32)), "holds 65 images; at most 64"),
        (np.full((3, 32, 32), np.nan), "holds NaN"),
        (np.array([Payload()], dtype=object), "no .npy file of numbers"),
        (b"nothing", "no .npy file of numbers"),
        (b"", "no .npy file of numbers"),
    ],
)
def test_a_bad_file_is_told_in_a_sentence(
    content: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "b.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    model = make("residual")
    explained = explain(model, inputs_of(model), [IntegratedGradients(baseline=str(path))], [MASS])
    assert not explained.attributions
    assert told in explained.refused[0][1]
    assert explained.refused[0][1].endswith(".")
    assert not Path("ran").exists()


def test_without_a_mean_in_the_card_there_is_no_mean_of_the_data_set() -> None:
    model = make("residual")
    explained = explain(model, inputs_of(model), [IntegratedGradients(baseline="data set")], [MASS])
    assert "neither explain.baseline nor input.mean" in explained.refused[0][1]
    card = model.card.model_copy(update={"input": model.card.input.model_copy(update={"mean": (0.5,)})})
    known = Model(card, model._module, model.sha256, model.device)
    found = maps(
        explain(known, inputs_of(model), [IntegratedGradients(steps=4, baseline="data set")], [MASS])
    )
    zero = maps(explain(model, inputs_of(model), [IntegratedGradients(steps=4, baseline="zero")], [MASS]))
    assert near(found[0], zero[0])


# --- DeepLift -------------------------------------------------------------------------------------


def lifted_by_captum(model: Model, start: Tensor) -> np.ndarray:
    (source,) = inputs_of(model)
    found = attr.DeepLift(model._module).attribute(source.tensor.clone().requires_grad_(), start, 1)
    return found.detach()[0].sum(0).numpy()


def lifted(model: Model, start: Any = "blur") -> Attribution:
    return one(model, DeepLift(baseline=start), MASS)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("start", ["minimum", "blur"])
@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.LeakyReLU], ids=lambda a: a.__name__
)
def test_deep_lift_is_captums_where_every_activation_is_a_module_of_its_own(
    activation: type[nn.Module], start: Any
) -> None:
    model = activated(activation)
    (source,) = inputs_of(model)
    found = lifted(model, start)
    assert found.completeness_error == pytest.approx(0, abs=0.1)
    # A change of 1e-4 of an activation is the quotient of two small differences in either.
    assert near(found.values[0], lifted_by_captum(model, baseline(source.tensor, start)), 5e-3)


def activated(activation: type[nn.Module], *pool: nn.Module) -> Model:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), activation(), *pool, nn.Conv2d(6, 8, 3),
        activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 6), activation(), nn.Linear(6, 3),
    )  # fmt: skip
    return model_of(restless(net))


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_deep_lift_adds_up_behind_a_maximum_where_captums_does_not() -> None:
    model = activated(nn.ReLU, nn.MaxPool2d(2))
    (source,) = inputs_of(model)
    start = baseline(source.tensor, "blur")
    with torch.no_grad():
        gap = float((model._module(source.tensor) - model._module(start))[0, 1])
    assert lifted(model).values.sum() == pytest.approx(gap, rel=1e-3)
    assert abs(lifted_by_captum(model, start).sum() - gap) > 0.01 * abs(gap)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("way", WAYS)
def test_deep_lift_rescales_every_relu_however_it_is_called(way: str) -> None:
    (source,) = inputs_of(rectifying(way))
    start = baseline(source.tensor, "blur")
    wanted = lifted_by_captum(rectifying("modules"), start)
    found = lifted(rectifying(way))
    assert near(found.values[0], wanted, 1e-4)
    assert found.completeness_error == pytest.approx(0, abs=0.01)
    if way.startswith("F."):  # captum looks at modules alone, and says nothing
        theirs = lifted_by_captum(rectifying(way), start)
        with torch.no_grad():
            net = rectifying(way)._module
            gap = float((net(source.tensor) - net(start))[0, 1])
        assert abs(theirs.sum() - gap) > 0.05 * abs(gap)


class Gated(nn.Module):
    """Group and instance normalisation, overlapping pools, a gate, a quotient, a softmax and a square."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.group, self.single = nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True)
        self.gate, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.group(self.first(x)), 3, stride=2, padding=1).relu_()
        gate = torch.sigmoid(self.gate(x.mean((2, 3))))
        x = x * gate[:, :, None, None]
        x = F.gelu(self.single(self.second(x))) / (1 + x.square().mean(1, keepdim=True))
        x *= F.softmax(x.mean(1, keepdim=True).flatten(2), -1).reshape(len(x), 1, *x.shape[2:])
        return self.head(F.adaptive_max_pool2d(x, 4).sum((2, 3)))


def unet() -> nn.Module:
    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.deep = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 1, 1)
            self.up, self.out = nn.ConvTranspose2d(8, 6, 2, 2), nn.Conv2d(12, 3, 3, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.down(x))
            y = F.relu(self.deep(F.max_pool2d(x, 2)), inplace=True)
            return self.out(torch.cat([x, self.up(y)], 1))

    return UNet()


def swin(package: str) -> nn.Module:
    if package == "timm":
        facts = {"img_size": 64, "patch_size": 4, "window_size": 4, "embed_dim": 12, "depths": (2, 2)}
        return timm.create_model("swin_tiny_patch4_window7_224", num_heads=(2, 2), num_classes=3, **facts)
    return torchvision.models.SwinTransformer([4, 4], 12, [2, 2], [2, 2], [4, 4], num_classes=3)


OTHERS = {
    "gated": (Gated, 32),
    "U-Net": (unet, 32),
    "registers": (lambda: vit(reg_tokens=4), 32),
    "torchvision ViT": (torchvision_vit, 32),
    "timm Swin": (lambda: swin("timm"), 64),
    "torchvision Swin": (lambda: swin("torchvision"), 64),
    "DenseNet": (lambda: torchvision.models.densenet121(num_classes=3), 64),
    "ResNet": (lambda: torchvision.models.resnet18(num_classes=3), 64),
    "gate of EfficientNet": (lambda: timm.create_model("efficientnet_b0", num_classes=3), 64),
}


@pytest.mark.parametrize("kind", [*NETS, *OTHERS])
def test_deep_lift_adds_up_on_every_network(kind: str) -> None:
    if kind in NETS:
        model = make(kind)
    else:
        torch.manual_seed(2)
        build, side = OTHERS[kind]
        net = restless(build())
        for parameter in net.parameters() if "Swin" in kind else ():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.2)
        model = model_of(net, (side, side))
    methods = [DeepLift(), DeepLift(baseline="blur")]
    for found in explain(model, inputs_of(model), methods, EVERY).attributions:
        assert found.completeness_error == pytest.approx(0, abs=0.2)
        assert found.values.any()


def test_deep_lift_of_a_linear_network_is_weight_times_difference() -> None:
    assert near(lifted(linear(), "minimum").values, one(linear(), IntegratedGradients(steps=2), MASS).values)


def test_deep_lift_refuses_a_network_that_runs_otherwise_on_the_baseline() -> None:
    class Moody(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.mean((2, 3))
            return x.relu() if float(x.detach().std()) > 1e-3 else x.tanh()

    model = model_of(Moody())
    explained = explain(model, inputs_of(model), [DeepLift(baseline="zero")], [MASS])
    assert "runs otherwise on the baseline" in explained.refused[0][1]


# --- baselines that lie in files ------------------------------------------------------------------


def grey() -> Model:
    torch.manual_seed(6)
    return model_of(restless(SmallCNN(1, 3, (4, 6))), channels=1)


def test_an_image_is_prepared_like_the_input_and_goes_with_the_export(tmp_path: Path) -> None:
    model = grey()
    path = tmp_path / "Doe^John.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40)).astype(np.uint8)).save(path)
    method = IntegratedGradients(steps=6, baseline=str(path))
    explained = explain(model, inputs_of(model, 2), [method], [MASS])
    wanted = model.prepare(dicom.scan([path]).series[0]).tensor
    found = explained.attributions[0]
    assert np.array_equal(found.baselines, wanted.numpy())
    x = inputs_of(model, 2)[0].tensor
    peer = attr.IntegratedGradients(frozen(model))
    theirs = peer.attribute(x, wanted, 1, n_steps=6, method="gausslegendre").detach()[0].sum(0)
    assert near(found.values[0], theirs.numpy())
    document = export(explained.attributions, explained.predictions, tmp_path / "out", ["npz"])
    (entry, _) = document["attributions"]
    assert (entry["found"], entry["baselines"], entry["settings"]["baseline"]) == ({"steps": 6}, 1, path.name)
    with np.load(tmp_path / "out" / entry["files"]["npz"]) as stored:
        assert np.array_equal(stored["baselines"], wanted.numpy())
        assert str(tmp_path) not in str(stored["provenance"])


def test_the_card_names_the_mean_of_the_data_set(tmp_path: Path) -> None:
    model = grey()
    np.save(tmp_path / "mean.npy", np.full((1, 32, 32), 0.25, dtype=np.float32))
    hints = model.card.explain.model_copy(update={"baseline": "mean.npy"})
    card = model.card.model_copy(update={"explain": hints})
    known = Model(card, model._module, model.sha256, model.device, folder=tmp_path)
    found = one(known, IntegratedGradients(steps=5, baseline="data set"), MASS)
    assert np.array_equal(found.baselines, np.full((1, 1, 32, 32), 0.25))
    for outside in ("../mean.npy", "/etc/hostname"):
        with pytest.raises(ValidationError, match="wants a file in the folder of the model"):
            type(hints).model_validate({"baseline": outside})


def test_a_baseline_that_is_no_image_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    explained = explain(
        grey(), inputs_of(grey()), [IntegratedGradients(baseline=str(tmp_path / "notes.txt"))], [MASS]
    )
    assert explained.refused[0][1] == "The baseline notes.txt holds no image that can be read."


# --- regions, seeds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        SmoothGrad(of="integrated-gradients", samples=2),
        VarGrad(of="deep-lift", samples=2),
        ExpectedGradients(samples=6, noise=0.2),
    ],
    ids=lambda m: m.name,
)
def test_noise_stays_within_the_region_that_a_map_is_said_to_keep_to(method: Explainer) -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    region = Region.box(source.series, 0, (8, 8, 15, 15), "box")
    (found,) = explain(model, [source], [method], within=region).attributions
    inside = np.zeros(found.values.shape, bool)
    inside[0, 8:16, 8:16] = True
    assert found.within == region
    assert found.values[inside].any()
    assert not found.values[~inside].any()


@pytest.mark.parametrize("method", ["smooth-grad", "var-grad", "expected-gradients", "rise", "kernel-shap"])
def test_a_seed_that_no_generator_takes_is_told(method: str) -> None:
    with pytest.raises(ExplainerError, match="'seed' is wrong"):
        explainer(method).configured({"seed": str(2**64)})


def test_the_largest_seed_is_taken() -> None:
    one(make("residual"), ExpectedGradients(samples=6, noise=0.1, seed=2**31 - 1), MASS)
    one(make("residual"), SmoothGrad(samples=2, seed=2**31), MASS)


@pytest.mark.parametrize("of", ["saliency", "input-x-gradient", "integrated-gradients", "deep-lift"])
def test_a_mean_under_noise_has_the_signs_of_what_it_averages(of: Any) -> None:
    """Drawn as positive parts alone, a mean of signed maps would hide what speaks against."""
    method, inner = SmoothGrad(of=of, samples=2), explainer(of)
    assert (method.signed, method.display_sign) == (inner.signed, inner.display_sign)
    assert not VarGrad(of=of, samples=2).signed
    found = one(make("residual"), method, MASS).values
    assert bool((found < 0).any()) == inner.signed
