# SPDX-License-Identifier: Apache-2.0
"""A map says what one of its values stands for: a window, a cell of a mask, a segment, or its own cell."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import inputs_of, make, series_of

from plugins.feature_ablation import FeatureAblation
from plugins.grad_cam import GradCAM
from plugins.kernel_shap import KernelSHAP
from plugins.lime import LIME
from plugins.occlusion import Occlusion
from plugins.rise import RISE, Masks
from plugins.saliency import Saliency
from plugins.shapley_value_sampling import ShapleyValueSampling
from viewer import affine
from viewer.explain import Explainer, explain, sweep
from viewer.export.document import entry
from viewer.export.provenance import provenance
from viewer.models import Card, Model
from viewer.models.builtin import SmallCNN
from viewer.overlay import automatic_style, native_facts
from viewer.overlay.ranks import difference, ranked
from viewer.types import Attribution, ModelInput, Overlay, Region, Resolution, Snapshot, Sweep, Target

MASS = Target("mass", 1)


def made(method: Explainer, kind: str = "plain CNN", **more: Any) -> Attribution:
    model = make(kind)
    explained = explain(model, inputs_of(model), [method], [MASS], **more)
    assert not explained.refused, explained.refused
    return explained.attributions[0]


def sides(*lengths: float) -> tuple[float, ...]:
    return tuple(float(length) for length in lengths)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (Occlusion(), "map 32 × 32 · 1 window ≈ 4 px, every 2 px"),
        (Occlusion(window=8, stride=3), "map 32 × 32 · 1 window ≈ 8 px, every 3 px"),
        (Occlusion(window=8, stride=8), "map 32 × 32 · 1 window ≈ 8 px"),
        (Occlusion(window=100, stride=50), "map 32 × 32 · 1 window ≈ 32 px"),
        (Occlusion(coarse_to_fine=True, budget=64), "map 32 × 32 · 1 window ≈ 4 … 8 px"),
        (RISE(masks=8), "map 32 × 32 · 1 mask cell ≈ 5.7 px"),
        (FeatureAblation(features=5), "map 32 × 32 · 1 value per superpixel"),
        (FeatureAblation(features=5, over="grid"), "map 32 × 32 · 1 value per box"),
        (KernelSHAP(features=5, samples=50), "map 32 × 32 · 1 value per superpixel"),
        (LIME(features=5, samples=20), "map 32 × 32 · 1 value per superpixel"),
        (ShapleyValueSampling(features=5, orders=2), "map 32 × 32 · 1 value per superpixel"),
        (Saliency(), "map 32 × 32 · 1 cell ≈ 1 px"),
        (GradCAM(), "map 16 × 16 · 1 cell ≈ 2 px"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.name,
)
def test_every_method_says_what_a_value_stands_for(method: Explainer, words: str) -> None:
    assert native_facts(made(method)) == words


def test_ranks_resolve_what_their_map_does_and_a_difference_what_the_coarser_one_does() -> None:
    model = make("plain CNN")
    methods: list[Explainer] = [Occlusion(window=8), Saliency(), GradCAM(), FeatureAblation(features=5)]
    window, pixel, cell, segment = explain(model, inputs_of(model), methods, [MASS]).attributions
    assert native_facts(ranked(window)) == "map 32 × 32 · 1 window ≈ 8 px, every 4 px"
    assert native_facts(ranked(segment)) == "map 32 × 32 · 1 value per superpixel"
    for one, other in ((window, pixel), (pixel, window), (window, cell)):
        assert native_facts(difference(one, other)) == "map 32 × 32 · 1 window ≈ 8 px, every 4 px"
    assert native_facts(difference(pixel, cell)) == native_facts(cell) == "map 16 × 16 · 1 cell ≈ 2 px"
    assert native_facts(difference(segment, cell)) == "map 32 × 32 · 1 value per superpixel"


def test_parts_that_segments_make_have_no_size() -> None:
    source = inputs_of(make("plain CNN"))[0]
    mask = np.zeros((1, 32, 32), bool)
    mask[:, :8] = True
    region = Region(mask, np.eye(4), source.series, "liver", "seg")
    assert region.on(source.matrix, source.shape).any()
    found = made(FeatureAblation(over="segments"), features=[region])
    assert native_facts(found) == "map 32 × 32 · 1 value per segment"


def test_of_a_volume_each_side_is_told() -> None:
    assert (
        native_facts(made(Occlusion(), "3D CNN")) == "map 8 × 16 × 16 · 1 window ≈ 1 × 2 × 2 px, every 1 px"
    )


def test_groups_that_share_their_value_are_not_told_as_superpixels() -> None:
    method = KernelSHAP(features=60, samples=20, coarse_to_fine=True)
    assert native_facts(made(method)).endswith("· 1 value per group of superpixels")


def test_the_mask_cell_is_as_far_as_the_masks_are_drawn() -> None:
    """Middles of neighbouring cells lie one cell apart, seen on masks that leave a single one to see."""
    method = RISE(masks=1, cells=4)
    masks = Masks(method, torch.zeros(1, 1, 32, 32))
    middles = []
    for row, shift in ((1, 0), (2, 7)):  # so that the whole of the cell lies in the mask
        masks._shifts = [torch.full((1,), shift), torch.zeros(1, dtype=torch.long)]
        masks._seen = torch.zeros(1, 4, 4, dtype=torch.bool)
        masks._seen[0, row, 1] = True
        weight = masks(0, 1)[0].sum(1)
        middles.append(shift + float((weight * torch.arange(32)).sum() / weight.sum()))
    assert middles[1] - middles[0] == pytest.approx(masks.cell[0], rel=1e-3)


def test_the_sides_are_those_on_the_patient_and_stand_in_the_files() -> None:
    found = made(Occlusion(coarse_to_fine=True, budget=64))
    assert found.resolution is not None
    assert found.resolution.sizes == found.resolution.steps == (sides(8, 8), sides(4, 4))
    wanted = {"part": "window", "sizes": [[8, 8], [4, 4]], "steps": [[8, 8], [4, 4]]}
    assert json.loads(json.dumps(provenance(found)["resolution"])) == wanted
    shown = Snapshot(Overlay(found, automatic_style([found])), 0)
    assert entry(found, shown)["resolution"] == wanted
    assert entry(made(Saliency()), shown)["resolution"] is None
    # The network was shown an image of which each pixel is 3 of the source.
    model, (source,) = make("plain CNN"), inputs_of(make("plain CNN"))
    coarse = ModelInput(series_of((1, 96, 96)), 0, source.tensor, affine.scale_offset((1, 3, 3), (0, 1, 1)))
    (found,) = explain(model, [coarse], [Occlusion()], [MASS]).attributions
    assert native_facts(found) == "map 32 × 32 · 1 window ≈ 12 px, every 6 px"


SERIES = series_of((1, 40, 40))


def swept(method: Explainer, **more: Any) -> Attribution:
    facts = {"dimensions": 2, "size": (16, 16), "fit": "patch", "values": {"range": [0, 1]}, "channels": 1}
    output = {"labels": ["effusion", "mass", "nodule"]}
    card = {"name": "p", "architecture": "test:p", "weights": "none", "input": facts, "output": output}
    torch.manual_seed(1)
    model = Model(Card.model_validate(card), SmallCNN(1, 3), "0" * 64, torch.device("cpu"))
    tiling = model.tiling(SERIES, Sweep(), 0)
    return sweep(model, [tiling], [method], [MASS], **more).attributions[0]


def test_a_sweep_resolves_what_its_patches_do() -> None:
    assert native_facts(swept(Occlusion(window=4))) == "map 40 × 40 · 1 window ≈ 4 px, every 2 px"
    assert native_facts(swept(FeatureAblation(features=4))) == "map 40 × 40 · 1 value per superpixel"
    assert native_facts(swept(Saliency())) == "map 40 × 40 · 1 cell ≈ 1 px"


def test_a_sweep_names_the_windows_of_all_its_patches() -> None:
    """One batch stops at large windows, as the image may be changed all over, and another goes on."""
    mask = np.ones((1, 40, 40), bool)
    mask[:, 20:] = False
    mask[:, 36:, 36:] = True
    region = Region(mask, np.eye(4), SERIES, "much and little", "seg")
    method = Occlusion(window=2, coarse_to_fine=True, budget=16)
    found = swept(method, within=region, batch=1).resolution
    assert found is not None
    assert found.sizes == found.steps == (sides(4, 4), sides(2, 2))
    assert native_facts(swept(method, batch=1)) == "map 40 × 40 · 1 window ≈ 4 px"


def test_sizes_of_two_maps_become_one_list() -> None:
    large = Resolution("window", (sides(8, 8), sides(4, 4)), (sides(8, 8), sides(4, 4)))
    small = Resolution("window", (sides(4, 4), sides(2, 2)), (sides(4, 4), sides(2, 2)))
    both = (sides(8, 8), sides(4, 4), sides(2, 2))
    assert small.with_those_of(large) == large.with_those_of(small) == Resolution("window", both, both)
    assert small.with_those_of(None) is small
