# SPDX-License-Identifier: Apache-2.0
"""Every field of the JSON document of a study, of a stack and of a picture that knows next to nothing."""

from pathlib import Path

import numpy as np
from PIL import Image
from program import COLUMNS, ROWS, write_stack

from viewer.dicom import scan
from viewer.dicom.listing import listing


def test_every_field_of_a_stack(tmp_path: Path) -> None:
    write_stack(tmp_path, 4, BodyPartExamined="CHEST", SeriesNumber=7)
    (found,) = listing(scan([tmp_path]))["series"]
    assert {name: found[name] for name in found if name != "warnings"} == {
        "uid": "1.2.826.77", "modality": "CT", "description": "Made-up block", "number": 7,
        "rows": ROWS, "columns": COLUMNS, "slices": 4, "frames_in_time": 1,
        "spacing": [3.0, 0.75, 0.5], "spacing_kind": "patient",
        "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "origin": [-10.0, -20.0, 0.0],
        "patient_orientation": None, "letters": ["R", "L", "A", "P"], "body_part": "CHEST", "view": "",
        "laterality": "", "syntax": "Explicit VR Little Endian", "photometric": "MONOCHROME2", "files": 4,
        "volume": True, "origins": None, "part": None,
    }  # fmt: skip


def test_a_picture_knows_neither_size_nor_sides(tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 6), 128, np.uint8)).save(tmp_path / "wrist.png")
    (found,) = listing(scan([tmp_path]))["series"]
    unknown = ("spacing", "orientation", "origin", "patient_orientation", "letters", "origins", "part")
    assert {name: found[name] for name in unknown} == dict.fromkeys(unknown)
    assert (found["modality"], found["rows"], found["columns"], found["slices"]) == ("picture", 5, 6, 1)
