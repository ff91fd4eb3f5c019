# SPDX-License-Identifier: Apache-2.0
"""A small study and a small model on the disk, and the command line called in-process."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from safetensors.torch import save_file

from viewer.cli import run
from viewer.models.builtin import SmallCNN
from viewer.models.card import _Loader

LABELS = ("effusion", "mass", "nodule")
ROWS, COLUMNS = 20, 28


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it must be."""
        return json.loads(self.out)


Whyscope = Callable[..., Done]


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """What an `.npz` holds; the file is closed, and nothing in it is unpickled."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def caller(capsys: pytest.CaptureFixture[str]) -> Whyscope:
    """The command line in this process."""

    def whyscope(*words: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            run([str(word) for word in words])
        out, err = capsys.readouterr()
        code = end.value.code
        return Done(code if isinstance(code, int) else 0, out, err)

    return whyscope


def write_stack(folder: Path, slices: int = 4, uid: str = "1.2.826.77", **tags: Any) -> Path:
    """An axial CT stack with a bright block that grows from slice to slice."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(slices):
        pixels = np.full((ROWS, COLUMNS), 24, np.int16)
        pixels[4 : 8 + i, 6 : 12 + 2 * i] = 1324
        file = Dataset()
        file.file_meta = FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        facts: dict[str, Any] = {
            "SOPClassUID": CTImageStorage,
            "SOPInstanceUID": f"{uid}.{i + 1}",
            "SeriesInstanceUID": uid,
            "StudyInstanceUID": "1.2.826",
            "Modality": "CT",
            "PatientName": "Zoidberg^Wilhelmina",
            "PatientID": "PID-778899",
            "SeriesDescription": "Made-up block",
            "InstanceNumber": i + 1,
            "Rows": ROWS,
            "Columns": COLUMNS,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "PixelSpacing": [0.75, 0.5],
            "SliceThickness": 3,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [-10, -20, 3 * i],
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            "WindowCenter": 0,
            "WindowWidth": 2000,
            "PixelData": pixels.tobytes(),
        } | tags
        for keyword, value in facts.items():
            setattr(file, keyword, value)
        file["PixelData"].VR = "OW"
        file.save_as(folder / f"{uid}-{i}.dcm", enforce_file_format=True)
    return folder


def write_model(folder: Path, dimensions: int = 2, **fields: Any) -> Path:
    """A small untrained network with a card; `fields` replace the card's."""
    arguments: dict[str, Any] = {
        "channels": 1,
        "num_classes": len(LABELS),
        "widths": [4, 6],
        "dimensions": dimensions,
    }
    size: Sequence[int] = (16, 16) if dimensions == 2 else (4, 16, 16)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = SmallCNN(**arguments)
    card = {
        "name": "Block CNN",
        "architecture": "builtin:small-cnn",
        "arguments": arguments,
        "weights": "model.safetensors",
        "input": {"dimensions": dimensions, "size": list(size), "values": {"window": [0, 2000]}},
        "output": {"labels": list(LABELS), "activation": "sigmoid", "thresholds": {"mass": 0.25}},
        "accepts": {"modality": ["CT"]},
    } | fields
    folder.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), folder / "model.safetensors")
    (folder / "model.yaml").write_text(yaml.safe_dump(card, sort_keys=False), "utf-8")
    return folder


def card_of(folder: Path) -> dict[str, Any]:
    """The fields of a card as they are written, where `on` is a word."""
    card: dict[str, Any] = yaml.load((folder / "model.yaml").read_text("utf-8"), _Loader)
    return card


def change_card(folder: Path, **fields: Any) -> Path:
    """Replace fields of a card; None takes one away."""
    path = folder / "model.yaml"
    card = {k: v for k, v in (card_of(folder) | fields).items() if v is not None}
    path.write_text(yaml.safe_dump(card, sort_keys=False), "utf-8")
    return folder


def is_sentence(text: str) -> bool:
    """One line that ends like a sentence, without the noise of a traceback or a usage message."""
    return (
        text.endswith((".\n", "?\n"))
        and text.count("\n") == 1
        and len(text) < 1000
        and not any(noise in text for noise in ("Traceback", "Error:", "Errno", "Usage:"))
    )
