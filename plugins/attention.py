"""Raw attention of one block."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from viewer.explain import Cost, Explainer, ExplainerError, Interval, Model, Probe, no_attention, over_patches


@dataclass(frozen=True)
class Attention(Explainer):
    """The attention that one block's classifying token pays to each patch, of one head or their mean."""

    block: int = -1
    """Counted from 0; −1 is the last."""
    head: Annotated[int | None, Interval(ge=0)] = None
    """Counted from 0; none is the mean over heads."""

    name = "attention"
    title = "Attention"
    family = "attention"
    paper = "Dosovitskiy et al., An image is worth 16 × 16 words, ICLR 2021"
    shows = "Where one block looks, the same for every label; looking is not using."
    cost = Cost("1, shared with the prediction")
    target_dependent: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "share of attention"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        blocks = probe.attention()
        if not -len(blocks) <= self.block < len(blocks):
            raise ExplainerError(
                f"There is no block {self.block}; the network has blocks 0 to {len(blocks) - 1}."
            )
        weights = blocks[self.block][1]  # (n, heads, queries, keys)
        if self.head is not None and self.head >= weights.shape[1]:
            raise ExplainerError(
                f"There is no head {self.head}; the block has heads 0 to {weights.shape[1] - 1}."
            )
        chosen = weights.mean(1) if self.head is None else weights[:, self.head]
        return over_patches(chosen, probe.tokens)[None]
