# SPDX-License-Identifier: Apache-2.0
"""What a network is made of, read off one dry run without values."""

from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import timm
import torch
import torchvision
from model_files import model_of, small, structure_of
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.builtin import CifarResNet, MeshNet, small_vit
from viewer.models.card import AttentionFacts
from viewer.models.structure import Tokens


def real_shapes(net: nn.Module, shape: tuple[int, ...]) -> dict[str, list[tuple[int, ...]]]:
    """What each module gives when it runs on numbers, as often as it runs."""
    seen: dict[str, list[tuple[int, ...]]] = {}
    for name, module in net.named_modules():

        def hook(_m: Any, _a: Any, output: Any, name: str = name) -> None:
            if isinstance(output, Tensor):
                seen.setdefault(name, []).append(tuple(output.shape))

        module.register_forward_hook(hook)
    with torch.no_grad():
        net.eval()(torch.zeros(1, *shape))
    return seen


def no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run with values: zeros would be made for it."""

    def zeros(*_: Any, **__: Any) -> Tensor:
        pytest.fail("the network ran on zeros")

    monkeypatch.setattr("viewer.models.dry_run.torch.zeros", zeros)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "small": (lambda: small(), (1, 16, 16)),
    "small 3D": (lambda: small(dimensions=3), (1, 8, 8, 8)),
    "cifar": (lambda: CifarResNet(8), (3, 32, 32)),
    "meshnet": (lambda: MeshNet(dilations=(1, 2)), (1, 6, 7, 8)),
    "resnet": (lambda: torchvision.models.resnet18(num_classes=2), (3, 64, 64)),
    "densenet": (lambda: torchvision.models.DenseNet(4, (2, 2), 8, num_classes=2), (3, 64, 64)),
    "vit": (
        lambda: timm.create_model(
            "vit_tiny_patch16_224", img_size=64, depth=2, embed_dim=12, num_heads=2, num_classes=2
        ),
        (3, 64, 64),
    ),
    "small vit": (lambda: small_vit(2, size=32, dim=8), (2, 32, 32)),
    "swin": (
        lambda: timm.create_model(
            "swin_tiny_patch4_window7_224",
            img_size=56, embed_dim=12, depths=(1, 1), num_heads=(2, 2), window_size=7, num_classes=2,
        ),
        (3, 56, 56),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_layers_are_those_of_a_real_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, shape = NETS[name]
    net = make()
    with monkeypatch.context() as patch:
        no_values(patch)
        found = structure_of(net, shape)
    real = real_shapes(net, shape)
    assert found.output == real[""][0][1:]
    assert len(found.layers) >= 3
    for layer in found.layers:
        (shown,) = real[layer.name]
        if layer.layout == "channels first":
            assert shown == (1, layer.channels, *layer.grid)
        elif layer.layout == "channels last":
            assert shown == (1, *layer.grid, layer.channels)
        else:
            assert shown == (1, layer.prefix + prod(layer.grid), layer.channels)
    assert found.modules == frozenset(n for n, _ in net.named_modules())
    order = [n for n in real if n in {layer.name for layer in found.layers}]
    assert sorted(order) == sorted(layer.name for layer in found.layers)


def test_a_dry_run_changes_nothing() -> None:
    net = small().eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    structure_of(net, (1, 16, 16))
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(p.device.type == "cpu" for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


def test_a_volume_of_256_costs_nothing() -> None:
    found = structure_of(MeshNet(), (1, 256, 256, 256))
    assert found.output == (3, 256, 256, 256)
    assert found.layers[0].grid == (256, 256, 256)


def test_a_meshnet_without_a_layer_between_classifies_what_it_sees() -> None:
    assert MeshNet(dilations=())(torch.zeros(1, 1, 4, 5, 6)).shape == (1, 3, 4, 5, 6)
    with pytest.raises(ValueError, match="at least 1"):
        MeshNet(dilations=(2, 0))


def test_stages_are_the_last_layer_at_each_resolution() -> None:
    found = structure_of(torchvision.models.resnet18(num_classes=2), (3, 64, 64))
    assert [(s.name, s.grid) for s in found.stages] == [
        ("relu", (32, 32)), ("layer1", (16, 16)), ("layer2", (8, 8)), ("layer3", (4, 4)), ("layer4", (2, 2)),
    ]  # fmt: skip
    assert found.layer("layer3.1.conv2") is not None
    assert found.layer("fc") is None
    assert found.layer("nothing") is None
    assert found.attention == ()
    assert found.tokens is None


@pytest.mark.parametrize(
    ("arguments", "prefix", "pool"),
    [
        ({}, 1, "class"),
        ({"reg_tokens": 4}, 5, "class"),
        ({"class_token": False, "global_pool": "avg"}, 0, "mean"),
        ({"global_pool": "avg"}, 1, "mean"),
    ],
)
def test_tokens_of_timm(arguments: dict[str, Any], prefix: int, pool: str) -> None:
    net = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=(64, 96),
        depth=2,
        embed_dim=12,
        num_heads=2,
        num_classes=2,
        **arguments,
    )
    found = structure_of(net, (3, 64, 96))
    assert found.attention == ("blocks.0.attn", "blocks.1.attn")
    assert found.tokens is not None
    assert (found.tokens.prefix, found.tokens.grid, found.tokens.pool) == (prefix, (4, 6), pool)
    assert found.tokens.count == prefix + 24
    layouts = {layer.name: layer.layout for layer in found.layers}
    assert layouts.pop("patch_embed.proj") == "channels first"
    assert set(layouts.values()) == {"tokens"}
    assert found.layer("blocks.0") is not None


def test_tokens_of_the_small_vit() -> None:
    torch.manual_seed(0)  # of two in sixty drawn at random no tokens are found
    found = structure_of(small_vit(size=32, dim=8), (1, 32, 32))
    assert found.tokens == Tokens(1, (4, 4), "class")
    assert found.attention == ("blocks.0.attn", "blocks.1.attn")
    assert "patch_embed.blocks" in {layer.name for layer in found.layers}


class Encoder(nn.Module):
    """`nn.TransformerEncoder` over 4 × 4 patches, with or without a class token."""

    def __init__(self, prefix: int = 1, convolution: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4) if convolution else nn.Linear(16, 8)
        self.prefix = nn.Parameter(torch.zeros(1, prefix, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.patches, nn.Conv2d):
            x = self.patches(x).flatten(2).transpose(1, 2)
        else:
            x = self.patches(x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(x), -1, 16))
        x = self.encoder(torch.cat([self.prefix.expand(len(x), -1, -1), x], 1))
        return self.head(x[:, 0])


class Registers(Encoder):
    """25 tokens that look like 5 × 5, and are 9 registers and 4 × 4 patches."""

    num_prefix_tokens = 9

    def __init__(self) -> None:
        super().__init__(9, convolution=False)


def test_the_network_is_believed_on_its_prefix() -> None:
    tokens = structure_of(Registers(), (1, 16, 16)).tokens
    assert tokens is not None
    assert (tokens.prefix, tokens.grid) == (9, (4, 4))


@pytest.mark.parametrize("prefix", [1, 3])
def test_tokens_of_torch(prefix: int) -> None:
    found = structure_of(Encoder(prefix), (1, 16, 24))
    assert found.attention == ("encoder.layers.0.self_attn", "encoder.layers.1.self_attn")
    assert found.tokens is not None
    assert (found.tokens.prefix, found.tokens.grid) == (prefix, (4, 6))


def test_the_card_tells_what_cannot_be_seen() -> None:
    told = structure_of(
        Encoder(1, convolution=False), (1, 16, 24), AttentionFacts(prefix=1, grid=(4, 6), pool="mean")
    )
    assert told.tokens is not None
    assert (told.tokens.prefix, told.tokens.grid, told.tokens.pool) == (1, (4, 6), "mean")
    square = structure_of(Encoder(1, convolution=False), (1, 16, 16), AttentionFacts(prefix=1))
    assert square.tokens is not None
    assert square.tokens.grid == (4, 4)
    wrong = structure_of(Encoder(1, convolution=False), (1, 16, 24), AttentionFacts(prefix=1, grid=(5, 5)))
    assert wrong.tokens is None


def test_one_patch_is_no_grid() -> None:
    assert structure_of(Encoder(1, convolution=False), (1, 4, 4)).tokens is None
    assert structure_of(Encoder(1, convolution=False), (1, 8, 8)).tokens == Tokens(1, (2, 2), "class")


class ByValue(nn.Module):
    """Goes one way or the other, depending on the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 4, 3)
        self.fc = nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.left(x) if x.sum() > 0 else self.right(x)
        return torch.stack([y.mean((1, 2, 3)), y.amax((1, 2, 3))], 1)


class WithConstant(nn.Module):
    """Keeps a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.constant = torch.ones(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) * self.constant).mean((2, 3))


class Numpy(nn.Module):
    """Leaves torch on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return torch.from_numpy(y.detach().numpy().mean((2, 3)))


@pytest.mark.parametrize(
    ("net", "layer"),
    [
        (lambda: ByValue(), ("right", 4, (6, 6))),
        (lambda: WithConstant(), ("conv", 3, (8, 8))),
        (lambda: Numpy(), ("conv", 2, (3, 3))),
    ],
)
def test_a_network_that_needs_values_runs_on_zeros(
    net: Callable[[], nn.Module], layer: tuple[str, int, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = net()
    made.fc = nn.Identity()
    found = structure_of(made, (1, 8, 8))
    assert [(x.name, x.channels, x.grid) for x in found.layers] == [layer]
    assert found.output is not None
    assert found.output == tuple(made(torch.zeros(1, 1, 8, 8)).shape[1:])


def test_a_network_that_does_not_run_has_no_structure() -> None:
    found = structure_of(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(99, 2)), (1, 8, 8))
    assert found.output is None
    assert found.layers == ()
    assert found.tokens is None
    assert found.modules == {"", "0", "1"}


class Twice(nn.Module):
    """Runs one layer twice, gives tuples inside, and changes in place."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.conv(x)
            return y, y

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(inplace=True))
        self.again = nn.Conv2d(2, 2, 3, padding=1)
        self.pair = self.Pair()
        self.recurrent = nn.LSTM(8, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.pair(self.again(self.again(self.stem(x))))
        y, _ = self.recurrent(x.mean(1))
        return self.head(y[:, -1])


def test_layers_that_no_map_can_use_are_left_out() -> None:
    found = structure_of(Twice(), (1, 8, 8))
    assert [layer.name for layer in found.layers] == ["stem.0", "stem", "pair.conv"]
    assert found.output == (2,)


class There(nn.Module):
    """Shrinks and grows again, hands a tensor through, and gives an output per pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 2, 3, padding=1)
        self.down = nn.Conv2d(2, 3, 2, 2)
        self.rest = nn.Sequential(nn.Identity(), nn.Upsample(scale_factor=2))
        self.last = nn.Sequential(nn.Conv2d(3, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.rest(self.down(self.wide(x))))


def test_a_network_that_shrinks_and_grows() -> None:
    found = structure_of(There(), (1, 8, 8))
    # The output is no layer; what the identity hands through keeps the name of who made it.
    assert [layer.name for layer in found.layers] == ["wide", "down", "rest"]
    assert [(s.name, s.grid) for s in found.stages] == [("down", (4, 4)), ("rest", (8, 8))]
    assert found.output == (2, 8, 8)


def test_the_output_is_selected() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.conv(x)
            return {"map": y, "out": y.mean((2, 3))}

    assert model_of(Two(), output__select="out").structure.output == (2,)
    assert model_of(Two(), output__select="map").structure.output == (2, 6, 6)
    with pytest.raises(ModelError, match="several outputs"):
        _ = model_of(Two()).structure
