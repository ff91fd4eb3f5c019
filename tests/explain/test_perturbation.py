# SPDX-License-Identifier: Apache-2.0
"""Methods that cover, mask and remove: against captum, against the papers, coarse to fine, in a region."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum import attr
from explain_nets import inputs_of, make, maps, model_of, near, one
from skimage.transform import resize
from torch import Tensor, nn

from plugins import rise
from plugins.feature_ablation import FeatureAblation
from plugins.kernel_shap import KernelSHAP, coalitions
from plugins.occlusion import Occlusion
from plugins.rise import RISE
from viewer.explain import Explainer, baseline, explain, features
from viewer.explain.features import Cut
from viewer.export.provenance import provenance
from viewer.models import Model
from viewer.types import Attribution, ModelInput, Region, Target

TARGETS = [Target("effusion", 0), Target("mass", 1), Target("nodule", 2)]
KINDS = ("residual", "timm ViT", "3D CNN")


class Spot(nn.Module):
    """Sees bright pixels in one place only, each label with its own weight."""

    def __init__(self, where: tuple[slice, ...]) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: Tensor) -> Tensor:
        seen = x[(slice(None), slice(None), *self.where)].flatten(1).sum(1)
        return torch.stack([seen, -2 * seen, seen * 0 + 1], 1)


def spot(size: tuple[int, ...], where: tuple[slice, ...]) -> Model:
    return model_of(Spot(where), size, 1)


def counting(model: Model) -> list[int]:
    sizes: list[int] = []
    model._module.register_forward_pre_hook(lambda _m, arguments: sizes.append(len(arguments[0])))
    return sizes


# --- occlusion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("window", "stride"), [(6, 4), (7, 7), (5, 1), (40, 40)])
def test_occlusion_is_captums_for_every_label(kind: str, window: int, stride: int) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    if kind == "3D CNN":
        stride = max(stride, 3)
    sides = source.tensor.shape[2:]
    windows = (source.tensor.shape[1], *[min(window, side) for side in sides])
    strides = (source.tensor.shape[1], *[min(stride, w) for w in windows[1:]])
    found = maps(explain(model, [source], [Occlusion(window, stride, "mean")], TARGETS))
    peer = attr.Occlusion(model._module)
    for target, ours in zip(TARGETS, found, strict=True):
        with torch.no_grad():
            cover = baseline(source.tensor, "mean")
            theirs = peer.attribute(
                source.tensor, windows, strides, cover, target.index, perturbations_per_eval=16
            )
        assert near(ours, theirs[0, 0].reshape(ours.shape).numpy(), 1e-4)


@pytest.mark.parametrize("black", [0, 14, 32], ids=["none of it", "a border", "all of it"])
def test_windows_that_are_black_already_are_not_run(black: int) -> None:
    """A border of a radiograph: the map is captum's, and each image that was run was another one."""
    model = make("residual")
    (source,) = inputs_of(model)
    source.tensor.clamp_(0.1)[..., :black] = 0
    sizes = counting(model)
    found = maps(explain(model, [source], [Occlusion(4, 4, "zero")], TARGETS))
    assert sum(sizes) - 1 == max(1, 8 * (8 - black // 4))
    model._module._forward_pre_hooks.clear()
    peer, window = attr.Occlusion(model._module), (3, 4, 4)
    for target, ours in zip(TARGETS, found, strict=True):
        theirs = peer.attribute(source.tensor, window, window, 0.0, target.index, perturbations_per_eval=16)
        wanted = theirs[0, 0].detach().reshape(ours.shape).numpy()
        if black == 32:
            assert np.abs(wanted).max() < 1e-6  # captum runs it all the same, and rounds
            assert not ours.any()
        else:
            assert near(ours, wanted, 1e-4)
        assert not ours[..., : black // 4 * 4].any()


@pytest.mark.parametrize("kind", KINDS)
def test_coarse_to_fine_with_enough_windows_is_the_map_of_the_finest(kind: str) -> None:
    model = make(kind)
    size = 3 if kind != "3D CNN" else 2
    fine = maps(explain(model, inputs_of(model), [Occlusion(size, size)], TARGETS))
    refined = Occlusion(size, coarse_to_fine=True, budget=10_000)
    for ours, wanted in zip(maps(explain(model, inputs_of(model), [refined], TARGETS)), fine, strict=True):
        assert near(ours, wanted, 1e-4)


@pytest.mark.parametrize(
    ("size", "where"),
    [((64, 64), (slice(40, 44), slice(20, 24))), ((16, 32, 32), (slice(8, 10), slice(20, 22), slice(4, 6)))],
)
def test_coarse_to_fine_finds_a_spot_with_few_windows(
    size: tuple[int, ...], where: tuple[slice, ...]
) -> None:
    model = spot(size, where)
    sizes = counting(model)
    edge = where[0].stop - where[0].start
    method = Occlusion(edge, coarse_to_fine=True, baseline="zero")
    every = int(np.prod([side // edge for side in size]))
    seen: list[Attribution] = []
    sizes.clear()
    (found,) = explain(model, inputs_of(model), [method], TARGETS[:1], preview=seen.append).attributions
    assert sum(sizes) - 1 <= every // 4
    expected: Any = np.zeros(found.values.shape, bool)
    expected[where if len(size) == 3 else (0, *where)] = True
    source = inputs_of(model)[0].tensor[0, 0].numpy().reshape(expected.shape)
    assert np.allclose(found.values[expected], source[expected].sum(), atol=1e-4)
    assert np.abs(found.values[~expected]).max() < 1e-4
    assert len(seen) >= 1  # after each level but the last
    first = seen[0].values[expected]
    share = 2 ** (len(size) * len(seen))
    assert np.allclose(first, source[expected].sum() / share, atol=1e-4)  # large windows share their fall out


def test_coarse_to_fine_keeps_to_its_budget_and_refines_for_every_label() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            first, second = x[:, 0, 2, 2], x[:, 0, 60, 60]
            return torch.stack([1e3 * first, 1e-3 * second, first * 0], 1)

    model = model_of(Two(), (64, 64), 1)
    sizes = counting(model)
    method = Occlusion(2, coarse_to_fine=True, budget=120)
    sizes.clear()
    one_, two, _ = maps(explain(model, inputs_of(model), [method], TARGETS))
    assert sum(sizes) - 1 <= 120
    assert set(zip(*np.nonzero(one_[0]), strict=True)) == {(r, c) for r in (2, 3) for c in (2, 3)}
    assert set(zip(*np.nonzero(two[0]), strict=True)) == {(r, c) for r in (60, 61) for c in (60, 61)}


@pytest.mark.parametrize(
    ("method", "kind", "sizes", "steps"),
    [
        (Occlusion(), "plain CNN", [[4, 4]], [[2, 2]]),
        (Occlusion(window=100), "plain CNN", [[32, 32]], [[32, 32]]),
        (Occlusion(coarse_to_fine=True, budget=64), "plain CNN", [[8, 8], [4, 4]], [[8, 8], [4, 4]]),
        (Occlusion(coarse_to_fine=True, budget=16), "plain CNN", [[8, 8]], [[8, 8]]),
        (Occlusion(coarse_to_fine=True), "plain CNN", [[8, 8], [4, 4]], [[8, 8], [4, 4]]),
        (Occlusion(), "3D CNN", [[1, 2, 2]], [[1, 1, 1]]),
    ],
    ids=["automatic", "larger than the image", "two levels", "one level", "as it is set", "a volume"],
)
def test_the_windows_that_were_covered_are_recorded_once(
    method: Occlusion, kind: str, sizes: list[list[int]], steps: list[list[int]]
) -> None:
    """Also where the settings say 0, as for an input whose sides differ; lengths are no counts."""
    covered = one(make(kind), method, Target("mass", 1))
    assert provenance(covered)["resolution"] == {"part": "window", "sizes": sizes, "steps": steps}
    assert provenance(covered)["found"] == {}


def test_occlusion_covers_nothing_outside_of_a_region() -> None:
    """Also where its windows reach over the edge of the region."""
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            return x.flatten(1)[:, :3] + x.mean((1, 2, 3))[:, None]

    model = model_of(Watching(), (32, 32), 1)
    (source,) = inputs_of(model)
    region = Region.box(source.series, 0, (7, 9, 14, 20), "box")
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[7:15, 9:21] = True
    for method in (Occlusion(6, 4), Occlusion(3, coarse_to_fine=True, budget=500)):
        seen.clear()
        (found,) = explain(model, [source], [method], within=region).attributions
        for x in seen:
            assert (x == source.tensor)[:, :, ~inside].all()
        assert not found.values[0][~inside.numpy()].any()
        assert found.values[0][inside.numpy()].all()


# --- RISE -----------------------------------------------------------------------------------------


def rise_of_the_paper(
    model: Model, x: Tensor, cover: Tensor, method: RISE, target: int
) -> tuple[np.ndarray, np.ndarray]:
    """Section 3 of the paper, mask by mask: skimage enlarges; also the mean of the masks."""
    sides = x.shape[2:]
    generator = torch.Generator().manual_seed(method.seed)
    size = [-(-side // method.cells) for side in sides]
    cells = (
        torch.rand(method.masks, *[method.cells] * len(sides), generator=generator) < method.seen
    ).numpy()
    shifts = torch.stack([torch.randint(0, s, (method.masks,), generator=generator) for s in size], 1)
    total, mean = np.zeros(sides), np.zeros(sides)
    scores = []
    for seen, shift in zip(cells, shifts.tolist(), strict=True):
        shape = [(method.cells + 1) * s for s in size]
        large = resize(seen.astype(float), shape, order=1, mode="edge", anti_aliasing=False)
        mask = large[tuple(slice(a, a + side) for a, side in zip(shift, sides, strict=True))]
        soft = torch.as_tensor(mask, dtype=torch.float32)
        with torch.no_grad():
            score = float(model._module(x * soft + cover * (1 - soft))[0, target])
        scores.append(score)
        total += score * mask
        mean += mask
    values = total / (method.seen * method.masks)
    return values, values - np.mean(scores) * mean / (method.seen * method.masks)


@pytest.mark.parametrize("kind", KINDS)
def test_rise_is_the_papers(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    method = RISE(
        masks=30, cells=3 if kind == "3D CNN" else 5, seen=0.4, centred=False, baseline="zero", seed=7
    )
    found = maps(explain(model, [source], [method], TARGETS))
    centred = maps(explain(model, [source], [replace(method, centred=True)], TARGETS))
    for target in TARGETS:
        wanted = rise_of_the_paper(model, source.tensor, torch.zeros(1), method, target.index)
        ours = (found[target.index], centred[target.index])
        assert all(near(a, b.reshape(a.shape), 1e-4) for a, b in zip(ours, wanted, strict=True))


def test_masks_do_not_depend_on_the_chunk_and_do_on_the_seed() -> None:
    model = make("residual")
    one_, other, seeded = (
        one(model, RISE(masks=50, batch=batch, seed=seed), TARGETS[0]).values
        for batch, seed in ((50, 0), (7, 0), (50, 1))
    )
    assert near(one_, other)
    assert not near(one_, seeded, 0.1)


def test_rise_never_holds_more_masks_than_its_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    call = rise.Masks.__call__

    def counted(self: Any, first: int, last: int) -> Tensor:
        made.append(last - first)
        return call(self, first, last)

    monkeypatch.setattr(rise.Masks, "__call__", counted)
    one(make("plain CNN"), RISE(masks=500, batch=8), TARGETS[0])
    assert max(made) == 8
    assert sum(made) == 500


def test_rise_finds_a_spot_and_says_nothing_elsewhere() -> None:
    where = (slice(20, 28), slice(4, 12))
    model = spot((32, 32), where)
    seen: list[Attribution] = []
    method = RISE(masks=2000, baseline="zero", cells=4)
    source = inputs_of(model)[0]
    bright = ModelInput(source.series, 0, torch.ones(1, 1, 32, 32), source.matrix)
    first, second, flat = explain(model, [bright], [method], TARGETS, preview=seen.append).attributions
    peak = np.unravel_index(first.values[0].argmax(), (32, 32))
    assert all(a.start <= p < a.stop for a, p in zip(where, peak, strict=True))
    assert first.values[0, 22:26, 6:10].min() > 4 * np.abs(first.values[0, :12, 20:]).max()
    assert np.allclose(second.values, -2 * first.values, atol=1e-3)
    assert np.abs(flat.values).max() < 1e-4  # the paper's would be 1 wherever a mask has let light through
    assert len(seen) % 3 == 0
    assert 3 <= len(seen) // 3 <= 6  # at each doubling, for three labels
    assert np.corrcoef(seen[-3].values.flatten(), first.values.flatten())[0, 1] > 0.9


def test_rise_hides_nothing_outside_of_a_region() -> None:
    model = spot((32, 32), (slice(0, 16), slice(0, 32)))
    (source,) = inputs_of(model)
    region = Region.box(source.series, 0, (20, 4, 27, 11), "box")
    (found,) = explain(model, [source], [RISE(masks=40, cells=4)], TARGETS[:1], within=region).attributions
    assert np.abs(found.values).max() < 1e-3  # the spot is never hidden
    region = Region.box(source.series, 0, (8, 4, 15, 11), "box")
    (found,) = explain(model, [source], [RISE(masks=40, cells=8)], TARGETS[:1], within=region).attributions
    inside = np.zeros((32, 32), bool)
    inside[8:16, 4:12] = True
    assert np.abs(found.values[0][inside]).max() > 1e-2
    assert not found.values[0][~inside].any()


# --- features -------------------------------------------------------------------------------------


def halves(model: Model) -> ModelInput:
    """An input whose parts SLIC must find: bright discs on a slope."""
    (source,) = inputs_of(model)
    sides = source.tensor.shape[2:]
    place = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, s) for s in sides], indexing="ij"))
    disc = ((place**2).sum(0) < 0.3).float() * 3 + place[0]
    return ModelInput(source.series, source.slice, source.tensor * 0.02 + disc, source.matrix)


@pytest.mark.parametrize("over", ["superpixels", "grid"])
@pytest.mark.parametrize("size", [(40, 56), (8, 24, 20)])
def test_features_are_numbered_without_a_gap_and_as_many_as_asked(over: Cut, size: tuple[int, ...]) -> None:
    x = halves(spot(size, (slice(0, 1),) * len(size))).tensor[0]
    within = torch.zeros(size, dtype=torch.bool)
    within[tuple(slice(s // 4, s // 2) for s in size)] = True
    within[tuple(slice(s // 2, s // 2 + 2) for s in size)] = True
    for mask in (None, within):
        numbers = features(x, over, 30, mask)
        assert numbers.shape == size
        inside = torch.ones(size, dtype=torch.bool) if mask is None else mask
        assert (numbers[~inside] == -1).all()
        assert torch.equal(numbers[inside].unique(), torch.arange(int(numbers.max()) + 1))
        assert 8 <= int(numbers.max()) + 1 <= 45
    assert torch.equal(numbers, features(x, over, 30, within))


def test_superpixels_follow_the_image_that_the_network_is_shown() -> None:
    x = halves(spot((40, 56), (slice(0, 1),) * 2)).tensor[0]
    disc = (x[0] - torch.linspace(-1, 1, 40)[:, None]) > 1.5

    def mixed(over: Cut) -> float:
        numbers = features(x, over, 40)
        share = torch.zeros(int(numbers.max()) + 1).index_add_(0, numbers.flatten(), disc.flatten().float())
        share = share / numbers.flatten().bincount()
        return float((share * (1 - share) * numbers.flatten().bincount()).sum())

    assert mixed("superpixels") < 0.1 * mixed("grid")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("over", ["superpixels", "grid"])
def test_feature_ablation_is_captums_with_the_same_mask(kind: str, over: Cut) -> None:
    model = make(kind)
    source = halves(model)
    method = FeatureAblation(features=10, over=over, baseline="blur")
    found = maps(explain(model, [source], [method], TARGETS))
    mask = features(source.tensor[0], over, 10)
    cover = baseline(source.tensor, "blur")
    for target, ours in zip(TARGETS, found, strict=True):
        with torch.no_grad():
            theirs = attr.FeatureAblation(model._module).attribute(
                source.tensor, cover, target.index, feature_mask=mask[None, None]
            )
        assert near(ours, theirs[0, 0].reshape(ours.shape).numpy(), 1e-4)


# --- KernelSHAP -----------------------------------------------------------------------------------


def exact(model: Model, x: Tensor, cover: Tensor, mask: Tensor, target: int) -> list[float]:
    """Shapley values by their definition, over all orders' weights."""
    count = int(mask.max()) + 1
    score = {}
    for some in itertools.chain.from_iterable(
        itertools.combinations(range(count), k) for k in range(count + 1)
    ):
        seen = torch.isin(mask, torch.tensor(some, dtype=torch.long))
        with torch.no_grad():
            score[frozenset(some)] = float(model._module(torch.where(seen, x, cover))[0, target])
    return [
        sum(
            math.factorial(len(s)) * math.factorial(count - len(s) - 1) / math.factorial(count)
            * (score[s | {i}] - score[s])
            for s in score
            if i not in s
        )
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_shap_of_few_features_is_exact(kind: str) -> None:
    model = make(kind)
    source = halves(model)
    cover = baseline(source.tensor, "mean")
    mask = features(source.tensor[0], "grid", 7)
    assert 4 <= int(mask.max()) + 1 <= 9
    found = maps(explain(model, [source], [KernelSHAP(7, "grid", baseline="mean")], TARGETS))
    for target, ours in zip(TARGETS, found, strict=True):
        wanted = torch.tensor(exact(model, source.tensor, cover, mask, target.index))[mask]
        assert near(ours, wanted.reshape(ours.shape).numpy(), 1e-4)


@pytest.mark.parametrize("samples", [40, 400])
def test_kernel_shap_is_captums_on_the_same_coalitions(samples: int) -> None:
    model = make("residual")
    source = halves(model)
    mask = features(source.tensor[0], "grid", 16)
    sets, weights = coalitions(16, samples, seed=3)
    drawn = sets[1:].repeat_interleave(weights[1:].long(), 0)
    assert abs(len(drawn) - samples) <= 1

    class Same(attr.KernelShap):
        def kernel_shap_perturb_generator(self, _original: Any, **_facts: Any) -> Iterator[Tensor]:
            yield torch.ones(1, 16)
            yield torch.zeros(1, 16)
            yield from drawn[:, None].long()

    found = maps(explain(model, [source], [KernelSHAP(16, "grid", samples, seed=3)], TARGETS))
    for target, ours in zip(TARGETS, found, strict=True):
        with torch.no_grad():
            theirs = Same(model._module).attribute(
                source.tensor,
                baseline(source.tensor, "minimum"),
                target.index,
                feature_mask=mask[None, None],
                n_samples=len(drawn) + 2,
            )
        assert near(ours[0], theirs[0, 0].numpy(), 2e-3)


def gap(model: Model, source: ModelInput, target: int, within: Tensor | None = None) -> float:
    cover = baseline(source.tensor, "minimum")
    cover = cover if within is None else torch.where(within, cover, source.tensor)
    with torch.no_grad():
        return float((model._module(source.tensor) - model._module(cover))[0, target])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [12, 100])  # 12 do not decide the values of 20 features
@pytest.mark.parametrize("coarse", [False, True])
def test_shapley_values_add_up_to_the_difference(kind: str, samples: int, coarse: bool) -> None:
    model = make(kind)
    source = halves(model)
    method = KernelSHAP(20, "superpixels", samples, coarse)
    mask = features(source.tensor[0], "superpixels", 20)
    for target, found in zip(TARGETS, explain(model, [source], [method], TARGETS).attributions, strict=True):
        each = torch.zeros(int(mask.max()) + 1)
        each[mask.flatten()] = torch.as_tensor(found.values.copy()).flatten()
        assert float(each.sum()) == pytest.approx(gap(model, source, target.index), rel=1e-4, abs=1e-5)


def test_shapley_values_do_not_depend_on_the_chunk_and_do_on_the_seed() -> None:
    model = make("residual")
    source = halves(model)
    first, again, other = (
        maps(explain(model, [source], [KernelSHAP(20, samples=60, batch=b, seed=s)], TARGETS[:1]))[0]
        for b, s in ((64, 0), (5, 0), (64, 1))
    )
    assert near(first, again, 1e-4)
    assert not near(first, other, 0.02)


def test_coalitions_have_the_sizes_that_the_kernel_asks_for() -> None:
    sets, weights = coalitions(6, 62, 0)
    assert len(sets.unique(dim=0)) == 63  # all but the full one
    sizes = sets.sum(1)
    for size in range(1, 6):
        total = float(weights[sizes == size].sum())
        assert total == pytest.approx(5 / (size * (6 - size)))
    sets, weights = coalitions(20, 20_000, 0)
    sizes = sets.sum(1)
    kernel = torch.tensor([19 / (s * (20 - s)) for s in range(1, 20)])
    found = torch.tensor([float(weights[sizes == s].sum()) for s in range(1, 20)])
    assert torch.allclose(found / found.sum(), kernel / kernel.sum(), atol=0.01)
    assert torch.equal(sets[0], torch.zeros(20, dtype=torch.bool))


def test_games_coarse_to_fine_end_at_the_features_that_matter() -> None:
    where = (slice(32, 40), slice(16, 24))
    model = spot((64, 64), where)
    sizes = counting(model)
    seen: list[Attribution] = []
    method = KernelSHAP(64, "grid", 254, coarse_to_fine=True, baseline="zero")
    sizes.clear()
    (found,) = explain(model, inputs_of(model), [method], TARGETS[:1], preview=seen.append).attributions
    expected = np.zeros((64, 64), bool)
    expected[where] = True
    wanted = inputs_of(model)[0].tensor[0, 0].numpy()[expected].sum()
    assert np.allclose(found.values[0][expected], wanted, atol=1e-3)
    assert np.abs(found.values[0][~expected]).max() < 1e-3
    assert sum(sizes) <= 1 + 3 * 255
    assert [len(np.unique(a.values.round(3))) for a in seen] == [2] * len(seen)
    assert np.allclose(seen[0].values[0][expected], wanted / 8, atol=1e-3)  # eight groups of eight features


@pytest.mark.parametrize(
    "method", [FeatureAblation(12), KernelSHAP(12, samples=40), KernelSHAP(12, "grid", 40, True)]
)
def test_features_of_a_region_alone_are_removed(method: Explainer) -> None:
    model = make("residual")
    source = halves(model)
    region = Region.box(source.series, 0, (5, 9, 20, 28), "box")
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[5:21, 9:29] = True
    seen: list[Tensor] = []
    model._module.register_forward_pre_hook(lambda _m, arguments: seen.append(arguments[0].clone()))
    (found,) = explain(model, [source], [method], TARGETS[:1], within=region).attributions
    assert all((x == source.tensor)[:, :, ~inside].all() for x in seen)
    assert not found.values[0][~inside.numpy()].any()
    assert found.values[0][inside.numpy()].all()
    if isinstance(method, KernelSHAP):
        assert method.over != "segments"
        mask = features(source.tensor[0], method.over, 12, inside)
        each = torch.zeros(int(mask.max()) + 1)
        each[mask[inside]] = torch.as_tensor(found.values[0][inside.numpy()])
        assert float(each.sum()) == pytest.approx(gap(model, source, 0, inside), rel=1e-4)


@pytest.mark.parametrize("noise", [0.05, 0.3, 10.0])
@pytest.mark.parametrize("side", [32, 96])
def test_superpixels_do_not_run_together_in_noise(side: int, noise: float) -> None:
    """One part of nearly the whole image would make a map that says nothing, without a word."""
    row, column = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    clean = torch.exp(-20 * ((row - 0.2) ** 2 + (column + 0.1) ** 2))
    x = clean + noise * torch.randn(side, side, generator=torch.Generator().manual_seed(1))
    numbers = features(x[None], "superpixels", 50)
    size = numbers.flatten().bincount()
    assert 25 <= len(size) <= 75
    assert size.max() <= 0.2 * side**2
