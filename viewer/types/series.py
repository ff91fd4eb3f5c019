# SPDX-License-Identifier: Apache-2.0
"""The images: one stack of slices, or a single picture, and how its values are shown."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from viewer.cache import Memo
from viewer.types.arrays import Array, Shape3, read_only
from viewer.types.digest import canonical, digest
from viewer.types.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (DICOM PS3.3 C.11.2): centre and width in modality values."""

    center: float
    width: float
    name: str = ""
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """Facts that turn stored values into modality values and those into grey or colour.

    `rescale` is one (slope, intercept) per slice; `lut` a modality look-up table (first stored
    value, entries) instead of it; `voi_lut` likewise for the VOI step. `stored_range` is what the
    stored bits can hold. `inverted` is MONOCHROME1. `windows` holds for all slices, unless
    `slice_windows` gives each its own.
    """

    rescale: tuple[tuple[float, float], ...]
    unit: str = ""
    windows: tuple[Window, ...] = ()
    inverted: bool = False
    photometric: str = "MONOCHROME2"
    stored_range: tuple[float, float] = (0.0, 255.0)
    padding: tuple[float, float] | None = None
    """Lowest and highest stored value that mean "no data here" (PS3.3 C.7.5.1.1.2)."""
    lut: tuple[int, Array] | None = None
    voi_lut: tuple[int, Array] | None = None
    voi_lut_name: str = ""
    """What the file calls its VOI table."""
    slice_windows: tuple[tuple[Window, ...], ...] = ()
    """The windows of each slice, where they differ between the slices."""

    def windows_of(self, index: int) -> tuple[Window, ...]:
        """The windows of the file for one slice; those of the series where it has none of its own."""
        return (self.slice_windows[index] if self.slice_windows else ()) or self.windows


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose image this is. Never in logs: the values stay out of `repr`."""

    patient: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)


class Voxels(Protocol):
    """Stored values, one slice at a time: an array, or a lazy source that decodes on demand.

    Shape is (slices, rows, columns), or (slices, rows, columns, 3) for RGB. `voxels[i]` may raise
    `SeriesError` for a slice that cannot be decoded.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, index: int, /) -> Array: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Array]: ...


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """Which point of a fourth dimension a series is, e.g. b 1000 of three b-values.

    `value` is in the unit of DICOM (s/mm², ms), one for each dimension that `by` names; `index`
    counts from 0 among the `count` parts of the stack, which stand one after the other in the list.
    """

    of: str
    by: str
    value: tuple[float | str | None, ...]
    index: int
    count: int
    words: str
    complete: bool = True
    """Whether it has every slice position that any part of the stack has."""
    times: int = 1
    """How many moments of every place the stack holds; 1 where it is no time, or a part is not complete."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Series:
    """One stack of slices in one proven order, or a single picture."""

    uid: str
    modality: str
    """As in DICOM (0008,0060); "picture" for PNG and JPEG."""
    voxels: Voxels = field(repr=False)
    geometry: Geometry
    display: Display
    sop_uids: tuple[str, ...] = ()
    paths: tuple[Path, ...] = field(default=(), repr=False)
    """The file of every slice; names of files may name patients."""
    frame_numbers: tuple[int, ...] = ()
    """DICOM frame number of each slice in its file, from 1 (of a mosaic its tile); empty for pictures."""
    description: str = field(default="", repr=False)
    number: int | None = None
    """As the scanner counts its series (0020,0011)."""
    study_uid: str = ""
    identity: Identity = field(default_factory=Identity)
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    syntax: str = ""
    frames_in_time: int = 1
    rate: float | None = None
    """Frames a second at which the file wants them played, where it says so."""
    files: int = 1
    """Files that this series is the first of the list to use, so that each is counted once."""
    part: SeriesPoint | None = None
    warnings: tuple[str, ...] = ()
    fingerprints: tuple[bytes, ...] = field(default=(), repr=False)
    """Of the file of every slice what tells it from another, or from the same one after it was edited."""
    memo: Memo = field(default_factory=Memo, init=False, repr=False)
    """What was found out about the series, such as its digest."""

    def __post_init__(self) -> None:
        if isinstance(self.voxels, np.ndarray):
            object.__setattr__(self, "voxels", read_only(self.voxels))

    @property
    def shape(self) -> Shape3:
        slices, rows, columns = self.voxels.shape[:3]
        return (slices, rows, columns)

    @property
    def colour(self) -> bool:
        return len(self.voxels.shape) == 4

    @property
    def dark_first(self) -> bool:
        """Whether large values are first shown dark: MONOCHROME1, and the uptake of PET, as it is read."""
        return self.display.inverted or (self.modality == "PT" and not self.colour)

    @property
    def digest(self) -> str:
        """What tells these images from all others, wherever they lie: order, identifiers and files.

        UIDs alone repeat. Of files it is known from the scan. Only of images that came from none every pixel
        is read, and what their values mean counts too; that may raise `SeriesError`.
        """
        return self.memo.get("digest", self._digest)

    def _digest(self) -> str:
        count = self.shape[0]
        frames = self.frame_numbers or (1,) * count
        uids = self.sop_uids or ("",) * count
        if self.fingerprints:
            files = [one.hex() for one in self.fingerprints]
            return digest([self.uid, list(zip(uids, frames, files, strict=True))])
        pixels = [canonical(self.voxels[i]) for i in range(count)]
        facts = (self.modality, self.body_part, self.view, self.geometry, self.display)
        return digest([self.uid, list(zip(uids, frames, pixels, strict=True)), facts])
