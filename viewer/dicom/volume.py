# SPDX-License-Identifier: Apache-2.0
"""A series as one array, where its slices are proven to be one volume."""

from dataclasses import dataclass, field

import numpy as np

from viewer.dicom.display import modality_values
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.task import Task
from viewer.types import Array, Series


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """All slices of a series: `voxels` × `slope` + `intercept` are modality values.

    Voxels are (slice, row, column), contiguous and read-only: as stored, at half the memory of floats,
    where one straight line leads from them to modality values; else float32 modality values already.
    """

    series: Series
    voxels: Array = field(repr=False)
    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        view = self.voxels.view()
        view.setflags(write=False)
        object.__setattr__(self, "voxels", view)


def no_volume(series: Series) -> str | None:
    """Why a series has no other planes than its own, in one sentence; None where it is a volume."""
    if series.shape[0] < 2:
        return "This is a single image, so there are no other planes."
    if series.colour:
        return "This is a series of colour pictures, which make no volume."
    if series.frames_in_time > 1:
        return "The images follow each other in time, so they make no volume."
    if series.geometry.turns is not None:
        return "The images are views turned against each other, so they make no volume."
    if not series.geometry.orientation_known:
        return "The files do not say where the slices lie in the patient, so no volume is built."
    if not series.geometry.between:
        return "The distance between the slices is not known, so no volume is built."
    if not series.geometry.volume:
        return "The slices are not one even stack, so no volume is built."
    if abs(np.linalg.det(series.geometry.matrix[:3, :3])) < 1e-9:
        return "The slices lie in one plane, so they make no volume."
    return None


def volume(series: Series, task: Task | None = None, limits: Limits | None = None) -> Volume:
    """Read all slices of a series, in steps that can be cancelled.

    Raises `SeriesError` for what is no volume, is larger than the limits, or cannot be decoded.
    """
    task, limits = task or Task(), limits or Limits()
    reason = no_volume(series)
    if reason is not None:
        raise SeriesError(reason)
    straight = series.display.lut is None and len(set(series.display.rescale)) == 1
    dtype = series.voxels.dtype if straight else np.dtype(np.float32)
    if int(np.prod(series.shape, dtype=object)) * dtype.itemsize > limits.bytes:
        raise SeriesError(f"The volume is larger than {limits.bytes / 2**30:.1f} GiB, and is not built.")
    slope, intercept = series.display.rescale[0] if straight else (1.0, 0.0)
    whole = series.voxels
    if straight and isinstance(whole, np.ndarray) and whole.flags.c_contiguous:
        return Volume(series, whole, slope, intercept)
    try:
        voxels = np.empty(series.shape, dtype)
    except MemoryError as error:
        raise SeriesError("There is not enough memory to build the volume.") from error
    slices = iter(series.voxels)  # which may read ahead
    for index in range(len(voxels)):
        task.progress(index, len(voxels), "reading slices")
        stored = next(slices)
        voxels[index] = stored if straight else modality_values(series, index)
    return Volume(series, voxels, slope, intercept)
