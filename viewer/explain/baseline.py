"""What "not there" means for a method that removes or fades the image."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Baseline = Literal["minimum", "zero", "mean", "blur"]
"""The image's lowest value per channel (air, black), zero after normalisation, its mean, or a blur."""


def baseline(x: Tensor, kind: Baseline) -> Tensor:
    """A baseline of the shape of `x`, (n, channels, …spatial).

    "zero" in a normalised space is mean grey, not black; "blur" is a Gaussian with a standard
    deviation of a tenth of the shortest side.
    """
    spatial = tuple(range(2, x.ndim))
    match kind:
        case "minimum":
            return x.amin(spatial, keepdim=True).expand_as(x).contiguous()
        case "mean":
            return x.mean(spatial, keepdim=True).expand_as(x).contiguous()
        case "blur":
            return _blur(x, max(1.0, min(x.shape[2:]) / 10))
    return torch.zeros_like(x)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    positions = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(2, x.ndim):
        moved = x.movedim(axis, -1)
        flat = moved.reshape(-1, 1, moved.shape[-1])
        padded = F.pad(flat, (radius, radius), mode="replicate")
        x = F.conv1d(padded, kernel[None, None]).reshape(moved.shape).movedim(-1, axis)
    return x
