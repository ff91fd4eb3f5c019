# SPDX-License-Identifier: Apache-2.0
"""SmoothGrad."""

from dataclasses import dataclass

from viewer.explain import Noisy, Probe, Values, variance


@dataclass(frozen=True)
class SmoothGrad(Noisy):
    """The mean, over noisy copies of the image, of another method's signed values."""

    name = "smooth-grad"
    title = "SmoothGrad"
    contribution = False
    paper = "Smilkov et al., SmoothGrad, arXiv:1706.03825, 2017"
    shows = "The same as the method that it averages, with less noise; small detail goes with it."
    caution = (
        "It is a mean over noisy images, which the network was not trained on: how much noise decides what "
        "is seen. It inherits the faults of what it averages, and was no better than a random order of "
        "pixels when they were removed and the network trained anew (Hooker et al., NeurIPS 2019)."
    )

    def per_channel(self, probe: Probe) -> Values:
        mean, _, last = variance(self.noisy(probe))
        return Values(mean, baselines=last.baselines)
