# SPDX-License-Identifier: Apache-2.0
"""Watching what a network computes in one forward: where it attends, and where it gates a map.

Modules have many names for the same thing; the functions of torch that they call have few.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SOFTMAX = frozenset({F.softmax, torch.softmax, Tensor.softmax})
_SIGMOID = frozenset(
    {torch.sigmoid, Tensor.sigmoid, Tensor.sigmoid_, torch.sigmoid_, F.sigmoid, F.hardsigmoid}
)
_SPREAD = frozenset({Tensor.expand, Tensor.expand_as, Tensor.repeat, Tensor.view, F.interpolate})
_PRODUCT = frozenset({torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__rmul__, Tensor.__imul__})


def over_last_axis(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a softmax that gave `result` ran over keys: along the last of three or more axes."""
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return isinstance(result, Tensor) and result.ndim >= 3 and axis in (-1, result.ndim - 1)


@dataclass(frozen=True, slots=True)
class Gate:
    """Numbers by which a tensor was multiplied. Whether `axis` is that of the channels, the layers know."""

    module: str
    """The innermost that ran."""
    numbers: Tensor
    features: tuple[int, ...]
    """The shape of what was multiplied."""
    axis: int
    """The axis of the features along which the numbers are the same."""


class Watch(TorchFunctionMode):
    """Filled by a forward: the modules that attend, over how many tokens, and the gates."""

    def __init__(self) -> None:
        super().__init__()
        self.within: list[str] = []
        self.clear()

    def clear(self) -> None:
        """Forget everything, before another forward."""
        self.attending: dict[str, None] = {}
        self.sizes: Counter[int] = Counter()
        """How often there was self-attention over so many tokens."""
        self.gates: list[Gate] = []
        """Where a tensor was multiplied by numbers that are the same all along one of its axes."""
        self.by_one_axis: list[tuple[tuple[int, ...], int]] = []
        """The shape of a tensor that was multiplied by numbers that differ along this axis of it alone."""
        self.rectified = False
        """Whether a ReLU ran: a module, a function or a method, in place or not."""
        self._gates: dict[int, tuple[Tensor, Tensor]] = {}  # kept, so that no id is used twice

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self._attends(int(args[0].shape[-2]), int(args[1].shape[-2]))
        elif func is F.multi_head_attention_forward:
            self._attends(len(args[0]), len(args[1]))
        elif func in SOFTMAX:
            if over_last_axis(result, args, kwargs) and result.shape[-1] == result.shape[-2] > 1:
                self._attends(int(result.shape[-1]), int(result.shape[-1]))
        elif getattr(func, "__name__", "") in ("relu", "relu_"):
            self.rectified = True
        elif func in _SIGMOID:
            self._gates[id(result)] = result, result
        elif func in _SPREAD and args and id(args[0]) in self._gates:
            gate = self._gates[id(args[0])][1]
            self._gates[id(result)] = result, gate if gate.ndim == result.ndim else result
        elif func in _PRODUCT and len(args) == 2:
            self._multiplied(*args)
        return result

    def _attends(self, queries: int, keys: int) -> None:
        self.attending[self.within[-1] if self.within else ""] = None
        if queries == keys:
            self.sizes[keys] += 1

    def forget(self) -> None:
        """Let go of the tensors of the forward but the gates."""
        self._gates.clear()

    def _multiplied(self, a: Any, b: Any) -> None:
        for gate, features in ((a, b), (b, a)):
            if id(gate) not in self._gates or not isinstance(features, Tensor) or features.ndim < 4:
                continue
            origin = self._gates[id(gate)][1]
            if origin.ndim != features.ndim:
                continue
            shape = tuple(int(n) for n in features.shape)
            wide = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
            own = [axis for axis in wide if origin.shape[axis] > 1]
            shared = [axis for axis in wide if axis not in own]
            within = self.within[-1] if self.within else ""
            if len(shared) == 1 and own:
                self.gates.append(Gate(within, origin, shape, shared[0]))
            if len(own) == 1 and shared and origin.shape[own[0]] == shape[own[0]]:
                self.by_one_axis.append((shape, own[0]))


@contextmanager
def watching(module: nn.Module) -> Iterator[Watch]:
    """While entered, a forward of the module fills the watch."""
    watch = Watch()

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: watch.within.append(name)

    def leave(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if watch.within[-1:] == [name]:  # a hook of somebody else may have failed before `enter`
                watch.within.pop()

        return hook

    with ExitStack() as stack:
        for name, part in module.named_modules():
            stack.callback(part.register_forward_pre_hook(enter(name)).remove)
            stack.callback(part.register_forward_hook(leave(name), always_call=True).remove)
        stack.enter_context(watch)
        yield watch
