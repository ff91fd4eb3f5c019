# SPDX-License-Identifier: Apache-2.0
"""BEiT (Bao et al. 2022) and data2vec's image network (Baevski et al. 2022)."""

from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import (
    TOKENS,
    Family,
    Names,
    activation,
    joined_without_key_bias,
    renamed,
    sizes,
)

_NAMES: Names = (
    (r"(\.attention)+\.relative_position_bias\.", ".relative_position_bias."),  # where saved files have it
    *TOKENS,
    (r"^(encoder\.relative_position_bias|shared_position_bias)\.", "rel_pos_bias."),
    (r"\.relative_position_bias\.relative_position_bias_table$", ".attn.relative_position_bias_table"),
    (r"relative_position_index$", None),  # computed, and no weight
    (r"\.lambda_([12])$", r".gamma_\1"),
    (r"^pooler\.layernorm\.", "fc_norm."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.beit import Beit

    scale = config.number("layer_scale_init_value", 0.1)
    net: nn.Module = Beit(
        **sizes(config),
        global_pool="avg" if config.flag("use_mean_pooling", True) else "token",
        mlp_ratio=config.ratio(),
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
    return joined_without_key_bias(renamed(state, _NAMES))


FAMILY = Family(
    build,
    translated,
    ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers", "num_attention_heads",
     "intermediate_size", "layer_norm_eps", "hidden_act", "use_mean_pooling", "layer_scale_init_value",
     "use_absolute_position_embeddings", "use_relative_position_bias", "use_shared_relative_position_bias"),
    ("BeitForImageClassification", "Data2VecVisionForImageClassification"),
)  # fmt: skip
