"""Grad-CAM."""

from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM


@dataclass(frozen=True)
class GradCAM(CAM):
    """Σ over channels of (mean gradient of the channel × activation), without the final ReLU."""

    name = "grad-cam"
    title = "Grad-CAM"
    paper = "Selvaraju et al., Grad-CAM, ICCV 2017"
    shows = "Where the channels that raise the score on average are active; coarse, and not exact."

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        weights = gradients.flatten(3).mean(3)  # (targets, n, channels)
        summed = weights.movedim(1, 0) @ activations.flatten(2)  # (n, targets, cells)
        return summed.movedim(1, 0).reshape(*weights.shape[:2], *activations.shape[2:])
