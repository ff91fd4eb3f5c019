# SPDX-License-Identifier: Apache-2.0
"""Segments as features: each pixel belongs to one, in its true place, and each has a name and a value."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its own name
import torch
from captum import attr
from explain_nets import inputs_of, make, model_of, near
from hypothesis import given, settings
from hypothesis import strategies as st
from oblique import COLUMN, NORMAL, ORIGIN, ROW, ROWS, SLICES, stack
from pydicom.sr.codedict import codes
from torch import Tensor, nn

from plugins.feature_ablation import FeatureAblation
from plugins.grad_cam import GradCAM
from plugins.kernel_shap import KernelSHAP
from viewer import dicom, session
from viewer.errors import ExplainerError
from viewer.explain import Explainer, baseline, explain
from viewer.explain.features import REST, segments
from viewer.models import Card, Model
from viewer.types import Attribution, ModelInput, Region, Series, Sweep, Target

TARGETS = [Target("effusion", 0), Target("mass", 1), Target("nodule", 2)]
ABLATION = FeatureAblation(over="segments", baseline="mean")
SHAPLEY = KernelSHAP(over="segments", baseline="mean")
LIVER, TUMOUR, BOTH, SPLEEN = "liver", "tumour", "liver & tumour", "spleen"


def box(series: Series, name: str, *sides: slice) -> Region:
    """A block of a series' voxels."""
    mask = np.zeros(series.shape, bool)
    mask[sides] = True
    return Region(mask, np.eye(4), series, name, "seg", f"1.2.3 {name}", remark="drawn")


def organs(series: Series) -> list[Region]:
    """Two that overlap, a third beside them, and one that nothing is left of on any slice."""
    rows, columns = (side // 4 for side in series.shape[1:])
    return [
        box(series, LIVER, slice(None), slice(rows, 3 * rows), slice(columns, 2 * columns)),
        box(series, TUMOUR, slice(None), slice(rows, 2 * rows), slice(columns + 1, 3 * columns)),
        box(series, "gall bladder", slice(0, 0)),
        box(series, SPLEEN, slice(None), slice(3 * rows, None), slice(3 * columns, None)),
    ]


def numbers_of(regions: Sequence[Region], source: ModelInput) -> np.ndarray:
    """What is expected of `organs`, pixel by pixel: liver 0, both 1, tumour 2, spleen 3, the rest 4."""
    liver, tumour, _, spleen = (r.on(source.matrix, source.shape) for r in regions)
    choices = [liver & ~tumour, liver & tumour, tumour & ~liver, spleen]
    return np.select(choices, range(4), 4)


def explained(
    model: Model, method: Explainer, regions: Sequence[Region], **arguments: Any
) -> tuple[Attribution, ...]:
    (source,) = inputs_of(model)
    own = [replace(region, series=source.series) for region in regions]
    found = explain(model, [source], [method], TARGETS, features=own, **arguments)
    assert not found.refused, found.refused
    return found.attributions


# --- from masks to features -----------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_pixel_is_in_one_feature_and_alike_pixels_are_together(
    seed: int, count: int, limited: bool
) -> None:
    random = np.random.default_rng(seed)
    masks = random.random((count, 5, 6)) < random.random((count, 1, 1))
    within = random.random((5, 6)) < 0.6 if limited else np.ones((5, 6), bool)
    named = [(f"{i}", torch.as_tensor(mask)) for i, mask in enumerate(masks)]
    if not (masks & within).any():
        with pytest.raises(ExplainerError, match="No segment lies on what the model was shown"):
            segments(named, torch.as_tensor(within))
        return
    parts = segments(named, torch.as_tensor(within))
    assert parts.count == len(parts.names) == len(set(parts.names))
    for place in np.ndindex(5, 6):
        number = int(parts.numbers[place])
        words = " & ".join(str(i) for i in range(count) if masks[i][place]) or REST
        assert (number == -1) if not within[place] else (parts.names[number] == words)
    assert set(parts.numbers[torch.as_tensor(within)].tolist()) == set(range(parts.count))
    assert REST not in parts.names[:-1]


def test_two_of_one_name_are_told_apart() -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    regions = [
        box(source.series, name, slice(None), slice(i, i + 2), slice(0, 4))
        for i, name in ((0, "nodule"), (4, "nodule"), (8, REST))
    ]
    for found in explained(model, ABLATION, regions):
        assert list(found.features) == ["nodule", "nodule 2", REST, f"{REST} 2"]
        assert [float(found.values[0, row, 1]) for row in (0, 4, 8, 20)] == list(found.features.values())


# --- against captum -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["residual", "timm ViT", "3D CNN"])
def test_feature_ablation_over_segments_is_captums(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    regions = organs(source.series)
    numbers = numbers_of(regions, source)
    mask = torch.as_tensor(numbers).reshape(1, 1, *source.tensor.shape[2:])
    for target, found in zip(TARGETS, explained(model, ABLATION, regions), strict=True):
        with torch.no_grad():
            theirs = attr.FeatureAblation(model._module).attribute(
                source.tensor, baseline(source.tensor, "mean"), target.index, feature_mask=mask
            )
        assert near(found.values, theirs[0, 0].reshape(found.values.shape).numpy(), 1e-4)
        assert list(found.features) == [LIVER, BOTH, TUMOUR, SPLEEN, REST]
        for number, value in enumerate(found.features.values()):
            assert value == pytest.approx(found.values[numbers == number][0])
        assert found.found == {"features": 5}
        assert [r.name for r in found.regions] == [LIVER, TUMOUR, "gall bladder", SPLEEN]


@pytest.mark.parametrize("kind", ["residual", "3D CNN"])
def test_the_shapley_values_of_few_segments_are_captums_over_all_orders(kind: str) -> None:
    model = make(kind)
    (source,) = inputs_of(model)
    regions = organs(source.series)
    mask = torch.as_tensor(numbers_of(regions, source)).reshape(1, 1, *source.tensor.shape[2:])
    cover = baseline(source.tensor, "mean")
    found = explained(model, SHAPLEY, regions)[1]
    with torch.no_grad():
        theirs = attr.ShapleyValues(model._module).attribute(source.tensor, cover, 1, feature_mask=mask)
        total = (model._module(source.tensor) - model._module(cover))[0, 1]
    assert near(found.values, theirs[0, 0].reshape(found.values.shape).numpy(), 1e-4)
    assert sum(found.features.values()) == pytest.approx(float(total), rel=1e-4)
    assert found.found == {"players": 5}


class Linear(nn.Module):
    """Two weighted sums of the pixels, with weights that tell every pixel from the others."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(torch.randn(3, 1, *size, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nk,lk->nl", x.flatten(1), self.weight.flatten(1))


@pytest.mark.parametrize("size", [(24, 20), (6, 12, 16)])
@pytest.mark.parametrize("method", [ABLATION, SHAPLEY])
def test_on_a_linear_network_a_segment_has_the_sum_of_its_pixels(
    method: Explainer, size: tuple[int, ...]
) -> None:
    net = Linear(size)
    model = model_of(net, size, 1)
    (source,) = inputs_of(model)
    regions = organs(source.series)
    numbers = torch.as_tensor(numbers_of(regions, source)).reshape(size)
    each = net.weight.detach()[:, 0] * (source.tensor - baseline(source.tensor, "mean"))[0, 0]
    for target, found in zip(TARGETS, explained(model, method, regions), strict=True):
        wanted = [float(each[target.index][numbers == i].sum()) for i in range(5)]
        assert list(found.features.values()) == pytest.approx(wanted, rel=1e-3, abs=1e-3)


# --- limits and refusals --------------------------------------------------------------------------


@pytest.mark.parametrize("method", [ABLATION, SHAPLEY])
def test_the_rest_ends_where_the_image_may_not_be_changed(method: Explainer) -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    regions = organs(source.series)
    limit = Region.box(source.series, 0, (4, 4, 19, 19), "box")
    seen: list[Tensor] = []
    model._module.register_forward_pre_hook(lambda _m, arguments: seen.append(arguments[0].clone()))
    found = explained(model, method, regions, within=limit)[0]
    inside = limit.on(source.matrix, source.shape)[0]
    assert all((x == source.tensor)[:, :, ~inside].all() for x in seen)
    assert not found.values[0][~inside].any()
    assert found.values[0][inside].all()
    assert list(found.features) == [LIVER, BOTH, TUMOUR, REST]  # the spleen lies outside
    assert found.within is limit


def test_without_segments_there_is_a_reason(tmp_path: Path) -> None:
    model = make("residual")
    (source,) = inputs_of(model)
    beside = box(source.series, "liver", slice(0, 0))
    corner = box(source.series, "liver", slice(None), slice(0, 4), slice(0, 4))
    limit = Region.box(source.series, 0, (20, 20, 25, 25), "box")
    for regions, within, told in (
        ([], None, "No segmentation lies on this series, so that there are no segments"),
        ([beside], None, "No segment lies on what the model was shown."),
        ([corner], limit, "No segment lies on what the model was shown, where that may be changed."),
    ):
        methods = [ABLATION, GradCAM(), SHAPLEY]
        done = explain(model, [source], methods, features=regions, within=within)
        assert [name for name, _ in done.refused] == ["feature-ablation", "kernel-shap"]
        assert all(reason.startswith(told) for _, reason in done.refused)
        assert [a.explainer.name for a in done.attributions] == ["grad-cam"]
        assert done.attributions[0].features == {}
    other = explain(model, [source], [FeatureAblation(6)], features=[corner]).attributions[0]
    assert (other.features, other.regions) == ({}, ())  # superpixels have no names


def test_groups_of_segments_are_named_together_and_share_their_value() -> None:
    size = (32, 32)
    net = Linear(size)
    model = model_of(net, size, 1)
    (source,) = inputs_of(model)
    regions = [
        box(source.series, f"{r}{c}", slice(None), slice(4 * r, 4 * r + 4), slice(4 * c, 4 * c + 4))
        for r in range(8)
        for c in range(4)
    ]
    method = replace(SHAPLEY, coarse_to_fine=True, samples=15)  # too few for a second game
    found = explained(model, method, regions)[0]
    assert len(found.features) == found.found["players"] == 8
    named = [name.split(", ") for name in found.features]
    assert sorted(name for group in named for name in group) == sorted([*(r.name for r in regions), REST])
    for group, value in zip(named, found.features.values(), strict=True):
        name = next(n for n in group if n != REST)
        assert found.values[0, 4 * int(name[0]), 4 * int(name[1])] == pytest.approx(value / len(group))


def test_a_patch_without_a_segment_counts_as_zero_and_a_sweep_has_no_value_for_one() -> None:
    from test_patches import noise, patch_model

    series = noise(1, 16, 36)
    model = patch_model(Linear((16, 12)), size=(16, 12))
    corner = box(series, "liver", slice(None), slice(2, 9), slice(1, 8))
    done = session.ask(series, model, [ABLATION], "mass", at=Sweep(overlap=0), features=[corner])
    (found,) = done.attributions
    assert found.features == {}
    assert found.values[0, :, :12].all()
    assert not found.values[0, :, 12:].any()
    (told,) = done.refused
    assert told == ("feature-ablation", "The maps of 2 of 3 patches count as zero. "
                    "No segment lies on what the model was shown.")  # fmt: skip


# --- geometry -------------------------------------------------------------------------------------

MEASURES = (1.1, 0.6, 0.45)
"""Of the segmentation: mm between planes, rows and columns."""


def turned(vector: np.ndarray) -> np.ndarray:
    """A vector turned by 20° about an axis that is no one's."""
    axis = np.array([0.2, -0.5, 0.8]) / np.linalg.norm([0.2, -0.5, 0.8])
    angle = math.radians(20)
    cross = np.cross(axis, vector)
    return vector * math.cos(angle) + cross * math.sin(angle) + axis * (axis @ vector) * (1 - math.cos(angle))


@pytest.fixture(scope="module")
def askew(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, sitk.Image]:
    """An oblique stack with a SEG of two blocks on planes of its own, and these as SimpleITK has them."""
    folder = tmp_path_factory.mktemp("askew")
    sources = stack(folder)
    row, column, normal = (turned(v) for v in (ROW, COLUMN, NORMAL))
    start = ORIGIN + 0.7 * NORMAL - 0.4 * ROW + 0.9 * COLUMN
    places = [hd.PlanePositionSequence("PATIENT", [*(start + i * MEASURES[0] * normal)]) for i in range(9)]
    pixels = np.zeros((9, 14, 16, 2), np.uint8)
    pixels[1:6, 2:8, 3:11, 0] = 1
    pixels[4:9, 5:12, 8:15, 1] = 1
    segments = [
        hd.seg.SegmentDescription(
            i + 1, name, codes.SCT.Tissue, codes.SCT.Organ, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for i, name in enumerate((LIVER, TUMOUR))
    ]
    hd.seg.Segmentation(
        sources, pixels, hd.seg.SegmentationTypeValues.BINARY, segments, hd.UID(), 9, hd.UID(), 1, "maker",
        "model", "1", "1", pixel_measures=hd.PixelMeasuresSequence(MEASURES[1:], MEASURES[0], MEASURES[0]),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", [*row, *column]), plane_positions=places,
    ).save_as(folder / "seg.dcm")  # fmt: skip
    image = sitk.GetImageFromArray(pixels[..., 0] + 2 * pixels[..., 1])
    image.SetOrigin([*map(float, start)])
    image.SetSpacing(MEASURES[::-1])
    image.SetDirection([float(v) for v in np.stack([row, column, normal], 1).ravel()])
    return folder, image


def resampled(image: sitk.Image, source: ModelInput) -> np.ndarray:
    """The blocks on an input's pixels: 1, 2, and 3 where both are; by SimpleITK, in the patient."""
    matrix = source.series.geometry.matrix @ source.matrix
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = [float(v) for v in (matrix[:3, :3] / spacing)[:, ::-1].ravel()]
    start, steps = [float(v) for v in matrix[:3, 3]], [float(v) for v in spacing[::-1]]
    nearest = sitk.sitkNearestNeighbor
    found = sitk.Resample(image, source.shape[::-1], sitk.Transform(), nearest, start, steps, directions)
    return np.asarray(sitk.GetArrayFromImage(found))


@pytest.mark.parametrize(
    ("fit", "size", "spacing"),
    [
        ("squash", (9, 17, 11), None), ("pad", (10, 23, 23), None), ("crop", (5, 9, 7), None),
        ("crop", (6, 8, 10), (1.3, 0.7, 0.55)), ("squash", (31, 19), None), ("pad", (21, 21), None),
    ],
)  # fmt: skip
def test_an_oblique_segmentation_gives_the_pixels_that_simpleitk_gives(
    askew: tuple[Path, sitk.Image], fit: str, size: tuple[int, ...], spacing: tuple[float, ...] | None
) -> None:
    study = dicom.scan([askew[0]])
    (series,) = study.series
    given: dict[str, Any] = {"dimensions": len(size), "size": size, "fit": fit, "spacing": spacing}
    card = Card.model_validate(
        {
            "name": "linear", "architecture": "test:linear", "weights": "none",
            "input": given | {"values": {"range": [0, 6]}},
            "output": {"labels": ["effusion", "mass", "nodule"]},
        }
    )  # fmt: skip
    net = Linear(size)
    model = Model(card, net, "0" * 64, torch.device("cpu"))
    source = model.prepare(series, None if len(size) == 3 else 2)
    expected = resampled(askew[1], source).reshape(size)
    assert {1, 2, 3} <= set(np.unique(expected)), "the blocks, and what both cover, are all to be seen"
    method = FeatureAblation(over="segments", baseline="zero")
    done = session.ask(series, model, [method], "mass", source.slice, segmentations=study.segmentations)
    assert not done.refused
    (found,) = done.attributions
    each = (net.weight.detach()[1, 0] * source.tensor[0, 0]).numpy()
    for code, name in ((1, LIVER), (3, BOTH), (2, TUMOUR), (0, REST)):
        assert found.features[name] == pytest.approx(float(each[expected == code].sum()), rel=1e-3, abs=1e-3)
        shown = np.unique(found.values.reshape(size)[expected == code])
        assert shown == pytest.approx([found.features[name]])


def test_of_all_slices_those_are_explained_that_a_segment_reaches(askew: tuple[Path, sitk.Image]) -> None:
    study = dicom.scan([askew[0]])
    (series,) = study.series
    model = model_of(Linear((ROWS, 12)), (ROWS, 12), 1)
    high = box(series, "high", slice(4, 5), slice(2, 5), slice(2, 5))
    words: dict[str, Any] = {"target": "mass", "slice": "all"}
    done = session.ask(series, model, [ABLATION], features=[high], **words)
    assert [a.slice for a in done.attributions] == [4]
    done = session.ask(series, model, [FeatureAblation(4)], segmentations=study.segmentations, **words)
    assert [a.slice for a in done.attributions] == list(range(SLICES))
    with pytest.raises(ExplainerError, match=r"no method takes them; add --set over=segments\."):
        session.ask(series, model, [FeatureAblation(4)], features=[high], **words)
