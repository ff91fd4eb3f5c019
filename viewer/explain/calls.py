# SPDX-License-Identifier: Apache-2.0
"""What a network computes from its image, function by function, and which module calls each.

A library that hooks modules does not see what is computed outside of them, nor that one runs twice; here it
is seen, in a dry run over `meta` tensors, which costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from viewer.models import Model
from viewer.models.architectures import FAULTS
from viewer.task import Task

SUMS = frozenset(("add", "iadd", "radd", "sub", "subtract", "isub", "rsub"))
"""Functions that add two tensors, or take one from the other."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function of torch whose result depends on the image.

    `function` is its name without underscores; `name` and `module` are those of the module without children
    that calls it, "" and None outside of any; `several` says whether two of its tensors depend on the image.
    """

    function: str
    name: str
    module: nn.Module | None
    several: bool

    @property
    def kind(self) -> type | None:
        """The module's class."""
        return None if self.module is None else type(self.module)


@dataclass(frozen=True, slots=True)
class Calls:
    """All calls of one forward in order, and the modules without children that ran more than once."""

    every: tuple[Call, ...]
    again: frozenset[str]

    @property
    def addition(self) -> Call | None:
        """The first sum of two tensors that both depend on the image, such as a residual connection."""
        return next((c for c in self.every if c.several and c.function in SUMS), None)


_known: WeakKeyDictionary[Model, Calls | None] = WeakKeyDictionary()


def calls(model: Model) -> Calls | None:
    """What a model's network computes; None where no dry run was possible. Found out once a model."""
    if model not in _known:
        with model.guarded(Task()) as forward:
            _known[model] = _watched(forward.module, model.input_shape, model.device)
    return _known[model]


class _Watch(TorchFunctionMode):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.leaves = {name: m for name, m in module.named_modules() if name and not list(m.children())}
        self.clear()

    def clear(self) -> None:
        self.within: list[str] = []
        self.ran: list[str] = []
        self.calls: list[Call] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        depend = sum(t.requires_grad for t in _tensors((args, kwargs)))
        result = func(*args, **kwargs)
        if depend and any(t.requires_grad for t in _tensors(result)):
            inside = self.within[-1] if self.within and self.within[-1] in self.leaves else ""
            function = getattr(func, "__name__", "").strip("_")
            self.calls.append(Call(function, inside, self.leaves.get(inside), depend > 1))
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@contextmanager
def _watching(module: nn.Module) -> Iterator[_Watch]:
    watch = _Watch(module)

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            watch.within.append(name)
            watch.ran.append(name)

        return hook

    with ExitStack() as stack:
        for name, part in module.named_modules():
            stack.callback(part.register_forward_pre_hook(enter(name)).remove)
            leave = part.register_forward_hook(lambda *_: watch.within.__delitem__(slice(-1, None)))
            stack.callback(leave.remove)
        stack.enter_context(watch)
        yield watch


def _watched(module: nn.Module, shape: tuple[int, ...], device: torch.device) -> Calls | None:
    tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    meta = {name: torch.empty_like(t, device="meta") for name, t in tensors.items()}
    with torch.enable_grad(), _watching(module) as watch:
        try:
            x = torch.empty((1, *shape), device="meta").requires_grad_()
            torch.func.functional_call(module, meta, (x.clone(),))
        except Exception:  # noqa: BLE001 - a network may need values; then it gets zeros
            watch.clear()
            try:
                module(torch.zeros((1, *shape), device=device).requires_grad_().clone())
            except FAULTS:
                return None
    again = {name for name in watch.leaves if watch.ran.count(name) > 1}
    return Calls(tuple(watch.calls), frozenset(again))
