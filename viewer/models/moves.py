# SPDX-License-Identifier: Apache-2.0
"""Whether a layer's output moves with the image: the image is changed at one place after another.

A change at a place changes the cell above it more than others, and attention, a gate or a normalisation that
tell it to all cells tell it to all of them alike. So what all cells share is taken off, and where the rest is
largest is compared with the place.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

PLACES = {
    1: ((0.15,), (0.4,), (0.65,), (0.85,)),
    2: ((0.15, 0.2), (0.2, 0.8), (0.8, 0.35), (0.6, 0.75)),
    3: ((0.15, 0.2, 0.8), (0.2, 0.8, 0.15), (0.8, 0.35, 0.3), (0.6, 0.75, 0.75)),
}
"""Where the image is changed, as shares of its sides; no flip or exchange of axes makes them each other."""

_SIDE = 0.2
"""The side of what is changed at a place, as a share of the image's."""

_NEAR = 0.08
"""By how much the middle of what changed may lie off its place beside half a cell, as a share of a side."""

_CHANNELS = 64
"""So many of a layer's channels, evenly spaced, tell enough."""

_APART = 0.4
"""Changes that are further apart have places; if they lie elsewhere, the order of the cells is another."""

_TOGETHER = 0.02
"""Changes that are hardly apart lie at the places by chance."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How well what changed lies at the places.

    `worst` and `mean` are distances along an axis, in units of what is allowed; `apart` says how far what
    changes with one place and with another are different cells, from 0 to 1.
    """

    worst: float
    mean: float
    apart: float

    @property
    def fits(self) -> bool:
        """Whether it moves with the image."""
        return self.worst <= 1 and self.apart > _TOGETHER

    @property
    def still(self) -> bool:
        """Whether nothing changes, wherever the image does."""
        return self.worst == inf

    @property
    def placed(self) -> bool:
        """Whether what changes has places, be they those of the image or others."""
        return self.apart > _APART

    @property
    def contradicts(self) -> bool:
        """Whether it changes at places of its own, which are not those of the image."""
        return self.mean > 1.5 and self.placed


def changed(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """An image of noise (channels, …spatial) and copies with other noise at each place, (1 + places, …)."""
    generator = torch.Generator().manual_seed(0)
    places = PLACES[len(shape) - 1]
    x = torch.randn(1, *shape, generator=generator).repeat(1 + len(places), *[1] * len(shape))
    for one, place in zip(x[1:], places, strict=True):
        first = [int((p - _SIDE / 2) * n) for p, n in zip(place, shape[1:], strict=True)]
        box = [slice(a, a + max(1, round(_SIDE * n))) for a, n in zip(first, shape[1:], strict=True)]
        part = one[(slice(None), *box)]
        part.copy_(1 + 2 * torch.randn(part.shape, generator=generator))
    return x.to(device)


def moved(cells: Tensor) -> Moved | None:
    """How maps (1 + places, channels, …grid) of what `changed` gave follow it; None if that is not known."""
    grid = tuple(cells.shape[2:])
    some = cells[:, :: -(-cells.shape[1] // _CHANNELS)]
    change = (some[1:] - some[:1]).float()
    spatial = tuple(range(2, change.ndim))
    own = (change - change.mean(spatial, keepdim=True)).square().sum(1).sqrt()  # (places, …grid)
    most = own.flatten(1).amax(1)
    if not bool(change.any()):
        return Moved(inf, inf, 0)
    if not bool(torch.isfinite(own).all()) or not bool((most > 0).all()):
        return None
    weight = own.square() / own.mean(0, keepdim=True).clamp_min(float(own.max()) * 1e-6)
    weight = torch.where(weight >= 0.5 * weight.flatten(1).amax(1).reshape(-1, *[1] * len(grid)), weight, 0)
    axes = [(torch.arange(n, device=own.device) + 0.5) / n for n in grid]
    off: list[float] = []
    for one, place in zip(weight, PLACES[len(grid)], strict=True):
        far = 0.0
        for axis, (n, centres) in enumerate(zip(grid, axes, strict=True)):
            along = centres.reshape([-1 if a == axis else 1 for a in range(len(grid))])
            middle = float((one * along).sum() / one.sum())
            far = max(far, abs(middle - place[axis]) / (0.5 / n + _NEAR))
        off.append(far)
    rows = own.flatten(1) / own.flatten(1).square().sum(1, keepdim=True).sqrt()
    count = len(rows)
    apart = 1 - float((rows @ rows.T).sum() - count) / (count * (count - 1))
    return Moved(max(off), sum(off) / len(off), apart)
