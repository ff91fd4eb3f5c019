# SPDX-License-Identifier: Apache-2.0
"""Miniature networks of every kind that explainers meet, and what holds them in the tests."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from viewer import affine
from viewer.explain import Explained, Explainer, explain
from viewer.models import Card, Model
from viewer.models.builtin import SmallCNN
from viewer.types import Attribution, Display, Geometry, ModelInput, Series

LABELS = ("effusion", "mass", "nodule")


class Residual(nn.Module):
    """A stem, two residual blocks with in-place additions, pooling, a linear layer."""

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += self.shortcut(x)
            return self.relu(y)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True))
        self.layer1 = self.Block(8, 8, 1)
        self.layer2 = self.Block(8, 12, 2)
        self.fc = nn.Linear(12, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class DenseLike(nn.Module):
    """Concatenated features whose last layer goes into an in-place ReLU outside the layer."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.inplace = inplace
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 6, 3, 1, 1)
        self.features = nn.Sequential(nn.BatchNorm2d(12))
        self.classifier = nn.Linear(12, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.features(torch.cat([x, self.second(x)], 1))
        return self.classifier(F.relu(x, inplace=self.inplace).mean((2, 3)))


class TorchTransformer(nn.Module):
    """Patches, a class token, and `nn.TransformerEncoderLayer`, which has a fast path."""

    def __init__(self, pool: str = "class", norm_first: bool = True) -> None:
        super().__init__()
        self.pool = pool
        self.patches = nn.Conv2d(3, 24, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.place = nn.Parameter(torch.randn(1, 17, 24) * 0.2)
        block = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True, norm_first=norm_first, dropout=0.1)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(24, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.encoder(x)[:, 0])


class PerPixel(nn.Module):
    """One output per pixel and label."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.out = nn.Conv2d(6, len(LABELS), 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x))


class UNet(nn.Module):
    """Down, up, and a skip connection by concatenation; one output per pixel and label."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.bottom = nn.Sequential(nn.Conv2d(6, 10, 3, padding=1), nn.ReLU(inplace=True))
        self.up = nn.ConvTranspose2d(10, 6, 2, 2)
        self.merge = nn.Sequential(nn.Conv2d(12, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.out = nn.Conv2d(8, len(LABELS), 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down(x)
        return self.out(self.merge(torch.cat([fine, self.up(self.bottom(self.pool(fine)))], 1)))


def densenet() -> nn.Module:
    """torchvision's DenseNet with two small blocks: a ReLU in place behind its features."""
    return torchvision.models.DenseNet(6, (2, 2), 8, num_classes=len(LABELS))


def vit(**arguments: Any) -> nn.Module:
    """timm's vision transformer: 32 × 32 pixels, 4 × 4 patches, 2 blocks, 3 heads."""
    facts = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 3, "num_classes": 3}
    net = timm.create_model("vit_tiny_patch16_224", **(facts | arguments))
    for parameter in net.parameters():  # timm starts so small that every image looks the same
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return net


def torchvision_vit() -> nn.Module:
    """torchvision's vision transformer, whose head starts as zeros."""
    net = torchvision.models.VisionTransformer(32, 8, 2, 4, 24, 32, num_classes=len(LABELS))
    nn.init.normal_(net.heads.head.weight)
    return net


def swin(**arguments: Any) -> nn.Module:
    """timm's Swin: 32 × 32 pixels, 8 × 8 and 4 × 4 patches, windows of 4 × 4, the second one shifted."""
    facts = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 12, "depths": (2, 1)}
    facts |= {"num_heads": (2, 4), "num_classes": len(LABELS)}
    net = timm.models.SwinTransformer(**(facts | arguments))
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return net


class Gated(nn.Module):
    """Two convolutions, each behind it the gates of channels and of cells that CBAM sets."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True), self.gates(8))
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(inplace=True), self.gates(8))
        self.fc = nn.Linear(8, len(LABELS))

    @staticmethod
    def gates(channels: int) -> nn.Module:
        return timm.layers.cbam.CbamModule(channels, rd_channels=4, spatial_kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.second(self.first(x)).mean((2, 3)))


def without_biases() -> nn.Module:
    """Convolutions, pooling and one linear layer, all of them modules; of its logits nothing is a bias's."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, len(LABELS), bias=False),
    )  # fmt: skip


def distilled() -> nn.Module:
    """timm's distilled DeiT: a class token and a distillation token, each with a head of its own."""
    net = timm.models.VisionTransformerDistilled(
        img_size=32, patch_size=8, depth=2, embed_dim=24, num_heads=3, num_classes=len(LABELS)
    )
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return net


NETS: dict[str, Callable[[], nn.Module]] = {
    "plain CNN": lambda: SmallCNN(3, 3, (6, 8)),
    "residual": Residual,
    "dense": DenseLike,
    "timm ViT": vit,
    "ViT with registers": lambda: vit(reg_tokens=4),
    "DeiT, distilled": distilled,
    "Swin": swin,
    "torch transformer": TorchTransformer,
    "3D CNN": lambda: SmallCNN(1, 3, (4, 6), dimensions=3),
    "U-Net": UNet,
}

MORE: dict[str, Callable[[], nn.Module]] = {
    "DenseNet": densenet,
    "gated CNN": Gated,
    "CNN without biases": without_biases,
}
"""Further kinds, for `make`; the contract's tests leave them out for their time."""


def restless(net: nn.Module) -> nn.Module:
    """Give normalisation and biases values of their own: fresh ones hide mistakes."""
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.3)
            nn.init.normal_(m.running_mean, std=0.1)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    return net


def model_of(
    net: nn.Module,
    size: Sequence[int] = (32, 32),
    channels: int = 3,
    labels: Sequence[str] = LABELS,
    explain: dict[str, Any] | None = None,
    **output: Any,
) -> Model:
    """A model around any network."""
    card = Card.model_validate(
        {
            "name": "miniature",
            "architecture": "test:miniature",
            "weights": "none",
            "input": {"dimensions": len(size), "channels": channels, "size": tuple(size)},
            "output": {"labels": tuple(labels), **output},
            "explain": explain or {},
        }
    )
    return Model(card, net, "0" * 64, torch.device("cpu"))


def make(kind: str, seed: int = 0) -> Model:
    """The miniature of a kind in `NETS` or `MORE`, its weights fixed by the kind and the seed."""
    torch.manual_seed(zlib.crc32(kind.encode()) + seed)
    volume = kind.startswith("3D")
    return model_of(restless((NETS | MORE)[kind]()), (8, 16, 16) if volume else (32, 32), 1 if volume else 3)


def series_of(shape: Sequence[int]) -> Series:
    """A synthetic series without a geometry."""
    voxels = np.random.default_rng(1).integers(0, 255, tuple(shape)).astype(np.uint8)
    geometry = Geometry(affine.scale_offset((1, 1, 1), (0, 0, 0)))
    return Series("1.2.3", "CT", voxels, geometry, Display(((1.0, 0.0),) * shape[0]))


def inputs_of(model: Model, n: int = 1, seed: int = 5) -> list[ModelInput]:
    """Random inputs of one series, slice by slice; for a 3D network the same volume's."""
    generator = torch.Generator().manual_seed(seed)
    size = model.card.input.size
    volume = len(size) == 3
    series = series_of(size if volume else (max(n, 1), *size))
    return [
        ModelInput(
            series,
            None if volume else i,
            torch.randn(1, *model.input_shape, generator=generator),
            affine.scale_offset((1, 1, 1), (0 if volume else i, 0, 0)),
        )
        for i in range(n)
    ]


def maps(explained: Explained) -> list[np.ndarray]:
    """The maps of a run that refused nothing."""
    assert not explained.refused, explained.refused
    return [a.values for a in explained.attributions]


def one(model: Model, method: Explainer, wish: Any = "top", **arguments: Any) -> Attribution:
    """The one map of one input, one method and one target."""
    (source,) = inputs_of(model)
    explained = explain(model, [source], [method], [wish], **arguments)
    assert not explained.refused, explained.refused
    (attribution,) = explained.attributions
    return attribution


def near(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    """Whether two maps agree to a share of the larger one's range, and are not blank."""
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    size = np.abs(b).max()
    return a.shape == b.shape and size > 0 and bool(np.abs(a - b).max() <= tolerance * size)


def per_label(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """The network with one number per label, as peers want it: the mean of an output per pixel."""

    def run(x: Tensor) -> Tensor:
        output: Tensor = net(x)
        return output.flatten(2).mean(2) if output.ndim > 2 else output

    return run
