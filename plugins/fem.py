# SPDX-License-Identifier: Apache-2.0
"""FEM, the feature explanation method, by the grad-cam package."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import nn

from viewer.explain import Cost, Interval, LibraryCAM, Tip


@dataclass(frozen=True)
class FEM(LibraryCAM):
    """Activations weighted by the share of their channel's cells that are unusually strong."""

    sigmas: Annotated[
        float,
        Interval(ge=0, le=10),
        Tip(
            "Standard deviations above its channel's mean from which a cell is unusually strong",
            "fewer cells count",
            "all cells above the mean count",
        ),
    ] = 2.0

    name = "fem"
    title = "FEM"
    contribution = False
    paper = "Fuad et al., Features understanding in 3D CNNs for actions recognition in video, IPTA 2020"
    shows = "Where channels with rare strong cells are active, the same for every label."
    cost = Cost("1 per image")
    caution = (
        "It is the same map for every label, and would be if the classifier were exchanged: it cannot say "
        "why a label was chosen. A channel without a cell so strong does not count at all. Places are good "
        "to half a cell."
    )
    target_dependent: ClassVar[bool] = False
    unit = "activation"

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from pytorch_grad_cam import FEM as Peer  # noqa: N811 - its name there

        return Peer(module, [layer], k=self.sigmas)
