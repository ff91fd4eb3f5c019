# SPDX-License-Identifier: Apache-2.0
"""No name that others rely on is lost, and the page that promises them is the list that is tested."""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, get_type_hints

import pytest
from explain_nets import inputs_of, make
from torch import Tensor

from viewer import api, dicom, explain, types
from viewer.explain import INPUT, Cost, Explainer, Probe

PAGE = Path(__file__).parents[2] / "docs" / "stable-names.md"
SCRIPTS = """
open(*paths)
load(path, trust, settings, trusted)
predict(series, model, slice, at, outside_intended_use, settings, task)
explain(series, model, methods, target, slice, at, layer, settings, outside_intended_use, preferences, task, \
within, preview, segmentations, features)
export(explained, out, formats, show_identity, task, style, window, inverted, show_slice)
"""
GIVEN = """
Study.series Study.other Study.refused Explained.predictions Explained.attributions Explained.refused
Prediction.scores Prediction.top Score.label Score.logit Score.probability
Attribution.values Attribution.matrix Attribution.unit Attribution.predictions Attribution.target
Attribution.layer Attribution.completeness_error
"""
DECLARED = "name title family paper shows cost"
ALLOWED = "caution target_dependent signed display_sign unit attention contribution total"
EXPLAINERS = """
Explainer.compute(self, probe)
Explainer.unsuitable(self, model)
Explainer.fitted(self, model)
Explainer.layers(self, model)
Explainer.settings(self)
CAM.combine(self, activations, gradients)
Gradient.per_channel(self, probe)
OverFeatures.parts(self, probe)
OverFeatures.mapped(self, probe, parts, values, covers, groups)
Cost(forwards, backwards)
Values(values, completeness_error, baselines, found, features, resolution)
Probe.activations(self, layer)
Probe.gradients(self, layer)
Probe.forward(self, x)
Probe.scores(self, count, make, doing, chunk)
Probe.resumed(self, layer, count, change, doing, chunk)
Probe.within(self, n)
Probe.limited(self, values)
Probe.preview(self, explainer, values)
weighted(activations, weights)
model_layer(explainer, model)
no_layer(model)
no_attention(model)
baselines(probe, kind)
over_baselines(covers, scores)
completeness_error(sums, gaps)
discover()
explainer(name)
"""
PROBED = "model inputs x task targets predictions before"
PLAIN = "INPUT Baseline Batch Family Interval Parts Seed ExplainerError Model.labels Model.closed"


def lines(text: str) -> list[str]:
    return text.strip().split("\n")


def every() -> set[str]:
    """All that is promised, as the page spells it."""
    facts = [f"Explainer.{name}" for name in f"{DECLARED} {ALLOWED}".split()]
    probed = [f"Probe.{name}" for name in PROBED.split()]
    return {*lines(SCRIPTS), *lines(EXPLAINERS), *GIVEN.split(), *PLAIN.split(), *facts, *probed}


def fault(spelled: str, space: Any) -> str | None:
    """What became of a promised name, e.g. "load(path, trust)", in a module; None where it holds."""
    name, bracket, rest = spelled.partition("(")
    found = space
    for part in name.split("."):
        if not hasattr(found, part) and part not in _fields(found):
            return f"{name} is lost"
        found = getattr(found, part, None)
    if not bracket:
        return None
    promised = [word for word in rest.rstrip(")").split(", ") if word]
    given = {
        ("*" if one.kind is one.VAR_POSITIONAL else "") + one.name: one
        for one in inspect.signature(found).parameters.values()
    }
    kept = [word for word in given if word in promised]
    if kept != promised:
        return f"{name} takes ({', '.join(given)})"
    wanted = [word for word, one in given.items() if word not in promised and one.default is one.empty]
    return f"{name} wants {', '.join(wanted)} too" if wanted else None


def _fields(found: Any) -> set[str]:
    """The names that a class declares without a value."""
    return set(get_type_hints(found)) if isinstance(found, type) else set()


@pytest.mark.parametrize("spelled", lines(SCRIPTS))
def test_scripts_find_what_they_call(spelled: str) -> None:
    assert fault(spelled, api) is None


@pytest.mark.parametrize("spelled", GIVEN.split())
def test_scripts_find_what_they_were_given(spelled: str) -> None:
    owner = spelled.partition(".")[0]
    module = next(m for m in (dicom, explain, types) if hasattr(m, owner))
    assert fault(spelled, module) is None


@pytest.mark.parametrize("spelled", [*lines(EXPLAINERS), *PLAIN.split()])
def test_explainers_find_what_they_build_on(spelled: str) -> None:
    assert fault(spelled, explain) is None


def test_no_more_is_asked_of_an_explainer() -> None:
    facts = {name for name, hint in get_type_hints(Explainer).items() if "ClassVar" in str(hint)}
    assert {name for name in facts if not hasattr(Explainer, name)} == set(DECLARED.split())
    assert {name for name in facts if hasattr(Explainer, name)} >= set(ALLOWED.split())
    assert Explainer.__abstractmethods__ == {"compute"}


@dataclass(frozen=True)
class Looking(Explainer):
    """Notes what a probe has."""

    seen: ClassVar[set[str]] = set()
    name = "looking"
    title = "Looking"
    family = "gradient"
    paper = "none"
    shows = "Nothing."
    cost = Cost("1")

    def layers(self, model: explain.Model) -> tuple[str, ...]:
        return (INPUT,)

    def compute(self, probe: Probe) -> Tensor:
        self.seen.update(dir(probe))
        return probe.gradients(INPUT).sum(2)


def test_a_probe_has_what_explainers_read() -> None:
    model = make("plain CNN")
    explained = explain.explain(model, inputs_of(model), [Looking()])
    assert explained.refused == ()
    assert set(PROBED.split()) <= Looking.seen


def test_the_page_promises_what_is_tested() -> None:
    code = re.findall(r"`([^`]+)`", PAGE.read_text("utf-8").partition("## For scripts")[2])
    assert set(code) - {"viewer.api", "viewer.explain", "whyscope.explainers"} == every()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda path, trust=False, further=1: None, None),
        (lambda path, further=1, trust=False: None, None),
        (lambda place, trust=False: None, "load takes (place, trust)"),
        (lambda trust, path: None, "load takes (trust, path)"),
        (lambda path, trust, further: None, "load wants further too"),
        (lambda path: None, "load takes (path)"),
    ],
)
def test_what_breaks_a_promise_is_noticed(function: Any, said: str | None) -> None:
    module = SimpleNamespace(load=function)
    assert fault("load(path, trust)", module) == said
    assert fault("open(*paths)", module) == "open is lost"
