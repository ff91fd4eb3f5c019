"""Reading weights without running anything that is in them."""

import hashlib
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from viewer.errors import ModelError

_MAX_HEADER = 100 * 1024**2
_MAX_WRAPPERS = 4
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "weights")
_OBJECTS = re.compile("Unsupported global|unsupported GLOBAL|Unsupported class|Trying to|Can only")
_PROGRAM = "it is a program (TorchScript or an exported program), and programs are not opened as weights"


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"The file {path.name} cannot be read: {error.strerror}.") from error


def read_weights(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """The state dict in a file, told by its content and not by its name, on the CPU.

    `key` names the entry that holds it; without one the usual wrappers are tried. A leading
    "module." (from DataParallel) is dropped. Never unpickles anything but tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"The weights {path.name} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise ModelError(f"The weights {path.name} are empty (0 bytes); copy the file again.")
    # A safetensors file is the length of its JSON header, 8 bytes, and the header.
    content: Any = _safetensors(path, size) if head[8:9] == b"{" else _torch(path, head, size)
    return _state(content, path, key)


def _safetensors(path: Path, size: int) -> dict[str, Tensor]:
    damaged = f"The weights {path.name} are damaged or cut short; copy the file again."
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        if length > size:
            raise ModelError(damaged)
        if length > _MAX_HEADER:
            raise ModelError(f"The weights {path.name} have a header that is too large to be true.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(damaged) from error


def _torch(path: Path, head: bytes, size: int) -> Any:
    if head[:2] == b"PK":
        _check_zip(path, size)
    try:
        # An open file, because of a path torch looks at the name; its warnings are for programmers.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything on a hostile file
        if _OBJECTS.search(str(error)):
            raise ModelError(
                f"The weights {path.name} hold Python objects beside tensors (a pickled module?) and are "
                "never opened, trusted or not; save the state dict alone, best as safetensors."
            ) from error
        raise ModelError(
            f"The weights {path.name} are neither safetensors nor a whole torch file; copy the file again."
        ) from error


def _check_zip(path: Path, size: int) -> None:
    """Refuse programs, and archives that would unpack to far more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"The weights {path.name} are damaged or cut short; copy the file again.") from error
    names = [e.filename for e in entries]
    # TorchScript keeps its code under code/ and constants.pkl; .pt2 keeps its graph under models/.
    if any(
        "/code/" in n or n.endswith(("constants.pkl", "archive_format")) or "/models/" in n for n in names
    ):
        raise ModelError(f"The weights {path.name} are not opened: {_PROGRAM}.")
    if sum(e.file_size for e in entries) > 2 * size + 2**20:
        raise ModelError(f"The weights {path.name} would unpack to far more than their size; not opened.")


def _state(content: Any, path: Path, key: str | None) -> dict[str, Tensor]:
    if key is not None:
        if not isinstance(content, Mapping) or not isinstance(content.get(key), Mapping):
            there = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else "no entries"
            raise ModelError(f"The weights {path.name} have no entry {key!r}; there is: {there}.")
        content = content[key]
    for _ in range(_MAX_WRAPPERS):
        if isinstance(content, Mapping) and not _tensors(content):
            content = next((content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)), content)
    if not isinstance(content, Mapping) or not _tensors(content):
        raise ModelError(
            f"The weights {path.name} hold no state dict; name the entry that does in weights_key."
        )
    state = {str(k): v for k, v in content.items()}
    if all(k.startswith("module.") for k in state):
        state = {k.removeprefix("module."): v for k, v in state.items()}
    odd = [k for k, v in state.items() if not _plain(v)]
    if odd:
        raise ModelError(f"The weights {path.name} hold a tensor that is not plain numbers, {odd[0]!r}.")
    bad = [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v.float()).all())]
    if bad:
        raise ModelError(f"The weights {path.name} hold NaN or infinity, first in {bad[0]!r}.")
    return state


def _tensors(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(v, Tensor) for v in content.values())


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor holds as many real numbers as its shape says: a few bytes can claim to be huge."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return not tensor.is_complex() and tensor.nbytes <= tensor.untyped_storage().nbytes()


def fit(module: torch.nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Load a state dict that must match key by key; the error lists what does not."""
    own = module.state_dict()
    # Counters that older files lack and that no prediction depends on.
    state = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")} | state
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} is {tuple(state[k].shape)} in the file and {tuple(v.shape)} in the network"
        for k, v in own.items()
        if k in state and state[k].shape != v.shape
    ]
    if not (missing or unexpected or shapes):
        module.load_state_dict(state)
        return
    parts = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    told = "; ".join(f"{what}: {_some(keys)}" for what, keys in parts if keys)
    raise ModelError(f"The weights {name} do not fit the architecture. {told[0].upper()}{told[1:]}.")


def _some(keys: list[str], limit: int = 12) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
