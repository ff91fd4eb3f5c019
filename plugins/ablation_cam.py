# SPDX-License-Identifier: Apache-2.0
"""Ablation-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from viewer.explain import (
    Cost,
    Explainer,
    ExplainerError,
    Interval,
    Model,
    Peer,
    Probe,
    Scored,
    Tip,
    model_layer,
    no_layer,
    of_grad_cam,
    weighted,
)

_ROUNDING = 2e-6
"""Of a score: what the same sample differs by in batches of other sizes."""


@dataclass(frozen=True)
class AblationCAM(Explainer):
    """Σ over channels of (fall of the score when the channel is set to zero × activation).

    Of a transformer the channel is set to zero in the patches, which the map shows, not in the class token.
    The paper divides the falls by the score, which changes no place but turns the map round where the score
    is negative; that is left out.
    """

    layer: str | None = None
    batch: Annotated[
        int,
        Interval(ge=0, le=4096),
        Tip("Channels that run at once", "needs more memory", "as many as suit the device"),
    ] = 0

    name = "ablation-cam"
    title = "Ablation-CAM"
    contribution = False
    family = "CAM"
    paper = "Desai & Ramaswamy, Ablation-CAM, WACV 2020"
    shows = (
        "Where the channels are active without which the score falls, found by removing and not by gradients."
    )
    cost = Cost("1 per channel of the layer, from the layer upward, for all labels")
    caution = (
        "A channel counts in all its places, also where it was not used. Zero means not there behind a ReLU "
        "only; at other layers it is a value that the network may never have seen. Of channels "
        "that stand in for each other each seems to count little. Places are good to half a cell."
    )
    unit = "logit × activation"

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        layer = model_layer(self, probe.model)
        activations = probe.activations(layer)

        def ablated(own: Tensor, first: int, last: int) -> Tensor:
            changed = own.repeat(last - first, *[1] * (own.ndim - 1))
            each = torch.arange(last - first, device=own.device)
            probe.as_map(changed, layer)[each, first + each] = 0
            return changed

        doing = "removing channel by channel"
        before = probe.before[..., None]
        falls = before - probe.resumed(layer, activations.shape[1], ablated, doing, self.batch)
        if bool((falls.abs() <= _ROUNDING * before.abs()).all()):
            raise ExplainerError(
                f"Removing channels of the layer {layer!r} changes no score but by rounding, so the map "
                "would be noise: behind it only the class token feeds the output; choose an earlier layer."
            )
        return weighted(activations, falls.to(activations.dtype))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        layer = model_layer(self, probe.model)
        if probe.x.ndim > 4 or probe.layer(layer).layout != "channels first":
            reason = "Its AblationCAM takes images only, and removes a channel in the class token too."
            return (Peer("grad-cam", reason=reason),)

        def fault(_net: Scored, _theirs: Tensor) -> str:
            return "" if float(probe.activations(layer).min()) == 0 else _FAULT

        return (of_grad_cam(probe, "AblationCAM", layer, fault, times=float(probe.before[0, 0])),)


_FAULT = (
    "grad-cam sets a channel to zero only where the layer's lowest value is exactly zero, else to ten "
    "million below that value."
)
