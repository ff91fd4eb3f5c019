# SPDX-License-Identifier: Apache-2.0
"""Studies whose fourth dimension, maps and segmentations are known, for the tests of the window."""

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from dicom_files import write
from oblique import COMMON, NORMAL, ORIGIN
from pydicom.sr.codedict import codes

N, SLICES, STEP = 48, 6, 4.0
MR = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR", "PixelSpacing": [2.0, 2.0],
    "RescaleIntercept": 0, "WindowCenter": 400, "WindowWidth": 900,
}  # fmt: skip
Kinds = hd.seg.SegmentationTypeValues


def image(slice: int, bright: float) -> np.ndarray:
    """A disc with a spot in it, whose values tell slice and point."""
    y, x = np.mgrid[:N, :N]
    disc = np.where(np.hypot(x - N / 2, y - N / 2) < 0.42 * N, 400 * bright, 0)
    spot = np.where(np.hypot(x - 0.35 * N, y - 0.4 * N) < 0.08 * N + slice / 3, 300, 0)
    return (disc + spot + 10 * slice).astype(np.int16)


def stack(folder: Path, uid: str, bright: float, places: Any = range(SLICES), **tags: Any) -> list[Path]:
    """One point: an oblique stack of MR slices, 4 mm apart."""
    found = []
    for i in places:
        name = f"{uid}-{bright:g}-{i}"
        found.append(
            write(
                folder / f"{name}.dcm", image(i, bright), InstanceNumber=i + 1, SeriesInstanceUID=uid,
                ImagePositionPatient=[float(f"{v:.4f}") for v in ORIGIN + i * STEP * NORMAL],
                **(COMMON | MR | tags),
            )
        )  # fmt: skip
    return found


def diffusion(folder: Path, lacking: int | None = None) -> Path:
    """Three b-values; `lacking` is a slice that the last of them has not."""
    for b, bright in ((0, 2.0), (500, 1.0), (1000, 0.5)):
        places = [i for i in range(SLICES) if b != 1000 or i != lacking]
        stack(folder, "1.2.50", bright, places, DiffusionBValue=float(b), SeriesDescription="DWI ep2d")
    return folder


def times(folder: Path, count: int = 5, slices: int = SLICES) -> Path:
    """A perfusion in so many moments, 80 ms apart."""
    for k in range(count):
        stack(
            folder, "1.2.60", 0.5 + k / 4, range(slices), TemporalPositionIdentifier=k + 1,
            TriggerTime=80.0 * k, SeriesDescription="Heart", SeriesNumber=2,
        )  # fmt: skip
    return folder


def parametric(path: Path, sources: list[Path]) -> Path:
    """Two quantities, of which one has both signs: their values tell the cell."""
    from highdicom.pm import ParametricMap, RealWorldValueMapping

    cells = np.arange(SLICES * N * N, dtype=np.float32).reshape(SLICES, N, N)
    pixels = np.stack([1e-3 + cells * 1e-7, cells / cells.size - 0.5], axis=-1)
    rate = hd.sr.CodedConcept("mm2/s", "UCUM", "square millimetres per second")
    mappings = [
        [RealWorldValueMapping("ADC", "apparent diffusion", rate, (-1e6, 1e6), 1.0, 0.0)],
        [RealWorldValueMapping("change", "relative change", codes.UCUM.NoUnits, (-1e6, 1e6), 1.0, 0.0)],
    ]
    made = ParametricMap(
        [pydicom.dcmread(p) for p in sources], pixels, hd.UID(), 90, hd.UID(), 1, "maker", "model", "1", "1",
        False, mappings, voi_lut_transformations=[hd.VOILUTTransformation(0.5, 1.0)],
    )  # fmt: skip
    made.save_as(path)
    return path


def segmentation(path: Path, sources: list[Path], kind: Any = Kinds.BINARY, count: int = 3) -> Path:
    """So many blocks side by side, of different colours."""
    masks = np.zeros((SLICES, N, N, count), np.uint8)
    for k in range(count):
        masks[1:5, 14:26, 8 + 10 * k : 16 + 10 * k, k] = 1
    colours = [hd.color.CIELabColor.from_rgb(*rgb) for rgb in ((230, 60, 60), (60, 120, 250), (250, 200, 40))]
    segments = [
        hd.seg.SegmentDescription(
            k + 1, f"thing {k + 1}", codes.SCT.Tissue, codes.SCT.Organ,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL, display_color=colours[k % 3],
        )
        for k in range(count)
    ]  # fmt: skip
    pixels = masks if kind != Kinds.FRACTIONAL else masks.astype(np.float32) * 0.7
    made = hd.seg.Segmentation(
        [pydicom.dcmread(p) for p in sources], pixels, kind, segments, hd.UID(), 91, hd.UID(), 1, "maker",
        "model", "1", "1",
    )  # fmt: skip
    made.save_as(path)
    return path
