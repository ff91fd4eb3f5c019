"""A study as one JSON document."""

from typing import Any

from viewer.dicom.scan import Study
from viewer.types import Series


def listing(study: Study) -> dict[str, Any]:
    """`{"series": […], "other": […], "refused": […]}`; every file is counted once.

    Nothing in a series depends on the names of its files.
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
        "rows": rows,
        "columns": columns,
        "slices": slices,
        "frames_in_time": series.frames_in_time,
        "spacing": _rounded(geometry.spacing),
        "spacing_kind": geometry.spacing_kind,
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
        "warnings": list(series.warnings),
    }


def _rounded(numbers: tuple[float | None, ...] | None) -> list[float | None] | None:
    """Six decimals of a millimetre: below that is the rounding of the file, not a fact."""
    return None if numbers is None else [None if n is None else round(n, 6) + 0.0 for n in numbers]
