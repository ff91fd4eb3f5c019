# SPDX-License-Identifier: Apache-2.0
"""What is said where the model was not made for the shown series, and what may be done instead."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from viewer import demo
from viewer.ui.state import Notice, ViewState

if TYPE_CHECKING:
    from viewer.models import Model

DEMO_MODEL = "demo-model"
"""The wish for the model that the demo brings for the shown series."""


def refused(state: ViewState, model: "Model | None") -> Notice:
    """That the model was not made for this series; the decision is the reader's."""
    text = state.answer.outside or "This lies outside what the model accepts."
    notice = Notice(text, "stop", "Go on all the same", "override", about="gate")
    if demo_model(state, model) is None:
        return notice
    return replace(notice, other="Open the demo's model for this", other_wish=DEMO_MODEL)


def demo_model(state: ViewState, model: "Model | None") -> Path | None:
    """The demo's model for the shown series of the demo, where another of the demo's is open."""
    series = state.view.series
    return None if model is None or series is None else demo.model_for(series, model.folder)
