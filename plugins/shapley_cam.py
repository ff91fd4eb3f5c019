# SPDX-License-Identifier: Apache-2.0
"""Shapley-CAM, by the grad-cam package."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from viewer.explain import Cost, LibraryCAM, Probe, model_layer


@dataclass(frozen=True)
class ShapleyCAM(LibraryCAM):
    """Activations weighted by the mean of gradient − ½ Hessian × activation over the cells."""

    name = "shapley-cam"
    title = "Shapley-CAM"
    contribution = True
    paper = "Cai, CAMs as Shapley value-based explainers, arXiv:2501.06261, 2025"
    shows = "Places whose channels raise the score, their weights corrected by the score's curvature."
    cost = Cost("1 per label", "2 per label, through the whole network")
    caution = (
        "Behind a layer where only ReLU, pooling and linear layers follow, a logit has no curvature, and the "
        "map is Grad-CAM's. The weights are averages over the cells, which may colour places that the "
        "network did not use (Draelos & Carin, arXiv:2011.08891, 2020). Places are good to half a cell."
    )
    cut: ClassVar[bool] = False  # the package goes back to the image first

    def peer(self, module: nn.Module, layer: nn.Module) -> Any:
        from pytorch_grad_cam import ShapleyCAM as Peer

        return Peer(module, [layer])

    def explained(self, cam: Any, one: Probe) -> None:
        # Where the gradient at the layer is constant, it must still hang on something: on a factor of one.
        factor = torch.ones((), device=one.x.device, requires_grad=True)
        layer = one.module.get_submodule(model_layer(self, one.model))
        handle = layer.register_forward_hook(lambda _module, _arguments, output: output * factor)
        try:
            with one.unfused():  # fused attention has no second derivative
                super().explained(cam, one)
        finally:
            handle.remove()
