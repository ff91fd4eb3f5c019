# SPDX-License-Identifier: Apache-2.0
"""Networks that the field uses and no package brings, with the names of their published weights if any."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Convolution blocks, global average pooling and one linear layer; 2D or 3D.

    Of this shape HiResCAM shows exactly what the network used (Draelos & Carin 2020).
    """

    def __init__(
        self,
        channels: int = 1,
        num_classes: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        conv: type[nn.Module] = nn.Conv3d if dimensions == 3 else nn.Conv2d
        norm: type[nn.Module] = nn.BatchNorm3d if dimensions == 3 else nn.BatchNorm2d
        pool: type[nn.Module] = nn.MaxPool3d if dimensions == 3 else nn.MaxPool2d
        blocks = []
        for index, width in enumerate(widths):
            layers = [conv(channels, width, 3, padding=1, bias=False), norm(width), nn.ReLU(inplace=True)]
            blocks.append(nn.Sequential(*layers, *([pool(2)] if index < len(widths) - 1 else [])))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.blocks(x).flatten(2).mean(2)))


class _ConvStem(nn.Module):
    """Convolutions in the place of a transformer's patches: (n, channels, rows, columns) → (n, tokens, dim).

    As in Xiao et al. 2021, but with the blocks of `SmallCNN`, from whose weights it can begin.
    """

    def __init__(
        self, img_size: int, in_chans: int, embed_dim: int, widths: Sequence[int], **_: object
    ) -> None:
        super().__init__()
        side = img_size >> len(widths) - 1
        if side < 1:
            raise ValueError("the size is too small for so many blocks")
        self.blocks = SmallCNN(in_chans, 1, widths).blocks
        self.proj = nn.Conv2d(widths[-1], embed_dim, 1)
        self.num_patches = side * side

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.proj(self.blocks(x)).flatten(2).mT)


def small_vit(
    channels: int = 1,
    num_classes: int = 1,
    size: int = 128,
    widths: Sequence[int] = (16, 32, 48, 64),
    dim: int = 96,
    depth: int = 2,
    heads: int = 4,
) -> nn.Module:
    """timm's transformer behind a stem of convolutions, for squares of `size` pixels.

    Such a stem learns from few images (Xiao et al., Early convolutions help transformers see better,
    NeurIPS 2021).
    """
    from timm.models.vision_transformer import VisionTransformer  # takes a second to import

    net: nn.Module = VisionTransformer(
        img_size=size,
        patch_size=2 ** (len(widths) - 1),
        in_chans=channels,
        num_classes=num_classes,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        embed_layer=partial(_ConvStem, widths=widths),
    )
    return net


class _CifarBlock(nn.Module):
    """Two convolutions and a shortcut without parameters (option A of He et al. 2016, §4.2)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.stride, self.extra = stride, outside - inside

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra or self.stride > 1:
            half = self.extra // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.extra - half))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """ResNet for 32 × 32 pictures (He et al. 2016, §4.2); depth is 6 n + 2."""

    def __init__(self, depth: int = 20, num_classes: int = 10) -> None:
        super().__init__()
        if depth % 6 != 2:
            raise ValueError("depth is 6 n + 2, e.g. 20")
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, 1, depth // 6)
        self.layer2 = self._stage(16, 32, 2, depth // 6)
        self.layer3 = self._stage(32, 64, 2, depth // 6)
        self.linear = nn.Linear(64, num_classes)

    @staticmethod
    def _stage(inside: int, outside: int, stride: int, blocks: int) -> nn.Sequential:
        first = _CifarBlock(inside, outside, stride)
        return nn.Sequential(first, *(_CifarBlock(outside, outside, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast(Tensor, self.linear(x.mean((2, 3))))


class MeshNet(nn.Module):
    """Dilated 3D convolutions at full resolution (Fedorov et al. 2017); one output per voxel.

    The names are those of brainchop's weights: `model.0`, `model.2`, … for the convolutions.
    """

    def __init__(
        self,
        channels: int = 5,
        num_classes: int = 3,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 8, 4, 2, 1),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        act = {"relu": nn.ReLU, "gelu": nn.GELU, "elu": nn.ELU}[activation]
        if min(dilations, default=1) < 1:
            raise ValueError("dilations are whole numbers of at least 1")
        layers: list[nn.Module] = []
        inside = 1
        for dilation in dilations:
            layers += [nn.Conv3d(inside, channels, 3, padding=dilation, dilation=dilation), act()]
            inside = channels
        self.model = nn.Sequential(*layers, nn.Conv3d(inside, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.model(x))


BUILTIN: dict[str, Callable[..., nn.Module]] = {
    "small-cnn": SmallCNN,
    "small-vit": small_vit,
    "resnet-cifar": CifarResNet,
    "meshnet": MeshNet,
}
