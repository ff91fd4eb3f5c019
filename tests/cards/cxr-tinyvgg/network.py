# SPDX-License-Identifier: Apache-2.0
"""A small VGG for 64 × 64 pictures: two blocks of two convolutions, and one linear layer."""

from torch import Tensor, nn


def _block(inside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, 10, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(10, 10, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class Net(nn.Module):
    """(n, 3, 64, 64), 0 … 1 → (n, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block_1 = _block(3)
        self.conv_block_2 = _block(10)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(10 * 16 * 16, 2))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.classifier(self.conv_block_2(self.conv_block_1(x)))
        return result
