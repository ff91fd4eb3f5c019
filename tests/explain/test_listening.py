# SPDX-License-Identifier: Apache-2.0
"""Listening to attention changes no output, however the network computes its attention."""

import itertools
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from explain_nets import NETS, TorchTransformer, inputs_of, make, model_of, torchvision_vit, vit
from torch import Tensor, nn

from viewer.errors import ExplainerError
from viewer.explain.attention import Heads, listening
from viewer.models import Model
from viewer.task import Task


def heard(module: nn.Module, *arguments: Any, n: int = 2, **named: Any) -> tuple[Any, list[Heads]]:
    with listening(module, n) as found:
        return module(*arguments, **named), list(found)


class Around(nn.Module):
    """A parent, for a network is never an attention module itself."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.inner(*arguments, **named)


def restless(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
        parameter.requires_grad_(False)
    return module.eval()


MASKS: dict[str, Callable[[], Tensor | None]] = {
    "no mask": lambda: None,
    "causal": lambda: torch.ones(5, 5, dtype=torch.bool).triu(1),
    "added": lambda: torch.randn(5, 5),
    "of each head": lambda: torch.randn(8, 5, 5),
}
PADDINGS: dict[str, Callable[[], Tensor | None]] = {
    "none": lambda: None,
    "some": lambda: torch.tensor([[False] * 5, [False] * 3 + [True] * 2]),
}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_torch_attention_says_the_same(batch_first: bool, mask: str, padding: str) -> None:
    net = restless(Around(nn.MultiheadAttention(12, 4, batch_first=batch_first)))
    x = torch.randn(2, 5, 12)
    attention, gaps = MASKS[mask](), PADDINGS[padding]()
    if attention is not None and attention.dtype != torch.bool and gaps is not None:
        gaps = torch.zeros(2, 5).masked_fill(gaps, -torch.inf)  # torch wants both of one kind
    given = x if batch_first else x.transpose(0, 1)
    for need, average in itertools.product((True, False), repeat=2):
        facts: dict[str, Any] = {
            "need_weights": need,
            "average_attn_weights": average,
            "attn_mask": attention,
            "key_padding_mask": gaps,
        }
        with torch.no_grad():
            plain = net(given, given, given, **facts)
            (out, weights), (heads,) = heard(net, given, given, given, **facts)
        assert torch.allclose(out, plain[0], atol=1e-5)
        split = heads.split(heads.tensor)[:, 0]
        assert split.shape == (2, 4, 5, 5)
        assert torch.allclose(split.sum(-1), torch.ones(2, 4, 5), atol=1e-5)
        if need:
            assert torch.allclose(weights, plain[1], atol=1e-6)
            assert torch.allclose(split.mean(1) if average else split, plain[1], atol=1e-6)
        else:
            assert weights is None


def test_torch_attention_with_widths_of_their_own_says_the_same() -> None:
    net = restless(Around(nn.MultiheadAttention(12, 3, kdim=7, vdim=9, batch_first=True)))
    arguments = torch.randn(2, 5, 12), torch.randn(2, 6, 7), torch.randn(2, 6, 9)
    plain, wanted = net(*arguments, average_attn_weights=False)
    (out, _), (heads,) = heard(net, *arguments, need_weights=False)
    assert torch.allclose(out, plain, atol=1e-5)
    assert torch.allclose(heads.split(heads.tensor)[:, 0], wanted, atol=1e-6)


def test_torch_attention_without_bias_says_the_same() -> None:
    net = restless(Around(nn.MultiheadAttention(12, 3, bias=False, batch_first=True)))
    x = torch.randn(2, 5, 12)
    assert torch.allclose(heard(net, x, x, x)[0][0], net(x, x, x)[0], atol=1e-5)


@pytest.mark.parametrize("odd", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_attention_with_keys_of_its_own_is_refused(odd: dict[str, bool]) -> None:
    net = restless(Around(nn.MultiheadAttention(12, 4, batch_first=True, **odd)))
    x = torch.randn(2, 5, 12)
    with pytest.raises(ExplainerError, match="adds keys of its own"):
        heard(net, x, x, x)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_fast_path_of_an_encoder_says_the_same(norm_first: bool, activation: str) -> None:
    layer = nn.TransformerEncoderLayer(
        12, 4, 16, batch_first=True, norm_first=norm_first, activation=activation
    )
    net = restless(Around(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)))
    x = torch.randn(2, 5, 12)
    with torch.no_grad():
        plain = net(x)
        out, heads = heard(net, x)
    assert [h.name for h in heads] == ["inner.layers.0.self_attn", "inner.layers.1.self_attn"]
    assert torch.allclose(out, plain, atol=1e-5)


def test_a_padded_encoder_that_packs_its_tokens_says_the_same() -> None:
    layer = nn.TransformerEncoderLayer(12, 4, 16, batch_first=True)
    net = restless(Around(nn.TransformerEncoder(layer, 1)))
    x, gaps = torch.randn(2, 5, 12), PADDINGS["some"]()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its nested tensors a prototype
        plain = net(x, src_key_padding_mask=gaps)
        out, _ = heard(net, x, src_key_padding_mask=gaps)
    there = ~gaps
    assert torch.allclose(out[there], plain[there], atol=1e-5)


class Fused(nn.Module):
    """Attention that calls torch's fused function with every option it has."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fused_attn, self.num_heads = True, 2
        self.options = options

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **self.options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.tensor([[True, False, True]] * 4)},
        {"attn_mask": torch.tensor([[0.5, -1.0, 2.0]] * 4)},
        {"enable_gqa": True},
    ],
    ids=str,
)
def test_fused_attention_says_the_same(options: dict[str, Any]) -> None:
    net = Around(Fused(**options))
    keys = 1 if options.get("enable_gqa") else 2
    q, k, v = torch.randn(2, 2, 4, 6), torch.randn(2, keys, 3, 6), torch.randn(2, keys, 3, 6)
    out, (heads,) = heard(net, q, k, v)
    assert torch.allclose(out, net(q, k, v), atol=1e-5)
    assert heads.tensor.shape == (2, 2, 4, 3)


def whole(name: str) -> Model:
    torch.manual_seed(4)
    nets: dict[str, Callable[[], nn.Module]] = {
        **NETS,
        "timm, registers": lambda: vit(reg_tokens=2),
        "timm, normalised queries": lambda: vit(qk_norm=True),
        "torchvision ViT": torchvision_vit,
        "post-norm transformer": lambda: TorchTransformer(norm_first=False),
    }
    return model_of(nets[name]())


WHOLE = [
    "timm ViT", "timm, registers", "timm, normalised queries", "torchvision ViT", "torch transformer",
    "post-norm transformer", "residual",
]  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_says_the_same(name: str, fused: bool) -> None:
    model = whole(name)
    for module in model._module.modules():
        if hasattr(module, "fused_attn"):
            setattr(module, "fused_attn", fused)  # noqa: B010 - torch types every attribute as a tensor or module
    x = model.batch(inputs_of(model, 2))
    with model.guarded(Task()) as forward:
        with torch.no_grad():
            plain = forward(x)
        with listening(forward.module, 2) as heads:
            out = forward(x)
    assert plain.abs().max() > 0
    assert torch.allclose(out, plain, atol=1e-5)
    assert [h.name for h in heads] == list(model.structure.attention)
    # Each block's weights lie on the way to the output, or no gradient would reach them.
    for h in heads:
        (gradient,) = torch.autograd.grad(out[:, 0].sum(), h.tensor, retain_graph=True)
        assert gradient.any()


def test_listening_leaves_no_hook_and_no_switch() -> None:
    model = make("torch transformer")
    net = model._module.eval()
    for module in net.modules():
        assert not module._forward_hooks
    with listening(net, 1):
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_two_models_that_listen_at_once_leave_the_fast_path_as_it_was() -> None:
    """One that enters first and leaves first must not switch it on for the other, nor leave it off."""
    start, middle = Barrier(2), Barrier(2)

    def work(first: bool) -> list[bool]:
        net = make("torch transformer")._module
        if not first:
            start.wait()
        with listening(net, 1):
            if first:
                start.wait()  # the second enters while the first is inside
            middle.wait()
            if not first:
                middle.wait()  # the first has left
            inside = torch.backends.mha.get_fastpath_enabled()
        if first:
            middle.wait()
        return [inside]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [True, False])) == [[False], [False]]
    assert torch.backends.mha.get_fastpath_enabled()
