# SPDX-License-Identifier: Apache-2.0
"""Series as they are found, while files are still being read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from time import monotonic

from viewer.dicom.facts import Image
from viewer.dicom.group import groups
from viewer.dicom.series import series_of
from viewer.settings import Limits
from viewer.types import Series

UNKNOWN_PLACE = "Still being read; where this image lies among the others is not known yet."
EVERY = 0.25
"""Seconds from one telling to the next, so that the list can be read while it grows."""
_PART = 0.05
"""Part of the time that telling may take."""
_LATEST = 2.0
"""Seconds to the next telling at most: the first time, an image is decoded."""
MOST_SERIES = 200
"""Series that are told of before the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A series that is still being read: its first image, as a provisional series, and how many there are.

    The provisional series is no part of the study. Nothing is said yet of stacks: that needs all images.
    """

    key: str
    series: Series
    images: int


OnArrivals = Callable[[tuple[Arrival, ...]], None]
"""Told all series so far, in the order in which they were found; now and then, also if none came since."""


class Arrivals:
    """Counts images and tells of their series: the first at once, then as often as the scan can afford."""

    def __init__(self, tell: OnArrivals, limits: Limits) -> None:
        self._tell = tell
        self._limits = limits
        self._first: dict[str, Image] = {}
        self._count: dict[str, int] = {}
        self._told: dict[str, Arrival] = {}
        self._due = 0.0

    def take(self, image: Image) -> None:
        """One more image."""
        key = image.series_uid or image.sop_uid or str(image.path)
        self._first.setdefault(key, image)
        self._count[key] = self._count.get(key, 0) + image.pixels.frames

    def tell(self) -> None:
        """Tell, if it is time again and there is anything to tell."""
        begun = monotonic()
        if begun < self._due or not self._first:
            return
        for key, image in islice(self._first.items(), len(self._told), MOST_SERIES):
            self._told[key] = Arrival(key, _provisional(image, self._limits), 1)
        for key, arrival in self._told.items():
            if arrival.images != self._count[key]:
                self._told[key] = replace(arrival, images=self._count[key])
        self._tell(tuple(self._told.values()))
        ended = monotonic()
        self._due = ended + min(max(EVERY, (ended - begun) / _PART), _LATEST)


def _provisional(image: Image, limits: Limits) -> Series:
    """The middle frame of an image as a series of its own, while the others are still being read."""
    group = groups([image])[0]
    middle = group.slices[len(group.slices) // 2]
    alone = replace(group, slices=(middle,), images=(image,), part=None, across="", warnings=())
    return replace(series_of(alone, limits), warnings=(UNKNOWN_PLACE,))
