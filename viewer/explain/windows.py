# SPDX-License-Identifier: Apache-2.0
"""Where the windows of a Swin transformer lie: which token is in which slot of which window.

timm shifts the grid cyclically and then pads it to whole windows; torchvision pads first and shifts the
padded grid, and not at all along an axis that one window covers.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PADDING = -1


@dataclass(frozen=True, slots=True)
class Windows:
    """`slots` (windows, slots) is the token in each slot, −1 for padding; `home` (tokens,) is where
    among all slots each token is."""

    grid: tuple[int, int]
    slots: Tensor
    home: Tensor

    def apply(self, row: Tensor, matrix: Tensor) -> Tensor:
        """`row` (…, tokens) times the windows' matrices (…, windows, slots, slots), put in place.

        Padding asks nothing, and what is given to it is lost.
        """
        asked = F.pad(row, (0, 1))[..., self.slots]  # the index −1 means the zero at the end
        given = (asked[..., None, :] @ matrix)[..., 0, :]
        return given.flatten(-2)[..., self.home]


def windows_of(module: nn.Module, around: nn.Module, given: tuple[Any, ...]) -> Windows | None:
    """The windows of an attention module, from its settings and what it or the block around it is given."""
    pads_first = hasattr(module, "shift_size")
    holder: Any = module if pads_first else around
    if not hasattr(holder, "shift_size") or not isinstance(given[0], Tensor) or given[0].ndim != 4:
        return None
    rows, columns = (int(n) for n in given[0].shape[1:3])
    size, shift = tuple(holder.window_size), tuple(holder.shift_size)
    return windows((rows, columns), size, shift, pads_first, given[0].device)


def windows(
    grid: tuple[int, int],
    size: tuple[int, int],
    shift: tuple[int, int],
    pads_first: bool,
    device: torch.device | None = None,
) -> Windows:
    """The windows of `size` over a grid (rows, columns) that is shifted up and left by `shift`."""
    tokens = torch.arange(grid[0] * grid[1]).reshape(grid)
    missing = [-n % s for n, s in zip(grid, size, strict=True)]
    padding = (0, missing[1], 0, missing[0])
    if pads_first:
        moves = [0 if s >= n + m else -by for n, m, s, by in zip(grid, missing, size, shift, strict=True)]
        placed = F.pad(tokens, padding, value=_PADDING).roll(moves, (0, 1))
    else:
        placed = F.pad(tokens.roll([-by for by in shift], (0, 1)), padding, value=_PADDING)
    rows, columns = size
    cut = placed.reshape(placed.shape[0] // rows, rows, placed.shape[1] // columns, columns)
    slots = cut.transpose(1, 2).reshape(-1, rows * columns)
    home = slots.flatten().argsort(stable=True)[-tokens.numel() :]  # padding comes first
    return Windows(grid, slots.to(device), home.to(device))
