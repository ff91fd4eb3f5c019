# SPDX-License-Identifier: Apache-2.0
"""Siemens mosaics: the slices of one moment as tiles of one picture, and where each of them lies.

As nibabel (doc/source/dicom/dicom_mosaic.rst) and dcm2niix have it: tiles follow each other row by row in
a square of as few as there must be; the position in the file is that of a slice as large as the picture,
around the same middle; slices follow each other along the normal that the maker's CSA header gives.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import GREYS, Frame, Pixels
from viewer.dicom.geometry import normal

_PARALLEL = 0.999
_MOST_TAGS, _MOST_ITEMS = 512, 1024


def tiles_in(dataset: Dataset, image_type: tuple[str, ...]) -> int | None:
    """How many slices a mosaic of MR holds, 0 where only its name says that it is one; None for others."""
    found = get.private(dataset, 0x0019, "SIEMENS MR HEADER", 0x0A, "SIEMENS")
    text = found.decode("latin-1") if isinstance(found, bytes) and len(found) > 2 else found
    try:
        count = int.from_bytes(text, "little") if isinstance(text, bytes) else int(str(text).strip(" \0"))
    except ValueError:
        count = 0
    if count <= 1 and "MOSAIC" in image_type:
        count = int(next(iter(_numbers(dataset, "NumberOfImagesInMosaic")), 0))
    if count > 1:
        return count
    return 0 if "MOSAIC" in image_type else None


def cut(
    dataset: Dataset, pixels: Pixels, frame: Frame, count: int
) -> tuple[Pixels, tuple[Frame, ...]] | None:
    """The tiles of a mosaic as frames at their places; None where the file does not tell these."""
    across = math.ceil(math.sqrt(count)) if count > 1 else 0
    step = get.number(dataset, "SpacingBetweenSlices")
    along = np.asarray(_numbers(dataset, "SliceNormalVector"))
    if not across or pixels.frames != 1 or pixels.photometric not in GREYS or pixels.allocated == 1:
        return None
    if frame.position is None or frame.orientation is None or frame.spacing is None:
        return None
    if pixels.rows % across or pixels.columns % across or not step or not 0 < step < 1e3 or along.size != 3:
        return None
    straight = normal(frame.orientation)
    side = float(straight @ along)
    if abs(side) < _PARALLEL:
        return None
    rows, columns = pixels.rows // across, pixels.columns // across
    row, column = np.asarray(frame.orientation[:3]), np.asarray(frame.orientation[3:])
    down, right = frame.spacing
    first = np.asarray(frame.position) + row * right * (pixels.columns - columns) / 2
    first = first + column * down * (pixels.rows - rows) / 2
    places = first + np.outer(np.arange(count), straight * math.copysign(step, side))
    frames = tuple(replace(frame, position=(float(x), float(y), float(z))) for x, y, z in places)
    said = f"This is a Siemens mosaic of {count} slices in one picture; it is cut into these."
    tiles = replace(pixels, rows=rows, columns=columns, frames=count, whole=pixels)
    return replace(tiles, notes=(*pixels.notes, ("mosaic", said))), frames


def _numbers(dataset: Dataset, name: str) -> tuple[float, ...]:
    """Numbers of the CSA image header of a file, none where it does not have them."""
    found = get.private(dataset, 0x0029, "SIEMENS CSA HEADER", 0x10, "SIEMENS")
    if not isinstance(found, bytes):
        return ()
    try:
        items = next((items for tag, items in _csa(found) if tag == name), [])
    except (struct.error, IndexError):
        return ()
    return get.plain_numbers([item for item in items if item])


def _csa(data: bytes) -> Iterator[tuple[str, list[str]]]:
    """Names and values of a CSA header, of either version (nibabel, doc/source/dicom/siemens_csa.rst)."""
    second = data.startswith(b"SV10")
    at = 8 if second else 0
    (count,) = struct.unpack_from("<L", data, at)
    at += 8
    before = 0
    for number in range(min(count, _MOST_TAGS)):
        name, _, _, _, many, _ = struct.unpack_from("<64sl4sLLL", data, at)
        at += 84
        if number == 0:
            before = many
        items = []
        for _ in range(min(many, _MOST_ITEMS)):
            lengths = struct.unpack_from("<4l", data, at)
            length = lengths[1] if second else lengths[0] - before
            if length < 0 or at + 16 + length > len(data):
                return
            items.append(data[at + 16 : at + 16 + length].split(b"\0")[0].decode("latin-1").strip())
            at += 16 + length + -length % 4
        yield name.split(b"\0")[0].decode("latin-1"), items
