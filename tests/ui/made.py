# SPDX-License-Identifier: Apache-2.0
"""Made-up states for the tests of the window's widgets."""

from typing import Any, ClassVar

import numpy as np
import torch

from viewer import overlay
from viewer.types import (
    Attribution,
    Display,
    Geometry,
    ModelInput,
    Prediction,
    Score,
    Series,
    Style,
    Target,
    Window,
)
from viewer.ui.state import SeriesItem, ViewState


class Method:
    """A configured explainer as far as a map's texts need it."""

    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Grad-CAM"
    paper: ClassVar[str] = ""
    signed: ClassVar[bool] = False
    target_dependent: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        return {}


def series(slices: int = 1, rows: int = 40, columns: int = 40, aspect: float = 1.0, **more: Any) -> Series:
    """A black CT series with known sides and 1 mm wide pixels."""
    matrix = np.zeros((4, 4))
    matrix[2, 0], matrix[1, 1], matrix[0, 2], matrix[3, 3] = 2.0, aspect, 1.0, 1.0
    facts = {"spacing_kind": "patient", "orientation_known": True, "between": slices > 1, **more}
    return Series(
        uid="1.2",
        modality="CT",
        voxels=np.zeros((slices, rows, columns), dtype=np.int16),
        geometry=Geometry(matrix, **facts),
        display=Display(rescale=((1.0, 0.0),) * slices),
        description="HEAD",
    )


def image(values: np.ndarray, **more: Any) -> ViewState:
    """A state that shows these values, black at 0 and white at 100."""
    shown = more.pop("series", None) or series(rows=values.shape[0], columns=values.shape[1])
    return ViewState().changed(
        items=(SeriesItem("HEAD", ()),),
        number=0,
        series=shown,
        values=values,
        levels=(0.0, 100.0),
        window=Window(50, 100, "test"),
        **more,
    )


def explained(values: np.ndarray, map_values: np.ndarray, score: float = 0.82, **more: Any) -> ViewState:
    """The same with a map of as many cells as pixels, explaining "pneumonia" with threshold 0.5."""
    base = image(values)
    assert base.view.series is not None
    said = Prediction(
        ModelInput(base.view.series, 0, torch.zeros(1, 1, *values.shape[:2]), np.eye(4)),
        "net",
        "00ff",
        "cpu",
        (Score("pneumonia", 1.5, score, threshold=0.5),),
    )
    shown = Attribution(
        map_values[None].astype(np.float32),
        np.eye(4),
        "activation",
        (said,),
        Method(),
        Target("pneumonia", 0),
        "conv_2",
    )
    style = Style(range=(0.0, 1.0), threshold=0.2, opacity=0.5)
    return base.changed(
        prediction=said,
        target="pneumonia",
        attribution=shown,
        map=overlay.on_source(shown, 0),
        style=style,
        **more,
    )
