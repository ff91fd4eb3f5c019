# SPDX-License-Identifier: Apache-2.0
"""Whether a map shows anything: measured beside the score, for colours fill with noise as with evidence.

Contributions are measured by what they add up to, which costs nothing: where that is known to be a difference
of the score by this difference, else by the sum of their sizes, of which some cancel.
Gradients, attention and all else have no such unit. Where a gradient is known already, it says how far the
score would move, to first order, without the strongest twentieth of the map; where that is little, or no
gradient is known, this twentieth is erased and the network asked: one forward for each map.
"""

import math
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor

from viewer.errors import ExplainerError
from viewer.explain.probe import Probe
from viewer.explain.shared import INPUT
from viewer.explain.values import Kind, Values
from viewer.types import Evidence, Target
from viewer.types.evidence import Measure

LIMITS = {"difference": 1e-4, "sum": 1e-3, "erasing": 1e-5}
"""Shares of the score up to which a map is negligible; `docs/full-check.md` says how they were chosen."""
ERASED = 0.05
"""The part of the image that is erased: its strongest cells in the map."""
_SURE = 100.0
"""How many times the limit the estimate of a gradient must be for nothing to be erased."""
_ROUNDING = 8.0
"""Units in the last place by which sums of a network's outputs differ."""


def evidence(kind: Kind, probe: Probe, values: Values) -> list[list[Evidence]]:
    """What every map, (targets, n) of them, speaks of."""
    if kind.contribution and kind.target_dependent:
        return _summed(kind, probe, values)
    found = values.values.detach()
    guessed = None if (layer := _known(kind, probe)) is None else _guessed(probe, found, layer)
    if kind.target_dependent:
        return _of_targets(probe, found, guessed)
    return _of_all_labels(probe, found, guessed)


# --- what the score is ----------------------------------------------------------------------------


def _size(score: float, target: Target) -> float:
    """What a change is measured against: below 1 the logit of a class says that it is undecided, not that
    changes of a thousandth matter; a plain output has a unit of its own."""
    return abs(score) if target.plain else max(abs(score), 1.0)


def _limit(probe: Probe, n: int, size: float, share: float) -> float:
    """The share up to which a change is negligible: that of the measure, or what rounding leaves."""
    logits = [abs(s.logit) for s in probe.predictions[n].scores if math.isfinite(s.logit)]
    rounding = _ROUNDING * torch.finfo(probe.output.dtype).eps * max(logits, default=0.0)
    return max(share, rounding / size) if size else share


# --- contributions --------------------------------------------------------------------------------


def _summed(kind: Kind, probe: Probe, values: Values) -> list[list[Evidence]]:
    every = values.values.detach().flatten(2).float()
    complete = values.completeness_error is not None and kind.total == "sum"
    measure: Measure = "difference" if complete else "sum"
    total = every.sum(2).abs() if complete else _total(kind, every.abs())
    changes, positive = total.tolist(), _total(kind, every.clamp(min=0)).tolist()
    before = probe.before.tolist()

    def one(row: int, n: int) -> Evidence:
        size = _size(before[row][n], probe.targets[row][n])
        limit = _limit(probe, n, size, LIMITS[measure])
        return Evidence(measure, changes[row][n], size, limit, positive[row][n])

    return [[one(row, n) for n in range(len(probe.inputs))] for row in range(len(probe.targets))]


def _total(kind: Kind, cells: Tensor) -> Tensor:
    if kind.total == "largest":
        return cells.amax(2)
    return cells.sum(2) if kind.total == "sum" else cells.mean(2)


# --- everything else ------------------------------------------------------------------------------


def strongest(values: Tensor, sides: torch.Size) -> Tensor:
    """Where on an image of `sides` the strongest cells of maps (…, *grid) lie: booleans (…, *sides).

    About `ERASED` of the pixels, more where cells of one value are not told apart; none where a map is zero.
    """
    lead = values.shape[: values.ndim - len(sides)]
    large = F.interpolate(values.abs().float().reshape(-1, 1, *values.shape[len(lead) :]), tuple(sides))
    cells = large.flatten(1)
    least = cells.topk(math.ceil(ERASED * cells.shape[1]), dim=1).values[:, -1:]
    return ((cells >= least) & (cells > 0)).reshape(*lead, *sides)


def erased(x: Tensor, where: Tensor) -> Tensor:
    """Images (m, channels, …sides) whose pixels are their channel's mean where a mask (m, …sides) says so."""
    return torch.where(where[:, None], _means(x), x)


def _known(kind: Kind, probe: Probe) -> str | None:
    """A layer whose gradients are known, or cost one pass back to where a map of all labels was read."""
    known = probe.known_gradients()
    if known is not None or kind.target_dependent or not kind.layers(probe.model):
        return known
    layer = kind.layers(probe.model)[0]
    with suppress(ExplainerError):  # one that does not influence the output
        probe.gradients(layer)
        return layer
    return None


def _guessed(probe: Probe, values: Tensor, layer: str) -> Tensor:
    """To first order, how far every target's score moves without the strongest cells, (targets, n)."""
    own = probe.x - _means(probe.x) if layer == INPUT else probe.activations(layer)
    each = (probe.gradients(layer) * own).sum(2).abs()
    return (each * strongest(values, each.shape[2:])).flatten(2).sum(2)


def _of_targets(probe: Probe, values: Tensor, guessed: Tensor | None) -> list[list[Evidence]]:
    """Of maps of targets: what a gradient says, and where that is little, or unknown, what erasing does."""
    before, moved = probe.before, None
    result: list[list[Evidence]] = [[] for _ in probe.targets]
    for row, targets in enumerate(probe.targets):
        for n, target in enumerate(targets):
            size = _size(float(before[row, n]), target)
            limit = _limit(probe, n, size, LIMITS["erasing"])
            if guessed is not None and float(guessed[row, n]) > _SURE * limit * size:
                result[row].append(Evidence("gradient", float(guessed[row, n]), size, limit))
                continue
            moved = _moved(probe, values) if moved is None else moved
            result[row].append(Evidence("erasing", float(moved[row, n]), size, limit))
    return result


def _moved(probe: Probe, values: Tensor) -> Tensor:
    """How far every target's score moves as the strongest cells of its own map are erased, (targets, n)."""
    if not bool(values.any()):
        return probe.before * 0

    def make(n: int, first: int, last: int) -> Tensor:
        where = strongest(values[first:last, n], probe.x.shape[2:])
        return erased(probe.x[n : n + 1].expand(last - first, *probe.x.shape[1:]), where)

    after = probe.scores(len(probe.targets), make, "erasing what the map shows")
    return (after.diagonal(dim1=0, dim2=2).T - probe.before).abs()


def _of_all_labels(probe: Probe, values: Tensor, guessed: Tensor | None) -> list[list[Evidence]]:
    """Of a map that is the same for every label: of a target what a gradient says; where that is little for
    all of them, or unknown, of the label whose score moves most beside its size what erasing does."""
    sure = [_sure(probe, n, guessed) for n in range(len(probe.inputs))]
    moved = None if all(one is not None for one in sure) else _all_moved(probe, values)
    before = _per_label(probe.output)
    plain = probe.model.card.output.activation == "none"

    def one(n: int) -> Evidence:
        known = sure[n]
        if known is not None or moved is None:
            assert known is not None
            return known
        sizes = before[n].abs() if plain else before[n].abs().clamp(min=1)
        best = int((moved[n] / sizes.clamp(min=1e-30)).argmax())
        size = float(sizes[best])
        return Evidence("erasing", float(moved[n, best]), size, _limit(probe, n, size, LIMITS["erasing"]))

    return [[one(n) for n in range(len(probe.inputs))]]


def _sure(probe: Probe, n: int, guessed: Tensor | None) -> Evidence | None:
    """What a gradient says of the target that it says most of, where that is enough."""
    if guessed is None:
        return None
    sizes = [_size(float(probe.before[row, n]), targets[n]) for row, targets in enumerate(probe.targets)]
    pairs = zip(guessed[:, n].tolist(), sizes, strict=True)
    guess, size = max(pairs, key=lambda pair: pair[0] / (pair[1] or 1))
    limit = _limit(probe, n, size, LIMITS["erasing"])
    return Evidence("gradient", guess, size, limit) if guess > _SURE * limit * size else None


def _all_moved(probe: Probe, values: Tensor) -> Tensor:
    """How far every label's score moves as the strongest cells of a map are erased, (n, labels)."""
    before = _per_label(probe.output)
    if not bool(values.any()):
        return torch.zeros_like(before)
    probe.expect(1, "erasing what the map shows")
    with torch.no_grad():
        after = probe.forward(erased(probe.x, strongest(values[0], probe.x.shape[2:])))
    return (_per_label(after) - before).abs()


def _per_label(output: Tensor) -> Tensor:
    """A number for each label, (n, labels), of an output (n, labels[, …spatial])."""
    return output.flatten(2).mean(2) if output.ndim > 2 else output


def _means(x: Tensor) -> Tensor:
    """The mean of every channel of images (m, channels, …sides), with sides of 1."""
    return x.flatten(2).mean(2).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
