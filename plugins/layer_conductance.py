# SPDX-License-Identifier: Apache-2.0
"""Layer conductance, by captum."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from viewer.explain import Cost, LibraryPath


@dataclass(frozen=True)
class LayerConductance(LibraryPath):
    """Σ over the way of gradient at the layer × change of the layer from one place to the next."""

    name = "layer-conductance"
    title = "Layer conductance"
    contribution = True
    paper = "Dhamdhere et al., How important is a neuron?, ICLR 2019"
    shows = "How much each cell of the layer adds to the score over the baseline."
    cost = Cost("steps per label and baseline, and 1 per baseline", "steps per label and baseline")
    caution = (
        "It depends on the baseline, and images on the way are ones that the network never saw (Sturmfels et "
        "al., Distill 2020). captum's default places leave out both ends of the way: the completeness error "
        "holds that, and what passes beside the layer or through a class token. Places are good to half a "
        "cell."
    )
    adds_up: ClassVar[bool] = True

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from captum.attr import LayerConductance as Peer

        return Peer(module, layer)

    def forwards(self) -> int:
        return -(-self.steps // (self.chunk - 1))  # chunks share a place
