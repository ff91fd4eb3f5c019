"""Methods that cover, mask and remove: against captum, against the papers, coarse to fine, in a region."""

import numpy as np
import pytest
import torch
from captum import attr
from explain_nets import inputs_of, make, maps, model_of, near
from torch import Tensor, nn

from plugins.occlusion import Occlusion
from viewer.explain import baseline, explain
from viewer.models import Model
from viewer.types import Attribution, Region, Target

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
