# SPDX-License-Identifier: Apache-2.0
"""The last block for the class token alone gives the numbers of the whole block, or is not used at all."""

from typing import Any

import pytest
import timm
import torch
from explain_nets import LABELS, inputs_of, model_of, near, torchvision_vit, vit
from torch import nn

from viewer.explain import explain, explainer, suggest
from viewer.explain.class_token import _last_block, class_token_only
from viewer.models import Model
from viewer.types import Target

EVERY = tuple(Target(label, i) for i, label in enumerate(LABELS))


def registers() -> nn.Module:
    return vit(reg_tokens=4, init_values=0.5, class_token=True)


def without_bias() -> nn.Module:
    return vit(qkv_bias=False)


QUICK = {
    "timm": vit,
    "registers and layer scale": registers,
    "no bias": without_bias,
    "torchvision": torchvision_vit,
}


def by_autograd(model: Model, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits and all labels' gradients at a layer, of the network as it is."""
    (source,) = inputs_of(model)
    net, taps = model._module, []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _a, out: taps.append(out))
    logits = net(source.tensor)
    handle.remove()
    rows = [torch.autograd.grad(logits[0, i], taps[0], retain_graph=True)[0] for i in range(3)]
    return logits.detach(), torch.stack(rows)


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("place", [0, 1])
def test_the_numbers_are_those_of_the_whole_block(kind: str, place: int) -> None:
    torch.manual_seed(3)
    net = QUICK[kind]()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    model = model_of(net)
    layer = suggest(model)[place]
    logits, gradients = by_autograd(model, layer)
    found = _last_block(model._module)
    assert found is not None
    ran = []
    found[0].mlp.register_forward_hook(lambda _m, _a, out: ran.append(out.shape[1]))
    method = explainer("hires-cam").configured({"layer": layer})
    explained = explain(model, inputs_of(model), [method], EVERY)
    assert 1 in ran  # the last MLP saw the class token alone
    assert near([s.logit for s in explained.predictions[0].scores], logits[0], 1e-5)
    prefix = model.structure.tokens.prefix
    with torch.no_grad():
        taps: list[torch.Tensor] = []
        model._module.get_submodule(layer).register_forward_hook(lambda _m, _a, out: taps.append(out))
        model._module(inputs_of(model)[0].tensor)
    wanted = (gradients * taps[0])[:, 0, prefix:].sum(-1).reshape(3, 1, 4, 4)
    for a, b in zip(explained.attributions, wanted, strict=True):
        assert near(a.values, b, 1e-4)


@pytest.mark.parametrize(
    "net",
    [
        lambda: vit(global_pool="avg"),
        lambda: vit(qk_norm=True),
        lambda: timm.create_model(
            "deit_tiny_distilled_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=24, num_heads=3,
            num_classes=3,
        ),
        lambda: timm.create_model("resnet10t", num_classes=3),
    ],
    ids=["mean of patches", "normed keys", "two class tokens", "no transformer"],
)  # fmt: skip
def test_other_networks_run_as_they_are(net: Any) -> None:
    module = net().eval()
    before = {name: dict(vars(m)) for name, m in module.named_modules()}
    model = model_of(module)
    with class_token_only(module, model.structure, [layer.name for layer in model.structure.layers[:1]]):
        assert {name: dict(vars(m)) for name, m in module.named_modules()} == before


def test_a_layer_behind_the_attention_keeps_the_whole_block() -> None:
    model = model_of(vit())
    layers = [layer.name for layer in model.structure.layers]
    block = list(model._module.get_submodule("blocks").children())[-1]
    for name in ("blocks.1.norm2", "norm"):
        if name in layers:
            with class_token_only(model._module, model.structure, [name]):
                assert "forward" not in vars(block)
    with class_token_only(model._module, model.structure, [suggest(model)[0]]):
        assert "forward" in vars(block)
    assert "forward" not in vars(block)


class Adapted(nn.Linear):
    """A linear layer with a low-rank update beside its weight, as fine-tuning leaves it."""

    def __init__(self, own: nn.Linear) -> None:
        super().__init__(own.in_features, own.out_features)
        self.load_state_dict(own.state_dict())
        self.down = nn.Parameter(torch.randn(2, own.in_features))
        self.up = nn.Parameter(torch.randn(own.out_features, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x @ self.down.T @ self.up.T


def adapted(net: nn.Module) -> None:
    attention = net.blocks[-1].attn  # type: ignore[index]
    attention.qkv = Adapted(attention.qkv)


def hooked(net: nn.Module) -> None:
    net.blocks[-1].attn.register_forward_hook(lambda _m, _a, out: 3 * out)  # type: ignore[index]


def hooked_before(net: nn.Module) -> None:
    attention = net.blocks[-1].attn  # type: ignore[index]
    attention.qkv.register_forward_pre_hook(lambda _m, args: (3 * args[0],))


def patched(net: nn.Module) -> None:
    attention = net.blocks[-1].attn  # type: ignore[index]
    own = attention.forward
    attention.forward = lambda x, **more: 3 * own(x, **more)


@pytest.mark.parametrize("change", [adapted, hooked, hooked_before, patched])
def test_a_block_that_somebody_changed_runs_as_it_is(change: Any) -> None:
    """What stands beside the weights of the attention must not be lost with the tokens that nobody reads."""
    torch.manual_seed(3)
    net = vit().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    change(net)
    model = model_of(net)
    layer = suggest(model)[0]
    logits, _ = by_autograd(model, layer)
    method = explainer("hires-cam").configured({"layer": layer})
    (prediction,) = explain(model, inputs_of(model), [method], EVERY).predictions
    assert near([s.logit for s in prediction.scores], logits[0], 1e-5)


def test_a_hooked_attention_of_torchvision_runs_as_it_is() -> None:
    torch.manual_seed(3)
    net = torchvision_vit().eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    blocks: Any = net.encoder.layers
    blocks[-1].self_attention.register_forward_hook(lambda _m, _a, out: (3 * out[0], out[1]))
    model = model_of(net)
    layer = suggest(model)[0]
    logits, _ = by_autograd(model, layer)
    method = explainer("hires-cam").configured({"layer": layer})
    (prediction,) = explain(model, inputs_of(model), [method], EVERY).predictions
    assert near([s.logit for s in prediction.scores], logits[0], 1e-5)
