# SPDX-License-Identifier: Apache-2.0
"""What each frame of a file says: place, values, windows, and what tells it from others at its place."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any, Literal

from viewer.dicom import elements as get
from viewer.dicom.diffusion import b_value, gradient
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Doubt, Frame, Marks
from viewer.dicom.faults import note
from viewer.dicom.further import quantity_of
from viewer.errors import SeriesError
from viewer.types import Window

_FUNCTIONS: dict[str, Literal["LINEAR_EXACT", "SIGMOID"]] = {
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}
_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XAXRFFrameCharacteristicsSequence",
)
_MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2}(?:\.\d+)?)?")


def frames_of(dataset: Dataset, count: int, stated: int | None = None) -> tuple[Frame, ...]:
    """What each frame says, from its own functional groups, the shared ones, or the file itself.

    Where the header has `stated` another number of frames than there are, as many may be described.
    """
    shared = next(iter(get.items(dataset, "SharedFunctionalGroupsSequence")), _NOTHING)
    per_frame = get.items(dataset, "PerFrameFunctionalGroupsSequence")
    common = _common_marks(dataset)
    if not per_frame and not len(shared):
        return (_frame(_Groups(dataset, _NOTHING, _NOTHING), common),) * count
    if per_frame and len(per_frame) not in (count, stated):
        held = "1 frame" if count == 1 else f"{count} frames"
        raise SeriesError(f"The file holds {held} and describes {len(per_frame)}.")
    owns = [*per_frame, *[_NOTHING] * (count - len(per_frame))][:count]
    groups = [_Groups(dataset, shared, own) for own in owns]
    return tuple(_frame(part, _marks(part.group, common)) for part in groups)


_NOTHING = Dataset()


class _Groups:
    """The functional groups of one frame: its own, else the shared ones, else the file itself."""

    def __init__(self, dataset: Dataset, shared: Dataset, own: Dataset) -> None:
        self._dataset, self._shared, self._own = dataset, shared, own

    def __call__(self, sequence: str) -> Dataset:
        found = self.group(sequence)
        return self._dataset if found is _NOTHING else found

    def group(self, sequence: str) -> Dataset:
        """A functional group, empty where the frame has none."""
        found = get.items(self._own, sequence) or get.items(self._shared, sequence)
        return found[0] if found else _NOTHING


def _frame(part: _Groups, marks: Marks) -> Frame:
    measures = part("PixelMeasuresSequence")
    values = part("PixelValueTransformationSequence")
    slope, intercept = get.number(values, "RescaleSlope"), get.number(values, "RescaleIntercept")
    rescale, doubt = ((slope, intercept), "") if slope and intercept is not None else _rescale(values)
    if rescale is not None and max(map(abs, rescale)) > 1e12:
        raise SeriesError("The file's rescale values are too large to mean anything.")
    return Frame(
        position=get.vector(part("PlanePositionSequence"), "ImagePositionPatient"),
        orientation=get.cosines(part("PlaneOrientationSequence")),
        spacing=get.spacing(measures, "PixelSpacing"),
        thickness=get.number(measures, "SliceThickness"),
        rescale=rescale,
        rescale_type=get.text(values, "RescaleType"),
        windows=_windows(part("FrameVOILUTSequence"), rescale is not None and abs(rescale[0]) < 1),
        doubt=doubt,
        stack=get.text(part("FrameContentSequence"), "StackID"),
        marks=marks,
    )


def _rescale(values: Dataset) -> tuple[tuple[float, float] | None, Doubt]:
    """What of a rescale that is absent or not whole can be applied, and what is in doubt, which is noted."""
    slope, intercept = get.number(values, "RescaleSlope"), get.number(values, "RescaleIntercept")
    empty = {k: get.empty(values, k) for k in ("RescaleSlope", "RescaleIntercept")}
    malformed = [k for k, v in (("RescaleSlope", slope), ("RescaleIntercept", intercept)) if v is None]
    malformed = [k for k in malformed if empty[k] is False]
    if slope == 0:
        note("rescale", "Rescale Slope is 0, which would make one value of all: it is not used.")
    if slope == 0 or malformed:
        note("no rescale", _STORED)
        return None, "values"
    for keyword, there in empty.items():
        if there is True:
            note(f"{keyword} empty", f"{get.name_of(keyword)} is empty.")
    if slope is None and intercept is None:
        return None, "unit" if True in empty.values() else ""
    if slope is None:
        said = f"Rescale Intercept is {intercept:g} and there is no slope: 1 is taken"
    else:
        said = f"Rescale Slope is {slope:g} and there is no intercept: 0 is taken"
    note("half a rescale", f"{said}, and the unit is not known.")
    return (1.0 if slope is None else slope, intercept or 0.0), "unit"


_STORED = "Without a sound rescale values are shown as stored, without a unit and the file's window."


def _common_marks(dataset: Dataset) -> Marks:
    """What a file says of all its frames outside of functional groups."""
    in_mr = get.text(dataset, "Modality") == "MR"
    b = b_value(dataset) if in_mr else None
    return Marks(
        image_type=tuple(v.upper() for v in get.texts(dataset, "ImageType")),
        echo_number=get.integer(dataset, "EchoNumbers") if in_mr else None,
        echo_time=get.number(dataset, "EchoTime") if in_mr else None,
        inversion_time=get.number(dataset, "InversionTime") if in_mr else None,
        flip_angle=get.number(dataset, "FlipAngle") if in_mr else None,
        tube_voltage=None if in_mr else get.number(dataset, "KVP"),
        kernel="" if in_mr else get.text(dataset, "ConvolutionKernel"),
        b_value=b,
        gradient=gradient(dataset) if b else None,
        temporal_position=get.integer(dataset, "TemporalPositionIdentifier"),
        trigger_time=get.number(dataset, "TriggerTime"),
        acquisition=get.integer(dataset, "AcquisitionNumber"),
        acquired=_acquired(dataset),
    )


def _marks(group: Callable[[str], Dataset], common: Marks) -> Marks:
    """The marks of one frame: of its functional groups, else those of the file."""
    content, diffusion = group("FrameContentSequence"), group("MRDiffusionSequence")
    found: dict[str, Any] = {
        "image_type": _frame_type(group),
        "echo_time": get.number(group("MREchoSequence"), "EffectiveEchoTime"),
        "inversion_time": get.number(group("MRModifierSequence"), "InversionTimes"),
        "flip_angle": get.number(group("MRTimingAndRelatedParametersSequence"), "FlipAngle"),
        "tube_voltage": get.number(group("CTXRayDetailsSequence"), "KVP"),
        "kernel": get.text(group("CTReconstructionSequence"), "ConvolutionKernel"),
        "b_value": b_value(diffusion, private=False),
        "gradient": gradient(diffusion, private=False),
        "temporal_position": get.integer(content, "TemporalPositionIndex"),
        "trigger_time": get.number(group("CardiacSynchronizationSequence"), "NominalCardiacTriggerDelayTime"),
        "acquisition": get.integer(content, "FrameAcquisitionNumber"),
        "acquired": moment(get.text(content, "FrameAcquisitionDateTime")),
        "quantity": quantity_of(group("RealWorldValueMappingSequence")),
        "index": tuple(int(n) for n in get.numbers(content, "DimensionIndexValues")),
    }
    told = {name: value for name, value in found.items() if value not in (None, "", ())}
    return replace(common, **told) if told else common


def _frame_type(group: Callable[[str], Dataset]) -> tuple[str, ...]:
    """Frame Type with the complex component last, () where the frame has none."""
    for sequence in _FRAME_TYPES:
        found = get.texts(group(sequence), "FrameType")
        if found:
            component = get.text(group(sequence), "ComplexImageComponent")
            return (*(v.upper() for v in found), *([component.upper()] if component else []))
    return ()


def _acquired(dataset: Dataset) -> float | None:
    """When a file was acquired, in seconds: of its date and time, or of its time of the day."""
    stated = get.text(dataset, "AcquisitionDateTime")
    if not stated:
        day = get.text(dataset, "AcquisitionDate") or "00010101"
        stated = day + get.text(dataset, "AcquisitionTime").replace(":", "")
    return moment(stated)


def moment(stated: str) -> float | None:
    """Seconds since the beginning of the calendar of a DICOM date and time; None if it is not one."""
    found = _MOMENT.match(stated)
    if found is None:
        return None
    year, month, day, hour, minute = (int(n) for n in found.groups()[:5])
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    return ((days * 24 + hour) * 60 + minute) * 60 + float(found[6] or 0)


def _windows(dataset: Dataset, fractions: bool) -> tuple[Window, ...]:
    """All windows of a VOI module (PS3.3 C.11.2) on values that may be fractions.

    Those that cannot be applied are left out.
    """
    centers, widths = get.numbers(dataset, "WindowCenter"), get.numbers(dataset, "WindowWidth")
    if not centers or not widths:
        return ()
    names = get.texts(dataset, "WindowCenterWidthExplanation")
    return _applicable(centers, widths, names, get.text(dataset, "VOILUTFunction").upper(), fractions)


@lru_cache(1024)
def _applicable(
    centers: tuple[float, ...],
    widths: tuple[float, ...],
    names: tuple[str, ...],
    stated: str,
    fractions: bool,
) -> tuple[Window, ...]:
    """The windows that can be applied; the same objects for the files of a series that repeat them."""
    result = []
    for number, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if width <= 0:
            continue
        function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = _FUNCTIONS.get(stated, "LINEAR")
        if function == "LINEAR" and width < (2 if fractions else 1):
            # LINEAR counts whole steps. It has no meaning below 1, and of fractions little is left of a width
            # just above it; scaled maps write it all the same.
            function = "LINEAR_EXACT"
        result.append(Window(center, width, names[number] if number < len(names) else "", function))
    return tuple(result)
