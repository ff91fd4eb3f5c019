# SPDX-License-Identifier: Apache-2.0
"""A study as one JSON document."""

from typing import Any

from viewer.dicom.scan import Study
from viewer.types import CalibratedRegion, Geometry, Series, SeriesPoint


def listing(study: Study) -> dict[str, Any]:
    """`{"series": […], "other": […], "refused": […]}`; every file is counted once.

    Distances between slices are along their normal; only slanted stacks have a `shift`, in millimetres down
    and across. Nothing in a series depends on the names of its files.
    """
    return {
        "series": [_series(s) for s in study.series],
        "other": [{"path": str(i.path), "reason": i.reason} for i in study.other],
        "refused": [{"path": str(i.path), "reason": i.reason} for i in study.refused],
    }


def _series(series: Series) -> dict[str, Any]:
    geometry = series.geometry
    slices, rows, columns = series.shape
    return {
        "uid": series.uid,
        "modality": series.modality,
        "description": series.description,
        "number": series.number,
        "rows": rows,
        "columns": columns,
        "slices": slices,
        "frames_in_time": series.part.times if series.part else series.frames_in_time,
        "spacing": _rounded(geometry.spacing),
        **({} if geometry.shift is None else {"shift": _rounded(geometry.shift)}),
        "spacing_kind": geometry.spacing_kind,
        **({"regions": [_region(one) for one in geometry.regions]} if geometry.regions else {}),
        "orientation": _rounded(geometry.orientation),
        "origin": _rounded(geometry.origin),
        "patient_orientation": list(geometry.patient_orientation) if geometry.patient_orientation else None,
        "letters": list(letters) if (letters := geometry.letters()) else None,
        "body_part": series.body_part,
        "view": series.view,
        "laterality": series.laterality,
        "syntax": series.syntax,
        "photometric": series.display.photometric,
        "files": series.files,
        "volume": geometry.volume,
        "origins": _origins(geometry),
        "part": _part(series.part),
        "warnings": list(series.warnings),
    }


def _region(region: CalibratedRegion) -> dict[str, Any]:
    """Where a region lies (first row and column, last ones), and what a pixel is, down, across."""
    return {"box": list(region.box), "units": list(region.units), "deltas": list(region.deltas)}


def _origins(geometry: Geometry) -> list[list[float | None]] | None:
    """Position of every slice, where one even step does not lead through them."""
    if geometry.origins is None:
        return None
    return [_rounded(tuple(float(v) for v in place)) or [] for place in geometry.origins]


def _part(part: SeriesPoint | None) -> dict[str, Any] | None:
    """The value alone where one dimension names the part, else one for each."""
    if part is None:
        return None
    value = part.value[0] if len(part.value) == 1 else list(part.value)
    return {
        "of": part.of,
        "by": part.by,
        "value": value,
        "index": part.index,
        "count": part.count,
        "name": part.words,
    }


def _rounded(numbers: tuple[float | None, ...] | None) -> list[float | None] | None:
    """Six decimals of a millimetre: below that is the rounding of the file, not a fact."""
    return None if numbers is None else [None if n is None else round(n, 6) + 0.0 for n in numbers]
