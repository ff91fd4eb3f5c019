# SPDX-License-Identifier: Apache-2.0
"""ViT (Dosovitskiy et al. 2021) and DeiT with and without its teacher (Touvron et al. 2021)."""

from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import TOKENS, Family, Names, activation, joined, renamed, sizes

_TEACHER = "DeiTForImageClassificationWithTeacher"
# With a teacher timm has the token of distillation and a head for it, else it is a register that is embedded.
_WITH: Names = (
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^cls_classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
_WITHOUT: Names = ((r"^embeddings\.distillation_token$", "reg_token"),)


def _teacher(config: Config) -> bool:
    return config.text("head", "") == _TEACHER


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns)."""
    from timm.models.deit import VisionTransformerDistilled
    from timm.models.vision_transformer import VisionTransformer

    facts = sizes(config) | {
        "mlp_ratio": config.ratio(),
        "qkv_bias": config.flag("qkv_bias", True),
        "norm_layer": config.norm(1e-12),
        "act_layer": activation(config.text("hidden_act", "gelu")),
    }
    if _teacher(config):
        net: nn.Module = VisionTransformerDistilled(**facts)
        return net
    net = VisionTransformer(**facts, reg_tokens=1 if config.kind == "deit" else 0)
    return net


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names."""
    head = _WITH if _teacher(config) else _WITHOUT
    return joined(renamed(state, (*TOKENS, *head)))


FAMILY = Family(
    build,
    translated,
    ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers", "num_attention_heads",
     "intermediate_size", "qkv_bias", "layer_norm_eps", "hidden_act"),
    ("ViTForImageClassification", "DeiTForImageClassification", _TEACHER),
)  # fmt: skip
