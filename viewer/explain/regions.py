# SPDX-License-Identifier: Apache-2.0
"""Regions in words: a box of pixels, a segment that came with the study, or a SEG file."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from viewer import affine, dicom
from viewer.dicom import Segmentation
from viewer.errors import ExplainerError
from viewer.settings import Limits
from viewer.types import Region, Series


def read_region(
    text: str,
    series: Series,
    slices: range,
    segmentations: Sequence[Segmentation] = (),
    limits: Limits = Limits(),  # noqa: B008
) -> Region:
    """The region of a series that a text names; raises `ExplainerError`, `SeriesError` if there is none.

    FIRST ROW,FIRST COLUMN,LAST ROW,LAST COLUMN is a box on `slices`, and with a first and a last slice
    before them one in the volume. Else it is the label of a segment of `segmentations`, the path of a SEG
    file, all of whose segments count, or FILE:LABEL.
    """
    found = read_regions(text, series, slices, segmentations, limits)
    if len(found) == 1:
        return found[0]
    # All segments of a file are masks on the grid of its planes.
    together = np.logical_or.reduce([region.mask for region in found])
    names = dict.fromkeys(region.name for region in found)
    return replace(found[0], mask=together, name=" + ".join(names), colour=None)


def read_regions(
    text: str,
    series: Series,
    slices: range,
    segmentations: Sequence[Segmentation] = (),
    limits: Limits = Limits(),  # noqa: B008
) -> tuple[Region, ...]:
    """The same, but every segment of a file by itself."""
    if re.fullmatch(r"[\s\d,+-]+", text):
        return (_box(text, series, slices),)
    named = [one for one in segmentations if text in one.titles and dicom.belongs(one, [series])]
    if len(named) == 1:
        return _drawn(named[0], series, limits, text)
    if named:
        raise ExplainerError(
            f"There are {len(named)} segmentations with a segment {text!r}; name the file: FILE:{text}."
        )
    colons = [i for i, character in enumerate(text) if character == ":"]
    for path, label in ((text, None), *((text[:i], text[i + 1 :]) for i in colons)):
        if path and Path(path).is_file():
            return _drawn(dicom.segmentation_in(Path(path), limits), series, limits, label)
    known = [title for one in segmentations if dicom.belongs(one, [series]) for title in one.titles]
    there = f" or a segment of this study ({', '.join(known[:12])})" if known else ""
    raise ExplainerError(
        f"The region {text!r} is not a box; write FIRST ROW,FIRST COLUMN,LAST ROW,LAST COLUMN, "
        f"or name a SEG file{there}."
    )


def _box(text: str, series: Series, slices: range) -> Region:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 6):
        raise ExplainerError(
            f"The region {text!r} is not a box; write FIRST ROW,FIRST COLUMN,LAST ROW,LAST COLUMN."
        )
    half = len(numbers) // 2
    first, last = numbers[:half], numbers[half:]
    if half == 2:
        first, last = [slices.start, *first], [slices.stop - 1, *last]
    if not all(0 <= a <= b < n for a, b, n in zip(first, last, series.shape, strict=True)):
        of = " × ".join(map(str, series.shape[-half:]))
        what = "image" if half == 2 else "volume"
        raise ExplainerError(f"The box {text} does not lie in the {what} of {of} pixels.")
    mask = np.ones([b - a + 1 for a, b in zip(first, last, strict=True)], dtype=bool)
    matrix = affine.scale_offset((1, 1, 1), (first[0], first[1], first[2]))
    return Region(mask, matrix, series, f"box {','.join(map(str, numbers))}", "box")


def _drawn(
    segmentation: Segmentation, series: Series, limits: Limits, label: str | None
) -> tuple[Region, ...]:
    """The segments of this label of a SEG, or all of them."""
    name = segmentation.path.name
    if not dicom.belongs(segmentation, [series]):
        raise ExplainerError(f"The segmentation {name} was not drawn on this series.")
    every = dicom.regions(segmentation, series, limits)
    found = tuple(region for region in every if label is None or region.name == label)
    if not found:
        there = ", ".join(segmentation.titles) or "none"
        raise ExplainerError(f"The segmentation {name} has no segment {label!r}; it has: {there}.")
    return found
