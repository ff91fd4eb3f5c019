# SPDX-License-Identifier: Apache-2.0
"""Relevance and LeGrad against the papers' rules, written out over timm's own blocks, and on odd networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explain_nets import (
    LABELS,
    TorchTransformer,
    distilled,
    inputs_of,
    make,
    maps,
    model_of,
    near,
    one,
    torchvision_vit,
    vit,
)
from torch import Tensor, nn

from plugins.attention import Attention
from plugins.attention_relevance import AttentionRelevance
from plugins.attention_rollout import AttentionRollout
from plugins.legrad import LeGrad
from viewer.explain import Explainer, explain, shared
from viewer.explain.attention import listening
from viewer.models import Model
from viewer.models.structure import Tokens
from viewer.task import Cancelled, Task
from viewer.types import Target

ALL: tuple[Explainer, ...] = (Attention(), AttentionRollout(), AttentionRelevance(), LeGrad())
VITS = {
    "class token": vit,
    "registers": lambda: vit(reg_tokens=4, no_embed_class=True, dynamic_img_size=True),
    "mean of the patches": lambda: vit(global_pool="avg"),
    "no class token": lambda: vit(global_pool="avg", class_token=False),
    "scaled layers, as in DINOv2": lambda: vit(reg_tokens=2, init_values=0.5),
    "distilled": distilled,
}


@contextmanager
def kept_weights(net: nn.Module) -> Iterator[list[Tensor]]:
    """timm's attention the plain way; what its dropout is given are the weights, in the graph."""
    weights: list[Tensor] = []
    handles = []
    for block in net.blocks:
        block.attn.fused_attn = False
        handles.append(block.attn.attn_drop.register_forward_hook(lambda _m, _a, out: weights.append(out)))
    yield weights
    for handle in handles:
        handle.remove()


def row_of(net: nn.Module, matrix: Tensor) -> Tensor:
    """What is classified of a token-by-token matrix, over the patches (1, 4, 4)."""
    prefix = net.num_prefix_tokens
    if net.global_pool == "avg":
        row = matrix[prefix:].mean(0)
    else:
        row = matrix[:2].mean(0) if hasattr(net, "head_dist") else matrix[0]
    return row[prefix:].reshape(1, 4, 4)


def chefer(net: nn.Module, x: Tensor, label: int) -> np.ndarray:
    """Equations 5 and 6 of the ICCV paper; nothing is normalised where there is self-attention alone."""
    with kept_weights(net) as weights:
        score = net(x)[0, label]
    gradients = torch.autograd.grad(score, weights)
    count = weights[0].shape[-1]
    relevance = torch.eye(count)
    for weight, gradient in zip(weights, gradients, strict=True):
        relevance = relevance + (gradient * weight).clamp(min=0)[0].mean(0) @ relevance
    return row_of(net, relevance - torch.eye(count)).detach().numpy()


def legrad(net: Any, x: Tensor, label: int) -> np.ndarray:
    """The paper's sum over layers, each with a gradient of its own, block after block by hand."""
    maps = []
    with kept_weights(net) as weights:
        tokens = net.norm_pre(net._pos_embed(net.patch_embed(x)))
        for block in net.blocks:
            tokens = block(tokens)
            score = net.forward_head(net.norm(tokens))[0, label]
            (gradient,) = torch.autograd.grad(score, weights[-1], retain_graph=True)
            per_key = gradient[0].clamp(min=0).sum((0, 1)) / (gradient.shape[1] * gradient.shape[2])
            maps.append(per_key[net.num_prefix_tokens :].reshape(1, 4, 4))
    return torch.stack(maps).mean(0).detach().numpy()


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("kind", VITS)
def test_relevance_and_legrad_are_the_papers(kind: str, label: int) -> None:
    torch.manual_seed(3)
    net = VITS[kind]()
    model = model_of(net)
    x = model.batch(inputs_of(model)).requires_grad_()
    target = Target(LABELS[label], label)
    found = [one(model, method, target).values for method in (AttentionRelevance(), LeGrad())]
    assert near(found[0], chefer(net, x, label), 1e-4)
    assert near(found[1], legrad(net, x, label), 1e-4)


@pytest.mark.parametrize("method", [AttentionRelevance(), LeGrad()], ids=lambda m: m.name)
def test_a_network_without_a_rule_for_many_gradients_gets_one_after_another(
    method: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = [Target(label, i) for i, label in enumerate(LABELS)]
    model = make("timm ViT")
    wanted = [a.values for a in explain(model, inputs_of(model, 2), [method], wishes).attributions]
    real, single = torch.autograd.grad, []

    def grad(*arguments: Any, is_grads_batched: bool = False, **named: Any) -> tuple[Tensor, ...]:
        if is_grads_batched:
            raise RuntimeError("no rule for vmap")
        single.append(1)
        return real(*arguments, **named)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    found = [a.values for a in explain(model, inputs_of(model, 2), [method], wishes).attributions]
    assert len(single) >= len(LABELS)
    assert all(near(a, b) for a, b in zip(found, wanted, strict=True))


def test_memory_for_many_labels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all labels fit at once, some go at a time, and give the same."""
    wishes = [Target(label, i) for i, label in enumerate(LABELS)]
    model = make("ViT with registers")
    wanted = [a.values for a in explain(model, inputs_of(model), [AttentionRelevance()], wishes).attributions]
    monkeypatch.setattr(shared, "_BATCHED_BYTES", 1)
    found = [a.values for a in explain(model, inputs_of(model), [AttentionRelevance()], wishes).attributions]
    assert all(near(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("net", [torchvision_vit, TorchTransformer], ids=["torchvision", "torch"])
def test_legrad_of_the_last_block_is_the_gradient_of_the_answer(net: object) -> None:
    """With one block, what the block gives is classified as ever: the answer's own gradient."""
    torch.manual_seed(5)
    made = net()  # type: ignore[operator]
    blocks = made.encoder.layers
    while len(blocks) > 1:
        del blocks[-1]
    if hasattr(made.encoder, "num_layers"):
        made.encoder.num_layers = 1
    model = model_of(made)
    with listening(made, 1) as heard:
        score = made(model.batch(inputs_of(model)))[0, 1]
    (gradient,) = torch.autograd.grad(score, heard[0].tensor)
    wanted = gradient.clamp(min=0).mean((1, 2))[:, 1:].reshape(1, 4, 4)
    assert near(one(model, LeGrad(), Target("mass", 1)).values, wanted.numpy())


class Functional(nn.Module):
    """Attention as plain functions in the network's own forward: nothing is called attention."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.qkv = nn.Linear(8, 24)
        self.proj = nn.Linear(8, 8)
        self.classify = nn.Linear(8, len(LABELS))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5)

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(x).reshape(len(x), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / 2).softmax(-1)
        if self.how == "fused":
            mixed = F.scaled_dot_product_attention(q, k, v)
        elif self.how == "softmax":
            mixed = weights @ v
        else:
            seq = x.transpose(0, 1)
            facts = (8, 2, self.qkv.weight, self.qkv.bias, None, None, False, 0.0)
            out, _ = F.multi_head_attention_forward(
                seq, seq, seq, *facts, self.proj.weight, self.proj.bias, need_weights=False
            )
            return out.transpose(0, 1), weights
        return self.proj(mixed.transpose(1, 2).flatten(2)), weights

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.classify((x + self.attend(x)[0]).mean(1))


@pytest.mark.parametrize("how", ["fused", "softmax", "multi head"])
def test_attention_by_functions_is_heard(how: str) -> None:
    """`fused_attn` and friends hide the weights from hooks on modules; here there is not even a module."""
    torch.manual_seed(2)
    net = Functional(how)
    model = model_of(net)
    assert model.structure.tokens == Tokens(0, (4, 4), "mean")
    tokens = net.patches(model.batch(inputs_of(model))).flatten(2).transpose(1, 2)
    weights = net.attend(tokens)[1].detach()[0]
    assert near(one(model, Attention()).values, weights.mean((0, 1)).reshape(1, 4, 4).numpy())
    assert near(one(model, Attention(head=1)).values, weights[1].mean(0).reshape(1, 4, 4).numpy())


class SequenceFirst(nn.Module):
    """`nn.TransformerEncoder` as it is by default: tokens first, then samples."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, 8)
        layer = nn.TransformerEncoderLayer(24, 4, 32, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(24, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patches(x).flatten(2).permute(2, 0, 1)).mean(0))


def test_tokens_before_samples_are_told_apart() -> None:
    torch.manual_seed(2)
    net = SequenceFirst()
    model = model_of(net)
    assert model.structure.tokens == Tokens(0, (4, 4), "mean")
    tokens = net.eval().patches(model.batch(inputs_of(model))).flatten(2).permute(2, 0, 1)
    attention = net.encoder.layers[0].self_attn
    weights = attention(tokens, tokens, tokens, average_attn_weights=False)[1][0]
    found = one(model, Attention(block=0)).values
    assert near(found, weights.mean((0, 1)).reshape(1, 4, 4).detach().numpy())
    batch = explain(model, inputs_of(model, 3), [AttentionRelevance()], [Target("mass", 1)]).attributions
    assert near(batch[0].values, one(model, AttentionRelevance(), Target("mass", 1)).values, 1e-4)
    assert "classifier could read" in (LeGrad().unsuitable(model) or "")


def test_both_tokens_of_a_distilled_network_are_read() -> None:
    """Reading the first alone would leave out half of what makes the score."""
    model = make("DeiT, distilled")
    assert model.structure.tokens == Tokens(2, (4, 4), "class", 2)
    with kept_weights(model._module) as weights:
        model._module(model.batch(inputs_of(model)))
    last = weights[-1].detach()[0].mean(0)
    found = one(model, Attention()).values
    assert near(found, last[:2].mean(0)[2:].reshape(1, 4, 4).numpy())
    assert not near(found, last[0, 2:].reshape(1, 4, 4).numpy(), 1e-2)


def test_attention_that_pools_is_refused_and_not_taken_for_a_mean() -> None:
    """timm's `global_pool="map"` reads the patches by a query of its own: not the mean, and not a token."""
    model = model_of(vit(global_pool="map", class_token=False))
    for method in (Attention(), AttentionRollout(), AttentionRelevance()):
        (refused,) = explain(model, inputs_of(model), [method]).refused
        assert "attends from other tokens than those of the image" in refused[1]
    assert LeGrad().unsuitable(model) or explain(model, inputs_of(model), [LeGrad()]).refused


@pytest.mark.parametrize("method", ALL, ids=lambda m: m.name)
def test_bfloat16_gives_nearly_the_same(method: Explainer) -> None:
    model = make("ViT with registers")
    wanted = one(model, method, Target("mass", 1)).values
    with torch.autocast("cpu", torch.bfloat16):
        found = one(model, method, Target("mass", 1)).values
    assert found.dtype == np.float32
    assert near(found, wanted, 0.2)


@pytest.mark.parametrize("method", ALL[1:], ids=lambda m: m.name)
def test_a_cancel_is_heard_between_blocks(method: Explainer) -> None:
    """After the last forward there is still work, which stops too."""
    model: Model = make("timm ViT")
    task = Task()
    real = task.check
    checks = [0]

    def check() -> None:
        checks[0] += 1
        real()

    task.check = check  # type: ignore[method-assign]
    explain(model, inputs_of(model), [method], [Target("mass", 1)], task)
    total = checks[0]
    for stop in range(1, total + 1):
        checks[0] = 0

        def cancel(stop: int = stop) -> None:
            checks[0] += 1
            if checks[0] == stop:
                raise Cancelled

        task.check = cancel  # type: ignore[method-assign]
        with pytest.raises(Cancelled):
            explain(model, inputs_of(model), [method], [Target("mass", 1)], task)
    assert total >= 2


def test_hooks_on_timms_attention_hear_nothing_where_it_is_fused() -> None:
    """What other tools hook is never called, and they say nothing; here the weights are heard either way."""
    model = make("ViT with registers")
    calls: list[int] = []
    block: Any = model._module.get_submodule("blocks.0.attn")
    assert block.fused_attn
    handle = block.attn_drop.register_forward_hook(lambda *_: calls.append(1))
    model.predict(inputs_of(model))
    assert calls == []
    handle.remove()
    assert one(model, AttentionRollout()).values.std() > 0


def test_torchs_attention_throws_its_weights_away_and_they_are_heard() -> None:
    """torchvision's ViT and nn.TransformerEncoder ask with `need_weights=False`: hooks are given None."""
    torch.manual_seed(1)
    given: list[object] = []
    for net, name in ((torchvision_vit(), "self_attention"), (TorchTransformer(), "self_attn")):
        given.clear()
        for part_name, part in net.eval().requires_grad_(False).named_modules():
            if part_name.endswith(name):
                part.register_forward_hook(lambda _m, _a, out: given.append(out[1]))
        net(torch.randn(1, 3, 32, 32))
        assert given == [None, None]
        assert one(model_of(net), AttentionRollout()).values.std() > 0


def test_register_tokens_taken_for_patches_would_move_the_map() -> None:
    """The usual recipe cuts off the first token and takes the next for patches."""
    model = make("ViT with registers")
    with kept_weights(model._module) as weights:
        model._module(model.batch(inputs_of(model)))
    row = weights[-1].detach()[0].mean(0)[0]
    naive = row[1:17].reshape(1, 4, 4).numpy()
    right = row[5:].reshape(1, 4, 4).numpy()
    found = one(model, Attention()).values
    assert near(found, right)
    assert not near(found, naive, 1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("method", ALL, ids=lambda m: m.name)
@pytest.mark.parametrize("kind", ["ViT with registers", "DeiT, distilled", "Swin", "torch transformer"])
def test_a_gpu_gives_the_maps_of_the_processor(kind: str, method: Explainer) -> None:
    cpu = make(kind)
    if method.unsuitable(cpu):
        pytest.skip("the method does not suit the network")
    gpu = Model(cpu.card, make(kind)._module, "0" * 64, torch.device("cuda"))
    wishes = [Target(label, i) for i, label in enumerate(LABELS)]
    both = [maps(explain(model, inputs_of(cpu, 2), [method], wishes)) for model in (cpu, gpu)]
    assert all(near(a, b, 1e-3) for a, b in zip(*both, strict=True))
