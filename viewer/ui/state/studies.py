# SPDX-License-Identifier: Apache-2.0
"""What is open: the rows of the series list, and what was not opened."""

from dataclasses import dataclass, field

from viewer.types import Array, Series, SeriesPoint


@dataclass(frozen=True, slots=True, eq=False)
class SeriesItem:
    """A row of the series list. `thumbnail` is uint8 (rows, columns[, 3]), None until it is read."""

    title: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    thumbnail: Array | None = field(default=None, repr=False)
    overlaid: tuple[str, ...] = ()
    """Which segmentations and maps that came with the study lie on it."""
    part: SeriesPoint | None = None
    """Which point of a fourth dimension it is; its points stand one after the other."""


def one_stack(one: Series | None, other: Series | None) -> bool:
    """Whether two series are points of one fourth dimension, whose slices lie in the same places."""
    if one is None or other is None or one.part is None or other.part is None:
        return one is other
    there = [s.geometry.frame_of_reference for s in (one, other)]
    return one.part.of == other.part.of and one.shape[1:] == other.shape[1:] and there[0] == there[1]


@dataclass(frozen=True, slots=True, eq=False)
class StudiesState:
    """The series that are open, in the order of the list."""

    items: tuple[SeriesItem, ...] = ()
    not_opened: tuple[tuple[str, str], ...] = ()
    """(file name, reason) of what is not an image or was refused."""
    previewed: int | None = None
    """The place of the shown series while the study is still being read and nothing is chosen yet."""
