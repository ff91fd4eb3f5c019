# SPDX-License-Identifier: Apache-2.0
"""What a network is made of, read off one dry run: its layers with their shapes, and its tokens.

The dry run goes over `meta` tensors, which have shapes and no values, so that it costs nothing even
for a volume of 256³; a network that needs values is run once on zeros.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.card import AttentionFacts
from viewer.models.watch import Watch, watching


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose output is a map over the image.

    `grid` is its (rows, columns) or (slices, rows, columns). `layout` says where the channels are:
    "channels first", "channels last" (Swin), or "tokens" (n, tokens, channels).
    """

    name: str
    channels: int
    grid: tuple[int, ...]
    layout: Literal["channels first", "channels last", "tokens"]


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
        return self.prefix + _product(self.grid)


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

    def layer(self, name: str) -> Layer | None:
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def stages(self) -> tuple[Layer, ...]:
        """The last layer at each resolution, from the input to the output."""
        kind = "tokens" if self.tokens is not None else None
        last: dict[tuple[int, ...], Layer] = {}
        for layer in self.layers:
            if kind is None or layer.layout == kind:
                last.pop(layer.grid, None)
                last[layer.grid] = layer
        return tuple(last.values())


Seen = tuple[str, Any, int]
"""A module's name, its output, and how often that had been written to by then."""


def _version(output: Any) -> int:
    return output._version if isinstance(output, Tensor) else 0


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


def structure(
    module: nn.Module, input_shape: tuple[int, ...], facts: AttentionFacts | None, select: Any
) -> Structure:
    """Read a network's structure; `input_shape` is (channels, …). The module is in eval mode."""
    attention = attention_modules(module)
    modules = frozenset(name for name, _ in module.named_modules())
    traits = _traits(module, attention)
    seen: list[Seen] = []
    inner = tuple(f"{name}." for name in attention)
    handles = [
        m.register_forward_hook(lambda _m, _a, out, name=name: seen.append((name, out, _version(out))))
        for name, m in module.named_modules()
        if name and not name.startswith(inner)
    ]
    try:
        with watching(module) as watch:
            output = _dry_run(module, input_shape, select, seen, watch)
    finally:
        for handle in handles:
            handle.remove()
    names = (*attention, *(n for n in watch.attending if n not in attention and not n.startswith(inner)))
    traits |= {"channel gates"} if watch.channel_gates else set()
    traits |= {"rectified"} if watch.rectified else set()
    if output is None:
        return Structure((), names, None, None, modules, traits, {})
    shape = tuple(int(n) for n in output.shape[1:])
    candidates, aliases = _candidates(seen, output)
    known = names and "windowed" not in traits
    tokens = _tokens(module, candidates, watch, facts, input_shape) if known else None
    swin = "windowed" in traits
    layers = [
        _layer(name, t, len(input_shape) - 1, tokens, swin and not _convolves(module.get_submodule(name)))
        for name, t in candidates
    ]
    kept = tuple(layer for layer in layers if layer is not None)
    gates = tuple(name for name, _ in watch.gates)
    return Structure(kept, names, tokens, shape, modules, traits, aliases, gates)


def _traits(module: nn.Module, attention: dict[str, nn.Module]) -> frozenset[str]:
    own = any(isinstance(m, nn.MultiheadAttention) and _adds_keys(m) for m in attention.values())
    swin = "swin" in type(module).__module__.lower()
    unknown = swin and not (attention and all(map(_windowed, attention.values())))
    found = {"keys of its own": own, "windowed": swin, "unknown windows": unknown}
    return frozenset(name for name, there in found.items() if there)


def _adds_keys(module: nn.MultiheadAttention) -> bool:
    return module.bias_k is not None or bool(module.add_zero_attn)


def _dry_run(
    module: nn.Module, shape: tuple[int, ...], select: Any, seen: list[Seen], watch: Watch
) -> Tensor | None:
    tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    meta = {name: torch.empty_like(t, device="meta") for name, t in tensors.items()}
    device = next(iter(tensors.values())).device if tensors else torch.device("cpu")
    with torch.no_grad():
        try:
            x = torch.empty((1, *shape), device="meta")
            result: Tensor = select(torch.func.functional_call(module, meta, (x,)))
            return result
        except ModelError:
            raise
        except Exception:  # noqa: BLE001
            # A network may need values, or sizes known to Python; then it gets zeros. What is still
            # wrong then will be told in words by the first prediction.
            seen.clear()
            watch.clear()
        try:
            result = select(module(torch.zeros((1, *shape), device=device)))
            return result
        except ModelError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the first prediction tells it in words
            seen.clear()
            return None


def _candidates(seen: list[Seen], output: Tensor) -> tuple[list[tuple[str, Tensor]], dict[str, str]]:
    """One name per tensor, the outermost, of modules that run once and are not the output; and aliases.

    The same tensor changed in place in between (an in-place ReLU) counts as another.
    """
    runs = Counter(name for name, _, _ in seen)
    named: dict[tuple[int, int], list[str]] = {}
    tensors: dict[tuple[int, int], Tensor] = {}
    for name, tensor, version in seen:
        if runs[name] > 1 or not isinstance(tensor, Tensor) or tensor is output:
            continue
        key = (id(tensor), version)
        names = named.pop(key, [])  # taken out and put back: the order is that of the last to finish
        named[key], tensors[key] = [*names, name], tensor
    outermost = {key: min(reversed(names), key=lambda n: n.count(".")) for key, names in named.items()}
    aliases = {n: outermost[key] for key, names in named.items() for n in names if n != outermost[key]}
    return [(name, tensors[key]) for key, name in outermost.items()], aliases


def _convolves(module: nn.Module) -> bool:
    """Whether it is a convolution, whose channels come first also where all others' are last."""
    return isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d))


def _layer(name: str, tensor: Tensor, dimensions: int, tokens: Tokens | None, swin: bool) -> Layer | None:
    shape = tuple(int(n) for n in tensor.shape)
    if tokens is not None and len(shape) == 3 and shape[1] == tokens.count:
        return Layer(name, shape[2], tokens.grid, "tokens")
    if len(shape) != dimensions + 2:
        return None
    channels, grid = (shape[-1], shape[1:-1]) if swin else (shape[1], shape[2:])
    if _product(grid) < 2:
        return None
    return Layer(name, channels, grid, "channels last" if swin else "channels first")


def _tokens(
    module: nn.Module,
    candidates: list[tuple[str, Tensor]],
    watch: Watch,
    facts: AttentionFacts | None,
    shape: tuple[int, ...],
) -> Tokens | None:
    """How many prefix tokens there are, and the grid of the patches, from the shapes that ran."""
    # PyTorch's fast path attends unseen; then the tokens are those of most layers.
    counts = watch.sizes or Counter(int(t.shape[1]) for _, t in candidates if t.ndim == 3)
    if not counts:
        return None
    count = counts.most_common(1)[0][0]
    if facts is not None:
        grid = facts.grid or _square(count - facts.prefix, len(shape) - 1)
        return (
            Tokens(facts.prefix, grid, facts.pool)
            if grid and _product(grid) + facts.prefix == count
            else None
        )
    told = getattr(module, "num_prefix_tokens", None)
    grids = [tuple(int(n) for n in t.shape[2:]) for _, t in candidates if t.ndim == len(shape) + 1]
    prefixes = [told] if isinstance(told, int) else range(min(count, 17))
    for prefix in prefixes:
        grid = next((g for g in grids if _product(g) == count - prefix), None)
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


def _product(numbers: tuple[int, ...]) -> int:
    result = 1
    for n in numbers:
        result *= n
    return result
