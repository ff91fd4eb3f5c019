"""Methods that say something of every channel of every pixel, and then of the pixel."""

from abc import abstractmethod
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from viewer.explain.explainer import Explainer
from viewer.explain.probe import Probe
from viewer.explain.values import Values

_FLAT = 1e-6
"""A score that changes by less does not change."""


class Gradient(Explainer):
    """A method with a value for every number of the input; others average it over noise."""

    @abstractmethod
    def per_channel(self, probe: Probe) -> Values:
        """As `compute` gives it, but of every channel: (targets, n, channels, …spatial)."""

    def condense(self, values: Tensor) -> Tensor:
        """The values of the channels, (targets, n, channels, …spatial), as those of pixels."""
        return values.sum(2)

    @final
    def compute(self, probe: Probe) -> Values:
        found = self.per_channel(probe)
        return replace(found, values=self.condense(found.values))


def completeness_error(sums: Tensor, gaps: Tensor) -> Tensor:
    """|Σ map − gap| ÷ |gap| in per cent, where a gap is the score less that of the baseline; NaN where 0."""
    error = 100 * (sums - gaps).abs() / gaps.abs()
    return error.where(gaps.abs() > _FLAT, torch.nan)
