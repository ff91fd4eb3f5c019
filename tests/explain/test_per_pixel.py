# SPDX-License-Identifier: Apache-2.0
"""Of networks with an output per pixel the suggested layer still tells regions and classes apart."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explain_nets import inputs_of, maps, model_of
from torch import Tensor, nn

from plugins.grad_cam import GradCAM
from viewer.explain import explain, suggest
from viewer.models import Model
from viewer.types import Region, Target


def block(a: int, b: int, dimensions: int = 2) -> nn.Sequential:
    convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if dimensions == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(convolution(a, b, 3, padding=1), norm(b), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Two resolutions of encoder and decoder with skips, and a 1 × 1 classifier of every pixel."""

    def __init__(self, dimensions: int = 2, last: Callable[[Tensor], Tensor] = lambda y: y) -> None:
        super().__init__()
        self.one, self.two, self.bottom = (block(a, b, dimensions) for a, b in ((3, 6), (6, 12), (12, 24)))
        self.up, self.end = block(36, 12, dimensions), block(18, 6, dimensions)
        self.head = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(6, 3, 1)
        self.pool = F.max_pool2d if dimensions == 2 else F.max_pool3d
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(self.pool(one, 2))
        y = self.bottom(self.pool(two, 2))
        y = self.up(torch.cat([F.interpolate(y, scale_factor=2.0), two], 1))
        return self.last(self.head(self.end(torch.cat([F.interpolate(y, scale_factor=2.0), one], 1))))


class Coarse(nn.Module):
    """As FCN: an encoder, a head of a 3 × 3 and a 1 × 1 convolution, and its classes scaled to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            block(3, 8), nn.MaxPool2d(2), block(8, 16), nn.MaxPool2d(2), block(16, 16)
        )
        self.classifier = nn.Sequential(block(16, 16), nn.Conv2d(16, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.classifier(self.encoder(x)), x.shape[2:])


class Flat(nn.Module):
    """One resolution throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(block(3, 8), block(8, 8), block(8, 8), nn.Conv2d(8, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


NETS: dict[str, Callable[[], nn.Module]] = {
    "U-Net": UNet,
    "U-Net with softmax behind": lambda: UNet(last=lambda y: y.softmax(1)),
    "an encoder and a coarse head": Coarse,
    "one resolution": Flat,
}


def alike(model: Model, layer: str | None, targets: Sequence[Target]) -> float:
    first, second = maps(explain(model, inputs_of(model), [GradCAM(layer)], targets))
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", NETS)
def test_the_suggested_layers_map_changes_with_the_region_and_the_class(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    model = model_of(NETS[name](), (32, 32))
    assert suggest(model)[0] not in ("head", "classifier", "classifier.1", "body.3")
    series = inputs_of(model)[0].series
    left = Region.box(series, 0, (4, 4, 15, 12), "left")
    right = Region.box(series, 0, (16, 18, 28, 30), "right")
    for label in range(3):
        here = Target(str(label), label, region=left)
        assert alike(model, None, [here, Target(str(label), label, region=right)]) < 0.995
        assert alike(model, None, [here, Target("other", (label + 1) % 3, region=left)]) < 0.995
