"""From images to series: which belong together, in which order, and what a reader should know.

Images of one series are kept apart wherever they cannot be one stack. Splitting by time, echo or
b-value is not done yet: such slices share positions, and are shown one by one with a warning.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from viewer.dicom.facts import GREYS, Frame, Image, Lut
from viewer.dicom.geometry import PROJECTION, alike, along, pixel_spacing
from viewer.dicom.header import NATIVE
from viewer.dicom.image import fingerprint

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One frame of one image."""

    image: Image
    number: int

    @property
    def frame(self) -> Frame:
        return self.image.frames[self.number]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Images that make one series, its derived uid, and whether the order is that of positions."""

    uid: str
    slices: tuple[Slice, ...]
    images: tuple[Image, ...]
    proven: bool


def _lut_key(table: Lut | None) -> int:
    return 0 if table is None else hash((table[0], table[1].tobytes()))


def _apart(image: Image) -> Key:
    """What two images must share to be slices of one stack, besides orientation and spacing."""
    pixels, frame = image.pixels, image.frames[0]
    placed = frame.position is not None and frame.orientation is not None
    projection = image.modality in PROJECTION and not placed
    alone = image.sop_uid or fingerprint(image.path) if pixels.frames > 1 or projection else ""
    return (
        image.study_uid,
        image.identity.patient_id,
        image.sop_class,
        image.modality,
        pixels.rows,
        pixels.columns,
        pixels.photometric if pixels.photometric in GREYS else "colour",
        pixels.allocated if pixels.photometric in GREYS else pixels.dtype.name,
        pixels.frames,
        placed,
        image.frame_of_reference if placed else "",
        alone,
    )


def _series_uid(image: Image) -> str:
    """The series' identifier, or one for the image alone where the file has none."""
    if image.series_uid:
        return image.series_uid
    return f"image:{image.sop_uid}" if image.sop_uid else f"file:{fingerprint(image.path)[:32]}"


def _same_shape(first: Image, second: Image) -> bool:
    """Whether orientation and pixel spacing agree, within what files round them to."""
    a, b = first.frames[0], second.frames[0]
    if a.orientation and b.orientation and not alike(a.orientation, b.orientation, 2e-3):
        return False
    (one, kind), (two, other) = pixel_spacing(first, a), pixel_spacing(second, b)
    if kind != other or not alike(one, two, 1e-3 * one[0]):
        return False
    return _lut_key(first.lut) == _lut_key(second.lut) and _lut_key(first.voi_lut) == _lut_key(second.voi_lut)


def _rank(image: Image) -> Key:
    """A complete order of images that does not depend on how their files are named."""
    frame = image.frames[0]
    return (
        image.study_uid,
        image.identity.patient_id,
        image.instance is None,
        image.instance or 0,
        image.sop_uid,
        frame.position or (),
        frame.orientation or (),
        frame.spacing or (),
    )


def _clusters(images: Iterable[Image]) -> list[list[Image]]:
    """Split by orientation, spacing and tables: each image joins the first cluster it agrees with."""
    found: list[list[Image]] = []
    for image in images:
        home = next((c for c in found if _same_shape(c[0], image)), None)
        if home is None:
            found.append([image])
        else:
            home.append(image)
    return found


def once(images: Iterable[Image]) -> tuple[list[Image], list[Image]]:
    """The images, each once, and the copies: same identifier, place, number and size.

    Of the copies the one with native pixels is kept, so that nothing is decoded for nothing.
    """
    by_name: dict[Key, list[Image]] = defaultdict(list)
    kept: list[Image] = []
    for image in images:
        if image.sop_uid:
            place = image.frames[0].position, image.instance, image.frames[0].orientation
            by_name[(_series_uid(image), image.sop_uid, place, *_apart(image))].append(image)
        else:
            kept.append(image)
    copies: list[Image] = []
    for same in by_name.values():
        if len(same) > 1:
            same.sort(
                key=lambda i: (i.pixels.syntax not in NATIVE, i.lossy is not False, fingerprint(i.path))
            )
        kept.append(same[0])
        copies.extend(same[1:])
    return kept, copies


def groups(images: Iterable[Image]) -> list[Group]:
    """Series in a fixed order, each with its slices in order."""
    by_series: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_series[_series_uid(image)].append(image)
    found: list[Group] = []
    for uid, members in by_series.items():
        by_kind: dict[Key, list[Image]] = defaultdict(list)
        for image in sorted(members, key=_tie(members)):
            by_kind[_apart(image)].append(image)
        parts = [cluster for kind in by_kind.values() for cluster in _clusters(kind)]
        for number, part in enumerate(parts, start=1):
            slices, proven = _ordered(part)
            found.append(Group(uid if len(parts) == 1 else f"{uid}#{number}", slices, tuple(part), proven))
    return sorted(found, key=lambda g: (g.images[0].study_uid, *_number(g.images[0]), g.uid))


def _tie(members: list[Image]) -> Any:
    """`_rank`, and where that leaves two images equal, what is in their files."""
    ranks = [_rank(i) for i in members]
    twice = len(set(ranks)) < len(ranks)
    return (lambda i: (_rank(i), fingerprint(i.path))) if twice else _rank


def _number(image: Image) -> Key:
    return (image.series_number is None, image.series_number or 0)


def _ordered(images: list[Image]) -> tuple[tuple[Slice, ...], bool]:
    """The slices along the normal if positions prove one stack, else as numbered or stored."""
    slices = [Slice(image, n) for image in images for n in range(image.pixels.frames)]
    first = slices[0].frame
    if len(slices) == 1:
        return tuple(slices), True
    orientation = first.orientation
    if orientation is None or not all(_in_stack(first, s.frame) for s in slices):
        return tuple(slices), False
    places = [along(orientation, s.frame.position) for s in slices if s.frame.position]
    order = sorted(range(len(slices)), key=lambda i: (round(places[i], 4), i))
    if len(images) == 1 and any(places[b] - places[a] < 1e-3 for a, b in pairwise(order)):
        return tuple(slices), False  # frames of several times or kinds: only the stored order is known
    return tuple(slices[i] for i in order), True


def _in_stack(first: Frame, other: Frame) -> bool:
    """Whether a frame has a position, and the orientation, spacing and stack of the first."""
    if other.position is None or other.orientation is None or first.orientation is None:
        return False
    if (other.spacing is None) != (first.spacing is None) or other.stack != first.stack:
        return False
    same_size = first.spacing is None or other.spacing is None or alike(first.spacing, other.spacing, 1e-3)
    return same_size and alike(first.orientation, other.orientation, 2e-3)
