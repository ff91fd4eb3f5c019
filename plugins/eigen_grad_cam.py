# SPDX-License-Identifier: Apache-2.0
"""EigenGradCAM, by the grad-cam package."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from viewer.explain import LibraryCAM


@dataclass(frozen=True)
class EigenGradCAM(LibraryCAM):
    """Gradient × activation projected on its first principal component over the channels."""

    name = "eigen-grad-cam"
    title = "EigenGradCAM"
    contribution = False
    paper = "Gildenblat et al., the grad-cam package, 2021; after Muhammad & Yeasin, Eigen-CAM, IJCNN 2020"
    shows = "Where the strongest pattern of gradient × activation lies in the layer."
    caution = (
        "One component is kept of many, and what speaks for the label in others is not seen. The sign of a "
        "component is not defined; it is turned to agree with the sum of gradient × activation over the "
        "channels, which the package does not do. Places are good to half a cell."
    )
    unit = "logit × activation"
    cells: ClassVar[int | None] = 8192

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from pytorch_grad_cam import EigenGradCAM as Peer

        return Peer(module, [layer])

    def turned(self, image: Any, activations: Any, gradients: Any) -> Any:
        summed = (gradients * activations).sum(1)
        return -image if (image * (summed - summed.mean())).sum() < 0 else image
