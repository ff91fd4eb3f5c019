"""Attention relevance: gradient-weighted rollout."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, no_attention, over_patches


@dataclass(frozen=True)
class AttentionRelevance(Explainer):
    """Ā = mean over heads of the positive part of (gradient × attention); R ← R + Ā R, R = I at first."""

    name = "attention-relevance"
    title = "Attention relevance"
    family = "attention"
    paper = "Chefer, Gur & Wolf, Generic attention-model explainability, ICCV 2021"
    shows = "Patches whose attention raises this label's score, followed through all blocks."
    cost = Cost("1, shared with the prediction", "1 per label")
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "relevance"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        blocks = probe.attention()
        rows = []
        for target in range(len(probe.targets)):
            gradients = probe.attention_gradients(target)
            count = blocks[0][1].shape[-1]
            relevance = torch.eye(count, device=probe.x.device).expand(len(probe.inputs), count, count)
            for (_, weights), gradient in zip(blocks, gradients, strict=True):
                mean = (gradient * weights).clamp(min=0).mean(1)
                relevance = relevance + mean @ relevance
            # The identity is each token's relevance to itself, which says nothing of the image.
            own = torch.eye(count, device=probe.x.device)
            rows.append(over_patches(relevance - own, probe.tokens))
        return torch.stack(rows)
