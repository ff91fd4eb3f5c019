# SPDX-License-Identifier: Apache-2.0
"""Sweeps of networks that answer only where a finding lies near the middle of their block."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_patches import noise, patch_model, series_of, small
from torch import Tensor, nn

from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from plugins.saliency import Saliency
from viewer import session
from viewer.explain import sweep
from viewer.explain.grid import Looked, maxima, middle_of_rise
from viewer.explain.half_width import ENOUGH, LEAST, fine_enough, finer, half_width
from viewer.models import Model
from viewer.overlay import on_source
from viewer.task import Task
from viewer.types import Series, Sweep, Target
from viewer.types.swept import least_share

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from measure_sweep import BLOCK, BROAD, NARROW, Kind, model, reached
from measure_sweep import sweep as measured

SIZE = (8, 12, 16)
BALL = Target("light", 0)


class Near(nn.Module):
    """The brightest voxel, halved where it lies half a half-width (a share of the block) off the middle."""

    def __init__(self, half: tuple[float, ...], gain: float = 8.0, bias: float = 4.0) -> None:
        super().__init__()
        sides = [
            ((torch.arange(n) - (n - 1) / 2) / n / h) ** 2
            for n, h in zip(SIZE[-len(half) :], half, strict=True)
        ]
        far = sides[0]
        for side in sides[1:]:
            far = far[..., None] + side
        self.window = nn.Parameter(2.0**-far)
        self.gain, self.bias = gain, bias

    def forward(self, x: Tensor) -> Tensor:
        return (self.gain * (x * self.window).flatten(1).amax(1) - self.bias)[:, None]


def near(half: tuple[float, ...], **facts: float) -> Model:
    return patch_model(Near(half, **facts), ("light",), size=SIZE[-len(half) :])


def lit(
    *places: tuple[int, int, int], shape: tuple[int, int, int] = (32, 60, 80), values: Any = ()
) -> Series:
    """Dark but for single voxels, of 255 where nothing else is said."""
    voxels = np.zeros(shape, np.uint8)
    for place, value in zip(places, values or [255] * len(places), strict=True):
        voxels[place] = value
    return series_of(voxels)


# --- the best blocks ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(10, 15, 20), (18, 33, 55), (13, 21, 36)])
@pytest.mark.parametrize("half", [(0.3, 0.3, 0.3), (0.4, 0.3, 0.5), (0.6, 0.6, 0.6)], ids=str)
def test_the_best_block_has_what_is_there_in_its_middle(
    place: tuple[int, int, int], half: tuple[float, float, float]
) -> None:
    net = near(half)
    (swept,) = session.ask(lit(place), net, (), at=Sweep()).swept
    assert np.abs(np.array(swept.best[0].place) - place).max() <= 1
    (placed,) = session.predict(lit(place), net, at=place)
    assert swept.best[0].score.logit >= 0.95 * placed.scores[0].logit
    assert swept.grid == 7 * 9 * 9
    assert swept.count <= 1.5 * swept.grid


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_plain_sweep_misses_what_a_refined_one_finds(dimensions: int) -> None:
    series, net = lit((17, 32, 43)), near((0.25,) * dimensions)
    where = None if dimensions == 3 else 17
    plain, refined = (
        session.ask(series, net, (), slice=where, at=Sweep(refine=on)).swept[0] for on in (False, True)
    )
    assert plain.best[0].score.probability < 0.5 < 0.95 < refined.best[0].score.probability
    assert not plain.refined
    assert plain.count == plain.grid < refined.count
    assert plain.half_width == (None, None, None)


def test_local_maxima_are_listed_apart_the_best_first() -> None:
    places = ((9, 15, 20), (9, 40, 60), (24, 44, 21))
    series = lit(*places, values=(180, 250, 210))
    (swept,) = session.ask(series, near((0.4,) * 3), (), at=Sweep()).swept
    for block, place in zip(swept.best, (places[1], places[2], places[0]), strict=False):
        assert np.abs(np.array(block.place) - place).max() <= 1
    scores = [block.score.logit for block in swept.best]
    assert scores == sorted(scores, reverse=True)
    for i, one in enumerate(swept.best):
        for other in swept.best[:i]:
            assert (np.abs(np.array(one.place) - other.place) >= np.array(SIZE) / 2).any()


def test_a_block_is_known_in_millimetres_where_the_series_is() -> None:
    (swept,) = session.ask(lit((17, 32, 43)), near((0.4,) * 3), (), at=Sweep()).swept
    block, geometry = swept.best[0], lit((0, 0, 0)).geometry
    assert block.position(geometry) == pytest.approx(np.array(block.place) * (2, 0.5, 0.75))
    assert block.position(replace(geometry, orientation_known=False)) is None


# --- each block once ------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [(), (GradCAM(),), (GradCAM(), HiResCAM())], ids=len)
def test_no_block_is_run_twice_but_the_few_best_that_are_explained(
    methods: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    net = near((0.4,) * 3)
    run = Model.run

    def counting(self: Model, forward: Any, x: Tensor) -> Tensor:
        seen.append(len(x))
        return run(self, forward, x)

    monkeypatch.setattr(Model, "run", counting)
    found = session.ask(lit((17, 32, 43)), net, methods, "light", at=Sweep())
    again = 0 if not methods else min(4, len(found.swept[0].best))
    assert found.swept[0].count <= sum(seen) <= found.swept[0].count + again
    assert len({tuple(p.input.matrix.flat) for p in found.predictions}) == len(found.predictions)


@pytest.mark.parametrize("wish", [{}, {"finer": True}, {"refine": False}], ids=str)
def test_what_is_found_for_a_label_does_not_depend_on_what_else_is_asked(wish: dict[str, bool]) -> None:
    series, net = noise(9, 40, 40), small(3)
    wishes = [Target(label, i) for i, label in enumerate(net.labels)]
    tilings = [net.tiling(series, Sweep(**wish))]  # type: ignore[arg-type]
    together = sweep(net, tilings, [Saliency()], wishes).attributions
    for wish_alone, one in zip(wishes, together, strict=True):
        (alone,) = sweep(net, tilings, [Saliency()], [wish_alone]).attributions
        assert (alone.swept.count, alone.swept.label) == (one.swept.count, one.swept.label)
        assert [b.place for b in alone.swept.best] == [b.place for b in one.swept.best]
        assert np.allclose(alone.values, one.values, rtol=1e-4, atol=1e-7)


def test_the_best_score_is_never_below_that_of_the_grid() -> None:
    for seed in range(3):
        series = series_of(np.random.default_rng(seed).integers(0, 256, (12, 40, 50)).astype(np.uint8))
        found = session.ask(series, near((0.3,) * 3), (), at=Sweep())
        (swept,) = found.swept
        best = max(p.scores[0].logit for p in found.predictions)
        assert swept.best[0].score.logit == pytest.approx(best)
        assert best >= max(p.scores[0].logit for p in found.predictions[: swept.grid])


# --- the half-width, and grids that are fine enough -------------------------------------------------


@pytest.mark.parametrize(
    "half", [(0.3, 0.3, 0.3), (0.2, 0.4, 0.3), (0.15, 0.15, 0.15), (0.8, 0.4, 0.8)], ids=str
)
def test_the_half_width_is_that_of_the_network(half: tuple[float, float, float]) -> None:
    net, series = near(half), lit((16, 30, 40))
    tiling = net.tiling(series, Sweep())
    looked = Looked(net, tiling, Task())
    best = tuple(round(p - (n - 1) / 2) for p, n in zip((16, 30, 40), SIZE, strict=True))
    looked.look([best], "")  # type: ignore[list-item]
    found = half_width(looked, tiling, "light", best, -4.0)  # type: ignore[arg-type]
    for measured_one, true, n in zip(found, half, SIZE, strict=True):
        assert measured_one == pytest.approx(min(true, 0.5), abs=0.75 / n + 0.02)


def test_a_network_that_says_the_same_of_all_has_no_half_width() -> None:
    (swept,) = session.ask(lit(), near((0.4,) * 3), (), at=Sweep(finer=True)).swept
    assert swept.half_width == (None, None, None)
    assert (swept.finer, swept.least) == (0, None)


@pytest.mark.parametrize(
    ("half", "enough"),
    [((0.3, 0.3, 0.3), True), ((0.2, 0.2, 0.2), False), ((0.12, 0.5, 0.5), False), ((0.5, 0.2, 0.5), True)],
    ids=str,
)
def test_a_grid_is_fine_enough_where_something_is_seen_midway(half: Any, enough: bool) -> None:
    tiling = near((0.4,) * 3).tiling(lit(), Sweep())
    assert fine_enough(tiling, half) is enough
    grid = finer(tiling, half)
    assert least_share(grid.stride, grid.size, half) >= LEAST - 0.01
    for stride, size, width, before in zip(grid.stride, grid.size, half, tiling.stride, strict=True):
        assert stride <= max(1, min(before, ENOUGH * width * size))


@pytest.mark.parametrize("half", [(0.15, 0.15, 0.15), (0.1, 0.4, 0.4), (0.4, 0.12, 0.12)], ids=str)
def test_a_finer_grid_is_announced_and_finds_what_the_first_did_not(half: tuple[float, float, float]) -> None:
    told: list[str] = []
    series, net = lit((18, 33, 44)), near(half, gain=8.0)
    (swept,) = session.ask(series, net, (), at=Sweep(finer=True), task=Task(announce=told.append)).swept
    assert np.abs(np.array(swept.best[0].place) - (18, 33, 44)).max() <= 1
    if told:
        assert f"a finer grid of {swept.grid} blocks" in told[0]
        assert "times as many" in told[0]
    (coarse,) = session.ask(series, net, (), at=Sweep()).swept
    assert coarse.grid < swept.grid
    assert coarse.finer > coarse.grid  # never a "no" without a word


# --- the blend ------------------------------------------------------------------------------------


class Around(Near):
    """The same, times what lies all around: evidence at the rim of a block with a light in its middle."""

    def forward(self, x: Tensor) -> Tensor:
        return (
            super().forward(x)
            + self.gain * (x * self.window).flatten(1).amax(1)[:, None] * (x.flatten(1).sum(1)[:, None])
        )


@pytest.mark.parametrize("place", [(16, 30, 40), (12, 22, 31), (20, 36, 60)])
def test_blocks_that_are_rejected_do_not_drown_the_map_of_one_that_is_not(
    place: tuple[int, int, int],
) -> None:
    """A third of a block beside the light, blocks that lie nearer and see no light in their middle say 0."""
    series = lit(place)
    net = patch_model(Around((0.2,) * 3, gain=7.0, bias=9.0), ("light",), size=SIZE)
    maps = {}
    for blend in ("plain", "score"):
        found = session.ask(series, net, [Saliency()], "light", at=Sweep(blend=blend))
        (maps[blend],) = found.attributions
    assert maps["score"].swept.weighted
    assert not maps["plain"].swept.weighted
    slice, row, column = place
    rim = {blend: float(on_source(one, slice)[row, column - 5]) for blend, one in maps.items()}
    assert rim["score"] > 1.5 * rim["plain"] > 0


def test_an_output_that_is_no_score_weighs_nothing() -> None:
    net = patch_model(Near((0.3,) * 3), ("light",), {"activation": "none"}, size=SIZE)
    (found,) = session.ask(lit((16, 30, 40)), net, [Saliency()], "light", at=Sweep()).attributions
    assert not found.swept.weighted


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5)])
def test_maxima_are_those_of_a_search_by_hand(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(len(shape)).permutation(np.prod(shape)).reshape(shape).astype(float)
    wanted = []
    for place in np.ndindex(shape):
        beside = [
            values[tuple(p + step * (i == axis) for i, p in enumerate(place))]
            for axis in range(len(shape))
            for step in (-1, 1)
            if 0 <= place[axis] + step < shape[axis]
        ]
        if values[place] >= max(beside):
            wanted.append(place)
    assert maxima(values) == sorted(wanted, key=lambda p: -values[p])


@pytest.mark.parametrize("true", [10.0, 12.0, 14.5])
def test_the_middle_of_a_rise_lies_between_the_blocks_that_see_it(true: float) -> None:
    starts = ((0, 6, 12, 18, 24),)
    values = np.array([2.0 ** -(((s - true) / 4) ** 2) for s in starts[0]])
    place = (int(values.argmax()),)
    assert middle_of_rise(values, place, starts)[0] == pytest.approx(true, abs=1.0)


# --- the phantom ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known() -> Callable[[Kind], Model]:
    made: dict[Kind, Model] = {}

    def of(kind: Kind) -> Model:
        if kind not in made:
            made[kind] = model(kind, True, 20)
        return made[kind]

    return of


@pytest.mark.parametrize("kind", BROAD, ids=lambda kind: kind.name)
def test_lesions_off_the_grid_are_reached(kind: Kind, known: Callable[[Kind], Model]) -> None:
    """A few of the 300 cases of docs/full-check.md."""
    cases = [measured(known(kind), kind, seed, True) for seed in range(2)]
    assert all(map(reached, cases))
    assert all(case.blocks <= 1.5 * case.grid for case in cases)
    assert all(case.best >= case.plain for case in cases)
    empty = measured(known(kind), kind, 10**5, False)
    assert max(empty.best, empty.highest) < empty.threshold  # wherever a block is laid


def test_a_narrow_network_is_told_to_need_a_finer_grid(known: Callable[[Kind], Model]) -> None:
    case = measured(known(NARROW[1]), NARROW[1], 3, True)
    assert case.finer > case.grid
    assert known(NARROW[1]).card.input.size == BLOCK
