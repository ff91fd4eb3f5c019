# SPDX-License-Identifier: Apache-2.0
"""The facts of one DICOM file, and the kinds of healthy DICOM files that are not images for us."""

import functools
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from viewer.dicom import elements as get
from viewer.dicom import faults
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import LOSSY, PERHAPS_LOSSY, Cosines, Frame, Image, Pixels, Vector
from viewer.dicom.frames import frames_of
from viewer.dicom.header import BIG_ENDIAN, Header, NotAnImage
from viewer.dicom.mosaics import cut, tiles_in
from viewer.dicom.nuclear import reconstructed
from viewer.dicom.parametric import PARAMETRIC_MAP, ParametricMap, parametric_of
from viewer.dicom.pixel_data import pixels_of
from viewer.dicom.segmentation import SEGMENTATIONS, Segmentation, segmentation_of
from viewer.dicom.spacing import magnification, pixel_aspect, region_spacing, regions
from viewer.dicom.suv import pets_of
from viewer.dicom.tables import modality_table, voi_table, with_palette
from viewer.settings import Limits
from viewer.types import Identity

_OTHER_KINDS = (  # the beginning of a SOP class UID, and what such an object is
    ("1.2.840.10008.1.3.10", "a DICOMDIR; its folder was read instead"),
    ("1.2.840.10008.5.1.4.1.1.66.5", "a surface segmentation, not an image series"),
    ("1.2.840.10008.5.1.4.1.1.66", "a registration or raw data, not an image series"),
    ("1.2.840.10008.5.1.4.1.1.481.", "a radiotherapy object, not an image series"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "a key object selection, not an image"),
    ("1.2.840.10008.5.1.4.1.1.88.", "a structured report, not an image"),
    ("1.2.840.10008.5.1.4.1.1.9.", "a waveform, not an image"),
    ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state, not an image"),
    ("1.2.840.10008.5.1.4.1.1.104.", "an embedded document, not an image"),
    ("1.2.840.10008.5.1.4.1.1.77.1.6", "a whole-slide image, which is not opened"),
    ("1.2.840.10008.5.1.4.1.1.4.2", "MR spectroscopy, not an image"),
    ("1.2.840.10008.5.1.4.1.1.200.", "an annotation or surface, not an image"),
    ("1.2.840.10008.5.1.4.1.1.67", "a real-world value mapping, not an image"),
    ("1.2.840.10008.5.1.4.1.1.68.", "a surface scan, not an image"),
)
_VIEWS = {
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
}
_TIME_POINTERS = frozenset({0x00181063, 0x00181065})  # Frame Time, Frame Time Vector
_SLOWEST, _FASTEST = 0.1, 240.0
"""Frames a second that a run may be meant to be played at; other numbers mean nothing."""
_PER_FRAME = "PerFrameFunctionalGroupsSequence"
_CINE = frozenset({"US", "IVUS", "XA", "RF", "ES"})
_WHOSE = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate")
_RUNS = frozenset({"XA", "RF"})
"""Modalities whose enhanced frames follow each other in time; those of an enhanced US may be a volume."""


def object_of(
    header: Header, limits: Limits, fingerprint: bytes = b""
) -> Image | Segmentation | ParametricMap:
    """The facts of one file; raises `NotAnImage` or `SeriesError` with one sentence."""
    dataset, pixel_data = header.dataset, header.pixel_data
    faults.forget()
    sop_class = get.text(dataset, "SOPClassUID") or get.text(header.meta, "MediaStorageSOPClassUID")
    if sop_class in SEGMENTATIONS:
        return segmentation_of(dataset, pixels_of(header, limits, exact=True))
    if sop_class == PARAMETRIC_MAP:
        return parametric_of(dataset, pixels_of(header, limits, exact=True))
    _refuse_other_kinds(dataset, sop_class)
    if pixel_data is not None and pixel_data.tag != 0x7FE00010:
        raise NotAnImage("This holds decimal values for computation (float pixel data), not an image.")
    return _image(header, pixels_of(header, limits), sop_class, fingerprint)


def _refuse_other_kinds(dataset: Dataset, sop_class: str) -> None:
    """Raise `NotAnImage` for what a SOP class, or the lack of rows, says is none."""
    kind = _other_kind(sop_class)
    if kind is not None:
        raise NotAnImage(f"This is {kind}.")
    if not get.numbers(dataset, "Rows") and get.value(dataset, "Rows") is None:
        name = get.uid_name(sop_class) or ""
        if "Image Storage" not in name:
            raise NotAnImage(f"This is a DICOM file without an image{f' ({name})' if name else ''}.")


@functools.lru_cache(64)
def _other_kind(sop_class: str) -> str | None:
    return next((kind for beginning, kind in _OTHER_KINDS if sop_class.startswith(beginning)), None)


def _image(header: Header, pixels: Pixels, sop_class: str, fingerprint: bytes) -> Image:
    dataset = header.dataset
    if pixels.photometric == "PALETTE COLOR":
        pixels = with_palette(dataset, pixels, pixels.syntax != BIG_ENDIAN)
    sides = get.texts(dataset, "PatientOrientation")
    places = reconstructed(dataset, pixels.frames)
    frames = _stacked(frames_of(dataset, pixels.frames, pixels.stated_frames), places)
    modality = get.text(dataset, "Modality")
    mosaic = tiles_in(dataset, frames[0].marks.image_type) if modality == "MR" else None
    tiles = None if mosaic is None else cut(dataset, pixels, frames[0], mosaic)
    if tiles is not None:
        (pixels, frames), mosaic = tiles, None
    elif mosaic is not None:
        frames, sides = _unplaced(frames), ()
    if pixels.resized:
        frames = tuple(replace(frame, spacing=None) for frame in frames)
    return Image(
        pixels=pixels,
        fingerprint=fingerprint,
        frames=frames,
        sop_class=sop_class,
        sop_uid=get.text(dataset, "SOPInstanceUID") or get.text(header.meta, "MediaStorageSOPInstanceUID"),
        patient_orientation=(sides[0], sides[1]) if len(sides) == 2 and all(sides) else None,
        in_time=_in_time(dataset, pixels),
        enhanced=places is not None or tiles is not None or bool(get.items(dataset, _PER_FRAME)),
        rate=_rate(dataset) if pixels.frames > 1 else None,
        mosaic=mosaic,
        pet=pets_of(dataset, sop_class, pixels.frames) if modality == "PT" else (),
        device=get.text(dataset, "ManufacturerModelName")
        if not frames[0].rescale_type and modality == "CT"
        else "",
        modality=modality or "OT",
        **_named(dataset),
        **_measured(dataset, pixels),
        **_meant(dataset, pixels),  # the last, with all that was noted
    )


def _named(dataset: Dataset) -> dict[str, Any]:
    """What an image says of itself: whose it is, of what, and where it belongs."""
    return {
        "series_uid": get.text(dataset, "SeriesInstanceUID"),
        "study_uid": get.text(dataset, "StudyInstanceUID"),
        "identity": _identity(*(get.text(dataset, keyword) for keyword in _WHOSE)),
        "instance": get.integer(dataset, "InstanceNumber"),
        "series_number": get.integer(dataset, "SeriesNumber"),
        "description": get.text(dataset, "SeriesDescription"),
        "body_part": get.text(dataset, "BodyPartExamined"),
        "view": get.text(dataset, "ViewPosition") or _view(dataset),
        "laterality": get.text(dataset, "ImageLaterality") or get.text(dataset, "Laterality"),
        "burned_in": get.text(dataset, "BurnedInAnnotation").upper() == "YES",
    }


_identity = functools.lru_cache(256)(Identity)
"""One object for all images of a patient's study."""


def _measured(dataset: Dataset, pixels: Pixels) -> dict[str, Any]:
    """What an image says of its place and its lengths, besides what its frames say."""
    if pixels.resized:
        return {"frame_of_reference": get.text(dataset, "FrameOfReferenceUID") or None}
    detector = get.spacing(dataset, "ImagerPixelSpacing")
    return {
        "frame_of_reference": get.text(dataset, "FrameOfReferenceUID") or None,
        "imager_spacing": detector or get.spacing(dataset, "NominalScannedPixelSpacing"),
        "magnification": magnification(dataset),
        "region_spacing": region_spacing(dataset, pixels.rows, pixels.columns),
        "regions": regions(dataset, pixels.rows, pixels.columns),
        "pixel_aspect": pixel_aspect(dataset),
        "calibrated": bool(get.text(dataset, "PixelSpacingCalibrationType")),
        "bad_orientation": get.cosines(dataset) is None
        and bool(get.numbers(dataset, "ImageOrientationPatient")),
    }


def _meant(dataset: Dataset, pixels: Pixels) -> dict[str, Any]:
    """What an image says of its stored values."""
    little = pixels.syntax != BIG_ENDIAN
    voi = voi_table(dataset, little, pixels)
    modality = modality_table(dataset, little, pixels)
    return {
        "units": get.text(dataset, "Units"),
        "lossy": _lossy(dataset, pixels),
        "padding": _padding(dataset, pixels),
        "lut": modality.lut,
        "lut_type": modality.words,
        "unsound_lut": modality.lut is None and bool(modality.notes),
        "voi_lut": voi.lut,
        "voi_lut_name": voi.words,
        "notes": (*pixels.notes, *modality.notes, *voi.notes, *faults.noted()),
    }


def _view(dataset: Dataset) -> str:
    """The view as mammograms must code it (PS3.16 CID 4014): its usual letters, or what the code means."""
    coded = next(iter(get.items(dataset, "ViewCodeSequence")), None)
    if coded is None:
        return ""
    return _VIEWS.get(get.text(coded, "CodeValue")) or get.text(coded, "CodeMeaning")


def _lossy(dataset: Dataset, pixels: Pixels) -> bool | None:
    """Whether the image lost something to compression, at any time in its history (PS3.3 C.7.6.1.1.5)."""
    stated = get.text(dataset, "LossyImageCompression")
    if pixels.syntax in LOSSY or stated == "01":
        return True
    return None if pixels.syntax in PERHAPS_LOSSY and stated != "00" else False


def _padding(dataset: Dataset, pixels: Pixels) -> tuple[float, float] | None:
    """Lowest and highest stored value that stand for "no data" (PS3.3 C.7.5.1.1.2)."""
    ends = [get.number(dataset, k) for k in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or pixels.colour:
        return None
    first, last = ends[0], ends[0] if ends[1] is None else ends[1]
    if pixels.signed:  # some files give a signed value as the unsigned number of the same bits
        half = float(1 << (pixels.allocated - 1))
        first, last = (v - 2 * half if v >= half else v for v in (first, last))
    return min(first, last), max(first, last)


def _stacked(
    frames: tuple[Frame, ...], places: tuple[Cosines, tuple[Vector, ...]] | None
) -> tuple[Frame, ...]:
    """Frames at the places that the file gives them together, if it does."""
    if places is None:
        return frames
    orientation, positions = places
    return tuple(
        replace(frame, orientation=orientation, position=position)
        for frame, position in zip(frames, positions, strict=True)
    )


def _unplaced(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Frames of a mosaic without its position: that of a slice as large as all of them together."""
    return tuple(replace(frame, position=None, orientation=None) for frame in frames)


def _in_time(dataset: Dataset, pixels: Pixels) -> bool:
    """Whether the frames follow each other in time, as the file says or its kind implies."""
    if pixels.frames < 2:
        return False
    if get.items(dataset, _PER_FRAME):
        return get.text(dataset, "Modality") in _RUNS
    pointers = get.numbers(dataset, "FrameIncrementPointer")
    if any(int(p) in _TIME_POINTERS for p in pointers):
        return True
    return not pointers and get.text(dataset, "Modality") in _CINE


def _rate(dataset: Dataset) -> float | None:
    """Frames a second at which a file wants to be played (PS3.3 C.7.6.5), else at which they were made."""
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        found = get.number(dataset, keyword)
        if found and _SLOWEST <= found <= _FASTEST:
            return found
    steps = get.numbers(dataset, "FrameTimeVector")[1:] or get.numbers(dataset, "FrameTime")
    each = sum(steps) / len(steps) if steps else 0.0
    return 1000 / each if each > 0 and _SLOWEST <= 1000 / each <= _FASTEST else None


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def told_by(path: Path) -> str:
    """What tells a file from others: the hash of its content, of its path where it is gone by now."""
    try:
        return content_hash(path)
    except OSError:
        return hashlib.sha256(os.fsencode(path)).hexdigest()
