# SPDX-License-Identifier: Apache-2.0
"""An oblique stack whose place is known, for what lies on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_files import write

SLICES, ROWS, COLUMNS = 6, 10, 12
ROW, COLUMN = np.array([0.6, 0.8, 0.0]), np.array([-0.48, 0.36, 0.8])
NORMAL = np.cross(ROW, COLUMN)
ORIGIN, STEP, PIXEL = np.array([-30.0, 12.0, 55.0]), 2.5, (0.8, 0.5)
COMMON: dict[str, Any] = {
    "FrameOfReferenceUID": "1.2.9", "PatientBirthDate": "", "PatientSex": "O", "StudyDate": "20200101",
    "StudyTime": "000000", "AccessionNumber": "", "StudyID": "1", "ReferringPhysicianName": "",
    "PixelSpacing": list(PIXEL), "ImageOrientationPatient": [*ROW, *COLUMN],
}  # fmt: skip


def stack(folder: Path, **tags: Any) -> list[pydicom.Dataset]:
    """An oblique stack; its slices are written from the last to the first."""
    for i in reversed(range(SLICES)):
        write(
            folder / f"{i}.dcm", np.full((ROWS, COLUMNS), i, np.int16), InstanceNumber=i + 1,
            ImagePositionPatient=[float(f"{v:.4f}") for v in ORIGIN + i * STEP * NORMAL],
            SOPInstanceUID=f"1.2.3.{i}", **COMMON | tags,
        )  # fmt: skip
    return [pydicom.dcmread(folder / f"{i}.dcm") for i in range(SLICES)]
