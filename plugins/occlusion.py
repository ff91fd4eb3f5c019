# SPDX-License-Identifier: Apache-2.0
"""Occlusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import torch
from torch import Tensor

from viewer.explain import (
    Baseline,
    Batch,
    Cost,
    Explainer,
    Interval,
    Model,
    Peer,
    Probe,
    Resolution,
    Tip,
    Values,
    any_channel,
    baselines,
    of_captum,
    over_baselines,
)


@dataclass(frozen=True)
class Occlusion(Explainer):
    """How far the score falls when a window is covered, averaged over the windows at each pixel.

    Coarse to fine, windows lie side by side: large ones first, of which the best are halved along each
    side. A pixel then shows the fall of the smallest window around it, shared out evenly among the finest
    windows that would fit into that one, so that large and small ones compare.
    """

    window: Annotated[
        int,
        Interval(ge=0),
        Tip(
            "Side of the window, in pixels of the model's input",
            "covers larger causes, and blurs small ones",
            "an eighth of each side",
        ),
    ] = 0
    stride: Annotated[
        int,
        Interval(ge=0),
        Tip(
            "Pixels of the input between windows; coarse to fine they lie side by side",
            "quicker, and coarser",
            "half a window",
        ),
    ] = 0
    baseline: Baseline = "minimum"
    coarse_to_fine: Annotated[
        bool, Tip("Cover large windows first, and halve those whose cover lowers the score most")
    ] = False
    budget: Annotated[
        int,
        Interval(ge=0),
        Tip(
            "Windows that coarse to fine may cover",
            "finds smaller causes, and takes longer",
            "a quarter of all of the finest size, and enough to halve the best of the first",
        ),
    ] = 0
    batch: Batch = 0

    name = "occlusion"
    title = "Occlusion"
    contribution = True
    total = "largest"
    family = "perturbation"
    paper = "Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014"
    shows = (
        "How much the score falls when a square is covered; what it shows depends on the size and the cover."
    )
    cost = Cost("1 per window, for all labels")
    caution = (
        "The size and the filling of the window decide what is found, and a filled window is an image that "
        "the network never saw (Hooker et al., NeurIPS 2019). Coarse to fine misses a small cause where "
        "covering all around it as well leaves the score as it was."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def fitted(self, model: Model) -> Self:
        automatic = {max(1, side // 8) for side in model.card.input.size}
        window = self.window or (automatic.pop() if len(automatic) == 1 else 0)
        stride = window if self.coarse_to_fine else self.stride or window // 2 or min(window, 1)
        return replace(self, window=window, stride=stride)

    def compute(self, probe: Probe) -> Values:
        sides = probe.x.shape[2:]
        window, stride = self._sizes(sides)
        if self.coarse_to_fine:
            return self._refined(probe, window)
        grid = _Grid(sides, window, stride, probe.x.device)
        places = _alike([grid.touching(probe.within(n)) for n in range(len(probe.inputs))])
        covers = baselines(probe, self.baseline)
        falls = self._falls(probe, covers, grid, places, "covering window by window")
        often = grid.summed(grid.put(places, torch.ones_like(places, dtype=falls.dtype)))
        values = probe.limited(grid.summed(grid.put(places, falls)) / often.clamp(min=1))
        return Values(values, baselines=covers, resolution=_resolution([grid]))

    def _sizes(self, sides: Sequence[int]) -> tuple[list[int], list[int]]:
        """The window and the stride along each side of the input."""
        window = [min(self.window or max(1, side // 8), side) for side in sides]
        return window, [min(self.stride or max(1, w // 2), w) for w in window]

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        if self.coarse_to_fine:
            return (Peer("captum", reason="Its Occlusion does not go from coarse to fine."),)
        window, stride = ((probe.x.shape[1], *some) for some in self._sizes(probe.x.shape[2:]))
        at_once = 16 if probe.x.ndim == 4 else 1
        return (
            of_captum(
                probe, "Occlusion", baselines(probe, self.baseline), any_channel,
                sliding_window_shapes=window, strides=stride, perturbations_per_eval=at_once,
            ),
        )  # fmt: skip

    def _falls(self, probe: Probe, covers: Tensor, grid: "_Grid", places: Tensor, doing: str) -> Tensor:
        """How far every target's score falls, (targets, n, m), as windows are covered: `places` is (n, m).

        A window that already is what would cover it, as in the black border of a radiograph, is not run.
        """
        changed = (covers != probe.x).any(2).any(0)
        windows = [p[torch.isin(p, grid.touching(c))] for p, c in zip(places, changed, strict=True)]
        run = _alike([w if len(w) else p[:1] for w, p in zip(windows, places, strict=True)])

        def scores(cover: Tensor, which: str) -> Tensor:
            def covered(n: int, first: int, last: int) -> Tensor:
                return torch.where(grid.masks(run[n, first:last])[:, None], cover[n], probe.x[n])

            return probe.scores(run.shape[1], covered, doing + which, self.batch)

        falls = probe.before[..., None] - over_baselines(covers, scores)
        return grid.put(run, falls).gather(-1, places.expand(*falls.shape[:-1], -1))

    def _refined(self, probe: Probe, finest: list[int]) -> Values:
        sides, children = probe.x.shape[2:], 2 ** len(finest)
        whole = _Grid(sides, finest, finest, probe.x.device)
        level = max(0, (max(whole.counts) // 4).bit_length() - 1)  # at first about four windows a side
        coarsest = [w << level for w in finest]
        first = _Grid(sides, coarsest, coarsest, probe.x.device)
        left = self.budget or max(whole.count // 4, 2 * first.count)
        values = probe.x.new_zeros(len(probe.targets), len(probe.inputs), *sides)
        covers = baselines(probe, self.baseline)
        parents: list[Tensor] | None = None
        levels: list[_Grid] = []
        while True:
            window = [w << level for w in finest]
            grid = _Grid(sides, window, window, probe.x.device)
            levels.append(grid)
            offered = [grid.touching(probe.within(n)) for n in range(len(probe.inputs))]
            if parents is not None:
                offered = [o[torch.isin(o, grid.below(p))] for o, p in zip(offered, parents, strict=True)]
            places = _alike(offered)
            falls = self._falls(probe, covers, grid, places, f"covering windows of {max(window)} pixels")
            share = falls / grid.held(whole.counts, 1 << level)[places]
            known = grid.summed(grid.put(places, torch.ones_like(places, dtype=falls.dtype))) > 0
            values = torch.where(known, grid.summed(grid.put(places, share)), values)
            left -= places.shape[1]
            chosen = min(left // max(level, 1) // children, places.shape[1])
            if level == 0 or chosen <= 0:
                return Values(probe.limited(values), baselines=covers, resolution=_resolution(levels))
            probe.preview(self, Values(probe.limited(values), resolution=_resolution(levels)))
            size = share.abs()
            best = (size / size.amax(2, keepdim=True).clamp(min=1e-30)).amax(0).topk(chosen).indices
            parents = [grid.corners[p[b]] for p, b in zip(places, best, strict=True)]
            level -= 1


def _alike(places: list[Tensor]) -> Tensor:
    """Numbers of windows per input as (n, m); inputs of fewer windows cover their last one again."""
    count = torch.arange(max(len(some) for some in places), device=places[0].device)
    return torch.stack([some[count.clamp(max=len(some) - 1)] for some in places])


def _resolution(levels: Sequence["_Grid"]) -> Resolution:
    """What windows of these sizes resolve; none is larger than the image."""

    def sides(grid: "_Grid", lengths: Sequence[int]) -> tuple[float, ...]:
        return tuple(float(min(some)) for some in zip(lengths, grid.sides, strict=True))

    sizes, steps = (
        tuple(sides(grid, each) for grid, each in zip(levels, some, strict=True))
        for some in ([grid.window for grid in levels], [grid.stride for grid in levels])
    )
    return Resolution("window", sizes, steps)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Windows of one size at even distances over an image; the last along a side may reach over the edge."""

    sides: Sequence[int]
    window: Sequence[int]
    stride: Sequence[int]
    device: torch.device

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Windows along each side."""
        each = zip(self.sides, self.window, self.stride, strict=True)
        return tuple(-(-max(side - w, 0) // s) + 1 for side, w, s in each)

    @cached_property
    def count(self) -> int:
        return len(self.corners)

    @cached_property
    def corners(self) -> Tensor:
        """The place in the grid of every window, (count, axes)."""
        return torch.cartesian_prod(*(torch.arange(c, device=self.device) for c in self.counts)).reshape(
            -1, len(self.counts)
        )

    @cached_property
    def _spread(self) -> list[Tensor]:
        """For each side which pixels a window reaches, (windows along it, side), 0 or 1."""
        found = []
        for count, w, s, side in zip(self.counts, self.window, self.stride, self.sides, strict=True):
            start = torch.arange(count, device=self.device)[:, None] * s
            pixel = torch.arange(side, device=self.device)
            found.append((pixel >= start) & (pixel < start + w))
        return found

    def masks(self, places: Tensor) -> Tensor:
        """What the windows of these numbers cover, (m, …sides)."""
        result = torch.ones(len(places), *[1] * len(self.sides), dtype=torch.bool, device=self.device)
        for axis, reached in enumerate(self._spread):
            shape = [1] * len(self.sides)
            shape[axis] = self.sides[axis]
            result = result & reached[self.corners[places, axis]].reshape(-1, *shape)
        return result

    def touching(self, within: Tensor | None) -> Tensor:
        """The numbers of the windows that touch a region."""
        if within is None:
            return torch.arange(self.count, device=self.device)
        touched = _contracted(within[None].float(), [reached.float().T for reached in self._spread])
        return (touched.flatten() > 0).nonzero()[:, 0]

    def put(self, places: Tensor, values: Tensor) -> Tensor:
        """Values (…, n, m) of the windows `places` (n, m) as (…, n, count), the others 0."""
        result = values.new_zeros(*values.shape[:-1], self.count)
        return result.scatter_(-1, places.expand(values.shape), values)

    def summed(self, values: Tensor) -> Tensor:
        """At every pixel the sum of the values (…, count) of the windows over it, (…, …sides).

        Windows lie on a grid, so that this is a product with one matrix a side.
        """
        spread = [reached.to(values.dtype) for reached in self._spread]
        found = _contracted(values.reshape(-1, *self.counts), spread)
        return found.reshape(*values.shape[:-1], *self.sides)

    def below(self, corners: Tensor) -> Tensor:
        """The numbers of the windows into which those of the next coarser grid, at `corners`, fall apart."""
        axes = len(self.counts)
        halves = torch.cartesian_prod(*[torch.arange(2, device=self.device)] * axes).reshape(-1, axes)
        cells = (2 * corners[:, None] + halves).reshape(-1, axes)
        cells = cells[(cells < torch.tensor(self.counts, device=self.device)).all(1)]
        number = torch.zeros(len(cells), dtype=torch.long, device=self.device)
        for axis, count in enumerate(self.counts):
            number = number * count + cells[:, axis]
        return number

    def held(self, finest: Sequence[int], times: int) -> Tensor:
        """How many windows of a grid `times` as fine, with `finest` windows a side, lie in each, (count,)."""
        ends = torch.tensor(finest, device=self.device)
        return (ends - self.corners * times).clamp(max=times).prod(1)


def _contracted(values: Tensor, matrices: list[Tensor]) -> Tensor:
    """(k, …counts) times one matrix (count, side) for each of its axes: (k, …sides)."""
    for matrix in matrices:
        values = torch.tensordot(values, matrix, dims=([1], [0]))
    return values
