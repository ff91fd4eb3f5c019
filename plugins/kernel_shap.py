# SPDX-License-Identifier: Apache-2.0
"""KernelSHAP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Annotated

import torch
from torch import Tensor

from viewer.explain import (
    PARTS_TIP,
    Baseline,
    Batch,
    Cost,
    Interval,
    OverFeatures,
    Parts,
    Peer,
    Probe,
    Seed,
    Tip,
    Values,
    any_channel,
    baselines,
    of_captum,
    over_baselines,
)

_FIRST = 8
"""Players of the first game, coarse to fine."""
_PARTS = 4
"""Into how many a group is split for the next."""
_ORDERS = 5
"""Players of which a library may try all orders: these have 120."""


@dataclass(frozen=True)
class KernelSHAP(OverFeatures):
    """The Shapley value of every feature, by the weighted regression whose solution it is.

    The values add up to score − score of the baseline by constraint. Where all coalitions of the features
    are no more than `samples`, each runs once and the values are exact. Coarse to fine, groups of
    neighbouring features are the players of a first game; the best quarter of them is split for the next,
    until the best is a single feature. A group's value is shared out evenly among its features.
    """

    features: Annotated[int, Interval(ge=2, le=1000), PARTS_TIP] = 50
    samples: Annotated[
        int,
        Interval(ge=2, le=100_000),
        Tip(
            "Sets of parts that are tried; where that is all of them, the values are exact",
            "steadier, and takes longer",
        ),
    ] = 1000
    coarse_to_fine: Annotated[
        bool, Tip("Try large groups of parts first, and split the best quarter of them again and again")
    ] = False
    baseline: Baseline = "minimum"
    seed: Seed = 0
    batch: Batch = 0

    name = "kernel-shap"
    title = "KernelSHAP"
    contribution = True
    total = "largest"
    counted = "players"
    paper = "Lundberg & Lee, A unified approach to interpreting model predictions, NeurIPS 2017"
    shows = "What each part of like intensity, or segment, adds to the score on average over sets of others."
    cost = Cost("samples, for all labels; coarse to fine so many for each game")
    caution = (
        "With few samples the values hold chance: another seed shows how much (Covert & Lee, AISTATS 2021). "
        "Most coalitions are images that the network never saw, and it can be made to answer them with "
        "whatever one likes (Slack et al., AIES 2020)."
    )

    def compute(self, probe: Probe) -> Values:
        parts = self.parts(probe)
        covers = baselines(probe, self.baseline)
        groups = [torch.arange(some.count) for some in parts]
        if not self.coarse_to_fine:
            values = self._game(probe, covers, parts, groups, "playing coalitions")
            return self.mapped(probe, parts, values, covers)
        places = [_places(some.numbers) for some in parts]
        groups = [_split(torch.zeros_like(a), at, {0}, _FIRST) for a, at in zip(groups, places, strict=True)]
        while True:
            most = max(int(group.max()) + 1 for group in groups)
            values = self._game(probe, covers, parts, groups, f"playing coalitions of {most} groups")
            found = self.mapped(probe, parts, values, covers, groups)
            done = all(_settled(own, group) for own, group in zip(values, groups, strict=True))
            if done or 2 * most > self.samples:
                return found
            probe.preview(self, found)
            groups = [
                _split(group, at, _best(own, group), _PARTS)
                for group, at, own in zip(groups, places, values, strict=True)
            ]

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        (parts,) = self.parts(probe)
        if self.coarse_to_fine or parts.count > _ORDERS or 2**parts.count - 2 > self.samples:
            reason = "Its KernelShap draws coalitions at random, so that no two of its maps are alike."
            return (Peer("captum", reason=reason),)
        mask, covers = parts.numbers[None, None], baselines(probe, self.baseline)
        return (of_captum(probe, "ShapleyValues", covers, any_channel, feature_mask=mask - mask.min()),)

    def _game(
        self, probe: Probe, covers: Tensor, parts: Sequence[Parts], groups: Sequence[Tensor], doing: str
    ) -> list[Tensor]:
        """For every input the Shapley values (targets, players) of a game whose players are groups."""
        drawn = [coalitions(int(group.max()) + 1, self.samples, self.seed) for group in groups]
        device = probe.x.device
        moved = [sets.to(device) for sets, _ in drawn]
        players = [
            group.to(device)[some.numbers.clamp(min=0)] for group, some in zip(groups, parts, strict=True)
        ]

        def scores(cover: Tensor, which: str) -> Tensor:
            def played(n: int, first: int, last: int) -> Tensor:
                # An input of fewer coalitions than another plays its last one again.
                sets = moved[n][torch.arange(first, last, device=device).clamp(max=len(moved[n]) - 1)]
                return torch.where(sets[:, players[n]][:, None], probe.x[n], cover[n])

            return probe.scores(max(map(len, moved)), played, doing + which, self.batch)

        every = over_baselines(covers, scores)
        return [
            shapley(sets, weights, every[:, n, : len(sets)], probe.before[:, n])
            for n, (sets, weights) in enumerate(drawn)
        ]


def coalitions(players: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Coalitions (m, players), the first of them empty, and their weights (m,) in the regression.

    All of them with Shapley's kernel as weight where they are few enough; else sets drawn with the
    probability that the kernel gives their size, and their complements, each once with how often it came.
    """
    size = torch.arange(1, players, dtype=torch.float64)
    kernel = (players - 1) / (size * (players - size))
    if players <= 30 and 2**players - 2 <= samples:
        every = torch.arange(1, 2**players - 1)
        sets = (every[:, None] >> torch.arange(players)) % 2 == 1
        each = kernel / torch.tensor([comb(players, s) for s in range(1, players)], dtype=torch.float64)
        weights = each[sets.sum(1) - 1]
    else:
        generator = torch.Generator().manual_seed(seed)
        half = -(-samples // 2)
        sizes = 1 + torch.multinomial(kernel, half, replacement=True, generator=generator)
        ranks = torch.rand(half, players, generator=generator).argsort(1).argsort(1)
        sets = ranks < sizes[:, None]
        sets, often = torch.unique(torch.cat([sets, ~sets]), dim=0, return_counts=True)
        weights = often.double()
    none = torch.zeros(1, players, dtype=torch.bool)
    return torch.cat([none, sets]), torch.cat([weights.new_zeros(1), weights])


def shapley(sets: Tensor, weights: Tensor, scores: Tensor, before: Tensor) -> Tensor:
    """Values (targets, players) that fit the scores (targets, m) of coalitions best and add up exactly.

    The first coalition is the empty one, `before` (targets,) the score of all. Values are written as an
    even share and a rest that adds up to 0, the smallest where the coalitions do not decide it.
    """
    given, scores, before = scores, scores.double().cpu(), before.double().cpu()
    gap, members = before - scores[:, 0], sets.double()
    share = members.mean(1)
    root = weights.sqrt()[:, None]
    rest = scores - scores[:, :1] - gap[:, None] * share
    design = root * (members - share[:, None])
    found: Tensor = torch.linalg.lstsq(design, root * rest.T, driver="gelsd").solution.T
    return (found + gap[:, None] / sets.shape[1]).to(given)


def _places(numbers: Tensor) -> Tensor:
    """The mean place of every feature as a share of each side, (features, axes), on the CPU."""
    numbers = numbers.cpu()
    place = (numbers >= 0).nonzero()
    own = numbers[numbers >= 0]
    total = torch.zeros(int(own.max()) + 1, place.shape[1]).index_add_(0, own, place.float())
    return total / own.bincount()[:, None] / torch.tensor(numbers.shape)


def _settled(values: Tensor, groups: Tensor) -> bool:
    """Whether for every target the group with the largest value is a single feature, or all are."""
    size = groups.bincount()
    return bool((size == 1).all() or (size[values.abs().argmax(1).cpu()] == 1).all())


def _best(values: Tensor, groups: Tensor) -> set[int]:
    """The quarter of the groups of several features whose values are largest, for any of the targets."""
    size = values.abs() / values.abs().amax(1, keepdim=True).clamp(min=1e-30)
    several = groups.bincount() > 1
    rank = size.amax(0).cpu().masked_fill(~several, -1).argsort(descending=True, stable=True)
    return set(rank[: -(-int(several.sum()) // 4)].tolist())


def _split(groups: Tensor, places: Tensor, chosen: set[int], parts: int) -> Tensor:
    """The groups with the chosen ones cut into `parts` (a power of two), each time across the longest way."""

    def cut(members: Tensor, parts: int) -> list[Tensor]:
        if parts == 1 or len(members) == 1:
            return [members]
        at = places[members]
        order = members[at[:, (at.amax(0) - at.amin(0)).argmax()].argsort(stable=True)]
        half = len(order) // 2
        return cut(order[:half], parts // 2) + cut(order[half:], parts // 2)

    result = torch.empty_like(groups)
    number = 0
    for group in range(int(groups.max()) + 1):
        members = (groups == group).nonzero()[:, 0]
        for part in cut(members, parts if group in chosen else 1):
            result[part] = number
            number += 1
    return result
