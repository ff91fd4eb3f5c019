# SPDX-License-Identifier: Apache-2.0
"""Class activation maps: activations of one layer, weighted by the gradients there."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from viewer.errors import ExplainerError, ModelError
from viewer.explain.explainer import Cost, Explainer, Family, model_layer
from viewer.explain.layers import CLOSED
from viewer.explain.probe import Probe
from viewer.explain.shared import Shared
from viewer.explain.values import Values
from viewer.models import Model
from viewer.task import Task


@dataclass(frozen=True)
class CAM(Explainer):
    """A method that combines activations and gradients of a layer; `combine` is all that differs."""

    layer: str | None = None

    family: ClassVar[Family] = "CAM"
    cost: ClassVar[Cost] = Cost("1, shared with the prediction", "1 from the layer upward, for all labels")

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    @final
    def compute(self, probe: Probe) -> Values | Tensor:
        layer = model_layer(self, probe.model)
        gradients = probe.gradients(layer)
        refuse_blank(gradients, layer)
        return self.combine(probe.activations(layer), gradients)

    @abstractmethod
    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """(n, channels, …grid) and (targets, n, channels, …grid) → (targets, n, …grid), signed."""


def weighted(activations: Tensor, weights: Tensor) -> Tensor:
    """Σ over channels of weight × activation, (targets, n, …grid); `weights` are (targets, n, channels)."""
    summed = weights.movedim(1, 0) @ activations.flatten(2)  # (n, targets, cells)
    return summed.movedim(1, 0).reshape(*weights.shape[:2], *activations.shape[2:])


def no_layer(model: Model) -> str | None:
    """Why a method on layers does not suit a model, or None."""
    structure = model.structure
    if model.closed:
        return CLOSED
    if structure.output is None:
        return "The network could not be run on an empty image, so its layers are not known."
    return None if structure.layers else "This network has no layer with a map over the image."


def refuse_blank(gradients: Tensor, layer: str) -> None:
    """Refuse a layer from whose map no target's gradient flows: its picture would be blank."""
    if not bool(gradients.any()):
        raise ExplainerError(
            f"No gradient reaches the map of the layer {layer!r}: behind it only the class token (or a dead "
            "activation) feeds the output, so the map would be blank; choose an earlier layer."
        )


def linear_tail(model: Model, layer: str) -> bool:
    """Whether averaging over the cells and one linear map follow a layer: found out once, by numbers.

    Then the gradient there is the same at every cell and for every image. Tried on three images of noise,
    a dark and a bright one among them, for a weighted sum of all labels; raises `ExplainerError` where that
    does not work.
    """

    def tried() -> bool:
        try:
            return len(model.structure.output or ()) == 1 and _constant(_on_noise(model, layer))
        except (ModelError, RuntimeError) as error:  # noise may be what a network does not take
            raise ExplainerError(f"What follows the layer {layer!r} could not be tried: {error}") from error

    return model.memo.get(("linear tail", layer), tried)


def _on_noise(model: Model, layer: str) -> Tensor:
    """The gradient at a layer for three images, (3, channels, …grid)."""
    noise = torch.randn(1, *model.input_shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    x = torch.cat([noise, noise + 3, -3 - 2 * noise])
    with model.guarded(Task()) as forward, torch.enable_grad():
        shared = Shared(model, forward, x, Task(), (layer,), attention=False, kept=None)
        output = shared.graph.sum(0)
        weights = torch.linspace(1, 2, len(output), device=x.device, dtype=output.dtype)
        return shared.gradients((output @ weights)[None], layer)[0]


def _constant(gradients: Tensor) -> bool:
    cells = gradients.movedim(1, 0).flatten(1).float()  # (channels, images and cells)
    spread = cells.amax(1) - cells.amin(1)
    return bool(cells.any()) and bool(spread.max() <= 1e-4 * cells.abs().max())
