# SPDX-License-Identifier: Apache-2.0
"""What a family of networks is, and the renaming of tensors that several share."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from viewer.models.transformers.config import Config

Names = tuple[tuple[str, str | None], ...]
"""Patterns and what stands for them, in order; None leaves the tensor out."""


@dataclass(frozen=True, slots=True)
class Family:
    """How a family is built and its tensors are named."""

    build: Callable[[Config], nn.Module]
    translated: Callable[[Config, dict[str, Tensor]], dict[str, Tensor]]
    settings: tuple[str, ...]
    """The names in `config.json` that decide what the network computes."""
    heads: tuple[str, ...]
    """The classes of `transformers` whose logits the network gives."""
    any_size: bool = False
    """Whether it is asked about images of another size than `image_size`, which is then `input_size`."""


def renamed(state: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """Every tensor under its new name; several rules may apply to one, in their order."""
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        new: str | None = key
        for pattern, stands in names:
            if new is None:
                break
            if re.search(pattern, new):
                new = None if stands is None else re.sub(pattern, stands, new)
        if new is not None:
            found[new] = tensor
    return found


def joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values as the one layer `qkv`, weights and biases."""
    found = dict(state)
    for stem in _stems(state):
        for kind in ("weight", "bias"):
            if f"{stem}q.{kind}" in found:
                found[f"{stem}qkv.{kind}"] = torch.cat([found.pop(f"{stem}{p}.{kind}") for p in "qkv"])
    return found


def joined_without_key_bias(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same where keys have no bias: those of queries and values are `q_bias` and `v_bias`."""
    found = dict(state)
    for stem in _stems(state):
        found[f"{stem}qkv.weight"] = torch.cat([found.pop(f"{stem}{p}.weight") for p in "qkv"])
        for part in "qv":
            if f"{stem}{part}.bias" in found:
                found[f"{stem}{part}_bias"] = found.pop(f"{stem}{part}.bias")
    return found


def _stems(state: Mapping[str, Tensor]) -> list[str]:
    return [key.removesuffix("q.weight") for key in state if key.endswith(".q.weight")]


def sizes(config: Config, patch: int = 16) -> dict[str, Any]:
    """The arguments that timm's plain transformers have in common; `patch` is the default side of a patch."""
    return {
        "img_size": config.sides("image_size", 224),
        "patch_size": config.sides("patch_size", patch),
        "in_chans": config.whole("num_channels", 3),
        "num_classes": config.whole("num_labels", 2),
        "embed_dim": config.whole("hidden_size", 768),
        "depth": config.layers("num_hidden_layers", 12),
        "num_heads": config.whole("num_attention_heads", 12),
    }


# What names of saved files and of modules (transformers 5) have in common, towards timm's transformers.
TOKENS: Names = (
    (r"^(vit|deit|beit|data2vec_vision|dinov2|dinov2_with_registers|vision_model)\.", ""),
    (r"^embeddings\.mask_token$", None),  # of training by masked images
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(encoder\.)?layers?\.(\d+)\.", r"blocks.\2."),
    (r"\.attention\.attention\.(q)uery\.|\.attention\.q_proj\.", ".attn.q."),
    (r"\.attention\.attention\.(k)ey\.|\.attention\.k_proj\.", ".attn.k."),
    (r"\.attention\.attention\.(v)alue\.|\.attention\.v_proj\.", ".attn.v."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^pooler\.dense\.", None),  # no classifier reads it
    (r"^classifier\.", "head."),
)


def activation(name: str) -> Any:
    """The layer of an activation by the name that transformers has for it."""
    from timm.layers import get_act_layer

    return get_act_layer({"gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}.get(name, name))
