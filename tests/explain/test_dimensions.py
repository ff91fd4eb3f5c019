# SPDX-License-Identifier: Apache-2.0
"""Every kind of target in closed form on networks of slices and volumes; neighbouring slices as channels."""

from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import LABELS, near
from test_contract import method
from torch import Tensor, nn

from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.saliency import Saliency
from viewer import affine, session
from viewer.explain import discover, explain, read_targets
from viewer.models import Card, Model
from viewer.models.builtin import SmallCNN
from viewer.overlay import on_source
from viewer.types import Display, Geometry, Region, Series, Target

SIZES = {2: (14, 18), 3: (5, 14, 18)}


class Dense(nn.Module):
    """One output per pixel and label; with `pooled` its mean: one a label, as in a regression."""

    def __init__(self, dimensions: int, pooled: bool) -> None:
        super().__init__()
        conv = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.body = nn.Sequential(conv(1, 5, 3, padding=1), nn.ReLU(inplace=True))
        self.out = conv(5, len(LABELS), 1)
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(self.body(x))
        return y.flatten(2).mean(2) if self.pooled else y


def series_of(shape: tuple[int, ...], seed: int = 1) -> Series:
    voxels = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    geometry = Geometry(np.diag([2.0, 0.5, 0.75, 1]), "patient", True, between=shape[0] > 1)
    return Series("1.2.3", "MR", voxels, geometry, Display(((1.0, 0.0),) * shape[0]))


def model_of(net: nn.Module, size: tuple[int, ...], activation: str = "sigmoid", **facts: Any) -> Model:
    card = Card.model_validate(
        {
            "name": "m", "architecture": "test:m", "weights": "none",
            "input": {"dimensions": len(size), "size": size, "fit": "squash", "values": {"range": [-1, 1]}}
            | facts,
            "output": {"labels": LABELS, "activation": activation},
        }
    )  # fmt: skip
    return Model(card, net, "0" * 64, torch.device("cpu"))


def wishes(kind: str, series: Series, dimensions: int, plain: bool) -> tuple[list[Target], Any]:
    """The targets of a kind, and for each the number that it means, from an output per pixel."""
    slice_ = 2 if dimensions == 3 else 0

    def mean(index: int) -> Any:
        return lambda y: y[0, index].mean()

    if kind == "all":
        return [Target(n, i, plain=plain) for i, n in enumerate(LABELS)], [mean(i) for i in range(3)]
    if kind == "difference":
        target = Target("mass", 1, "nodule", 2, plain=plain)
        return [target], [lambda y: (y[0, 1] - y[0, 2]).mean()]
    if kind == "region":
        target = Target("mass", 1, region=Region.box(series, slice_, (3, 4, 7, 12), "box"))
        inside = (
            (0, 1, slice_, slice(3, 8), slice(4, 13))
            if dimensions == 3
            else (0, 1, slice(3, 8), slice(4, 13))
        )
        return [target], [lambda y: y[inside].mean()]
    return [Target("mass", 1, plain=plain)], [mean(1)]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["label", "all", "difference", "region", "output"])
def test_every_target_is_its_closed_form(kind: str, dimensions: int) -> None:
    """Gradients by autograd on the definition; of HiResCAM the share of each place; of IG the sum."""
    torch.manual_seed(dimensions)
    net = Dense(dimensions, pooled=kind == "output")
    size = SIZES[dimensions]
    series = series_of(size if dimensions == 3 else (1, *size))
    plain = kind == "output"
    model = model_of(net, size, "none" if plain else "sigmoid")
    source = model.prepare(series)
    targets, numbers = wishes(kind, series, dimensions, plain)
    methods = [Saliency(), HiResCAM(layer="body"), IntegratedGradients(steps=64, baseline="zero")]
    explained = explain(model, [source], methods, targets)
    assert not explained.refused
    found = [explained.attributions[i : i + len(targets)] for i in range(0, 3 * len(targets), len(targets))]
    for n, (target, number) in enumerate(zip(targets, numbers, strict=True)):
        x = source.tensor.clone().requires_grad_()
        hidden = net.body(x)
        hidden.retain_grad()
        score = number(net.out(hidden))
        (at_input, at_layer) = torch.autograd.grad(score, [x, hidden])
        shape = found[0][n].values.shape
        assert near(found[0][n].values, at_input.abs().sum(1).numpy().reshape(shape))
        assert near(found[1][n].values, (at_layer * hidden).sum(1).detach().numpy().reshape(shape))
        with torch.no_grad():
            change = float(score - number(net.out(net.body(torch.zeros_like(x)))))
        assert found[2][n].values.sum() == pytest.approx(change, rel=0.02, abs=1e-4)
        assert all(maps[n].target is target for maps in found)
        assert target.kind == ("label" if kind == "all" else kind)
        assert np.allclose(found[0][n].matrix, source.matrix)


def test_a_box_on_one_slice_of_a_volume_is_that_slice_alone() -> None:
    model = model_of(Dense(3, pooled=False), SIZES[3])
    series = series_of(SIZES[3])
    (target,) = read_targets("mass@3,4,7,12", model, series)
    (found,) = explain(model, [model.prepare(series)], [Saliency()], [target]).attributions
    mask = target.region.on(np.eye(4), (SIZES[3][0], SIZES[3][1], SIZES[3][2]))
    assert mask[2, 3:8, 4:13].all()
    assert mask.sum() == 5 * 9
    felt = np.argwhere(found.values > 0)
    assert felt.min(0).tolist() == [1, 2, 3]
    assert felt.max(0).tolist() == [3, 8, 13]


# --- 2.5D -----------------------------------------------------------------------------------------


class Middle(nn.Module):
    """A network of three neighbouring slices of which only the one in the middle counts."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(inplace=True))
        self.head = nn.Linear(4, 3)
        with torch.no_grad():
            self.blocks.get_parameter("0.weight")[:, (0, 2)] = 0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).flatten(2).mean(2))


def neighbouring(net: nn.Module) -> Model:
    return model_of(net, (16, 16), channels=3, neighbours=1)


NEAR = neighbouring(SmallCNN(3, 3, (4, 6)))
SUITED = [m.name for m in discover() if not method(m.name).unsuitable(NEAR)]


@pytest.mark.parametrize("name", SUITED)
def test_a_map_of_neighbouring_slices_lies_on_the_middle_one(name: str) -> None:
    torch.manual_seed(2)
    model, series = neighbouring(SmallCNN(3, 3, (4, 6))), series_of((5, 16, 16))
    found = session.ask(series, model, [method(name)], "mass", slice="all")
    assert not found.refused
    assert [a.slice for a in found.attributions] == list(range(5))
    for i, attribution in enumerate(found.attributions):
        assert affine.apply(attribution.matrix, (0, 0, 0))[0] == i
        assert np.isfinite(on_source(attribution, i)).all()
        for beside in {max(i - 1, 0), min(i + 1, 4)} - {i}:
            assert np.isnan(on_source(attribution, beside)).all()


def test_what_stands_on_a_neighbour_alone_moves_no_map_that_reads_the_middle() -> None:
    torch.manual_seed(3)
    voxels = np.full((5, 16, 16), 120, np.uint8)
    voxels[3, 5:9, 6:10] = 250
    series = series_of((5, 16, 16))
    lit = Series("1", "MR", voxels, series.geometry, series.display)
    dull = Series("2", "MR", np.full_like(voxels, 120), series.geometry, series.display)
    model = neighbouring(Middle())
    for name in ("hires-cam", "integrated-gradients"):
        one, other = (session.ask(s, model, [name], "mass", slice="all").attributions for s in (lit, dull))
        change = [float(np.abs(a.values - b.values).max()) for a, b in zip(one, other, strict=True)]
        assert [c > 1e-6 for c in change] == [False, False, False, True, False]
        moved = np.argwhere(np.abs(one[3].values - other[3].values)[0] > 1e-6)
        assert (moved.min(0) >= (3, 4)).all()
        assert (moved.max(0) <= (10, 11)).all()
