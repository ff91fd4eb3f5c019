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

CT = "1.2.840.10008.5.1.4.1.1.2"
Make = Callable[..., Path]


def write(path: Path, pixels: np.ndarray | None = None, drop: tuple[str, ...] = (), **tags: Any) -> Path:
    """A CT slice at `path`; keywords replace or add elements, `drop` leaves some out."""
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
    if "PixelData" not in drop:
        compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
        stored = encapsulate([values.tobytes()]) if compressed else values.tobytes()
        dataset.PixelData = tags.get("PixelData", stored)
        dataset["PixelData"].VR = "OW" if values.dtype.itemsize > 1 and not compressed else "OB"
        dataset["PixelData"].is_undefined_length = compressed
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def shuffled(folder: Path, target: Path, seed: int = 0) -> Path:
    """A copy of a folder's files under names that say nothing, in an order that says nothing."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    random.Random(seed).shuffle(files)
    target.mkdir()
    for number, path in enumerate(files):
        shutil.copy(path, target / f"{number:05d}")
    return target
