# SPDX-License-Identifier: Apache-2.0
"""The demo that the program brings along: phantom studies, and small networks that learned on such phantoms.

The images are made, not taken: they show the program at work, and nothing about patients. How they and
the networks are made stands in `scripts/demo`.
"""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from viewer.task import Task

if TYPE_CHECKING:
    from viewer.types import Series

METHODS = ("grad-cam", "hires-cam", "integrated-gradients", "occlusion")


def folder() -> Path:
    """Where the demo's files lie: `studies` and `models`."""
    return Path(str(files("resources"))) / "demo"


def studies() -> tuple[Path, ...]:
    """The folders of the studies in the order in which they are shown; the first has a nodule."""
    return tuple(sorted(path for path in (folder() / "studies").iterdir() if path.is_dir()))


def models() -> dict[str, Path]:
    """The folders of the networks by name: `cnn` and `vit` read radiographs, `cnn3d` reads CTs."""
    return {path.name: path for path in sorted((folder() / "models").iterdir()) if path.is_dir()}


def model_for(series: "Series", opened: Path | None) -> Path | None:
    """The network that reads a series of the demo, where another of the demo's is opened; else None."""
    own = series.paths and series.paths[0].is_relative_to(folder())
    if not own or opened is None or not opened.is_relative_to(folder()):
        return None
    found = models()["cnn3d" if series.modality == "CT" else "cnn"]
    return None if found == opened else found


def run(out: Path, task: Task | None = None) -> list[Path]:
    """Explain the first study's radiograph, and give the pictures."""
    from viewer import dicom, session

    task = task or Task()
    study = dicom.scan([studies()[0]], task=task)
    radiograph = next(series for series in study.series if series.modality == "DX")
    model = session.load_model(models()["cnn"])
    explained = session.ask(radiograph, model, METHODS, task=task)
    document = session.export(explained, out / "explained", task=task)
    return [out / "explained" / entry["files"]["png"] for entry in document["attributions"]]
