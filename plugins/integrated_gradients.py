"""Integrated gradients, by captum."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from viewer.explain import Baseline, Cost, Explainer, Interval, Probe, Values, baseline


@dataclass(frozen=True)
class IntegratedGradients(Explainer):
    """(input − baseline) × the mean gradient on the straight way between them, summed over channels."""

    steps: Annotated[int, Interval(ge=2, le=1000)] = 50
    baseline: Baseline = "minimum"
    chunk: Annotated[int, Interval(ge=1, le=512)] = 8

    name = "integrated-gradients"
    title = "Integrated gradients"
    family = "gradient"
    paper = "Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017"
    shows = "How much each pixel adds to the score over the baseline; the pixels add up to the difference."
    cost = Cost("steps + 2 per label", "steps per label")
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def compute(self, probe: Probe) -> Values:
        from captum.attr import IntegratedGradients as Peer

        calls = -(-self.steps // self.chunk) + 2
        probe.expect(calls * len(probe.targets) * len(probe.inputs), "integrating gradients")
        maps, errors = [], []
        for row in probe.targets:
            for n, target in enumerate(row):
                x = probe.x[n : n + 1]
                start = baseline(x, self.baseline)

                def score(some: Tensor, target=target, n=n) -> Tensor:  # type: ignore[no-untyped-def]
                    return probe.score(probe.forward(some), target, n)

                values = Peer(score).attribute(
                    x, start, n_steps=self.steps, method="gausslegendre", internal_batch_size=self.chunk
                )
                with torch.no_grad():
                    gap = float(score(x) - score(start))
                total = float(values.double().sum())
                maps.append(values.detach().sum(1)[0])
                # Where the score does not change there is no share to speak of.
                errors.append(100 * abs(total - gap) / abs(gap) if abs(gap) > 1e-6 else torch.nan)
        shape = (len(probe.targets), len(probe.inputs))
        return Values(
            torch.stack(maps).reshape(*shape, *probe.x.shape[2:]), torch.tensor(errors).reshape(shape)
        )
