# SPDX-License-Identifier: Apache-2.0
"""Eigen-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Peer, Probe, model_layer, no_layer, of_grad_cam

_NOTHING = 1e-3
"""Part of the activations' spread below which their mean over the channels counts as the same everywhere."""
_CELLS = 8000
"""Of a layer: more than these the package's matrix of cells × cells outgrows a quarter of a gigabyte."""


@dataclass(frozen=True)
class EigenCAM(Explainer):
    """The activations projected on their first principal component; no gradient, no label."""

    layer: str | None = None

    name = "eigen-cam"
    title = "Eigen-CAM"
    contribution = False
    family = "CAM"
    paper = "Muhammad & Yeasin, Eigen-CAM, IJCNN 2020"
    shows = "Where the layer's strongest pattern lies, the same for every label; not why a label was chosen."
    caution = (
        "It is the same map for every label, and would be if the classifier were exchanged: it cannot say "
        "why a label was chosen. The sign of a principal component is not defined; it is turned to agree "
        "with the mean activation. Places are good to half a cell."
    )
    cost = Cost("1, shared with the prediction")
    target_dependent: ClassVar[bool] = False
    unit: ClassVar[str] = "activation"

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        activations = probe.activations(model_layer(self, probe.model)).to(probe.x.dtype)
        n, _, *grid = activations.shape
        cells = activations.flatten(2).transpose(1, 2)  # (n, cells, channels)
        cells = cells - cells.mean(1, keepdim=True)
        # As in the grad-cam package, but without its (cells × cells) matrix, which a volume cannot afford.
        _, _, components = torch.linalg.svd(cells, full_matrices=False)
        maps = (cells @ components[:, 0, :, None])[..., 0]
        return _turned(maps, cells).reshape(1, n, *grid)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        layer = model_layer(self, probe.model)
        cells = probe.activations(layer)[0, 0].numel()
        if cells > _CELLS:
            size = f"{cells**2 * 4 / 1e9:.3g} GB"
            return (Peer("grad-cam", reason=f"Its EigenCAM would set up a matrix of cells × cells, {size}."),)
        return (of_grad_cam(probe, "EigenCAM", layer, either_sign=True),)


def _turned(maps: Tensor, cells: Tensor) -> Tensor:
    """Maps (n, cells) with a sign: a principal component has none of its own.

    They are turned to agree with the mean of the centred activations, (n, cells, channels), or where that
    is nothing (behind a LayerNorm it is the same in all cells) so that their few strong values are positive.
    """
    mean = cells.mean(2)
    flat = mean.norm(dim=1) < _NOTHING * cells.norm(dim=(1, 2)) / cells.shape[2] ** 0.5
    strongest = maps.abs().amax(1, keepdim=True).clamp(min=1e-12)
    sign = torch.where(flat, (maps / strongest).pow(3).sum(1), (maps * mean).sum(1))
    return torch.where(sign[:, None] < 0, -maps, maps)
