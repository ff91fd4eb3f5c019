# SPDX-License-Identifier: Apache-2.0
"""A layer whose output is a map over the image: which of its axes are the image's, and which its channels."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

Layout = Literal["channels first", "channels last", "tokens"]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose output is a map over the image.

    `grid` is its (rows, columns) or (slices, rows, columns). `axes` are the output's axes, the batch being 0:
    that of the channels, then those of the grid in the image's order, or the one along which the cells lie
    as tokens, row by row and slice by slice, behind `prefix` tokens that have no place.
    """

    name: str
    channels: int
    grid: tuple[int, ...]
    axes: tuple[int, ...]
    prefix: int = 0

    @property
    def layout(self) -> Layout:
        """Where the channels are, in words."""
        if len(self.axes) <= len(self.grid):
            return "tokens"
        return "channels first" if self.axes[0] == 1 else "channels last"

    def as_map(self, own: Tensor) -> Tensor:
        """What the layer gave, as the network lays it out, as a view (n, channels, …grid)."""
        laid = own.permute(0, *self.axes)
        return over_grid(laid[..., self.prefix :], self.grid) if self.layout == "tokens" else laid

    def laid_out(self, cells: Tensor, like: Tensor) -> Tensor:
        """A map (n, channels, …grid) as the network lays it out, behind the prefix of `like`; a copy."""
        if self.layout == "tokens":
            before = like.permute(0, *self.axes)[..., : self.prefix]
            cells = torch.cat([before, cells.flatten(2)], -1)
        order = (0, *self.axes)
        return cells.permute([order.index(axis) for axis in range(len(order))]).clone()


def over_grid(tokens: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Tokens (n, channels, cells) over their grid, a view (n, channels, …grid)."""
    return tokens.reshape(*tokens.shape[:2], *grid)


def of_shape(name: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Layer:
    """The layer of an output (n, …) with an axis of its own for each of the image's."""
    return Layer(name, shape[axes[0]], tuple(shape[axis] for axis in axes[1:]), axes)


def of_tokens(
    name: str, shape: tuple[int, ...], axes: tuple[int, int], grid: tuple[int, ...]
) -> Layer | None:
    """The layer of an output (n, …) of tokens that end with the cells of a grid; None if they are fewer."""
    prefix = shape[axes[1]] - prod(grid)
    return Layer(name, shape[axes[0]], grid, axes, prefix) if prefix >= 0 else None
