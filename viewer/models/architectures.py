# SPDX-License-Identifier: Apache-2.0
"""Networks by name: from torchvision, from timm, or built in.

Only an allow-list of packages is asked, and never for weights: nothing is fetched or unpickled.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models import transformers
from viewer.models.builtin import BUILTIN

FAULTS = (
    RuntimeError, ValueError, TypeError, LookupError, AssertionError, AttributeError, ArithmeticError,
    OSError,
)  # fmt: skip
"""What a network raises on arguments or inputs that do not suit it."""

# Arguments by which these libraries would fetch or unpickle something.
_FORBIDDEN = {
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "weights",
    "weights_backbone", "pretrained_backbone", "pretrained_strict", "file",
}  # fmt: skip


def build(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A freshly initialised network, e.g. `torchvision:densenet121`; raises `ModelError`."""
    source, _, name = architecture.partition(":")
    makers: dict[str, Callable[..., nn.Module]] = {
        "torchvision": _torchvision,
        "timm": _timm,
        "builtin": _builtin,
        "transformers": transformers.build,
    }
    if source not in makers or not name:
        raise ModelError(
            f"The architecture {architecture!r} is unknown; write torchvision:NAME, timm:NAME, "
            "builtin:NAME, transformers:NAME, network.py:Net, or program."
        )
    if not re.fullmatch(r"[\w.\-]+", name):
        raise ModelError(f"The architecture name {name!r} is not a plain name.")
    forbidden = sorted(_FORBIDDEN & set(arguments))
    if forbidden:
        raise ModelError(f"The field arguments.{forbidden[0]} is not allowed; weights come from the card.")
    try:
        return makers[source](name, **arguments)
    except FAULTS as error:
        reason = str(error).split("\n")[0]
        raise ModelError(f"The architecture {architecture!r} cannot be built so: {reason}") from error


def translated(architecture: str, arguments: dict[str, Any], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names that the network of `build` has, where its origin has others."""
    source, _, name = architecture.partition(":")
    if source != "transformers":
        return state
    try:
        return transformers.translated(name, arguments, state)
    except FAULTS as error:  # tensors of shapes that cannot be joined
        raise ModelError(f"The weights do not fit the architecture {architecture!r}: {error}") from error


def outline(architecture: str, arguments: dict[str, Any]) -> nn.Module | None:
    """The network with shapes and no numbers, which takes no memory; None where it cannot be built so."""
    try:
        with torch.device("meta"):
            return build(architecture, arguments)
    except (ModelError, *FAULTS):
        return None


def _torchvision(name: str, **arguments: Any) -> nn.Module:
    from torchvision import models

    if name not in models.list_models():
        raise ModelError(f"torchvision has no architecture {name!r}.")
    # Detection and segmentation nets would otherwise fetch a backbone.
    known = inspect.signature(models.get_model_builder(name)).parameters
    without = {key: None for key in ("weights", "weights_backbone") if key in known}
    channels = arguments.pop("channels", None)
    net = _module(models.get_model(name, **without, **arguments))
    return net if channels is None else _reading(net, channels)


def _reading(net: nn.Module, channels: int) -> nn.Module:
    """A network whose first convolution is made anew for this many channels, as people do for grey images."""
    name, first = first_convolution(net)
    if first.in_channels != channels:
        kind: Any = type(first)
        net.set_submodule(name, kind(
            channels, first.out_channels, first.kernel_size, first.stride, first.padding, first.dilation,
            first.groups, first.bias is not None, first.padding_mode,
        ))  # fmt: skip
    return net


def first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d | nn.Conv3d]:
    """The convolution that reads the image, and its name; raises `ValueError` where there is none."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            return name, module
    raise ValueError("it has no convolution to read the image")


def _timm(name: str, **arguments: Any) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise ModelError(f"timm has no architecture {name!r}.")
    return _module(timm.create_model(name, pretrained=False, **arguments))


def _builtin(name: str, **arguments: Any) -> nn.Module:
    if name not in BUILTIN:
        raise ModelError(f"There is no built-in architecture {name!r}; there are {', '.join(BUILTIN)}.")
    return BUILTIN[name](**arguments)


def _module(made: Any) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise TypeError("it is not a network")
    return made
