# SPDX-License-Identifier: Apache-2.0
"""Where the slices of a reconstructed nuclear study lie: one orientation, one origin and one step for all."""

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Cosines, Vector
from viewer.dicom.geometry import normal

_SLICES = (0x00540080,)
"""Slice Vector: the only thing by which the frames of a static reconstruction differ."""


def reconstructed(dataset: Dataset, frames: int) -> tuple[Cosines, tuple[Vector, ...]] | None:
    """Orientation and every frame's position of a reconstruction (PS3.3 C.8.4.15); None for other files.

    A positive distance stacks the slices behind the first, along its row × column.
    """
    if frames < 2 or get.text(dataset, "Modality") != "NM":
        return None
    if get.texts(dataset, "ImageType")[2:3] != ("RECON TOMO",):
        return None
    pointers = tuple(int(n) for n in get.numbers(dataset, "FrameIncrementPointer"))
    detectors = get.items(dataset, "DetectorInformationSequence")
    numbers = get.numbers(dataset, "SliceVector")
    step = get.number(dataset, "SpacingBetweenSlices")
    if pointers != _SLICES or len(detectors) != 1 or len(numbers) != frames or not step or abs(step) > 1e3:
        return None
    orientation = get.cosines(detectors[0])
    first = get.vector(detectors[0], "ImagePositionPatient")
    if orientation is None or first is None:
        return None
    places = np.asarray(first) + np.outer(np.asarray(numbers) - 1, normal(orientation) * step)
    return orientation, tuple((float(x), float(y), float(z)) for x, y, z in places)
