# SPDX-License-Identifier: Apache-2.0
"""Architectures by name: known sources only, no weights of their own, one sentence on a mistake."""

from typing import Any

import pytest
import torch
from torch import nn

from viewer.errors import ModelError
from viewer.models.architectures import build
from viewer.models.builtin import BUILTIN


def refusal(architecture: str, **arguments: Any) -> str:
    with pytest.raises(ModelError) as caught:
        build(architecture, arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be fetched: it would be noticed here."""

    def fetch(*arguments: Any, **_: Any) -> None:
        pytest.fail(f"something is fetched: {arguments}")

    for name in ("load_state_dict_from_url", "download_url_to_file"):
        monkeypatch.setattr(torch.hub, name, fetch)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    monkeypatch.setattr("urllib.request.urlopen", fetch)


@pytest.mark.parametrize(
    ("architecture", "arguments", "shape"),
    [
        ("torchvision:resnet18", {"num_classes": 3}, (1, 3, 32, 32)),
        ("torchvision:lraspp_mobilenet_v3_large", {"num_classes": 3}, (1, 3, 32, 32)),
        ("timm:resnet10t", {"num_classes": 3, "in_chans": 1}, (1, 1, 32, 32)),
        ("timm:resnet10t.c3_in1k", {"num_classes": 3}, (1, 3, 32, 32)),
        ("builtin:small-cnn", {"num_classes": 3, "dimensions": 3}, (1, 1, 8, 8, 8)),
        ("builtin:small-vit", {"num_classes": 3, "size": 32, "dim": 8}, (1, 1, 32, 32)),
        ("builtin:resnet-cifar", {"depth": 8, "num_classes": 3}, (1, 3, 32, 32)),
        ("builtin:meshnet", {"num_classes": 3, "dilations": [1, 2]}, (1, 1, 8, 8, 8)),
    ],
)
def test_networks_by_name(architecture: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    net = build(architecture, arguments).eval()
    with torch.no_grad():
        output = net(torch.zeros(shape))
    output = output["out"] if isinstance(output, dict) else output
    assert output.shape[:2] == (1, 3)


@pytest.mark.parametrize(
    "name", ["fasterrcnn_resnet50_fpn", "ssdlite320_mobilenet_v3_large", "fcn_resnet50", "deeplabv3_resnet50"]
)
def test_no_backbone_is_fetched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.init, "kaiming_normal_", lambda t, **_: t)  # slow, and beside the point
    assert isinstance(build(f"torchvision:{name}", {"num_classes": 3}), nn.Module)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("densenet121", "is unknown; write torchvision:NAME"),
        ("keras:resnet", "is unknown; write torchvision:NAME"),
        ("timm:", "is unknown"),
        (":resnet18", "is unknown"),
        ("", "is unknown"),
        ("torchvision:resnet19", "torchvision has no architecture 'resnet19'"),
        ("timm:resnet19", "timm has no architecture 'resnet19'"),
        ("timm:hf-hub:someone/something", "not a plain name"),
        ("timm:hf_hub:someone/something", "not a plain name"),
        ("timm:local-dir:/somewhere", "not a plain name"),
        ("timm:../resnet18", "not a plain name"),
        ("builtin:unet", "there are small-cnn, small-vit, resnet-cifar, meshnet"),
    ],
)
def test_unknown_names(architecture: str, words: str) -> None:
    assert words in refusal(architecture)


@pytest.mark.parametrize("source", ["torchvision:resnet18", "timm:resnet10t", "builtin:small-cnn"])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("pretrained", True),
        ("pretrained", False),
        ("weights", "DEFAULT"),
        ("weights_backbone", "DEFAULT"),
        ("pretrained_backbone", True),
        ("checkpoint_path", "/somewhere"),
        ("pretrained_cfg", {"url": "http://localhost"}),
        ("pretrained_cfg_overlay", {"file": "/somewhere"}),
        ("cache_dir", "/somewhere"),
    ],
)
def test_arguments_that_fetch_are_refused(source: str, argument: str, value: Any) -> None:
    assert refusal(source, **{argument: value}) == (
        f"The field arguments.{argument} is not allowed; weights come from the card."
    )


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("torchvision:resnet18", {"depth": 3}),
        ("torchvision:resnet18", {"num_classes": "many"}),
        ("torchvision:resnet18", {"num_classes": -1}),
        ("timm:resnet10t", {"depth": 3}),
        ("timm:vit_tiny_patch16_224", {"img_size": 0}),
        ("builtin:small-cnn", {"depth": 3}),
        ("builtin:small-cnn", {"widths": 3}),
        ("builtin:small-cnn", {"widths": ["a"]}),
        ("builtin:small-vit", {"size": "large"}),
        ("builtin:small-vit", {"size": 0}),
        ("builtin:small-vit", {"dim": 10, "heads": 4}),
        ("builtin:resnet-cifar", {"depth": 21}),
        ("builtin:meshnet", {"activation": "tanh"}),
        ("builtin:meshnet", {"dilations": [0]}),
        ("builtin:meshnet", {"channels": 2**62}),
    ],
)
def test_wrong_arguments_are_one_sentence(architecture: str, arguments: dict[str, Any]) -> None:
    message = refusal(architecture, **arguments)
    assert f"The architecture {architecture!r} cannot be built so: " in message


def test_the_builtin_networks_are_the_documented_ones() -> None:
    assert list(BUILTIN) == ["small-cnn", "small-vit", "resnet-cifar", "meshnet"]
