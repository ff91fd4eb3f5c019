# SPDX-License-Identifier: Apache-2.0
"""Opens what a model is asked about: a series, the model, and what is drawn on the study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from viewer.settings import Settings
from viewer.task import Task
from viewer.types import Series

if TYPE_CHECKING:
    from viewer.dicom import Segmentation
    from viewer.models import Model


def open_series_and_model(
    path: Path, model: Path, series: str | None, trust: bool, settings: Settings, task: Task
) -> "tuple[Series, Model, Sequence[Segmentation]]":
    """The chosen series of a study, the model, and the segmentations that came with the study."""
    from viewer import dicom, session

    study = dicom.scan([path], settings, task)
    chosen = session.choose_series(study, series)
    return chosen, session.load_model(model, trust, settings, task=task), study.segmentations
