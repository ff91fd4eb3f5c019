# SPDX-License-Identifier: Apache-2.0
"""Where a network that reads patches is put so that it sees all of a slice, a volume, or a box of it.

The patches are cut from one input that holds them all: neighbours lie whole pixels apart, and what they
share is prepared once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from viewer import affine
from viewer.errors import ModelError
from viewer.models.card import Input
from viewer.models.prepare import Axis, axes, prepare
from viewer.types import ModelInput, Series, Shape3, Sweep

_MOST_VALUES = 2**29
"""Numbers in the input that holds all patches: 2 GiB as float32, as for any other input."""


@dataclass(frozen=True, slots=True, eq=False)
class Tiling:
    """Patches of (depth, rows, columns) `size` in `whole`, at every combination of `starts`.

    `starts` are the first pixels of the patches along each axis of `whole`; the first is 0, and the last
    patch ends where `whole` does.
    """

    whole: ModelInput
    size: Shape3
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    wish: Sweep = Sweep()  # noqa: RUF009
    """What was asked for."""

    def __len__(self) -> int:
        return math.prod(map(len, self.starts))

    @property
    def stride(self) -> Shape3:
        """The largest step between neighbours along each axis; 0 where there is one patch."""
        steps = (max((b - a for a, b in pairwise(starts)), default=0) for starts in self.starts)
        return tuple(steps)  # type: ignore[return-value]

    def finer(self, overlap: Sequence[float]) -> "Tiling":
        """Patches of the same input that share at least so much of their side along each axis."""
        facts = zip(self.whole.shape, self.size, overlap, strict=True)
        return replace(self, starts=tuple(_starts(*one) for one in facts))  # type: ignore[arg-type]

    def at(self, offset: Shape3) -> ModelInput:
        """The patch whose first pixel is this one of `whole`; its pixels are a view."""
        cut = [slice(o, o + n) for o, n in zip(offset, self.size, strict=True)]
        tensor = self.whole.tensor[(slice(None), slice(None), *cut[5 - self.whole.tensor.ndim :])]
        matrix = self.whole.matrix @ affine.scale_offset((1, 1, 1), offset)
        return ModelInput(self.whole.series, self.whole.slice, tensor, matrix)

    @property
    def offsets(self) -> list[Shape3]:
        """The first pixel of every patch in `whole`, in the order of `patches`."""
        return list(product(*self.starts))

    def patches(self) -> Iterator[ModelInput]:
        """The inputs, in the order of `offsets`."""
        return map(self.at, self.offsets)


def tiling(series: Series, card: Input, sweep: Sweep, slice: int | None = None) -> Tiling:
    """The patches of a sweep over a slice (the middle one by default) or, of a 3D network, a volume.

    They lie inside the image, the last ones moved back to its border, where it is as large as a patch.
    Raises `ModelError` where the card and the series do not go together.
    """
    check_sweep(sweep, card)
    sides = axes(series, card)
    spans = [_span(axis, series, sweep) for axis in sides]
    starts = [_starts(n, axis.size, sweep.overlap) for (_, n), axis in zip(spans, sides, strict=True)]
    size = tuple(n for _, n in spans)
    if math.prod(size) * card.channels > _MOST_VALUES:
        raise ModelError("The sweep asks for more numbers than memory can hold; give a box of the image.")
    centre = {axis.source: middle for axis, (middle, _) in zip(sides, spans, strict=True)}
    whole = prepare(
        series, card.model_copy(update={"size": size}), slice, [centre[i] for i in sorted(centre)]
    )
    flat = 3 - len(sides)
    depth, rows, columns = (1,) * flat + tuple(axis.size for axis in sides)
    first, second, third = ((0,),) * flat + tuple(starts)
    return Tiling(whole, (depth, rows, columns), (first, second, third), sweep)


def blocks(series: Series, card: Input, sweep: Sweep) -> int:
    """How many patches the grid of a sweep has, without preparing its input; raises as `tiling` does."""
    check_sweep(sweep, card)
    sides = axes(series, card)
    spans = [_span(axis, series, sweep)[1] for axis in sides]
    return math.prod(len(_starts(n, axis.size, sweep.overlap)) for n, axis in zip(spans, sides, strict=True))


def check_sweep(sweep: Sweep, card: Input) -> None:
    """Raise `ModelError` for a sweep that no series has for a network with such an input."""
    if card.fit != "patch":
        raise ModelError("A sweep (--at sweep) is for networks that read a patch; this one reads the whole.")
    if not 0 <= sweep.overlap < 1:
        raise ModelError("The overlap of patches is a share from 0 up to, not including, 1.")
    if sweep.box is not None and {len(corner) for corner in sweep.box} != {card.dimensions}:
        words = ("SLICE,ROW,COLUMN", "") if card.dimensions == 3 else ("ROW,COLUMN", "; give the slice apart")
        raise ModelError(f"The box of a sweep of this network is {words[0]}..{words[0]}{words[1]}.")


def _span(axis: Axis, series: Series, sweep: Sweep) -> tuple[float, int]:
    """The middle, as a place in the source, and the number of pixels to cover along an axis.

    The pixels are those of a grid over the whole image, whole voxels where the step is one; they are at
    least as many as a patch has.
    """
    length, step = series.shape[axis.source], axis.step
    low, high = 0.0, length - 1.0
    if sweep.box is not None:
        low, high = (float(corner[axis.source - 3]) for corner in sweep.box)
        if not 0 <= low <= high <= length - 1:
            raise ModelError(
                f"The box from {low:g} to {high:g} does not lie in the image, from 0 to {length - 1}."
            )
    whole = max(axis.size, math.ceil(length / abs(step) - affine.EDGE))
    edge = (length - 1) / 2 - step * (whole - 1) / 2
    first, last = sorted(min(max(round((place - edge) / step), 0), whole - 1) for place in (low, high))
    if sweep.box is None:
        first, last = 0, whole - 1
    count = max(last - first + 1, axis.size)
    # A box smaller than a patch lies in the middle of one, if the image is large enough.
    first = min(max(0, first - (count - (last - first + 1)) // 2), whole - count)
    middle = edge + step * (first + (count - 1) / 2)
    return min(max(middle, 0.0), length - 1.0), count


def _starts(count: int, size: int, overlap: float) -> tuple[int, ...]:
    """First pixels of patches of `size` over `count` pixels, evenly spread, the last at the end."""
    stride = max(1, math.floor(size * (1 - overlap)))
    rows = math.ceil((count - size) / stride)
    return tuple(sorted({round(i * (count - size) / max(rows, 1)) for i in range(rows + 1)}))
