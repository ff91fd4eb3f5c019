# SPDX-License-Identifier: Apache-2.0
"""Whyscope for scripts and notebooks: open, load, predict, explain, export.

from viewer import api

study = api.open("a folder of DICOM files")
model = api.load("a model folder")
print(api.predict(study.series[0], model)[0].top)
explained = api.explain(study.series[0], model, ["grad-cam", "integrated-gradients"])
api.export(explained, "out")

Names are resolved when first used, so that opening a study does not import torch.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewer.dicom import Study, scan

if TYPE_CHECKING:
    from viewer.session import ask as explain
    from viewer.session import export, predict
    from viewer.session import load_model as load

__all__ = ["explain", "export", "load", "open", "predict"]

_LAZY = {"load": "load_model", "predict": "predict", "explain": "ask", "export": "export"}


def open(*paths: Path | str) -> Study:
    """What is in files and folders: series, and what is not an image or cannot be read, with reasons."""
    return scan([Path(path) for path in paths])


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("viewer.session"), _LAZY[name])
