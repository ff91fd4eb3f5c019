# SPDX-License-Identifier: Apache-2.0
"""Methods of libraries: where they are refused, and what they leave as it was."""

import random
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import LABELS, MORE, NETS, inputs_of, make, maps, model_of, near, one
from fingerprint import changed, fingerprint, marked
from test_contract import FEW, METHODS, method
from torch import Tensor, nn

from plugins.deep_lift_shap import DeepLiftSHAP
from plugins.eigen_grad_cam import EigenGradCAM
from plugins.finer_cam import FinerCAM
from plugins.grad_cam import GradCAM
from plugins.internal_influence import InternalInfluence
from plugins.kpca_cam import KPCACAM
from plugins.layer_conductance import LayerConductance
from plugins.lime import LIME
from plugins.lrp import LRP
from plugins.saliency import Saliency
from plugins.shapley_value_sampling import ShapleyValueSampling
from viewer.explain import calls, check_with_library, explain
from viewer.export.document import document
from viewer.export.panel import Column, column
from viewer.export.provenance import provenance
from viewer.models import Model
from viewer.models.builtin import SmallCNN
from viewer.overlay import automatic_style
from viewer.types import Overlay, Region, Snapshot, Target

OURS = [name for name in METHODS if method(name).library]
OTHERS = [kind for kind in (*NETS, *MORE) if kind not in FEW]


def built(*layers: nn.Module, size: int = 8, channels: int = 4) -> Model:
    """Layers behind a convolution without a bias, then a mean and one linear layer without a bias."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, bias=False), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(channels, len(LABELS), bias=False),
    )  # fmt: skip
    return model_of(net, (size, size))


def test_the_libraries_and_their_methods() -> None:
    named = {name: method(name).library for name in METHODS}
    captum = {
        "lrp",
        "lime",
        "shapley-value-sampling",
        "deep-lift-shap",
        "layer-conductance",
        "internal-influence",
    }
    cams = {"eigen-grad-cam", "finer-cam", "shapley-cam", "kpca-cam", "fem"}
    assert {name for name, library in named.items() if library == "captum"} == captum
    assert {name for name, library in named.items() if library == "grad-cam"} == cams


@pytest.mark.parametrize("name", [*OURS, "saliency"])
def test_picture_and_document_name_the_library_with_its_version(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = method(name).library
    wanted = {library: version(library)} if library else {}
    found = replace(one(make("residual"), Saliency()), explainer=method(name))
    facts: dict[str, Any] = {}
    monkeypatch.setattr(Column, "fact", lambda _self, key, value, *_: facts.update({key: value}))
    column(Snapshot(Overlay(found, automatic_style([found])), 0), (), drawn=True)
    whole = document([found], found.predictions, [{}], [], show_identity=False)
    for versions in (dict(line.split(" ") for line in facts["Made with"]), whole["versions"],
                     provenance(found)["versions"]):  # fmt: skip
        named = {key: value for key, value in versions.items() if key in ("captum", "grad-cam")}
        assert named == wanted


def test_the_document_names_the_libraries_that_were_compared_with() -> None:
    found = one(make("residual"), GradCAM())
    checks = check_with_library(make("residual"), [found])
    whole = document([found], found.predictions, [{}], [], show_identity=False, checks=checks)
    assert {name: whole["versions"].get(name) for name in ("captum", "grad-cam")} == {
        name: version(name) for name in ("captum", "grad-cam")
    }


@pytest.mark.parametrize("kind", OTHERS)
def test_every_method_explains_every_kind_or_says_why_not(kind: str) -> None:
    """What the contract's tests leave out for their time; the network is what it was."""
    model = make(kind)
    net = marked(model)
    before = fingerprint(net)
    for name in OURS:
        chosen = method(name)
        reason = chosen.unsuitable(model)
        explained = explain(model, inputs_of(model), [chosen], [Target("mass", 1)])
        assert explained.refused == (() if reason is None else ((name, reason),))
        assert all(np.isfinite(a.values).all() and a.values.any() for a in explained.attributions)
        assert changed(before, fingerprint(net)) == [], name


@pytest.mark.parametrize("name", OURS)
def test_no_generator_draws_for_it(name: str) -> None:
    """What anybody else draws at random afterwards is what it would have been."""
    model = make("CNN without biases")
    explain(model, inputs_of(model), [method(name)])
    states: list[Any] = []
    for _ in range(2):
        states.append((torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()))
        assert explain(model, inputs_of(model), [method(name)]).attributions
    assert states[0] == states[1]


@pytest.mark.parametrize("made", [LIME, ShapleyValueSampling, DeepLiftSHAP])
def test_another_seed_is_another_map_and_the_same_the_same(made: Any) -> None:
    model = make("plain CNN")
    quick = (
        {"samples": 20} if made is LIME else {"orders": 2} if made is ShapleyValueSampling else {"samples": 3}
    )
    first, again, other = (one(model, made(seed=seed, **quick)).values for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert not near(other, first, 0.01)


@pytest.mark.parametrize("name", OURS)
def test_it_runs_in_a_guard_for_strangers_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("CNN without biases")
    thorough: list[bool] = []
    guarded = Model.guarded
    wanted = one(model, Saliency()).values
    assert method(name).unsuitable(model) is None
    method(name).fitted(model)  # what is found out once is not counted

    def counted(self: Model, task: Any, strictly: bool = False) -> Any:
        thorough.append(strictly)
        return guarded(self, task, strictly)

    monkeypatch.setattr(Model, "guarded", counted)
    explained = explain(model, inputs_of(model), [method(name), Saliency()])
    assert not explained.refused
    assert thorough == [False, True]
    saliency = next(a for a in explained.attributions if a.explainer == Saliency())
    assert saliency.values.tobytes() == wanted.tobytes()


def test_a_fault_of_a_library_is_a_refusal_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_grad_cam

    def fail(*_: Any) -> None:
        raise ValueError("no such axis")

    monkeypatch.setattr(pytorch_grad_cam.EigenGradCAM, "get_cam_image", fail)
    model = make("plain CNN")
    net = marked(model)
    before = fingerprint(net)
    ((name, reason),) = explain(model, inputs_of(model), [EigenGradCAM()]).refused
    assert (name, changed(before, fingerprint(net))) == ("eigen-grad-cam", [])
    assert reason.startswith(
        "EigenGradCAM at the layer 'blocks' failed with ValueError: no such axis "
        "(test_library_methods.py, line "
    )


# --- what is refused -------------------------------------------------------------------------------


def test_lrp_is_refused_where_its_sum_misses_the_logit() -> None:
    model = built(nn.ReLU())
    *_, last = model._module.children()
    with torch.no_grad():
        last.bias = nn.Parameter(torch.zeros(3))
    model = model_of(model._module, (8, 8))
    (source,) = inputs_of(model)
    assert LRP().unsuitable(model) is None
    exact = explain(model, [source], [LRP()], [Target("mass", 1)])
    logit = exact.predictions[0].scores[1].logit
    assert exact.attributions[0].completeness_error < 0.01
    for share, refused in ((0.08, False), (0.12, True)):
        with torch.no_grad():  # of the logit, so much is the bias's
            last.get_parameter("bias")[1] = logit * share / (1 - share)
        biased = model_of(model._module, (8, 8))
        explained = explain(biased, [source], [LRP()], [Target("mass", 1)])
        if not refused:
            assert explained.attributions[0].completeness_error == pytest.approx(8, abs=0.1)
            continue
        ((_, reason),) = explained.refused
        assert reason.startswith(
            f"Of the logit {logit / (1 - share):.3g} of 'mass' captum's LRP hands {logit:.3g}"
        )
        assert "12 % off: biases and normalisation have the rest" in reason


class Sums(nn.Module):
    """Adds, or joins, what two layers give."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = (nn.Conv2d(3, 4, 3, padding=1, bias=False) for _ in range(2))
        self.place = nn.Parameter(torch.randn(4, 8, 8))
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y, z = self.first(x), self.second(x)
        if self.how == "+":
            y = y + z
        elif self.how == "+=":
            y += z
        elif self.how == "add":
            y = torch.add(y, z)
        elif self.how == "mean":
            return self.head(y.mean((2, 3)))
        elif self.how == "place":
            y = y + self.place
        return self.head(torch.flatten(self.pool(y), 1))


@pytest.mark.parametrize("how", ["+", "+=", "add"])
def test_lrp_is_refused_where_the_network_adds(how: str) -> None:
    torch.manual_seed(0)
    model = model_of(Sums(how), (8, 8))
    reason = LRP().unsuitable(model)
    assert reason is not None
    assert reason.startswith("This network adds what its layers give (residual connections)")
    found = calls(model)
    assert found is not None
    assert found.addition is not None
    assert found.addition.several


def test_what_is_added_that_is_not_of_the_image_is_no_residual_connection() -> None:
    found = calls(model_of(Sums("place"), (8, 8)))
    assert found is not None
    assert found.addition is None
    assert LRP().unsuitable(model_of(Sums("none"), (8, 8))) is None


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((nn.GELU(),), "The layer '1' is of the kind GELU, for which captum's LRP has no rule."),
        ((nn.LeakyReLU(),), "The layer '1' is of the kind LeakyReLU, for which captum's LRP has no rule."),
        ((nn.Sigmoid(),), "The layer '1' is of the kind Sigmoid, for which captum's LRP has no rule."),
    ],
)
def test_lrp_is_refused_where_there_is_no_rule(layers: tuple[nn.Module, ...], words: str) -> None:
    assert LRP().unsuitable(built(*layers)) == words


def test_lrp_is_refused_for_what_is_computed_outside_of_layers() -> None:
    reason = LRP().unsuitable(model_of(Sums("mean"), (8, 8)))
    assert reason is not None
    assert reason.startswith("This network computes 'mean' outside of its layers")


@pytest.mark.parametrize(("made", "library"), [(LRP, "LRP"), (DeepLiftSHAP, "DeepLift")])
def test_a_layer_that_runs_twice_is_refused(made: Callable[..., Any], library: str) -> None:
    twice = nn.ReLU()
    reason = made().unsuitable(built(twice, nn.Conv2d(4, 4, 1), twice))
    assert reason == f"The layer '1' runs more than once, which captum's {library} cannot follow."


class Odd(nn.Module):
    """Something between two layers that no module computes."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.between = between
        self.conv, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(self.act(self.conv(x))).mean((2, 3)))


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (lambda x: x.relu(), "computes 'relu' outside of its layers"),
        (lambda x: torch.nn.functional.gelu(x), "computes 'gelu' outside of its layers"),
        (lambda x: x * x.mean(1, keepdim=True), "multiplies what depends on the image"),
        (lambda x: x / (1 + x.sum(1, keepdim=True)), "multiplies what depends on the image"),
        (lambda x: x**2, "computes 'pow' outside of its layers"),
    ],
)
def test_deep_lift_shap_is_refused_for_functions(between: Callable[[Tensor], Tensor], words: str) -> None:
    reason = DeepLiftSHAP().unsuitable(model_of(Odd(between), (8, 8)))
    assert reason is not None
    assert words in reason


def test_deep_lift_shap_goes_through_what_is_linear() -> None:
    model = model_of(Odd(lambda x: torch.cat([x[:, :2] * 3 - 1, x[:, 2:] / 2], 1)), (8, 8))
    assert one(model, DeepLiftSHAP(samples=3)).completeness_error < 0.01


@pytest.mark.parametrize(
    ("pool", "fine"),
    [(nn.MaxPool2d(2), True), (nn.MaxPool2d(3, 2), False), (nn.MaxPool2d((2, 3), (2, 2)), False)],
)
def test_deep_lift_shap_is_refused_where_windows_overlap(pool: nn.Module, fine: bool) -> None:
    model = built(nn.ReLU(), pool)
    reason = DeepLiftSHAP().unsuitable(model)
    assert (reason is None) == fine
    if fine:
        assert one(model, DeepLiftSHAP(samples=3)).completeness_error < 0.01
    else:
        assert reason == "The windows of the layer '2' overlap, where captum's rule loses values."


def test_finer_cam_is_refused_for_one_logit_and_for_a_difference() -> None:
    torch.manual_seed(0)
    single = model_of(SmallCNN(3, 1, (4, 6)), labels=("nodule",))
    ((_, reason),) = explain(single, inputs_of(single), [FinerCAM()]).refused
    assert reason == "This network gives one logit, and Finer-CAM compares a label's with those of others."
    model = make("plain CNN")
    ((_, reason),) = explain(model, inputs_of(model), [FinerCAM()], [Target("mass", 1, "nodule", 2)]).refused
    assert reason == "Finer-CAM is a difference by itself; ask for one label, not for two."


def test_finer_cam_is_refused_where_two_logits_are_the_same() -> None:
    model = make("plain CNN")
    with torch.no_grad():
        for part in model._module.get_submodule("head").parameters():
            part[2] = part[1]
    same = model_of(model._module)
    ((_, reason),) = explain(same, inputs_of(same), [FinerCAM()], [Target("mass", 1)]).refused
    assert reason.startswith("Another label has exactly the same logit")
    assert explain(same, inputs_of(same), [FinerCAM()], [Target("effusion", 0)]).attributions


def test_finer_cam_without_strength_is_grad_cam() -> None:
    model = make("residual")
    grad_cam = method("grad-cam")
    found = one(model, FinerCAM(strength=0), Target("mass", 1)).values
    assert near(found, one(model, grad_cam, Target("mass", 1)).values, 1e-4)


@pytest.mark.parametrize("made", [EigenGradCAM, KPCACAM])
def test_a_layer_of_too_many_cells_is_refused_before_anything_runs(made: Any) -> None:
    torch.manual_seed(0)
    model = model_of(SmallCNN(1, 3, (4, 4)), (96, 96), 1)
    assert made("blocks.1").unsuitable(model) is None  # 48 × 48
    reason = made("blocks.0.0").unsuitable(model)
    assert reason == (
        "The layer has 9216 cells, and grad-cam forms a matrix of cells by cells; choose a deeper layer, of "
        f"at most {made.cells}."
    )


def test_a_blank_map_is_refused() -> None:
    model = make("timm ViT")
    for name in ("finer-cam", "shapley-cam", "eigen-grad-cam", "layer-conductance"):
        made: Any = type(method(name))
        chosen = made(layer="blocks.1")  # behind it only the class token is read
        ((_, reason),) = explain(model, inputs_of(model), [chosen]).refused
        assert "only the class token" in reason


def test_a_sum_over_channels_that_is_rounding_is_refused() -> None:
    """Behind the layer the mean over the channels is taken away, so that the gradients add up to nothing."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 6, 3, 2, 1)
            self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.norm(self.body(x).mean((2, 3))))

    torch.manual_seed(0)
    model = model_of(Normed())
    ((_, reason),) = explain(model, inputs_of(model), [InternalInfluence("body")]).refused
    assert reason.startswith("At the layer 'body' the channels cancel")
    assert one(model, LayerConductance("body")).values.any()


def test_lime_is_refused_where_no_feature_has_a_weight() -> None:
    model = make("plain CNN")
    ((_, reason),) = explain(model, inputs_of(model), [LIME(samples=20, penalty=1)]).refused
    assert reason == "No feature has a weight in LIME's line; choose a smaller penalty."


# --- targets, regions, segments --------------------------------------------------------------------


@pytest.mark.parametrize("made", [LayerConductance, InternalInfluence])
def test_a_difference_is_the_difference_of_the_maps(made: Any) -> None:
    model = make("residual")
    explainer = made("layer1", steps=5)
    a, b = (one(model, explainer, Target(LABELS[i], i)).values for i in (0, 1))
    assert near(one(model, explainer, Target(LABELS[0], 0, LABELS[1], 1)).values, a - b, 1e-4)


def test_internal_influence_looks_for_a_layer_where_cells_differ() -> None:
    model = make("plain CNN")
    assert InternalInfluence().fitted(model).layer == "blocks.0.2"
    assert InternalInfluence("blocks").fitted(model).layer == "blocks"
    last = one(model, InternalInfluence("blocks", 3)).values
    assert np.ptp(last) <= 1e-4 * np.abs(last).max()
    assert np.ptp(one(model, InternalInfluence(steps=3)).values) > 0


def test_a_class_in_a_region_is_explained_there() -> None:
    """Of an output per pixel the score in a region is that of its pixels alone."""
    model = make("U-Net")
    (source,) = inputs_of(model)
    target = Target("mass", 1, region=Region.box(source.series, 0, (4, 4, 11, 11), "a corner"))
    for name in ("lime", "shapley-value-sampling", "layer-conductance", "eigen-grad-cam"):
        whole, found = (one(model, method(name), wish).values for wish in (Target("mass", 1), target))
        assert not near(found, whole, 0.05), name
    # Where one linear layer follows, the mean of the gradient is the same wherever the score is read.
    last = FinerCAM("merge", strength=0)
    cam, regional = (one(model, last, wish).values for wish in (Target("mass", 1), target))
    assert near(cam, regional, 1e-3)
    assert one(model, DeepLiftSHAP(samples=3), target).completeness_error < 0.01


@pytest.mark.parametrize("name", ["lime", "shapley-value-sampling", "deep-lift-shap", "layer-conductance"])
def test_the_image_is_changed_within_the_readers_region_alone(name: str) -> None:
    model = make("plain CNN")
    (source,) = inputs_of(model)
    region = Region.box(source.series, 0, (4, 4, 19, 27), "a box")
    outside = ~region.on(source.matrix, source.shape)[0]
    found = explain(model, [source], [method(name)], within=region)
    assert found.attributions[0].within is region
    values = maps(found)[0][0]
    assert near(values, explain(model, [source], [method(name)]).attributions[0].values[0], 0.01) is False
    assert name == "layer-conductance" or not values[outside].any()


@pytest.mark.parametrize("made", [LIME, ShapleyValueSampling])
def test_segments_are_the_features_where_asked_for(made: Any) -> None:
    model = make("plain CNN")
    (source,) = inputs_of(model)
    regions = [
        Region.box(source.series, 0, (2, 2, 11, 11), "liver"),
        Region.box(source.series, 0, (15, 15, 25, 29), "spleen"),
    ]
    found = explain(model, [source], [made(over="segments")], features=regions).attributions[0]
    assert list(found.features) == ["liver", "spleen", "the rest"]
    assert found.values[0, 5, 5] == pytest.approx(found.features["liver"])
    assert found.values[0, 20, 20] == pytest.approx(found.features["spleen"])
    assert len(np.unique(found.values)) == 3


@pytest.mark.parametrize("name", ["lime", "shapley-value-sampling"])
def test_all_targets_share_the_samples(name: str) -> None:
    """A library that scores one target at a time is not run once for each."""
    model = make("plain CNN")
    counts = []
    for labels in (LABELS[:1], LABELS):
        seen: list[int] = []
        handle = model._module.register_forward_pre_hook(lambda _m, x, seen=seen: seen.append(len(x[0])))
        explain(
            model, inputs_of(model), [method(name)], [Target(label, LABELS.index(label)) for label in labels]
        )
        handle.remove()
        counts.append(seen)
    assert counts[0] == counts[1]
    assert sum(counts[0]) > 20


def test_a_library_sees_the_layer_as_it_was_before_what_follows_in_place() -> None:
    """grad-cam by itself keeps the very tensor that an in-place ReLU then changes."""
    made: Any = method("fem").__class__
    found = [one(_dense(inplace), made("features")).values for inplace in (True, False)]
    assert near(found[0], found[1])
    assert (found[0] < 0).any()


def _dense(inplace: bool) -> Model:
    model = make("dense")
    setattr(model._module, "inplace", inplace)  # noqa: B010 - torch types attributes as tensors or modules
    return model
