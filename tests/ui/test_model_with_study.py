# SPDX-License-Identifier: Apache-2.0
"""A study that comes with a model is shown where the model accepts it, and nothing else moves the reader."""

from pathlib import Path

import pytest
from desk import Desk
from program import write_model, write_stack
from test_under_way import held

from viewer import dicom, session


def a_study(base: Path) -> Path:
    """A series of MR, the first in the list, and one of CT."""
    folder = write_stack(base, 3)
    write_stack(folder / "other", 4, f"1.2.826.{len(base.name)}", Modality="MR", SeriesNumber=9)
    return folder


def network(base: Path, modality: str) -> Path:
    return write_model(base / modality, accepts={"modality": [modality]})


def with_program(base: Path) -> Path:
    """A network for CT with a program of its own, for which the reader is asked."""
    folder = write_model(
        base / "code", architecture="network.py:Net", arguments={}, accepts={"modality": ["CT"]}
    )
    code = "from viewer.models.builtin import SmallCNN\nNet = lambda: SmallCNN(1, 3, [4, 6])\n"
    (folder / "network.py").write_text(code, "utf-8")
    return folder


def modality(desk: Desk) -> str:
    series = desk.state.view.series
    assert series is not None
    return series.modality


def test_a_model_that_is_dropped_alone_moves_nobody(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([a_study(tmp_path / "study")])
    desk.wait(lambda s: s.view.values is not None)
    desk.presenter.studies.open([network(tmp_path, "CT")])
    desk.wait(lambda s: s.answer.model is not None)
    assert (modality(desk), desk.state.answer.gate) == ("MR", "outside")
    desk.at_rest()


def test_both_dropped_together_go_to_the_accepted_series(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([a_study(tmp_path / "study"), network(tmp_path, "CT")])
    desk.wait(lambda s: s.answer.attribution is not None)
    assert modality(desk) == "CT"
    desk.at_rest()


@pytest.mark.parametrize("end", ["failed", "cancelled", "refused"])
def test_a_later_model_moves_nobody_once_the_first_did_not_come(
    desk: Desk, tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = held(monkeypatch, session, "load_model")
    first = with_program(tmp_path) if end == "refused" else network(tmp_path, "CT")
    if end == "failed":
        (first / "model.yaml").write_text("name: 5\n", "utf-8")
    desk.presenter.studies.open([a_study(tmp_path / "study"), first])
    desk.wait(lambda s: s.view.values is not None and s.shell.reading is None)
    if end == "cancelled":
        desk.presenter.cancel()
    go()
    desk.wait(lambda s: s.shell.loading is None and s.shell.notice is not None)
    assert desk.state.answer.model is None
    desk.presenter.dismiss()
    desk.presenter.explaining.load_model(write_model(tmp_path / "later", accepts={"modality": ["CT"]}))
    desk.wait(lambda s: s.answer.model is not None)
    assert (modality(desk), desk.state.answer.gate) == ("MR", "outside")
    desk.at_rest()


def test_a_model_that_the_reader_was_asked_of_is_still_the_one_that_came(desk: Desk, tmp_path: Path) -> None:
    desk.presenter.studies.open([a_study(tmp_path / "study"), with_program(tmp_path)])
    desk.wait(lambda s: s.view.values is not None and s.shell.notice is not None)
    desk.at_rest()
    assert modality(desk) == "MR"
    desk.presenter.explaining.take_action("trust")
    desk.wait(lambda s: s.answer.attribution is not None)
    assert modality(desk) == "CT"
    desk.at_rest()


@pytest.mark.parametrize("later", ["study", "model"])
def test_the_model_before_does_not_judge_what_comes_with_another(
    desk: Desk, tmp_path: Path, later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither are series of the new study chosen by the old model, nor of the old study by the new one."""
    desk.presenter.studies.open([a_study(tmp_path / "study"), network(tmp_path, "CT")])
    before = desk.wait(lambda s: s.answer.attribution is not None).view.series
    desk.at_rest()
    module, name = (dicom, "scan") if later == "study" else (session, "load_model")
    go = held(monkeypatch, module, name)
    desk.presenter.studies.open([a_study(tmp_path / "another"), network(tmp_path, "MR")])
    if later == "study":
        desk.wait(lambda s: s.answer.gate == "outside")
        assert desk.state.view.series is before
    else:
        desk.wait(lambda s: s.view.series is not before and s.view.values is not None)
        assert modality(desk) == "MR"
    go()
    desk.wait(lambda s: s.view.series is not before and s.answer.gate == "open" and s.shell.loading is None)
    desk.wait(lambda s: s.answer.attribution is not None)
    assert modality(desk) == "MR"
    desk.at_rest()
