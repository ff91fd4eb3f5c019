# SPDX-License-Identifier: Apache-2.0
"""Swin transformers: windows put back in place, followed through shifts, padding and merged patches."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from explain_nets import LABELS, inputs_of, model_of, near, one, swin
from timm.models import swin_transformer, swin_transformer_v2
from torch import Tensor, nn
from torchvision.models import swin_transformer as vision

from plugins.attention import Attention
from plugins.attention_relevance import AttentionRelevance
from plugins.attention_rollout import AttentionRollout
from viewer.explain import explain
from viewer.explain.attention import listening
from viewer.explain.windows import windows
from viewer.models import Model
from viewer.types import Target

GRIDS = [(8, 8), (8, 12), (6, 7), (4, 8), (9, 3)]


def block_of(kind: str, grid: tuple[int, int], shift: int, heads: int = 1, width: int = 0) -> nn.Module:
    """One Swin block with windows of 4 × 4, its weights random and large enough to look somewhere."""
    width = width or grid[0] * grid[1]
    if kind.startswith("timm"):
        made = {
            "timm v1": swin_transformer.SwinTransformerBlock,
            "timm v2": swin_transformer_v2.SwinTransformerV2Block,
        }[kind](width, grid, num_heads=heads, window_size=4, shift_size=shift)
    else:
        made = {
            "torchvision v1": vision.SwinTransformerBlock,
            "torchvision v2": vision.SwinTransformerBlockV2,
        }[kind](width, heads, [4, 4], [shift, shift])
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.4)
    return made.eval().requires_grad_(False)


def values_alone(block: nn.Module) -> None:
    """Make the attention give its values as they came: what it gives of one-hot tokens is its matrix."""
    attention = next(m for name, m in block.named_modules() if name == "attn")
    width = attention.qkv.weight.shape[1]
    attention.qkv.weight[2 * width :] = torch.eye(width)
    for bias in (attention.qkv.bias, getattr(attention, "v_bias", None)):
        if bias is not None:
            bias[-width:] = 0
    attention.proj.weight.copy_(torch.eye(width))
    attention.proj.bias.zero_()


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


KINDS = ["timm v1", "timm v2", "torchvision v1", "torchvision v2"]


@pytest.mark.parametrize("shift", [0, 2, 1])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_put_back_where_the_network_has_them(
    kind: str, grid: tuple[int, int], shift: int
) -> None:
    """One-hot tokens through the network's own shift, padding and windows give its token-by-token matrix."""
    block = block_of(kind, grid, shift)
    values_alone(block)
    count = grid[0] * grid[1]
    tokens = torch.eye(count).reshape(1, *grid, count)
    block.norm1, block.norm2, block.mlp = nn.Identity(), nn.Identity(), Nothing()
    parent = nn.Sequential(block)
    with torch.no_grad(), listening(parent, 1) as heard:
        wanted = (parent(tokens) - tokens).reshape(count, count)  # less the shortcut
    (heads,) = heard
    assert heads.windows is not None
    assert heads.windows.grid == grid
    matrix = heads.split(heads.tensor)[:, :, 0]  # (1, windows, queries, keys)
    rows = torch.eye(count)[:, None]  # one token asks at a time
    found = heads.windows.apply(rows, matrix.expand(count, -1, -1, -1)[:, None])[:, 0]
    assert wanted.abs().max() > 0
    assert torch.allclose(found, wanted, atol=1e-5)


class ByHand:
    """A timm Swin's attention as whole token-by-token matrices in float64, filled in plain loops."""

    def __init__(self, net: nn.Module, model: Model) -> None:
        self.seen: list[tuple[Any, tuple[int, int], Tensor]] = []
        grids: list[tuple[int, int]] = []
        handles = []
        for block in [m for m in net.modules() if hasattr(m, "shift_size")]:

            def enter(_m: nn.Module, given: tuple[Tensor]) -> None:
                grids.append((given[0].shape[1], given[0].shape[2]))

            def keep(_m: nn.Module, _a: object, weights: Tensor, block: nn.Module = block) -> None:
                self.seen.append((block, grids[-1], weights))

            handles.append(block.register_forward_pre_hook(enter))
            handles.append(block.attn.softmax.register_forward_hook(keep))
        x = model.batch(inputs_of(model)).requires_grad_()
        self.logits = net(x)[0]
        for handle in handles:
            handle.remove()

    def placed(self, place: int, weights: Tensor) -> np.ndarray:
        """(heads, tokens, tokens) of one block from (windows, heads, slots, slots)."""
        block, grid, _ = self.seen[place]
        (rows, columns), (high, wide), (down, right) = grid, block.window_size, block.shift_size
        across = -(-columns // wide)
        where = []
        for r in range(rows):
            for c in range(columns):
                i, j = (r - down) % rows, (c - right) % columns
                where.append(((i // high) * across + j // wide, (i % high) * wide + j % wide))
        matrix = np.zeros((weights.shape[1], len(where), len(where)))
        for q, (window, asking) in enumerate(where):
            for k, (other, asked) in enumerate(where):
                if window == other:
                    matrix[:, q, k] = weights[window, :, asking, asked].detach().double().numpy()
        return matrix

    def matrices(self, label: int | None = None) -> list[np.ndarray]:
        """Attention of each block, or for a label the mean over heads of positive gradient × attention."""
        weights = [w for *_, w in self.seen]
        plain = [self.placed(i, w) for i, w in enumerate(weights)]
        if label is None:
            return plain
        gradients = torch.autograd.grad(self.logits[label], weights, retain_graph=True)
        return [
            (self.placed(i, g) * a).clip(0).mean(0)
            for i, (g, a) in enumerate(zip(gradients, plain, strict=True))
        ]

    def product(self, steps: list[np.ndarray]) -> np.ndarray:
        """What the mean of the last patches reads of the first, through one matrix a block."""
        total = np.eye(steps[0].shape[0])
        grid = self.seen[0][1]
        for (_, now, _), step in zip(self.seen, steps, strict=True):
            if now != grid:
                merge = np.zeros((now[0] * now[1], grid[0] * grid[1]))
                for r in range(grid[0]):
                    for c in range(grid[1]):
                        merge[r // 2 * now[1] + c // 2, r * grid[1] + c] = 1
                total, grid = merge / merge.sum(1, keepdims=True) @ total, now
            total = step @ total
        return total.mean(0).reshape(1, *self.seen[0][1])


def uneven(kind: str) -> nn.Module:
    """A Swin whose windows have to be padded, and whose patches merge unevenly."""
    net = {"timm v1": timm.models.SwinTransformer, "timm v2": timm.models.SwinTransformerV2}[kind](
        img_size=(20, 28), patch_size=4, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 4),
        num_classes=len(LABELS), **({"always_partition": True} if kind == "timm v1" else {}),
    )  # fmt: skip
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)  # version 2 starts with blocks that do nothing
    return net.eval()


@pytest.fixture(params=["timm v1", "timm v2"])
def both(request: pytest.FixtureRequest) -> tuple[Model, ByHand]:
    net = uneven(request.param)
    model = model_of(net, (20, 28))
    return model, ByHand(net, model)


def test_one_block_of_a_swin_is_where_its_patches_look(both: tuple[Model, ByHand]) -> None:
    model, hand = both
    for i, matrix in enumerate(hand.matrices()):
        grid = hand.seen[i][1]
        mean = one(model, Attention(block=i)).values
        assert near(mean, matrix.mean(0).mean(0).reshape(1, *grid))
        head = one(model, Attention(block=i, head=1)).values
        assert near(head, matrix[1].mean(0).reshape(1, *grid))


def test_rollout_of_a_swin_is_the_product_of_whole_matrices(both: tuple[Model, ByHand]) -> None:
    model, hand = both
    steps = [(m.mean(0) + np.eye(m.shape[1])) / 2 for m in hand.matrices()]
    assert near(one(model, AttentionRollout()).values, hand.product(steps))


@pytest.mark.parametrize("label", range(len(LABELS)))
def test_relevance_of_a_swin_is_chefers_rule_on_whole_matrices(
    both: tuple[Model, ByHand], label: int
) -> None:
    model, hand = both
    eyes = [np.eye(m.shape[1]) for m in hand.matrices()]
    steps = [eye + m for eye, m in zip(eyes, hand.matrices(label), strict=True)]
    found = one(model, AttentionRelevance(), Target(LABELS[label], label))
    assert near(found.values, hand.product(steps) - hand.product(eyes), 1e-4)


def blind(net: nn.Module) -> nn.Module:
    """Every token asks the same of all, so that each window's attention is uniform."""
    for name, parameter in net.named_parameters():
        if ".attn.qkv" in name:
            width = parameter.shape[0] // 3
            parameter.data[: 2 * width] = 0
        elif "relative_position_bias_table" in name:
            parameter.data.zero_()
    return net


def vision_swin(depths: list[int]) -> nn.Module:
    return torchvision.models.SwinTransformer(
        [4, 4], 8, depths, [2] * len(depths), [4, 4], num_classes=len(LABELS)
    ).eval()


@pytest.mark.parametrize("method", [Attention(block=0), Attention(block=1), AttentionRollout()], ids=str)
def test_uniform_attention_in_whole_windows_is_flat(method: Attention) -> None:
    """Also where windows are shifted: whoever shares a window or a part of it gives as much as it takes."""
    for net in (swin(), vision_swin([2, 1])):
        model = model_of(blind(net))
        values = one(model, method).values
        assert values.shape == (1, 8, 8)
        assert np.allclose(values, 1 / 64, atol=1e-6)


def test_uniform_attention_in_a_padded_window_goes_in_part_to_the_padding() -> None:
    """Of 5 × 7 patches in windows of 4 × 4: 16, 12, 4 and 3 patches, all others of 16 are padding."""
    model = model_of(blind(vision_swin([2])), (20, 28))
    wanted = np.zeros((5, 7))
    for rows, columns, there in (
        (slice(0, 4), slice(0, 4), 16),
        (slice(0, 4), slice(4, 7), 12),
        (slice(4, 5), slice(0, 4), 4),
        (slice(4, 5), slice(4, 7), 3),
    ):
        wanted[rows, columns] = there / 16 / 35
    assert near(one(model, Attention(block=0)).values[0], wanted)


def test_windows_of_an_unknown_kind_are_refused() -> None:
    facts = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 8, "depths": (1,)}
    net = timm.create_model("swinv2_cr_tiny_224", **facts, num_heads=(2,), num_classes=len(LABELS))
    model = model_of(net)
    sentence = "This network attends within windows whose places on the image are not known."
    for method in (Attention(), AttentionRollout(), AttentionRelevance()):
        assert explain(model, inputs_of(model), [method]).refused == ((method.name, sentence),)


def test_a_grid_is_cut_into_windows_as_told() -> None:
    cut = windows((2, 3), (2, 2), (0, 1), pads_first=False)
    assert cut.slots.tolist() == [[1, 2, 4, 5], [0, -1, 3, -1]]
    assert cut.slots.flatten()[cut.home].tolist() == [0, 1, 2, 3, 4, 5]
    first = windows((2, 3), (2, 2), (0, 1), pads_first=True)
    assert first.slots.tolist() == [[1, 2, 4, 5], [-1, 0, -1, 3]]
