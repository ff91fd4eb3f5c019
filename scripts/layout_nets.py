# SPDX-License-Identifier: Apache-2.0
"""Miniature networks laid out as those of transformers and MONAI lay theirs out, written anew and untrained.

Only what matters to the places of numbers is kept: which axes there are, how windows are cut and put
together, which tokens have no place. `measure_layouts.py` and the tests look for layouts in them.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention (n, tokens, channels) by query, key and value, with a bias between places or none."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.drop = nn.Dropout(0.1)
        self.heads = heads

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        score = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        weights = self.drop((score if bias is None else score + bias).softmax(-1))
        result: Tensor = (weights @ v).transpose(1, 2).flatten(2)
        return result


class Block(nn.Module):
    """A layer of a vision transformer as transformers has it; it gives a tuple."""

    def __init__(self, width: int, bias: nn.Module | None = None) -> None:
        super().__init__()
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.intermediate, self.output = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.relative_position_bias = bias

    def forward(self, x: Tensor) -> tuple[Tensor]:
        bias = None if self.relative_position_bias is None else self.relative_position_bias(x.shape[1])
        x = x + self.attention(self.layernorm_before(x), bias)
        return (x + self.output(F.gelu(self.intermediate(self.layernorm_after(x)))),)


class PositionBias(nn.Module):
    """A number for each pair of places and each head, (heads, tokens, tokens), of no image."""

    def __init__(self, tokens: int, heads: int = 2) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(heads, tokens, tokens))

    def forward(self, tokens: int) -> Tensor:
        return self.table[:, :tokens, :tokens] + 0


class Embeddings(nn.Module):
    def __init__(
        self, patch: int, width: int, tokens: int, prefix: int, dimensions: int, channels: int
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.projection = convolution(channels, width, patch, patch)
        self.prefix = nn.Parameter(torch.randn(1, prefix, width))
        self.places = nn.Parameter(torch.randn(1, tokens + prefix, width))

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection(x).flatten(2).transpose(1, 2)
        return torch.cat([self.prefix.expand(len(x), -1, -1), x], 1) + self.places


class ViT(nn.Module):
    """As ViT, DINOv2 with registers, or BEiT; of images or volumes."""

    def __init__(
        self, size: Sequence[int], patch: int = 8, prefix: int = 1, biased: bool = False, channels: int = 1
    ) -> None:
        super().__init__()
        tokens = 1
        for n in size:
            tokens *= n // patch
        self.embeddings = Embeddings(patch, 16, tokens, prefix, len(size), channels)
        count = tokens + prefix
        self.layer = nn.ModuleList(Block(16, PositionBias(count) if biased else None) for _ in range(3))
        self.layernorm, self.classifier = nn.LayerNorm(16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embeddings(x)
        for layer in self.layer:
            (x,) = layer(x)
        result: Tensor = self.classifier(self.layernorm(x).mean(1))
        return result


def cut(x: Tensor, side: int) -> Tensor:
    """(n, …grid, c) into windows (n × windows, cells, c)."""
    dimensions, n, c = x.ndim - 2, len(x), x.shape[-1]
    for axis in reversed(range(1, dimensions + 1)):
        x = x.unflatten(axis, (-1, side))
    order = [0, *range(1, 2 * dimensions, 2), *range(2, 2 * dimensions + 1, 2), 2 * dimensions + 1]
    return x.permute(order).reshape(-1, side**dimensions, c) if n else x


def put_together(windows: Tensor, side: int, grid: Sequence[int]) -> Tensor:
    """Windows back into (n, …grid, c)."""
    dimensions, c = len(grid), windows.shape[-1]
    counts = [size // side for size in grid]
    x = windows.reshape(-1, *counts, *[side] * dimensions, c)
    order = [0, *(a for i in range(dimensions) for a in (1 + i, 1 + dimensions + i)), 2 * dimensions + 1]
    return x.permute(order).reshape(-1, *grid, c)


class BiasTable(nn.Module):
    """A small network gives the bias of each offset within a window: (1, 2s − 1, 2s − 1, heads)."""

    def __init__(self, side: int, dimensions: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dimensions, 8), nn.ReLU(), nn.Linear(8, 2))
        line = torch.arange(1.0 - side, side)
        self.register_buffer(
            "offsets", torch.stack(torch.meshgrid([line] * dimensions, indexing="ij"), -1)[None]
        )
        cells = torch.stack(torch.meshgrid([torch.arange(side)] * dimensions, indexing="ij"), -1)
        between = cells.reshape(-1, 1, dimensions) - cells.reshape(1, -1, dimensions) + side - 1
        scale = torch.tensor([(2 * side - 1) ** (dimensions - 1 - i) for i in range(dimensions)])
        self.register_buffer("index", (between * scale).sum(-1))

    def forward(self) -> Tensor:
        result: Tensor = self.mlp(self.offsets).flatten(0, -2)[self.index].permute(2, 0, 1)
        return result


class SwinLayer(nn.Module):
    """A block on windows, moved by half of one or not; (n, …grid, c) in and out, or tokens of a grid."""

    def __init__(self, width: int, side: int, moved: bool, dimensions: int) -> None:
        super().__init__()
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.continuous_position_bias = BiasTable(side, dimensions)
        self.attention = Attention(width)
        self.intermediate, self.output = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.side, self.shift = side, side // 2 if moved else 0

    def forward(self, x: Tensor, grid: Sequence[int]) -> tuple[Tensor, Sequence[int]]:
        own = x.shape
        axes = tuple(range(1, len(grid) + 1))
        y = self.layernorm_before(x).reshape(len(x), *grid, own[-1]).roll([-self.shift] * len(grid), axes)
        y = self.attention(cut(y, self.side), self.continuous_position_bias())
        y = put_together(y, self.side, grid).roll([self.shift] * len(grid), axes).reshape(own)
        x = x + y
        return x + self.output(F.gelu(self.intermediate(self.layernorm_after(x)))), grid


class Merging(nn.Module):
    """Each 2 × 2 (× 2) cells become one: (n, …grid, c) or tokens → half as fine, twice as wide."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2**dimensions * width)
        self.reduction = nn.Linear(2**dimensions * width, 2 * width)

    def forward(self, x: Tensor, grid: Sequence[int]) -> Tensor:
        half = [n // 2 for n in grid]
        y = cut(x.reshape(len(x), *grid, x.shape[-1]), 2).flatten(1)
        y = self.reduction(self.norm(y.reshape(len(x), *half, -1)))
        result: Tensor = y.flatten(1, -2) if x.ndim == 3 else y
        return result


class Swin(nn.Module):
    """As transformers' Swin v2: all between the patches and the pooling are tokens (n, cells, c)."""

    def __init__(self) -> None:
        super().__init__()
        self.projection, self.norm = nn.Conv2d(1, 8, 4, 4), nn.LayerNorm(8)
        self.blocks = nn.ModuleList(
            SwinLayer(width, 4, moved, 2) for width in (8, 16) for moved in (False, True)
        )
        self.downsample = Merging(8, 2)
        self.layernorm, self.pooler, self.classifier = (
            nn.LayerNorm(16),
            nn.AdaptiveAvgPool1d(1),
            nn.Linear(16, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection(x)
        grid: Sequence[int] = x.shape[2:]
        x = self.norm(x.flatten(2).transpose(1, 2))
        for block in self.blocks[:2]:
            x, grid = block(x, grid)
        x, grid = self.downsample(x, grid), [n // 2 for n in grid]
        for block in self.blocks[2:]:
            x, grid = block(x, grid)
        result: Tensor = self.classifier(self.pooler(self.layernorm(x).transpose(1, 2)).flatten(1))
        return result


class Mixed(nn.Module):
    """As SegFormer: overlapping patches, tokens in each stage, and a head that puts them back in place."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.ModuleList([nn.Conv2d(3, 8, 7, 4, 3), nn.Conv2d(8, 16, 3, 2, 1)])
        self.norms = nn.ModuleList(nn.LayerNorm(w) for w in (8, 16))
        self.blocks = nn.ModuleList(Block(w) for w in (8, 16))
        self.linear = nn.ModuleList(nn.Linear(w, 8) for w in (8, 16))
        self.fuse, self.classifier = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        own, seen = x.shape[2:], []
        for patches, norm, block, linear in zip(
            self.patches, self.norms, self.blocks, self.linear, strict=True
        ):
            x = patches(x)
            grid = x.shape[2:]
            (y,) = block(norm(x.flatten(2).transpose(1, 2)))
            x = y.transpose(1, 2).unflatten(2, grid)
            seen.append(F.interpolate(linear(y).transpose(1, 2).unflatten(2, grid), [n // 4 for n in own]))
        return F.interpolate(self.classifier(F.relu(self.fuse(torch.cat(seen, 1)))), own)


class Queries(nn.Module):
    """As DETR: a convolution, an encoder over its cells, and a decoder whose queries have no place."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 16, 7, 8, 3), nn.BatchNorm2d(16), nn.ReLU())
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.decoder = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
        self.queries = nn.Parameter(torch.randn(1, 9, 16))
        self.boxes, self.classes = nn.Linear(16, 4), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.encoder(self.backbone(x).flatten(2).transpose(1, 2))
        found = self.decoder(self.queries.expand(len(x), -1, -1), memory)
        self.boxes(found)
        result: Tensor = self.classes(found).amax(1)
        return result
