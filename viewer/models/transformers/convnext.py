# SPDX-License-Identifier: Apache-2.0
"""ConvNeXt (Liu et al. 2022) and ConvNeXt V2 (Woo et al. 2023)."""

from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import Family, Names, activation, renamed

_NAMES: Names = (
    (r"^(convnext|convnextv2)\.", ""),
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.layernorm\.", "stem.1."),
    (r"^encoder\.stages\.", "stages."),
    (r"\.downsampling_layer\.", ".downsample."),
    (r"^(stages\.\d+)\.layers\.", r"\1.blocks."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"(blocks\.\d+)\.layernorm\.", r"\1.norm."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
    (r"\.grn\.", ".mlp.grn."),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"^layernorm\.", "head.norm."),
    (r"^classifier\.", "head.fc."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.convnext import ConvNeXt

    second = config.kind == "convnextv2"
    scale = 0.0 if second else config.number("layer_scale_init_value", 1e-6)
    net: nn.Module = ConvNeXt(
        in_chans=config.whole("num_channels", 3),
        num_classes=config.whole("num_labels", 2),
        depths=tuple(config.stages("depths", [3, 3, 9, 3])),
        dims=tuple(config.wholes("hidden_sizes", [96, 192, 384, 768])),
        patch_size=config.whole("patch_size", 4),
        ls_init_value=scale if scale > 0 else None,
        use_grn=second,
    )
    act = activation(config.text("hidden_act", "gelu"))
    for name, module in net.named_modules():
        if name.endswith(".mlp"):
            module.act = act()
    net.head.norm.eps = config.number("layer_norm_eps", 1e-12)  # type: ignore[union-attr]
    return net


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names."""
    found = renamed(state, _NAMES)
    return {k: v.flatten() if ".grn." in k else v for k, v in found.items()}


FAMILY = Family(
    build,
    translated,
    ("num_channels", "patch_size", "depths", "hidden_sizes", "layer_norm_eps", "layer_scale_init_value",
     "hidden_act"),
    ("ConvNextForImageClassification", "ConvNextV2ForImageClassification"),
)  # fmt: skip
