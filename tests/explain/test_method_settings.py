# SPDX-License-Identifier: Apache-2.0
"""Settings: from texts, checked, and fit for a result's provenance."""

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Annotated, Literal

import pytest
from explain_nets import make, one

from plugins.attention import Attention
from plugins.grad_cam import GradCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.lrp import LRP
from plugins.occlusion import Occlusion
from plugins.rise import RISE
from plugins.saliency import Saliency
from viewer.errors import ExplainerError, PluginError
from viewer.explain import Cost, Explainer, Interval, Probe, discover
from viewer.types import Target


def test_texts_become_numbers() -> None:
    method = IntegratedGradients.configured({"steps": "20", "baseline": "blur"})
    assert method == IntegratedGradients(steps=20, baseline="blur")
    assert type(method.steps) is int


def test_none_is_a_value_where_it_may_be() -> None:
    assert GradCAM.configured({"layer": "none"}) == GradCAM()
    assert Attention.configured({"head": "None", "block": "-2"}) == Attention(block=-2)
    with pytest.raises(ExplainerError, match="'steps' is wrong"):
        IntegratedGradients.configured({"steps": "none"})


@pytest.mark.parametrize(
    ("method", "wishes", "told"),
    [
        (IntegratedGradients, {"steps": "many"}, "Integrated gradients: the setting 'steps' is wrong: "),
        (IntegratedGradients, {"steps": "-1"}, "it wants a whole number from 0 to 1000, not '-1'"),
        (IntegratedGradients, {"steps": "1001"}, "it wants a whole number from 0 to 1000, not '1001'"),
        (IntegratedGradients, {"steps": "2.5"}, "'steps' is wrong"),
        (
            IntegratedGradients,
            {"baseline": "black"},
            "wants minimum, zero, mean, blur, data set, several",
        ),
        (IntegratedGradients, {"step": "9"}, "has no setting 'step'; it has: steps, error, baseline, chunk."),
        (Saliency, {"anything": "9"}, "Saliency has no setting 'anything'; it has: none."),
        (Occlusion, {"window": "-1"}, "'window' is wrong: it wants a whole number of at least 0, not '-1'."),
        (IntegratedGradients, {"error": "0"}, "it wants a number above 0 and of at most 100, not '0'."),
        (LRP, {"rule": "zeta"}, "it wants epsilon or gamma, not 'zeta'."),
        (RISE, {"centred": "perhaps"}, "it wants true or false, not 'perhaps'."),
        (Attention, {"head": "first"}, "it wants a whole number of at least 0 or none, not 'first'."),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence(
    method: type[Explainer], wishes: dict[str, str], told: str
) -> None:
    with pytest.raises(ExplainerError) as error:
        method.configured(wishes)
    assert told in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_a_wrong_setting_is_told_to_a_script_too() -> None:
    with pytest.raises(ExplainerError, match="'steps' is wrong"):
        IntegratedGradients(steps=-1)
    with pytest.raises(ExplainerError, match="'baseline' is wrong"):
        IntegratedGradients(baseline="black")
    method = IntegratedGradients(steps="20")  # type: ignore[arg-type]
    assert method == IntegratedGradients(steps=20)
    assert method.settings()["steps"] == 20


def test_settings_are_frozen_and_a_key() -> None:
    method = IntegratedGradients(steps=20)
    with pytest.raises(FrozenInstanceError):
        method.steps = 30  # type: ignore[misc]
    assert {method: 1}[IntegratedGradients.configured({"steps": "20"})] == 1


@pytest.mark.parametrize("name", [found.name for found in discover()])
def test_every_methods_settings_survive_json_and_the_command_line(name: str) -> None:
    cls = next(f for f in discover() if f.name == name).load()
    default = cls()
    again = json.loads(json.dumps(default.settings()))
    assert again == default.settings()
    assert cls.configured({k: str(v) for k, v in again.items()}) == default
    assert hash(default) == hash(cls())


@pytest.mark.parametrize("name", [found.name for found in discover()])
def test_every_method_tells_what_it_is(name: str) -> None:
    cls = next(f for f in discover() if f.name == name).load()
    assert cls.name == name
    assert cls.family in ("CAM", "gradient", "perturbation", "attention")
    assert cls.shows.endswith(".")
    assert len(cls.paper) > 10
    assert isinstance(cls.cost, Cost)
    assert cls.unit


def test_the_settings_are_in_the_maps_provenance() -> None:
    found = one(make("plain CNN"), IntegratedGradients(steps=7, chunk=3), Target("mass", 1))
    assert found.explainer.settings() == {"steps": 7, "error": 1.0, "baseline": "minimum", "chunk": 3}
    assert found.found == {"steps": 7}
    assert found.baselines is not None
    assert found.baselines.shape == (1, 3, 32, 32)
    assert found.seconds > 0


@pytest.mark.parametrize("name", ["attribute", "settings", "configured"])
def test_the_contract_cannot_be_overridden(name: str) -> None:
    with pytest.raises(PluginError, match=f"overrides {name}, which is not its to change"):
        type("Sly", (Explainer,), {name: lambda *_: None})


def test_a_strangers_bounds_are_checked() -> None:
    @dataclass(frozen=True)
    class Stranger(Explainer):
        strength: Annotated[float, Interval(gt=0, lt=1)] = 0.5
        mode: Literal["soft", "hard"] = "soft"
        careful: bool = True

        name = "stranger"
        title = "Stranger"

        def compute(self, probe: Probe) -> object:  # type: ignore[override]
            return probe.x

    assert Stranger.configured({"strength": "0.25", "mode": "hard", "careful": "no"}) == Stranger(
        0.25, "hard", False
    )
    for wrong in ({"strength": "1"}, {"strength": "nan"}, {"mode": "loud"}, {"careful": "perhaps"}):
        with pytest.raises(ExplainerError):
            Stranger.configured(wrong)
