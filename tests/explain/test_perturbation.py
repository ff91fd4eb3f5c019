"""Methods that cover, mask and remove: against captum, against the papers, coarse to fine, in a region."""

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
from plugins.occlusion import Occlusion
from plugins.rise import RISE
from viewer.explain import baseline, explain
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
    expected = np.zeros(found.values.shape, bool)
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
    call = rise._Masks.__call__

    def counted(self: Any, first: int, last: int) -> Tensor:
        made.append(last - first)
        return call(self, first, last)

    monkeypatch.setattr(rise._Masks, "__call__", counted)
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
