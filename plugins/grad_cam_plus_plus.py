# SPDX-License-Identifier: Apache-2.0
"""Grad-CAM++."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, Peer, Probe, Scored, model_layer, of_grad_cam, weighted


@dataclass(frozen=True)
class GradCAMPlusPlus(CAM):
    """Σ over channels of (Σ over cells of α × positive gradient) × activation, α = 1 ÷ (2 + ΣA × gradient).

    This α is that of the paper's equation 19 (g² ÷ (2 g² + ΣA g³)) without a small number beside g², which
    in the grad-cam package outweighs the weak gradients of a large layer. A channel with a negative sum,
    for which the equation may divide by zero and turn the sign, has the α of one without activation.
    """

    name = "grad-cam-plus-plus"
    title = "Grad-CAM++"
    contribution = True
    paper = "Chattopadhay et al., Grad-CAM++, WACV 2018, arXiv:1710.11063"
    shows = "Where channels are active that raise the score anywhere; meant for several findings of a kind."
    caution = (
        "Only what raises the score counts, and a channel counts in all its places: like Grad-CAM it may "
        "show where the network did not look (Draelos & Carin 2020). Its weights are derived for layers "
        "behind a ReLU and for the exponential of the score; with the positive gradient alone it is close "
        "to plain averaging (Lerma & Lucas, arXiv:2205.10838). Places are good to half a cell."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        summed = activations.flatten(2).sum(2, keepdim=True).clamp(min=0)  # (n, channels, 1)
        raising = gradients.flatten(3).clamp(min=0)
        return weighted(activations, (raising / (2 + summed * raising)).sum(3))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        layer = model_layer(self, probe.model)

        def fault(_net: Scored, _theirs: Tensor) -> str:
            summed = probe.activations(layer).flatten(2).sum(2, keepdim=True)
            raising = probe.gradients(layer)[0].flatten(2).clamp(min=0)
            below = (2 + summed * raising) * raising**2
            return _FAULT if bool(((raising > 0) & (below < _WEAK)).any()) else ""

        return (of_grad_cam(probe, "GradCAMPlusPlus", layer, fault),)


_WEAK = 1e-2
"""A denominator of which the package's 10⁻⁶ is more than a ten-thousandth."""
_FAULT = (
    "grad-cam adds 10⁻⁶ to a denominator that is as small as the square of the gradient, so that weak "
    "gradients are lost, and a channel with a negative sum may turn its sign there."
)
