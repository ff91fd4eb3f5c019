# SPDX-License-Identifier: Apache-2.0
"""Files that bear one identifier: copies of one image, or several images, told by what is in them.

Bytes are compared first, then the stored pixels; only where those differ is anything decoded.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from viewer.dicom.decode import read_frame
from viewer.dicom.decoder_pool import DecodingError
from viewer.dicom.facts import Image
from viewer.dicom.header import NATIVE
from viewer.dicom.image import told_by
from viewer.settings import Limits
from viewer.task import Task

SAME = "This is the same image again."
_HIDDEN = "Its image data cannot be decoded; another file with its identifier can be, and is shown."
_NEITHER = "Its image data cannot be decoded, nor those of another file with its identifier, which is listed."
_OTHER = (
    "copies",
    "Another file bears the identifier of this image and holds another: both are shown.",
)
_ELSEWHERE = (
    "identifier",
    "Another image, of another series, place or size, bears the identifier of this one: both are shown.",
)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that is not shown, and why."""

    image: Image
    reason: str


def _decoded(image: Image, limits: Limits, task: Task) -> tuple[bytes | None, ...]:
    """A digest of each frame's values; None of one that cannot be decoded."""
    found: list[bytes | None] = []
    for number in range(image.pixels.frames):
        task.check()
        try:
            values = read_frame(image.pixels, number, limits)
        except DecodingError:
            found.append(None)
            continue
        plain = values.astype("<f8") if values.dtype.kind == "f" else values.astype("<i8")
        found.append(hashlib.sha256(repr(values.shape).encode() + np.ascontiguousarray(plain).data).digest())
    return tuple(found)


def _stored(image: Image) -> bytes:
    """A digest of the pixels as they lie in the file; of the whole file where they are not told from it."""
    pixels = image.pixels
    if pixels.offset is None or pixels.photometric == "PALETTE COLOR":
        return told_by(image.path).encode()
    facts = replace(pixels, path=Path(), offset=None, notes=())
    found = hashlib.sha256(repr(facts).encode())
    try:
        file = image.path.open("rb")
    except OSError:  # gone since its header was read
        return told_by(image.path).encode()
    with file:
        file.seek(pixels.offset)
        left = -1 if pixels.length is None else pixels.length
        while block := file.read(1 << 20 if left < 0 else min(left, 1 << 20)):
            found.update(block)
            left -= len(block) if left > 0 else 0
            if left == 0:
                break
    return found.digest()


def _meaning(image: Image) -> Any:
    """What the stored values of an image stand for: other values with the same pixels are another image."""
    table = None if image.lut is None else (image.lut[0], image.lut[1].tobytes())
    return tuple(f.rescale or (1.0, 0.0) for f in image.frames), table, image.pixels.photometric


def apart(same: Sequence[Image], limits: Limits, task: Task) -> tuple[list[Image], list[Copy]]:
    """Of images with one identifier, place and size those that differ, and the copies of these.

    Of copies the one with native pixels is kept, so that nothing is decoded for nothing. One that cannot be
    decoded is never kept where one can be.
    """
    ranked = sorted(
        same, key=lambda i: (i.pixels.syntax not in NATIVE, i.lossy is not False, told_by(i.path))
    )
    alike: dict[Any, list[Image]] = defaultdict(list)
    for image in ranked:
        alike[_meaning(image), _stored(image)].append(image)
    copies = [Copy(image, SAME) for _, *others in alike.values() for image in others]
    firsts = [first for first, *_ in alike.values()]
    if len(firsts) == 1:
        return firsts, copies
    by_values: dict[Any, list[Image]] = defaultdict(list)
    broken: list[tuple[int, Image]] = []
    for image in firsts:
        frames = _decoded(image, limits, task)
        if None in frames:
            broken.append((frames.count(None), image))
        else:
            by_values[_meaning(image), frames].append(image)
    kept = [first for first, *_ in by_values.values()]
    copies += [Copy(image, SAME) for _, *others in by_values.values() for image in others]
    if not kept:
        _, best = min(broken, key=lambda one: one[0])
        return [best], [*copies, *(Copy(image, _NEITHER) for _, image in broken if image is not best)]
    copies += [Copy(image, _HIDDEN) for _, image in broken]
    if len(kept) == 1:
        return kept, copies
    return [
        replace(one, version=number, notes=(*one.notes, _OTHER)) for number, one in enumerate(kept)
    ], copies


def told(images: Iterable[Image]) -> list[Image]:
    """The images, with a note on those whose identifier stands in another series, place or size too."""
    every = list(images)
    count = Counter(i.sop_uid for i in every if i.sop_uid and not i.version)
    return [
        replace(i, notes=(*i.notes, _ELSEWHERE)) if i.sop_uid and count[i.sop_uid] > 1 else i for i in every
    ]
