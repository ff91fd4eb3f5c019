# SPDX-License-Identifier: Apache-2.0
"""Input × gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from viewer.explain import INPUT, Cost, Gradient, Model, Peer, Probe, Values, of_captum


@dataclass(frozen=True)
class InputXGradient(Gradient):
    """The gradient times the input, summed over the channels."""

    name = "input-x-gradient"
    title = "Input × gradient"
    contribution = True
    family = "gradient"
    paper = "Shrikumar et al., Not just a black box, arXiv:1605.01713, 2016"
    shows = "What each pixel would add to the score if the network were linear here."
    cost = Cost("1, shared with the prediction", "1 for all labels")
    caution = (
        "The image itself is a factor, so the map looks like it whatever was learnt (Adebayo et al., NeurIPS "
        "2018), and a pixel that is 0 after normalisation, mean grey, never counts (Sundararajan et al., "
        "ICML 2017)."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def layers(self, model: Model) -> tuple[str, ...]:
        return (INPUT,)

    def per_channel(self, probe: Probe) -> Values:
        return Values(probe.gradients(INPUT) * probe.x)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (of_captum(probe, "InputXGradient"),)
