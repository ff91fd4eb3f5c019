"""What each frame of a file says: place, values, windows, and what tells it from others at its place."""

import re
from datetime import date
from typing import Literal, TypeVar

from viewer.dicom import elements as get
from viewer.dicom.diffusion import b_value, gradient
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Frame, Marks
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
_Number = TypeVar("_Number", int, float)
_MOMENT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2}(?:\.\d+)?)?")


def frames_of(dataset: Dataset, count: int) -> tuple[Frame, ...]:
    """What each frame says, from its own functional groups, the shared ones, or the file itself."""
    shared = next(iter(get.items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    per_frame = get.items(dataset, "PerFrameFunctionalGroupsSequence")
    if not per_frame and not len(shared):
        return (_frame(dataset, Dataset(), Dataset()),) * count
    if per_frame and len(per_frame) != count:
        raise SeriesError(f"The file says {count} frames and describes {len(per_frame)}.")
    return tuple(_frame(dataset, shared, own) for own in per_frame or [Dataset()] * count)


class _Groups:
    """The functional groups of one frame: its own, else the shared ones, else the file itself."""

    def __init__(self, dataset: Dataset, shared: Dataset, own: Dataset) -> None:
        self.dataset, self._shared, self._own = dataset, shared, own

    def __call__(self, sequence: str) -> Dataset:
        found = get.items(self._own, sequence) or get.items(self._shared, sequence)
        return found[0] if found else self.dataset


def _frame(dataset: Dataset, shared: Dataset, own: Dataset) -> Frame:
    part = _Groups(dataset, shared, own)
    measures = part("PixelMeasuresSequence")
    values = part("PixelValueTransformationSequence")
    slope, intercept = (get.number(values, k) for k in ("RescaleSlope", "RescaleIntercept"))
    rescale = None if slope is None and intercept is None else (slope or 1.0, intercept or 0.0)
    if rescale is not None and max(map(abs, rescale)) > 1e12:
        raise SeriesError("The file's rescale values are too large to mean anything.")
    return Frame(
        position=get.vector(part("PlanePositionSequence"), "ImagePositionPatient"),
        orientation=get.cosines(part("PlaneOrientationSequence")),
        spacing=get.spacing(measures, "PixelSpacing"),
        thickness=get.number(measures, "SliceThickness"),
        rescale=rescale,
        rescale_type=get.text(values, "RescaleType"),
        windows=_windows(part("FrameVOILUTSequence")),
        stack=get.text(part("FrameContentSequence"), "StackID"),
        marks=_marks(part),
    )


def _marks(part: _Groups) -> Marks:
    dataset, content = part.dataset, part("FrameContentSequence")
    echo, heart = part("MREchoSequence"), part("CardiacSynchronizationSequence")
    modifier, timing = part("MRModifierSequence"), part("MRTimingAndRelatedParametersSequence")
    in_mr = get.text(dataset, "Modality") == "MR"
    diffusion = part("MRDiffusionSequence")
    b = b_value(dataset, diffusion) if in_mr else None
    return Marks(
        image_type=_image_type(part),
        echo_number=get.integer(dataset, "EchoNumbers"),
        echo_time=_first(get.number(echo, "EffectiveEchoTime"), get.number(dataset, "EchoTime")),
        inversion_time=_first(get.number(modifier, "InversionTimes"), get.number(dataset, "InversionTime")),
        flip_angle=get.number(timing, "FlipAngle"),
        tube_voltage=get.number(part("CTXRayDetailsSequence"), "KVP"),
        kernel=get.text(part("CTReconstructionSequence"), "ConvolutionKernel"),
        b_value=b,
        gradient=gradient(dataset, diffusion) if b else None,
        temporal_position=_first(
            get.integer(content, "TemporalPositionIndex"), get.integer(dataset, "TemporalPositionIdentifier")
        ),
        trigger_time=_first(
            get.number(heart, "NominalCardiacTriggerDelayTime"), get.number(dataset, "TriggerTime")
        ),
        acquisition=_first(
            get.integer(content, "FrameAcquisitionNumber"), get.integer(dataset, "AcquisitionNumber")
        ),
        acquired=_acquired(dataset, content),
        index=tuple(int(n) for n in get.numbers(content, "DimensionIndexValues")),
    )


def _first(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one


def _image_type(part: _Groups) -> tuple[str, ...]:
    for sequence in _FRAME_TYPES:
        group = part(sequence)
        found = get.texts(group, "FrameType")
        if found:
            component = get.text(group, "ComplexImageComponent")
            return (*(v.upper() for v in found), *([component.upper()] if component else []))
    return tuple(v.upper() for v in get.texts(part.dataset, "ImageType"))


def _acquired(dataset: Dataset, content: Dataset) -> float | None:
    """When a frame was acquired, in seconds: of its date and time, or of its time of the day."""
    stated = get.text(content, "FrameAcquisitionDateTime") or get.text(dataset, "AcquisitionDateTime")
    if not stated:
        day = get.text(dataset, "AcquisitionDate") or "00010101"
        stated = day + get.text(dataset, "AcquisitionTime").replace(":", "")
    found = _MOMENT.match(stated)
    if found is None:
        return None
    year, month, day_of_month, hour, minute = (int(n) for n in found.groups()[:5])
    try:
        days = date(year, month, day_of_month).toordinal()
    except ValueError:
        return None
    return ((days * 24 + hour) * 60 + minute) * 60 + float(found[6] or 0)


def _windows(dataset: Dataset) -> tuple[Window, ...]:
    """All windows of a VOI module (PS3.3 C.11.2); those that cannot be applied are left out."""
    pairs = zip(get.numbers(dataset, "WindowCenter"), get.numbers(dataset, "WindowWidth"), strict=False)
    names = get.texts(dataset, "WindowCenterWidthExplanation")
    stated = get.text(dataset, "VOILUTFunction").upper()
    result = []
    for number, (center, width) in enumerate(pairs):
        if width <= 0:
            continue
        function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = _FUNCTIONS.get(stated, "LINEAR")
        if function == "LINEAR" and width < 1:
            function = "LINEAR_EXACT"  # LINEAR has no meaning below 1; scaled maps write it all the same
        result.append(Window(center, width, names[number] if number < len(names) else "", function))
    return tuple(result)
