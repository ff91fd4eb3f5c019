# SPDX-License-Identifier: Apache-2.0
"""What the sizes of a layer's output say of its axes, and what is left to be tried.

The image is made twice as long along one axis after another: an axis of the output that grows with one of the
image's is that one's. Of a network that takes one size only, all that may be is guessed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from math import prod

from torch import Tensor, nn

from viewer.models.dry_run import DryRun, Shape, shapes_at
from viewer.models.maps import Layer, of_shape, of_tokens, over_grid

SMALL = {2: (64, 96, 128), 3: (32, 48, 64)}
"""Sides of a small image, by its dimensions: two cells or more behind strides of 32, or of 16 in a volume."""

_PREFIXES = range(17)
"""How many tokens there may be before those of the image."""

_CUT = 0.1
"""By what share of a side the cells at the edge may lie off where a map over all of the image has them."""

Cells = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Guess:
    """A layout that a layer may have; `layer` is None for one that is only there to be ruled out."""

    layer: Layer | None
    cells: Cells
    """What the layer gave as (n, channels, …grid)."""
    sized: bool
    """Whether the output's size was seen to grow with the image as this says."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How the outputs change with the image: a run at one size, and one with each axis twice as long."""

    size: Shape
    base: dict[str, Shape]
    longer: tuple[dict[str, Shape], ...]

    def knows(self, name: str) -> bool:
        """Whether the module ran each time, over as many axes."""
        runs = (self.base, *self.longer)
        return all(name in run for run in runs) and len({len(run[name]) for run in runs}) == 1

    def alone(self, name: str) -> bool:
        """Whether the samples of a batch stay apart, along the first axis."""
        return self.base[name][0] == 1 and all(run[name][0] == 2 for run in self.longer)

    def followed(self, name: str) -> tuple[tuple[int, ...], ...]:
        """For each axis of the output behind the first: with which of the image's it grows."""
        base = self.base[name]
        return tuple(
            tuple(a for a, run in enumerate(self.longer) if run[name][axis] != base[axis])
            for axis in range(1, len(base))
        )

    def covers(self, name: str, axes: Sequence[int]) -> bool:
        """Whether the cells cover the image to its edges, as maps are drawn; without padding they do not."""
        for n, axis, run in zip(self.size, axes, self.longer, strict=True):
            cells = self.base[name][axis]
            step = n / (run[name][axis] - cells)
            if abs(n - step * cells) / 2 > max(step, _CUT * n):
                return False
        return True


def growth_of(module: nn.Module, ran: DryRun, shape: Shape) -> Growth | None:
    """Runs at several sizes, or None for a network that does not take them."""
    channels, size = shape[0], shape[1:]
    sizes = (*smaller(size), size) if ran.values else (size,)
    for some in sizes:
        base = ran.shapes if some == size else shapes_at(module, (1, channels, *some), ran.shapes, ran.values)
        if not base:
            continue
        longer = []
        for axis in range(len(some)):
            grown = tuple(2 * n if a == axis else n for a, n in enumerate(some))
            longer.append(shapes_at(module, (2, channels, *grown), ran.shapes, ran.values))
            if not longer[-1]:
                break
        if longer[-1]:
            growth = Growth(some, base, tuple(longer))
            # A network that scales every image to one size shows nothing by sizes.
            return growth if any(map(any, map(growth.followed, filter(growth.knows, base)))) else None
    return None


def smaller(size: Shape) -> Iterator[Shape]:
    """Sizes whose cells are at most half as many."""
    for side in SMALL[len(size)]:
        small = tuple(min(n, side) for n in size)
        if prod(small) <= prod(size) / 2:
            yield small


def guessed(name: str, own: Shape, size: Shape, growth: Growth | None, ran: DryRun) -> list[Guess] | str:
    """The layouts that an output may have, or why it has none."""
    if prod(own) == max(own):
        return f"gives {max(own)} numbers for the whole image"
    if len(own) < 3:
        return f"gives {numbers(own)} without a place"
    if growth is None or not growth.knows(name):
        return _by_shape(name, own, size, ran)
    if all(run[name][0] == 1 for run in growth.longer):
        return f"gives {numbers(own)}, the same for every image"
    if not growth.alone(name):
        return f"gives {numbers(own)} in which the image is cut into pieces, such as windows"
    followed = growth.followed(name)
    everything = tuple(range(len(size)))
    where = [axis for axis, some in enumerate(followed, 1) if some]
    if not where:
        return f"gives {numbers(own)}, as many for a larger image: no axis is the image's"
    still = [axis for axis, some in enumerate(followed, 1) if not some]
    if len(still) == 1 and sorted(followed[axis - 1] for axis in where) == [(a,) for a in everything]:
        axes = [where[[followed[axis - 1] for axis in where].index((a,))] for a in everything]
        layer = of_shape(name, own, (still[0], *axes))
        if prod(layer.grid) < 2:
            return f"gives {layer.channels} numbers for the whole image"
        if not growth.covers(name, axes):
            return "gives a map of the image's middle alone, not up to its edges"
        return [Guess(layer, layer.as_map, True), *_otherwise(layer)]
    if len(own) == 3 and [followed[axis - 1] for axis in where] == [everything]:
        axis = where[0]
        small, run = growth.base[name][axis], growth.longer[0][name][axis]
        prefix = small - (run - small)
        grids = _grids(own[axis] - prefix, size, ran) if prefix in _PREFIXES else []
        return [g for grid in grids for g in _tokens(name, own, (3 - axis, axis), grid, True)]
    if len(where) == 1 and len(followed[where[0] - 1]) == 1:
        return f"gives {numbers(own)} that follow one axis of the image only"
    return f"gives {numbers(own)} in which the image's axes are cut up or mixed"


def _otherwise(layer: Layer) -> Iterator[Guess]:
    """A map's axes in another order of their cells, to be ruled out: turned round, or rolled by half."""

    def turned(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
        return layer.as_map(tensor).flip(axes)

    def rolled(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
        cells = layer.as_map(tensor)
        return cells.roll([cells.shape[axis] // 2 for axis in axes], axes)

    for count in range(1, len(layer.grid) + 1):
        for axes in combinations(range(2, 2 + len(layer.grid)), count):
            yield from (Guess(None, partial(do, axes=axes), True) for do in (turned, rolled))


def _by_shape(name: str, own: Shape, size: Shape, ran: DryRun) -> list[Guess] | str:
    """What an output of a network that takes one size only may be."""
    dimensions = len(size)
    if own[0] != 1:
        return f"gives {numbers(own)} in which the image is cut into pieces, such as windows"
    if len(own) == dimensions + 2:
        found = []
        for channels in (1, dimensions + 1):
            rest = [axis for axis in range(1, dimensions + 2) if axis != channels]
            for axes in permutations(rest):
                layer = of_shape(name, own, (channels, *axes))
                if min(layer.grid) > 1 and _proportioned(layer.grid, size):
                    found.append(Guess(layer, layer.as_map, False))
        return found
    if len(own) == 3:
        return [
            guess
            for axis in (1, 2)
            for prefix in _PREFIXES
            for grid in _grids(own[axis] - prefix, size, ran, prefix > 1)
            for guess in _tokens(name, own, (3 - axis, axis), grid, False)
        ]
    return f"gives {numbers(own)}, whose axes are not those of a map over the image"


def _grids(count: int, size: Shape, ran: DryRun, seen_only: bool = False) -> list[Shape]:
    """Grids of so many cells: those of other outputs, else those of the image's proportions."""
    dimensions = len(size)
    others = {
        grid
        for s in ran.shapes.values()
        if len(s) == dimensions + 2
        for grid in (s[2:], s[1:-1])
        if prod(grid) == count and _proportioned(grid, size)
    }
    if others or seen_only or count < 2:
        return sorted(others) if count > 1 else []
    grids = [grid for grid in _factors(count, dimensions) if min(grid) > 1 and _proportioned(grid, size)]
    like = [g for g in grids if len({round(n / cells, 6) for n, cells in zip(size, g, strict=True)}) == 1]
    return like or grids


def _proportioned(grid: Shape, size: Shape) -> bool:
    """Whether no cell is more than twice as long as wide."""
    sides = [n / cells for n, cells in zip(size, grid, strict=True)]
    return max(sides) <= 2 * min(sides)


def _factors(count: int, dimensions: int) -> Iterator[Shape]:
    if dimensions == 1:
        yield (count,)
        return
    for first in range(1, count + 1):
        if count % first == 0:
            yield from ((first, *rest) for rest in _factors(count // first, dimensions - 1))


def _tokens(name: str, own: Shape, axes: tuple[int, int], grid: Shape, sized: bool) -> list[Guess]:
    """Tokens in the order of the grid behind a prefix; to be ruled out, before it, and column by column."""
    layer = of_tokens(name, own, axes, grid)
    if layer is None or prod(grid) < 2:
        return []
    count, last = prod(grid), len(grid) + 1

    def ahead(tensor: Tensor) -> Tensor:
        return over_grid(tensor.permute(0, *axes)[..., :count], grid)

    def turned(tensor: Tensor) -> Tensor:
        cells = over_grid(tensor.permute(0, *axes)[..., layer.prefix :], grid[::-1])
        return cells.permute(0, 1, *range(last, 1, -1))

    others = [Guess(None, turned, sized)] + ([Guess(None, ahead, sized)] if layer.prefix else [])
    return [Guess(layer, layer.as_map, sized), *others]


def numbers(shape: Shape) -> str:
    """The size of an output (n, …) in words."""
    return " × ".join(map(str, shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)) + " numbers"
