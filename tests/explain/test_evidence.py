# SPDX-License-Identifier: Apache-2.0
"""Maps of networks that ignore the image show nothing, by every method; those of networks that see it do."""

import numpy as np
import pytest
import torch
from explain_nets import MORE, NETS, inputs_of, make, model_of, restless
from test_contract import method
from torch import Tensor, nn

from viewer.explain import Explainer, discover, explain
from viewer.explain.evidence import ERASED, LIMITS, erased, strongest
from viewer.models import Model
from viewer.types import Evidence

OURS = [f.name for f in discover() if f.broken is None]


def last(net: nn.Module) -> nn.Linear:
    return [m for m in net.modules() if isinstance(m, nn.Linear)][-1]


def dulled(kind: str, part: float) -> Model:
    """A miniature with so much of its last layer left, and biases that make scores of ordinary size."""
    torch.manual_seed(4)
    net = restless((NETS | MORE)[kind]())
    with torch.no_grad():
        last(net).weight *= part
        last(net).bias.copy_(torch.tensor([3.8, -1.2, 0.4]))
    volume = kind.startswith("3D")
    return model_of(net, (8, 16, 16) if volume else (32, 32), 1 if volume else 3)


def explained(model: Model, name: str, n: int = 1) -> list[Evidence]:
    found = explain(model, inputs_of(model, n), [method(name)], ["top"])
    return [one.evidence for one in found.attributions if one.evidence is not None]


@pytest.mark.parametrize("name", OURS)
def test_every_method_says_whether_its_values_add_up(name: str) -> None:
    made = next(f for f in discover() if f.name == name).load()
    assert isinstance(vars(made).get("contribution"), bool)


@pytest.mark.parametrize("kind", ["plain CNN", "timm ViT", "3D CNN"])
@pytest.mark.parametrize("part", [0.0, 3e-28, 1e-9])
def test_of_a_network_that_ignores_the_image_every_map_shows_nothing(kind: str, part: float) -> None:
    """A method that refuses draws nothing either."""
    model = dulled(kind, part)
    for name in OURS:
        for found in explained(model, name):
            assert found.negligible, (name, found)


@pytest.mark.parametrize("kind", ["plain CNN", "timm ViT", "residual", "3D CNN"])
def test_of_a_network_that_sees_it_none_is_called_so(kind: str) -> None:
    model = make(kind)
    seen = [(name, found) for name in OURS for found in explained(model, name, 1)]
    assert len(seen) > 12
    assert [(name, found) for name, found in seen if found.negligible] == []


@pytest.mark.parametrize(("peak", "negligible"), [(2.8e-5, True), (1e-8, True), (3e-28, True), (0.1, False)])
def test_the_size_of_a_map_beside_a_logit(peak: float, negligible: bool) -> None:
    """A map whose largest value is a hundred-thousandth of the score filled the colours."""

    class Spot(nn.Module):
        """A logit of 3.8, to which a bright spot adds as much as is wished."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 1, 1, bias=False)
            self.last = nn.Linear(1, 1)
            with torch.no_grad():
                self.first.weight.fill_(1)
                self.last.weight.fill_(peak)
                self.last.bias.fill_(3.8)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.first(x)).flatten(2).mean(2))

    model = model_of(Spot(), (16, 16), 1, ["spot"])
    names = ("grad-cam", "hires-cam", "input-x-gradient", "integrated-gradients", "saliency", "occlusion")
    seen = [(name, found) for name in names for found in explained(model, name)]
    assert len(seen) > 3
    for name, found in seen:
        assert found.negligible is negligible, (name, found)
        assert found.size == pytest.approx(3.8, rel=0.05)


SEEN: list[int] = []


class Counting(nn.Module):
    """A network that counts the images that it sees."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        SEEN.append(len(x))  # outside, for the guard puts back what a network remembers
        return self.net(x)


def test_a_preview_is_not_measured() -> None:
    model, seen = make("plain CNN"), []
    for name in ("occlusion", "smooth-grad", "rise"):
        explain(model, inputs_of(model), [method(name)], ["top"], preview=seen.append)
    assert all(one.evidence is None for one in seen)


# --- erasing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [(4, 4), (8, 8), (40, 40), (7, 5)])
def test_a_twentieth_is_erased_the_strongest(grid: tuple[int, int]) -> None:
    values = torch.randn(2, 3, *grid)
    where = strongest(values, torch.Size((40, 40)))
    assert where.shape == (2, 3, 40, 40)
    cells = -(-40 // grid[0]) * -(-40 // grid[1])
    count = where.flatten(2).sum(2)
    assert bool((count >= ERASED * 1600).all())
    assert bool((count <= ERASED * 1600 + cells).all())
    for row, n in ((0, 0), (1, 2)):
        size = values[row, n].abs()
        place = (size == size.max()).nonzero()[0]
        corner = [int(i * 40 / g) + 1 for i, g in zip(place, grid, strict=True)]
        assert where[row, n, corner[0] - 1, corner[1] - 1] or where[row, n, corner[0], corner[1]]


def test_of_a_map_that_is_zero_nothing_is_erased() -> None:
    assert not strongest(torch.zeros(1, 1, 4, 4), torch.Size((8, 8))).any()


def test_what_is_erased_is_the_channels_mean() -> None:
    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    where = torch.zeros(1, 4, 4, dtype=torch.bool)
    where[0, 1, 2] = True
    found = erased(x, where)
    assert found[0, :, 1, 2].tolist() == [7.5, 23.5]
    assert torch.equal(found[0, :, ~where[0]], x[0, :, ~where[0]])


# --- numbers --------------------------------------------------------------------------------------


def test_what_is_negligible() -> None:
    assert Evidence("sum", 2.8e-5, 3.8, LIMITS["sum"]).negligible
    assert not Evidence("sum", 0.02, 3.8, LIMITS["sum"]).negligible
    assert Evidence("erasing", 0.0, 0.0, 1e-5).negligible
    assert not Evidence("erasing", 0.1, 0.0, 1e-5).negligible
    only_against = Evidence("sum", 2.0, 3.8, 1e-3, positive=0.0)
    assert (only_against.negligible, only_against.negligible_positive) == (False, True)
    some, none = Evidence("sum", 1.0, 2.0, 1e-3), Evidence("sum", 1e-9, 2.0, 1e-3)
    assert some.stronger(none) is some
    assert none.stronger(some) is some
    assert none.stronger(None) is none


def test_a_method_that_does_not_say_what_its_values_are_is_not_measured() -> None:
    """One of another package may have left the network as no further forward should find it."""
    assert Explainer.contribution is None
    assert np.isfinite(LIMITS["erasing"])
