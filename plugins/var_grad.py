# SPDX-License-Identifier: Apache-2.0
"""VarGrad."""

from dataclasses import dataclass
from typing import ClassVar

from viewer.explain import Noisy, Probe, Values, variance


@dataclass(frozen=True)
class VarGrad(Noisy):
    """The variance, over noisy copies of the image, of another method's signed values."""

    name = "var-grad"
    title = "VarGrad"
    contribution = False
    paper = "Adebayo et al., Local explanation methods for deep neural networks, arXiv:1810.03307, 2018"
    shows = "Where the method that it watches changes most under noise: how unsteady it is, for or against."
    caution = (
        "It has no sign, and shows how a map changes, not what the score comes from: pixels of steady "
        "evidence stay dark."
    )
    signed: ClassVar[bool] = False
    power: ClassVar[str] = "²"

    def per_channel(self, probe: Probe) -> Values:
        _, spread, last = variance(self.noisy(probe))
        return Values(spread, baselines=last.baselines)
