# SPDX-License-Identifier: Apache-2.0
"""Shapley value sampling, by captum."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from viewer.explain import (
    AT_ONCE,
    Baseline,
    Batch,
    Cost,
    Interval,
    Lent,
    OverFeatures,
    Parts,
    Probe,
    Seed,
    Tip,
    Values,
    baselines,
)


@dataclass(frozen=True)
class ShapleyValueSampling(OverFeatures):
    """By how much the score rises as a feature joins, averaged over random orders of joining."""

    orders: Annotated[
        int,
        Interval(ge=1, le=10_000),
        Tip("Random orders in which the parts join", "steadier, and takes longer"),
    ] = 25
    baseline: Baseline = "minimum"
    seed: Seed = 0
    batch: Batch = 0

    name = "shapley-value-sampling"
    title = "Shapley value sampling"
    contribution = True
    total = "largest"
    paper = (
        "Castro et al., Polynomial calculation of the Shapley value based on sampling, Computers & "
        "Operations Research 2009"
    )
    shows = "What each part of like intensity, or segment, adds to the score on average over orders."
    cost = Cost("orders × features + 1, for all labels")
    caution = (
        "The values hold chance, which falls with the root of the orders: another seed shows how much. "
        "The images on the way are ones that the network never saw, and it can be made to answer them with "
        "whatever one likes (Slack et al., AIES 2020)."
    )
    library: ClassVar[str] = "captum"

    def compute(self, probe: Probe) -> Values:
        parts = self.parts(probe)
        covers = baselines(probe, self.baseline)
        size = self.batch or AT_ONCE[probe.x.device.type == "cuda"]
        calls = sum(self.orders * -(-own.count // size) + 1 for own in parts) * len(covers)
        probe.expect(calls, "letting features join")
        every = range(len(probe.targets))
        values = []
        for n, own in enumerate(parts):
            each = [self._sampled(probe.part(n, every), own, cover[n], size) for cover in covers]
            values.append(torch.stack(each).mean(0))
        return self.mapped(probe, parts, values, covers)

    def _sampled(self, one: Probe, part: Parts, cover: Tensor, size: int) -> Tensor:
        """For the one input the values, (targets, features).

        What captum is given as its input are the features, and not the pixels: of those it would form an
        attribution for every target and step.
        """
        from captum.attr import ShapleyValueSampling as Peer

        lent, numbers = Lent(one), part.numbers.clamp(min=0)
        generator = torch.Generator().manual_seed(self.seed)

        def scored(there: Tensor) -> Tensor:
            return lent(torch.where(there[:, numbers][:, None] > 0.5, one.x, cover))  # type: ignore[no-any-return]

        def orders(players: int, count: int) -> Iterator[list[int]]:
            for _ in range(count):
                yield torch.randperm(players, generator=generator).tolist()

        peer = Peer(scored)
        peer.permutation_generator = orders
        every = one.x.new_ones(1, part.count)
        found: Tensor = peer.attribute(
            every, torch.zeros_like(every), n_samples=self.orders, perturbations_per_eval=size
        )
        return found.reshape(len(one.targets), part.count)
