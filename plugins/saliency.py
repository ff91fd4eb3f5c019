# SPDX-License-Identifier: Apache-2.0
"""Saliency: the plain gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from viewer.explain import INPUT, Cost, Gradient, Model, Peer, Probe, Values, of_captum


@dataclass(frozen=True)
class Saliency(Gradient):
    """The largest size of the gradient over the channels, pixel by pixel."""

    name = "saliency"
    title = "Saliency"
    contribution = False
    family = "gradient"
    paper = "Simonyan et al., Deep inside convolutional networks, arXiv:1312.6034, 2013"
    shows = "Pixels where a small change would move the score most, up or down; noisy."
    cost = Cost("1, shared with the prediction", "1 for all labels")
    caution = (
        "It says how the score would change, not what made it, and misses evidence that is saturated "
        "(Shrikumar et al., ICML 2017). It is noisy, and failed tests of trust on chest radiographs (Arun "
        "et al., Radiology: AI 2021)."
    )
    signed: ClassVar[bool] = False
    unit: ClassVar[str] = "logit per input unit"

    def layers(self, model: Model) -> tuple[str, ...]:
        return (INPUT,)

    def per_channel(self, probe: Probe) -> Values:
        return Values(probe.gradients(INPUT))

    def condense(self, values: Tensor) -> Tensor:
        return values.abs().amax(2)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (of_captum(probe, "Saliency", condense=self.condense),)
