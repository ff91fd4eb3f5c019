# SPDX-License-Identifier: Apache-2.0
"""From a series to the tensor that a network reads, with the exact affine back to the source.

All geometry (crop, pad, resize, flip, permuted axes, resampling to a spacing) is one separable map:
along each axis of the input, `source = start + step × index`. The matrix handed on and the filter
that makes the pixels come from the same three numbers, so they cannot disagree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from viewer import dicom
from viewer.affine import Matrix
from viewer.errors import ModelError
from viewer.models.card import Input
from viewer.models.card_values import IntervalValues, PercentileValues, RangeValues, WindowValues
from viewer.models.interval import target
from viewer.types import Field, ModelInput, Series

Floats = NDArray[np.float32]
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_NO_VOLUME = "the slices of this series are not one evenly spaced stack"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the input: `source = start + step × index` on source axis `source`."""

    source: int
    size: int
    start: float
    step: float
    mirrored: bool = False
    """Whether the source goes on as in a mirror at its border."""

    def weights(self, length: int) -> tuple[Floats, NDArray[np.bool_]]:
        """The filter (size, length), and which inputs lie inside a source of this length.

        A triangle as wide as the step (antialiased when shrinking, bilinear when enlarging), as
        Pillow and torch's `interpolate(antialias=True)` have it, normalised over what is there.
        """
        centre = self.start + self.step * np.arange(self.size)
        if self.mirrored:
            place = (centre + 0.5) % (2 * length)
            centre = np.where(place < length, place, 2 * length - place) - 0.5
        support = max(1.0, abs(self.step))
        inside = (centre >= -0.5) & (centre <= length - 0.5)
        distance = np.abs(np.arange(length)[None, :] - centre[:, None]) / support
        weight = np.clip(1 - distance, 0, None)
        total = weight.sum(1, keepdims=True)
        weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        return weight.astype(np.float32), inside


def prepare(
    series: Series, card: Input, slice: int | None = None, at: Sequence[float] | None = None
) -> ModelInput:
    """The input of a 2D network for one slice, or of a 3D network for the volume.

    `at` is a source voxel, (row, column) or (slice, row, column): the centre of a patch (the
    middle by default) and, for a 2D network, the slice. Raises `ModelError` where the card and the
    series do not go together.
    """
    slice, sides = _placed(series, card, slice, at)
    if slice is None:
        return _prepare_volume(series, card, sides)
    last = series.shape[0] - 1
    near = range(slice - card.neighbours, slice + card.neighbours + 1)
    planes = [_values(_raw(series, min(max(i, 0), last), card), series, card) for i in near]
    source = np.concatenate(planes)
    local = [replace(axis, source=axis.source - 1) for axis in sides]
    pixels = _resample(source, local, _fill(source, card))
    return ModelInput(series, slice, _tensor(pixels, card), _matrix(slice, sides))


def field(series: Series, card: Input, slice: int | None = None, at: Sequence[float] | None = None) -> Field:
    """Where the input that `prepare` makes of the same lies, without reading a pixel; raises as it does."""
    slice, sides = _placed(series, card, slice, at)
    shape = tuple(axis.size for axis in sides)
    return Field(_matrix(slice, sides), (1,) * (3 - len(sides)) + shape)  # type: ignore[arg-type]


def _placed(
    series: Series, card: Input, slice: int | None, at: Sequence[float] | None
) -> tuple[int | None, list[Axis]]:
    """The slice of a 2D input, None for a volume, and the axes on source axes (slice, row, column)."""
    if at is not None and card.fit != "patch":
        raise ModelError("A place (--at) is for networks that read a patch; this one reads the whole.")
    if at is not None and not all(math.isfinite(i) for i in at):
        raise ModelError("A place (--at) is made of numbers.")
    if card.dimensions == 3:
        if series.shape[0] < 2:
            raise ModelError("This network reads volumes, and the series has a single slice.")
        if not series.geometry.volume:
            raise ModelError(f"This network reads volumes, and {_NO_VOLUME}.")
        if at is not None and len(at) != 3:
            raise ModelError("A place in a volume is SLICE,ROW,COLUMN.")
        return None, _volume_axes(series, card, at)
    if at is not None and len(at) not in (2, 3):
        raise ModelError("A place in a slice is ROW,COLUMN or SLICE,ROW,COLUMN.")
    if at is not None and len(at) == 3:
        slice, at = round(at[0]), at[1:]
    slice = series.shape[0] // 2 if slice is None else slice
    if not 0 <= slice < series.shape[0]:
        raise ModelError(f"There is no slice {slice}; the series has slices 0 to {series.shape[0] - 1}.")
    sides = _plane_axes(series, card, at)
    if card.neighbours and series.shape[0] > 1 and not series.geometry.volume:
        raise ModelError(f"This network reads neighbouring slices together, and {_NO_VOLUME}.")
    return slice, sides


def _prepare_volume(series: Series, card: Input, sides: list[Axis]) -> ModelInput:
    # Only the slices that the input touches are decoded: a patch does not read the whole volume.
    depth = next(a for a in sides if a.source == 0)
    reach = max(1.0, abs(depth.step))
    ends = sorted((depth.start, depth.start + depth.step * (depth.size - 1)))
    first = min(max(int(np.floor(ends[0] - reach)), 0), series.shape[0] - 1)
    last = max(min(int(np.ceil(ends[1] + reach)), series.shape[0] - 1), first)
    if isinstance(card.values, PercentileValues) or card.outside == "mirror":
        first, last = 0, series.shape[0] - 1
    raw = np.stack([_raw(series, i, card) for i in range(first, last + 1)])
    source = _values(raw, series, card)
    local = [replace(a, start=a.start - first) if a.source == 0 else a for a in sides]
    pixels = _resample(source, local, _fill(source, card))
    return ModelInput(series, None, _tensor(pixels, card), _matrix(None, sides))


# --- geometry -------------------------------------------------------------------------------------


def axes(series: Series, card: Input) -> list[Axis]:
    """The axes of an input from the middle of a series, on source axes (slice, row, column)."""
    return (_volume_axes if card.dimensions == 3 else _plane_axes)(series, card, None)


def _matrix(slice: int | None, sides: Sequence[Axis]) -> Matrix:
    """From the input's (depth, row, column) to the source voxel; of one slice, one voxel a step of depth."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    if slice is not None:
        matrix[0, 0], matrix[0, 3] = 1, slice
    for k, axis in enumerate(sides, start=3 - len(sides)):
        matrix[axis.source, k], matrix[axis.source, 3] = axis.step, axis.start
    return matrix


def _plane_axes(series: Series, card: Input, at: Sequence[float] | None) -> list[Axis]:
    """The axes of a 2D input, on the source axes 1 = row, 2 = column."""
    spacing = series.geometry.spacing
    rows, columns = series.shape[1:]
    mm = (spacing[1], spacing[2]) if spacing else (series.geometry.pixel_aspect, 1.0)
    turned = _turned(series, card.orientation, 2)
    sides = [(i - 1, sign) for i, sign in turned]
    found = _axes(sides, (rows, columns), mm, spacing is not None, card, at)
    return [replace(axis, source=axis.source + 1) for axis in found]


def _volume_axes(series: Series, card: Input, at: Sequence[float] | None) -> list[Axis]:
    spacing = series.geometry.spacing
    known = spacing is not None and spacing[0] is not None
    mm = tuple(float(s or 1.0) for s in spacing) if spacing else (1.0, 1.0, 1.0)
    return _axes(_turned(series, card.orientation, 3), series.shape, mm, known, card, at)


_TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "H": (2, 1), "F": (2, -1)}
"""Patient axis (LPS) and direction of a letter."""


def _turned(series: Series, orientation: str | None, dimensions: int) -> list[tuple[int, int]]:
    """For each input axis the source axis it runs along, and in which direction (+1 or −1)."""
    own = [0, 1, 2][3 - dimensions :]
    if orientation is None:
        return [(i, 1) for i in own]
    steps = _steps(series)
    wanted = [_TOWARDS[letter] for letter in reversed(orientation)]  # the card says columns, rows, slices
    # Oblique axes lean towards two letters: all are shared out together, so that each gets its own.
    best = max(
        permutations(range(3), len(wanted)),
        key=lambda along: sum(abs(steps[i][axis]) for i, (axis, _) in zip(along, wanted, strict=True)),
    )
    leanings = [float(steps[i][axis]) for i, (axis, _) in zip(best, wanted, strict=True)]
    if not set(best) <= set(own) or not all(leanings):
        raise ModelError(
            f"The model wants images oriented {orientation}, and this series lies in another plane."
        )
    return [
        (i, sign if lean > 0 else -sign) for i, (_, sign), lean in zip(best, wanted, leanings, strict=True)
    ]


def _steps(series: Series) -> list[NDArray[np.float64]]:
    """The patient direction of a step along each voxel axis, as far as the file tells."""
    geometry = series.geometry
    direction = geometry.direction
    if direction is not None:
        return [direction[:, i] for i in range(3)]
    if geometry.patient_orientation is None:
        raise ModelError(
            "The model wants a known orientation, and this series does not say which side is which."
        )
    unit = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
    columns, rows = (np.array(unit.get(text[:1], (0, 0, 0)), float) for text in geometry.patient_orientation)
    return [np.zeros(3), rows, columns]


def _axes(
    sides: list[tuple[int, int]],
    lengths: Sequence[int],
    mm: Sequence[float],
    known: bool,
    card: Input,
    at: Sequence[float] | None,
) -> list[Axis]:
    """Step and start of each input axis; `sides` are (source axis, direction)."""
    if card.spacing is not None and not known:
        raise ModelError("The model wants a known spacing in millimetres, and this series gives none.")
    extents = [lengths[i] * mm[i] / n for (i, _), n in zip(sides, card.size, strict=True)]
    axes = []
    for k, ((i, sign), size) in enumerate(zip(sides, card.size, strict=True)):
        if card.spacing is not None:
            step = card.spacing[k] / mm[i]
        elif card.fit == "squash":
            step = lengths[i] / size
        elif card.fit == "patch":
            step = 1.0
        else:
            # One size of pixel in millimetres, so that the picture keeps its proportions.
            step = (max(extents) if card.fit == "pad" else min(extents)) / mm[i]
        centre = (lengths[i] - 1) / 2 if at is None else float(at[i])
        if at is not None and not 0 <= centre <= lengths[i] - 1:
            raise ModelError(
                f"The place {centre:g} lies outside the image, which goes from 0 to {lengths[i] - 1}."
            )
        start = centre - sign * step * (size - 1) / 2
        if card.fit == "patch" and step == 1.0:
            # An even patch has no middle pixel: keep whole source pixels.
            start = math.floor(start) if sign > 0 else math.ceil(start)
        axes.append(Axis(i, size, start, sign * step, card.outside == "mirror"))
    return axes


def _resample(source: Floats, axes: Sequence[Axis], fill: float) -> Floats:
    """(channels, *source) → (channels, *input); what lies outside the source is `fill`."""
    result = np.transpose(source, (0, *(a.source + 1 for a in axes)))
    outside = np.zeros((1,) * len(axes), dtype=bool)
    for k, axis in enumerate(axes):
        weight, inside = axis.weights(result.shape[k + 1])
        if not (axis.step == 1 and axis.start == 0 and axis.size == result.shape[k + 1]):
            result = np.moveaxis(np.tensordot(weight, result, axes=(1, k + 1)), 0, k + 1)
        outside = outside | ~inside.reshape([-1 if j == k else 1 for j in range(len(axes))])
    return np.where(outside, np.float32(fill), result)


# --- values ---------------------------------------------------------------------------------------


def _raw(series: Series, index: int, card: Input) -> Floats:
    """Modality values, or the stored ones for `range` and `from: stored`."""
    if _stored(card):
        return np.asarray(series.voxels[index], dtype=np.float32)
    if card.values == "voi":
        return dicom.presented(series, index)
    return dicom.modality_values(series, index)


def _values(raw: Floats, series: Series, card: Input) -> Floats:
    """Raw values (…[, 3]) of a slice or volume → (channels, …) in the scale that the card names."""
    return _channels(_presentation(_scale(raw, series, card), series, card), series.colour, card)


def _stored(card: Input) -> bool:
    interval = isinstance(card.values, IntervalValues) and card.values.from_ == "stored"
    return interval or isinstance(card.values, RangeValues)


def _scale(values: Floats, series: Series, card: Input) -> Floats:
    match card.values:
        case RangeValues(range=(low, high)) | IntervalValues(from_="stored", to=(low, high)):
            bottom, top = series.display.stored_range
            scale = np.float32((high - low) / (top - bottom))
            return np.asarray((values - np.float32(bottom)) * scale + np.float32(low))
        case WindowValues(window=(center, width)):
            return np.asarray(
                np.clip((values - np.float32(center)) / np.float32(width) + np.float32(0.5), 0, 1)
            )
        case IntervalValues(from_=(first, last), to=(low, high)):
            share = (np.clip(values, first, last) - np.float32(first)) / np.float32(last - first)
            return np.asarray(share * np.float32(high - low) + np.float32(low), np.float32)
        case PercentileValues(percentiles=(low, high)):
            bottom, top = np.percentile(values, (low, high))
            return np.asarray(
                np.clip((values - np.float32(bottom)) / np.float32(max(top - bottom, 1e-6)), 0, 1)
            )
    return values


def _presentation(values: Floats, series: Series, card: Input) -> Floats:
    """MONOCHROME1 turned, so that a network sees what a reader sees; Hounsfield units stay."""
    if not series.display.inverted or card.values in ("hu", "voi"):  # `presented` has turned it
        return values
    low, high = target(card)
    return np.float32(low + high) - values


def _channels(values: Floats, colour: bool, card: Input) -> Floats:
    """(…[, 3]) → (channels, …); a 2.5D input gives one channel per slice."""
    wanted = 1 if card.neighbours else card.channels
    if colour:
        if wanted == 3:
            return np.moveaxis(values, -1, 0)
        values = values @ _LUMINANCE
    if wanted not in (1, 3):
        raise ModelError(f"The network wants {wanted} channels; an image can fill 1 or 3.")
    return np.repeat(values[None], wanted, axis=0)


def _fill(source: Floats, card: Input) -> float:
    """What stands where the source ends: the lowest value there is (air)."""
    if card.clip is not None:
        return card.clip[0]
    if card.values == "hu":
        return float(source.min())
    return min(target(card))


def _tensor(pixels: Floats, card: Input) -> torch.Tensor:
    """Clip, then subtract the mean and divide by the standard deviation, per channel."""
    if card.clip is not None:
        pixels = np.clip(pixels, *card.clip)
    shape = (-1,) + (1,) * card.dimensions
    if card.mean is not None:
        pixels = pixels - np.array(card.mean, np.float32).reshape(shape)
    if card.std is not None:
        pixels = pixels / np.array(card.std, np.float32).reshape(shape)
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))[None]
