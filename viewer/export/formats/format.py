# SPDX-License-Identifier: Apache-2.0
"""What a kind of file has to say of itself, and how it writes a map."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from viewer.types import Series, Snapshot


class Format(ABC):
    """A kind of file that an export can write."""

    name: ClassVar[str]
    """What a reader asks for, a word in small letters."""
    suffix: ClassVar[str]
    """How the names of its files end, with the dot."""
    title: ClassVar[str]
    """What the dialogue calls it."""

    def unsuitable(self, series: Series) -> str | None:
        """Why no map of a series can be written so, in a sentence for the reader; None where it can."""
        return None

    @abstractmethod
    def write(self, snapshot: Snapshot, folder: Path, stem: str) -> str:
        """Write the map of a snapshot to a file in `folder`, whose name begins with `stem`; gives the name.

        Raises `ExportError` where the file cannot be written, and `SeriesError` for a slice that cannot
        be decoded.
        """
