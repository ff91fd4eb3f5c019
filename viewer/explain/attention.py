# SPDX-License-Identifier: Apache-2.0
"""Listening to attention weights, however a network computes them.

Fused kernels never form the weights, `nn.MultiheadAttention` throws them away, and PyTorch's fast
path skips modules altogether. Here every softmax attention inside a known attention module is done
the plain way for the length of one forward, and its weights stay in the graph.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from viewer.errors import ExplainerError
from viewer.explain.layers import CLOSED
from viewer.explain.windows import Windows, windows_of
from viewer.models import Model
from viewer.models.structure import attention_modules
from viewer.models.watch import SOFTMAX, over_last_axis


@dataclass(frozen=True, slots=True)
class Heads:
    """The attention of one module: `tensor` is in the graph, (n, heads, queries, keys) or
    (n × heads, queries, keys); within windows (n × windows, heads, queries, keys)."""

    name: str
    tensor: Tensor
    n: int
    windows: Windows | None = None

    def split(self, tensor: Tensor) -> Tensor:
        """A tensor like `tensor` of this class, or some stacked, as (…, n, windows, heads, queries, keys)."""
        lead = tensor.shape[: tensor.ndim - self.tensor.ndim]
        count = 1 if self.windows is None else len(self.windows.slots)
        return tensor.reshape(*lead, self.n, count, -1, *tensor.shape[-2:])


class _Listener(TorchFunctionMode):
    """Replaces fused attention by its definition and keeps the weights."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self.within: list[str] = []
        self.windows: Windows | None = None
        self.heard: list[Heads] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.within:
            if func is F.scaled_dot_product_attention:
                return self._attend(*args, **kwargs)
            if func is F.multi_head_attention_forward:
                # It would run with this mode switched off, so it is done here in the plain way.
                return self._multi_head(*args, **kwargs)
            if func in SOFTMAX:
                result = func(*args, **kwargs)
                return self._keep(result) if over_last_axis(result, args, kwargs) else result
        return func(*args, **kwargs)

    def leave(self, *_: Any) -> None:
        """A forward hook; it returns nothing, for what a hook returns replaces the output."""
        del self.within[-1:]  # empty where a hook of somebody else failed first
        self.windows = None

    def _keep(self, weights: Tensor) -> Tensor:
        if not weights.requires_grad:
            weights = weights.detach().requires_grad_()
        self.heard.append(Heads(self.within[-1], weights, self.n, self.windows))
        return weights

    def _multi_head(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        embed_dim_to_check: int,
        num_heads: int,
        in_proj_weight: Tensor | None,
        in_proj_bias: Tensor | None,
        bias_k: Tensor | None,
        bias_v: Tensor | None,
        add_zero_attn: bool,
        dropout_p: float,
        out_proj_weight: Tensor,
        out_proj_bias: Tensor | None,
        training: bool = True,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        use_separate_proj_weight: bool = False,
        q_proj_weight: Tensor | None = None,
        k_proj_weight: Tensor | None = None,
        v_proj_weight: Tensor | None = None,
        static_k: Tensor | None = None,
        static_v: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """`F.multi_head_attention_forward` for (tokens, n, channels), the weights kept."""
        if bias_k is not None or add_zero_attn or static_k is not None or query.ndim != 3:
            raise ExplainerError("This network's attention adds keys of its own, which no map can place.")
        if use_separate_proj_weight:
            matrices = [q_proj_weight, k_proj_weight, v_proj_weight]
        else:
            assert in_proj_weight is not None  # nn.MultiheadAttention has one or the other
            matrices = list(in_proj_weight.chunk(3))
        biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
        q, k, v = (
            self._heads(F.linear(x, w, b), num_heads)  # type: ignore[arg-type]
            for x, w, b in zip((query, key, value), matrices, biases, strict=True)
        )
        mask = _mask(attn_mask, key_padding_mask, len(q), num_heads)
        # The mask already says what is causal: nn.MultiheadAttention wants one beside the flag.
        mixed = self._attend(q, k, v, mask)
        mixed = mixed.permute(2, 0, 1, 3).flatten(2)
        weights = self.heard[-1].tensor.detach()
        told = weights.mean(1) if average_attn_weights else weights
        return F.linear(mixed, out_proj_weight, out_proj_bias), told if need_weights else None

    @staticmethod
    def _heads(x: Tensor, heads: int) -> Tensor:
        """(tokens, n, channels) → (n, heads, tokens, channels of a head)."""
        return x.reshape(len(x), x.shape[1], heads, -1).permute(1, 2, 0, 3)

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """`F.scaled_dot_product_attention` by its definition; `dropout_p` is 0 in eval mode."""
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        score = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(score.shape[-2:], dtype=torch.bool, device=score.device).tril()
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:
                score = score.masked_fill(~attn_mask, -math.inf)
            else:
                score = score + attn_mask
        return self._keep(score.softmax(-1)) @ value


def _mask(attention: Tensor | None, padding: Tensor | None, n: int, heads: int) -> Tensor | None:
    """Both masks of `nn.MultiheadAttention` (True or −∞ means "not there") as one to be added."""
    masks = []
    if attention is not None:
        masks.append(attention.reshape(n, heads, *attention.shape[-2:]) if attention.ndim == 3 else attention)
    if padding is not None:
        masks.append(padding[:, None, None, :])
    total: Tensor | None = None
    for mask in masks:
        if mask.dtype == torch.bool:
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(mask, -math.inf)
        total = mask if total is None else total + mask
    return total


class _SlowPath:
    """While anybody is inside, nn.TransformerEncoderLayer calls its attention module.

    Its fast path never would. The switch is one for the whole process, and two models may listen at
    once: the last to leave puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.backends.mha.get_fastpath_enabled()
                torch.backends.mha.set_fastpath_enabled(False)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.backends.mha.set_fastpath_enabled(self._before)


_SLOW = _SlowPath()


@contextmanager
def listening(module: nn.Module, n: int, names: Sequence[str] = ()) -> Iterator[list[Heads]]:
    """While entered, a forward of `n` samples fills the list, one entry per attention module run.

    `names` are modules that attend and are none of the known attention modules.
    """
    listener = _Listener(n)
    parts = attention_modules(module)
    parts |= {name: module.get_submodule(name) for name in names if name not in parts}
    with ExitStack() as stack:
        for name, part in parts.items():
            around = module.get_submodule(name.rpartition(".")[0])
            if hasattr(around, "shift_size") or hasattr(part, "shift_size"):
                placed = part if hasattr(part, "shift_size") else around
                place = placed.register_forward_pre_hook(_placing(listener, part, around))
                stack.callback(place.remove)
            enter = part.register_forward_pre_hook(lambda _m, _a, name=name: listener.within.append(name))
            stack.callback(enter.remove)
            stack.callback(part.register_forward_hook(listener.leave, always_call=True).remove)
        stack.enter_context(_SLOW)
        stack.enter_context(listener)
        yield listener.heard


def _placing(listener: _Listener, part: nn.Module, around: nn.Module) -> Callable[..., None]:
    """A pre-hook that tells the listener in which windows the attention that comes will be."""

    def place(_module: nn.Module, given: tuple[Any, ...]) -> None:
        listener.windows = windows_of(part, around, given)

    return place


def no_attention(model: Model) -> str | None:
    """Why a method on attention does not suit a model, or None."""
    if model.closed:
        return CLOSED
    structure = model.structure
    if not structure.attention:
        return "This network has no attention layers."
    if "unknown windows" in structure.traits:
        return "This network attends within windows whose places on the image are not known."
    if "keys of its own" in structure.traits:
        return "This network's attention adds keys of its own, which no map can place."
    if structure.tokens is None and "windowed" not in structure.traits:
        return "The grid of this network's tokens is not known; give explain.attention in the card."
    return None
