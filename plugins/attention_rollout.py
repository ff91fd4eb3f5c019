"""Attention rollout."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from viewer.explain import Cost, Explainer, Model, Probe, no_attention, over_patches


@dataclass(frozen=True)
class AttentionRollout(Explainer):
    """The product over blocks of (½ mean attention + ½ identity), rows adding up to one."""

    name = "attention-rollout"
    title = "Attention rollout"
    family = "attention"
    paper = "Abnar & Zuidema, Quantifying attention flow in transformers, ACL 2020"
    shows = "How much of each patch can have reached the classifier through all blocks, whatever the label."
    cost = Cost("1, shared with the prediction")
    target_dependent: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "share of flow"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        flow: Tensor | None = None
        for _, weights in probe.attention():
            mean = weights.mean(1)
            step = (mean + torch.eye(mean.shape[-1], device=mean.device, dtype=mean.dtype)) / 2
            step = step / step.sum(-1, keepdim=True)
            flow = step if flow is None else step @ flow
        assert flow is not None  # `probe.attention` gives at least one block
        return over_patches(flow, probe.tokens)[None]
