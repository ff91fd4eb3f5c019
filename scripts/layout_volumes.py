# SPDX-License-Identifier: Apache-2.0
"""Miniature networks of volumes and of segmentation, laid out as those of MONAI, written anew, untrained."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from layout_nets import Block, Merging, SwinLayer
from torch import Tensor, nn

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
UP = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def convolve(a: int, b: int, dimensions: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(CONVOLUTIONS[dimensions](a, b, 3, stride, 1), NORMS[dimensions](b), nn.PReLU())


class UNet(nn.Module):
    """As MONAI's UNet: each level holds the one below it and joins its own input to what comes back."""

    def __init__(self, dimensions: int, widths: Sequence[int] = (4, 8, 16)) -> None:
        super().__init__()
        self.model = Level(1, widths, dimensions)
        self.out = CONVOLUTIONS[dimensions](widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(self.model(x))
        return result


class Level(nn.Module):
    def __init__(self, inside: int, widths: Sequence[int], dimensions: int) -> None:
        super().__init__()
        own, *deeper = widths
        self.down = convolve(inside, own, dimensions, 1 if inside == 1 else 2)
        self.submodule = Level(own, deeper, dimensions) if deeper else None
        if deeper:
            self.up = UP[dimensions](deeper[0], own, 2, 2)
            self.join = convolve(2 * own, own, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        if self.submodule is None:
            return x
        result: Tensor = self.join(torch.cat([x, self.up(self.submodule(x))], 1))
        return result


class AttentionUNet(nn.Module):
    """One level, whose skip passes through a gate of one number a cell."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.down, self.deep = convolve(1, 4, dimensions), convolve(4, 8, dimensions, 2)
        self.up = UP[dimensions](8, 4, 2, 2)
        self.w_g, self.w_x = (CONVOLUTIONS[dimensions](4, 2, 1) for _ in range(2))
        self.psi = nn.Sequential(CONVOLUTIONS[dimensions](2, 1, 1), nn.Sigmoid())
        self.merge, self.head = convolve(8, 4, dimensions), CONVOLUTIONS[dimensions](4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        up = self.up(self.deep(x))
        gate = self.psi(F.relu(self.w_g(up) + self.w_x(x)))
        result: Tensor = self.head(self.merge(torch.cat([up, x * gate], 1)))
        return result


class SegResNet(nn.Module):
    """Residual blocks, one resolution down and up."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_init, self.block = nn.Conv3d(1, 4, 3, padding=1), convolve(4, 4, 3)
        self.down = nn.Conv3d(4, 8, 3, 2, 1)
        self.deep = nn.Sequential(convolve(8, 8, 3), convolve(8, 8, 3))
        self.up_sample = nn.Sequential(nn.Conv3d(8, 4, 1), nn.Upsample(scale_factor=2, mode="trilinear"))
        self.conv_final = nn.Sequential(nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv3d(4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_init(x)
        x = x + self.block(x)
        result: Tensor = self.conv_final(x + self.up_sample(self.deep(self.down(x))))
        return result


class DenseNet(nn.Module):
    """A classifier of volumes with joined features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv3d(1, 6, 5, 2, 2), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2))
        self.layers = nn.ModuleList(convolve(6 + 4 * i, 4, 3) for i in range(2))
        self.class_layers = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(14, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        result: Tensor = self.class_layers(x)
        return result


class UNETR(nn.Module):
    """A transformer over the patches of a volume of one size, and a decoder that puts them in place."""

    def __init__(self, size: Sequence[int] = (32, 16, 48)) -> None:
        super().__init__()
        self.grid = [n // 8 for n in size]
        cells = self.grid[0] * self.grid[1] * self.grid[2]
        self.patch_embedding = nn.Conv3d(1, 12, 8, 8)
        self.places = nn.Parameter(torch.randn(1, cells, 12))
        self.blocks = nn.ModuleList(Block(12) for _ in range(2))
        self.norm = nn.LayerNorm(12)
        self.encoder1 = convolve(1, 4, 3)
        self.decoder2 = nn.Sequential(UP[3](12, 8, 2, 2), convolve(8, 8, 3))
        self.decoder1 = nn.Sequential(UP[3](8, 4, 4, 4), convolve(4, 4, 3))
        self.out = nn.Conv3d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patch_embedding(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            (y,) = block(y)
        y = self.norm(y).transpose(1, 2).unflatten(2, self.grid)
        result: Tensor = self.out(torch.cat([self.encoder1(x), self.decoder1(self.decoder2(y))], 1))
        return result


class SwinUNETR(nn.Module):
    """Channels come last inside the windows' stages and first in all that goes to the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = nn.Conv3d(1, 6, 2, 2)
        self.blocks = nn.ModuleList(
            SwinLayer(width, 4, moved, 3) for width in (6, 12) for moved in (False, True)
        )
        self.downsample = Merging(6, 3)
        self.encoder1, self.encoder2 = convolve(1, 6, 3), convolve(6, 6, 3)
        self.encoder3 = convolve(12, 12, 3)
        self.decoder2, self.decoder1 = UP[3](12, 6, 2, 2), UP[3](6, 6, 2, 2)
        self.join2, self.join1 = convolve(12, 6, 3), convolve(12, 6, 3)
        self.out = nn.Conv3d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.patch_embed(x)
        y, grid = first.permute(0, 2, 3, 4, 1), first.shape[2:]
        for block in self.blocks[:2]:
            y, grid = block(y, grid)
        y, grid = self.downsample(y, grid), [n // 2 for n in grid]
        for block in self.blocks[2:]:
            y, grid = block(y, grid)
        deep = self.encoder3(F.layer_norm(y, y.shape[-1:]).permute(0, 4, 1, 2, 3))
        two = self.join2(torch.cat([self.decoder2(deep), self.encoder2(first)], 1))
        result: Tensor = self.out(self.join1(torch.cat([self.decoder1(two), self.encoder1(x)], 1)))
        return result


class BySlices(nn.Module):
    """A network of images over every slice of a volume, which stand in the batch; then they are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1))
        self.volume = nn.Conv3d(12, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.image(x.transpose(1, 2).flatten(0, 1))
        y = self.volume(y.unflatten(0, (len(x), -1)).transpose(1, 2))
        result: Tensor = self.head(y.mean((2, 3, 4)))
        return result
