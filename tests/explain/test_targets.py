# SPDX-License-Identifier: Apache-2.0
"""What is explained, in words and as a number."""

import pytest
import torch
from explain_nets import LABELS, PerPixel, inputs_of, make, maps, model_of, near, one, series_of
from torch import nn

from plugins.grad_cam import GradCAM
from plugins.hires_cam import HiResCAM
from plugins.integrated_gradients import IntegratedGradients
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from plugins.score_cam import ScoreCAM
from viewer import affine
from viewer.errors import ExplainerError
from viewer.explain import explain, read_targets
from viewer.models import Model
from viewer.types import ModelInput, Region, Target

HYPHENS = ("non-small-cell", "small-cell", "small", "cell", "non")


def hyphened() -> Model:
    return model_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), labels=HYPHENS)


def per_pixel() -> Model:
    torch.manual_seed(9)
    return model_of(PerPixel())


def read(text: str, model: Model) -> tuple[Target, ...]:
    return read_targets(text, model, series_of((3, 32, 32)), 1)  # type: ignore[return-value]


def test_top_is_each_inputs_own_highest_label() -> None:
    model = make("timm ViT")
    inputs = inputs_of(model, 12)
    explained = explain(model, inputs, [GradCAM()], read("top", model))
    own = [p.top.label for p in explained.predictions]
    assert len(set(own)) > 1
    assert [a.target.label for a in explained.attributions] == own
    for n, found in enumerate(explained.attributions):
        target = Target(own[n], LABELS.index(own[n]))
        (alone,) = explain(model, [inputs[n]], [GradCAM()], [target]).attributions
        assert near(found.values, alone.values)


def test_all_is_every_label_in_the_cards_order() -> None:
    assert [t.label for t in read("all", make("residual"))] == list(LABELS)
    assert [t.index for t in read("all", make("residual"))] == [0, 1, 2]


@pytest.mark.parametrize("text", ["cell-cell", "non-small-cell-non-small-cell", "cell - cell"])
def test_a_label_is_not_contrasted_with_itself(text: str) -> None:
    with pytest.raises(ExplainerError, match="cannot be contrasted with itself"):
        read(text, hyphened())


@pytest.mark.parametrize("label", HYPHENS)
def test_a_label_with_a_hyphen_is_a_label(label: str) -> None:
    (target,) = read(label, hyphened())
    assert (target.label, target.minus, target.kind) == (label, None, "label")
    assert HYPHENS[target.index] == label


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("small-cell-non-small-cell", "small-cell", "non-small-cell"),
        ("non-small-cell-small-cell", "non-small-cell", "small-cell"),
        ("small - cell", "small", "cell"),
        ("cell-small-cell", "cell", "small-cell"),
        ("small-cell-cell", "small-cell", "cell"),
    ],
)
def test_a_difference_is_split_where_both_sides_are_labels(text: str, first: str, second: str) -> None:
    (target,) = read(text, hyphened())
    assert (target.label, target.minus, target.kind) == (first, second, "difference")
    assert (HYPHENS[target.index], HYPHENS[target.minus_index]) == (first, second)
    assert target.words == f"{first} − {second}"


def test_an_unknown_label_is_told_with_the_known_ones() -> None:
    with pytest.raises(ExplainerError) as told:
        read("masss", make("residual"))
    assert str(told.value) == (
        "The target 'masss' is not known; give top, all, A-B, or one of the labels: effusion, mass, nodule."
    )


def test_a_regression_output_is_no_class() -> None:
    model = model_of(nn.Sequential(nn.Flatten(), nn.Linear(3072, 3)), activation="none")
    assert [t.kind for t in read("all", model)] == ["output"] * 3
    assert one(model, Saliency()).target.kind == "output"


def test_the_map_of_a_difference_is_the_difference_of_the_maps() -> None:
    for kind in ("residual", "timm ViT", "3D CNN"):
        model = make(kind)
        wishes = [*read("mass", model), *read("nodule", model), *read("mass-nodule", model)]
        mass, nodule, difference = maps(explain(model, inputs_of(model), [GradCAM()], wishes))
        assert near(difference, mass - nodule)


def test_a_dense_output_is_explained_by_its_mean() -> None:
    model = per_pixel()
    (source,) = inputs_of(model)
    found = one(model, Saliency(), Target("mass", 1))
    x = source.tensor.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model._module(x)[:, 1].mean(), x)
    assert near(found.values, gradient.abs().amax(1).numpy())


def test_a_class_inside_a_box_is_its_mean_over_the_box_alone() -> None:
    model = per_pixel()
    inputs = inputs_of(model, 3)
    (wish,) = read_targets("mass@4,10,9,20", model, inputs[1].series, 1)
    assert (wish.kind, wish.words) == ("region", "mass in box 4,10,9,20")
    (found,) = maps(explain(model, [inputs[1]], [Saliency()], [wish]))
    x = inputs[1].tensor.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model._module(x)[0, 1, 4:10, 10:21].mean(), x)
    assert near(found, gradient.abs().amax(1).numpy())
    assert not found[0, :2].any()  # nothing outside what the box can see
    assert not found[0, 12:].any()


def test_a_box_is_placed_through_the_input_that_was_shown() -> None:
    """A crop that begins at row 8, column 4 and takes every second pixel."""
    model = per_pixel()
    series = series_of((1, 80, 80))
    tensor = torch.randn(1, 3, 32, 32)
    source = ModelInput(series, 0, tensor, affine.scale_offset((1, 2, 2), (0, 8, 4)))
    (wish,) = read_targets("mass@18,14,21,19", model, series, 0)
    (found,) = maps(explain(model, [source], [Saliency()], [wish]))
    x = tensor.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model._module(x)[0, 1, 5:7, 5:8].mean(), x)
    assert near(found, gradient.abs().amax(1).numpy())


def test_a_box_is_placed_on_an_output_that_is_coarser_than_the_input() -> None:
    torch.manual_seed(9)
    model = model_of(nn.Sequential(PerPixel(), nn.AvgPool2d(2)))
    (source,) = inputs_of(model)
    (wish,) = read_targets("mass@4,10,9,19", model, source.series, 0)
    (found,) = maps(explain(model, [source], [Saliency()], [wish]))
    x = source.tensor.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model._module(x)[0, 1, 2:5, 5:10].mean(), x)
    assert near(found, gradient.abs().amax(1).numpy())


@pytest.mark.parametrize("method", [GradCAM(), IntegratedGradients(steps=8), Occlusion(window=8), ScoreCAM()])
def test_every_way_to_a_score_knows_the_box(method: object) -> None:
    model = per_pixel()
    (source,) = inputs_of(model)
    corner, other = (
        read_targets(f"mass@{box}", model, source.series, 0)[0] for box in ("0,0,7,7", "24,24,31,31")
    )
    first, second = maps(explain(model, [source], [method], [corner, other]))  # type: ignore[list-item]
    assert not near(first, second, 1e-4)


def test_a_region_on_another_slice_is_outside() -> None:
    model = per_pixel()
    inputs = inputs_of(model, 2)
    wish = Target("mass", 1, region=Region.box(inputs[0].series, 1, (0, 0, 3, 3), "drawn"))
    explained = explain(model, [inputs[0]], [Saliency()], [wish])
    assert explained.refused == (("saliency", "The region drawn lies outside what the model was shown."),)


def test_a_class_inside_a_region_is_refused_for_a_classifier() -> None:
    model = make("residual")
    (wish,) = read("mass@1,1,5,5", model)
    for method in (GradCAM(), Occlusion(), ScoreCAM()):
        ((_, told),) = explain(model, inputs_of(model, 2)[1:], [method], [wish]).refused
        assert told.startswith("A class inside a region needs a network with an output per pixel")
        assert told.count(".") == 1


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ("1,2,3", "is not a box"),
        ("a,b,c,d", "is not a box"),
        ("5,5,4,9", "does not lie in the image of 32 × 32"),
        ("0,0,32,4", "does not lie in the image of 32 × 32"),
        ("-1,0,3,4", "does not lie in the image of 32 × 32"),
    ],
)
def test_a_box_that_is_none_is_told(box: str, told: str) -> None:
    with pytest.raises(ExplainerError, match=told):
        read(f"mass@{box}", per_pixel())


def test_a_label_may_hold_an_at_sign() -> None:
    model = model_of(PerPixel(), labels=("PD-L1@50%", "b", "c"))
    assert read("PD-L1@50%", model)[0].kind == "label"
    assert read("PD-L1@50%@1,1,2,2", model)[0].region is not None


def test_regions_of_a_batch_are_placed_one_by_one() -> None:
    """Two inputs of one slice, cropped at other places: the same box lies elsewhere in each."""
    model = per_pixel()
    series = series_of((1, 64, 64))
    tensor = torch.randn(1, 3, 32, 32)
    inputs = [ModelInput(series, 0, tensor, affine.scale_offset((1, 1, 1), (0, o, o))) for o in (0, 10)]
    (wish,) = read_targets("mass@12,12,15,15", model, series, 0)
    for method in (Saliency(), HiResCAM(), IntegratedGradients(steps=4), Occlusion(window=8), ScoreCAM()):
        together = maps(explain(model, inputs, [method], [wish]))
        for source, found in zip(inputs, together, strict=True):
            assert near(found, maps(explain(model, [source], [method], [wish]))[0], 1e-4)
        assert not near(together[0], together[1], 1e-3)
