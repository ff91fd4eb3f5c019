# SPDX-License-Identifier: Apache-2.0
"""Two convolutions and two linear layers for 28 × 28 pictures."""

import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """(n, 1, 28, 28), 0 … 255 → (n, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.layer2 = nn.Sequential(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.fc1 = nn.Linear(32 * 7 * 7, 32)
        self.fc2 = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(x)).flatten(1)
        result: Tensor = self.fc2(F.relu(self.fc1(x)))
        return result
