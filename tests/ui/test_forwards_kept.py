# SPDX-License-Identifier: Apache-2.0
"""What forwards found of one patient's image does not outlive the study or the model."""

from unittest.mock import create_autospec

from viewer.models import Model
from viewer.settings import Settings
from viewer.ui.presenter.maps import Maps


def test_another_study_or_model_lets_go_of_what_forwards_found() -> None:
    maps = Maps(Settings())
    maps.open(create_autospec(Model, instance=True))
    asking = maps.asking()
    first = maps.remember(asking)
    assert maps.remember(asking) is first
    maps.forget()
    assert maps.forwards is None
    assert maps.remember(asking) is not first  # one that nobody else sees: it was asked before
    assert maps.forwards is None
    second = maps.remember(maps.asking())
    assert second is maps.forwards
    maps.open(create_autospec(Model, instance=True))
    assert maps.forwards is None
