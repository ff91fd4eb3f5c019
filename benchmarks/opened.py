# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the window open: noise, an untrained network, and the real files if there are."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer.types import Display, Geometry, Series, Window

REAL = Path(__file__).parents[2] / "shared" / "data" / "dicom"
"""The real files beside the checkout."""
SLICES = 12


def series(side: int) -> Series:
    """A CT-like stack of noise with a bright block."""
    random = np.random.default_rng(0)
    voxels = random.integers(-1000, 400, (SLICES, side, side), dtype=np.int16)
    voxels[:, side // 3 : side // 2, side // 3 : side // 2] += 900
    matrix = np.diag([3.0, 0.5, 0.5, 1.0])
    display = Display(((1.0, 0.0),) * SLICES, "HU", (Window(-100, 1400),), stored_range=(-1024, 3071))
    return Series(f"bench {side}", "CT", voxels, Geometry(matrix, "patient", True, True), display)


def model_folder(folder: Path) -> Path:
    """A small untrained network with three labels, made in another process.

    In a process of a window the engine must still be unknown.
    """
    subprocess.run([sys.executable, __file__, str(folder)], check=True)
    return folder


def _make(folder: Path) -> None:
    import torch
    import yaml
    from safetensors.torch import save_file

    from viewer.models.builtin import SmallCNN

    arguments: dict[str, Any] = {"channels": 1, "num_classes": 3, "widths": [16, 32, 32]}
    torch.manual_seed(0)
    save_file(SmallCNN(**arguments).state_dict(), folder / "model.safetensors")
    card = {
        "name": "Benchmark CNN", "architecture": "builtin:small-cnn", "arguments": arguments,
        "weights": "model.safetensors", "input": {"size": [224, 224], "values": {"window": [0, 2000]}},
        "output": {"labels": ["one", "two", "three"]},
    }  # fmt: skip
    (folder / "model.yaml").write_text(yaml.safe_dump(card), "utf-8")


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
