# SPDX-License-Identifier: Apache-2.0
"""What is kept of an input: another label, another method of the family, another layer cost no forward."""

import numpy as np
import pytest
import torch
from explain_nets import NETS, inputs_of, make, maps, near
from test_contract import counted

from viewer.explain import ForwardCache, explain, explainer, suggest
from viewer.explain.forward_cache import Forwarded, digest
from viewer.types import Region, Target

METHODS = ("grad-cam", "hires-cam", "layer-cam", "eigen-cam")
EVERY = tuple(Target(label, i) for i, label in enumerate(("effusion", "mass", "nodule")))
AGAINST = Target("mass", 1, "nodule", 2)


def configured(*names: str, **settings: str):
    return [explainer(name).configured(settings) for name in names]


@pytest.mark.parametrize("kind", NETS)
def test_another_label_or_method_runs_nothing_and_is_the_same(kind: str) -> None:
    """But what the map of all labels speaks of, where the gradient of the label asked about says little."""
    model = make(kind)
    inputs = inputs_of(model, 2)
    wanted = {
        (name, target.words): maps(explain(model, inputs, configured(name), [target]))
        for name in METHODS
        for target in (*EVERY, AGAINST)
    }
    kept = ForwardCache()
    explain(model, inputs, configured("grad-cam"), ["top"], kept=kept)
    calls, erasing = counted(model._module), 0
    for (name, words), maps_wanted in wanted.items():
        target = next(t for t in (*EVERY, AGAINST) if t.words == words)
        found = explain(model, inputs, configured(name), [target], kept=kept)
        for a, b in zip(maps(found), maps_wanted, strict=True):
            assert near(a, b)
        assert found.attributions[0].target is None or found.attributions[0].target.words == words
        measures = {a.evidence.measure for a in found.attributions if a.evidence}
        assert name == "eigen-cam" or "erasing" not in measures
        erasing += "erasing" in measures
        assert calls == [erasing]


def test_predictions_are_those_of_the_forward() -> None:
    model = make("residual")
    assert model.structure.layers  # found out once, by a run of its own
    kept = ForwardCache()
    first = explain(model, inputs_of(model), [], kept=kept).predictions
    calls = counted(model._module)
    second = explain(model, inputs_of(model), configured("grad-cam"), kept=kept)
    assert [s.logit for s in second.predictions[0].scores] == [s.logit for s in first[0].scores]
    assert calls == [1]  # a layer that nobody listened to before


def test_other_pixels_another_layer_or_another_model_are_run() -> None:
    model = make("residual")
    kept = ForwardCache()
    explain(model, inputs_of(model), configured("grad-cam"), kept=kept)
    calls = counted(model._module)
    explain(model, inputs_of(model, seed=6), configured("grad-cam"), kept=kept)
    assert calls == [1]
    explain(model, inputs_of(model), configured("grad-cam", layer=suggest(model)[1]), kept=kept)
    assert calls == [2]
    twin = make("residual", seed=1)
    own = explain(twin, inputs_of(twin), configured("grad-cam")).attributions[0].values
    assert near(explain(twin, inputs_of(twin), configured("grad-cam"), kept=kept).attributions[0].values, own)


def test_a_region_is_run_and_not_taken_from_labels() -> None:
    from explain_nets import PerPixel, model_of

    torch.manual_seed(1)
    model = model_of(PerPixel())
    (source,) = inputs_of(model)
    inside = Target("mass", 1, region=Region.box(source.series, 0, (2, 2, 9, 9), "box"))
    kept = ForwardCache()
    method = configured("hires-cam", layer="body")
    whole = explain(model, [source], method, [EVERY[1]], kept=kept).attributions[0].values
    found = explain(model, [source], method, [inside], kept=kept).attributions[0].values
    alone = explain(model, [source], method, [inside]).attributions[0].values
    assert near(found, alone)
    assert not near(found, whole, 0.1)


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    model = make("plain CNN")
    kept = ForwardCache(room=3 * 4000)
    for number in range(4):
        kept.keep(model, bytes([number]), "", Forwarded(torch.zeros(1, 1000)))
    assert [kept.find(model, bytes([n])) is not None for n in range(4)] == [False, True, True, True]
    kept.keep(model, b"huge", "", Forwarded(torch.zeros(1, 100_000)))
    assert kept.find(model, b"huge") is None
    kept.clear()
    assert kept.find(model, bytes([3])) is None


def test_a_layer_too_large_to_keep_is_explained_all_the_same() -> None:
    model = make("residual")
    wanted = explain(model, inputs_of(model), configured("grad-cam")).attributions[0].values
    small = ForwardCache(room=10)
    found = explain(model, inputs_of(model), configured("grad-cam"), kept=small).attributions[0].values
    assert np.array_equal(found, wanted)


def test_a_digest_tells_one_changed_value() -> None:
    x = torch.zeros(1, 3, 4, 4)
    y = x.clone()
    y[0, 2, 3, 3] = 1e-30
    assert digest(x) != digest(y)
    assert digest(x) == digest(x.clone())
