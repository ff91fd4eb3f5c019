# SPDX-License-Identifier: Apache-2.0
"""What a trial on made-up images shows of a network, and what is then said of its scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_files import folder_of, inputs, model_of, series, small
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models import Model, load
from viewer.models.card import Input
from viewer.models.interval import interval, remark
from viewer.models.model import RUNS
from viewer.models.prepare import prepare


class Ends(nn.Module):
    """A small network whose logits end in what a function makes of them."""

    def __init__(self, end: Callable[[Tensor], Tensor], dimensions: int = 2) -> None:
        super().__init__()
        self.net = small(dimensions=dimensions, widths=[4, 6])
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.net(x))


class Dense(nn.Module):
    """An output per pixel and label."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.out = nn.Conv2d(1, 2, 3, padding=1)
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.out(x))


def tried(net: nn.Module, **changes: Any) -> Model:
    model = model_of(net, **changes)
    model.untried = True
    return model


SIGMOID = {"output__activation": "sigmoid"}
PROBABILITIES: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "softmax": (Ends(lambda y: y.softmax(1)), {}),
    "softmax, saturated": (Ends(lambda y: (4000 * y).softmax(1)), {}),
    "softmax, carded as sigmoid": (Ends(lambda y: F.softmax(y, 1)), SIGMOID),
    "sigmoid": (Ends(torch.sigmoid), SIGMOID),
    "sigmoid by hand": (Ends(lambda y: 1 / (1 + (-y).exp())), SIGMOID),
    "sigmoid, carded as softmax": (Ends(lambda y: y.sigmoid()), {}),
    "softmax per pixel": (Dense(lambda y: y.softmax(1)), {}),
    "softmax of a volume": (
        Ends(lambda y: y.softmax(1), dimensions=3), {"input__dimensions": 3, "input__size": [4, 8, 8]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("net", "changes"), PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities_that_would_be_squashed_again_are_told(net: nn.Module, changes: dict[str, Any]) -> None:
    told = tried(net, **changes).try_out().implausible
    assert told is not None
    assert told.startswith("The outputs are probabilities already: on all of 6 made-up images they lie")
    assert told.endswith("write activation: none in the card.")
    # What is to be written mends it.
    mended = tried(net, **changes | {"output__activation": "none"}).try_out().implausible
    assert mended is None or "are the same for 4" in mended


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_logits_are_not_taken_for_probabilities(seed: int, activation: str) -> None:
    for net in (
        small(seed),
        Ends(lambda y: 0.1 * y + 0.4),
        Dense(lambda y: y),
        Ends(lambda y: 2 * y - 1),
    ):
        assert tried(net, output__activation=activation).try_out().implausible is None


def test_logarithms_of_probabilities_are_told_where_softmax_would_undo_them() -> None:
    net = Ends(lambda y: y.log_softmax(1))
    assert "write activation: softmax in the card" in (tried(net, **SIGMOID).try_out().implausible or "")
    assert tried(net).try_out().implausible is None


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (Ends(lambda y: y * 0 + 1.5), "are the same for 4 different made-up images"),
        (Ends(lambda y: y.detach() * 0 - 3), "are the same for 4 different made-up images"),
        (Ends(lambda y: F.relu(y - 1e9)), "are the same for 4 different made-up images"),
        (Ends(lambda y: y / 0), "For 4 of 4 made-up images the outputs are NaN or infinite"),
    ],
)
def test_outputs_that_say_nothing_are_told(net: nn.Module, words: str) -> None:
    assert words in (tried(net).try_out().implausible or "")


def test_the_score_is_marked_until_the_card_is_mended(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.fc = nn.Linear(64, 2)\n\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(1)).softmax(1)\n"
    )
    state = {"fc.weight": torch.randn(2, 64), "fc.bias": torch.ones(2)}
    changes: dict[str, Any] = {"architecture": "network.py:Net", "arguments": {}}
    for activation in ("softmax", "none"):
        folder = folder_of(tmp_path / activation, state, **changes, output__activation=activation)
        (folder / "network.py").write_text(code, encoding="utf-8")
        model = load(folder, trust=True)
        assert model.untried
        (said,) = model.predict(inputs(1))
        assert (said.implausible is not None) is (activation == "softmax")
        assert not model.untried


class Counted(nn.Module):
    """A network that counts how many images it was given, and of which size."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(2))
        self.images: list[tuple[int, ...]] = []
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        self.images.append(tuple(x.shape))
        if x[0].numel() < self.most:
            raise RuntimeError("too small")
        return x.flatten(1).mean(1)[:, None] * self.one


def test_a_trial_is_two_forwards_of_a_few_images_and_is_made_once() -> None:
    net = Counted(0)
    model = tried(net)
    assert net.images == []
    model.predict(inputs(2))
    model.predict(inputs(2))
    assert [shape[0] for shape in net.images] == [6, 6, 2, 2]


def test_of_a_large_input_a_smaller_one_is_tried_where_the_network_takes_it() -> None:
    large: dict[str, Any] = {"input__dimensions": 3, "input__size": [64, 128, 128]}
    net = Counted(0)
    tried(net, **large).try_out()
    assert max(np.prod(shape[2:]) for shape in net.images) <= 64**3
    net = Counted(64 * 128 * 128)
    tried(net, **large).try_out()
    assert net.images[-1] == (6, 1, 64, 128, 128)


def test_a_network_that_takes_no_trial_is_not_judged() -> None:
    model = tried(Counted())
    assert (model.try_out().implausible, model.try_out().varies) == (None, False)
    with pytest.raises(ModelError, match="too small"):
        model.predict(inputs(1))


# --- answers that vary ----------------------------------------------------------------------------

RANDOM: dict[str, nn.Module] = {
    "functional dropout": Ends(lambda y: F.dropout(y, 0.5)),
    "noise for each image": Ends(lambda y: y + 0.3 * torch.randn_like(y)),
    "one sample for a batch": Ends(lambda y: y + torch.randn(1)),
    "noise per pixel": Dense(lambda y: y + torch.rand_like(y)),
}


@pytest.mark.parametrize("net", RANDOM.values(), ids=RANDOM)
def test_answers_that_vary_are_found_and_carry_their_spread(net: nn.Module) -> None:
    torch.manual_seed(0)
    model = tried(net, output__activation="sigmoid")
    assert model.try_out().varies
    said = model.predict(inputs(2))
    for one in said:
        assert one.runs == RUNS
        assert all(score.spread is not None and score.spread > 0 for score in one.scores)


def test_mean_and_spread_are_those_of_the_runs() -> None:
    values = iter(torch.linspace(-2, 2, 100))
    model = tried(Ends(lambda y: y * 0 + next(values)), output__activation="none")
    assert model.try_out().varies
    seen = [float(v) for v in torch.linspace(-2, 2, 100)[2 : 2 + RUNS]]
    (said,) = model.predict(inputs(1))
    assert said.scores[0].logit == pytest.approx(np.mean(seen), abs=1e-5)
    assert said.scores[0].spread == pytest.approx(np.std(seen, ddof=1), abs=1e-5)


def test_what_answers_alike_carries_no_spread() -> None:
    for net in (small(), Ends(nn.Dropout(0.5)), Dense(lambda y: y)):
        model = tried(net)
        assert not model.try_out().varies
        (said,) = model.predict(inputs(1))
        assert (said.runs, {score.spread for score in said.scores}) == (1, {None})


# --- from which numbers to which ------------------------------------------------------------------


def card(values: Any, **more: Any) -> Input:
    return Input.model_validate({"size": [8, 8], "values": values} | more)


def test_values_say_from_which_numbers_to_which_they_go() -> None:
    voxels = np.array([[[-200, -100], [0, 300]]], np.int16)
    source = series(voxels, stored_range=(-1024.0, 1023.0))
    size = {"size": [2, 2]}

    def pixels(values: Any) -> list[float]:
        found = prepare(source, card(values, **size)).tensor.flatten().tolist()
        return [round(float(x), 4) for x in found]

    assert pixels({"from": [-100, 300]}) == [0, 0, 0.25, 1]
    assert pixels({"from": [-100, 300], "to": [-1, 1]}) == [-1, -1, -0.5, 1]
    assert pixels({"from": [-100, 300], "to": [255, 0]}) == [255, 255, 191.25, 0]
    # Old words keep their meaning.
    assert pixels({"window": [100, 400]}) == pixels({"from": [-100, 300]})
    assert pixels({"range": [0, 255]}) == pixels({"from": "stored", "to": [0, 255]})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"from": [3, 1]}, "input.values': from wants stored, or two rising numbers"),
        ({"from": [0, 1], "to": [2, 2]}, "to wants two different numbers"),
        ({"to": [0, 1]}, "'input.values.from' is missing"),
        ({"from": "voi"}, "input.values.from"),
        ({"from": [0, 1], "too": [0, 1]}, "did you mean 'input.values.to'?"),
    ],
)
def test_a_wrong_interval_is_told(tmp_path: Path, values: Any, words: str) -> None:
    with pytest.raises(ModelError) as told:
        load(folder_of(tmp_path / "m", input__values=values))
    assert words in str(told.value)


IMAGENET = {"mean": [0.485], "std": [0.229]}
BYTES = {"mean": [123.675], "std": [58.395]}


@pytest.mark.parametrize(
    ("values", "more", "words"),
    [
        ({"range": [0, 255]}, IMAGENET, "write values: {from: [0, 255], to: [0, 1]}"),
        ("hu", IMAGENET, "write in values from which numbers to which they go"),
        ({"from": "stored", "to": [0, 255]}, IMAGENET, "-2.118 to 1111"),
        ("voi", BYTES, "pixels reach from -2.118 to -2.101 alone"),
        ({"window": [40, 400]}, BYTES, "{from: stored, to: [0, 255]}"),
        ({"range": [0, 255]}, BYTES, None),
        ("voi", IMAGENET, None),
        ({"percentiles": [2, 98]}, IMAGENET, None),
        ("hu", {"mean": [-300], "std": [400], "clip": [-1000, 400]}, None),
        ({"range": [-1024, 1024]}, {}, None),
        ({"from": [0, 255], "to": [0, 1]}, IMAGENET, None),
    ],
)
def test_pixels_that_leave_what_mean_and_std_are_of_are_told(
    tmp_path: Path, values: Any, more: dict[str, Any], words: str | None
) -> None:
    told = remark(card(values, **more))
    assert (told is None) is (words is None)
    assert words is None or (told is not None and words in told)
    remarks = load(
        folder_of(tmp_path / "m", input__values=values, **{f"input__{k}": v for k, v in more.items()})
    ).remarks
    assert remarks == (() if told is None else (told,))


def test_an_interval_is_of_each_channel() -> None:
    three = card("voi", channels=3, mean=[0.5, 0, 1], std=[0.5, 1, 2])
    low, high = interval(three)
    np.testing.assert_allclose(low, [-1, 0, -0.5])
    np.testing.assert_allclose(high, [1, 1, 0])
