# SPDX-License-Identifier: Apache-2.0
"""All the real files at once, dropped on the window as one folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hands import drop, settled
from program import is_sentence

from viewer.types import Series
from viewer.ui.window import Window

pytestmark = pytest.mark.shared

STUDIES: dict[str, Callable[[Series], bool]] = {
    "the chest radiograph": lambda s: s.modality == "CR" and s.body_part == "CHEST",
    "the head CT": lambda s: s.modality == "CT" and s.shape[0] == 93,
    "the oblique MR": lambda s: s.modality == "MR" and s.shape[0] == 40,
    "an enhanced CT": lambda s: s.modality == "CT" and s.files == 1 and s.shape == (2, 512, 512),
    "a colour ultrasound": lambda s: s.modality == "US" and s.colour,
}


@pytest.fixture
def everything(window: Window, qtbot, shared: Path, model_folder: Callable[[str], Path]) -> Window:
    drop(window, shared / "dicom")
    settled(window, qtbot)
    window.presenter.explaining.load_model(model_folder("cxr-tinyvgg"), trust=True)
    settled(window, qtbot)
    return window


def test_all_that_opens_opens_and_the_rest_says_why(everything: Window, qtbot) -> None:
    presenter = everything.presenter
    assert len(presenter.state.studies.items) == 88
    assert all(item.thumbnail is not None for item in presenter.state.studies.items)
    assert all(is_sentence(f"{reason}\n") for _, reason in presenter.state.studies.not_opened)
    seen = set()
    for number in range(88):
        presenter.studies.choose_series(number)
        settled(everything, qtbot)
        state = presenter.state
        assert state.view.values is not None or is_sentence(f"{state.shell.notice.text}\n")
        seen |= {
            name
            for name, is_it in STUDIES.items()
            if is_it(state.view.series) and state.view.values is not None
        }
        if STUDIES["the chest radiograph"](state.view.series):
            assert state.map_shown
        elif state.view.series.modality not in ("CR", "DX"):
            assert (state.answer.gate, state.view.map, state.shell.notice.wish) == (
                "outside",
                None,
                "override",
            )
    assert seen == set(STUDIES)


def test_a_study_outside_the_card_is_explained_when_asked(everything: Window, qtbot) -> None:
    everything.presenter.studies.choose_series(0)
    settled(everything, qtbot)
    assert everything.presenter.state.view.map is None
    everything.presenter.explaining.take_action("override")
    settled(everything, qtbot)
    assert everything.presenter.state.view.map is not None
