"""Preferences and limits: one frozen object, passed as an argument, never a mutable global."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask for before anything is allocated for it, and what its decoder may use."""

    rows: int = 32_768
    columns: int = 32_768
    frames: int = 20_000
    bytes: int = 4 * 1024**3
    decode_seconds: float = 60.0
    decode_memory: int = 6 * 1024**3
    header_bytes: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Settings:
    """All preferences of the program."""

    limits: Limits = field(default_factory=Limits)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    batch: int = 16
    """Slices, windows or masks sent through a 2D network at once."""
