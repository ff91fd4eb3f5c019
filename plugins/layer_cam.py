# SPDX-License-Identifier: Apache-2.0
"""LayerCAM."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, Peer, Probe, model_layer, of_grad_cam


@dataclass(frozen=True)
class LayerCAM(CAM):
    """Σ over channels of (positive part of the gradient × activation), cell by cell."""

    name = "layer-cam"
    title = "LayerCAM"
    contribution = True
    paper = "Jiang et al., LayerCAM, IEEE TIP 2021"
    shows = (
        "Cells where more activation would raise the score; sharp at early layers, silent on what lowers it."
    )
    caution = (
        "What lowers the score is left out, and gradients of early layers are noisy: a sharp map is not "
        "thereby a true one (Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018). Places are "
        "good to half a cell."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients.clamp(min=0) * activations).sum(2)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (of_grad_cam(probe, "LayerCAM", model_layer(self, probe.model)),)
