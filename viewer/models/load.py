# SPDX-License-Identifier: Apache-2.0
"""Opening a model: the card, the network, the weights, and the trust decision."""

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ModelError, UntrustedError
from viewer.models.architectures import build, outline, translated
from viewer.models.card import Card, find_card, read_card
from viewer.models.guard import QUIET
from viewer.models.interval import remark
from viewer.models.model import Model
from viewer.models.program import PROGRAM, check_program, open_program
from viewer.models.shards import parts
from viewer.models.weights import fit, left_out, matched, read_weights, sha256
from viewer.settings import Settings, Trusted
from viewer.task import BUILDING, Task

_CODE = re.compile(r"(?P<file>[\w\-]+\.py):(?P<name>\w+)")


def load(
    path: Path,
    trust: bool = False,
    settings: Settings | None = None,
    trusted: Collection[Trusted] = (),
    task: Task | None = None,
) -> Model:
    """Open a model folder or card.

    `trust` allows the Python file beside the weights that the card may name, or the program that the weights
    are; `trusted` allows it where it and the weights are, byte for byte, among these. Neither ever allows
    weights that hold objects.
    Raises `UntrustedError` for code that is not allowed, and `ModelError` for all else, in one sentence.
    """
    settings, task = settings or Settings(), task or Task()
    card_path = find_card(Path(path))
    card = read_card(card_path)
    folder = card_path.parent
    weights = folder / card.weights
    if not weights.is_file():
        raise ModelError(f"The weights {card.weights} that {card_path.name} names are not there.")
    files = (weights, *parts(weights))
    before = [_status(file) for file in files]
    digest = sha256(weights, task)

    def allowed(code: str, weights: str) -> bool:
        return trust or Trusted(code, weights) in trusted

    if card.sha256 is not None and card.sha256.lower() != digest:
        raise ModelError(
            f"The weights {weights.name} are not those of the card: SHA-256 is {digest[:12]}…, "
            f"the card says {card.sha256[:12]}…."
        )
    if card.architecture == PROGRAM:
        return _checked(_program(card, folder, digest, allowed, settings, task), card_path, task)
    # The weights are read first: what is refused there is refused before any code could run.
    state = translated(card.architecture, card.arguments, read_weights(weights, card.weights_key, task))
    code = _code(card, folder)
    if code is not None and not allowed(code.sha256, digest):
        raise UntrustedError(code.path, code.sha256, digest, card.name)
    task.progress(0, 0, BUILDING)
    with QUIET:
        module = _made(card, state, weights.name) if code is None else _run_code(code, card.arguments)
    _check_inputs(_wanted(module))
    aside = fit(module, state, weights.name)
    # Else the hash would be that of other weights than those in the network.
    if [_status(file) for file in files] != before:
        raise ModelError(f"The weights {weights.name} changed while they were read; open the model again.")
    model = Model(card, module, digest, device(settings), None if code is None else code.sha256, folder)
    model.remarks = (left_out(aside),) if aside else ()
    return _checked(model, card_path, task)


def _made(card: Card, state: dict[str, Tensor], name: str) -> nn.Module:
    """The network of an installed package that a card names."""
    shapes = outline(card.architecture, card.arguments)
    if shapes is not None:  # before memory is taken for a network that a card makes as large as it likes
        matched(shapes, state, name)
    return build(card.architecture, card.arguments)


def _status(path: Path) -> tuple[int, ...] | None:
    """What the system says of a file: something else once it was written to, or another took its place."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _checked(model: Model, card_path: Path, task: Task) -> Model:
    """The model, if it gives as many numbers as its card has labels."""
    odd = remark(model.card.input)
    model.remarks += () if odd is None else (odd,)
    model.untried = True
    labels = model.card.output.labels
    shape = model.run_dry(task).output
    if shape is not None and shape[:1] != (len(labels),):
        given = shape[0] if shape else 1
        raise ModelError(
            f"{card_path.name}: output.labels names {len(labels)} labels and the network gives {given} "
            "outputs."
        )
    return model


def _program(
    card: Card,
    folder: Path,
    digest: str,
    allowed: Callable[[str, str], bool],
    settings: Settings,
    task: Task,
) -> Model:
    """A model whose weights are a program: code and weights are one file, and one hash."""
    if card.arguments or card.weights_key is not None:
        raise ModelError("A program takes no arguments and no weights_key; remove them from the card.")
    path = folder / card.weights
    check_program(path, path.stat().st_size)
    if not allowed(digest, digest):
        raise UntrustedError(path, digest, digest, card.name)
    task.progress(0, 0, BUILDING)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"The program {path.name} changed while it was read; open it again.")
    program = open_program(path, content)
    _check_inputs(program.names)
    return Model(card, program, digest, device(settings), digest, folder)


def device(settings: Settings) -> torch.device:
    """The device asked for, or the best there is: CUDA, then MPS, then the CPU."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if settings.device == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there[settings.device]:
        raise ModelError(f"This machine has no {settings.device} device; leave the choice to the program.")
    return torch.device(settings.device)


def _wanted(module: nn.Module) -> list[str]:
    """The names of the inputs that a network must be given."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # not a Python function
        return []
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in many]


def _check_inputs(names: Sequence[str]) -> None:
    """Refuse a network that wants more than an image: a map over one input says nothing of the others."""
    if len(names) > 1:
        raise ModelError(
            f"The network wants {len(names)} inputs ({', '.join(names)}), and a study gives it one image; "
            "write a network.py whose forward takes the image alone and fills in the rest."
        )


@dataclass(frozen=True)
class _Code:
    """The program beside the weights, read once: what is hashed is what runs."""

    path: Path
    name: str
    source: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def _code(card: Card, folder: Path) -> _Code | None:
    """The program that the card names as its architecture, if it names one."""
    match = _CODE.fullmatch(card.architecture)
    if match is None:
        return None
    path = folder / match["file"]
    if not path.is_file():
        raise ModelError(f"The file {path.name} that the card names as its architecture is not there.")
    try:
        return _Code(path, match["name"], path.read_bytes())
    except OSError as error:
        raise ModelError(f"The file {path.name} cannot be read: {error.strerror}.") from error


class _Source(SourceFileLoader):
    """Runs the bytes that were read and hashed, never a cached `.pyc`, which is another program."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self._source, self.path)
        return code


def _run_code(trusted: _Code, arguments: dict[str, Any]) -> nn.Module:
    """Run the trusted file and make its network."""
    path, name = trusted.path, trusted.name
    title = f"whyscope_network_{trusted.sha256[:16]}"
    loader = _Source(title, str(path), trusted.source)
    spec = importlib.util.spec_from_loader(title, loader)
    assert spec is not None  # a loader was given
    code = importlib.util.module_from_spec(spec)
    sys.modules[title] = code  # dataclasses look themselves up there
    try:
        loader.exec_module(code)
        module = getattr(code, name)(**arguments)
    except (Exception, SystemExit) as error:  # somebody's program may raise anything
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ModelError(f"The architecture {path.name}:{name} cannot be built: {reason}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"The architecture {path.name}:{name} is no torch network.")
    return module
