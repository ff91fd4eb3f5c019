# SPDX-License-Identifier: Apache-2.0
"""Networks that Hugging Face's `transformers` saved, built from timm's and without that package.

One family a file: `build` makes the network from the settings of its `config.json`, `translated` brings
a state dict to that network's names, whether they are those of saved files or those of the modules.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.transformers import beit, convnext, dinov2, resnet, siglip, swin, vit
from viewer.models.transformers.config import Config
from viewer.models.transformers.family import Family

FAMILIES: dict[str, Family] = {
    "vit": vit.FAMILY,
    "deit": vit.FAMILY,
    "beit": beit.FAMILY,
    "data2vec-vision": beit.FAMILY,
    "dinov2": dinov2.FAMILY,
    "dinov2_with_registers": dinov2.FAMILY,
    "siglip_vision_model": siglip.FAMILY,
    "siglip": siglip.FAMILY,
    "swin": swin.FAMILY,
    "swinv2": swin.FAMILY,
    "convnext": convnext.FAMILY,
    "convnextv2": convnext.FAMILY,
    "resnet": resnet.FAMILY,
}
"""The families by the `model_type` of `config.json`."""


def build(name: str, **arguments: Any) -> nn.Module:
    """The network of a `model_type` with settings of its `config.json`; raises `ModelError`."""
    return _family(name).build(Config(name, arguments))


def translated(name: str, arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names that the network of `build` has; what no logit depends on is left out."""
    return _family(name).translated(Config(name, arguments), dict(state))


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ModelError(
            f"The transformers model type {name!r} is not read here; there are {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]
