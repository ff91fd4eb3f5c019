# SPDX-License-Identifier: Apache-2.0
"""Attention relevance: gradient-weighted rollout."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, no_attention, over_patches, reading, walk


@dataclass(frozen=True)
class AttentionRelevance(Explainer):
    """Ā = mean over heads of the positive part of (gradient × attention); R ← R + Ā R, R = I at first."""

    name = "attention-relevance"
    title = "Attention relevance"
    contribution = False
    family = "attention"
    paper = "Chefer, Gur & Wolf, Generic attention-model explainability, ICCV 2021"
    shows = "Patches whose attention raises this label's score, followed through all blocks."
    cost = Cost("1, shared with the prediction", "1 for all labels")
    caution: ClassVar[str] = (
        "It follows attention alone, as if values and MLPs passed every token on unchanged, and what lowers "
        "the score is left out. Of a network with windows the same rule is used, and merged patches share "
        "alike, which the paper did not test."
    )
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "relevance"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        blocks = probe.attention
        read = reading(blocks[-1].tokens, probe.x.device)
        # The identity is each token's relevance to itself, which says nothing of the image.
        own = walk(blocks, read, lambda _, row: row, probe.task)
        rows = []
        for gradients in probe.attention_gradients():
            means = [
                (gradient * block.weights).clamp(min=0).mean(3)
                for block, gradient in zip(blocks, gradients, strict=True)
            ]

            def step(i: int, row: Tensor, means: list[Tensor] = means) -> Tensor:
                return row + blocks[i].apply(row, means[i])

            start = read.expand(*gradients[0].shape[:2], -1)
            rows.append(walk(blocks, start, step, probe.task) - own)
        return over_patches(torch.cat(rows), blocks[0].tokens)
