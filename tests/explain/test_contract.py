# SPDX-License-Identifier: Apache-2.0
"""What every explainer that is found must keep, on every kind of network.

Nothing here names a method, so that a new plugin is tested without a word.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from explain_nets import NETS, inputs_of, make
from fingerprint import changed, fingerprint, marked
from torch import nn

from viewer import affine
from viewer.errors import ModelError
from viewer.explain import Explained, Explainer, discover, explain, setting_types
from viewer.models import Model
from viewer.task import Cancelled, Progress, Task
from viewer.types import Target

# Where the default settings are too dear for a test; a method that is not named has its defaults. A long
# sweep measures its chunk, which moves the last bits: where maps are compared bit by bit it is given.
QUICK = {
    "smooth-grad": {"samples": "3"},
    "var-grad": {"samples": "3"},
    "expected-gradients": {"samples": "6"},
    "integrated-gradients": {"steps": "16"},
    "occlusion": {"window": "4", "batch": "16"},
    "rise": {"masks": "40", "cells": "4"},
    "feature-ablation": {"features": "12"},
    "kernel-shap": {"features": "12", "samples": "50"},
    "lime": {"features": "12", "samples": "50"},
    "shapley-value-sampling": {"features": "12", "orders": "3"},
    "deep-lift-shap": {"samples": "4", "chunk": "2"},
    "layer-conductance": {"steps": "8", "chunk": "5"},
    "internal-influence": {"steps": "8", "chunk": "5"},
}
METHODS = [found.name for found in discover()]


def method(name: str) -> Explainer:
    found = next(f for f in discover() if f.name == name)
    return found.load().configured(QUICK.get(name, {}))


# For their time the methods of libraries are tried on these; on every kind in test_library_methods.py.
FEW = {"plain CNN", "residual", "timm ViT", "3D CNN"}


def tried(name: str, kind: str) -> bool:
    return kind in FEW or not method(name).library


SUITED = [
    (m, k)
    for k in NETS
    for model in [make(k)]
    for m in METHODS
    if tried(m, k) and not method(m).unsuitable(model)
]
# To the other methods these are CNNs like others.
SUITED += [("gates", "gated CNN"), ("lrp", "CNN without biases")]


@pytest.fixture(params=SUITED, ids=lambda pair: f"{pair[0]}, {pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[Explainer, Model]:
    """Every method that is found with every kind of network it suits."""
    name, kind = request.param
    return method(name), make(kind)


def run(explainer: Explainer, model: Model, task: Task | None = None, n: int = 1) -> Explained:
    return explain(model, inputs_of(model, n), [explainer], ["top"], task)


def test_there_is_a_suitable_method_for_every_network_and_a_network_for_every_method() -> None:
    assert {m for m, _ in SUITED} == set(METHODS)
    assert {k for _, k in SUITED} >= set(NETS)


@pytest.mark.parametrize("name", METHODS)
def test_an_unsuitable_network_is_told_why(name: str) -> None:
    for kind in NETS:
        model = make(kind)
        reason = method(name).unsuitable(model)
        assert reason is None or (reason[0].isupper() and reason.endswith(".") and len(reason) > 20)
        explained = run(method(name), model)
        assert explained.refused == (() if reason is None else ((name, reason),))
        assert bool(explained.attributions) == (reason is None)
        assert len(explained.predictions) == 1  # a refusal costs no prediction


def test_a_map_is_finite_read_only_and_covers_the_image(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    explained = run(explainer, model, n=2)
    assert not explained.refused
    assert len(explained.attributions) == 2
    for n, found in enumerate(explained.attributions):
        source = inputs_of(model, 2)[n]
        assert found.values.dtype == np.float32
        assert np.isfinite(found.values).all()
        assert found.values.any()
        assert not found.values.flags.writeable
        assert found.predictions == (explained.predictions[n],)
        assert found.explainer == explainer.fitted(model)
        assert (found.target is None) == (not explainer.target_dependent)
        assert explainer.signed or found.values.min() >= 0
        grid = found.values.shape
        assert all(g <= s for g, s in zip(grid, source.shape, strict=True))
        # The outer edges of the map are those of the input, and so of the image.
        corners = np.array([[-0.5] * 3, [g - 0.5 for g in grid]])
        ends = np.array([[-0.5] * 3, [s - 0.5 for s in source.shape]])
        assert np.allclose(affine.apply(found.matrix, corners), affine.apply(source.matrix, ends))


def test_a_map_is_the_same_every_time_and_the_input_stays(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    inputs = inputs_of(model)
    before = inputs[0].tensor.clone()
    first, second = (explain(model, inputs, [explainer]).attributions[0].values for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert torch.equal(inputs[0].tensor, before)
    assert not inputs[0].tensor.requires_grad


def test_success_leaves_nothing_behind(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    net = marked(model)
    before = fingerprint(net)
    assert run(explainer, model).attributions
    assert changed(before, fingerprint(net)) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_choice_of_a_setting_gives_a_map_or_a_reason(name: str) -> None:
    """Also those that need what nobody has given, such as segments or the mean of a data set."""
    model = make(next(kind for m, kind in SUITED if m == name))
    quick = QUICK.get(name, {})
    for setting, hint in setting_types(type(method(name))).items():
        plain = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        literals = [one for one in (plain, *get_args(plain)) if get_origin(one) is Literal]
        for choice in (str(choice) for one in literals for choice in get_args(one)):
            chosen = type(method(name)).configured({**quick, setting: choice})
            explained = run(chosen, model)
            assert len(explained.predictions) == 1
            for _, reason in explained.refused:
                assert reason[0].isupper()
                assert reason.endswith(".")
                assert len(reason) > 20
            assert bool(explained.attributions) != bool(explained.refused)


def counted(net: nn.Module, on_call: Callable[[int], Any] = lambda _: None) -> list[int]:
    """The running number of forwards; `on_call` is called with it before each."""
    calls = [0]

    def count(_module: nn.Module, _arguments: Any) -> None:
        calls[0] += 1
        on_call(calls[0])

    net.register_forward_pre_hook(count)
    return calls


def forwards(explainer: Explainer, model: Model) -> int:
    """How many forwards the method makes, once everything that is kept has been found out."""
    run(explainer, model)
    handle_before = dict(model._module._forward_pre_hooks)
    calls = counted(model._module)
    run(explainer, model)
    model._module._forward_pre_hooks.clear()
    model._module._forward_pre_hooks.update(handle_before)
    return calls[0]


def test_an_error_in_the_network_leaves_nothing_behind(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    total = forwards(explainer, model)
    net = marked(model)
    leaves = [m for m in net.modules() if not list(m.children())]
    state = {"fail": 0}
    # Deep inside, and behind the first attention: a layer that is neither first nor last.
    runs: list[nn.Module] = []
    handles = [m.register_forward_hook(lambda m, _a, _o: runs.append(m)) for m in leaves]
    model.predict(inputs_of(model))
    for handle in handles:
        handle.remove()
    calls = [0]

    def fail(_module: nn.Module, _arguments: Any) -> None:
        calls[0] += 1
        if calls[0] == state["fail"]:
            raise RuntimeError("the machine stumbled")

    once = [m for m in runs if runs.count(m) == 1]
    once[len(once) // 2].register_forward_pre_hook(fail)
    before = fingerprint(net)
    for state["fail"] in sorted({1, (total + 1) // 2, total}):
        calls[0] = 0
        if state["fail"] == 1 and (explainer.layers(model) or explainer.attention):
            # Listening may be what a network takes amiss, so that every method tries once more by itself.
            explained = run(explainer, model)
            assert explained.refused == ()
            assert len(explained.attributions) == 1
        elif state["fail"] == 1:
            with pytest.raises(ModelError, match="the machine stumbled"):
                run(explainer, model)
        else:
            explained = run(explainer, model)
            assert "the machine stumbled" in explained.refused[0][1]
            assert explained.attributions == ()
        assert changed(before, fingerprint(net)) == []


def test_a_cancelled_method_stops_within_one_forward_and_leaves_nothing_behind(
    pair: tuple[Explainer, Model],
) -> None:
    explainer, model = pair
    total = forwards(explainer, model)
    net = marked(model)
    calls = counted(net)
    before = fingerprint(net)
    for stop in sorted({1, (total + 1) // 2, max(1, total - 1)}):
        calls[0] = 0
        task = CancelledAt(stop, calls)
        with pytest.raises(Cancelled):
            run(explainer, model, task)
        assert calls[0] - task.calls_then <= 1
        assert changed(before, fingerprint(net)) == []


class CancelledAt(Task):
    """A task whose reader cancels at a report, and knows how many forwards there were by then."""

    def __init__(self, report: int, calls: list[int]) -> None:
        super().__init__(self._seen)
        self._left, self._calls, self.calls_then = report, calls, 0

    def _seen(self, _progress: Progress) -> None:
        self._left -= 1
        if self._left == 0:
            self.calls_then = self._calls[0]
            self.cancel()


def test_progress_never_goes_back_nor_beyond_its_total(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    reports: list[Progress] = []
    run(explainer, model, Task(reports.append))
    for a, b in pairwise(reports):
        assert b.doing != a.doing or b.done >= a.done
    assert all(0 <= r.done < r.total for r in reports)
    last = reports[-1]
    assert last.done == last.total - 1  # the number announced is the number made


def test_two_threads_on_one_model_give_the_maps_of_one(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    wanted = run(explainer, model).attributions[0].values.tobytes()
    other = method("saliency")
    start = threading.Barrier(2)

    def work(turn: int) -> bytes:
        start.wait()
        if turn:
            run(other, model)
        return run(explainer, model).attributions[0].values.tobytes()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, range(2)))
    assert found == [wanted, wanted]


def test_slices_in_one_batch_give_the_maps_of_one_by_one(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    inputs = inputs_of(model, 3)
    together = explain(model, inputs, [explainer], ["top"], batch=2).attributions
    for n, source in enumerate(inputs):
        alone = explain(model, [source], [explainer], ["top"]).attributions[0]
        size = np.abs(alone.values).max()
        assert np.abs(together[n].values - alone.values).max() <= 1e-4 * size
        assert together[n].target is None or together[n].target.label == alone.target.label


def test_all_labels_in_one_run_give_the_maps_of_label_by_label(pair: tuple[Explainer, Model]) -> None:
    explainer, model = pair
    wishes = [Target(label, i) for i, label in enumerate(model.labels)]
    together = explain(model, inputs_of(model), [explainer], wishes).attributions
    assert len(together) == (len(wishes) if explainer.target_dependent else 1)
    for found in together:
        wish = found.target or wishes[0]
        alone = explain(model, inputs_of(model), [explainer], [wish]).attributions[0]
        size = np.abs(alone.values).max()
        assert np.abs(found.values - alone.values).max() <= 1e-5 * size
    if explainer.target_dependent:
        assert not np.allclose(together[0].values, together[1].values, rtol=1e-3)
