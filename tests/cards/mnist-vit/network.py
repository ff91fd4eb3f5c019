# SPDX-License-Identifier: Apache-2.0
"""A vision transformer of one block for 28 × 28 pictures: 16 tokens, no class token, mean pooling."""

import torch
from torch import Tensor, nn


class Patches(nn.Module):
    """(n, 1, 28, 28) → (n, 16, 32): each 7 × 7 patch, row by row, through one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(49, 32)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.reshape(-1, 4, 7, 4, 7).permute(0, 1, 3, 2, 4).reshape(-1, 16, 49)
        result: Tensor = self.proj(patches)
        return result


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(32, 64)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(64, 32)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(self.gelu(self.fc1(x)))
        return result


class Block(nn.Module):
    """Attention and feed-forward, each followed by its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(32, 1, batch_first=True)
        self.norm1 = nn.LayerNorm(32)
        self.ffn = FeedForward()
        self.norm2 = nn.LayerNorm(32)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.attn(x, x, x, need_weights=False)[0])
        result: Tensor = self.norm2(x + self.ffn(x))
        return result


class Net(nn.Module):
    """(n, 1, 28, 28) → (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 16, 32))
        self.patch_embed = Patches()
        self.encoder = nn.ModuleList([Block()])
        self.norm = nn.LayerNorm(32)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.encoder:
            x = block(x)
        result: Tensor = self.classifier(self.norm(x).mean(1))
        return result
