# SPDX-License-Identifier: Apache-2.0
"""The numbers of targets: scores out of an output, and rows out of the gradients of all labels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from viewer import affine
from viewer.affine import Matrix
from viewer.types import ModelInput, Shape3, Target

Targets = Sequence[Sequence[Target]]
"""A row for each wish, in it a target for each input."""


def score_of(output: Tensor, target: Target, source: ModelInput) -> Tensor:
    """The target's number for every sample of an output (m, labels[, …spatial]) made from one input, (m,)."""
    return target.of(output, _placed(output, source) if target.region is not None else None)


def scores_of(output: Tensor, targets: Targets, inputs: Sequence[ModelInput]) -> Tensor:
    """Every target's number of an output of the inputs, (targets, n)."""
    rows = [
        torch.cat([score_of(output[n : n + 1], target, inputs[n]) for n, target in enumerate(row)])
        for row in targets
    ]
    return torch.stack(rows)


def totals_of(output: Tensor, targets: Targets, inputs: Sequence[ModelInput]) -> Tensor:
    """The sum over the inputs of each target's number, (targets,), in the graph of the output."""
    totals = []
    for row in targets:
        if all(target is row[0] for target in row) and row[0].region is None:
            totals.append(score_of(output, row[0], inputs[0]).sum())
        else:
            parts = [score_of(output[n : n + 1], target, inputs[n]).sum() for n, target in enumerate(row)]
            totals.append(torch.stack(parts).sum())
    return torch.stack(totals)


def regional(targets: Targets) -> bool:
    """Whether any target is the score within a region: no label's gradient is that."""
    return any(target.region is not None for row in targets for target in row)


def rows_of(every: Tensor, targets: Targets) -> Tensor:
    """The rows of the targets, (targets, n, …), out of those of all labels, (labels, n, …).

    That of a target with another label taken off is the difference of two.
    """

    def of(target: Target, n: int) -> Tensor:
        own = every[target.index, n]
        return own if target.minus_index is None else own - every[target.minus_index, n]

    return torch.stack([torch.stack([of(t, n) for n, t in enumerate(row)]) for row in targets])


def _placed(output: Tensor, source: ModelInput) -> Matrix:
    """From the cells of an output to the source of the input that it was made from."""
    spatial = tuple(int(i) for i in output.shape[2:])
    grid: Shape3 = (1, *spatial) if len(spatial) == 2 else spatial  # type: ignore[assignment]
    return source.matrix if len(grid) != 3 else source.matrix @ affine.cells(grid, source.shape)
