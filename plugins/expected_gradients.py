# SPDX-License-Identifier: Apache-2.0
"""Expected gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from viewer.explain import (
    Baseline,
    Cost,
    Gradient,
    Interval,
    Peer,
    Probe,
    Seed,
    Tip,
    Values,
    baselines,
    completeness_error,
)


@dataclass(frozen=True)
class ExpectedGradients(Gradient):
    """(input − baseline) × gradient at a place drawn on the way, averaged over places and baselines.

    The places of each baseline are spread evenly, one drawn in each of as many parts of the way, which
    leaves the expectation as it is and less to chance.
    """

    samples: Annotated[
        int,
        Interval(ge=2, le=4000),
        Tip("Places drawn in all, as many for each baseline", "steadier, and takes longer"),
    ] = 100
    baseline: Baseline = "several"
    noise: Annotated[
        float,
        Interval(ge=0, le=1),
        Tip(
            "Standard deviation of noise on the image, as a share of its range of values",
            "smoother; above 0 this is GradientShap",
            "no noise: expected gradients",
        ),
    ] = 0.0
    seed: Annotated[Seed, Interval(ge=0, le=2**31 - 1)] = 0
    chunk: Annotated[
        int,
        Interval(ge=0, le=512),
        Tip("Images that run at once", "needs more memory", "as many as suit the device"),
    ] = 0

    name = "expected-gradients"
    title = "Expected gradients"
    contribution = True
    family = "gradient"
    paper = (
        "Erion et al., Improving performance of deep learning models with axiomatic attribution priors and \
expected gradients, Nature Machine Intelligence 2021"
    )
    shows = "How much each pixel adds to the score over the average of the baselines."
    cost = Cost("samples + baselines, for all labels", "samples for all labels")
    caution = (
        "It is right on average over the draws: look at the completeness error and another seed. What it "
        "shows depends on the set of baselines, best images of the data set; three made of the image stand "
        "in for them (Sturmfels et al., Distill 2020)."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def per_channel(self, probe: Probe) -> Values:
        starts = baselines(probe, self.baseline)
        each = -(-self.samples // len(starts))
        count = each * len(starts)
        axes = [1] * (probe.x.ndim - 1)
        generator = torch.Generator().manual_seed(self.seed)
        # Place i of baseline b is image i × baselines + b.
        places = (torch.arange(each)[:, None] + torch.rand(each, len(starts), generator=generator)) / each
        shares = places.flatten().to(probe.x)
        ways: list[Tensor] = []

        def make(n: int, first: int, last: int) -> Tensor:
            start = starts[torch.arange(first, last, device=starts.device) % len(starts), n]
            ways[:] = [self._noisy(probe, n, first, last) - start]
            return start + shares[first:last].reshape(-1, *axes) * ways[0]

        means = probe.scores(len(starts), lambda n, a, b: starts[a:b, n], "looking at the baselines").mean(2)
        total = probe.x.new_zeros(len(probe.targets), *probe.x.shape)
        for part in probe.sweep(count, make, "drawing places on the way", self.chunk, gradients=True):
            assert part.gradients is not None
            total[:, part.n] += (part.gradients * ways[0]).sum(1)
        total /= count
        error = completeness_error(total.flatten(2).sum(2), probe.before - means)
        found = {"samples": torch.full(error.shape, count)}
        return Values(total, error, starts, found)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (
            Peer("captum", reason="Its GradientShap draws at random, so that no two of its maps are alike."),
        )

    def _noisy(self, probe: Probe, n: int, first: int, last: int) -> Tensor:
        """(last − first, channels, …): input n with the noise of these samples, the same at any chunk."""
        x, within = probe.x[n], probe.within(n)
        some = x.expand(last - first, *x.shape)
        if not self.noise:
            return some
        seeds = [(self.seed << 32) + number for number in range(first, last)]
        noise = [torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        added = self.noise * (x.amax() - x.amin()) * torch.stack(noise).to(x)
        return some + (added if within is None else added * within)
