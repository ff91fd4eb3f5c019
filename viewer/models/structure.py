# SPDX-License-Identifier: Apache-2.0
"""What a network is made of: its layers with their layouts, its attention and tokens, its gates."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from torch import Tensor, nn

from viewer.models.card import AttentionFacts
from viewer.models.dry_run import DryRun, Shape
from viewer.models.layout import Layouts, layouts
from viewer.models.maps import Layer
from viewer.models.watch import Watch


@dataclass(frozen=True, slots=True)
class Tokens:
    """A transformer's tokens: `prefix` class and register tokens, then the patches of `grid`."""

    prefix: int
    grid: tuple[int, ...]
    pool: Literal["class", "mean"]
    read: int = 1
    """How many tokens, from the first, are classified where `pool` is "class"; their scores are averaged."""

    @property
    def count(self) -> int:
        return self.prefix + prod(self.grid)


@dataclass(frozen=True, slots=True)
class Structure:
    """Layers in the order in which they run, attention modules, tokens, and the output's shape."""

    layers: tuple[Layer, ...]
    attention: tuple[str, ...]
    tokens: Tokens | None
    output: tuple[int, ...] | None
    """(labels[, …spatial]) of one sample, or None where no dry run was possible."""
    modules: frozenset[str]
    traits: frozenset[str]
    """"windowed" for attention within windows (Swin), "unknown windows" where nobody knows their places,
    "keys of its own" for attention with added keys, "channel gates" for squeeze-excite, "rectified" where a
    ReLU runs, however it is called."""
    aliases: dict[str, str]
    """Inner modules whose output is that of a layer around them, e.g. layer4.1 → layer4."""
    gates: tuple[str, ...] = ()
    """The modules in which a map is multiplied by one number a cell, in order."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """What the other modules that ran give, in words that go on from their name."""
    views: frozenset[str] = frozenset()
    """Modules that only lay out anew the numbers that another gave."""
    channels: Mapping[Shape, int] = field(default_factory=dict)
    """The axis of the channels in outputs of a shape, that of the batch left out of it and counted 0."""

    def spatial_gates(self, watch: Watch) -> list[tuple[str, Tensor]]:
        """(module, gate (n, 1, …grid)) where a map was multiplied by one number a cell."""
        return [
            (gate.module, gate.numbers.movedim(gate.axis, 1))
            for gate in watch.gates
            if self.channels.get(gate.features[1:], 1) == gate.axis
        ]

    def layer(self, name: str) -> Layer | None:
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def stages(self) -> tuple[Layer, ...]:
        """The last layer at each resolution, from the input to the output."""
        kind = "tokens" if self.tokens is not None and len(self.output or ()) == 1 else None
        last: dict[tuple[int, ...], Layer] = {}
        for layer in self.layers:
            if (kind is None or layer.layout == kind) and not (
                layer.name in self.views and layer.grid in last
            ):
                last.pop(layer.grid, None)
                last[layer.grid] = layer
        return tuple(last.values())


def attention_modules(module: nn.Module) -> dict[str, nn.Module]:
    """The attention modules by name: `nn.MultiheadAttention`, and those of timm and torchvision."""
    return {
        name: m
        for name, m in module.named_modules()
        if isinstance(m, nn.MultiheadAttention)
        or (hasattr(m, "num_heads") and (hasattr(m, "fused_attn") or _windowed(m)))
    }


_WINDOWED = {
    "timm.models.swin_transformer": {"WindowAttention"},
    "timm.models.swin_transformer_v2": {"WindowAttention"},
    "torchvision.models.swin_transformer": {"ShiftedWindowAttention", "ShiftedWindowAttentionV2"},
}
"""Attention within windows whose places are known, by module and class."""


def _windowed(module: nn.Module) -> bool:
    return type(module).__name__ in _WINDOWED.get(type(module).__module__, ())


def structure(module: nn.Module, ran: DryRun, shape: Shape, facts: AttentionFacts | None) -> Structure:
    """A network's structure from its dry run, and runs that find the layers' layouts.

    `shape` is (channels, …) of one sample. The module is in eval mode.
    """
    attention = attention_modules(module)
    modules = frozenset(name for name, _ in module.named_modules())
    traits, watch = _traits(module, attention), ran.watch
    inner = tuple(f"{name}." for name in attention)
    names = (*attention, *(n for n in watch.attending if n not in attention and not n.startswith(inner)))
    if ran.output is None:
        return Structure((), names, None, None, modules, traits, {})
    known = names and "windowed" not in traits
    tokens = _tokens(module, ran, facts, shape) if known else None
    told = (tokens.prefix, tokens.grid) if tokens is not None and facts is not None else None
    found = layouts(module, ran, shape, told)
    if tokens is not None and not _laid_out(tokens, found, ran):
        tokens = None
    channels = {ran.shapes[layer.name][1:]: layer.axes[0] for layer in found.layers}
    traits |= {"channel gates"} if any(channels.get(s[1:], 1) == a for s, a in watch.by_one_axis) else set()
    traits |= {"rectified"} if watch.rectified else set()
    built = Structure(
        found.layers, names, tokens, ran.output, modules, traits, ran.aliases, refused=found.refused,
        views=ran.views, channels=channels,
    )  # fmt: skip
    return replace(built, gates=tuple(name for name, _ in built.spatial_gates(watch)))


def _laid_out(tokens: Tokens, found: Layouts, ran: DryRun) -> bool:
    """Whether there are layers of as many tokens (the samples may come second), all with these places."""
    shapes = {name: s for name, s in ran.shapes.items() if len(s) == 3}
    layers = [layer for layer in found.layers if shapes.get(layer.name, ())[1:2] == (tokens.count,)]
    there = layers or any(s[0] == tokens.count for s in shapes.values())
    return bool(there) and all((one.prefix, one.grid) == (tokens.prefix, tokens.grid) for one in layers)


def _traits(module: nn.Module, attention: dict[str, nn.Module]) -> frozenset[str]:
    own = any(isinstance(m, nn.MultiheadAttention) and _adds_keys(m) for m in attention.values())
    swin = "swin" in type(module).__module__.lower()
    unknown = swin and not (attention and all(map(_windowed, attention.values())))
    found = {"keys of its own": own, "windowed": swin, "unknown windows": unknown}
    return frozenset(name for name, there in found.items() if there)


def _adds_keys(module: nn.MultiheadAttention) -> bool:
    return module.bias_k is not None or bool(module.add_zero_attn)


def _tokens(module: nn.Module, ran: DryRun, facts: AttentionFacts | None, shape: Shape) -> Tokens | None:
    """How many prefix tokens there are, and the grid of the patches, from the shapes that ran."""
    # PyTorch's fast path attends unseen; then the tokens are those of most layers.
    counts = ran.watch.sizes or Counter(s[1] for s in ran.shapes.values() if len(s) == 3)
    if not counts:
        return None
    count = counts.most_common(1)[0][0]
    if facts is not None:
        grid = facts.grid or _square(count - facts.prefix, len(shape) - 1)
        return Tokens(facts.prefix, grid, facts.pool) if grid and prod(grid) + facts.prefix == count else None
    told = getattr(module, "num_prefix_tokens", None)
    grids = [s[2:] for s in ran.shapes.values() if len(s) == len(shape) + 1]
    prefixes = [told] if isinstance(told, int) else range(min(count, 17))
    for prefix in prefixes:
        grid = next((g for g in grids if prod(g) == count - prefix), None)
        # Without a map to compare with, only what is common is guessed: a square of a square.
        guess = not grids and prefix in (0, 1, told) and len(set(shape[1:])) == 1
        grid = grid or (_square(count - prefix, len(shape) - 1) if guess else None)
        if grid:
            pooled = getattr(module, "global_pool", "token" if prefix else "avg")
            # A distilled DeiT classifies its second token too, by a head of its own.
            read = 2 if hasattr(module, "head_dist") else 1
            return Tokens(prefix, grid, "class" if prefix and pooled in ("token", "") else "mean", read)
    return None


def _square(count: int, dimensions: int) -> tuple[int, ...] | None:
    side = round(count ** (1 / dimensions)) if count > 0 else 0
    return (side,) * dimensions if side > 1 and side**dimensions == count else None
