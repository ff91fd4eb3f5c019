# SPDX-License-Identifier: Apache-2.0
"""The gates that a network sets on its own maps."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from viewer.explain import Cost, Explainer, ExplainerError, Model, Probe, Tip, no_layer


@dataclass(frozen=True)
class Gates(Explainer):
    """What one spatial gate lets through: the number between 0 and 1 by which it multiplies each cell.

    Gates of channels alone (squeeze-excite, ECA) are the same at every cell, so there is nothing to draw.
    """

    gate: Annotated[
        int,
        Tip("The gate, counted from 0 as they run; −1 is the last", "a later gate", "the first gate"),
    ] = -1

    name = "gates"
    title = "Spatial gates"
    contribution = False
    family = "attention"
    paper = "Woo et al., CBAM, ECCV 2018; Oktay et al., Attention U-Net, MIDL 2018"
    shows = "How much of each cell a gate of the network lets through, the same for every label."
    cost = Cost("1")
    caution: ClassVar[str] = (
        "A gate says what is passed on, not what is made of it: an open cell may lower the score or change "
        "nothing, and what Jain & Wallace (2019) found of attention holds of gates. Gates of channels, which "
        "often stand beside it, are not shown."
    )
    target_dependent: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    unit: ClassVar[str] = "share let through"

    def unsuitable(self, model: Model) -> str | None:
        reason = no_layer(model)
        if reason is not None or model.structure.gates:
            return reason
        if "channel gates" in model.structure.traits:
            return "This network's gates weigh channels (squeeze-excite), which have no place on the image."
        return "This network has no gates."

    def compute(self, probe: Probe) -> Tensor:
        gates = probe.gates()
        if not -len(gates) <= self.gate < len(gates):
            raise ExplainerError(
                f"There is no gate {self.gate}; the network has gates 0 to {len(gates) - 1}."
            )
        return gates[self.gate][1][:, 0][None]
