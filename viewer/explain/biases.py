# SPDX-License-Identifier: Apache-2.0
"""What every bias of a network adds to a score, place by place.

Each bias is multiplied by a weight that is one everywhere. The gradient at these weights is the sum over the
channels of bias × gradient, and takes no more memory than one channel.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from viewer.explain.shared import INPUT, NoInfluenceError
from viewer.task import Task

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Shares:
    """`scores` are (targets, n), `gradients` at the input (targets, n, channels, …spatial); of each bias what
    it adds, (targets, n, …grid), or (targets, n) where it has no place."""

    scores: Tensor
    gradients: Tensor
    biases: tuple[Tensor, ...]


@contextmanager
def weighed(module: nn.Module) -> Iterator[list[Tensor]]:
    """While entered, a forward gives every bias a weight of one at each place, and puts it into the list."""
    weights: list[Tensor] = []

    def weigh(part: nn.Module, _arguments: object, output: Tensor) -> Tensor | None:
        bias = _bias(part)
        if bias is None:
            return None
        axis = -1 if isinstance(part, nn.Linear) else 1
        ones = torch.ones_like(output.narrow(axis, 0, 1)).requires_grad_()
        weights.append(ones.squeeze(axis))
        shape = [1] * output.ndim
        shape[axis] = -1
        return output + bias.reshape(shape) * (weights[-1].unsqueeze(axis) - 1)

    handles = [part.register_forward_hook(weigh) for part in module.modules()]
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()


def shares(scores: Tensor, x: Tensor, weights: Sequence[Tensor], task: Task) -> Shares:
    """The shares in scores (targets, n) that came of `x` while the biases were `weighed`."""
    if not scores.requires_grad:
        raise NoInfluenceError(INPUT)
    found = []
    for total in scores.sum(1):
        task.check()
        found.append(
            torch.autograd.grad(
                total, [x, *weights], retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )
    gradients, *biases = (torch.stack(parts) for parts in zip(*found, strict=True))
    return Shares(scores.detach(), gradients, tuple(biases))


def _bias(part: nn.Module) -> Tensor | None:
    """What a layer adds to each channel; a batch norm's mean counts. Kinds made from these do more."""
    if type(part) in (*_CONVOLUTIONS, nn.Linear):
        return part.bias if isinstance(part.bias, Tensor) else None
    if not (isinstance(part, _NORMS) and type(part) in _NORMS):
        return None
    if part.running_mean is None or part.running_var is None:
        return None
    bias = -part.running_mean / (part.running_var + part.eps).sqrt()
    return bias if part.weight is None else bias * part.weight + part.bias
