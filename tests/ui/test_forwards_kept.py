# SPDX-License-Identifier: Apache-2.0
"""What a network felt of one patient's image does not outlive the study or the model."""

from unittest.mock import create_autospec

from viewer.models import Model
from viewer.settings import Settings
from viewer.ui.presenter.maps import Maps


def test_another_study_or_model_lets_go_of_what_the_network_felt() -> None:
    maps = Maps(Settings())
    first = maps.remember()
    assert maps.remember() is first
    maps.forget()
    second = maps.remember()
    assert second is not first
    maps.open(create_autospec(Model, instance=True))
    assert maps.remember() is not second
