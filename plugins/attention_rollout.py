# SPDX-License-Identifier: Apache-2.0
"""Attention rollout."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, no_attention, over_patches, reading, walk


@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """The product over blocks of (½ mean attention + ½ identity); rows add up to one, where no window is
    padded."""

    name = "attention-rollout"
    title = "Attention rollout"
    contribution = False
    family = "attention"
    paper = "Abnar & Zuidema, Quantifying attention flow in transformers, ACL 2020"
    shows = "How much of each patch can have reached the classifier through all blocks, whatever the label."
    cost = Cost("1, shared with the prediction")
    caution: ClassVar[str] = (
        "It weighs every head and every shortcut alike and leaves the values out, so it also shows what the "
        "network looked at and ignored (Chefer, Gur & Wolf 2021). High-norm background patches of "
        "large networks without registers light up (Darcet et al. 2024)."
    )
    target_dependent: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "share of flow"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        blocks = probe.attention
        read = reading(blocks[-1].tokens, probe.x.device).expand(len(probe.inputs), -1)

        def step(i: int, row: Tensor) -> Tensor:
            return (row + blocks[i].apply(row, blocks[i].weights.mean(2))) / 2

        return over_patches(walk(blocks, read, step, probe.task), blocks[0].tokens)[None]
