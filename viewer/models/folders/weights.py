# SPDX-License-Identifier: Apache-2.0
"""The file of weights in a folder of the Hugging Face hub."""

from pathlib import Path

_NAMES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip


def weights(folder: Path) -> str:
    """The name of the weights, or of the file that lists their parts; the usual one where there is none."""
    return next((name for name in _NAMES if (folder / name).is_file()), _NAMES[0])
