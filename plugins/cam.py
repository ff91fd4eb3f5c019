# SPDX-License-Identifier: Apache-2.0
"""CAM, the class activation map."""

from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM, ExplainerError, Model, linear_tail, model_layer, weighted

_SAME = 1e-3
"""Of the largest gradient: what rounding makes differ from cell to cell."""


@dataclass(frozen=True)
class ClassActivationMap(CAM):
    """Σ over channels of (the label's weight in the last linear layer × activation).

    Its mean over the cells, and the layer's bias, are the score. Behind a mean over the cells the weight is
    the sum of the gradient over the cells, whatever the modules are called.
    """

    name = "cam"
    title = "CAM"
    contribution = True
    total = "mean"
    paper = "Zhou et al., Learning deep features for discriminative localization, CVPR 2016"
    shows = "What each cell adds to the score, exactly; its mean over the cells and the bias are the score."
    caution = (
        "A cell sees much more of the image than it covers, so that what it adds may come from beside it. "
        "Places are good to half a cell."
    )

    def unsuitable(self, model: Model) -> str | None:
        reason = super().unsuitable(model)
        if reason is not None:
            return reason
        try:
            layer = model_layer(self, model)
            if linear_tail(model, layer):
                return None
        except ExplainerError as error:
            return str(error)
        return (
            f"Behind the layer {layer!r} there is more than a mean over the cells and one linear layer, so "
            "there are no weights of a class activation map; HiResCAM or Grad-CAM take gradients instead."
        )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        cells = gradients.flatten(3)
        spread = (cells.amax(3) - cells.amin(3)).max()
        if bool(spread > _SAME * cells.abs().max()):  # a clip that no image of noise has reached, say
            raise ExplainerError(
                "On this image more than a mean over the cells and one linear layer follows the layer, "
                "so there are no weights of a class activation map; take HiResCAM or Grad-CAM."
            )
        return weighted(activations, cells.sum(3))
