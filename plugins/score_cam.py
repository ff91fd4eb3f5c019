# SPDX-License-Identifier: Apache-2.0
"""Score-CAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from viewer.explain import (
    Cost,
    Explainer,
    Interval,
    Model,
    Peer,
    Probe,
    Tip,
    model_layer,
    no_layer,
    of_grad_cam,
    weighted,
)


@dataclass(frozen=True)
class ScoreCAM(Explainer):
    """Σ over channels of (softmax of the score when only that channel's place is left × activation).

    The places are the channels, enlarged to the image with their corner cells on its corners and scaled to
    0 … 1, as in the grad-cam package.
    """

    layer: str | None = None
    batch: Annotated[
        int,
        Interval(ge=0, le=4096),
        Tip("Channels that run at once", "needs more memory", "as many as are fastest here"),
    ] = 0

    name = "score-cam"
    title = "Score-CAM"
    contribution = False
    family = "CAM"
    paper = "Wang et al., Score-CAM, CVPR Workshops 2020"
    shows = "Places that alone keep the score up, found by masking and not by gradients; slow."
    cost = Cost("1 per channel of the layer, for all labels")
    caution = (
        "The softmax over the channels all but evens out small differences of the score and picks one "
        "channel where they are large, so the weights depend on the logits' scale. A masked image is one "
        "that the network never saw (Hooker et al., NeurIPS 2019). All weights are positive: nothing speaks "
        "against. Places are good to half a cell."
    )
    unit = "activation × weight"

    def unsuitable(self, model: Model) -> str | None:
        return no_layer(model)

    def compute(self, probe: Probe) -> Tensor:
        activations = probe.activations(model_layer(self, probe.model))
        size = probe.x.shape[2:]
        mode = "bilinear" if len(size) == 2 else "trilinear"
        order, place, count = _once_each(activations)

        def masked(n: int, first: int, last: int) -> Tensor:
            channels = activations[n : n + 1, order[n, first:last]].to(probe.x.dtype)
            masks = F.interpolate(channels, size, mode=mode, align_corners=True)[0]
            cells = masks.flatten(1)
            low, high = (m.reshape(-1, *[1] * len(size)) for m in (cells.amin(1), cells.amax(1)))
            return probe.x[n] * ((masks - low) / (high - low + 1e-8))[:, None]

        scores = probe.scores(count, masked, "masking channel by channel", self.batch)
        weights = scores.gather(2, place.expand(len(scores), -1, -1)).softmax(2)
        return weighted(activations, weights.to(activations.dtype))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        if probe.x.ndim > 4:
            return (Peer("grad-cam", reason="Its ScoreCAM takes images only, and no volumes."),)
        return (of_grad_cam(probe, "ScoreCAM", model_layer(self, probe.model)),)


def _once_each(activations: Tensor) -> tuple[Tensor, Tensor, int]:
    """The channels in the order in which to mask, (n, channels), where each is found among their scores,
    (n, channels), and how many scores are needed: channels that are the same everywhere share one mask."""
    cells = activations.flatten(2)
    flat = cells.amax(2) == cells.amin(2)
    order = flat.byte().argsort(dim=1, stable=True)  # the flat ones come last
    varied = (~flat).sum(1, keepdim=True)
    place = order.argsort(dim=1).minimum(varied)
    return order, place, int(place.max()) + 1
