# SPDX-License-Identifier: Apache-2.0
"""Small DICOM files made on the spot."""

import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
YOUNGER = {DEFLATED_FRAMES: "1.2.840.10008.1.2.4.50"} | dict.fromkeys(
    (f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112)), "1.2.840.10008.1.2.4.100"
)
"""Transfer syntaxes that are younger than pydicom's list, and another of that length which is not."""
CT = "1.2.840.10008.5.1.4.1.1.2"
Make = Callable[..., Path]


Private = tuple[int, str, int, str, Any]


def write(
    path: Path,
    pixels: np.ndarray | None = None,
    drop: tuple[str, ...] = (),
    private: tuple[Private, ...] = (),
    **tags: Any,
) -> Path:
    """A CT slice at `path`; keywords replace or add elements, `drop` leaves some out.

    `private` elements are (group, creator, number in the block, VR, value); without a creator the number
    is that of block 0x10.
    """
    values = np.arange(24, dtype=np.int16).reshape(4, 6) if pixels is None else pixels
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian))
    facts: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"1.2.3.{zlib.crc32(path.name.encode())}",
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "Modality": "CT",
        "Rows": values.shape[-2] if values.ndim < 4 else values.shape[-3],
        "Columns": values.shape[-1] if values.ndim < 4 else values.shape[-2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * values.dtype.itemsize,
        "BitsStored": 8 * values.dtype.itemsize,
        "HighBit": 8 * values.dtype.itemsize - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "PixelSpacing": [0.5, 0.25],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
        "SliceThickness": 2,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "WindowCenter": 40,
        "WindowWidth": 400,
    } | tags
    for keyword, value in facts.items():
        if keyword not in drop:
            setattr(dataset, keyword, value)
    for group, creator, number, vr, value in private:
        if creator:
            dataset.private_block(group, creator, create=True).add_new(number, vr, value)
        else:
            dataset.add_new(group << 16 | 0x1000 | number, vr, value)
    if "PixelData" not in drop:
        compressed = dataset.file_meta.TransferSyntaxUID not in NATIVE
        stored = encapsulate([values.tobytes()]) if compressed else values.tobytes()
        dataset.PixelData = tags.get("PixelData", stored)
        dataset["PixelData"].VR = "OW" if values.dtype.itemsize > 1 and not compressed else "OB"
        dataset["PixelData"].is_undefined_length = compressed
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(dataset, path)


def save(dataset: Dataset, path: Path) -> Path:
    """Write a data set; a syntax that is younger than pydicom's list under another's name of that length."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    known = YOUNGER.get(syntax)
    if known is not None:
        dataset.file_meta.TransferSyntaxUID = UID(known)
    dataset.save_as(path, enforce_file_format=True)
    if known is not None:
        old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (known, syntax))
        path.write_bytes(path.read_bytes().replace(old, new, 1))
    return path


def deflated(data: bytes) -> bytes:
    """As each frame of the youngest syntax is stored: raw, and of even length (PS3.5 8.2.16)."""
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packing.compress(data) + packing.flush()
    return packed + b"\0" * (len(packed) % 2)


def sequence(**tags: Any) -> list[Dataset]:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return [item]


def frame(
    position: tuple[float, float, float] | None,
    stack: str = "1",
    time: int | None = None,
    b: float | None = None,
    index: tuple[int, ...] = (),
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    window: tuple[float, float] | None = None,
    rescale: tuple[float, float] | None = None,
    echo: float | None = None,
) -> Dataset:
    """The functional groups of one frame of an enhanced MR (PS3.3 C.7.6.16)."""
    content: dict[str, Any] = {"StackID": stack}
    if time is not None:
        content["TemporalPositionIndex"] = time
    if index:
        content["DimensionIndexValues"] = list(index)
    groups: dict[str, list[Dataset]] = {"FrameContentSequence": sequence(**content)}
    if position is not None:
        groups["PlanePositionSequence"] = sequence(ImagePositionPatient=list(position))
        groups["PlaneOrientationSequence"] = sequence(ImageOrientationPatient=list(orientation))
    if b is not None:
        groups["MRDiffusionSequence"] = sequence(DiffusionBValue=b)
    if echo is not None:
        groups["MREchoSequence"] = sequence(EffectiveEchoTime=echo)
    if window is not None:
        groups["FrameVOILUTSequence"] = sequence(WindowCenter=window[0], WindowWidth=window[1])
    if rescale is not None:
        groups["PixelValueTransformationSequence"] = sequence(
            RescaleSlope=rescale[0], RescaleIntercept=rescale[1], RescaleType="US"
        )
    (item,) = sequence(**groups)
    return item


def write_enhanced(path: Path, frames: list[Dataset], **tags: Any) -> Path:
    """An enhanced MR whose frame k, from 1, holds the value k in all its pixels."""
    pixels = np.repeat(np.arange(1, len(frames) + 1, dtype=np.int16), 24).reshape(len(frames), 4, 6)
    shared = sequence(PixelMeasuresSequence=sequence(PixelSpacing=[0.5, 0.25], SliceThickness=2))
    facts: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1",
        "Modality": "MR",
        "NumberOfFrames": len(frames),
        "SharedFunctionalGroupsSequence": shared,
        "PerFrameFunctionalGroupsSequence": frames,
    } | tags
    outside = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    rest = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
    return write(path, pixels, drop=outside + rest, **facts)


def shuffled(folder: Path, target: Path, seed: int = 0) -> Path:
    """A copy of a folder's files under names that say nothing, in an order that says nothing."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    random.Random(seed).shuffle(files)
    target.mkdir()
    for number, path in enumerate(files):
        shutil.copy(path, target / f"{number:05d}")
    return target
