"""Saliency: the plain gradient."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from viewer.explain import INPUT, Cost, Explainer, Model, Probe


@dataclass(frozen=True)
class Saliency(Explainer):
    """The largest size of the gradient over the channels, pixel by pixel."""

    name = "saliency"
    title = "Saliency"
    family = "gradient"
    paper = "Simonyan et al., Deep inside convolutional networks, arXiv:1312.6034, 2013"
    shows = "Pixels where a small change would move the score most, up or down; noisy."
    cost = Cost("1, shared with the prediction", "1 for all labels")
    signed: ClassVar[bool] = False
    unit: ClassVar[str] = "logit per input unit"

    def layers(self, model: Model) -> tuple[str, ...]:
        return (INPUT,)

    def compute(self, probe: Probe) -> Tensor:
        return probe.gradients(INPUT).abs().amax(2)
