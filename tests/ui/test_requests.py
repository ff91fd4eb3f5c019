# SPDX-License-Identifier: Apache-2.0
"""The window keeps maps by request: one map has one key, and another series, card, region or file another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from program import write_model

from viewer import session
from viewer.types import Region
from viewer.ui.presenter.requests import Requests
from viewer.ui.state import NOWHERE, Place, Wish, place_of


@pytest.fixture
def asked(desk: Desk, study: Path, model: Path) -> tuple[Requests, Place]:
    state = desk.explained(study, model)
    desk.at_rest()
    return desk.presenter.explaining._maps.requests, place_of(state)


def test_defaults_left_out_or_written_out_are_one_request(asked: tuple[Requests, Place]) -> None:
    requests, place = asked
    plain = requests.key(place, Wish("integrated-gradients"))
    assert plain is not None
    written = {"steps": ("0", "0.0"), "baseline": ("minimum",)}
    for name, values in written.items():
        for value in values:
            assert requests.key(place, Wish("integrated-gradients", ((name, value),))) == plain
    assert requests.key(place, Wish("integrated-gradients", (("steps", "9"),))) != plain
    assert requests.key(place, Wish("saliency")) != plain


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
    asked: tuple[Requests, Place], tmp_path: Path
) -> None:
    requests, place = asked
    series = place.series
    wish = Wish("occlusion", (), None, "seg 1")
    region = Region(np.ones((1, 2, 2), bool), np.eye(4), series, "one", "drawn", "seg 1")
    other = Region(np.ones((1, 2, 3), bool), np.eye(4), series, "one", "drawn", "seg 1")
    free = Wish("occlusion")
    keys: list[Any] = [requests.key(place, free)]
    for regions in ((region,), (other,)):
        requests.use(regions)
        keys.append(requests.key(place, wish))
    requests.use(())
    assert requests.key(place, wish) is None  # never as if it were limited to nothing
    keys.append(requests.key(Place(series, place.slice - 1), free))
    keys.append(requests.key(Place(replace(series, uid="1.2.3"), place.slice), free))
    requests.open(session.load_model(write_model(tmp_path / "other", name="Another card")))
    keys.append(requests.key(place, free))
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_what_a_file_held_when_it_was_run_is_part_of_the_request(asked: tuple[Requests, Place]) -> None:
    requests, place = asked
    wish = Wish("integrated-gradients", (("baseline", "mine.npy"),))
    before = requests.key(place, wish)
    model = requests._model
    assert model is not None
    (method,) = session.configured(["integrated-gradients"], None, {"baseline": "mine.npy"})
    for contents in ("one", "other"):
        answered = session.request(place.series, model, method, contents=(("baseline", contents),))
        requests.learn(wish, [answered])
        after = requests.key(place, wish)
        assert after not in (None, before)
        before = after


def test_what_cannot_be_asked_has_no_key(asked: tuple[Requests, Place]) -> None:
    requests, place = asked
    assert requests.key(Place(place.series, place.slice, NOWHERE), Wish("saliency")) is None
    assert requests.key(place, Wish("no-such-method")) is None
    assert requests.key(Place(place.series, -1), Wish("saliency")) is None
