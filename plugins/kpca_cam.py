# SPDX-License-Identifier: Apache-2.0
"""KPCA-CAM, by the grad-cam package."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from torch import nn

from viewer.explain import Cost, Interval, LibraryCAM, Tip, numpy_seeded


@dataclass(frozen=True)
class KPCACAM(LibraryCAM):
    """The activations' first principal component in the space of a kernel; no gradient, no label."""

    kernel: Annotated[
        Literal["sigmoid", "rbf", "linear", "poly", "cosine"],
        Tip("How alike two cells are: the space in which the strongest pattern is looked for"),
    ] = "sigmoid"
    gamma: Annotated[
        float,
        Interval(ge=0, le=1e6),
        Tip(
            "The kernel's scale, per squared unit of the activations",
            "only cells that are very alike count as alike",
            "one over the number of channels",
        ),
    ] = 0.0

    name = "kpca-cam"
    title = "KPCA-CAM"
    contribution = False
    paper = "Karmani et al., KPCA-CAM: visual explainability using kernel PCA, IEEE MMSP 2024"
    shows = "Where the layer's strongest pattern lies, curved ones too; not why a label was chosen."
    cost = Cost("1 per image")
    caution = (
        "It is the same map for every label, and would be if the classifier were exchanged. The sign is no "
        "fact of the network: the cell that stands out most is made positive. Where activations are large a "
        "sigmoid kernel saturates, and the map shows little but that. Places are good to half a cell."
    )
    target_dependent: ClassVar[bool] = False
    unit = "projection in the kernel's space"
    cells: ClassVar[int | None] = 4096

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from pytorch_grad_cam import KPCA_CAM as Peer  # noqa: N811 - its name there

        return Peer(module, [layer], kernel=self.kernel, gamma=self.gamma or None)

    def drawing(self) -> AbstractContextManager[object]:
        return numpy_seeded(0)  # the search for the component begins at random
