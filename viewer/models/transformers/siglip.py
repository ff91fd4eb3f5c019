# SPDX-License-Identifier: Apache-2.0
"""The image network of SigLIP (Zhai et al. 2023) under transformers' linear head."""

from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import TOKENS, Family, Names, activation, joined, renamed, sizes

_NAMES: Names = (
    (r"^vision_model\.head\.", None),  # the pooling towards texts, which the classifier does not read
    (r"\.self_attn\.out_proj\.", ".attention.o_proj."),
    (r"\.self_attn\.", ".attention."),
    *TOKENS,
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"^post_layernorm\.", "norm."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.vision_transformer import VisionTransformer

    net: nn.Module = VisionTransformer(
        **sizes(config),
        mlp_ratio=config.ratio(),
        norm_layer=config.norm(1e-6),
        act_layer=activation(config.text("hidden_act", "gelu_pytorch_tanh")),
        class_token=False,
        global_pool="avg",
        fc_norm=False,
    )
    return net


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names."""
    found = joined(renamed(state, _NAMES))
    positions = found.get("pos_embed")
    if positions is not None and positions.ndim == 2:
        found["pos_embed"] = positions[None]
    return found


FAMILY = Family(
    build,
    translated,
    ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers", "num_attention_heads",
     "intermediate_size", "layer_norm_eps", "hidden_act"),
    ("SiglipForImageClassification",),
)  # fmt: skip
