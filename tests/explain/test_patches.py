# SPDX-License-Identifier: Apache-2.0
"""Networks that read patches, swept: every patch once, raw maps blended, everything in its place."""

import sys
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import LABELS, PerPixel, restless
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from viewer import affine, session
from viewer.errors import ExplainerError, ModelError
from viewer.explain import explain, sweep
from viewer.models import Card, Model
from viewer.models.builtin import SmallCNN
from viewer.overlay import on_source
from viewer.task import Cancelled, Progress, Task
from viewer.types import Display, Geometry, Region, Series, Sweep, Target

SIZES = {2: (16, 12), 3: (6, 16, 12)}
PLAIN = partial(Sweep, refine=False, blend="plain")
EVERYWHERE = PLAIN()


def series_of(voxels: np.ndarray, matrix: np.ndarray | None = None) -> Series:
    geometry = Geometry(
        np.diag([2.0, 0.5, 0.75, 1]) if matrix is None else matrix,
        "patient",
        orientation_known=True,
        between=len(voxels) > 1,
    )
    return Series("1.2.3", "CT", voxels, geometry, Display(((1.0, 0.0),) * len(voxels)))


def noise(*shape: int) -> Series:
    return series_of(np.random.default_rng(4).integers(0, 256, shape).astype(np.uint8))


def patch_model(net: nn.Module, labels: tuple[str, ...] = LABELS, output: Any = None, **facts: Any) -> Model:
    size = facts.pop("size")
    card = Card.model_validate(
        {
            "name": "patches",
            "architecture": "test:patches",
            "weights": "none",
            "input": {
                "dimensions": len(size), "size": size, "fit": "patch", "values": {"range": [0, 1]}, **facts,
            },
            "output": {"labels": labels, **(output or {})},
        }
    )  # fmt: skip
    return Model(card, net, "0" * 64, torch.device("cpu"))


def small(dimensions: int, **facts: Any) -> Model:
    torch.manual_seed(dimensions)
    net = restless(SmallCNN(1, 3, (4, 6), dimensions))
    return patch_model(net, **{"size": SIZES[dimensions]} | facts)


def swept(
    model: Model, series: Series, wish: Sweep = EVERYWHERE, slice: int | None = None, **more: Any
) -> Any:
    methods = more.pop("methods", [GradCAM()])
    return sweep(model, [model.tiling(series, wish, slice)], methods, **more)


# --- where the patches lie ------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(3, 60), st.integers(3, 60)),
    st.sampled_from([None, (0.5, 0.75), (0.8, 0.6), (1.7, 0.3)]),
    st.floats(0, 0.95),
)
def test_patches_cover_the_image_and_share_what_was_asked(
    shape: tuple[int, int, int], spacing: tuple[float, float] | None, overlap: float
) -> None:
    model = small(2, spacing=spacing)
    tiling = model.tiling(noise(*shape), Sweep(overlap=overlap))
    seen = np.zeros(tiling.whole.shape, int)
    for offset in tiling.offsets:
        seen[tuple(slice(o, o + n) for o, n in zip(offset, tiling.size, strict=True))] += 1
    assert seen.min() >= 1
    ends = affine.apply(tiling.whole.matrix, np.array([[-0.5] * 3, np.array(seen.shape) - 0.5]))
    assert (ends.min(0)[1:] <= -0.5 + 1e-6).all()
    assert (ends.max(0)[1:] >= np.array(shape[1:]) - 0.5 - 1e-6).all()
    for starts, size in zip(tiling.starts, tiling.size, strict=True):
        assert all(0 < b - a <= max(1, size * (1 - overlap)) for a, b in pairwise(starts))
    if spacing is None and min(shape[1] - 16, shape[2] - 12) >= 0:
        assert tiling.whole.shape[1:] == shape[1:]  # no patch looks beyond the border


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(0, 29)] * 3), st.tuples(*[st.integers(0, 29)] * 3))
def test_a_box_is_covered_by_patches_that_reach_no_further_than_they_must(
    one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    first, last = np.minimum(one, other), np.maximum(one, other)
    model = small(3)
    tiling = model.tiling(noise(30, 30, 30), Sweep((tuple(first), tuple(last))))
    low = affine.apply(tiling.whole.matrix, (0, 0, 0))
    high = affine.apply(tiling.whole.matrix, np.array(tiling.whole.shape) - 1)
    assert (low <= first).all()
    assert (high >= last).all()
    assert (low >= 0).all()
    assert (high <= 29).all()
    assert (high - low + 1 == np.maximum(last - first + 1, SIZES[3])).all()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("facts", [{}, {"spacing": True}, {"orientation": True}], ids=["own", "mm", "turned"])
def test_a_patch_of_a_sweep_is_the_patch_that_is_placed_there(dimensions: int, facts: dict[str, Any]) -> None:
    wanted = {
        "spacing": {2: (1.0, 0.5), 3: (1.5, 1.0, 0.5)}[dimensions],
        "orientation": {2: "AR", 3: "FRA"}[dimensions],
    }
    own = {key: wanted[key] for key in facts}
    turn = np.eye(4)
    turn[:3, :3] = np.array([[0, 0, 0.75], [0, 0.5, 0], [2, 0, 0]])
    series = series_of(noise(9, 40, 37).voxels, turn)  # type: ignore[arg-type]
    model = small(dimensions, **own)
    tiling = model.tiling(series, EVERYWHERE, 4 if dimensions == 2 else None)
    for patch in tiling.patches():
        middle = affine.apply(patch.matrix, (np.array(patch.shape) - 1) / 2)
        if not ((middle >= 0) & (middle <= np.array(series.shape) - 1)).all():
            continue
        placed = model.prepare(series, 4 if dimensions == 2 else None, middle[3 - dimensions :].tolist())
        assert np.allclose(placed.matrix, patch.matrix, atol=1e-9)
        assert torch.allclose(placed.tensor, patch.tensor, atol=1e-6)


def test_patches_take_no_memory_of_their_own() -> None:
    tiling = small(3).tiling(noise(30, 60, 60), EVERYWHERE)
    whole = tiling.whole.tensor.untyped_storage().data_ptr()
    assert len(tiling) > 100
    assert {p.tensor.untyped_storage().data_ptr() for p in tiling.patches()} == {whole}


# --- blending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_patch_swept_is_that_patch(dimensions: int) -> None:
    model, series = small(dimensions), noise(6, 16, 12)
    methods = [GradCAM(), Saliency(), IntegratedGradients(steps=4)]
    where = None if dimensions == 3 else 2
    wishes = [Target(label, i) for i, label in enumerate(LABELS)]
    found = swept(model, series, slice=where, methods=methods, wishes=wishes)
    wanted = explain(model, [model.prepare(series, where)], methods, wishes)
    assert len(found.attributions) == len(wanted.attributions) == 9
    for a, b in zip(found.attributions, wanted.attributions, strict=True):
        assert np.allclose(a.values, b.values, rtol=1e-5, atol=1e-7 * np.abs(b.values).max())
        assert np.allclose(a.matrix, b.matrix)
        assert (a.target, a.explainer, a.slice) == (b.target, b.explainer, b.slice)
        assert a.completeness_error == b.completeness_error


@pytest.mark.parametrize(("less", "fits"), [(0, True), (1, False)])
def test_maps_of_as_many_bytes_as_are_allowed_are_made(
    less: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, series = small(2), noise(6, 16, 12)
    (whole,) = swept(model, series, slice=2, methods=[Saliency()], wishes=[Target(LABELS[0], 0)]).attributions
    sweeping = sys.modules["viewer.explain.sweep"]  # the package's name of it is the function
    monkeypatch.setattr(sweeping, "_MOST_BYTES", 4 * whole.values.size - less)
    run = partial(swept, model, series, slice=2, methods=[Saliency()], wishes=[Target(LABELS[0], 0)])
    if fits:
        assert run().attributions
    else:
        with pytest.raises(ExplainerError, match="too much memory"):
            run()


class Signed(nn.Module):
    """A body without a last ReLU, the mean of its map, a linear layer."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(2).mean(2))


@pytest.mark.parametrize(("dimensions", "shape"), [(2, (3, 41, 30)), (3, (11, 37, 29))])
@pytest.mark.parametrize("method", [HiResCAM(), Saliency()], ids=["coarse", "fine"])
def test_the_blend_is_the_weighted_mean_of_the_raw_maps(
    dimensions: int, shape: tuple[int, int, int], method: Any
) -> None:
    """Pixel by pixel in float64, from the maps of patches that are explained one by one."""
    torch.manual_seed(dimensions)
    conv, pool = ((nn.Conv2d, nn.AvgPool2d), (nn.Conv3d, nn.AvgPool3d))[dimensions - 2]
    body = nn.Sequential(conv(1, 5, 3, padding=1), nn.ReLU(), pool(2), conv(5, 5, 3, padding=1))
    model, series = patch_model(Signed(body), size=SIZES[dimensions]), noise(*shape)
    tiling = model.tiling(series, PLAIN(overlap=0.4), 1 if dimensions == 2 else None)
    wish = Target("mass", 1)
    (found,) = sweep(model, [tiling], [method], [wish], batch=5).attributions
    total, weight = np.zeros(tiling.whole.shape), np.zeros(tiling.whole.shape)
    for offset, patch in zip(tiling.offsets, tiling.patches(), strict=True):
        (alone,) = explain(model, [patch], [method], [wish]).attributions
        gauss = np.ones(tiling.size)
        for axis, n in enumerate(tiling.size):
            side = np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) * 8) ** 2)
            gauss *= side.reshape([-1 if i == axis else 1 for i in range(3)])
        fine = np.kron(alone.values, np.ones(np.array(tiling.size) // alone.values.shape))
        place = tuple(slice(o, o + n) for o, n in zip(offset, tiling.size, strict=True))
        total[place] += gauss * fine
        weight[place] += gauss
    mean = total / weight
    if method.signed:
        assert found.values.min() < 0 < found.values.max()
    cells = np.array(tiling.whole.shape) // found.values.shape
    assert np.allclose(found.matrix, tiling.whole.matrix @ affine.cells(found.values.shape, mean.shape))
    if (cells == 1).all():
        assert np.allclose(found.values, mean, rtol=1e-4, atol=1e-5 * np.abs(mean).max())
    else:  # the weights are those of the middle of a cell
        fine = np.kron(found.values, np.ones(cells))
        assert np.corrcoef(fine.ravel(), mean.ravel())[0, 1] > 0.97


def test_cells_stay_as_large_as_all_maps_have_them_in_common() -> None:
    """Patches of 16 with cells of 2 (one pooling), a stride of 8: the blend has cells of 2."""
    torch.manual_seed(1)
    model = patch_model(restless(SmallCNN(1, 3, (4, 6, 8))), size=(16, 16))
    (even,) = swept(model, noise(1, 48, 64), wishes=[Target("mass", 1)]).attributions
    (odd,) = swept(model, noise(1, 49, 64), wishes=[Target("mass", 1)]).attributions
    assert even.values.shape == (1, 12, 16)
    assert odd.values.shape == (1, 49, 16)


def test_the_same_everywhere_is_the_same_in_the_blend() -> None:
    """Of an image without any contrast every patch has the same map, whatever the weights."""
    model = patch_model(nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3)), size=(16, 16))
    series = series_of(np.full((1, 40, 50), 100, np.uint8))
    (found,) = swept(model, series, methods=[Saliency()], wishes=[Target("mass", 1)]).attributions
    weight = np.abs(model._module.get_parameter("2.weight")[1].detach().numpy()).reshape(4, 4) / 16
    assert found.values.min() >= weight.min() * 0.999
    assert found.values.max() <= weight.max() * 1.001


def test_every_patch_is_predicted_and_top_is_one_label_for_all() -> None:
    net = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(1, 3))
    net.get_parameter("2.weight").data[:, 0] = torch.tensor([0.0, 1.0, -1.0])
    net.get_parameter("2.bias").data[:] = torch.tensor([-9.0, 0.0, 0.7])
    voxels = np.zeros((2, 40, 40), np.uint8)
    voxels[:, 20:] = 255
    model, series = patch_model(net, size=(16, 16)), series_of(voxels)
    found = swept(model, series, slice=1, methods=[Saliency()])
    tiling = model.tiling(series, EVERYWHERE, 1)
    assert len(found.predictions) == len(tiling)
    (attribution,) = found.attributions
    assert attribution.predictions == found.predictions
    alone = model.predict(list(tiling.patches()))
    for a, b in zip(found.predictions, alone, strict=True):
        assert [s.logit for s in a.scores] == pytest.approx([s.logit for s in b.scores], abs=1e-5)
        assert np.array_equal(a.input.matrix, b.input.matrix)
    assert attribution.target.label == max((p.top for p in alone), key=lambda s: s.probability).label
    assert {p.top.label for p in alone} == {"mass", "nodule"}


def test_a_method_that_does_not_suit_is_told_and_the_others_go_on() -> None:
    from plugins.attention import Attention

    found = swept(small(2), noise(1, 40, 40), methods=[Attention(), GradCAM()])
    assert [a.explainer.name for a in found.attributions] == ["grad-cam"]
    assert [name for name, _ in found.refused] == ["attention"]


def test_patches_that_no_gradient_passes_count_as_zero_and_are_told() -> None:
    voxels = np.zeros((1, 40, 40), np.uint8)
    voxels[0, 2:8, 3:9] = 200
    model = patch_model(Squares(2), ("light",), size=(16, 16))
    found = swept(model, series_of(voxels), wishes=[Target("light", 0)], batch=1)
    (attribution,) = found.attributions
    ((name, told),) = found.refused
    assert name == "grad-cam"
    assert told.startswith("The maps of 14 of 16 patches count as zero. No gradient reaches")
    shown = on_source(attribution, 0)
    peak = np.unravel_index(np.argmax(shown), shown.shape)
    assert peak[0] <= 11
    assert peak[1] <= 12
    assert not shown[18:].any()


def test_progress_counts_patches_and_a_cancel_is_heard() -> None:
    model, series = small(2), noise(1, 60, 60)
    reports: list[Progress] = []
    count = len(model.tiling(series, EVERYWHERE))
    wish = [Target("mass", 1)]
    swept(
        model, series, methods=[IntegratedGradients(steps=8)], wishes=wish, batch=4, task=Task(reports.append)
    )
    assert {r.total for r in reports} == {count}
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    assert all(r.done < count for r in reports)
    calls = [0]

    def stop(_: Progress) -> None:
        calls[0] += 1
        if calls[0] == 3:
            task.cancel()

    task = Task(stop)
    with pytest.raises(Cancelled):
        swept(model, series, wishes=wish, batch=4, task=task)
    assert calls[0] == 3


# --- the place of what was planted ----------------------------------------------------------------


class Squares(nn.Module):
    """The mean of the squares of small averages: heaviest where the light is."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(4) if dimensions == 2 else nn.AvgPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        return (self.cells(x) ** 2).flatten(1).mean(1, keepdim=True) * 100


def oblique(seed: int) -> np.ndarray:
    """A rotation that leaves each axis nearest to the one it was, then permuted and flipped."""
    random = np.random.default_rng(seed)
    q, _ = np.linalg.qr(np.eye(3) + 0.25 * random.normal(size=(3, 3)))
    q = q * np.sign(np.diag(q))
    turned = q[:, random.permutation(3)] * random.choice([-1, 1], 3)
    return np.asarray(turned)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    "method", [GradCAM(), Saliency(), IntegratedGradients(steps=8)], ids=lambda m: m.name
)
def test_a_planted_light_is_found_through_spacing_turns_and_oblique_axes(
    seed: int, dimensions: int, method: Any
) -> None:
    random = np.random.default_rng(seed)
    shape = (14, 54, 46)
    mm = np.array([1.6, 0.6, 0.8])
    turn = oblique(seed)
    block = [int(random.integers(2, n - 8)) for n in shape]
    voxels = np.zeros(shape, np.uint8)
    where = tuple(slice(b, b + w) for b, w in zip(block, (4, 6, 6), strict=True))
    voxels[where] = 250
    matrix = np.eye(4)
    matrix[:3, :3] = turn * mm
    matrix[:3, 3] = (-12, 33, 7)
    series = series_of(voxels, matrix)
    letters = ["RL"[int(random.integers(2))], "AP"[int(random.integers(2))], "FH"[int(random.integers(2))]]
    if dimensions == 2:  # only what lies in the plane can be asked for
        own = [int(np.argmax(np.abs(turn[:, i]))) for i in (1, 2)]
        letters = [letters[i] for i in own]
    model = patch_model(
        Squares(dimensions),
        ("light",),
        size=(16, 16) if dimensions == 2 else (8, 12, 16),
        spacing=(0.7, 0.9) if dimensions == 2 else (1.2, 0.9, 0.7),
        orientation="".join(random.permutation(letters)),
    )
    found = session.ask(
        series, model, [method], "light", slice=block[0] + 1 if dimensions == 2 else None, at=PLAIN()
    )
    (attribution,) = found.attributions
    assert len(found.predictions) > 8
    slices = [block[0] + 1] if dimensions == 2 else range(shape[0])
    values = np.stack([on_source(attribution, i) for i in slices])
    assert np.isfinite(values).all()
    inside = voxels[slices] > 0 if dimensions == 2 else voxels > 0
    strong = values > 0.5 * values.max()
    centre = np.argwhere(strong).mean(0)
    true = np.argwhere(inside).mean(0)
    cell = np.abs(attribution.matrix[:3, :3]).sum(1)
    assert (np.abs(centre - true) <= np.maximum(cell, 1)).all(), (centre, true, cell)
    # The peak is one voxel in a cell of the network, 4 pixels wide, that holds some of the light.
    peak = np.array(np.unravel_index(np.argmax(values), values.shape))
    pixel = np.abs(found.predictions[0].input.matrix[:3, :3]).sum(1)
    assert (np.abs(np.argwhere(inside) - peak) <= np.maximum(4 * pixel, 1)).all(1).any()


def test_slices_are_swept_one_by_one() -> None:
    model, series = small(2), noise(3, 30, 30)
    found = session.ask(series, model, ["grad-cam"], "mass", slice="all", at=PLAIN())
    assert [a.slice for a in found.attributions] == [0, 1, 2]
    for i, attribution in enumerate(found.attributions):
        (alone,) = session.ask(series, model, ["grad-cam"], "mass", slice=i, at=PLAIN()).attributions
        assert np.allclose(attribution.values, alone.values, rtol=1e-4, atol=1e-6)
        assert {p.input.slice for p in attribution.predictions} == {i}


def test_a_class_inside_a_region_needs_patches_that_see_it() -> None:
    torch.manual_seed(9)
    model = patch_model(nn.Sequential(nn.Conv2d(1, 3, 1), PerPixel()), size=(16, 16))
    found = session.ask(
        noise(1, 40, 40), model, ["saliency"], "mass@18,18,21,21", at=PLAIN(((14, 14), (25, 25)))
    )
    (attribution,) = found.attributions
    assert np.isfinite(attribution.values).all()
    told = session.ask(noise(1, 40, 40), model, ["saliency"], "mass@18,18,21,21", at=PLAIN())
    assert told.refused[0][1].endswith("lies outside what the model was shown.")


def test_what_is_no_sweep_is_told() -> None:
    whole = replace_fit(small(2), "squash")
    with pytest.raises(ModelError, match="for networks that read a patch"):
        whole.tiling(noise(1, 30, 30), EVERYWHERE)
    for wish, told in (
        (Sweep(overlap=1), "overlap"),
        (Sweep(((0, 0), (3, 99))), "does not lie in the image"),
        (Sweep(((5, 5), (3, 9))), "does not lie in the image"),
        (Sweep(((0, 0, 0), (0, 9, 9))), "give the slice apart"),
    ):
        with pytest.raises(ModelError, match=told):
            small(2).tiling(noise(1, 30, 30), wish)
    with pytest.raises(ModelError, match="SLICE,ROW,COLUMN"):
        small(3).tiling(noise(8, 30, 30), Sweep(((0, 0), (9, 9))))


def replace_fit(model: Model, fit: str) -> Model:
    card = model.card.model_copy(update={"input": model.card.input.model_copy(update={"fit": fit})})
    return Model(card, model._module, "0" * 64, torch.device("cpu"))


def test_a_patch_that_cannot_be_explained_takes_nothing_from_those_beside_it() -> None:
    """A region that most patches do not see: those that do have their maps at any batch."""
    torch.manual_seed(9)
    model, series = small(2), noise(1, 40, 40)
    region = Region.box(series, 0, (4, 4, 9, 9), "box")
    wish = Target("mass", 1)
    every = [
        swept(model, series, methods=[Occlusion(window=4), GradCAM()], wishes=[wish], within=region, batch=b)
        for b in (1, 16)
    ]
    for found in every:
        shown = found.attributions[0].values
        assert shown[0, 4:10, 4:10].any()
        assert not shown[0, 10:].any()
        assert np.allclose(shown, every[0].attributions[0].values, atol=1e-6)
        assert found.refused == every[0].refused
        assert len(found.predictions) == len(every[0].predictions)


def test_a_method_asked_for_twice_is_swept_as_once() -> None:
    model, series = small(2), noise(1, 40, 40)
    (once,) = swept(model, series, methods=[GradCAM()]).attributions
    for again in swept(model, series, methods=[GradCAM(), GradCAM()]).attributions:
        assert np.array_equal(again.values, once.values)


def test_of_all_slices_those_are_explained_on_which_the_class_region_lies() -> None:
    torch.manual_seed(9)
    model = patch_model(nn.Sequential(nn.Conv2d(1, 3, 1), PerPixel()), size=(16, 16))
    series = noise(5, 16, 16)
    found = session.ask(series, model, ["saliency"], "mass@1,2,2,2,9,9", slice="all")
    assert found.refused == ()
    assert [a.predictions[0].input.slice for a in found.attributions] == [1, 2]
