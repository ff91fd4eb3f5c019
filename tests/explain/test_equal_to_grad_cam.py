# SPDX-License-Identifier: Apache-2.0
"""The maps of the grad-cam package, which scales what it shows: compared before, or up to, its scaling."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explain_nets import inputs_of, make, model_of, near, one, series_of
from pytorch_grad_cam import EigenCAM as PeerEigenCAM
from pytorch_grad_cam import HiResCAM as PeerHiResCAM
from pytorch_grad_cam import LayerCAM as PeerLayerCAM
from pytorch_grad_cam import ScoreCAM as PeerScoreCAM
from pytorch_grad_cam import score_cam as package
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from plugins.eigen_cam import EigenCAM
from plugins.hires_cam import HiResCAM
from plugins.layer_cam import LayerCAM
from plugins.score_cam import ScoreCAM
from viewer.explain import explain
from viewer.models import Model
from viewer.models.builtin import SmallCNN
from viewer.types import ModelInput, Target

TARGET = Target("mass", 1)


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package draws its progress on standard error."""
    quiet = type("Quiet", (), {"tqdm": staticmethod(lambda steps: steps)})
    monkeypatch.setattr(package, "tqdm", quiet)


def patches(tensor: Tensor) -> Tensor:
    """timm's tokens as a map: what the package calls a reshape transform."""
    return tensor[:, 1:].reshape(len(tensor), 4, 4, -1).movedim(-1, 1)


def peer_of(kind: type, model: Model, layer: str) -> Any:
    net = model._module
    return kind(net, [net.get_submodule(layer)], patches if "blocks" in layer else None)


def peer_raw(kind: type, model: Model, layer: str) -> np.ndarray:
    """The package's own run up to its picture, before it cuts off below zero and scales."""
    (source,) = inputs_of(model)
    kept: list[np.ndarray] = []

    class Keeps(kind):
        def get_cam_image(self, *arguments: Any, **named: Any) -> np.ndarray:
            kept.append(np.array(super().get_cam_image(*arguments, **named)))
            return kept[0]

    with peer_of(Keeps, model, layer) as peer:
        peer(source.tensor, [ClassifierOutputTarget(1)])
    model._module.zero_grad()
    return kept[0][0]


CASES = [("residual", "layer1"), ("residual", "layer2"), ("timm ViT", "blocks.1.norm1")]


@pytest.mark.parametrize(("kind", "layer"), CASES)
@pytest.mark.parametrize(("ours", "theirs"), [(HiResCAM, PeerHiResCAM), (LayerCAM, PeerLayerCAM)])
def test_cam_is_the_packages_before_its_scaling(kind: str, layer: str, ours: Any, theirs: type) -> None:
    model = make(kind)
    wanted = peer_raw(theirs, model, layer)
    assert near(one(model, ours(layer), TARGET).values[0], wanted)


@pytest.mark.parametrize(("kind", "layer"), CASES)
def test_eigen_cam_is_the_packages_up_to_the_sign_that_nobody_defines(kind: str, layer: str) -> None:
    model = make(kind)
    wanted = peer_raw(PeerEigenCAM, model, layer)
    found = one(model, EigenCAM(layer)).values[0]
    assert near(found, wanted, 1e-4) or near(found, -wanted, 1e-4)


def test_eigen_cam_is_positive_where_the_layer_is_active() -> None:
    for kind in ("residual", "dense", "3D CNN"):
        for seed in range(4):
            model = make(kind, seed)
            (source,) = inputs_of(model)
            found = explain(model, [source], [EigenCAM()]).attributions[0]
            kept: list[Tensor] = []
            handle = model._module.get_submodule(found.layer).register_forward_hook(
                lambda _m, _a, out, kept=kept: kept.append(out.detach().clone())
            )
            model.predict([source])
            handle.remove()
            agreement = np.corrcoef(found.values.ravel(), kept[0].mean(1).numpy().ravel())[0, 1]
            assert agreement >= 0


def test_eigen_cam_behind_a_layer_norm_takes_its_sign_from_what_is_strong() -> None:
    for seed in range(4):  # the mean over channels is rounding noise there, and differs between devices
        values = one(make("timm ViT", seed), EigenCAM()).values
        assert (values**3).sum() > 0


def test_eigen_cam_of_a_large_layer_needs_no_matrix_of_cells_by_cells() -> None:
    torch.manual_seed(0)
    model = model_of(SmallCNN(1, 3, (4,)), (384, 384), 1)  # 147 456 cells: squared, 87 GB
    source = ModelInput(series_of((1, 384, 384)), 0, torch.randn(1, 1, 384, 384), np.eye(4))
    assert explain(model, [source], [EigenCAM()]).attributions[0].values.shape == (1, 384, 384)


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(("kind", "layer"), CASES)
def test_score_cam_is_the_packages_own_run_up_to_its_scaling(kind: str, layer: str) -> None:
    model = make(kind)
    wanted = peer_raw(PeerScoreCAM, model, layer)
    for batch in (5, 16):
        assert near(one(model, ScoreCAM(layer, batch), TARGET).values[0], wanted, 1e-4)


@pytest.mark.usefixtures("_quiet")
def test_channels_that_are_the_same_everywhere_share_one_masked_image() -> None:
    """Half of the channels are dead behind their ReLU; the map is the package's still."""
    model = make("residual")
    with torch.no_grad():
        model._module.get_parameter("layer2.bn2.bias")[::2] = -100.0
    model = model_of(model._module)
    wanted = peer_raw(PeerScoreCAM, model, "layer2")
    assert model.structure.layers  # found out by a dry run, which is not to be counted
    seen: list[int] = []
    handle = model._module.register_forward_pre_hook(lambda _m, arguments: seen.append(len(arguments[0])))
    attribution = one(model, ScoreCAM("layer2", 5), TARGET)
    handle.remove()
    assert near(attribution.values[0], wanted, 1e-4)
    kept: list[Tensor] = []
    handle = model._module.layer2.register_forward_hook(lambda _m, _a, output: kept.append(output[0]))
    model.predict(inputs_of(model))
    handle.remove()
    living = sum(bool(channel.any()) for channel in kept[0])
    assert 2 <= living <= 6
    assert attribution.evidence is not None
    assert attribution.evidence.measure == "erasing"
    # The image, the living channels, one for all the dead, and the image without what the map shows.
    assert sum(seen) == 1 + living + 1 + 1
    sources = inputs_of(model, 3)
    sources[1].tensor.zero_()
    together = explain(model, sources, [ScoreCAM("layer2")], [TARGET]).attributions
    for source, found_one in zip(sources, together, strict=True):
        alone = explain(model, [source], [ScoreCAM("layer2")], [TARGET]).attributions[0]
        assert near(found_one.values, alone.values, 1e-4)


@pytest.mark.parametrize(("kind", "layer"), [("3D CNN", "blocks"), ("Swin", "layers.0"), ("U-Net", "bottom")])
def test_score_cam_is_its_definition_where_the_package_cannot_go(kind: str, layer: str) -> None:
    """In 3D, with the channels last, and for an output per pixel: image by image, for all labels."""
    model = make(kind)
    (source,) = inputs_of(model)
    net, x, kept = model._module, source.tensor, []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _a, out: kept.append(out.detach()))
    with torch.no_grad():
        net(x)
        handle.remove()
        active = kept[0].permute(0, 3, 1, 2) if kind == "Swin" else kept[0]
        scores = []
        for channel in active[0]:
            mode = "trilinear" if x.ndim == 5 else "bilinear"
            mask = F.interpolate(channel[None, None], x.shape[2:], mode=mode, align_corners=True)
            output = net(x * (mask - mask.min()) / (mask.max() - mask.min()))
            scores.append(output[0].flatten(1).mean(1) if output.ndim > 2 else output[0])
        weights = torch.stack(scores).softmax(0)  # (channels, labels)
    wishes = [Target(label, i) for i, label in enumerate(model.labels)]
    found = explain(model, [source], [ScoreCAM(layer)], wishes).attributions
    for i, map in enumerate(found):
        wanted = torch.tensordot(weights[:, i], active[0], 1)
        assert near(map.values.reshape(wanted.shape), wanted.numpy(), 1e-4)


def test_score_cam_writes_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    one(make("plain CNN"), ScoreCAM(), TARGET)
    assert capfd.readouterr() == ("", "")
