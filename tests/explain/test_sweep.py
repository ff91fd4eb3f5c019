# SPDX-License-Identifier: Apache-2.0
"""Changed images before a network: all targets share a forward, memory is bounded, regions are kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from explain_nets import inputs_of, make, near, one
from torch import Tensor

from plugins.occlusion import Occlusion
from viewer.errors import ModelError
from viewer.explain import INPUT, Cost, Explainer, Probe, Values, explain
from viewer.models import Model
from viewer.task import Progress, Task
from viewer.types import Attribution, Region, Target

EVERY = tuple(Target(label, i) for i, label in enumerate(("effusion", "mass", "nodule")))


@contextmanager
def probing(model: Model, n: int = 2, **facts: object) -> Iterator[Probe]:
    with model.guarded(Task()) as forward:
        yield Probe(model, forward, inputs_of(model, n), EVERY, Task(), **facts)  # type: ignore[arg-type]


def fading(probe: Probe, count: int):
    def make(n: int, first: int, last: int) -> Tensor:
        share = torch.linspace(1, 0, count)[first:last].reshape(-1, 1, 1, 1)
        return probe.x[n : n + 1] * share

    return make


def test_one_forward_gives_the_scores_of_all_targets() -> None:
    with probing(make("residual")) as probe:
        scores = probe.scores(5, fading(probe, 5), "fading", 2)
        assert scores.shape == (3, 2, 5)
        calls = probe._forward.calls
        for n in range(2):
            wanted = probe.forward(fading(probe, 5)(n, 0, 5))
            assert torch.allclose(scores[:, n], wanted.T, atol=1e-5)
        assert torch.allclose(scores[:, :, 0], probe.before, atol=1e-5)
        assert calls == 1 + 2 * 3  # the shared one, and two inputs of five images, two at a time


def test_gradients_of_a_sweep_are_those_of_each_image_alone() -> None:
    with probing(make("dense")) as probe:
        for part in probe.sweep(5, fading(probe, 5), "fading", 2, gradients=True):
            assert part.gradients is not None
            for k in range(part.scores.shape[1]):
                x = fading(probe, 5)(part.n, part.first + k, part.first + k + 1).requires_grad_()
                for t in range(3):
                    (wanted,) = torch.autograd.grad(probe.forward(x)[0, t], x)
                    assert torch.allclose(part.gradients[t, k], wanted[0], atol=1e-6)


def test_a_chunk_is_halved_where_memory_runs_out() -> None:
    with probing(make("plain CNN")) as probe:
        wanted = probe.scores(11, fading(probe, 11), "fading", 4)
        sizes = []
        run = probe.model.run

        def poor(forward: object, x: Tensor) -> Tensor:
            if len(x) > 3:
                raise torch.OutOfMemoryError("too much")
            sizes.append(len(x))
            return run(forward, x)  # type: ignore[arg-type]

        probe.model.run = poor  # type: ignore[method-assign]
        try:
            found = probe.scores(11, fading(probe, 11), "fading", 11)
        finally:
            del probe.model.run
    assert torch.allclose(found, wanted, atol=1e-5)
    assert max(sizes) == 3
    assert sum(sizes) == 22


def sweeping(model: Model, count: int, seconds: Callable[[int], float], monkeypatch: Any) -> list[int]:
    """The chunks of a sweep on a network that takes so many seconds for a chunk of a size."""
    clock = [0.0]
    sizes: list[int] = []
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def tick(_module: object, arguments: tuple[Tensor, ...]) -> None:
        sizes.append(len(arguments[0]))
        clock[0] += seconds(len(arguments[0]))

    handle = model._module.register_forward_pre_hook(tick)
    reports: list[Progress] = []
    with model.guarded(Task(reports.append)) as forward:
        probe = Probe(model, forward, inputs_of(model), EVERY, Task(reports.append))
        assert probe.output is not None  # the shared forward is not part of it
        del sizes[:], reports[:]
        found = probe.scores(count, fading(probe, count), "fading")
        assert found.shape == (3, 1, count)
    handle.remove()
    assert sum(sizes) == count
    assert [r.done for r in reports] == list(range(len(sizes)))
    assert reports[-1].total == len(sizes)  # the number announced is the number made
    return sizes


def test_a_long_sweep_takes_the_chunk_that_is_fastest_image_by_image_and_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make("plain CNN")
    best = sweeping(model, 600, lambda size: 0.01 + 0.001 * size + 0.0001 * size**2, monkeypatch)
    assert best[:9] == [4, 4, 4, 8, 8, 8, 16, 16, 16]  # 10 is the cheapest; 16 is no better than 8
    assert set(best[9:-1]) == {8}
    assert sweeping(model, 50, lambda size: 1.0, monkeypatch) == [8] * 6 + [2]
    assert sweeping(make("plain CNN"), 60, lambda size: 0.0, monkeypatch)[0] == 8  # too short to measure
    assert set(sweeping(make("plain CNN"), 200, lambda _: 0.3, monkeypatch)) == {4}  # nobody waits so long
    assert max(sweeping(make("plain CNN"), 3000, lambda size: 0.01, monkeypatch)) == 256


def test_the_chunk_makes_no_difference_to_the_scores() -> None:
    model = make("residual")
    with probing(model) as probe:
        wanted = probe.scores(300, fading(probe, 300), "fading", 1)
        assert torch.allclose(probe.scores(300, fading(probe, 300), "fading"), wanted, atol=1e-5)
        assert torch.allclose(probe.scores(300, fading(probe, 300), "fading", 512), wanted, atol=1e-5)


def test_a_cpu_that_has_no_memory_left_is_understood() -> None:
    model = make("plain CNN")
    limit = [4]

    def allocate(_module: object, arguments: tuple[Tensor, ...]) -> None:
        if len(arguments[0]) > limit[0]:
            torch.empty(1 << 60)  # what torch itself says of it

    with pytest.raises(RuntimeError) as told:
        torch.empty(1 << 60)
    assert not isinstance(told.value, torch.OutOfMemoryError)
    model._module.register_forward_pre_hook(allocate)
    with probing(model) as probe:
        assert probe.scores(20, fading(probe, 20), "fading").shape == (3, 2, 20)
    limit[0] = 0
    with pytest.raises(ModelError, match="too little memory"):
        explain(model, inputs_of(model), [Occlusion(window=8)])


def test_a_single_image_that_does_not_fit_is_told() -> None:
    with probing(make("plain CNN")) as probe:

        def poor(_forward: object, _x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("too much")

        probe.model.run = poor  # type: ignore[method-assign, assignment]
        try:
            with pytest.raises(torch.OutOfMemoryError):
                probe.scores(4, fading(probe, 4), "fading", 4)
        finally:
            del probe.model.run


def test_a_moved_probe_keeps_its_targets_and_has_its_own_gradients() -> None:
    model = make("residual")
    with model.guarded(Task()) as forward, torch.enable_grad():
        probe = Probe(model, forward, inputs_of(model), ("top",), Task(), (INPUT,))
        other = probe.moved(-probe.x)
        assert other.targets == probe.targets
        x = (-probe.x).requires_grad_()
        index = probe.targets[0][0].index
        (wanted,) = torch.autograd.grad(forward(x)[0, index], x)
        assert near(other.gradients(INPUT)[0], wanted)
        assert not near(probe.gradients(INPUT)[0], wanted, 0.1)


def test_occlusion_stays_within_a_region() -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    region = Region.box(source.series, 0, (8, 8, 15, 15), "box")
    method = Occlusion(window=4, stride=4)
    whole = one(model, method).values
    (found,) = explain(model, [source], [method], within=region).attributions
    inside = np.zeros(whole.shape, bool)
    inside[0, 8:16, 8:16] = True
    assert np.allclose(found.values[inside], whole[inside], atol=1e-6)
    assert not found.values[~inside].any()


def test_a_region_outside_of_the_input_is_told() -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    away = np.eye(4) + np.eye(4, k=3) * 500
    elsewhere = Region(np.ones((1, 2, 2), bool), away, source.series, "tumour", "seg")
    explained = explain(model, [source], [Occlusion(window=4)], within=elsewhere)
    assert "tumour lies outside" in explained.refused[0][1]


def test_previews_come_placed_before_the_result() -> None:
    @dataclass(frozen=True)
    class Slow(Explainer):
        name = "slow"
        title = "Slow"
        family: ClassVar = "gradient"
        paper = "none"
        shows = "Nothing."
        cost = Cost("0")

        def compute(self, probe: Probe) -> Tensor:
            half = probe.x.mean(1)[None]
            probe.preview(self, Values(half / 2))
            return half

    seen: list[Attribution] = []
    model = make("residual")
    (source,) = inputs_of(model)
    (found,) = explain(model, [source], [Slow()], preview=seen.append).attributions
    assert np.allclose(2 * seen[0].values, found.values)
    assert seen[0].series is found.series
