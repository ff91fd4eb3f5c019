"""The only place where a network is touched: one lock, one worker, and nothing left behind.

Explainers hook, patch and differentiate. A tool that leaves one hook or one changed module behind
gives wrong numbers ever after, without an error. So the whole state of the module tree is taken on
entering and put back on leaving, whether by success, error or cancel.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.task import Task

_INNER = (dict, set)


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
        module.register_forward_pre_hook(self._count)

    def expect(self, calls: int, doing: str) -> None:
        """Announce how many forwards the next step needs."""
        self._total, self._done, self._doing = calls, 0, doing

    def _count(self, _module: nn.Module, _args: Any) -> None:
        self._task.progress(self._done, max(self._total, self._done), self._doing)
        self.calls += 1
        self._done += 1

    def __call__(self, x: Tensor) -> Tensor:
        return self._select(self.module(x))


State = dict[nn.Module, tuple[dict[str, Any], dict[str, Any]]]


def _state(module: nn.Module) -> State:
    """Every module's attributes, and a shallow copy of those that are containers (hooks, children)."""
    return {
        m: (
            dict(vars(m)),
            {k: v.copy() for k, v in vars(m).items() if isinstance(v, _INNER)},
        )
        for m in module.modules()
    }


def _put_back(state: State) -> None:
    for module, (attributes, containers) in state.items():
        own = vars(module)
        own.clear()
        own.update(attributes)
        for name, before in containers.items():
            now = own[name]
            now.clear()
            now.update(before)


@contextmanager
def guarded(
    module: nn.Module,
    pristine: dict[str, Tensor],
    select: Callable[[Any], Tensor],
    task: Task,
) -> Iterator[Forward]:
    """Lend out a network in eval mode with frozen parameters; put everything back afterwards.

    `pristine` is a copy of its weights, from which they are restored if someone changed them.
    """
    state = _state(module)
    tensors = {
        name: (t, t.requires_grad, t.grad, t._version, t.data_ptr())
        for name, t in [*module.named_parameters(), *module.named_buffers()]
    }
    try:
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # a stranger's backward would add to what is there
        yield Forward(module, select, task)
    except (torch.cuda.OutOfMemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(
            "The device has too little memory for this; choose a smaller batch or the CPU."
        ) from error
    finally:
        _put_back(state)
        with torch.no_grad():
            for name, (tensor, wanted, grad, version, pointer) in tensors.items():
                changed = tensor._version != version or tensor.data_ptr() != pointer
                if changed and name in pristine:
                    tensor.data = pristine[name].to(tensor.device, copy=True)
                if tensor.is_leaf and tensor.requires_grad != wanted:
                    tensor.requires_grad_(wanted)
                tensor.grad = grad
