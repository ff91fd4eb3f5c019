# SPDX-License-Identifier: Apache-2.0
"""One run of a network that is listened to: which modules give which tensors, and what is watched on the way.

It goes over `meta` tensors, which have shapes and no values, so that it costs nothing even for a volume of
256³; a network that needs values is run on zeros.
"""

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.watch import Watch, watching

Select = Callable[[Any], Tensor]
Shape = tuple[int, ...]
Heard = Callable[[str, Tensor], None]


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a forward of one empty sample showed."""

    output: Shape | None
    """(labels[, …spatial]) of one sample, or None where no run was possible."""
    shapes: dict[str, Shape]
    """The outputs (1, …) of modules that run once, one name a tensor, in the order in which they are done."""
    aliases: dict[str, str]
    """Inner modules whose output is that of a layer around them, e.g. layer4.1 → layer4."""
    without: dict[str, str]
    """Why a module that ran has no output of its own that could be a map, in words."""
    views: frozenset[str]
    """Modules that only lay out anew the numbers that another gave."""
    watch: Watch
    values: bool
    """Whether the network had to be run on zeros."""


Seen = tuple[str, Any, int]
"""A module's name, its output, and how often that had been written to by then."""


def _version(output: Any) -> int:
    counted = isinstance(output, Tensor) and not output.is_inference()  # those keep no count
    return output._version if counted else 0


def dry_run(module: nn.Module, shape: Shape, select: Select, hidden: Collection[str]) -> DryRun:
    """Run a network in eval mode on nothing; `shape` is (channels, …), into `hidden` nobody looks."""
    seen: list[Seen] = []
    inner = tuple(f"{name}." for name in hidden)
    with ExitStack() as stack:
        for name, part in module.named_modules():
            if name and not name.startswith(inner):
                stack.callback(part.register_forward_hook(_noting(seen, name)).remove)
        watch = stack.enter_context(watching(module))
        output, values = _run(module, shape, select, seen, watch)
    watch.forget()
    if output is None:
        return DryRun(None, {}, {}, {}, frozenset(), watch, values)
    tensors, aliases, without = _named(seen, output)
    shapes = {name: _shape(tensor) for name, (tensor, _) in tensors.items()}
    return DryRun(_shape(output)[1:], shapes, aliases, without, _views(tensors), watch, values)


def shapes_at(module: nn.Module, shape: Shape, names: Collection[str], values: bool) -> dict[str, Shape]:
    """The shapes that modules give for an input (n, channels, …); empty where the network does not take it.

    With `values` it runs on zeros, else on nothing. Modules that do not run just once are left out.
    """
    found: dict[str, Shape] = {}
    runs: Counter[str] = Counter()

    def hear(name: str, tensor: Tensor) -> None:
        runs[name] += 1
        found[name] = _shape(tensor)

    device = next(iter(module.parameters()), torch.empty(0)).device
    x = torch.zeros(shape, device=device) if values else torch.empty(shape, device="meta")
    return {n: s for n, s in found.items() if runs[n] == 1} if listened(module, x, names, hear) else {}


def listened(module: nn.Module, x: Tensor, names: Collection[str], hear: Heard) -> bool:
    """Run `x` and let every named module's output be heard; whether the network took it."""
    with ExitStack() as stack, torch.no_grad():
        for name in names:
            stack.callback(module.get_submodule(name).register_forward_hook(_hearing(hear, name)).remove)
        try:
            _ = torch.func.functional_call(module, _empty(module), (x,)) if x.is_meta else module(x)
        except Exception:  # noqa: BLE001 - sizes that a network does not take end in any error
            return False
    return True


def _noting(seen: list[Seen], name: str) -> Callable[..., None]:
    return lambda _module, _arguments, output: seen.append((name, output, _version(output)))


def _hearing(hear: Heard, name: str) -> Callable[..., None]:
    def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            hear(name, output)

    return hook


def _empty(module: nn.Module) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: torch.empty_like(t, device="meta") for name, t in tensors.items()}


def _run(
    module: nn.Module, shape: Shape, select: Select, seen: list[Seen], watch: Watch
) -> tuple[Tensor | None, bool]:
    with torch.no_grad():
        try:
            x = torch.empty((1, *shape), device="meta")
            return select(torch.func.functional_call(module, _empty(module), (x,))), False
        except ModelError:
            raise
        except Exception:  # noqa: BLE001
            # A network may need values, or sizes known to Python; then it gets zeros. What is still
            # wrong then will be told in words by the first prediction.
            seen.clear()
            watch.clear()
        device = next(iter(module.parameters()), torch.empty(0)).device
        try:
            return select(module(torch.zeros((1, *shape), device=device))), True
        except ModelError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the first prediction tells it in words
            seen.clear()
            return None, True


Versioned = tuple[Tensor, int]
"""A tensor, and how often it had been written to when it was given."""


def _named(seen: list[Seen], output: Tensor) -> tuple[dict[str, Versioned], dict[str, str], dict[str, str]]:
    """One name per tensor, the outermost, of modules that run once and are not the output; aliases; the rest.

    The same tensor changed in place in between (an in-place ReLU) counts as another.
    """
    runs = Counter(name for name, _, _ in seen)
    named: dict[tuple[int, int], list[str]] = {}
    tensors: dict[tuple[int, int], Tensor] = {}
    without: dict[str, str] = {}
    for name, tensor, version in seen:
        if runs[name] > 1:
            without[name] = f"runs {runs[name]} times in one forward"
        elif not isinstance(tensor, Tensor):
            without[name] = "gives several outputs and no single map"
        elif tensor is output:
            without[name] = "gives the network's output itself"
        else:
            key = (id(tensor), version)
            names = named.pop(key, [])  # taken out and put back: the order is that of the last to finish
            named[key], tensors[key] = [*names, name], tensor
    outermost = {key: min(reversed(names), key=lambda n: n.count(".")) for key, names in named.items()}
    aliases = {n: outermost[key] for key, names in named.items() for n in names if n != outermost[key]}
    return {name: (tensors[key], key[1]) for key, name in outermost.items()}, aliases, without


def _views(tensors: dict[str, Versioned]) -> frozenset[str]:
    """The names of tensors that are the whole of an earlier one in another layout."""
    known: set[tuple[int, int, int]] = set()
    found: set[str] = set()
    for name, (tensor, version) in tensors.items():
        memory = (tensor.untyped_storage()._cdata, version, tensor.numel())
        if memory in known:
            found.add(name)
        known.add(memory)
    return frozenset(found)


def _shape(tensor: Tensor) -> Shape:
    return tuple(int(n) for n in tensor.shape)
