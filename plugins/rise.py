# SPDX-License-Identifier: Apache-2.0
"""RISE."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from viewer.explain import (
    Baseline,
    Batch,
    Cost,
    Explainer,
    Interval,
    Probe,
    Resolution,
    Seed,
    Tip,
    Values,
    baselines,
)


@dataclass(frozen=True)
class RISE(Explainer):
    """Σ over random masks of (score of the masked image × mask) ÷ (masks × share that is seen)."""

    masks: Annotated[int, Interval(ge=1, le=100_000), Tip("Random masks", "steadier, and takes longer")] = (
        1000
    )
    cells: Annotated[
        int,
        Interval(ge=2, le=64),
        Tip("Cells of a mask along each side", "finer maps, which need more masks to be steady"),
    ] = 7
    seen: Annotated[
        float,
        Interval(gt=0, lt=1),
        Tip("Share of the cells that a mask leaves to see", "more of the image is there in each try"),
    ] = 0.5
    centred: Annotated[
        bool, Tip("Take the mean score off, which the paper leaves at every pixel; 0 is then no influence")
    ] = True
    baseline: Baseline = "minimum"
    """What is where a mask hides; the paper has zero after normalisation."""
    seed: Seed = 0
    batch: Batch = 0

    name = "rise"
    title = "RISE"
    contribution = False
    family = "perturbation"
    paper = "Petsiuk, Das & Saenko, RISE: randomized input sampling for explanation, BMVC 2018"
    shows = "How high the score is on average when a pixel is left to see while random others are hidden."
    cost = Cost("1 per mask, for all labels")
    caution = (
        "Few masks leave blotches of chance: another seed shows which (the authors used 4000 to 8000). Soft "
        "half-hidden images are none that the network saw in training (Hooker et al., NeurIPS 2019), and "
        "nothing smaller than a cell is resolved."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def compute(self, probe: Probe) -> Values:
        masks = Masks(self, probe.x)
        resolution = Resolution("mask cell", (masks.cell,), (masks.cell,))
        covers = baselines(probe, self.baseline)
        drawn: list[Tensor] = []

        def masked(n: int, first: int, last: int) -> Tensor:
            mask = masks(first, last)
            drawn[:] = [mask]
            # Of several baselines the masks take turns.
            turn = torch.arange(first, last, device=covers.device) % len(covers)
            return torch.lerp(covers[turn, n], probe.x[n], mask[:, None])

        sums = _Sums(probe)
        for part in probe.sweep(self.masks, masked, "hiding cells at random", self.batch):
            # Scores are summed as differences from the image's own, so that rounding stays small.
            sums.add(part.n, part.scores - probe.before[:, part.n, None], drawn[0])
            # A picture whenever the masks have doubled; of several inputs the later have nothing yet.
            done = part.first + part.scores.shape[1]
            if len(probe.inputs) == 1 and done >= 64 and done.bit_length() > part.first.bit_length():
                probe.preview(self, Values(self._values(probe, sums, done), resolution=resolution))
        return Values(self._values(probe, sums, self.masks), baselines=covers, resolution=resolution)

    def _values(self, probe: Probe, sums: "_Sums", count: int) -> Tensor:
        offset = -sums.scores / count if self.centred else probe.before
        spatial = [1] * (probe.x.ndim - 2)
        total = sums.scored + offset.reshape(*offset.shape, *spatial) * sums.masks
        return probe.limited(total / (count * self.seen))


class _Sums:
    """Sums over the masks so far: of the masks, of the scores, and of their products."""

    def __init__(self, probe: Probe) -> None:
        rows, sides = (len(probe.targets), len(probe.inputs)), probe.x.shape[2:]
        self.masks = probe.x.new_zeros(rows[1], *sides)
        self.scores = probe.x.new_zeros(rows)
        self.scored = probe.x.new_zeros(*rows, *sides)

    def add(self, n: int, scores: Tensor, masks: Tensor) -> None:
        self.masks[n] += masks.sum(0)
        self.scores[:, n] += scores.sum(1)
        self.scored[:, n] += torch.tensordot(scores, masks, dims=1)


class Masks:
    """The masks by number, made when they are wanted from cells and shifts drawn before.

    As in the paper: cells, each left to see with one probability, are enlarged linearly to one cell more
    than the image a side, and the image's place in that is drawn. The numbers come from the CPU's
    generator, so that a device changes nothing, and a chunk neither.
    """

    def __init__(self, method: RISE, x: Tensor) -> None:
        generator = torch.Generator().manual_seed(method.seed)
        self._sides = x.shape[2:]
        cells = [min(method.cells, side) for side in self._sides]
        sizes = [-(-side // c) for side, c in zip(self._sides, cells, strict=True)]
        seen = torch.rand(method.masks, *cells, generator=generator) < method.seen
        shifts = [torch.randint(0, size, (method.masks,), generator=generator) for size in sizes]
        self._seen = seen.to(x.device)
        self.cell = tuple((c + 1) * size / c for c, size in zip(cells, sizes, strict=True))
        """Sides of a cell once enlarged, in pixels."""
        self._shifts = [s.to(x.device) for s in shifts]
        self._enlarging = [
            F.interpolate(torch.eye(c)[:, None], size=(c + 1) * size, mode="linear")[:, 0].to(x)
            for c, size in zip(cells, sizes, strict=True)
        ]

    def __call__(self, first: int, last: int) -> Tensor:
        """Masks from number `first` to before `last`, (m, …spatial), from 0 (hidden) to 1."""
        mask = self._seen[first:last].to(self._enlarging[0].dtype)
        for side, shifts, enlarging in zip(self._sides, self._shifts, self._enlarging, strict=True):
            columns = shifts[first:last, None] + torch.arange(side, device=mask.device)
            rows = enlarging[:, columns].movedim(1, 0)  # (m, cells, side)
            # One axis of cells at a time becomes one of pixels, and goes to the end.
            flat = mask.movedim(1, -1)
            mask = (flat.flatten(1, -2) @ rows).reshape(*flat.shape[:-1], side)
        return mask
