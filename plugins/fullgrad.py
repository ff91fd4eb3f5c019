# SPDX-License-Identifier: Apache-2.0
"""FullGrad."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from viewer.explain import CLOSED, Cost, Explainer, ExplainerError, Model, Peer, Probe, Values


@dataclass(frozen=True)
class FullGrad(Explainer):
    """Input × gradient, and what every bias adds to the score at its place, summed over channels and layers.

    A bias belongs to a cell of its layer, whose share is spread over the pixels there without changing the
    sum. The paper's picture takes sizes and scales them layer by layer; here shares are raw and signed, so
    that they add up to the score less the biases that have no place, such as the last layer's.
    """

    name = "fullgrad"
    title = "FullGrad"
    contribution = True
    family = "gradient"
    paper = "Srinivas & Fleuret, Full-gradient representation for neural network visualization, NeurIPS 2019"
    shows = "What each pixel, with the biases of all layers at its place, adds to the score; adds up to it."
    cost = Cost("2", "1 per label")
    caution = (
        "Complete only where the network is linear between its ReLUs, which is checked. Gradients at the "
        "input are noisy (Smilkov et al., SmoothGrad, arXiv:1706.03825, 2017), and shares of opposite sign "
        "lie side by side and cancel, so that a strong spot need not be an important one."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def unsuitable(self, model: Model) -> str | None:
        if model.closed:
            return CLOSED
        return _NOT_LINEAR if model.structure.attention else None

    def compute(self, probe: Probe) -> Values:
        shares = probe.shares()
        total = (shares.gradients * probe.x).sum(2)
        due = shares.scores
        for added in shares.biases:
            if added.ndim == total.ndim:
                total = total + _spread(added, total.shape[2:])
            else:
                due = due - added.flatten(2).sum(2) if added.ndim > 2 else due - added
        flat, due = total.flatten(2).cpu().double(), due.cpu().double()  # which not every device has
        missing = (flat.sum(2) - due).abs()
        if bool((missing > torch.maximum(_SHARE * due.abs(), _ROUNDING * flat.abs().sum(2))).any()):
            raise ExplainerError(_NOT_LINEAR)
        error = 100 * missing / due.abs()
        return Values(total, torch.where(due.abs() > 1e-6, error, torch.nan))

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        reason = "Its FullGrad takes the sizes of the shares and scales them layer by layer: another map."
        return (Peer("grad-cam", reason=reason),)


_NOT_LINEAR = (
    "FullGrad splits the score among pixels and biases, which adds up only in networks of convolutions, "
    "batch norm, ReLU and pooling; this one has something else (attention, layer norm, a smooth activation)."
)
_SHARE = 0.01
"""Of what the shares must add up to: more may not be missing."""
_ROUNDING = 1e-5
"""Of the sizes of all shares: what their cancelling leaves."""


def _spread(cells: Tensor, size: Sequence[int]) -> Tensor:
    """(targets, n, …grid) → (targets, n, …size): bilinear, each cell's value shared out among its pixels."""
    for axis, (cell_count, pixels) in enumerate(zip(cells.shape[2:], size, strict=True), start=2):
        step = cell_count / pixels
        place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * step - 0.5
        far = (place - torch.arange(cell_count)[:, None]).abs() / max(1.0, step)
        share = (1 - far).clamp(min=0)  # (cells, pixels)
        share = share / share.sum(1, keepdim=True)
        cells = (cells.movedim(axis, -1) @ share.to(cells.device, cells.dtype)).movedim(-1, axis)
    return cells
