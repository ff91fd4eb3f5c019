# SPDX-License-Identifier: Apache-2.0
"""Swin (Liu et al. 2021) and Swin v2 (Liu et al. 2022)."""

import re
from typing import Any

from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models.transformers.config import Config
from viewer.models.transformers.family import (
    TOKENS,
    Family,
    Names,
    activation,
    joined,
    joined_without_key_bias,
    renamed,
)

_NAMES: Names = (
    (r"^(swin|swinv2)\.", ""),
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.", ".attn."),
    (r"\.attention\.(logit_scale|continuous_position_bias_mlp|relative_position_bias)", r".attn.\1"),
    (r"\.relative_position_bias\.relative_position_bias_table$", ".relative_position_bias_table"),
    (r"(relative_position_index|relative_coords_table)$", None),  # computed, and no weight
    (r"\.continuous_position_bias_mlp\.", ".cpb_mlp."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.(\d+)\.", r"layers.\1."),
    (r"^(layers\.)(?=\d)", r"stage\1"),  # so that the rule for blocks of plain transformers passes them by
    *TOKENS,
    (r"^stage(?=layers\.)", ""),
    (r"^head\.", "head.fc."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    if config.flag("use_absolute_embeddings", False):
        raise ModelError("A Swin network with absolute positions is not read here.")
    depths = config.stages("depths", [2, 2, 6, 2])
    facts: dict[str, Any] = {
        "img_size": config.input_size(224),
        "patch_size": config.sides("patch_size", 4)[0],
        "in_chans": config.whole("num_channels", 3),
        "num_classes": config.whole("num_labels", 2),
        "embed_dim": config.whole("embed_dim", 96),
        "depths": tuple(depths),
        "num_heads": tuple(config.wholes("num_heads", [3, 6, 12, 24])),
        "window_size": config.whole("window_size", 7),
        "mlp_ratio": config.number("mlp_ratio", 4.0),
        "qkv_bias": config.flag("qkv_bias", True),
    }
    if config.kind == "swinv2":
        net: nn.Module = SwinTransformerV2(
            **facts, pretrained_window_sizes=tuple(config.windows("pretrained_window_sizes", len(depths)))
        )
    else:
        net = SwinTransformer(**facts)
    act = activation(config.text("hidden_act", "gelu"))
    eps = config.number("layer_norm_eps", 1e-5)
    for name, module in net.named_modules():
        if name.endswith(".mlp"):
            module.act = act()
        if isinstance(module, nn.LayerNorm) and _follows(name):
            module.eps = eps
    return net


def _follows(name: str) -> bool:
    """Whether the epsilon of a normalisation follows the settings; the others have torch's."""
    return name == "norm" or re.search(r"blocks\.\d+\.norm[12]$", name) is not None


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names; what makes an image smaller stands before the stage it leads to."""
    found = renamed(state, _NAMES)
    found = {re.sub(r"^layers\.(\d+)\.downsample\.", _next, k): v for k, v in found.items()}
    return joined(found) if config.kind == "swin" else joined_without_key_bias(found)


def _next(match: re.Match[str]) -> str:
    return f"layers.{int(match[1]) + 1}.downsample."


FAMILY = Family(
    build,
    translated,
    ("embed_dim", "image_size", "patch_size", "num_channels", "depths", "num_heads", "window_size",
     "mlp_ratio", "qkv_bias", "layer_norm_eps", "hidden_act", "use_absolute_embeddings",
     "pretrained_window_sizes"),
    ("SwinForImageClassification", "Swinv2ForImageClassification"),
    any_size=True,
)  # fmt: skip
