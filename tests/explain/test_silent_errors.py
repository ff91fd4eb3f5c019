# SPDX-License-Identifier: Apache-2.0
"""Wrong answers that other tools give without a word; here each is right, or refused in words."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import DenseLike, inputs_of, make, maps, model_of, near, one, series_of, vit
from torch import Tensor, nn

from plugins.ablation_cam import AblationCAM
from plugins.attention import Attention
from plugins.attention_relevance import AttentionRelevance
from plugins.cam import ClassActivationMap
from plugins.eigen_cam import EigenCAM
from plugins.grad_cam import GradCAM
from plugins.grad_cam_plus_plus import GradCAMPlusPlus
from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.layer_cam import LayerCAM
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from plugins.score_cam import ScoreCAM
from plugins.xgrad_cam import XGradCAM
from viewer.errors import ModelError
from viewer.explain import Made, baseline, explain, shared
from viewer.task import Cancelled, Task
from viewer.types import ModelInput, Target

MASS = Target("mass", 1)


def test_many_threads_on_one_model_give_the_maps_of_one() -> None:
    model = make("residual")
    inputs = inputs_of(model, 20)
    wanted = [maps(explain(model, [i], [GradCAM()], [MASS]))[0].tobytes() for i in inputs]

    def work(n: int) -> bool:
        source = inputs[n % 20]
        found = explain(model, [source], [GradCAM(), Saliency()], [MASS]).attributions[0]
        return found.values.tobytes() == wanted[n % 20] and found.predictions[0].input is source

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(80)))


def test_two_models_at_once_do_not_mix() -> None:
    kinds = ["timm ViT", "torch transformer", "residual", "dense"]
    models = {kind: make(kind) for kind in kinds}
    methods = [Saliency(), GradCAM()]
    wanted = {k: maps(explain(m, inputs_of(m), methods, [MASS])) for k, m in models.items()}

    def work(n: int) -> bool:
        kind = kinds[n % 4]
        found = maps(explain(models[kind], inputs_of(models[kind]), methods, [MASS]))
        return all(near(a, b) for a, b in zip(found, wanted[kind], strict=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(24)))
    assert torch.backends.mha.get_fastpath_enabled()


def test_no_map_of_a_batch_is_forgotten() -> None:
    """Fewer targets than images gave zeros; here one wish is meant for every image."""
    model = make("timm ViT")
    inputs = inputs_of(model, 5)
    cams = (GradCAM(), GradCAMPlusPlus(), XGradCAM(), AblationCAM(), ScoreCAM())
    for method in (*cams, Saliency(), IntegratedGradients(steps=4)):
        found = explain(model, inputs, [method], [MASS], batch=3).attributions
        assert [a.slice for a in found] == [0, 1, 2, 3, 4]
        assert all(a.values.any() for a in found)
        assert all(a.predictions[0].input is i for a, i in zip(found, inputs, strict=True))


LINEAR = [GradCAM(), HiResCAM(), LayerCAM(), XGradCAM(), ClassActivationMap(), AblationCAM()]


@pytest.mark.parametrize("method", [*LINEAR, Saliency(), Occlusion(window=8)])
def test_a_weak_map_stays_weak(method: GradCAM) -> None:
    """A head of a millionth of the weight gives a map of a millionth of the size, not one scaled to 0 … 1."""
    strong = one(make("residual"), method, MASS).values
    weak = make("residual")
    with torch.no_grad():
        weak._module.get_parameter("fc.weight").mul_(1e-6)
        weak._module.get_parameter("fc.bias").zero_()
    weak = model_of(weak._module)
    assert near(one(weak, method, MASS).values * 1e6, strong, 1e-3)


def test_what_lowers_the_score_stays_negative() -> None:
    model = make("residual")
    cams = (GradCAM(), HiResCAM(), XGradCAM(), ClassActivationMap(), AblationCAM())
    for method in (*cams, Occlusion(window=8), IntegratedGradients(steps=8)):
        for_it = one(model, method, Target("mass", 1, "nodule", 2)).values
        against = one(model, method, Target("nodule", 2, "mass", 1)).values
        assert near(for_it, -against, 1e-3)


@pytest.mark.parametrize(
    "method", [GradCAM, GradCAMPlusPlus, XGradCAM, HiResCAM, LayerCAM, AblationCAM, EigenCAM, ScoreCAM]
)
def test_an_in_place_relu_behind_the_layer_changes_no_map(method: type[GradCAM]) -> None:
    found = []
    for inplace in (False, True):
        torch.manual_seed(5)
        model = model_of(DenseLike(inplace))
        found.append(one(model, method("features"), MASS).values)
    assert found[0].tobytes() == found[1].tobytes()


def test_fused_attention_is_heard() -> None:
    for kind in ("timm ViT", "torch transformer"):
        model = make(kind)
        attention = one(model, Attention()).values
        assert attention.min() > 0
        assert attention.std() > 0
    fused, plain = make("timm ViT"), make("timm ViT")
    for block in plain._module.blocks:
        block.attn.fused_attn = False
    assert near(one(fused, Attention()).values, one(plain, Attention()).values)
    assert all(not block.attn.fused_attn for block in plain._module.blocks)


def test_register_tokens_move_no_map() -> None:
    """With four registers the patches begin at the fifth token after the class."""
    model = model_of(vit(reg_tokens=4))
    (source,) = inputs_of(model)
    net, kept = model._module, []
    handle = net.get_submodule("blocks.1.norm1").register_forward_hook(
        lambda _m, _a, out: kept.append(out.detach().clone().requires_grad_()) or kept[0]
    )
    (gradient,) = torch.autograd.grad(net(source.tensor)[0, 1], kept[0])
    handle.remove()
    wanted = (gradient * kept[0].detach())[0, 5:].sum(-1).reshape(1, 4, 4)
    assert near(one(model, HiResCAM("blocks.1.norm1"), MASS).values, wanted.numpy())


@pytest.mark.parametrize("kind", ["minimum", "zero", "mean", "blur"])
def test_each_baseline_is_what_it_says(kind: Made) -> None:
    x = torch.randn(2, 3, 20, 30) * torch.tensor([1.0, 5.0])[:, None, None, None]
    start = baseline(x, kind)
    assert start.shape == x.shape
    assert start.data_ptr() != x.data_ptr()
    if kind == "minimum":
        assert torch.equal(start[1, 2], x[1, 2].min().expand(20, 30))
    elif kind == "zero":
        assert not start.any()
    elif kind == "mean":
        assert torch.allclose(start[1, 2], x[1, 2].mean().expand(20, 30))
    else:
        assert start[1].std() < x[1].std() / 2
        flat = torch.full((1, 1, 9, 9), 3.0)
        assert torch.allclose(baseline(flat, "blur"), flat)
        assert baseline(torch.randn(1, 1, 4, 9, 6), "blur").shape == (1, 1, 4, 9, 6)


def test_a_blur_is_a_gaussian() -> None:
    from scipy.ndimage import gaussian_filter

    x = torch.randn(1, 1, 40, 50)
    wanted = gaussian_filter(x[0, 0].double().numpy(), 4, mode="nearest", truncate=3)
    assert np.allclose(baseline(x, "blur")[0, 0].numpy(), wanted, atol=1e-5)


def test_the_prediction_shown_is_of_the_forward_that_was_explained() -> None:
    """A network that is never twice the same: score and map come from one run of it."""

    class Restless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            return self.conv(x).mean((2, 3)) * self.runs

    model = model_of(Restless())
    found = one(model, HiResCAM("conv"), MASS)
    assert float(found.values.sum()) == pytest.approx(found.predictions[0].score("mass").logit, rel=1e-4)


def test_one_run_shares_one_forward() -> None:
    model = make("timm ViT")
    methods = [GradCAM(), HiResCAM(), LayerCAM(), EigenCAM(), Saliency(), Attention()]
    alone = [maps(explain(model, inputs_of(model), [m], [MASS]))[0] for m in methods]
    calls: list[int] = []
    model._module.register_forward_pre_hook(lambda _m, _a: calls.append(1))
    together = maps(explain(model, inputs_of(model), methods, [MASS]))
    assert len(calls) == 1
    assert all(near(a, b) for a, b in zip(together, alone, strict=True))


def test_many_labels_in_chunks_give_the_maps_of_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("residual")
    wishes = [Target(label, i) for i, label in enumerate(model.labels)]
    wanted = maps(explain(model, inputs_of(model), [GradCAM(), Saliency()], wishes))
    monkeypatch.setattr(shared, "_BATCHED_BYTES", 1)
    found = maps(explain(model, inputs_of(model), [GradCAM(), Saliency()], wishes))
    assert all(near(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("method", [AttentionRelevance(), GradCAM(), Saliency()])
def test_a_cancel_between_labels_stops_before_the_next(
    method: GradCAM, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("timm ViT")
    method.layers(model)  # what is suggested is found out by a gradient of its own
    monkeypatch.setattr(shared, "_BATCHED_BYTES", 1)
    task, calls, plain = Task(), [0], torch.autograd.grad

    def grad(*arguments: Any, **named: Any) -> object:
        calls[0] += 1
        task.cancel()
        return plain(*arguments, **named)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    with pytest.raises(Cancelled):
        explain(model, inputs_of(model), [method], [Target("mass", 1), MASS, MASS], task)
    assert calls == [1]


def test_a_layer_that_cannot_be_vectorised_goes_label_by_label() -> None:
    class Triple(torch.autograd.Function):
        """No rule for vmap."""

        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 3

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return torch.from_numpy(gradient.numpy() * 3)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(Triple.apply(self.conv(x)).relu().mean((2, 3)))

    model = model_of(Net())
    wishes = [Target(label, i) for i, label in enumerate(model.labels)]
    together = maps(explain(model, inputs_of(model), [GradCAM("conv")], wishes))
    alone = [maps(explain(model, inputs_of(model), [GradCAM("conv")], [w]))[0] for w in wishes]
    assert all(near(a, b) for a, b in zip(together, alone, strict=True))


def test_a_map_belongs_to_the_series_of_its_input() -> None:
    model = make("residual")
    inputs = [ModelInput(series_of((1, 32, 32)), 0, torch.randn(1, 3, 32, 32), np.eye(4)) for _ in range(2)]
    found = explain(model, inputs, [GradCAM()], [MASS]).attributions
    assert [a.series for a in found] == [i.series for i in inputs]


def test_a_network_that_gives_nan_is_no_blank_map() -> None:
    model = make("residual")
    source = ModelInput(series_of((1, 32, 32)), 0, torch.full((1, 3, 32, 32), torch.nan), np.eye(4))
    with pytest.raises(ModelError, match="NaN or infinity"):
        explain(model, [source], [GradCAM()], [MASS], Task())
