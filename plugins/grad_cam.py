# SPDX-License-Identifier: Apache-2.0
"""Grad-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, Peer, Probe, captum_grad_cam, model_layer, of_grad_cam, weighted


@dataclass(frozen=True)
class GradCAM(CAM):
    """Σ over channels of (mean gradient of the channel × activation), without the final ReLU."""

    name = "grad-cam"
    title = "Grad-CAM"
    contribution = True
    paper = "Selvaraju et al., Grad-CAM, ICCV 2017"
    shows = "Where the channels that raise the score on average are active; coarse, and not exact."
    caution = (
        "It may show where the network did not look, because a channel's mean gradient is applied at cells "
        "where the gradient is another (Draelos & Carin, arXiv:2011.08891, 2020); on chest radiographs its "
        "overlap with the findings was 24 % below that of radiologists (Saporta et al., Nature Machine "
        "Intelligence 2022). Places are good to half a cell."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return weighted(activations, gradients.flatten(3).mean(3))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        layer = model_layer(self, probe.model)
        return captum_grad_cam(probe, layer), of_grad_cam(probe, "GradCAM", layer)
