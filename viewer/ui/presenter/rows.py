# SPDX-License-Identifier: Apache-2.0
"""The rows of the series list, and what was not opened, as text."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viewer import dicom
from viewer.dicom import UNKNOWN_PLACE, Arrival, Study
from viewer.types import Array, Series
from viewer.ui.state import SeriesItem
from viewer.wording import patients, without_identity

Names = tuple[tuple[str, str], ...]
"""Files and why they show nothing."""
_THUMBNAIL = 112
"""The longer side of a thumbnail at most: twice that on the screen, for fine screens."""


def title(series: Series, masked: bool, alone: bool = True) -> str:
    """What a series is called, else what it shows; without its patient while that is masked.

    The name of a file may name somebody whom its header does not, so it stands in only unmasked,
    and for a single image: `alone` is False where more of the series may come.
    """
    shows = " ".join(text for text in (series.body_part, series.view) if text)
    known = alone and not masked and series.paths
    file = series.paths[0].name if known and len({*series.paths[:2]}) == 1 else ""
    words = series.description or shows or file or series.modality
    return without_identity(words, series.identity) if masked else words


def row(series: Series, masked: bool) -> SeriesItem:
    """The row of a series of an open study."""
    spacing, number = series.geometry.spacing, series.number
    name = title(series, masked)
    facts = _joined("" if name == series.modality else series.modality, _size(series))
    apart = ""
    if spacing is not None and spacing[0] is not None:
        apart = f"{spacing[0]:.3g} mm" if series.geometry.volume else "slices uneven"
    more = _joined(apart, "" if number is None else f"Se {number}")
    return SeriesItem(name, (facts, more) if more else (facts,), series.warnings, part=series.part)


def rows(series: Sequence[Series], masked: bool) -> tuple[SeriesItem, ...]:
    """The rows of an open study: besides, of several patients which, and of a picture the name of its file.

    Nothing else tells pictures apart, so it stands there while the patient is masked too; see `title`.
    """
    found = []
    for one, whose in zip(series, patients(series), strict=True):
        item = row(one, masked)
        which = f"patient {whose}" if whose else ""
        if one.modality == "picture" and one.paths and item.title != one.paths[0].name:
            which = one.paths[0].name
        found.append(replace(item, facts=(*item.facts, which)) if which else item)
    return tuple(found)


def _size(series: Series) -> str:
    slices, rows, columns = series.shape
    if slices == 1:
        return f"{rows} × {columns}"
    if series.frames_in_time > 1:
        return f"{slices} frames"
    return f"{slices} slices" if series.geometry.orientation_known else f"{slices} images"


def _joined(*texts: str) -> str:
    return " · ".join(text for text in texts if text)


def thumbnail(series: Series) -> Array:
    """The middle slice as it is shown, made small and with square pixels; uint8 (rows, columns[, 3])."""
    picture = dicom.displayed(series, series.shape[0] // 2)
    rows, columns = picture.shape[:2]
    aspect = series.geometry.pixel_aspect
    high = rows * (aspect if math.isfinite(aspect) and aspect > 0 else 1.0)
    scale = min(1.0, _THUMBNAIL / max(high, columns))
    down = _every(rows, high * scale)
    across = _every(columns, columns * scale)
    return np.ascontiguousarray(picture[down][:, across])


def _every(count: int, wanted: float) -> Array:
    """So many of `count` places, evenly."""
    several = max(1, round(wanted))
    return ((np.arange(several) + 0.5) * count / several).astype(int)


Overlaid = tuple[tuple[str, ...], ...]
"""For each series of a study, what lies on it."""


def overlaid(study: Study) -> Overlaid:
    """Which segmentations and maps of the study lie on each of its series, in words."""
    found: dict[str, dict[str, list[str]]] = {}
    for what, every in (("segment", study.segmentations), ("map", study.parametric)):
        for one in every:
            for series in dicom.belongs(one, study.series):
                names = (without_identity(name, series.identity) for name in one.titles)
                found.setdefault(series.uid, {}).setdefault(what, []).extend(names)
    return tuple(
        tuple(_counted(what, names) for what, names in found.get(series.uid, {}).items())
        for series in study.series
    )


def _counted(what: str, names: Sequence[str]) -> str:
    return f"{what}: {names[0]}" if len(names) == 1 else f"{len(names)} {what}s: {', '.join(names)}"


def growing_row(arrival: Arrival, masked: bool, shown: bool) -> SeriesItem:
    """The row of a series that is still being read; the place of the image that is shown is not known."""
    series = arrival.series
    so_far = "1 image so far" if arrival.images == 1 else f"{arrival.images} images so far"
    warnings = (UNKNOWN_PLACE,) if shown else ()
    name = title(series, masked, alone=False)
    facts = _joined("" if name == series.modality else series.modality, so_far)
    return SeriesItem(name, (facts,), warnings)


def not_opened(study: Study) -> Names:
    """Name and reason of every file that shows nothing."""
    drawn = {one.path for one in (*study.segmentations, *study.parametric)}
    listed = (*study.refused, *study.other)
    return tuple((i.path.name, i.reason) for i in listed if not drawn or i.path.absolute() not in drawn)
