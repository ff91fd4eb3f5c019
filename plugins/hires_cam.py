"""HiResCAM."""

from dataclasses import dataclass

from torch import Tensor

from viewer.explain import CAM


@dataclass(frozen=True)
class HiResCAM(CAM):
    """Σ over channels of (gradient × activation), cell by cell."""

    name = "hires-cam"
    title = "HiResCAM"
    paper = "Draelos & Carin, HiResCAM, arXiv:2011.08891, 2020"
    shows = (
        "What each cell adds to the score; exactly so where only pooling or flattening and one linear layer "
        "follow the chosen layer."
    )

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        return (gradients * activations).sum(2)
