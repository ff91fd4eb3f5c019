# SPDX-License-Identifier: Apache-2.0
"""XGrad-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, Peer, Probe, model_layer, of_grad_cam, weighted


@dataclass(frozen=True)
class XGradCAM(CAM):
    """Σ over channels of (mean gradient, weighted by where the channel is active) × activation."""

    name = "xgrad-cam"
    title = "XGrad-CAM"
    contribution = True
    paper = "Fu et al., Axiom-based Grad-CAM, BMVC 2020, arXiv:2008.02312"
    shows = "Where the channels that raise the score from where they are active are active; coarse."
    caution = (
        "A channel counts in all its places, also where it was not used (Draelos & Carin 2020). The weights "
        "divide by a channel's sum, so at a layer with negative values (before a ReLU, in a transformer) "
        "single channels may dominate. Places are good to half a cell."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        summed = activations.flatten(2).sum(2)
        felt = (gradients * activations).flatten(3).sum(3)
        # The small number is the reference implementation's: a channel that is nowhere active weighs nothing.
        return weighted(activations, felt / (summed + 1e-7))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (of_grad_cam(probe, "XGradCAM", model_layer(self, probe.model)),)
