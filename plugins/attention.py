# SPDX-License-Identifier: Apache-2.0
"""Raw attention of one block."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from viewer.explain import (
    Cost,
    Explainer,
    ExplainerError,
    Interval,
    Model,
    Probe,
    Tip,
    no_attention,
    over_patches,
    reading,
)


@dataclass(frozen=True)
class Attention(Explainer):
    """The attention that the token which is classified pays to each patch in one block, of one head or their
    mean; where the mean of the patches is classified, that of their mean."""

    block: Annotated[
        int, Tip("The block, counted from 0; −1 is the last", "a later block", "the first block")
    ] = -1
    head: Annotated[
        int | None,
        Interval(ge=0),
        Tip(
            "The head, counted from 0", "another head, no better one", "the first head", "the mean over heads"
        ),
    ] = None

    name = "attention"
    title = "Attention"
    contribution = False
    family = "attention"
    paper = "Dosovitskiy et al., An image is worth 16 × 16 words, ICLR 2021"
    shows = "Where one block looks, the same for every label; looking is not using."
    cost = Cost("1, shared with the prediction")
    caution: ClassVar[str] = (
        "Attention is not explanation: other weights can give the same answer (Jain & Wallace 2019). Large "
        "networks without registers park global facts in background patches, which then light up for no "
        "reason of their own (Darcet et al. 2024)."
    )
    target_dependent: ClassVar[bool] = False
    signed: ClassVar[bool] = False
    attention: ClassVar[bool] = True
    unit: ClassVar[str] = "share of attention"

    def unsuitable(self, model: Model) -> str | None:
        return no_attention(model)

    def compute(self, probe: Probe) -> Tensor:
        blocks = probe.attention
        if not -len(blocks) <= self.block < len(blocks):
            raise ExplainerError(
                f"There is no block {self.block}; the network has blocks 0 to {len(blocks) - 1}."
            )
        block = blocks[self.block]
        heads = block.weights.shape[2]
        if self.head is not None and self.head >= heads:
            raise ExplainerError(f"There is no head {self.head}; the block has heads 0 to {heads - 1}.")
        chosen = block.weights.mean(2) if self.head is None else block.weights[:, :, self.head]
        read = reading(block.tokens, chosen.device).expand(len(chosen), -1)
        return over_patches(block.apply(read, chosen), block.tokens)[None]
