"""Class activation maps: activations of one layer, weighted by the gradients there."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from viewer.errors import ExplainerError
from viewer.explain.explainer import Cost, Explainer, Family, model_layer
from viewer.explain.probe import Probe, Values
from viewer.models import Model


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


def no_layer(model: Model) -> str | None:
    """Why a method on layers does not suit a model, or None."""
    structure = model.structure
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
