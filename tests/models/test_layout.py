# SPDX-License-Identifier: Apache-2.0
"""Which axes of a layer's output are the image's: found from runs, against layouts that are known."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from model_files import structure_of
from torch import Tensor, nn

from viewer.models.maps import Layer


class Net(nn.Module):
    """A stem, `part` whose output is the question, and a classifier of whatever comes out."""

    def __init__(
        self, part: nn.Module, dimensions: int = 2, channels: int = 6, fixed: int | None = None
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.stem = convolution(1, channels, 3, 2, 1)
        self.part = part
        self.fixed = fixed

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed is not None and x.shape[-1] != self.fixed:
            raise ValueError(f"an image of {self.fixed}, please")
        y = F.relu(self.stem(x))
        return self.part(y).flatten(1).mean(1, keepdim=True) * x.new_ones(1, 2) + 0 * y.mean()


class Does(nn.Module):
    def __init__(self, do: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.do = do

    def forward(self, x: Tensor) -> Tensor:
        return self.do(x)


class Mixes(nn.Module):
    """Tokens with a class token, before or behind them, through one block of attention."""

    def __init__(self, behind: bool = False) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 6))
        self.block = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
        self.behind = behind

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        some = [self.token.expand(len(x), -1, -1), x]
        return self.block(torch.cat(some[::-1] if self.behind else some, 1))


def windows(x: Tensor) -> Tensor:
    """(n, c, 16, 16) → (16 n, 16, c)."""
    x = x.unflatten(3, (-1, 4)).unflatten(2, (-1, 4))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(0, 2).flatten(1, 2).contiguous()


def windows_apart(x: Tensor) -> Tensor:
    """(n, c, 16, 16) → (n, windows, cells, c): of four axes, as a map has."""
    return windows(x).unflatten(0, (len(x), -1))


RIGHT: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "channels first": (lambda x: 2 * x, (16, 12), (1, 2, 3)),
    "channels last": (lambda x: x.permute(0, 2, 3, 1) + 0, (16, 12), (3, 1, 2)),
    "columns before rows": (lambda x: x.transpose(2, 3) + 0, (16, 12), (1, 3, 2)),
    "channels between": (lambda x: x.transpose(1, 2) + 0, (16, 12), (2, 1, 3)),
    "half as fine": (lambda x: F.avg_pool2d(x, 2), (8, 6), (1, 2, 3)),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2) + 0, (16, 12), (2, 1)),
    "tokens last": (lambda x: x.flatten(2) + 0, (16, 12), (1, 2)),
    "as many channels as rows": (lambda x: torch.cat([x, x, x[:, :4]], 1), (16, 12), (1, 2, 3)),
}
WRONG: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "windows": (windows, "cut into pieces"),
    "windows apart": (windows_apart, "cut up or mixed"),
    "a bias table": (lambda x: torch.rand(1, 6, 16, 16, device=x.device), "the same for every image"),
    "pooled": (lambda x: x.mean((2, 3), keepdim=True), "6 numbers for the whole image"),
    "one axis only": (lambda x: x.mean(3, keepdim=True) + 0, "one axis of the image only"),
    "turned round": (lambda x: x.flip(2, 3), "do not change where"),
    "mirrored": (lambda x: x.flip(3), "do not change where"),
    "rolled": (lambda x: x.roll(8, 2), "do not change where"),
    "slices in the batch": (lambda x: x.transpose(1, 2).flatten(0, 1), "cut into pieces"),
    "shuffled": (lambda x: x[..., torch.arange(x.shape[-1] - 1, -1, -1) ^ 1], "do not change where"),
    "column by column": (lambda x: x.transpose(2, 3).flatten(2), "do not change where"),
    "the middle": (lambda x: x[:, :, 5:-5, 5:-5] + 0, "the image's middle alone"),
    "products of places": (lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), "cut up or mixed"),
}


def of_part(part: nn.Module, shape: tuple[int, ...] = (1, 32, 24), fixed: bool = False) -> Layer | str:
    """What is found of `part` in a network over images of a shape."""
    torch.manual_seed(0)
    found = structure_of(Net(part, len(shape) - 1, fixed=shape[-1] if fixed else None), shape)
    layer = found.layer("part")
    return found.refused["part"] if layer is None else layer


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", RIGHT)
def test_the_axes_are_those_that_move_with_the_image(name: str, fixed: bool) -> None:
    do, grid, axes = RIGHT[name]
    layer = of_part(Does(do), fixed=fixed)
    if fixed and name == "channels between":  # nobody looks for it there
        assert isinstance(layer, str)
        return
    assert isinstance(layer, Layer), layer
    assert (layer.grid, layer.axes, layer.prefix) == (grid, axes, 0)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_what_follows_the_image_in_no_order_is_refused(name: str, fixed: bool) -> None:
    do, sentence = WRONG[name]
    if name in ("windows", "windows apart", "slices in the batch", "rolled"):
        found = of_part(Does(do), (1, 32, 32), fixed)
    else:
        found = of_part(Does(do), fixed=fixed)
    assert isinstance(found, str), found
    if not fixed:
        assert sentence in found


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_a_class_token_stands_before_the_places(behind: bool, fixed: bool) -> None:
    found = of_part(Mixes(behind), fixed=fixed)
    if behind:
        assert isinstance(found, str)
    else:
        assert isinstance(found, Layer)
        assert (found.grid, found.axes, found.prefix) == ((16, 12), (2, 1), 1)


@pytest.mark.parametrize("axes", [(1, 2, 3, 4), (4, 1, 2, 3), (1, 4, 2, 3)])
def test_volumes(axes: tuple[int, ...]) -> None:
    order = [0, *(axes.index(axis) + 1 for axis in range(1, 5))]
    for fixed in (False, True):
        layer = of_part(Does(lambda x: x.permute(order) + 0), (1, 16, 24, 32), fixed)
        assert isinstance(layer, Layer), layer
        assert (layer.grid, layer.axes) == ((8, 12, 16), axes)


def test_tokens_of_a_volume() -> None:
    for fixed in (False, True):
        layer = of_part(Does(lambda x: x.flatten(2).transpose(1, 2) + 0), (1, 16, 24, 32), fixed)
        assert isinstance(layer, Layer), layer
        assert (layer.grid, layer.axes) == ((8, 12, 16), (2, 1))


def test_a_map_is_laid_out_and_back() -> None:
    generator = torch.Generator().manual_seed(0)
    for layer, shape in [
        (Layer("a", 5, (3, 4), (1, 2, 3)), (2, 5, 3, 4)),
        (Layer("a", 5, (3, 4), (3, 1, 2)), (2, 3, 4, 5)),
        (Layer("a", 5, (3, 4), (1, 3, 2)), (2, 5, 4, 3)),
        (Layer("a", 5, (3, 4), (2, 1), 2), (2, 14, 5)),
        (Layer("a", 5, (3, 4), (1, 2), 1), (2, 5, 13)),
        (Layer("a", 5, (2, 3, 4), (4, 1, 2, 3)), (2, 2, 3, 4, 5)),
    ]:
        own = torch.randn(shape, generator=generator)
        cells = layer.as_map(own)
        assert cells.shape == (2, 5, *layer.grid)
        assert torch.equal(layer.laid_out(cells, own), own)
        cells[:, 1] = 7  # a view: what is written to it is written to what the layer gave
        assert torch.equal(layer.as_map(own)[:, 1], torch.full((2, *layer.grid), 7.0))


def test_a_network_that_scales_every_image_is_tried_by_its_values() -> None:
    class Scales(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.interpolate(x, (32, 24)))

    torch.manual_seed(0)
    found = structure_of(Scales(Does(lambda x: x.permute(0, 2, 3, 1) + 0)), (1, 32, 24))
    layer = found.layer("part")
    assert layer is not None
    assert (layer.grid, layer.axes) == ((16, 12), (3, 1, 2))


def test_noise_of_its_own_hides_no_layer() -> None:
    """A network whose answer varies from run to run keeps the layers that its sizes show."""
    layer = of_part(Does(lambda x: F.dropout(x, 0.5)))
    assert isinstance(layer, Layer)
