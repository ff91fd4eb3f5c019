# SPDX-License-Identifier: Apache-2.0
"""HiResCAM."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, Peer, Probe, model_layer, of_grad_cam


@dataclass(frozen=True)
class HiResCAM(CAM):
    """Σ over channels of (gradient × activation), cell by cell."""

    name = "hires-cam"
    title = "HiResCAM"
    contribution = True
    paper = "Draelos & Carin, HiResCAM, arXiv:2011.08891, 2020"
    shows = (
        "What each cell adds to the score; exactly so where only pooling or flattening and one linear layer "
        "follow the chosen layer."
    )
    caution = (
        "Behind any other tail, and at earlier layers, it is gradient × activation: no longer exact, and "
        "noisy (Draelos & Carin 2020). Directly in front of a layer norm it vanishes, since a norm undoes "
        "any scale. Places are good to half a cell, and a cell sees more of the image than it covers."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients * activations).sum(2)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (of_grad_cam(probe, "HiResCAM", model_layer(self, probe.model)),)
