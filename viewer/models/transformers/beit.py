# SPDX-License-Identifier: Apache-2.0
"""BEiT (Bao et al. 2022) and data2vec's image network (Baevski et al. 2022)."""

import torch
from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import TOKENS, Family, Names, activation, renamed

_NAMES: Names = (
    (r"(\.attention)+\.relative_position_bias\.", ".relative_position_bias."),  # where saved files have it
    *TOKENS,
    (r"^(encoder\.relative_position_bias|shared_position_bias)\.", "rel_pos_bias."),
    (r"\.relative_position_bias\.relative_position_bias_table$", ".attn.relative_position_bias_table"),
    (r"relative_position_index$", None),  # computed, and no weight
    (r"\.lambda_([12])$", r".gamma_\1"),
    (r"^pooler\.layernorm\.", "fc_norm."),
    (r"\.attn\.q\.bias$", ".attn.q_bias"),
    (r"\.attn\.v\.bias$", ".attn.v_bias"),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.beit import Beit

    width = config.whole("hidden_size", 768)
    scale = config.number("layer_scale_init_value", 0.1)
    net: nn.Module = Beit(
        img_size=config.sides("image_size", 224),
        patch_size=config.sides("patch_size", 16),
        in_chans=config.whole("num_channels", 3),
        num_classes=config.whole("num_labels", 2),
        global_pool="avg" if config.flag("use_mean_pooling", True) else "token",
        embed_dim=width,
        depth=config.layers("num_hidden_layers", 12),
        num_heads=config.whole("num_attention_heads", 12),
        mlp_ratio=config.ratio(width),
        norm_layer=config.norm(1e-12),
        init_values=scale if scale > 0 else None,
        use_abs_pos_emb=config.flag("use_absolute_position_embeddings", False),
        use_rel_pos_bias=config.flag("use_relative_position_bias", False),
        use_shared_rel_pos_bias=config.flag("use_shared_relative_position_bias", False),
    )
    act = activation(config.text("hidden_act", "gelu"))
    for block in net.blocks:  # type: ignore[union-attr]  # timm's own takes none
        block.mlp.act = act()
    return net


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names."""
    found = renamed(state, _NAMES)
    for key in [k for k in found if k.endswith(".attn.q.weight")]:
        stem = key.removesuffix("q.weight")
        found[f"{stem}qkv.weight"] = torch.cat([found.pop(f"{stem}{p}.weight") for p in "qkv"])
    return found


FAMILY = Family(
    build,
    translated,
    ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers", "num_attention_heads",
     "intermediate_size", "layer_norm_eps", "hidden_act", "use_mean_pooling", "layer_scale_init_value",
     "use_absolute_position_embeddings", "use_relative_position_bias", "use_shared_relative_position_bias"),
    ("BeitForImageClassification", "Data2VecVisionForImageClassification"),
)  # fmt: skip
