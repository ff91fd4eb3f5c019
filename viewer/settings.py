# SPDX-License-Identifier: Apache-2.0
"""Settings and limits of a run, and what a reader prefers: frozen objects, never a mutable global."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MIB, GIB = 1024**2, 1024**3
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask for before anything is allocated for it, and what its decoder may use."""

    rows: int = 32_768
    columns: int = 32_768
    frames: int = 20_000
    members: int = 200_000
    """Files in an archive."""
    bytes: int = 4 * 1024**3
    decode_seconds: float = 60
    decode_memory: int = 6 * 1024**3
    """Bytes, for each of the decoders."""
    header_bytes: int = 64 * 1024**2


RANGES: Mapping[str, tuple[int, int]] = {
    "rows": (64, 65_535),
    "columns": (64, 65_535),
    "frames": (1, 1_000_000),
    "members": (1, 10_000_000),
    "bytes": (MIB, 256 * GIB),
    "decode_seconds": (1, 3600),
    "decode_memory": (GIB // 2, 256 * GIB),
    "header_bytes": (MIB, GIB),
}
"""The least and the most that each limit can be set to."""
SLICE_MEMORY = (64 * MIB, 1024 * GIB)
"""The same of the memory for slices."""
MOST_RECENT = 10
"""Studies, and models, that are remembered."""
RATES, BATCHES = (1, 60), (1, 1024)
"""The same of slices per second when they are played, and of a batch."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run of the program works with; passed as an argument."""

    limits: Limits = field(default_factory=Limits)
    device: Device = "auto"
    batch: int = 16
    """Slices, windows or masks sent through a 2D network at once."""
    slice_memory: int = GIB
    """Bytes of slices that the program keeps, of all series together; see `viewer.dicom.memory`."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Files or a folder opened before. The paths may name a patient; `opened` is local time, ISO 8601."""

    paths: tuple[str, ...]
    opened: str


@dataclass(frozen=True, slots=True)
class Trusted:
    """A program beside weights that the reader let run: SHA-256 of both files, in lower-case hex."""

    code: str
    weights: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the reader has chosen in the window, kept from one start to the next."""

    colours: Literal["dark", "light"] = "dark"
    masked: bool = True
    """Whether the patient is masked at the start."""
    remember: bool = True
    """Whether what was opened is remembered."""
    rate: int = 10
    """Slices per second when they are played."""
    device: Device = "auto"
    batch: int = 16
    slice_memory: int = GIB
    """Bytes."""
    limits: Limits = field(default_factory=Limits)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Keys of commands, by name, where they are not the default ones."""
    studies: tuple[Recent, ...] = ()
    models: tuple[Recent, ...] = ()
    trusted: tuple[Trusted, ...] = ()
