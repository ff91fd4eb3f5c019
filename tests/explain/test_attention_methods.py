# SPDX-License-Identifier: Apache-2.0
"""Attention, rollout and relevance against the same numbers computed by hand in numpy."""

from typing import Literal

import numpy as np
import pytest
import torch
from explain_nets import LABELS, inputs_of, make, model_of, near, one, vit
from torch import Tensor, nn

from plugins.attention import Attention
from plugins.attention_relevance import AttentionRelevance
from plugins.attention_rollout import AttentionRollout
from viewer.errors import ExplainerError
from viewer.explain import explain
from viewer.models import Model
from viewer.models.structure import Tokens
from viewer.types import Target

HEADS, WIDTH = 2, 4


class TwoLayers(nn.Module):
    """Patches of 4 × 4 pixels, prefix tokens, two attention layers with a shortcut, a linear head."""

    def __init__(self, prefix: int, pool: str) -> None:
        super().__init__()
        self.num_prefix_tokens = prefix
        self.global_pool = pool
        self.patches = nn.Conv2d(1, WIDTH, 4, 4)
        self.tokens = nn.Parameter(torch.randn(1, prefix, WIDTH))
        self.layers = nn.ModuleList(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True) for _ in range(2))
        self.norm = nn.Identity()
        self.head = nn.Linear(WIDTH, len(LABELS))
        for parameter in self.layers.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.norm(torch.cat([self.tokens.expand(len(x), -1, -1), x], 1))
        for layer in self.layers:
            x = x + layer(x, x, x, need_weights=False)[0]
        return self.head(x[:, 0] if self.global_pool == "token" else x[:, self.num_prefix_tokens :].mean(1))


class ByHand:
    """The same network in numpy and float64, for one image (rows, columns)."""

    def __init__(self, net: TwoLayers, image: Tensor) -> None:
        self.image = image.numpy().astype(np.float64)
        self.w = {k: v.detach().numpy().astype(np.float64) for k, v in net.state_dict().items()}
        self.prefix, self.pool = net.num_prefix_tokens, net.global_pool

    def run(self, given: dict[int, np.ndarray] | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """(logits, attention (heads, tokens, tokens) of each layer); `given` replaces a layer's."""
        w = self.w
        sides = [range(0, n, 4) for n in self.image.shape]
        cells = [self.image[r : r + 4, c : c + 4] for r in sides[0] for c in sides[1]]
        kernels = zip(w["patches.weight"][:, 0], w["patches.bias"], strict=True)
        x = np.array([[(kernel * cell).sum() + bias for cell in cells] for kernel, bias in kernels]).T
        x = np.concatenate([w["tokens"][0], x])
        seen = []
        for i in range(2):
            own = {k.removeprefix(f"layers.{i}."): v for k, v in w.items()}
            q, k, v = np.split(x @ own["in_proj_weight"].T + own["in_proj_bias"], 3, 1)
            parts = [slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS) for h in range(HEADS)]
            powers = np.array([np.exp(q[:, p] @ k[:, p].T / np.sqrt(WIDTH / HEADS)) for p in parts])
            heads = (given or {}).get(i, powers / powers.sum(2, keepdims=True))
            mixed = np.concatenate([head @ v[:, p] for head, p in zip(heads, parts, strict=True)], 1)
            x = x + mixed @ own["out_proj.weight"].T + own["out_proj.bias"]
            seen.append(heads)
        pooled = x[0] if self.pool == "token" else x[self.prefix :].mean(0)
        return w["head.weight"] @ pooled + w["head.bias"], seen

    def gradients(self, label: int) -> list[np.ndarray]:
        """∂ logit / ∂ attention of each layer by central differences; what follows a layer follows."""
        _, seen = self.run()
        result = []
        for i, attention in enumerate(seen):
            gradient = np.zeros_like(attention)
            for place in np.ndindex(gradient.shape):
                nudge = np.zeros_like(attention)
                nudge[place] = 1e-5
                up, down = (self.run({i: attention + sign * nudge})[0][label] for sign in (1, -1))
                gradient[place] = (up - down) / 2e-5
            result.append(gradient)
        return result

    def read(self, matrix: np.ndarray) -> np.ndarray:
        """What the classifier reads of a (tokens, tokens) matrix, over the patches."""
        row = matrix[0] if self.pool == "token" else matrix[self.prefix :].mean(0)
        return row[self.prefix :].reshape(1, *(n // 4 for n in self.image.shape))


NETS = [(1, "token"), (3, "token"), (0, "avg"), (2, "avg")]


@pytest.fixture(params=NETS, ids=lambda p: f"{p[0]} prefix tokens, {p[1]}")
def both(request: pytest.FixtureRequest) -> tuple[Model, ByHand]:
    torch.manual_seed(8)
    net = TwoLayers(*request.param)
    model = model_of(net, (8, 12), 1)
    return model, ByHand(net, inputs_of(model)[0].tensor[0, 0])


def test_the_numpy_network_is_the_network(both: tuple[Model, ByHand]) -> None:
    model, hand = both
    scores = model.predict(inputs_of(model))[0].scores
    assert np.allclose([s.logit for s in scores], hand.run()[0], atol=1e-4)


def test_the_tokens_are_found(both: tuple[Model, ByHand]) -> None:
    model, hand = both
    pool: Literal["class", "mean"] = "class" if hand.pool == "token" else "mean"
    assert model.structure.tokens == Tokens(hand.prefix, (2, 3), pool)


@pytest.mark.parametrize("block", [0, 1, -1, -2])
@pytest.mark.parametrize("head", [None, 0, 1])
def test_attention_is_what_one_block_pays(both: tuple[Model, ByHand], block: int, head: int | None) -> None:
    model, hand = both
    heads = hand.run()[1][block]
    found = one(model, Attention(block=block, head=head))
    assert near(found.values, hand.read(heads.mean(0) if head is None else heads[head]))
    assert found.target is None


def test_rollout_is_the_product_of_half_attention_half_identity(both: tuple[Model, ByHand]) -> None:
    model, hand = both
    first, second = ((a.mean(0) + np.eye(a.shape[1])) / 2 for a in hand.run()[1])
    assert near(one(model, AttentionRollout()).values, hand.read(second @ first))


@pytest.mark.parametrize("label", range(3))
def test_relevance_is_chefers_rule(both: tuple[Model, ByHand], label: int) -> None:
    model, hand = both
    identity = np.eye(hand.run()[1][0].shape[1])
    relevance = identity
    for attention, gradient in zip(hand.run()[1], hand.gradients(label), strict=True):
        relevance = relevance + (attention * gradient).clip(0).mean(0) @ relevance
    found = one(model, AttentionRelevance(), Target(LABELS[label], label))
    assert near(found.values, hand.read(relevance - identity), 1e-4)


def test_relevance_of_a_difference_is_not_that_of_its_first_label() -> None:
    model = make("timm ViT")
    alone = one(model, AttentionRelevance(), Target("mass", 1)).values
    against = one(model, AttentionRelevance(), Target("mass", 1, "effusion", 0)).values
    assert not near(against, alone, 1e-2)


@pytest.mark.parametrize(
    ("arguments", "tokens"),
    [
        ({}, Tokens(1, (4, 4), "class")),
        ({"reg_tokens": 2}, Tokens(3, (4, 4), "class")),
        ({"global_pool": "avg"}, Tokens(1, (4, 4), "mean")),
        ({"global_pool": "avg", "class_token": False}, Tokens(0, (4, 4), "mean")),
        ({"img_size": (32, 16)}, Tokens(1, (4, 2), "class")),
    ],
)
def test_timms_prefix_tokens_are_left_out(arguments: dict[str, object], tokens: Tokens) -> None:
    size = arguments.get("img_size", (32, 32))
    model = model_of(vit(**arguments), size)  # type: ignore[arg-type]
    assert model.structure.tokens == tokens
    for method in (Attention(), AttentionRollout(), AttentionRelevance()):
        assert one(model, method).values.shape == (1, *tokens.grid)


def test_attention_and_its_flow_are_shares() -> None:
    for kind in ("timm ViT", "torch transformer"):
        for method in (Attention(), AttentionRollout()):
            values = one(make(kind), method).values
            assert 0 < values.sum() <= 1 + 1e-6  # the rest goes to the class token


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (Attention(block=2), "There is no block 2; the network has blocks 0 to 1."),
        (Attention(block=-3), "There is no block -3; the network has blocks 0 to 1."),
        (Attention(head=3), "There is no head 3; the block has heads 0 to 2."),
    ],
)
def test_a_block_or_head_that_is_not_there_is_refused(method: Attention, sentence: str) -> None:
    model = make("timm ViT")
    assert explain(model, inputs_of(model), [method]).refused == (("attention", sentence),)


def test_a_negative_head_is_refused() -> None:
    with pytest.raises(ExplainerError, match="'head' is wrong"):
        Attention(head=-1)


class Flat(nn.Module):
    """Patches of 4 × 4 by a linear layer: no map from which the grid could be read."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(16, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4).flatten(1, 3)
        x = self.embed(x)
        return self.head((x + self.attention(x, x, x)[0]).mean(1))


# 2 × 3 could be two tokens and 2 × 2, 2 × 5 could be a token and 3 × 3: neither is guessed.
@pytest.mark.parametrize(("size", "grid"), [((8, 12), (2, 3)), ((8, 20), (2, 5))])
def test_a_grid_that_cannot_be_seen_comes_from_the_card(size: tuple[int, int], grid: tuple[int, int]) -> None:
    unknown = model_of(Flat(), size, 1)
    sentence = "The grid of this network's tokens is not known; give explain.attention in the card."
    assert Attention().unsuitable(unknown) == sentence
    facts = {"attention": {"prefix": 0, "grid": grid, "pool": "mean"}}
    told = model_of(Flat(), size, 1, explain=facts)
    assert one(told, AttentionRollout()).values.shape == (1, *grid)


def test_a_square_of_patches_of_a_square_image_is_guessed() -> None:
    assert model_of(Flat(), (16, 16), 1).structure.tokens == Tokens(0, (4, 4), "mean")
