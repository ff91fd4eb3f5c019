# SPDX-License-Identifier: Apache-2.0
"""DINOv2 (Oquab et al. 2023), and with registers (Darcet et al. 2024), under transformers' linear head."""

from typing import Any

import torch
from torch import Tensor, nn

from viewer.models.transformers.config import Config
from viewer.models.transformers.family import TOKENS, Family, Names, activation, joined, renamed, sizes

_NAMES: Names = (
    *TOKENS,
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
    (r"\.mlp\.down_proj\.", ".mlp.fc2."),
)


def build(config: Config) -> nn.Module:
    """The network; logits (n, labels) of images (n, channels, rows, columns) of `input_size`."""
    from timm.layers import SwiGLUPacked
    from timm.models.vision_transformer import VisionTransformer

    class ClassAndMean(VisionTransformer):  # type: ignore[misc]  # timm's is untyped
        """The head reads the class token beside the mean of the patches."""

        def pool(self, x: Tensor, pool_type: str | None = None) -> Tensor:
            return torch.cat([x[:, 0], x[:, self.num_prefix_tokens :].mean(1)], 1)

    width = config.whole("hidden_size", 768)
    hidden = width * config.whole("mlp_ratio", 4)
    gated = config.flag("use_swiglu_ffn", False)
    if gated:
        hidden = 2 * ((int(hidden * 2 / 3) + 7) // 8 * 8)
    act = activation(config.text("hidden_act", "gelu"))
    facts: dict[str, Any] = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU} if gated else {"act_layer": act}
    registers = config.whole("num_register_tokens", 4) if config.kind == "dinov2_with_registers" else 0
    net: nn.Module = ClassAndMean(
        **sizes(config, 14) | {"img_size": config.input_size(224)},
        mlp_ratio=(hidden + 0.5) / width,
        qkv_bias=config.flag("qkv_bias", True),
        init_values=1.0,
        norm_layer=config.norm(1e-6),
        reg_tokens=registers,
        no_embed_class=True,
        **facts,
    )
    net.head = nn.Linear(2 * width, config.whole("num_labels", 2))
    return net


def translated(config: Config, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names, positions resized to the images the network is asked about."""
    found = joined(_gates(renamed(state, _NAMES)))
    positions, token = found.get("pos_embed"), found.get("cls_token")
    if positions is None or token is None or positions.ndim != 3:
        return found
    # timm adds no position to the class token, so that of the class is part of the token.
    found["cls_token"] = token + positions[:, :1]
    sides = zip(config.input_size(224), config.sides("patch_size", 14), strict=True)
    rows, columns = (side // patch for side, patch in sides)
    found["pos_embed"] = _resized(positions[:, 1:], rows, columns, config.kind == "dinov2_with_registers")
    return found


def _gates(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The two halves of a gated layer, which the modules of transformers 5 have apart, as one."""
    found = dict(state)
    for key in [k for k in state if ".mlp.gate_proj." in k]:
        up = key.replace("gate_proj", "up_proj")
        if up in found:
            found[key.replace("gate_proj", "fc1")] = torch.cat([found.pop(key), found.pop(up)])
    return found


def _resized(positions: Tensor, rows: int, columns: int, antialias: bool) -> Tensor:
    """Positions (1, tokens, width) of a square image for another, bicubic, as transformers has them."""
    side = round(positions.shape[1] ** 0.5)
    if positions.shape[1] == rows * columns or side * side != positions.shape[1]:
        return positions
    square = positions.reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    other = nn.functional.interpolate(
        square, (rows, columns), mode="bicubic", align_corners=False, antialias=antialias
    )
    return other.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)


FAMILY = Family(
    build,
    translated,
    ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers", "num_attention_heads",
     "mlp_ratio", "qkv_bias", "layer_norm_eps", "hidden_act", "use_swiglu_ffn", "num_register_tokens"),
    ("Dinov2ForImageClassification", "Dinov2WithRegistersForImageClassification"),
    any_size=True,
)  # fmt: skip
