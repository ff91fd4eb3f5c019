# SPDX-License-Identifier: Apache-2.0
"""Parametric maps: numbers that somebody computed of a series, as maps on it (PS3.3 A.75, C.8.32).

Every frame is one quantity on one plane. Stored values, decimal or whole, become numbers with a unit
through the Real World Value Mapping of the frame (C.7.6.16.2.11).
"""

from dataclasses import dataclass

import numpy as np

from viewer.dicom import elements as get
from viewer.dicom.decode import read_frame
from viewer.dicom.decoder_pool import DecodingError
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Pixels
from viewer.dicom.placing import Placed, functional_groups, group, place, plane_of, shape_of
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Array, LoadedMap, Series

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_WHAT = "parametric map"
_NO_UNIT = ("1", "{no units}")
"""Codes of UCUM for a number without a unit."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """From the stored values of a frame to numbers: a line, or a table from `first` on."""

    name: str
    unit: str
    slope: float = 1.0
    intercept: float = 0.0
    first: float | None = None
    """Lowest and highest stored value that mean something; None where the file does not limit them."""
    last: float | None = None
    table: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ParametricMap(Placed):
    """One parametric map file without its pixels."""

    mappings: tuple[Mapping, ...]
    """That of every frame."""
    sources: frozenset[str]
    """SOP UIDs of the images that the file as a whole refers to."""
    sop_uid: str

    @property
    def names(self) -> frozenset[str]:
        return self.images | self.sources

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mapping.name for mapping in self.mappings))


def parametric_of(dataset: Dataset, pixels: Pixels) -> ParametricMap:
    """The facts of a parametric map; raises `SeriesError` where its frames are not described."""
    if pixels.colour or pixels.allocated == 1:
        raise SeriesError("The parametric map holds no numbers.")
    shared, own = functional_groups(dataset, pixels.frames, _WHAT)
    name = get.text(dataset, "SeriesDescription") or get.text(dataset, "ContentLabel") or _WHAT
    of_all = _mapping(group(Dataset(), shared, "RealWorldValueMappingSequence"), pixels, name)
    mappings = (
        _mapping(item, pixels, name)
        if (item := next(iter(get.items(frame, "RealWorldValueMappingSequence")), None)) is not None
        else of_all
        for frame in own
    )
    return ParametricMap(
        pixels,
        tuple(plane_of(frame, shared) for frame in own),
        get.text(dataset, "FrameOfReferenceUID"),
        tuple(mappings),
        _sources(dataset),
        get.text(dataset, "SOPInstanceUID"),
    )


def _sources(dataset: Dataset) -> frozenset[str]:
    """SOP UIDs of Source Image Sequence (0008,2112) and the referenced series (PS3.3 C.12.4)."""
    items = get.items(dataset, "SourceImageSequence")
    for series in get.items(dataset, "ReferencedSeriesSequence"):
        items += get.items(series, "ReferencedInstanceSequence")
    return frozenset(filter(None, (get.text(item, "ReferencedSOPInstanceUID") for item in items)))


def _mapping(item: Dataset, pixels: Pixels, otherwise: str) -> Mapping:
    """One mapping; where it has neither a line nor a table the values stay, and have no unit."""
    code = next(iter(get.items(item, "MeasurementUnitsCodeSequence")), Dataset())
    unit = get.text(code, "CodeValue")
    name = get.text(item, "LUTExplanation") or get.text(item, "LUTLabel") or otherwise
    slope, intercept = (get.number(item, f"RealWorldValue{k}") for k in ("Slope", "Intercept"))
    limited = "DoubleFloatRealWorldValue" if pixels.floating else "RealWorldValue"
    first, last = (get.number(item, f"{limited}{end}ValueMapped") for end in ("First", "Last"))
    table = () if pixels.floating else get.numbers(item, "RealWorldValueLUTData")
    if slope is None and intercept is None and not table:
        return Mapping(name, "")
    if table and (first is None or last is None or last - first + 1 != len(table)):
        raise SeriesError("The parametric map's table of values does not fit its stored values.")
    slope = 1.0 if slope is None else slope
    return Mapping(name, "" if unit in _NO_UNIT else unit, slope, intercept or 0.0, first, last, table)


def maps(parametric: ParametricMap, series: Series, limits: Limits) -> tuple[LoadedMap, ...]:
    """The quantities of a parametric map as maps of a series; where the file has no number it is NaN.

    Raises `SeriesError` where the planes cannot be placed or decoded.
    """
    places, matrix = place(parametric, series, _WHAT)
    # One quantity may be scaled by each frame in its own way; it is its name and unit that are one.
    quantities = list(dict.fromkeys((m.name, m.unit) for m in parametric.mappings))
    dtype = np.dtype(np.float64 if parametric.pixels.dtype.itemsize == 8 else np.float32)
    shape = shape_of(parametric, places, len(quantities) * dtype.itemsize, limits, _WHAT)
    _single(parametric, places)
    values = {quantity: np.full(shape, np.nan, dtype) for quantity in quantities}
    for frame, number in places.items():
        mapping = parametric.mappings[frame]
        values[mapping.name, mapping.unit][number] = _numbers(parametric, frame, limits)
    provenance = f"DICOM parametric map {parametric.sop_uid}"
    return tuple(
        LoadedMap(cells, matrix, unit, series, name, provenance) for (name, unit), cells in values.items()
    )


def _single(parametric: ParametricMap, places: dict[int, int]) -> None:
    """Refuse two numbers of one quantity at one place, of which nothing says which is meant."""
    there = {(parametric.mappings[f].name, parametric.mappings[f].unit, n) for f, n in places.items()}
    if len(there) < len(places):
        raise SeriesError(
            f"The parametric map {parametric.path.name} holds several numbers of one name at one place."
        )


def _numbers(parametric: ParametricMap, frame: int, limits: Limits) -> Array:
    """The numbers of one frame, (rows, columns)."""
    try:
        stored = read_frame(parametric.pixels, frame, limits)
    except DecodingError as error:
        raise SeriesError(f"The parametric map {parametric.path.name} cannot be decoded.") from error
    mapping, values = parametric.mappings[frame], stored.astype(np.float64)
    meant = np.isfinite(values)
    if mapping.first is not None and mapping.last is not None:
        meant &= (values >= mapping.first) & (values <= mapping.last)
    if mapping.table and mapping.first is not None:
        index = np.where(meant, values - mapping.first, 0).astype(np.int64)
        values = np.asarray(mapping.table)[index]
    with np.errstate(all="ignore"):  # a number too large for its type is none
        if not mapping.table:
            values = values * mapping.slope + mapping.intercept
        values = values if parametric.pixels.dtype.itemsize == 8 else values.astype(np.float32)
    return np.where(meant & np.isfinite(values), values, np.nan)
