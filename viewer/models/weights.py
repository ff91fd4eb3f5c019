# SPDX-License-Identifier: Apache-2.0
"""Reading weights without running anything that is in them."""

import hashlib
import io
import re
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from viewer.errors import ModelError
from viewer.models.foreign import foreign
from viewer.models.shards import is_index, listed, parts
from viewer.task import LOADING, READING, Task

_BLOCK = 2**20
"""Bytes between two looks whether the reader has cancelled."""
_MAX_HEADER = 16 * 1024**2  # a hundred thousand tensors; a real file has some thousands
_MAX_WRAPPERS = 4
# In this order: the network as it was trained before its running average.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "params", "weights", "module",
    "ema", "model_ema", "ema_state_dict", "state_dict_ema",
)  # fmt: skip
_AROUND = ("module.", "_orig_mod.")  # DataParallel, torch.compile
# No logit depends on torchxrayvision's operating points, nor on the counter of an average.
_BESIDE = ("op_threshs", "n_averaged")
_OBJECTS = re.compile("Unsupported global|unsupported GLOBAL|Unsupported class|Trying to|Can only")
_NAMED = re.compile(r"GLOBAL ([\w.]+)")
_PROGRAM = (
    "it is a program (TorchScript or an exported program), and programs are not opened as weights; write "
    "architecture: program in the card to run it, if you trust it"
)


def sha256(path: Path, task: Task | None = None) -> str:
    """SHA-256 of a file, in hex, of an index together with all its parts; progress is in bytes."""
    digest, task, done, one = hashlib.sha256(), task or Task(), 0, path
    files = (path, *parts(path))
    try:
        size = sum(one.stat().st_size for one in files)
        for one in files:
            with one.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    done += len(block)
                    task.progress(done, size, READING)
    except OSError as error:
        raise ModelError(f"The file {one.name} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """A state dict in a file, what in it no logit depends on, where it lay, and where others lie."""

    state: dict[str, Tensor]
    beside: dict[str, Tensor]
    path: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def read_weights(path: Path, key: str | None = None, task: Task | None = None) -> dict[str, Tensor]:
    """The state dict in a file, told by its content and not by its name, on the CPU.

    `key` names the entry that holds it; without one the usual wrappers are tried. What DataParallel and
    torch.compile put before all names is dropped. Never unpickles anything but tensors and plain values.
    Progress is in bytes.
    """
    found = find_weights(path, key, task)
    return found.state | found.beside


def find_weights(path: Path, key: str | None = None, task: Task | None = None) -> FoundWeights:
    """What `read_weights` reads, and where in the file it was found."""
    task = task or Task()
    return _state(_joined(path, task) if is_index(path) else _content(path, task), path, key)


def _content(path: Path, task: Task) -> Any:
    """What is in a file."""
    head, size = first_bytes(path)
    if is_program(path):
        raise ModelError(f"The weights {path.name} are not opened: {_PROGRAM}.")
    # A safetensors file is the length of its JSON header, 8 bytes, and the header.
    return _safetensors(path, size, task) if head[8:9] == b"{" else _torch(path, head, size, task)


def _joined(path: Path, task: Task) -> dict[str, Any]:
    """The tensors of all parts that an index lists."""
    found: dict[str, Any] = {}
    wanted = listed(path)
    for part in parts(path):
        content = _content(part, task)
        held = content if isinstance(content, Mapping) else {}
        twice = next((key for key in held if key in found), None)
        if twice is not None:
            raise ModelError(f"The tensor {twice!r} is in two parts of {path.name}; copy them again.")
        found |= held
    absent = [key for key in wanted if key not in found]
    if absent:
        raise ModelError(f"No part of the weights {path.name} holds {_some(absent)}; copy them again.")
    return found


def first_bytes(path: Path) -> tuple[bytes, int]:
    """The first 16 bytes of a file, and its size; raises `ModelError` where there are none."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"The weights {path.name} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise ModelError(f"The weights {path.name} are empty (0 bytes); copy the file again.")
    if (other := foreign(path)) is not None:
        raise ModelError(other)
    if head.lstrip()[:1] == b"{":
        raise ModelError(
            f"The file {path.name} is JSON and holds no tensors; an index of parted weights is named "
            "NAME.safetensors.index.json."
        )
    return head, size


def _safetensors(path: Path, size: int, task: Task) -> dict[str, Tensor]:
    damaged = f"The weights {path.name} are damaged or cut short; copy the file again."
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        if length > size:
            raise ModelError(damaged)
        if length > _MAX_HEADER:
            raise ModelError(f"The weights {path.name} have a header that is too large to be true.")
    state: dict[str, Tensor] = {}
    done = 8 + length
    try:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                task.progress(done, size, LOADING)
                state[name] = tensors.get_tensor(name)
                done += state[name].nbytes
    except SafetensorError as error:
        raise ModelError(damaged) from error
    return state


class _Watched(io.BufferedReader):
    """A file that tells how much of it was read, and whose reading may be cancelled."""

    def __init__(self, path: Path, size: int, task: Task) -> None:
        super().__init__(io.FileIO(path))
        self._size, self._task, self._done = size, task, 0

    def _came(self, count: int) -> None:
        self._done = min(self._done + count, self._size)
        self._task.progress(self._done, self._size, LOADING)

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._came(len(found))
        return found

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._came(count)
        return count


def _torch(path: Path, head: bytes, size: int, task: Task) -> Any:
    if head[:2] == b"PK":
        check_zip(path, size)
    try:
        # An open file, because of a path torch looks at the name; its warnings are for programmers.
        with (
            _Watched(path, size, task) as file,
            warnings.catch_warnings(action="ignore"),
            safe_globals(_ASIDE),
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything on a hostile file
        if (objects := objects_in(path, str(error))) is not None:
            raise objects from error
        raise ModelError(
            f"The weights {path.name} are neither safetensors nor a whole torch file; copy the file again."
        ) from error


def objects_in(path: Path, reason: str) -> ModelError | None:
    """The refusal of a file that holds Python objects, if that is what torch's loader said of it."""
    what = _NAMED.search(reason)
    return holding(path, *([what[1][:80]] if what else [])) if _OBJECTS.search(reason) else None


def holding(path: Path, what: str = "a pickled module?") -> ModelError:
    """The refusal of a file that holds Python objects."""
    return ModelError(
        f"The weights {path.name} hold Python objects beside tensors ({what}) and are "
        "never opened, trusted or not; save the state dict alone, best as safetensors."
    )


class _Aside:
    """Stands for a plain value beside the weights that nothing here reads, and does nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


# What checkpoints hold of settings and figures besides, by the names in their pickles. None of these
# classes is made: what stands for them takes anything and does nothing.
_ASIDE: list[Any] = [
    *((_Aside, f"pathlib.{kind}Path") for kind in ("Posix", "Windows", "PurePosix", "PureWindows")),
    *((_Aside, f"pathlib._local.{kind}Path") for kind in ("Posix", "Windows")),
    *((_Aside, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    (_Aside, "numpy.dtype"),
    (_Aside, "argparse.Namespace"),
    *((dict, f"{home}.AttributeDict") for home in (
        "lightning_fabric.utilities.data", "lightning.fabric.utilities.data",
        "pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
    )),
]  # fmt: skip


def is_program(path: Path) -> bool:
    """Whether a file is a program and not weights alone: TorchScript, or one that torch.export wrote."""
    head, _ = first_bytes(path)
    # TorchScript keeps its code under code/ and constants.pkl; .pt2 keeps its graph under models/.
    return head[:2] == b"PK" and any(
        "/code/" in n
        or n.endswith(("constants.pkl", "archive_format", "serialized_exported_program.json"))
        or "/models/" in n
        for n in (e.filename for e in _entries(path))
    )


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"The weights {path.name} are damaged or cut short; copy the file again.") from error


def check_zip(path: Path, size: int) -> None:
    """Refuse archives that would unpack to far more than they are."""
    if sum(e.file_size for e in _entries(path)) > 2 * size + 2**20:
        raise ModelError(f"The weights {path.name} would unpack to far more than their size; not opened.")


def _state(content: Any, path: Path, key: str | None) -> FoundWeights:
    if key is not None:
        if not isinstance(content, Mapping) or not isinstance(content.get(key), Mapping):
            there = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else "no entries"
            raise ModelError(f"The weights {path.name} have no entry {key!r}; there is: {there}.")
        content = content[key]
    ways = list(_ways(content, _MAX_WRAPPERS))
    if not ways:
        raise ModelError(
            f"The weights {path.name} hold no state dict; name the entry that does in weights_key."
        )
    way, found = ways[0]
    state, beside = _parted({str(k): v for k, v in found.items()})
    while state and (around := next((a for a in _AROUND if all(k.startswith(a) for k in state)), None)):
        state, beside = ({k.removeprefix(around): v for k, v in d.items()} for d in (state, beside))
    odd = [k for k, v in (state | beside).items() if not _plain(v)]
    if odd:
        raise ModelError(f"The weights {path.name} hold a tensor that is not plain numbers, {odd[0]!r}.")
    aside = outside(state)  # the best loss before the first epoch is infinite
    bad = [
        k
        for k, v in state.items()
        if k not in aside and v.is_floating_point() and not bool(torch.isfinite(v.float()).all())
    ]
    if bad:
        raise ModelError(f"The weights {path.name} hold NaN or infinity, first in {bad[0]!r}.")
    return FoundWeights(state, beside, way, tuple(".".join(other) for other, _ in ways[1:]))


def _parted(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of a network, and those that no logit depends on."""
    beside = {k: v for k, v in state.items() if k.rpartition(".")[2] in _BESIDE}
    return {k: v for k, v in state.items() if k not in beside}, beside


def _ways(content: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Every state dict within the usual wrappers, and the entries that lead to it."""
    if not isinstance(content, Mapping):
        return
    if _tensors(content):
        yield (), content
        return
    for key in _WRAPPERS if depth else ():
        for way, found in _ways(content.get(key), depth - 1):
            yield (key, *way), found


def _tensors(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(v, Tensor) for v in content.values())


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor holds as many real numbers as its shape says: a few bytes can claim to be huge."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return not tensor.is_complex() and tensor.nbytes <= tensor.untyped_storage().nbytes()


def fit(module: torch.nn.Module, state: dict[str, Tensor], name: str) -> tuple[str, ...]:
    """Load a state dict that must match key by key; the error lists what does not.

    Gives the names of what lies beside the network in the file and was left out; see `outside`.
    """
    found, aside = matched(module, state, name)
    module.load_state_dict(found)
    return aside


def matched(
    module: torch.nn.Module, state: dict[str, Tensor], name: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The part of a file that a network loads, and the names of what lies outside of it; raises `ModelError`
    with what does not match.

    Where all names begin alike ("model.", "net."), and only without that do they match, it is dropped.
    """
    own = module.state_dict()
    # Counters that older files lack and that no prediction depends on.
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    state, beside = _parted(state)
    state, aside = max(forms(state), key=lambda found: len(found[0].keys() & own.keys()))
    state = counters | state | {k: v for k, v in beside.items() if k in own}
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} is {tuple(state[k].shape)} in the file and {tuple(v.shape)} in the network"
        for k, v in own.items()
        if k in state and state[k].shape != v.shape
    ]
    if not (missing or unexpected or shapes):
        return state, aside
    parts = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    told = "; ".join(f"{what}: {_some(keys)}" for what, keys in parts if keys)
    raise ModelError(f"The weights {name} do not fit the architecture. {told[0].upper()}{told[1:]}.")


def forms(state: dict[str, Tensor]) -> Iterator[tuple[dict[str, Tensor], tuple[str, ...]]]:
    """A state dict in every form that may be the network's, and the names that each leaves out."""
    for found in unwrapped(state):
        yield found, ()
    aside = outside(state)
    if aside:
        for found in unwrapped({k: v for k, v in state.items() if k not in aside}):
            yield found, aside


def outside(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names of what lies clearly outside of a network whose names all begin alike ("model."): numbers and
    lists of them that begin otherwise, such as the weights of a loss or the best figure so far."""
    firsts = Counter(k.partition(".")[0] for k in state if "." in k)
    common = f"{firsts.most_common(1)[0][0]}." if firsts else ""
    aside = tuple(k for k in state if not k.startswith(common))
    return aside if all(state[k].ndim <= 1 for k in aside) else ()


def left_out(names: Sequence[str]) -> str:
    """What is said of names that `outside` found."""
    are, parts = ("is", "no part") if len(names) == 1 else ("are", "no parts")
    return (
        f"{_some(list(names))} in the weights {are} {parts} of the network (weights of a loss, or figures of "
        "the training) and left out."
    )


def unwrapped(state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """A state dict as it is, then without the first part of all names, as long as that is the same."""
    yield state
    firsts = {k.partition(".")[0] for k in state}
    while len(firsts) == 1 and all("." in k for k in state):
        state = {k.partition(".")[2]: v for k, v in state.items()}
        yield state
        firsts = {k.partition(".")[0] for k in state}


def _some(keys: list[str], limit: int = 12) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
