# SPDX-License-Identifier: Apache-2.0
"""The last block of a vision transformer for its class token alone, where nothing else of it is read.

A classifier that reads the class token needs one row of the last block: one query, and an MLP of one token.
With one query the keys and values need not be formed either: q · (W k) = (q W) · k, and the weighted mean of
values is the value of the weighted mean. Forward and backward then cost next to nothing, and give the numbers
of the whole block.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from viewer.models.structure import Structure

LastBlock = tuple[nn.Module, str, Callable[[Tensor], Tensor]]
"""The last block, the name of its first norm, and its forward for the class token alone."""


@contextmanager
def class_token_only(module: nn.Module, structure: Structure, layers: Sequence[str]) -> Iterator[None]:
    """While entered, the last block computes the class token only, if nobody listens to the others.

    For the plain transformers of timm and torchvision; every other network runs as it is.
    """
    found = _last_block(module)
    if found is None or not _only_class_read(structure, layers, found[1]):
        yield
        return
    block, _, run = found
    vars(block)["forward"] = run  # hides the method of its class
    try:
        yield
    finally:
        del vars(block)["forward"]


def _only_class_read(structure: Structure, layers: Sequence[str], norm: str) -> bool:
    """Whether the class token alone is classified, and all that is listened to runs before the attention."""
    if structure.tokens is None or structure.tokens.pool != "class" or not layers:
        return False
    order = [layer.name for layer in structure.layers]
    norm = structure.aliases.get(norm, norm)
    return norm in order and all(name in order[: order.index(norm) + 1] for name in layers)


def _last_block(module: nn.Module) -> LastBlock | None:
    for kind, find in _kinds():
        if type(module) is kind:
            return find(module)
    return None


@cache
def _kinds() -> list[tuple[type[nn.Module], Callable[[Any], LastBlock | None]]]:
    from timm.models.vision_transformer import VisionTransformer as TimmViT
    from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

    return [(TimmViT, _of_timm), (TorchvisionViT, _of_torchvision)]


def _of_timm(module: Any) -> LastBlock | None:
    from timm.layers.attention import Attention
    from timm.models.vision_transformer import Block as Plain

    blocks = module.blocks
    block: Any = blocks[-1] if isinstance(blocks, nn.Sequential) and len(blocks) else None
    if type(block) is not Plain or type(block.attn) is not Attention or module.global_pool != "token":
        return None
    attention = block.attn
    plain = isinstance(attention.k_norm, nn.Identity) and isinstance(attention.q_norm, nn.Identity)
    if not plain or attention.gate is not None or module.attn_pool is not None:
        return None
    if type(attention.qkv) is not nn.Linear or not _plain(block, attention, attention.qkv):
        return None

    def run(x: Tensor) -> Tensor:
        y = block.norm1(x)
        mixed = _attend(y, attention.qkv.weight, attention.qkv.bias, attention.num_heads, attention.scale)
        own = x[:, :1] + block.ls1(attention.proj(attention.norm(mixed)))
        return torch.as_tensor(own + block.ls2(block.mlp(block.norm2(own))))

    return block, f"blocks.{len(blocks) - 1}.norm1", run


def _of_torchvision(module: Any) -> LastBlock | None:
    from torchvision.models.vision_transformer import EncoderBlock

    name, block = list(module.encoder.layers.named_children())[-1]
    attention = getattr(block, "self_attention", None)
    if type(block) is not EncoderBlock or type(attention) is not nn.MultiheadAttention:
        return None
    if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
        return None
    if not _plain(block, attention):
        return None

    def run(x: Tensor) -> Tensor:
        y = block.ln_1(x)
        weight, bias, heads = attention.in_proj_weight, attention.in_proj_bias, attention.num_heads
        own = x[:, :1] + attention.out_proj(_attend(y, weight, bias, heads, attention.head_dim**-0.5))
        return torch.as_tensor(own + block.mlp(block.ln_2(own)))

    return block, f"encoder.layers.{name}.ln_1", run


def _plain(block: nn.Module, *bypassed: nn.Module) -> bool:
    """Whether a block, and what in it is not called, do what their classes say: not hooked, not patched."""
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in bypassed)
    return not hooked and not any("forward" in vars(m) for m in (block, *bypassed))


def _attend(y: Tensor, weight: Tensor, bias: Tensor | None, heads: int, scale: float) -> Tensor:
    """What attention gives the first token, (n, 1, channels), from tokens (n, tokens, width).

    `weight` is (3 × channels, width): queries, keys and values, head by head.
    """
    query, key, value = weight.reshape(3, heads, -1, y.shape[-1])  # each (heads, depth, width)
    first = y[:, 0]
    q = (query @ first[:, None, :, None])[..., 0]  # (n, heads, depth)
    if bias is not None:
        of_query, of_key, of_value = bias.reshape(3, heads, -1)
        q = q + of_query
    score = (q[:, :, None] @ key)[:, :, 0] @ y.transpose(1, 2)  # (n, heads, tokens)
    if bias is not None:
        score = score + (q * of_key).sum(-1, keepdim=True)
    mean = (score * scale).softmax(-1) @ y  # (n, heads, width): the tokens as each head weighs them
    mixed = (value @ mean[..., None])[..., 0]  # (n, heads, depth)
    if bias is not None:
        mixed = mixed + of_value
    return torch.as_tensor(mixed.flatten(1)[:, None])
