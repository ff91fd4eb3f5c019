# SPDX-License-Identifier: Apache-2.0
"""Ablation-CAM against the grad-cam package where it is right, and against removing channel by channel."""

from typing import Any

import numpy as np
import pytest
import torch
from explain_nets import inputs_of, make, maps, model_of, near, one
from fingerprint import changed, fingerprint
from pytorch_grad_cam import AblationCAM as Peer
from pytorch_grad_cam import ablation_cam as package
from torch import Tensor, nn

from plugins.ablation_cam import AblationCAM
from viewer.explain import explain
from viewer.models import Model
from viewer.types import Target

LABELS = [Target(label, i) for i, label in enumerate(("effusion", "mass", "nodule"))]
LAYERS = {
    "plain CNN": "blocks",
    "residual": "layer1",
    "dense": "second",
    "DenseNet": "features",
    "timm ViT": "blocks.1.norm1",
    "ViT with registers": "blocks.0",
    "Swin": "layers.0",
    "3D CNN": "blocks.0",
    "U-Net": "bottom",
}
TAKES_MANY = {k: k not in ("dense", "U-Net") for k in LAYERS}
"""Where nothing from below the layer meets what comes from it by concatenation."""


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = type("Quiet", (), {"tqdm": staticmethod(lambda steps: steps)})
    monkeypatch.setattr(package, "tqdm", quiet)


def scores(output: Tensor) -> Tensor:
    """Each label's number, (n, labels)."""
    return output.flatten(2).mean(2) if output.ndim > 2 else output


def removed(model: Model, kind: str, layer: str) -> list[np.ndarray]:
    """Σ (score − score without the channel) × activation of every label, one forward a channel."""
    (source,) = inputs_of(model)
    net = model._module
    kept: list[Tensor] = []

    def as_map(tensor: Tensor) -> Tensor:
        if kind == "Swin":
            return tensor.permute(0, 3, 1, 2)
        if "ViT" in kind:
            return tensor[:, -16:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
        return tensor

    def without(channel: int | None) -> Tensor:
        def hook(_module: nn.Module, _arguments: object, output: Tensor) -> Tensor:
            output = output.clone()
            if channel is None:
                kept.append(as_map(output).clone())
            else:
                as_map(output)[:, channel] = 0
            return output

        handle = net.get_submodule(layer).register_forward_hook(hook)
        with torch.no_grad():
            found = scores(net(source.tensor))[0]
        handle.remove()
        return found

    own = without(None)
    falls = torch.stack([own - without(k) for k in range(kept[0].shape[1])])  # (channels, labels)
    return [np.tensordot(falls[:, i].numpy(), kept[0][0].numpy(), 1) for i in range(len(own))]


@pytest.mark.parametrize("kind", LAYERS)
def test_all_labels_at_once_are_the_falls_channel_by_channel(kind: str) -> None:
    model = make(kind)
    wanted = removed(model, kind, LAYERS[kind])
    for batch in (0, 3):
        explained = explain(model, inputs_of(model), [AblationCAM(LAYERS[kind], batch)], LABELS)
        for found, own in zip(maps(explained), wanted, strict=True):
            assert near(found.reshape(own.shape), own, 2e-4)
    assert model.memo.get(("splits", LAYERS[kind]), lambda: None) is TAKES_MANY[kind]


@pytest.mark.usefixtures("_quiet")
@pytest.mark.parametrize(
    ("kind", "layer"), [("plain CNN", "blocks"), ("residual", "layer1"), ("U-Net", "bottom")]
)
def test_it_is_the_packages_map_times_the_score(kind: str, layer: str) -> None:
    """Behind a ReLU, where the package sets to zero; elsewhere it sets to minus ten millions."""
    model = make(kind)
    (source,) = inputs_of(model)
    kept: list[np.ndarray] = []

    class Keeps(Peer):
        def get_cam_image(self, *arguments: Any, **named: Any) -> np.ndarray:
            kept.append(np.array(super().get_cam_image(*arguments, **named)))
            return kept[-1]

    net = model._module
    for i in range(3):
        with Keeps(net, [net.get_submodule(layer)], batch_size=4) as peer:
            peer(source.tensor, [lambda output, i=i: scores(output[None])[0, i]])
    score = scores(net(source.tensor)).detach()[0].numpy()
    found = maps(explain(model, [source], [AblationCAM(layer)], LABELS))
    for ours, theirs, own in zip(found, kept, score, strict=True):
        assert near(ours, theirs * own, 2e-4)


def test_a_negative_score_does_not_turn_the_map_round() -> None:
    """The package divides by the score: at a negative one what speaks for it seems to speak against it."""
    model = make("residual")
    against = model_of(make("residual")._module)
    with torch.no_grad():
        against._module.get_parameter("fc.bias").sub_(100)
    ours = one(model, AblationCAM("layer2"), LABELS[1]).values
    assert near(one(against, AblationCAM("layer2"), LABELS[1]).values, ours, 1e-3)


@pytest.mark.parametrize("kind", ["residual", "timm ViT", "U-Net"])
def test_what_lies_below_the_layer_sees_one_sample_where_that_is_possible(kind: str) -> None:
    model = make(kind)
    below = {"residual": "stem", "timm ViT": "patch_embed", "U-Net": "down.0"}[kind]
    one(model, AblationCAM(LAYERS[kind]), LABELS[0])
    sizes: list[int] = []
    module = model._module.get_submodule(below)
    module.register_forward_hook(lambda _m, _a, output: sizes.append(len(output)))
    one(model, AblationCAM(LAYERS[kind], batch=4), LABELS[0])
    assert max(sizes) == (1 if TAKES_MANY[kind] else 4)


class MixesSizes(nn.Module):
    """Takes the number of samples from the input: with more behind the layer it would average over them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).relu()
        return self.head(y.movedim(1, -1).reshape(len(x), -1, 4).mean(1))


def test_a_network_that_would_mix_the_samples_without_an_error_gets_the_input_repeated() -> None:
    torch.manual_seed(0)
    model = model_of(MixesSizes())
    wanted = removed(model, "mixes", "body")
    found = maps(explain(model, inputs_of(model), [AblationCAM("body", 2)], LABELS))
    assert all(near(a[0], b, 1e-4) for a, b in zip(found, wanted, strict=True))
    assert model.memo.get(("splits", "body"), lambda: None) is False


@pytest.mark.parametrize("layer", ["norm", "blocks"])
def test_a_layer_whose_patches_nobody_reads_is_refused_and_not_drawn_from_rounding(layer: str) -> None:
    model = make("timm ViT")
    ((_, told),) = explain(model, inputs_of(model), [AblationCAM(layer)], LABELS).refused
    assert told.startswith(f"Removing channels of the layer {layer!r} changes no score")


@pytest.mark.usefixtures("_quiet")
def test_an_error_halfway_leaves_the_network_as_it_was_where_the_package_does_not() -> None:
    def broken(model: Model, calls: int) -> None:
        left = [calls]

        def stumble(_module: nn.Module, _arguments: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise RuntimeError("the machine stumbled")

        model._module.register_forward_pre_hook(stumble)

    ours, theirs = make("residual"), make("residual")
    (source,) = inputs_of(ours)
    right = ours.predict([source])[0].scores
    one(ours, AblationCAM("layer2", 4), LABELS[0])
    broken(ours, 3)
    before = fingerprint(ours._module)
    assert "stumbled" in explain(ours, [source], [AblationCAM("layer2", 4)], LABELS).refused[0][1]
    assert changed(before, fingerprint(ours._module)) == []
    assert ours.predict([source])[0].scores == right

    broken(theirs, 4)
    net = theirs._module
    with pytest.raises(RuntimeError, match="stumbled"), Peer(net, [net.layer2], batch_size=4) as peer:
        peer(source.tensor, [lambda output: output[1]])
    with torch.no_grad():
        assert not torch.allclose(net(source.tensor)[0], torch.tensor([s.logit for s in right]), atol=1e-3)
