# SPDX-License-Identifier: Apache-2.0
"""Which layers of a network with an output per pixel still tell regions and classes apart.

Behind the last layers of such a network nothing looks around any more: a class activation map there is the
output of the class itself, whatever region is asked about. So a layer is worth explaining at if its map is
another one for another region, and for another class in the same region (Vinogradova et al., Towards
Interpretable Semantic Segmentation via Gradient-weighted Class Activation Mapping, AAAI 2020, take the
bottleneck of a U-Net).
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from viewer.models import Model
from viewer.models.guard import Forward
from viewer.models.maps import Layer
from viewer.task import Task

_ALIKE, _SAME = 0.95, 0.99
"""Maps that correlate more than this over their cells count as alike; more than that, as the same."""

_CELLS = 8
"""A map of fewer cells says too little about where."""

_SIDES = {2: (128,), 3: (32, 64)}
"""The sides of images that are tried, by their dimensions, where the network takes them."""

_MOST = {2: 2**20, 3: 2**18}
"""More pixels than this are not tried: the whole graph of a forward is kept."""


def telling(model: Model) -> tuple[str, ...]:
    """The last layer at each resolution whose map tells regions and classes apart, the last of them first.

    Of a block the end is taken, where it still tells them apart at all. Tried on noise; where that cannot be,
    the last layer at each resolution.
    """
    structure = model.structure
    alike = _alike(model)
    found: dict[tuple[int, ...], str] = {}
    for layer in structure.layers:
        within = found.get(layer.grid, "").startswith(f"{layer.name}.")
        if layer.name not in structure.views and alike.get(layer.name, 1) < (_SAME if within else _ALIKE):
            found[layer.grid] = layer.name
    if not found and min(alike.values(), default=1) < 1:  # a shallow network: where they are least alike
        return (min(alike, key=lambda name: alike[name]),)
    last = found or {layer.grid: layer.name for layer in structure.stages}
    place = {layer.name: i for i, layer in enumerate(structure.layers)}
    return tuple(sorted(last.values(), key=lambda name: -place[name]))


def _alike(model: Model) -> dict[str, float]:
    """How alike, as a correlation, a layer's maps of two regions or of two classes in one are at most."""
    channels, *size = model.input_shape
    small = [[min(n, side) for n in size] for side in _SIDES[len(size)]]
    for some in (*small, size):
        if prod(some) <= _MOST[len(size)]:
            x = torch.randn(1, channels, *some, generator=torch.Generator().manual_seed(0))
            with model.guarded(Task()) as forward, torch.enable_grad():
                try:
                    return _tried(forward, model.structure.layers, x.to(model.device))
                except Exception:  # noqa: BLE001 - sizes that a network does not take end in any error
                    continue
    return {}


def _tried(forward: Forward, layers: Sequence[Layer], x: Tensor) -> dict[str, float]:
    taps: dict[str, Tensor] = {}

    def tap(name: str) -> Callable[..., Tensor]:
        def hook(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor:
            taps[name] = output
            return output.clone()  # what is done in place behind the layer does not change it

        return hook

    for layer in layers:
        forward.module.get_submodule(layer.name).register_forward_hook(tap(layer.name))
    totals = _totals(forward(x.requires_grad_()))
    some = [taps[layer.name] for layer in layers]
    rows = [torch.autograd.grad(total, some, retain_graph=True, allow_unused=True) for total in totals]
    found = {}
    for layer, own, *gradients in zip(layers, some, *rows, strict=True):
        if all(g is not None for g in gradients):
            found[layer.name] = _most_alike(layer, own.detach(), gradients)
    return found


def _totals(output: Tensor) -> Tensor:
    """The mean of a class in two regions, and of another class, if there is one, in the first."""
    first = tuple(slice(0, max(1, n // 2)) for n in output.shape[2:])
    second = tuple(slice(n // 2, n) for n in output.shape[2:])

    def mean(label: int, region: tuple[slice, ...]) -> Tensor:
        own: Any = (0, label, *region)
        return output[own].mean()

    rows = [mean(0, first), mean(0, second)]
    return torch.stack([*rows, mean(1, first)] if output.shape[1] > 1 else rows)


def _most_alike(layer: Layer, own: Tensor, gradients: Sequence[Tensor]) -> float:
    """The largest correlation of a layer's map by the first gradient with those by the others."""
    activations, *rows = (t.permute(0, *layer.axes)[0].flatten(1).float() for t in (own, *gradients))
    activations, *rows = (t[:, layer.prefix :] for t in (activations, *rows))
    if activations.shape[1] < _CELLS:
        return 1.0
    maps = torch.stack([row.mean(1) for row in rows]) @ activations
    maps = maps - maps.mean(1, keepdim=True)
    sizes = maps.square().sum(1).sqrt()
    if not bool(torch.isfinite(sizes).all()) or not bool((sizes > 0).all()):
        return 1.0
    maps = maps / sizes[:, None]
    return float((maps[1:] @ maps[0]).max())
