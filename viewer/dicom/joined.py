# SPDX-License-Identifier: Apache-2.0
"""Series that a scanner or an archive cut up: an identifier for each slice of what is one stack or run."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from viewer.dicom.dimensions import places
from viewer.dicom.facts import Image, Slice
from viewer.dicom.further import further_of
from viewer.dicom.geometry import alike, along, pixel_spacing, stacking
from viewer.dicom.turned import turned

_LEAST = 3
"""Slices whose even distance is no chance."""
_COSINES = 2e-3


def whole(series: dict[str, list[Image]]) -> dict[str, list[Image]]:
    """The images by series, those of cut-up ones under the identifier of their first slice.

    They are one where study, patient, class, description, series number, size, frame of reference and kind of
    image agree, protocol and contrast agent too, no instance number repeats, and together they
    are an even stack, or views that turn.
    """
    alone: dict[Any, list[str]] = defaultdict(list)
    for uid, (first, *others) in series.items():
        if not others and first.series_uid and first.pixels.frames == 1 and first.instance is not None:
            alone[_told(first)].append(uid)
    moved: dict[str, str] = {}
    for uids in alone.values():
        if len(uids) >= _LEAST:
            for part in _by_protocol([series[uid][0] for uid in uids]):
                moved |= dict.fromkeys((one.series_uid for one in part), part[0].series_uid)
    found: dict[str, list[Image]] = defaultdict(list)
    for uid, members in series.items():
        found[moved.get(uid, uid)] += members
    return found


def _told(one: Image) -> Any:
    """What the slices of one series have in common, of what is known of each."""
    frame, pixels = one.frames[0], one.pixels
    return (
        one.study_uid,
        one.identity.patient_id,
        one.sop_class,
        one.modality,
        one.description,
        one.series_number,
        one.frame_of_reference,
        (pixels.rows, pixels.columns, pixels.photometric, pixels.allocated),
        frame.marks.image_type[:3],
        frame.marks.echo_number,
        frame.marks.b_value,
        frame.position is not None and frame.orientation is not None,
    )


def _by_protocol(images: Sequence[Image]) -> list[list[Image]]:
    """Those that are one, in their order, where geometry and what their files say further agree."""
    if images[0].frames[0].position is None or not (images[0].description or images[0].series_number):
        return []
    found: dict[Any, list[Image]] = defaultdict(list)
    for one in images:
        further = further_of(one)
        found[further.protocol, further.agent, further.component].append(one)
    ordered = [sorted(part, key=lambda i: i.instance or 0) for part in found.values()]
    return [part for part in ordered if len(part) >= _LEAST and _in_one(part)]


def _in_one(images: list[Image]) -> bool:
    """Whether images are an even stack, or views that turn."""
    numbers = [i.instance for i in images]
    if len(set(numbers)) < len(numbers):
        return False
    slices = [Slice(i, 0) for i in images]
    first = slices[0]
    (down, across), _ = pixel_spacing(first.image, first.frame)
    for one in slices:
        if not alike(pixel_spacing(one.image, one.frame)[0], (down, across), 1e-3 * down):
            return False
    orientation = first.frame.orientation
    assert orientation is not None
    parallel = [alike(s.frame.orientation or (), orientation, _COSINES) for s in slices]
    if not all(parallel):
        return sum(parallel) == 1 and turned(slices)
    if len(set(places(slices))) < len(slices):
        return False
    there = sorted(
        (s.frame.position for s in slices if s.frame.position), key=lambda p: along(orientation, p)
    )
    return stacking(orientation, there).even
