# SPDX-License-Identifier: Apache-2.0
"""Programs in the place of weights, TorchScript and torch.export's `.pt2`: run only once they are trusted.

Both are code: TorchScript holds functions, and what reads a `.pt2` evaluates expressions in it. Python
objects pickled beside are never opened, as in weights.
"""

import io
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from viewer.errors import ModelError
from viewer.models.weights import check_zip, holding, is_program, objects_in, read_weights

PROGRAM = "program"
"""The architecture of a card whose weights are a program."""

_STRICT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
# Of torch.export's archives: pickles that no loader of weights can read, and compiled libraries.
_NEVER = ("opaque_obj", "custom_obj", "/aotinductor/")


class Program(nn.Module):
    """A program as one closed box: a function of an image batch, without layers to listen to.

    `batch` is the only number of images at once that it takes, None where any will do.
    """

    def __init__(self, run: nn.Module, names: list[str], move: Callable[[torch.device], nn.Module]) -> None:
        super().__init__()
        self.names = names
        """The inputs that it wants."""
        self.batch: int | None = None
        self._move = move
        self._run = (run,)  # in a tuple, so that torch does not take it for a layer

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Program":
        """Follow `to(device)`; a program keeps the kind of numbers that it was saved with."""
        self._run = (self._move(fn(torch.empty(0)).device),)
        return self

    def forward(self, x: Tensor) -> Any:
        (run,) = self._run
        if self.batch is None or self.batch == len(x):
            return run(x)
        parts = [self._some(run, part, self.batch) for part in torch.split(x, self.batch)]
        return pytree.tree_map(lambda *outs: torch.cat(outs), *parts)

    @staticmethod
    def _some(run: nn.Module, x: Tensor, batch: int) -> Any:
        """Fewer images than it takes: the last is repeated, and its other answers are dropped."""
        count = len(x)
        full = torch.cat([x, x[-1:].expand(batch - count, *x.shape[1:])]) if count < batch else x
        return pytree.tree_map(lambda out: out[:count], run(full))


def check_program(path: Path, size: int) -> None:
    """Refuse, before any trust is asked for, what is no program or holds what is never opened."""
    if not is_program(path):
        read_weights(path)  # what is never opened at all is told first
        raise ModelError(
            f"{path.name} holds weights alone and is no program (TorchScript or .pt2); name the architecture."
        )
    check_zip(path, size)
    with zipfile.ZipFile(path) as archive:
        if any(part in name for name in archive.namelist() for part in _NEVER):
            raise holding(path, "or a compiled library")


def open_program(path: Path, content: bytes) -> Program:
    """Run a trusted program's loader on the bytes that were hashed; raises `ModelError`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        script = any(name.endswith("constants.pkl") for name in archive.namelist())
    try:
        with _strictly():
            program = _script(content) if script else _exported(content)
    except ModelError:
        raise
    except Exception as error:  # somebody's program may raise anything
        if (objects := objects_in(path, str(error))) is not None:
            raise objects from error
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ModelError(f"The program {path.name} cannot be opened: {reason}") from error
    return program


@contextmanager
def _strictly() -> Iterator[None]:
    """Have torch unpickle nothing but tensors, and keep its remarks for programmers to itself."""
    before = os.environ.get(_STRICT)
    os.environ[_STRICT] = "1"
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)
        if before is None:
            del os.environ[_STRICT]
        else:
            os.environ[_STRICT] = before


def _script(content: bytes) -> Program:
    load: Any = torch.jit.load
    run: Any = _frozen(load(io.BytesIO(content), map_location="cpu").eval())
    wanted = [a.name for a in run.forward.schema.arguments[1:] if not a.has_default_value()]
    return Program(run, wanted, lambda device: run.to(device))


def _frozen(run: nn.Module) -> nn.Module:
    """The same, without gradients at its weights; a script has no `requires_grad_` of its own."""
    for parameter in run.parameters():
        parameter.requires_grad_(False)
    return run


def _exported(content: bytes) -> Program:
    from torch.export.passes import move_to_device_pass

    exported = torch.export.load(io.BytesIO(content))
    nodes = {n.name: n for n in exported.graph.nodes}
    names = [str(name) for name in exported.graph_signature.user_inputs]
    if any(_trains(n) for n in nodes.values()):
        raise ModelError(
            "The exported program was written in training mode, so that its answers hang on chance and on "
            "the batch; export the network after .eval()."
        )

    def moved(device: torch.device) -> nn.Module:
        return _frozen(move_to_device_pass(exported, device).module())

    program = Program(_frozen(exported.module()), names, moved)
    first = nodes[names[0]].meta["val"] if names else None
    if isinstance(first, Tensor) and first.ndim and isinstance(first.shape[0], int):
        program.batch = first.shape[0]
    return program


def _trains(node: torch.fx.Node) -> bool:
    """Whether an operation of an exported graph normalises or drops out as in training."""
    at = {"aten.dropout.default": 2, "aten.batch_norm.default": 5}.get(str(node.target))
    return at is not None and len(node.args) > at and node.args[at] is True
