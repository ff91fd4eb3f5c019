# SPDX-License-Identifier: Apache-2.0
"""LeGrad."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, no_attention, over_patches, streams


@dataclass(frozen=True)
class LeGrad(Explainer):
    """Mean over blocks, heads and queries of the positive part of ∂ (score of the block's own tokens) / ∂ A.

    The paper then scales the map to 0 … 1; that is left out.
    """

    name = "legrad"
    title = "LeGrad"
    contribution = False
    family = "attention"
    paper = "Bousselham et al., LeGrad, ICCV 2025 (arXiv:2404.03214, 2024)"
    shows = "Patches to which more attention, in any block, would raise this label's score read behind it."
    cost = Cost("2, the second with all blocks' tokens before the classifier", "1 for all labels")
    caution: ClassVar[str] = (
        "The classifier was trained on the last block alone; what it says of early ones may mean little. A "
        "patch counts by what attention to it would do, not by the attention it got. Only what raises the "
        "score is shown, and all blocks weigh the same."
    )
    signed: ClassVar[bool] = False
    unit: ClassVar[str] = "logit per attention"

    def unsuitable(self, model: Model) -> str | None:
        reason = no_attention(model)
        if reason is None and "windowed" in model.structure.traits:
            return (
                "This network's stages differ in width, so its classifier reads the last one's tokens only."
            )
        if reason is None and streams(model.structure) is None:
            return "This network's blocks do not give tokens that its classifier could read."
        return reason

    def compute(self, probe: Probe) -> Tensor:
        rows = []
        for blocks in probe.formed():
            maps = [
                over_patches(gradient.clamp(min=0).mean((3, 4))[:, :, 0], block.tokens)
                for block, gradient in blocks
            ]
            rows.append(torch.stack(maps).mean(0))
        return torch.cat(rows)
