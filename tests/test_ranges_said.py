# SPDX-License-Identifier: Apache-2.0
"""What was made of a range, how many values lie beyond it, and which windows ran, is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_maps import explain, predict, series, snapshot
from program import LABELS, write_model, write_stack

from viewer.export import export
from viewer.export.panel import _ran
from viewer.types import Resolution, Style
from viewer.ui.panels.display import DisplayPanel
from viewer.ui.state import ViewState
from viewer.wording import refitted_text


@pytest.mark.parametrize(
    ("style", "drawn", "said"),
    [
        (Style(range=(-1.0, 2.0)), [0.0, 2.0], "only positive values are drawn"),
        (
            Style("blue-white-red", (-1.0, 2.0), sign="signed"),
            [-2.0, 2.0],
            "zero is the middle of both signs",
        ),
        (Style(range=(-3.0, 2.0), sign="magnitude"), [0.0, 2.0], "sizes begin at zero"),
    ],
)
def test_a_range_that_does_not_fit_its_sign(
    style: Style, drawn: list[float], said: str, tmp_path: Path
) -> None:
    map = explain(predict(series()))
    facts = export([map], map.predictions, tmp_path, ("json",), style=style)["attributions"][0]["style"]
    assert (facts["range"], facts["range_asked"]) == (drawn, list(style.range))
    assert refitted_text(facts["range_asked"], facts["range"], facts["sign"]).endswith(f": {said}.")


def test_a_range_that_fits_is_not_spoken_of(tmp_path: Path) -> None:
    map = explain(predict(series()))
    found = export([map], map.predictions, tmp_path, ("json",), style=Style(range=(0.0, 2.0)))
    assert "range_asked" not in found["attributions"][0]["style"]


def test_the_command_line_says_it(whyscope: Any, tmp_path: Path) -> None:
    study, model = write_stack(tmp_path / "study", 2), write_model(tmp_path / "model")
    words = ("explain", study, "--model", model, "--method", "grad-cam", "--target", LABELS[0])
    found = whyscope(*words, "--out", tmp_path / "out", "--style", "range=-1,2", "--format", "json")
    assert "The range −1 … +2 is drawn as" in found.err or "The range −1 … 2 is drawn as" in found.err


@pytest.mark.parametrize(
    ("range", "beyond"), [((0.0, 0.4), ""), ((0.0, 0.2), "clipped"), ((0.3, 0.4), "clipped")]
)
def test_the_window_says_that_values_are_clipped(qtbot: Any, range: tuple[float, float], beyond: str) -> None:
    panel = DisplayPanel()
    qtbot.addWidget(panel)
    map = explain(predict(series()), values=np.linspace(0.01, 0.4, 16).reshape(1, 4, 4))
    state = ViewState().changed(attribution=map, style=Style(range=range))
    panel.show(state)
    assert panel.range.full.endswith("clipped") is bool(beyond)
    assert ("of 16 cells above zero" in panel.range.toolTip()) is bool(beyond)


@pytest.mark.parametrize(
    ("window", "sizes", "said"),
    [(16, ((32.0, 32.0),), " (32 ran)"), (16, ((32.0, 32.0), (16.0, 16.0)), ""), (0, ((32.0, 32.0),), "")],
)
def test_which_windows_ran(window: int, sizes: tuple[tuple[float, ...], ...], said: str) -> None:
    map = explain(predict(series()), resolution=Resolution("window", sizes, sizes))
    assert _ran(map, "window", window) == said
    assert _ran(map, "stride", window) == ""
    assert snapshot(map).overlay.map is map
