# SPDX-License-Identifier: Apache-2.0
"""Internal influence, by captum."""

from dataclasses import dataclass, replace
from typing import Any, Self

from torch import nn

from viewer.explain import Cost, LibraryPath, Model, linear_tail, suggest


@dataclass(frozen=True)
class InternalInfluence(LibraryPath):
    """The gradient at the layer, averaged over the way from the baseline to the image."""

    name = "internal-influence"
    title = "Internal influence"
    contribution = False
    paper = "Leino et al., Influence-directed explanations for deep convolutional networks, IEEE ITC 2018"
    shows = "How much the score would rise with each cell of the layer, on average on the way to the image."
    cost = Cost("steps per label and baseline", "steps per label and baseline")
    caution = (
        "It says how the score would move, not what the layer gave: a cell may have influence and be empty. "
        "It depends on the baseline, and images on the way are ones that the network never saw (Sturmfels et "
        "al., Distill 2020). Channels of both signs cancel in the sum, and behind a layer that only a mean "
        "over the cells and a linear layer follow all cells have the same. Places are good to half a cell."
    )
    unit = "logit per activation"

    def fitted(self, model: Model) -> Self:
        """At the last suggested layer behind which the cells' influence differs, unless one is chosen."""
        if self.layer is None:
            for name in suggest(model):
                if not linear_tail(model, name):
                    return replace(self, layer=name)
        return self

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from captum.attr import InternalInfluence as Peer

        return Peer(module, layer)

    def forwards(self) -> int:
        return -(-self.steps // self.chunk)
