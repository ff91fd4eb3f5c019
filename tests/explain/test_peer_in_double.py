# SPDX-License-Identifier: Apache-2.0
"""Where our map and a library's are not one: rounding is told as rounding, and excuses nothing else."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explain_nets import inputs_of, make, model_of
from numpy.typing import NDArray
from torch import Tensor, nn

from plugins.eigen_cam import EigenCAM
from plugins.feature_ablation import FeatureAblation
from plugins.grad_cam import GradCAM
from plugins.guided_grad_cam import GuidedGradCAM
from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.kernel_shap import KernelSHAP
from plugins.layer_cam import LayerCAM
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from viewer.explain import Explainer, check_with_library, explain
from viewer.explain.check import in_double
from viewer.explain.chunks import Chunks
from viewer.explain.double import AGREES, AGREES_IN_DOUBLE, apart
from viewer.models import Model
from viewer.types import Attribution, PeerCheck, Target

MASS = Target("mass", 1)


class Cancelling(nn.Module):
    """Pairs of channels that are alike, with weights of either sign that nearly cancel: a sum of rounding."""

    def __init__(self, channels: int = 12, size: float = 1e3) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv2d(3, 2 * channels, 3, 2, 1)
        self.fc = nn.Linear(2 * channels, 3)
        with torch.no_grad():
            weights, bias = self.conv.weight[:channels], self.conv.bias[:channels]
            self.conv.weight.copy_(torch.cat([weights, weights]))
            self.conv.bias.copy_(torch.cat([bias, bias]))
            large = size * torch.randn(3, channels)
            self.fc.weight.copy_(torch.cat([large, torch.rand(3, channels) - large], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().mean((2, 3)))


def made(model: Model, method: Explainer) -> Attribution:
    explained = explain(model, inputs_of(model), [method], [MASS])
    assert not explained.refused, explained.refused
    return explained.attributions[0]


def checked(model: Model, method: Explainer) -> tuple[PeerCheck, ...]:
    return check_with_library(model, [made(model, method)])


@dataclass(frozen=True)
class Scaled(HiResCAM):
    """HiResCAM with a planted fault: a fiftieth too much."""

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return super().combine(activations, gradients) * 1.02


@dataclass(frozen=True)
class Left(IntegratedGradients):
    """Integrated gradients with a planted fault: steps at the beginning of their part, not in the middle."""

    def _rule(self, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        nodes, weights = super()._rule(steps)
        return nodes - 0.5 / steps, weights


@pytest.mark.parametrize("method", [GradCAM(), HiResCAM()], ids=lambda m: m.name)
def test_rounding_is_told_as_rounding(method: Explainer) -> None:
    for check in checked(model_of(Cancelling()), method):
        assert check.difference is not None
        assert check.double is not None
        assert check.difference > AGREES
        assert check.double < AGREES_IN_DOUBLE
        assert (check.rounding, check.remark, check.fault, check.reason) == (True, "", "", "")
        assert f"{check.difference:.1e} of the largest value in single precision, and by" in check.words
        assert check.words.endswith(f"{check.double:.1e} in double: rounding, not another method.")


@pytest.mark.parametrize(
    ("faulty", "net"),
    [(Scaled(), Cancelling()), (Scaled(), None), (Left(error=100), None)],
    ids=["scaled and rounded", "scaled", "left"],
)
def test_a_planted_fault_is_not_excused_by_rounding(faulty: Explainer, net: nn.Module | None) -> None:
    (check,) = checked(make("residual") if net is None else model_of(net), faulty)
    assert check.double is not None
    assert check.double > AGREES
    assert check.rounding is False
    assert check.words.endswith("in double. So it is not rounding alone.")


def test_a_fault_of_the_map_alone_is_not_excused_by_what_is_computed_anew() -> None:
    model = make("residual")
    whole = made(model, IntegratedGradients())
    spoilt = replace(whole, values=whole.values * np.float32(1.02))
    (check,) = check_with_library(model, [spoilt])
    assert check.double is not None
    assert check.double < AGREES_IN_DOUBLE
    assert check.rounding is False
    assert "our map lies 2.0e-02 from itself in double precision" in check.words
    assert check.words.endswith("that is not rounding.")


def test_a_known_fault_of_a_library_is_told_and_is_no_rounding() -> None:
    captums, _ = checked(make("Swin"), GradCAM())
    assert captums.rounding is False
    assert "averages the gradient over the axes" in captums.fault
    assert captums.words.endswith(captums.fault)


def test_a_network_that_takes_single_precision_only_is_told() -> None:
    class Fixed(Cancelling):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.conv2d(x, torch.eye(3)[..., None, None]))

    (check,) = checked(model_of(Fixed()), HiResCAM())
    assert (check.double, check.rounding) == (None, None)
    assert check.remark.startswith("It could not be repeated in double precision: The network does not take")
    assert check.words.endswith(check.remark)


SEVERAL = [
    GradCAM(), HiResCAM(), LayerCAM(), IntegratedGradients(), IntegratedGradients(steps=7), Saliency(),
    Occlusion(), EigenCAM(), GuidedGradCAM(), FeatureAblation(features=8),
    KernelSHAP(over="grid", features=4, baseline="mean"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["residual", "3D CNN", "timm ViT"])
@pytest.mark.parametrize("method", SEVERAL, ids=lambda m: f"{m.name}-{m.settings().get('steps')}")
def test_in_double_precision_both_sides_are_double_all_the_way(kind: str, method: Explainer) -> None:
    """Nothing of ours falls back to single precision on the way."""
    model = make(kind)
    if method.unsuitable(model) is not None:
        pytest.skip("the method does not suit the network")
    whole = made(model, method)
    pair = in_double(model, whole, -1)  # by grad-cam, where both have the method: it knows of tokens
    assert not np.array_equal(pair.ours, pair.ours.astype(np.float32))
    assert pair.difference < AGREES_IN_DOUBLE  # captum keeps some of its steps in single precision
    assert 0 < apart(whole.values, pair.ours, pair.either_sign) < AGREES


def test_the_copy_is_made_once_for_all_maps_that_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    model, copies = model_of(Cancelling()), []
    real = Model.in_double
    monkeypatch.setattr(Model, "in_double", lambda self: copies.append(real(self)) or copies[-1])
    maps = [made(model, method) for method in (GradCAM(), HiResCAM())]
    assert [check.rounding for check in check_with_library(model, maps)] == [True] * 3
    assert len(copies) == 1


def test_the_copy_is_made_of_tensors_that_lie_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device nothing is copied: there may be no room for the network twice."""

    class Tied(Cancelling):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.ones(3))
            self.twin = self.fc

    def refused(self: Tensor, memo: object) -> Tensor:
        raise AssertionError("a tensor was copied where it lies")

    model = model_of(Tied())
    monkeypatch.setattr(Tensor, "__deepcopy__", refused)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", refused)
    copied = model.in_double()
    monkeypatch.undo()
    own, other = model._module, copied._module
    assert other.twin is other.fc
    for (name, one), two in zip(
        own.state_dict(keep_vars=True).items(), other.state_dict().values(), strict=True
    ):
        assert (two.dtype, one.dtype) == (torch.float64, torch.float32), name
        assert torch.equal(two, one.double())
    assert [p.requires_grad for p in own.parameters()] == [p.requires_grad for p in other.parameters()]


def test_the_best_chunk_of_one_precision_is_not_that_of_the_other() -> None:
    model, x = model_of(Cancelling()), torch.zeros(1, 3, 32, 32)
    known = Chunks(model, x, False, 8, wished=8)
    assert known.halve(torch.OutOfMemoryError())
    assert [Chunks(model, one, False, 8).size for one in (x, x.double())] == [4, 8]
