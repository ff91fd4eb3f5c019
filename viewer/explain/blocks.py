# SPDX-License-Identifier: Apache-2.0
"""The attention of a network block by block, and how what is read at its end flows back to the patches.

A map of attention needs one row of a product of token-by-token matrices: that of what the classifier reads.
So a row is led from the last block to the first, and no such product is ever formed. Within windows even the
matrices are not: each window takes its part of the row, and gives it back at its place.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ExplainerError
from viewer.explain.attention import Heads
from viewer.explain.shared import gradients_of_many
from viewer.explain.windows import Windows
from viewer.models.structure import Structure, Tokens
from viewer.task import Task


@dataclass(frozen=True, slots=True)
class Block:
    """One attention of the forward: `weights` are (n, windows, heads, queries, keys), one window without any.

    `tokens` says where its tokens lie: those of the image, or of a stage with larger patches.
    """

    name: str
    weights: Tensor
    tokens: Tokens
    windows: Windows | None = None

    def apply(self, row: Tensor, matrix: Tensor) -> Tensor:
        """`row` (…, tokens) times a matrix (…, windows, queries, keys) of this block."""
        if self.windows is not None:
            return self.windows.apply(row, matrix)
        return (row[..., None, :] @ matrix[..., 0, :, :])[..., 0, :]


Step = Callable[[int, Tensor], Tensor]


def blocks_of(heads: Sequence[Heads], structure: Structure) -> tuple[Block, ...]:
    """The blocks that were heard, in order; `ExplainerError` where they are not over the image's tokens."""
    blocks = []
    for h in heads:
        tokens = structure.tokens if h.windows is None else Tokens(0, h.windows.grid, "mean")
        queries, keys = h.tensor.shape[-2:]
        if queries != keys:
            raise ExplainerError(
                "This network also attends from other tokens than those of the image (class attention, or a "
                "query that pools), which a map of attention does not follow."
            )
        if tokens is None or (h.windows is None and keys != tokens.count):
            raise ExplainerError("The attention of this network is not over the tokens of the image.")
        blocks.append(Block(h.name, h.split(h.tensor.detach()).float(), tokens, h.windows))
    if not blocks:
        raise ExplainerError("The attention of this network is not over the tokens of the image.")
    return tuple(blocks)


def reading(tokens: Tokens, device: torch.device) -> Tensor:
    """What the classifier reads as shares of the tokens, (tokens,): the class token, or all patches alike."""
    row = torch.zeros(tokens.count, device=device)
    if tokens.pool == "class":
        row[: tokens.read] = 1 / tokens.read
    else:
        row[tokens.prefix :] = 1 / (tokens.count - tokens.prefix)
    return row


def walk(blocks: Sequence[Block], row: Tensor, step: Step, task: Task) -> Tensor:
    """Lead `row` (…, tokens) from behind the last block to before the first, one `step` a block.

    A step is told the number of its block, and gives what it reads.
    """
    for i in reversed(range(len(blocks))):
        task.check()
        if i + 1 < len(blocks):
            row = _unmerged(row, blocks[i + 1].tokens, blocks[i].tokens)
        row = step(i, row)
    return row


def over_patches(row: Tensor, tokens: Tokens) -> Tensor:
    """The patches of a row (…, tokens), (…, *grid); prefix tokens are left out."""
    return row[..., tokens.prefix :].reshape(*row.shape[:-1], *tokens.grid)


def _unmerged(row: Tensor, after: Tokens, before: Tokens) -> Tensor:
    """What a stage of merged patches reads, shared alike among the (up to 2 × 2) patches each came from."""
    if after.grid == before.grid:
        return row
    if after.grid != tuple(-(-n // 2) for n in before.grid):
        raise ExplainerError("This network merges its patches in a way that a map of attention cannot undo.")
    rows, columns = (torch.arange(n, device=row.device) // 2 for n in before.grid)
    parent = (rows[:, None] * after.grid[1] + columns).flatten()
    return (row / parent.bincount(minlength=row.shape[-1]))[..., parent]


def streams(structure: Structure) -> tuple[str, ...] | None:
    """The module around each attention that gives the image's tokens anew, shortcut and all; None if unknown.

    It is the outermost that holds one attention. All give tokens of one width, so that one classifier fits.
    """
    found = []
    for attention in structure.attention:
        path = attention.split(".")
        around = (".".join(path[:i]) for i in range(1, len(path)))
        found.append(next((name for name in around if _gives_tokens(structure, name)), None))
    layers = [structure.layer(structure.aliases.get(name, name)) for name in found if name is not None]
    widths = {layer.channels for layer in layers if layer is not None}
    names = tuple(name for name in found if name is not None)
    return names if len(widths) == 1 and len(set(names)) == len(found) else None


def _gives_tokens(structure: Structure, name: str) -> bool:
    layer = structure.layer(structure.aliases.get(name, name))
    holds = sum(attention.startswith(f"{name}.") for attention in structure.attention)
    return layer is not None and layer.axes == (2, 1) and holds == 1


@contextmanager
def each_on_its_own(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """While entered, what lies behind the last of these modules gets what all gave, one after another.

    A forward of n samples then gives (modules × n, labels), the network's own answer last. What a module
    gives has no graph before that module, so that no gradient goes from one to another.
    """
    given: list[Tensor] = []

    def cut(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        return tuple(map(_cut, args)), {name: _cut(value) for name, value in named.items()}

    def keep(_module: nn.Module, _given: object, output: Tensor) -> Tensor | None:
        given.append(output)
        return torch.cat(given) if len(given) == len(names) else None

    with ExitStack() as stack:
        for name in names:
            part = module.get_submodule(name)
            stack.callback(part.register_forward_pre_hook(cut, with_kwargs=True).remove)
            stack.callback(part.register_forward_hook(keep).remove)
        yield


def _cut(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


def gradients_at_weights(totals: Tensor, heads: Sequence[Heads], task: Task) -> Iterator[list[Tensor]]:
    """∂ totals / ∂ the weights of every block, (some totals, *weights.shape), as many at a time as memory
    should hold; `ExplainerError` where no attention influences them."""
    for found in gradients_of_many(totals, [h.tensor for h in heads], task):
        if all(g is None for g in found):
            raise ExplainerError("No attention of this network influences the output.")
        some = next(len(g) for g in found if g is not None)
        yield [
            h.split(h.tensor.new_zeros(some, *h.tensor.shape) if g is None else g).float()
            for h, g in zip(heads, found, strict=True)
        ]
