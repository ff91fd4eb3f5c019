# SPDX-License-Identifier: Apache-2.0
"""Maps beside those of captum and grad-cam: the same where both are right, told where a library is not."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import pytorch_grad_cam
import torch
import torch.nn.functional as F
from explain_nets import DenseLike, inputs_of, make, model_of, restless, series_of
from fingerprint import changed, fingerprint, marked
from torch import Tensor, nn

from plugins.ablation_cam import AblationCAM
from plugins.deep_lift import DeepLift
from plugins.eigen_cam import EigenCAM
from plugins.expected_gradients import ExpectedGradients
from plugins.feature_ablation import FeatureAblation
from plugins.grad_cam import GradCAM
from plugins.grad_cam_plus_plus import GradCAMPlusPlus
from plugins.guided_grad_cam import GuidedGradCAM
from plugins.hires_cam import HiResCAM
from plugins.input_x_gradient import InputXGradient
from plugins.integrated_gradients import IntegratedGradients
from plugins.kernel_shap import KernelSHAP
from plugins.layer_cam import LayerCAM
from plugins.legrad import LeGrad
from plugins.occlusion import Occlusion
from plugins.saliency import Saliency
from plugins.score_cam import ScoreCAM
from plugins.xgrad_cam import XGradCAM
from viewer.explain import (
    Cost,
    Explainer,
    Peer,
    Probe,
    Refused,
    Scored,
    check_with_library,
    discover,
    explain,
)
from viewer.models import Model
from viewer.task import Cancelled, Progress, Task
from viewer.types import PeerCheck, Region, Target

ROOT = Path(__file__).parents[2]
MASS = Target("mass", 1)
AGREES, APART = 1e-4, 0.01


def checked(model: Model, method: Explainer, target: Any = MASS, n: int = 1, **more: Any) -> list[PeerCheck]:
    """The checks of a method's maps, which it must have given."""
    explained = explain(model, inputs_of(model, n), [method], [target], **more)
    assert not explained.refused, explained.refused
    return list(check_with_library(model, explained.attributions))


def differences(checks: Sequence[PeerCheck]) -> list[float]:
    """What was measured; nothing may have been left out."""
    assert all(check.difference is not None and check.largest > 0 for check in checks), checks
    return [check.difference for check in checks if check.difference is not None]


# --- where both are right -------------------------------------------------------------------------

CAMS = [GradCAM(), HiResCAM(), LayerCAM()]
AT_THE_INPUT = [IntegratedGradients(), IntegratedGradients(steps=7), Saliency(), Occlusion()]
LAYERS = {"plain CNN": "blocks.0", "residual": "layer1", "3D CNN": "blocks.0", "U-Net": "bottom"}


@pytest.mark.parametrize("kind", ["plain CNN", "residual", "3D CNN", "U-Net"])
@pytest.mark.parametrize("method", [*CAMS, *AT_THE_INPUT], ids=lambda m: f"{m.name}-{m.settings()}"[:40])
def test_the_six_are_those_of_the_libraries(kind: str, method: Explainer) -> None:
    model = make(kind)
    several = [method, replace(method, layer=LAYERS[kind])] if "layer" in method.settings() else [method]  # type: ignore[call-arg]
    for one in several:
        checks = checked(model, one, n=1 if kind == "3D CNN" else 2)
        wanted = {"grad-cam": {"captum", "grad-cam"}}.get(one.name) or (
            {"grad-cam"} if "layer" in one.settings() else {"captum"}
        )
        assert {check.library for check in checks} == wanted
        assert max(differences(checks)) < AGREES
        assert all(check.fault == check.reason == "" for check in checks)


@pytest.mark.parametrize("kind", ["timm ViT", "ViT with registers", "Swin", "torch transformer"])
def test_on_tokens_they_are_those_of_the_library_that_is_told_where_the_tokens_lie(kind: str) -> None:
    model = make(kind)
    for cam in CAMS:
        checks = [check for check in checked(model, cam) if check.library == "grad-cam"]
        assert max(differences(checks)) < AGREES
    for method in AT_THE_INPUT:
        assert max(differences(checked(model, method))) < AGREES


FURTHER = [
    XGradCAM(), EigenCAM(), ScoreCAM(), AblationCAM(), InputXGradient(), GuidedGradCAM(),
    FeatureAblation(features=8), KernelSHAP(over="grid", features=4, baseline="mean"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["plain CNN", "residual"])
@pytest.mark.parametrize("method", FURTHER, ids=lambda m: m.name)
def test_further_methods_are_those_of_the_libraries(
    kind: str, method: Explainer, capfd: pytest.CaptureFixture[str]
) -> None:
    (check,) = checked(make(kind), method, Target("effusion", 0))
    assert differences([check])[0] < AGREES
    assert check.fault == ""
    assert capfd.readouterr() == ("", "")  # no progress bar of a library's own


def test_every_baseline_and_a_region_mean_the_same_to_the_library() -> None:
    model = make("residual")
    region = Region.box(series_of((1, 32, 32)), 0, (4, 6, 20, 25), "box")
    for start in ("zero", "blur", "several"):
        for method in (IntegratedGradients(steps=5, baseline=start), Occlusion(window=6, baseline=start)):
            assert max(differences(checked(model, method, within=region))) < AGREES
    (check,) = checked(model, IntegratedGradients(baseline="several"))
    assert (check.difference, check.library) == (None, "captum")
    assert "name a number of steps" in check.reason


def test_the_library_explains_the_same_number() -> None:
    """A difference of labels, the mean over a region of an output per pixel, and each label of all."""
    model = make("U-Net")
    region = Region.box(series_of((1, 32, 32)), 0, (4, 6, 20, 25), "box")
    targets = [Target("mass", 1, "nodule", 2), Target("mass", 1, region=region), Target("effusion", 0)]
    for method in (GradCAM(), Saliency()):
        explained = explain(model, inputs_of(model), [method], targets)
        assert not explained.refused, explained.refused
        checks = check_with_library(model, explained.attributions)
        assert max(differences(checks)) < AGREES
        assert {check.label for check in checks} == {"mass − nodule", "mass in box", "effusion"}


def test_it_is_the_map_that_was_shown_and_the_library_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("residual")
    explained = explain(model, inputs_of(model), [Saliency(), HiResCAM()], [MASS])
    saliency, cam = explained.attributions
    doubled = replace(saliency, values=saliency.values * 2)
    assert differences(check_with_library(model, [doubled])) == [pytest.approx(0.5, abs=1e-5)]
    plain = captum.attr.Saliency.attribute
    monkeypatch.setattr(captum.attr.Saliency, "attribute", lambda *a, **k: 3 * plain(*a, **k))
    assert differences(check_with_library(model, [saliency])) == [pytest.approx(2, abs=1e-5)]
    raw = pytorch_grad_cam.HiResCAM.get_cam_image
    monkeypatch.setattr(pytorch_grad_cam.HiResCAM, "get_cam_image", lambda *a, **k: -raw(*a, **k))
    assert differences(check_with_library(model, [cam])) == [pytest.approx(2, abs=1e-5)]


# --- where a library is wrong ---------------------------------------------------------------------


def told(check: PeerCheck, sentence: str) -> None:
    assert differences([check])[0] > APART
    assert sentence in check.fault
    assert check.fault.endswith(".")
    assert check.fault in check.words


@pytest.mark.parametrize("kind", ["timm ViT", "Swin", "torch transformer"])
def test_captums_grad_cam_averages_the_channels_of_tokens(kind: str) -> None:
    captums, packages = checked(make(kind), GradCAM())
    assert (captums.library, packages.library) == ("captum", "grad-cam")
    told(captums, "LayerGradCam averages the gradient over the axes from the third on")


@pytest.mark.parametrize("method", [GradCAM(), XGradCAM(), EigenCAM(), ScoreCAM()], ids=lambda m: m.name)
def test_grad_cam_keeps_activations_that_a_relu_in_place_overwrites(method: Explainer) -> None:
    def of(net: nn.Module) -> PeerCheck:
        return checked(model_of(net), replace(method, layer="features"))[-1]  # type: ignore[call-arg]

    torch.manual_seed(5)
    inplace = restless(DenseLike(inplace=True))
    plain = DenseLike(inplace=False)
    plain.load_state_dict(inplace.state_dict())
    told(of(inplace), "this network overwrites it in place")
    right = of(plain)
    assert differences([right])[0] < AGREES
    assert right.fault == ""
    assert differences(checked(make("DenseNet"), GradCAM()))[0] < AGREES  # captum copies
    told(checked(make("DenseNet"), GradCAM())[1], "this network overwrites it in place")


@pytest.mark.parametrize("layer", ["norm", "blocks.1.norm2"])
def test_grad_cam_behind_the_last_block_is_blank_where_ours_refuses(layer: str) -> None:
    """Only the class token reaches the head from there; the first norm of the last block is read."""
    model = make("timm ViT")
    for method in (GradCAM(layer), HiResCAM(layer), LayerCAM(layer)):
        ((_, reason),) = explain(model, inputs_of(model), [method], [MASS]).refused
        checks = check_with_library(model, [], refused=[Refused(method, inputs_of(model)[0], reason)])
        (package,) = [check for check in checks if check.library == "grad-cam"]
        assert package.fault == "grad-cam gives a map that is zero everywhere, without a word."
        assert "so the map would be blank" in package.reason
        assert package.difference is None
        assert package.label in model.labels


class Rectifying(nn.Module):
    """The same network, its ReLUs a function, modules, or one module used twice."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(2))
        self.head = nn.Linear(8, 3)
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate((self.first, self.second)):
            x = layer(x)
            relu = self.relus[0 if self.way == "reused" else number]
            x = F.relu(x) if self.way == "function" else relu(x)
        return self.head(x.mean((2, 3)))


def rectifying(way: str) -> Model:
    torch.manual_seed(4)
    return model_of(Rectifying(way))


def test_captums_deep_lift_takes_a_relu_that_is_a_function_for_linear() -> None:
    (right,) = checked(rectifying("modules"), DeepLift(baseline="blur"))
    assert differences([right])[0] < AGREES
    (wrong,) = checked(rectifying("function"), DeepLift(baseline="blur"))
    told(wrong, "takes 2 of the 2 non-linear steps of this network")
    # This version says of a module used again that it cannot.
    (again,) = checked(rectifying("reused"), DeepLift(baseline="blur"))
    assert again.difference is None
    assert again.reason.startswith("captum failed with RuntimeError: A Module ReLU() was detected")


def test_captums_deep_lift_does_not_add_up_behind_a_maximum() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    (check,) = checked(model_of(net), DeepLift(baseline="blur"))
    told(check, "captum's rule for a maximum")
    assert re.search(r"misses the change of the score by \d", check.fault)


def test_captums_guided_backpropagation_passes_functions_by() -> None:
    method = GuidedGradCAM("second")
    assert differences(checked(rectifying("modules"), method))[0] < AGREES
    told(checked(rectifying("function"), method)[0], "of the 2 ReLUs that this network runs 2 are functions")


def test_grad_cams_small_number_outweighs_weak_gradients() -> None:
    net = make("residual")._module
    with torch.no_grad():
        net.get_parameter("fc.weight").mul_(1e-4)
    told(checked(model_of(net), GradCAMPlusPlus())[0], "weak gradients are lost")
    with torch.no_grad():
        net.get_parameter("fc.weight").mul_(1e8)
    assert differences(checked(model_of(net), GradCAMPlusPlus()))[0] < AGREES


def test_grad_cams_ablation_is_none_where_a_layer_has_values_below_zero() -> None:
    told(checked(make("residual"), AblationCAM("layer1.bn2"))[0], "ten million below")


# --- where there is nothing to compare ------------------------------------------------------------


def test_what_cannot_be_compared_is_told_in_words() -> None:
    model = make("timm ViT")
    (none,) = checked(model, LeGrad())
    assert (none.library, none.words) == ("", "Neither captum nor grad-cam has LeGrad.")
    (chance,) = checked(model, ExpectedGradients(samples=4))
    assert "draws at random" in chance.reason
    for volume, method in (("3D CNN", ScoreCAM()), ("3D CNN", AblationCAM()), ("timm ViT", AblationCAM())):
        (check,) = checked(make(volume), method)
        assert check.library == "grad-cam"
        assert "images only" in check.reason
    (coarse,) = checked(make("plain CNN"), Occlusion(coarse_to_fine=True))
    assert coarse.reason == "Its Occlusion does not go from coarse to fine."
    (attribution,) = explain(model, inputs_of(model), [Saliency()], [MASS]).attributions
    swept = replace(attribution, predictions=attribution.predictions * 2)
    (check,) = check_with_library(model, [swept])
    assert "check one patch" in check.words
    (attribution,) = explain(model, inputs_of(model), [HiResCAM()], [MASS]).attributions
    blank = replace(attribution, values=np.zeros_like(attribution.values))
    (check,) = check_with_library(model, [blank])
    assert check.reason == "Our map is zero everywhere and that of the library is not."


def test_a_strangers_method_may_name_a_peer_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("residual")
    source = inputs_of(model)

    @dataclass(frozen=True)
    class Stranger(Explainer):
        name = "stranger"
        title = "Stranger"
        family = "gradient"
        paper = "none"
        shows = "Ones."
        cost = Cost("1")

        def compute(self, probe: Probe) -> Tensor:
            return torch.ones(len(probe.targets), len(probe.inputs), *probe.x.shape[2:])

    (one,) = explain(model, source, [Stranger()], [MASS]).attributions
    (check,) = check_with_library(model, [one])
    assert check.words == "Stranger names no method of captum or grad-cam to compare with."
    for values, reason in (
        (torch.ones(5, 5), "Its map has 5 × 5 cells and ours 1 × 32 × 32."),
        (torch.full((32, 32), torch.nan), "Its map holds NaN or infinity."),
        (None, "captum failed with KeyError: 'none'."),
    ):

        def run(_net: nn.Module, values: Tensor | None = values) -> Tensor:
            if values is None:
                raise KeyError("none")
            return values

        peer = Peer("captum", "run(net)", run)
        monkeypatch.setattr(Stranger, "peers", lambda self, probe, found, peer=peer: (peer,))
        (check,) = check_with_library(model, [one])
        assert (check.difference, check.reason) == (None, reason)
    monkeypatch.setattr(Stranger, "peers", lambda self, probe, found: probe.layer("nowhere"))
    (check,) = check_with_library(model, [one])
    assert check.reason == "The layer 'nowhere' gives no map over the image."


def test_what_one_library_breaks_is_whole_for_the_next() -> None:
    model = make("residual")
    (one,) = explain(model, inputs_of(model), [Saliency()], [MASS]).attributions

    def breaks(net: Scored) -> Tensor:
        net.net.fc = nn.Linear(12, 3)
        for parameter in net.net.parameters():
            parameter.data.mul_(2)
        return torch.zeros(32, 32)

    @dataclass(frozen=True)
    class Twice(Saliency):
        def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
            return (Peer("captum", "breaks(net)", breaks), *super().peers(probe, found))

    first, second = differences(check_with_library(model, [replace(one, explainer=Twice())]))
    assert first == pytest.approx(1)
    assert second < AGREES


@pytest.mark.parametrize("kind", ["residual", "timm ViT", "3D CNN"])
def test_every_method_has_a_peer_that_answers_or_a_reason_why_not(kind: str) -> None:
    model = make(kind)
    quick = {"steps": 3, "samples": 8, "masks": 8}
    methods = []
    for found in discover():
        cls = found.load()
        methods.append(cls(**{k: v for k, v in quick.items() if k in cls.setting_names()}))
    explained = explain(model, inputs_of(model), methods, [MASS])
    checks = check_with_library(model, explained.attributions)
    assert {check.method for check in checks} == {a.explainer.name for a in explained.attributions}
    for check in checks:
        assert (check.difference is None) == bool(check.reason)
        assert check.words.endswith(".")
        # captum says itself that it does not do a module that runs twice.
        assert "failed with" not in check.reason or (kind, check.method) == ("residual", "deep-lift")
        assert check.library == "" or check.version[0].isdigit()


# --- what is left behind --------------------------------------------------------------------------

TOUCHING = [GradCAM(), AblationCAM(), DeepLift(), GuidedGradCAM(), Occlusion(), EigenCAM()]


@pytest.mark.parametrize("method", TOUCHING, ids=lambda m: m.name)
def test_the_network_is_as_it_was_after_a_check(method: Explainer) -> None:
    model = make("plain CNN")
    net = marked(model)
    said = model.predict(inputs_of(model))[0].scores
    explained = explain(model, inputs_of(model), [method], [MASS])
    before = fingerprint(net)
    assert all(check.library for check in check_with_library(model, explained.attributions))
    assert changed(before, fingerprint(net)) == []
    assert model.predict(inputs_of(model))[0].scores == said


@pytest.mark.parametrize(
    ("method", "after"),
    [(m, n) for m in TOUCHING for n in (0, 1)] + [(AblationCAM(), n) for n in (2, 3)] + [(Occlusion(), 5)],
    ids=lambda m: str(getattr(m, "name", m)),
)
def test_the_network_is_as_it_was_where_the_library_stumbles_or_the_reader_cancels(
    method: Explainer, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At our own forward, or at the library's, when its hooks and (Ablation-CAM) its layer are in place."""
    model = make("plain CNN")
    explained = explain(model, inputs_of(model), [method], [MASS])
    net = marked(model)
    before = fingerprint(net)
    left = [after]

    def stumbling(run: Any) -> Any:
        def forward(self: Model, *arguments: Any) -> Tensor:
            left[0] -= 1
            if left[0] < 0 and trouble is not None:
                raise trouble
            return run(self, *arguments)

        return forward

    monkeypatch.setattr(Model, "run", stumbling(Model.run))
    trouble: BaseException | None = MemoryError("the machine stumbled")
    checks = check_with_library(model, explained.attributions)
    assert changed(before, fingerprint(net)) == []
    assert any("stumbled" in check.words for check in checks)
    left[0], trouble = after, Cancelled()
    with pytest.raises(Cancelled):
        check_with_library(model, explained.attributions)
    assert changed(before, fingerprint(net)) == []


def test_a_reader_cancels_a_library_between_its_forwards() -> None:
    model = make("plain CNN")
    explained = explain(model, inputs_of(model), [Occlusion(window=2, stride=1)], [MASS])
    steps: list[Progress] = []

    def report(step: Progress) -> None:
        steps.append(step)
        if len(steps) == 6:
            task.cancel()

    task = Task(report)
    with pytest.raises(Cancelled):
        check_with_library(model, explained.attributions, task)
    assert len(steps) == 6


def test_a_library_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("plain CNN")
    explained = explain(model, inputs_of(model), [Saliency(), HiResCAM()], [MASS])
    for name in ("captum", "pytorch_grad_cam"):
        monkeypatch.setitem(sys.modules, name, None)
    first, second = check_with_library(model, explained.attributions)
    assert first.reason == "captum cannot be run, as captum is not installed."
    assert second.reason == "grad-cam cannot be run, as pytorch_grad_cam is not installed."


def test_the_libraries_are_imported_by_the_check_alone() -> None:
    code = """
import json, sys
sys.path.insert(0, "tests/explain")
import viewer.cli, viewer.session
from explain_nets import inputs_of, make
from viewer.explain import check_with_library, discover, explain
methods = [found.load() for found in discover()]
saliency = next(m for m in methods if m.name == "saliency")
model = make("plain CNN")
explained = explain(model, inputs_of(model), [saliency()])
heavy = lambda: sorted({"captum", "pytorch_grad_cam", "cv2", "matplotlib"} & set(sys.modules))
before = heavy()
check_with_library(model, explained.attributions)
print(json.dumps([before, heavy()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert before == []
    assert "captum" in after
    assert "pytorch_grad_cam" not in after
