# SPDX-License-Identifier: Apache-2.0
"""Spatial gates are found by what a network computes, and read out as they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from explain_nets import LABELS, inputs_of, make, maps, model_of, near, one
from timm.layers import EcaModule, SEModule
from timm.layers.cbam import CbamModule, LightCbamModule
from torch import Tensor, nn

from plugins.gates import Gates
from viewer.explain import explain


class Body(nn.Module):
    """A convolution, whatever is to be tested, and a classifier."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.part = part
        self.fc = nn.Linear(8, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.part(F.relu(self.first(x))).mean((2, 3)))


class UNetGate(nn.Module):
    """The additive gate of Attention U-Net: a coarse map says where the fine one may pass, by functions."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
        self.fine = nn.Conv2d(8, 4, 2, 2)
        self.psi = nn.Conv2d(4, 1, 1)

    def coarse(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.psi(F.relu(self.fine(x))))

    def forward(self, x: Tensor) -> Tensor:
        gate = F.interpolate(self.coarse(x), scale_factor=2, mode="bilinear")
        return x.clone().mul_(gate) if self.inplace else gate.expand_as(x) * x


class HandMadeSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


def cbam(kind: type[nn.Module] = CbamModule) -> nn.Module:
    return kind(8, rd_channels=4, spatial_kernel_size=3)


@pytest.mark.parametrize("kind", [CbamModule, LightCbamModule])
def test_cbams_map_is_its_gate(kind: type[nn.Module]) -> None:
    torch.manual_seed(1)
    net = Body(cbam(kind)).eval()
    model = model_of(net)
    assert model.structure.gates == ("part.spatial",)
    seen: list[Tensor] = []
    handle = net.part.spatial.gate.register_forward_hook(lambda _m, _a, out: seen.append(out))
    net(model.batch(inputs_of(model, 2)))
    handle.remove()
    assert seen[0].shape == (2, 1, 16, 16)
    found = maps(explain(model, inputs_of(model, 2), [Gates()]))
    assert all(near(a, b) for a, b in zip(found, seen[0].detach().numpy(), strict=True))
    assert all(0 < a.min() < a.max() < 1 for a in found)


@pytest.mark.parametrize("inplace", [False, True])
def test_the_gate_of_an_attention_unet_is_shown_in_its_own_cells(inplace: bool) -> None:
    torch.manual_seed(1)
    net = Body(UNetGate(inplace)).eval()
    model = model_of(net)
    assert model.structure.gates == ("part",)
    features = F.relu(net.first(model.batch(inputs_of(model))))
    part: Any = net.part
    assert near(one(model, Gates()).values, part.coarse(features)[0].detach().numpy())


class LastGate(nn.Module):
    """A gate on a map whose channels come last: of cells, or of channels."""

    def __init__(self, of_cells: bool) -> None:
        super().__init__()
        self.of_cells = of_cells
        self.psi = nn.Linear(8, 1 if of_cells else 8)

    def numbers(self, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 3, 1)
        return torch.sigmoid(self.psi(y if self.of_cells else y.mean((1, 2), keepdim=True)))

    def forward(self, x: Tensor) -> Tensor:
        return (x.permute(0, 2, 3, 1) * self.numbers(x)).permute(0, 3, 1, 2)


class Moved(nn.Module):
    """Gives the rest a map with its channels last, so that the network has a layer of that shape."""

    def __init__(self, of_cells: bool) -> None:
        super().__init__()
        self.gate = LastGate(of_cells)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.gate(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_gates_of_channels_that_come_last() -> None:
    torch.manual_seed(1)
    net = Body(Moved(of_cells=True)).eval()
    model = model_of(net)
    assert model.structure.gates == ("part.gate",)
    features = F.relu(net.first(model.batch(inputs_of(model))))
    part: Any = net.part
    assert near(one(model, Gates()).values, part.gate.numbers(features)[0, ..., 0][None].detach().numpy())
    other = model_of(Body(Moved(of_cells=False)).eval())
    assert other.structure.gates == ()
    assert "channel gates" in other.structure.traits


class Coordinates(nn.Module):
    """Coordinate attention: one gate for each row and one for each column, of every channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x.mean(3, keepdim=True)) * torch.sigmoid(x.mean(2, keepdim=True))


def test_gates_of_rows_and_columns_are_none_of_cells() -> None:
    model = model_of(Body(Coordinates()).eval())
    assert model.structure.gates == ()
    assert "channel gates" not in model.structure.traits


def test_every_gate_of_a_network_can_be_asked_for() -> None:
    torch.manual_seed(1)
    net = timm.models.resnet.ResNet(
        timm.models.resnet.BasicBlock, (1, 1, 1, 1), num_classes=3, channels=(8, 12, 16, 20),
        block_args={"attn_layer": "cbam"},
    ).eval()  # fmt: skip
    model = model_of(net)
    names = [f"layer{i}.0.se.spatial" for i in (1, 2, 3, 4)]
    assert list(model.structure.gates) == names[: len(model.structure.gates)]
    assert len(model.structure.gates) >= 3  # the last map may be of one cell
    shapes = [one(model, Gates(gate=i)).values.shape for i in range(len(model.structure.gates))]
    assert shapes[:3] == [(1, 8, 8), (1, 4, 4), (1, 2, 2)]
    sentence = f"There is no gate 9; the network has gates 0 to {len(shapes) - 1}."
    assert explain(model, inputs_of(model), [Gates(gate=9)]).refused == (("gates", sentence),)


CHANNELS: dict[str, Callable[[], nn.Module]] = {
    "timm SE": lambda: SEModule(8, rd_channels=4),
    "timm ECA": lambda: EcaModule(8),
    "torchvision SE": lambda: torchvision.ops.SqueezeExcitation(8, 4),
    "torchvision SE, hard": lambda: torchvision.ops.SqueezeExcitation(8, 4, scale_activation=nn.Hardsigmoid),
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_gates_of_channels_are_refused_with_the_reason(kind: str) -> None:
    model = model_of(Body(CHANNELS[kind]()))
    assert Gates().unsuitable(model) == (
        "This network's gates weigh channels (squeeze-excite), which have no place on the image."
    )


@pytest.mark.parametrize("part", [nn.Identity, nn.SiLU, HandMadeSwish])
def test_an_activation_is_no_gate(part: type[nn.Module]) -> None:
    assert Gates().unsuitable(model_of(Body(part()))) == "This network has no gates."


def test_a_segmentation_by_sigmoid_is_no_gate() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1), nn.Sigmoid())
    assert Gates().unsuitable(model_of(net, labels=["lesion"])) == "This network has no gates."


def test_gates_of_a_volume() -> None:
    class Volume(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.psi = nn.Conv3d(1, 4, 3, 2, 1), nn.Conv3d(4, 1, 1)
            self.fc = nn.Linear(4, len(LABELS))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.fc((x * self.psi(x).sigmoid()).mean((2, 3, 4)))

    net = Volume().eval()
    model = model_of(net, (4, 8, 8), 1)
    features = net.first(model.batch(inputs_of(model)))
    assert near(one(model, Gates()).values, net.psi(features).sigmoid()[0, 0].detach().numpy())


def test_reading_gates_changes_no_answer() -> None:
    model = make("gated CNN")
    plain = model.predict(inputs_of(model))[0]
    explained = explain(model, inputs_of(model), [Gates()])
    assert np.allclose([s.logit for s in explained.predictions[0].scores], [s.logit for s in plain.scores])
