# SPDX-License-Identifier: Apache-2.0
"""ResNet (He et al. 2016) with the widths and strides that transformers sets, of torchvision's blocks."""

import re
from collections import OrderedDict

from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.transformers.config import Config
from viewer.models.transformers.family import Family, Names, activation, renamed

_NAMES: Names = (
    (r"^resnet\.", ""),
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"^classifier\.1\.", "fc."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    kind = config.text("layer_type", "bottleneck")
    if kind not in ("basic", "bottleneck"):
        raise ModelError(f"The setting layer_type of the network is neither basic nor bottleneck: {kind!r}.")
    before = config.whole("embedding_size", 64)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(config.whole("num_channels", 3), before, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(before),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    sizes = config.wholes("hidden_sizes", [256, 512, 1024, 2048])
    depths = config.stages("depths", [3, 4, 6, 3])
    early = config.flag("downsample_in_bottleneck", False)
    for stage, (size, depth) in enumerate(zip(sizes, depths, strict=True), 1):
        halves = stage > 1 or config.flag("downsample_in_first_stage", False)
        blocks = []
        for block in range(depth):
            stride = 2 if halves and block == 0 else 1
            blocks.append(_block(kind, before, size, stride, early))
            before = size
        parts[f"layer{stage}"] = nn.Sequential(*blocks)
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    parts["fc"] = nn.Linear(before, config.whole("num_labels", 2))
    net = nn.Sequential(parts)
    act = activation(config.text("hidden_act", "relu"))
    for name in [name for name, _ in net.named_modules() if name.rpartition(".")[2] == "relu"]:
        net.set_submodule(name, act())
    return net


def _block(kind: str, before: int, size: int, stride: int, early: bool) -> nn.Module:
    """A residual block; `early` takes its stride in the first of the three convolutions."""
    from torchvision.models.resnet import BasicBlock, Bottleneck

    shortcut = None
    if stride != 1 or before != size:
        shortcut = nn.Sequential(nn.Conv2d(before, size, 1, stride, bias=False), nn.BatchNorm2d(size))
    if kind == "basic":
        basic: nn.Module = BasicBlock(before, size, stride, shortcut)
        return basic
    if size % 4:
        raise ModelError(f"The setting hidden_sizes of the network has {size}, which is no multiple of 4.")
    block = Bottleneck(before, size // 4, stride, shortcut)
    if early:
        block.conv1.stride, block.conv2.stride = (stride, stride), (1, 1)
    made: nn.Module = block
    return made


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under torchvision's names."""
    return {re.sub(_LAYER, _numbered, k): v for k, v in renamed(state, _NAMES).items()}


_LAYER = r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)\.(convolution|normalization)\.)?"


def _numbered(match: re.Match[str]) -> str:
    """Stages and layers counted as torchvision does, from 1."""
    stem = f"layer{int(match[1]) + 1}.{match[2]}."
    if match[3] is None:
        return stem
    return f"{stem}{'conv' if match[4] == 'convolution' else 'bn'}{int(match[3]) + 1}."


FAMILY = Family(
    build,
    translated,
    ("num_channels", "embedding_size", "hidden_sizes", "depths", "layer_type", "hidden_act",
     "downsample_in_first_stage", "downsample_in_bottleneck"),
    ("ResNetForImageClassification",),
)  # fmt: skip
