"""Eigen-CAM, by the grad-cam package."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, model_layer, no_layer


@dataclass(frozen=True)
class EigenCAM(Explainer):
    """The activations projected on their first principal component; no gradient, no label."""

    layer: str | None = None

    name = "eigen-cam"
    title = "Eigen-CAM"
    family = "CAM"
    paper = "Muhammad & Yeasin, Eigen-CAM, IJCNN 2020"
    shows = "Where the layer's strongest pattern lies, the same for every label; not why a label was chosen."
    cost = Cost("1, shared with the prediction")
    target_dependent: ClassVar[bool] = False
    unit: ClassVar[str] = "activation"

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        # Imported here: it brings OpenCV and takes seconds.
        from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

        activations = probe.activations(model_layer(self, probe.model)).float().cpu().numpy()
        # The package works in place of a picture's two axes; a volume is folded into rows.
        folded = activations.reshape(*activations.shape[:2], activations.shape[2], -1)
        maps = get_2d_projection(np.array(folded)).reshape(len(activations), *activations.shape[2:])
        # A principal component has no sign of its own: it is turned to agree with the mean activation.
        strength = activations.mean(1)
        axes = tuple(range(1, strength.ndim))
        agree = ((maps - maps.mean(axes, keepdims=True)) * strength).sum(axes, keepdims=True)
        return torch.from_numpy(np.where(agree < 0, -maps, maps).astype(np.float32))[None]
