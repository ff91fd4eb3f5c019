# SPDX-License-Identifier: Apache-2.0
"""Which axes of a layer's output are the image's: found from runs, and refused where nothing follows it.

What the sizes say (`guesses`) is tried by values: the image is changed place by place (`moves`), a small one
where the network takes it, and the change must lie at the place. A network that takes one size only has to
show all by its values.
"""

from dataclasses import dataclass, replace
from itertools import zip_longest
from math import prod

from torch import Tensor, nn

from viewer.models.dry_run import DryRun, Shape, listened, shapes_at
from viewer.models.guesses import SMALL, Growth, Guess, growth_of, guessed, numbers, smaller
from viewer.models.maps import Layer, of_tokens
from viewer.models.moves import Moved, changed, moved

_CHANNELS_FIRST = (
    nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.BatchNorm2d, nn.BatchNorm3d,
)  # fmt: skip

Measured = dict[str, list[Moved | None]]


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layers with a map, in the order in which they run, and why the others have none, in words."""

    layers: tuple[Layer, ...]
    refused: dict[str, str]


def layouts(module: nn.Module, ran: DryRun, shape: Shape, told: tuple[int, Shape] | None) -> Layouts:
    """The layout of every output of a dry run; `shape` is (channels, …spatial).

    `told` are the prefix and the grid of a transformer's tokens as the card has them, which is believed.
    """
    growth = growth_of(module, ran, shape)
    guesses: dict[str, list[Guess]] = {}
    refused = dict(ran.without)
    for name, own in ran.shapes.items():
        if told is not None and len(own) == 3 and own[1] == told[0] + prod(told[1]):
            layer = of_tokens(name, own, (2, 1), told[1])
            guesses[name] = [Guess(layer, layer.as_map, True)] if layer else []
            continue
        found = guessed(name, own, shape[1:], growth, ran)
        if isinstance(found, str):
            refused[name] = found
        elif found:
            guesses[name] = found
        else:
            refused[name] = (
                f"gives {numbers(own)}, which are as many as no grid of the image's proportions has"
            )
    measured = _measured(module, ran, shape, guesses, growth)
    chosen: dict[str, Layer] = {}
    agreed = _agreed(module, ran, guesses, measured)
    for name, some in guesses.items():
        layer = _chosen(some, measured.get(name), agreed.get(ran.shapes[name]))
        if layer is None:
            refused[name] = f"gives {numbers(ran.shapes[name])} that do not change where the image is changed"
        else:
            chosen[name] = layer
    return Layouts(tuple(chosen[name] for name in ran.shapes if name in chosen), refused)


def _measured(
    module: nn.Module, ran: DryRun, shape: Shape, guesses: dict[str, list[Guess]], growth: Growth | None
) -> Measured:
    """How each guess moves with the image, where that could be tried."""
    plain = {n: some for n, some in guesses.items() if some and _plain(some[0])}
    size = shape[1:]
    if len(plain) == len(guesses):
        # Their axes are known, so that any size will do; where only a large one does, they are believed.
        names, small = tuple(guesses), None
        for some in smaller(size):
            if growth is not None and shapes_at(module, (1, shape[0], *some), names[-1:], ran.values):
                small = some
                break
        size = small or (size if prod(size) <= prod((SMALL[len(size)][-1],) * len(size)) else ())
    if not guesses or not size:
        return {}
    x = changed((shape[0], *size), next(iter(module.parameters()), Tensor()).device)
    found: Measured = {}

    def hear(name: str, tensor: Tensor) -> None:
        if len(tensor) == len(x) and tensor.is_floating_point():
            found[name] = _tried(guesses[name], tensor)

    return found if listened(module, x, tuple(guesses), hear) else {}


def _plain(guess: Guess) -> bool:
    """Whether each of the image's axes was seen to be an axis of the output."""
    return guess.sized and guess.layer is not None and guess.layer.layout != "tokens"


def _tried(some: list[Guess], tensor: Tensor) -> list[Moved | None]:
    """How each guess moves; of maps with axes of their own the first that does is enough."""
    found: list[Moved | None] = []
    for guess in some:
        try:
            cells = guess.cells(tensor)
            how = moved(cells) if prod(cells.shape[2:]) > 1 else None
        except RuntimeError:  # at another size it is no such grid
            how = None
        found.append(how)
        if how is not None and how.fits and guess.layer is not None and guess.layer.layout != "tokens":
            break
    return found


def _agreed(
    module: nn.Module, ran: DryRun, guesses: dict[str, list[Guess]], measured: Measured
) -> dict[Shape, Layer]:
    """The layout that all outputs of one shape have which show one, or which a convolution has."""
    found: dict[Shape, set[Layer | None]] = {}
    for name, some in guesses.items():
        best = _best(some, measured.get(name))
        first = some[0].layer if some else None
        if best is None and first is not None and isinstance(module.get_submodule(name), _CHANNELS_FIRST):
            best = some[0]  # its axes are those of the first guess by definition
        if best is not None:
            found.setdefault(ran.shapes[name], set()).add(best.layer and replace(best.layer, name=""))
    return {shape: one for shape, (one, *rest) in found.items() if one is not None and not rest}


def _best(some: list[Guess], how: list[Moved | None] | None) -> Guess | None:
    """The guess that fits best, if one fits."""
    fitting = [(m.mean, i) for i, m in enumerate(how or ()) if m is not None and m.fits]
    if not fitting:
        return None
    best = some[min(fitting)[1]]
    # Of weights between places both axes are places: none of them is the channels.
    layers = [some[i].layer for _, i in fitting]
    orders = {layer.axes for layer in layers if layer is not None}
    return best if len(orders) < 2 else Guess(None, best.cells, best.sized)


def _chosen(some: list[Guess], how: list[Moved | None] | None, agreed: Layer | None) -> Layer | None:
    best, first = _best(some, how), how[0] if how else None
    if some and _plain(some[0]):
        # The sizes have told the axes: only an order of its own, or no change at all, speaks against it.
        other = best is not None and best.layer is None and first is not None and first.placed
        return None if other or (first is not None and first.still) else some[0].layer
    if best is not None:
        return best.layer
    layers = [(g.layer, m) for g, m in zip_longest(some, how or ()) if g.layer is not None]
    for layer, m in layers:
        if m is not None and m.contradicts:
            continue
        if replace(layer, name="") == agreed or (len(some) == 1 and some[0].sized):
            return layer
    return None
