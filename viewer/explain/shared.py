# SPDX-License-Identifier: Apache-2.0
"""The shared forward of a batch: its output, what passed the layers listened to, and what is kept of it.

The graph is cut at the first layer that anybody listens to (Whyscope's speed rests on this): the layer's
output is detached, made to require a gradient, and handed on as a clone. Below the cut the forward builds
no graph; above it, one batched backward gives the gradients of every target.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property

import torch
from torch import Tensor

from viewer.errors import ExplainerError
from viewer.explain.attention import Heads, listening
from viewer.explain.class_token import class_token_only
from viewer.explain.forward_cache import ForwardCache, Forwarded, digest
from viewer.models import Model
from viewer.models.guard import Forward
from viewer.models.maps import Layer
from viewer.task import Task

INPUT = "input"
"""The name by which `gradients` means the input itself."""

_BATCHED_BYTES = 512 * 1024**2
_SHARE = 4
"""One layer may take this part of what is kept, so that keeping it does not push out all else."""


class Shared:
    """One forward of `x`, (n, channels, …spatial), run when it is needed and only if it is not kept."""

    def __init__(
        self,
        model: Model,
        forward: Forward,
        x: Tensor,
        task: Task,
        layers: Sequence[str],
        attention: bool,
        kept: ForwardCache | None,
    ) -> None:
        self._model = model
        self._forward = forward
        self._x = x
        self._task = task
        self._layers = tuple(dict.fromkeys(layers))
        self._attention = attention
        self._kept = kept
        self._taps: dict[str, Tensor] = {}
        self._heads: list[Heads] = []
        self._known: dict[str, list[Forwarded]] = {}

    # --- output -----------------------------------------------------------------------------------

    @cached_property
    def output(self) -> Tensor:
        """The logits (n, labels[, …spatial]), without their graph; what is kept costs no forward."""
        found = self._recalled()
        return self.graph.detach() if found is None else torch.cat([one.output for one in found])

    @cached_property
    def graph(self) -> Tensor:
        """The logits in the graph of what passed the layers: runs the network."""
        # A clone each time, because a network may begin with an operation in place.
        x = self._x.clone()
        with ExitStack() as stack:
            if INPUT in self._layers:
                self._taps[INPUT] = leaf = self._x.clone().requires_grad_()
                x = leaf.clone()
            for name in self._layers:
                if name != INPUT:
                    handle = self._forward.module.get_submodule(name).register_forward_hook(self._tap(name))
                    stack.callback(handle.remove)
            if self._layers and INPUT not in self._layers and not self._attention:
                whole = class_token_only(self._forward.module, self._model.structure, self._layers)
                stack.enter_context(whole)
            if self._attention:
                names = self._model.structure.attention
                self._heads = stack.enter_context(listening(self._forward.module, len(x), names))
            stack.enter_context(torch.set_grad_enabled(bool(self._layers or self._attention)))
            self._forward.expect(1, "running the model")
            output = self._model.run(self._forward, x)
        self._keep("", [Forwarded(one) for one in _singly(output.detach())])
        return output

    def _tap(self, name: str) -> Callable[..., Tensor]:
        def hook(_module: object, _arguments: object, output: Tensor) -> Tensor:
            if not output.requires_grad:
                output = output.detach().requires_grad_()
            self._taps[name] = output
            # A clone, because an in-place ReLU behind the layer would change what was stored.
            return output.clone()

        return hook

    # --- layers -----------------------------------------------------------------------------------

    def tap(self, layer: str) -> Tensor:
        """What passed a layer, as the network has it and in the graph; `ExplainerError` if nothing did."""
        _ = self.graph
        if layer not in self._taps:
            raise ExplainerError(f"The layer {layer!r} did not run, so there is nothing to explain there.")
        return self._taps[layer]

    def activations(self, layer: str) -> Tensor:
        """What passed a layer as a map, (n, channels, …grid), without its graph."""
        _ = self.output
        if layer in self._known:
            return torch.cat([one.activations for one in self._known[layer] if one.activations is not None])
        return self.as_map(self.tap(layer).detach(), layer)

    def gradients(self, totals: Tensor, layer: str) -> Tensor:
        """∂ totals / ∂ layer as maps, (totals, n, channels, …grid); `totals` come from `graph`."""
        found = gradients(totals, self.tap(layer), layer, self._task)
        mapped = self.as_map(found.flatten(0, 1), layer)
        return mapped.reshape(*found.shape[:2], *mapped.shape[1:])

    def of_labels(self, layer: str) -> Tensor | None:
        """The gradients of all labels, (labels, n, channels, …grid), kept for later; None if not worth it.

        Of an output per pixel a label's number is its mean.
        """
        _ = self.output
        if layer not in self._known:
            if self._kept is None or layer == INPUT:
                return None
            if self.graph.shape[1] * self.tap(layer).nbytes > self._kept.room // _SHARE:
                return None
            graph = self.graph
            every = self.gradients((graph.flatten(2).mean(2) if graph.ndim > 2 else graph).sum(0), layer)
            parts = (_singly(graph.detach()), _singly(self.activations(layer)), _singly(every, 1))
            self._known[layer] = [Forwarded(*some) for some in zip(*parts, strict=True)]
            self._keep(layer, self._known[layer])
        return torch.cat([one.gradients for one in self._known[layer] if one.gradients is not None], 1)

    def layer(self, name: str) -> Layer:
        """The facts of a layer; `ExplainerError` for one without a map."""
        layer = self._model.structure.layer(name)
        if layer is None:
            raise ExplainerError(f"The layer {name!r} gives no map over the image.")
        return layer

    def as_map(self, tensor: Tensor, layer: str) -> Tensor:
        """What a layer gave, however it lays out its channels, as (n, channels, …grid)."""
        return tensor if layer == INPUT else self.layer(layer).as_map(tensor)

    # --- attention --------------------------------------------------------------------------------

    @property
    def heads(self) -> list[Heads]:
        """The attention weights heard in the forward, block by block."""
        _ = self.graph
        return self._heads

    # --- what is kept -----------------------------------------------------------------------------

    def _recalled(self) -> list[Forwarded] | None:
        """What is kept of every input at every layer listened to, or None where anything is missing."""
        if self._kept is None or self._attention or INPUT in self._layers:
            return None
        found: list[Forwarded] | None = None
        every: dict[str, list[Forwarded]] = {}
        for name in self._layers or ("",):
            some = [self._kept.find(self._model, pixels, name) for pixels in self._digests]
            found = [one for one in some if one is not None]
            if len(found) < len(some):
                return None
            every[name] = found
        self._known = every
        return found

    def _keep(self, layer: str, found: list[Forwarded]) -> None:
        if self._kept is not None:
            for pixels, one in zip(self._digests, found, strict=True):
                self._kept.keep(self._model, pixels, layer, one)

    @cached_property
    def _digests(self) -> list[bytes]:
        return [digest(one) for one in self._x]


def _singly(tensor: Tensor, axis: int = 0) -> list[Tensor]:
    """The parts of a batch one by one, each still with its axis and with memory of its own."""
    count = tensor.shape[axis]
    return [tensor] if count == 1 else [tensor.narrow(axis, n, 1).clone() for n in range(count)]


def gradients(totals: Tensor, tensor: Tensor, layer: str, task: Task, again: bool = True) -> Tensor:
    """∂ totals / ∂ tensor, (totals, *tensor.shape): one vectorised backward, in chunks if large.

    Where nobody goes `again` through the graph, it is let go of on the way, and its memory used at once.
    """
    parts = []
    for (part,) in gradients_of_many(totals, [tensor], task, again):
        if part is None:
            raise NoInfluenceError(layer)
        parts.append(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def gradients_of_many(
    totals: Tensor, tensors: Sequence[Tensor], task: Task, again: bool = True
) -> Iterator[tuple[Tensor | None, ...]]:
    """∂ totals / ∂ each tensor, (some totals, *tensor.shape), for as many at a time as memory should hold.

    None where a tensor does not influence the totals.
    """
    count = len(totals)
    if not totals.requires_grad:
        yield (None,) * len(tensors)
        return
    if count == 1:
        found = torch.autograd.grad(totals[0], tensors, retain_graph=again, allow_unused=True)
        yield tuple(None if g is None else g[None] for g in found)
        return
    chunk = max(1, _BATCHED_BYTES // (4 * sum(t.numel() for t in tensors)))
    eye = torch.eye(count, device=totals.device, dtype=totals.dtype)
    for first in range(0, count, chunk):
        task.check()
        some = eye[first : first + chunk]
        try:
            parts: tuple[Tensor | None, ...] = torch.autograd.grad(
                totals, tensors, some, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
        except RuntimeError:
            # A layer without a rule for vmap: one backward per target.
            rows = [
                torch.autograd.grad(totals, tensors, r, retain_graph=True, allow_unused=True) for r in some
            ]
            parts = tuple(None if g[0] is None else torch.stack(g) for g in zip(*rows, strict=True))
        yield parts


class NoInfluenceError(ExplainerError):
    """The refusal where no gradient reaches a layer, or the input."""

    def __init__(self, layer: str) -> None:
        super().__init__(
            "No gradient reaches the image in this network; use a method that changes the image."
            if layer == INPUT
            else f"The layer {layer!r} does not influence the output; choose another."
        )
        self.layer = layer
