# SPDX-License-Identifier: Apache-2.0
"""Measures how far six methods lie from captum's and grad-cam's, in single and in double precision.

`python scripts/measure_libraries.py [NETWORK …]`, of the demo's networks on its studies and torchvision's
with random weights on noise. One line for each method and library, the table of docs/full-check.md.
"""

import sys
from collections.abc import Callable, Iterator

import torch
import torchvision
from torch import nn

from viewer import affine, demo, dicom, session
from viewer.explain import Explainer, check_with_library, explain, explainer
from viewer.explain.check import in_double
from viewer.models import Card, Model
from viewer.types import Display, Geometry, ModelInput, Series

SIX = ("grad-cam", "hires-cam", "layer-cam", "integrated-gradients", "saliency", "occlusion")
SIDE = 64
LAYERS = {"vit_b_16": "encoder.layers.encoder_layer_6"}
"""Behind the last block only the class token is read, so that a map of its patches is blank."""
WINDOWS = {"cnn3d": 16}
"""captum covers the 3 840 windows of the default one at a time."""


def resnet18() -> nn.Module:
    net: nn.Module = torchvision.models.resnet18(num_classes=3)
    return net


def densenet121() -> nn.Module:
    net: nn.Module = torchvision.models.densenet121(num_classes=3)
    return net


def vit_b_16() -> nn.Module:
    """torchvision starts its head with zeros, which would explain nothing."""
    net: nn.Module = torchvision.models.vit_b_16(num_classes=3, image_size=SIDE)
    nn.init.normal_(net.get_parameter("heads.head.weight"), std=0.1)
    return net


BUILT: dict[str, Callable[[], nn.Module]] = {
    "resnet18": resnet18, "densenet121": densenet121, "vit_b_16": vit_b_16,
}  # fmt: skip


def with_noise(name: str) -> tuple[Model, ModelInput]:
    """A network of torchvision with random weights, and normal noise."""
    torch.manual_seed(0)
    facts = {"dimensions": 2, "channels": 3, "size": (SIDE, SIDE)}
    card = {"name": name, "architecture": f"torchvision:{name}", "weights": "none", "input": facts}
    output = {"labels": ["effusion", "mass", "nodule"]}
    model = Model(Card.model_validate(card | {"output": output}), BUILT[name](), "", torch.device("cpu"))
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1, 3, SIDE, SIDE, generator=generator)
    geometry = Geometry(affine.scale_offset((1, 1, 1), (0, 0, 0)))
    voxels = x[0, :1].numpy()
    series = Series("1", "OT", voxels, geometry, Display(((1.0, 0.0),)))
    return model, ModelInput(series, 0, x, affine.scale_offset((1, 1, 1), (0, 0, 0)))


def with_study(name: str) -> tuple[Model, ModelInput]:
    """A network of the demo, and the first of its series for which it was made."""
    model = session.load_model(demo.models()[name])
    series = next(s for s in dicom.scan(demo.studies()).series if model.accepts(s) is None)
    volume = model.card.input.dimensions == 3
    return model, model.prepare(series, None if volume else series.shape[0] // 2)


def method(name: str, network: str) -> Explainer:
    """One of the six as it is measured on a network."""
    cls = explainer(name)
    settings: dict[str, object] = {}
    if name == "occlusion" and network in WINDOWS:
        settings = {"window": WINDOWS[network], "stride": WINDOWS[network]}
    if "layer" in cls.setting_names():
        settings = {"layer": LAYERS.get(network)}
    return cls.configured(settings)


def lines(network: str) -> Iterator[str]:
    """A row of the table for each method and library."""
    model, source = with_noise(network) if network in BUILT else with_study(network)
    for name in SIX:
        explained = explain(model, [source], [method(name, network)])
        for one in explained.attributions:
            for number, check in enumerate(check_with_library(model, [one])):
                double = in_double(model, one, number).difference
                yield f"| {network} | {name} | {check.library} | {check.difference:.1e} | {double:.1e} |"
        yield from (f"{network}: {name}: {reason}" for name, reason in explained.refused)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for network in sys.argv[1:] or [*demo.models(), *BUILT]:
        for line in lines(network):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
