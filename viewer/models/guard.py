# SPDX-License-Identifier: Apache-2.0
"""The only place where a network is touched: one lock, one worker, and nothing left behind.

Explainers hook, patch and differentiate. A tool that leaves one hook or one changed module behind
gives wrong numbers ever after, without an error. So the whole state of the module tree is put back on
leaving, whether by success, error or cancel.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.task import Task


class Forward:
    """A guarded network as a function, (n, channels, …) → logits (n, labels[, …]).

    Counts its calls for the progress bar and stops at the next one once the task is cancelled.
    """

    def __init__(self, module: nn.Module, select: Callable[[Any], Tensor], task: Task) -> None:
        self.module = module
        self.calls = 0
        self._select = select
        self._task = task
        self._total = 0
        self._done = 0
        self._doing = "running the model"
        self._summed_up = False
        module.register_forward_pre_hook(self._count)

    def expect(self, calls: int, doing: str) -> None:
        """Announce how many forwards the next step needs."""
        if not self._summed_up:
            self._total, self._done, self._doing = calls, 0, doing

    def remaining(self, calls: int) -> None:
        """Correct how many forwards of the step that was announced are left."""
        if not self._summed_up:
            self._total = self._done + calls

    @contextmanager
    def summed_up(self, calls: int, doing: str) -> Iterator[None]:
        """Announce forwards that others make in here; what they announce themselves is not heard."""
        self.expect(calls, doing)
        before, self._summed_up = self._summed_up, True
        try:
            yield
        finally:
            self._summed_up = before

    def _count(self, _module: nn.Module, _args: Any) -> None:
        self._task.progress(self._done, max(self._total, self._done), self._doing)
        self.calls += 1
        self._done += 1

    def __call__(self, x: Tensor) -> Tensor:
        return self._select(self.module(x))


def starved(error: BaseException) -> bool:
    """Whether memory ran out; torch has an error of its own for devices, and words alone for the CPU."""
    words = ("not enough memory", "can't allocate memory", "Cannot allocate memory")
    told = isinstance(error, RuntimeError) and any(some in str(error) for some in words)
    return told or isinstance(error, torch.OutOfMemoryError)


_CONTAINERS = frozenset({dict, OrderedDict, set})


class ModuleSnapshot:
    """A network's state at rest: every module's attributes and containers (hooks, children), its tensors.

    Taken when the model is made and used while it `holds`: a large network has thousands of containers,
    and this must cost little beside one forward. Empty ones, which are nearly all, are not copied.
    """

    def __init__(self, module: nn.Module) -> None:
        self.modules = list(module.modules())
        self.tensors = _tensors(self.modules)
        self._state = [
            (own, dict(own), [(v, v.copy() if v else None) for v in own.values() if type(v) in _CONTAINERS])
            for own in map(vars, self.modules)
        ]

    def holds(self) -> bool:
        """Whether the network is still as it was: nobody hooked or changed it in between."""
        try:
            return all(
                own == attributes and all(now == before if before else not now for now, before in containers)
                for own, attributes, containers in self._state
            )
        except (RuntimeError, ValueError):  # another tensor in the place of one has no single truth
            return False

    def put_back(self) -> None:
        """Give every module exactly the attributes, and every container the content, that it had."""
        for own, attributes, containers in self._state:
            own.clear()
            own.update(attributes)
            for now, before in containers:
                if now:
                    now.clear()
                if before is not None:
                    now.update(before)


def _tensors(modules: Sequence[nn.Module]) -> list[Tensor]:
    """All parameters and buffers."""
    return [
        t
        for m in modules
        for held in (m._parameters, m._buffers)
        if held
        for t in held.values()
        if t is not None
    ]


class _FullPrecision:
    """While anybody is inside, convolutions on a GPU keep all bits of a float32: by default they round to
    ten (TF32).

    The switch is one for the whole process, and two models may run at once: the last to leave puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.backends.cudnn.allow_tf32
                torch.backends.cudnn.allow_tf32 = False
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.backends.cudnn.allow_tf32 = self._before


_FULL = _FullPrecision()


class _Quiet:
    """While anybody is inside, what torch and networks warn of is not printed: it is written for programmers.

    Like the precision, Python's filters are one for the whole process. What is deprecated, and what numpy
    finds odd in numbers, is still warned of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                for category in (UserWarning, FutureWarning):
                    self._filters.enter_context(warnings.catch_warnings(action="ignore", category=category))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.close()


QUIET = _Quiet()


@contextmanager
def guarded(
    module: nn.Module,
    snapshot: ModuleSnapshot,
    pristine: dict[str, Tensor],
    select: Callable[[Any], Tensor],
    task: Task,
    thorough: bool = False,
) -> Iterator[Forward]:
    """Lend out a network in eval mode with frozen parameters; put everything back afterwards.

    `pristine` is a copy of its weights, from which they are restored if someone changed them. Torch
    counts the writes to a tensor, but not those through `.data`: `thorough` compares the values.
    """
    tensors = [(t, t.requires_grad, t.grad, t._version, t.data_ptr()) for t in snapshot.tensors]
    try:
        if any(m.training for m in snapshot.modules):
            module.eval()
        for tensor, wanted, grad, _, _ in tensors:
            if wanted and tensor.is_leaf:
                tensor.requires_grad_(False)
            if grad is not None:
                tensor.grad = None  # a stranger's backward would add to what is there
        with QUIET, _FULL if any(t.is_cuda for t in snapshot.tensors) else nullcontext():
            yield Forward(module, select, task)
    except RuntimeError as error:
        if not starved(error):
            raise
        raise ModelError(
            "The device has too little memory for this; choose a smaller batch or the CPU."
        ) from error
    finally:
        snapshot.put_back()
        changed = [
            t for t, _, _, version, pointer in tensors if (t._version, t.data_ptr()) != (version, pointer)
        ]
        if thorough or changed:
            _restore([t for t, *_ in tensors] if thorough else changed, module, pristine)
        for tensor, wanted, grad, _, _ in tensors:
            if tensor.requires_grad != wanted and tensor.is_leaf:
                tensor.requires_grad_(wanted)
            if tensor.grad is not grad:
                tensor.grad = grad


def _restore(tensors: Sequence[Tensor], module: nn.Module, pristine: dict[str, Tensor]) -> None:
    """Give tensors whose values are no longer the loaded ones those values again."""
    names = {id(t): name for name, t in [*module.named_parameters(), *module.named_buffers()]}
    for tensor in tensors:
        loaded = pristine.get(names.get(id(tensor), ""))
        if loaded is None:
            continue
        loaded = loaded.to(tensor.device)
        if tensor.shape != loaded.shape or tensor.dtype != loaded.dtype or not torch.equal(tensor, loaded):
            tensor.data = loaded.clone()
