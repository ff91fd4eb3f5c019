# SPDX-License-Identifier: Apache-2.0
"""The window keeps maps by request: one map has one key, and another series, card, region or file another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from program import change_card, write_model

from viewer import dicom, session
from viewer.settings import Settings
from viewer.types import Region
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.requests import Requests
from viewer.ui.state import NOWHERE, MethodChoice, Position, position_of


@pytest.fixture
def asked(desk: Desk, study: Path, model: Path) -> tuple[Requests, Position]:
    state = desk.explained(study, model)
    desk.at_rest()
    return desk.presenter.explaining._maps.requests, position_of(state)


def test_defaults_left_out_or_written_out_are_one_request(asked: tuple[Requests, Position]) -> None:
    requests, place = asked
    plain = requests.key(place, MethodChoice("integrated-gradients"))
    assert plain is not None
    written = {"steps": ("0", "0.0"), "baseline": ("minimum",)}
    for name, values in written.items():
        for value in values:
            assert requests.key(place, MethodChoice("integrated-gradients", ((name, value),))) == plain
    assert requests.key(place, MethodChoice("integrated-gradients", (("steps", "9"),))) != plain
    assert requests.key(place, MethodChoice("saliency")) != plain


def test_settings_as_the_method_has_them_run_nothing_again(desk: Desk, study: Path, model: Path) -> None:
    desk.explained(study, model)
    explaining = desk.presenter.explaining
    explaining.choose_method("smooth-grad")
    explaining.explain()
    state = desk.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)
    desk.at_rest()
    own = state.chosen_method.settings
    assert own
    for name, value in own.items():
        explaining.set_setting(name, value)
        assert desk.state.answer.attribution is state.answer.attribution
        assert not desk.jobs.active("explain")
    assert desk.state.request.settings == own


def test_another_slice_series_card_region_or_file_is_another_request(
    asked: tuple[Requests, Position], tmp_path: Path
) -> None:
    requests, place = asked
    series = place.series
    choice = MethodChoice("occlusion", (), None, "seg 1")
    region = Region(np.ones((1, 2, 2), bool), np.eye(4), series, "one", "drawn", "seg 1")
    other = Region(np.ones((1, 2, 3), bool), np.eye(4), series, "one", "drawn", "seg 1")
    free = MethodChoice("occlusion")
    keys: list[Any] = [requests.key(place, free)]
    for regions in ((region,), (other,)):
        requests.use(regions)
        keys.append(requests.key(place, choice))
    requests.use(())
    assert requests.key(place, choice) is None  # never as if it were limited to nothing
    keys.append(requests.key(Position(series, place.slice - 1), free))
    keys.append(requests.key(Position(replace(series, uid="1.2.3"), place.slice), free))
    requests.open(session.load_model(write_model(tmp_path / "other", name="Another card")))
    keys.append(requests.key(place, free))
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_what_a_file_held_when_it_was_run_is_part_of_the_request(asked: tuple[Requests, Position]) -> None:
    requests, place = asked
    choice = MethodChoice("integrated-gradients", (("baseline", "mine.npy"),))
    before = requests.key(place, choice)
    model = requests._model
    assert model is not None
    (method,) = session.configured(["integrated-gradients"], None, {"baseline": "mine.npy"})
    for contents in ("one", "other"):
        answered = session.request(place.series, model, method, contents=(("baseline", contents),))
        requests.learn(choice, [answered])
        after = requests.key(place, choice)
        assert after not in (None, before)
        before = after


def test_what_cannot_be_asked_has_no_key(asked: tuple[Requests, Position]) -> None:
    requests, place = asked
    assert requests.key(Position(place.series, place.slice, NOWHERE), MethodChoice("saliency")) is None
    assert requests.key(place, MethodChoice("no-such-method")) is None
    assert requests.key(Position(place.series, -1), MethodChoice("saliency")) is None


def test_what_the_model_said_is_kept_by_the_content_of_study_and_card(study: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    first, again = (dicom.scan([study]).series[0] for _ in range(2))
    assert first is not again
    maps = Maps(Settings(device="cpu"))
    maps.open(session.load_model(folder))
    asking = maps.asking()
    (said,) = session.predict(first, asking.model, 1)
    for series in (first, again):
        maps.put_predictions(asking, {Position(series, 1): said})
        assert maps.prediction(Position(series, 1)) is said
    assert len(maps._predictions) == 1
    assert maps.prediction(Position(first, 2)) is None
    assert maps.prediction(Position(replace(first, uid="1.2.3"), 1)) is None
    change_card(folder, calibration={"temperature": 2})
    maps.model = session.load_model(folder)  # and nothing is forgotten
    assert maps.model.sha256 == asking.model.sha256
    assert maps.prediction(Position(first, 1)) is None
    maps.put_predictions(maps.asking(), {Position(first, 1): said})
    assert len(maps._predictions) == 2
