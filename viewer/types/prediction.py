# SPDX-License-Identifier: Apache-2.0
"""What a model was shown, what it said of it, and what of that is asked about."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count, product
from typing import TYPE_CHECKING, Literal

import numpy as np

from viewer import affine as grid
from viewer.affine import Matrix
from viewer.cache import Memo
from viewer.errors import ExplainerError
from viewer.types.arrays import Array, Shape3, freeze
from viewer.types.digest import digest
from viewer.types.series import Series

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """The part of a series that a network is shown, or that a map covers.

    `matrix` maps (depth, row, column) to the source voxel; each index goes from −0.5 to its number in
    `shape` − 0.5.
    """

    matrix: Matrix
    shape: Shape3

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))

    @property
    def extent(self) -> tuple[float, float, float]:
        """The source voxels that it spans along (slice, row, column)."""
        slices, rows, columns = (float(n) for n in np.abs(self.matrix[:3, :3]) @ np.array(self.shape))
        return (slices, rows, columns)

    def share(self, image: Shape3) -> float:
        """The part of an image of this shape that lies in it; of a single slice where it has but one."""
        corners = grid.apply(self.matrix, [(-0.5,) * 3, [n - 0.5 for n in self.shape]])
        low, high = np.maximum(corners.min(0), -0.5), np.minimum(corners.max(0), np.array(image) - 0.5)
        parts = np.clip(high - low, 0, None) / np.array(image)
        return float(np.prod(parts[1:] if self.shape[0] == 1 else parts))


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """What one forward of a model sees, and where each of its pixels comes from.

    `tensor` is (1, channels, [depth,] rows, columns). `matrix` maps an input index
    (depth, row, column) to the source voxel (slice, row, column), exactly: crop, pad, resize,
    flip and resampling are all in it. `slice` is the explained slice, None for a volume.
    """

    series: Series
    slice: int | None
    tensor: "torch.Tensor" = field(repr=False)
    matrix: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))

    @property
    def shape(self) -> Shape3:
        """(depth, rows, columns) of the input; the depth of a 2D input is 1."""
        spatial = tuple(int(n) for n in self.tensor.shape[2:])
        return (1, *spatial) if len(spatial) == 2 else spatial  # type: ignore[return-value]

    @property
    def field(self) -> Field:
        """The part of the series that it shows."""
        return Field(self.matrix, self.shape)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A wish to see a network that reads patches all over a slice or a volume, or over a box of it.

    `box` is the first and the last voxel, both (row, column) or (slice, row, column). Patches that lie
    beside each other share at least `overlap` of their side.
    """

    box: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    overlap: float = 0.5
    refine: bool = True
    """Whether steps are halved around the best patches until their score stops rising."""
    finer: bool = False
    """Whether a finer grid follows where the network is found to answer too near the middle for this one."""
    blend: Literal["score", "plain"] = "score"
    """Whether patches are blended by their score too, or only by the distance from their middle."""


@dataclass(frozen=True, slots=True)
class Score:
    """One label's output. Without a calibration `probability` is a score, not a probability."""

    label: str
    logit: float
    probability: float
    calibrated: bool = False
    threshold: float | None = None
    spread: float | None = None
    """Of a network that answers at random: the standard deviation of `probability` over its runs."""

    @property
    def positive(self) -> bool | None:
        """Whether the label is called; None where the card gives no threshold."""
        return None if self.threshold is None else self.probability >= self.threshold


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model said of one input, from the forward that also feeds the explanation."""

    input: ModelInput
    model: str
    weights: str
    """SHA-256 of the weights file."""
    device: str
    scores: tuple[Score, ...]
    override: str | None = None
    """Why the study lies outside the card's `accepts`, where the reader went on all the same."""
    unknown: str | None = None
    """Why nobody knows whether the model was made for the study."""
    implausible: str | None = None
    """What about the model's outputs cannot be as its card has it: no score is what it seems then."""
    runs: int = 1
    """Of how many runs the scores are the mean: more than one where a network answers at random."""

    def score(self, label: str) -> Score:
        return next(s for s in self.scores if s.label == label)

    def rejects(self, label: str | None) -> bool:
        """Whether the model does not call a label: its score lies below its threshold.

        A map of it explains a negative; so does none of a difference of two labels, which has no threshold.
        """
        return any(s.label == label and s.positive is False for s in self.scores)

    @property
    def top(self) -> Score:
        """The label with the highest probability."""
        return max(self.scores, key=lambda s: s.probability)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A mask on a series: truth, a finding, or a place that should not matter.

    `mask` is (slice, row, column) on a grid that `matrix` maps to source voxels.
    """

    mask: Array = field(repr=False)
    matrix: Matrix
    series: Series
    name: str
    origin: Literal["drawn", "seg", "box"]
    source: str = ""
    """What tells the region from others of its study, on whichever series it lies: file and number."""
    colour: tuple[int, int, int] | None = None
    """Red, green and blue that the file recommends, 0 to 255."""
    remark: str = ""
    """What was decided in making a mask of it, e.g. "probability ≥ 50 %"."""
    memo: Memo = field(default_factory=Memo, init=False, repr=False)
    """What was found out about the region, such as its digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", grid.frozen(self.matrix))
        freeze(self)

    @classmethod
    def box(cls, series: Series, slice: int, corners: tuple[int, int, int, int], name: str) -> "Region":
        """A box on one slice; `corners` are first row, first column, last row, last column, inclusive."""
        top, left, bottom, right = corners
        mask = np.ones((1, bottom - top + 1, right - left + 1), dtype=bool)
        return cls(mask, grid.scale_offset((1, 1, 1), (slice, top, left)), series, name, "box")

    def trimmed(self) -> "Region":
        """The same region on no more of its grid than it marks, so that nobody looks for it elsewhere."""
        mask = self.mask > 0
        filled = [np.flatnonzero(mask.any(tuple(j for j in range(3) if j != i))) for i in range(3)]
        if not all(one.size for one in filled):
            return replace(self, mask=np.zeros((1, 1, 1), bool))
        part = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in filled)
        moved = grid.scale_offset((1, 1, 1), [one[0] for one in filled])
        return replace(self, mask=mask[part].copy(), matrix=self.matrix @ moved)

    @property
    def digest(self) -> str:
        """What tells the region from all others: its name and the voxels that it marks.

        Where it was read from, and how much of its grid is empty, do not count.
        """
        return self.memo.get("digest", self._digest)

    def _digest(self) -> str:
        own = self.trimmed()
        bits = np.packbits(own.mask)  # a hundred segments of a volume are many bytes
        place = np.round(own.matrix, 6) + 0.0 if own.mask.any() else None
        return digest([self.name, own.mask.shape, bits, place])

    def on(self, matrix: Matrix, shape: Shape3) -> Array:
        """The mask at the cell centres of another grid, whose `matrix` maps to the same source."""
        to_own = grid.inverse(self.matrix) @ matrix
        # Only cells that the mask's own grid can reach are asked: a volume may have a hundred small segments.
        corners = list(product(*((-1, n) for n in self.mask.shape)))
        reach = grid.apply(grid.inverse(to_own), corners)
        first = np.clip(np.floor(reach.min(0)), 0, shape).astype(int)
        last = np.clip(np.ceil(reach.max(0)) + 1, first, shape).astype(int)
        sides = [np.arange(a, b) for a, b in zip(first, last, strict=True)]
        index = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)
        own = np.rint(grid.apply(to_own, index)).astype(int)
        inside = np.all((own >= 0) & (own < self.mask.shape), axis=-1)
        result = np.zeros(shape, dtype=bool)
        part = result[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
        part[inside] = self.mask[tuple(own[inside].T)] > 0
        return result


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names, of which one that is there already gets a number: "nodule", "nodule 2"."""
    found: dict[str, None] = {}
    for name in names:
        every = (name if i == 1 else f"{name} {i}" for i in count(1))
        found[next(one for one in every if one not in found)] = None
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is explained: a number made from the model's output.

    `label` alone: its logit. With `minus`: the difference of two logits. With `region`, or for a
    net with a dense output: the mean logit over the region, or over all positions. `index` and
    `minus_index` are places in the output; `plain` marks a regression output, not a class.
    """

    label: str
    index: int
    minus: str | None = None
    minus_index: int | None = None
    region: Region | None = None
    plain: bool = False

    @property
    def kind(self) -> Literal["label", "difference", "region", "output"]:
        if self.minus is not None:
            return "difference"
        if self.region is not None:
            return "region"
        return "output" if self.plain else "label"

    @property
    def words(self) -> str:
        name = self.label if self.minus is None else f"{self.label} − {self.minus}"
        return name if self.region is None else f"{name} in {self.region.name}"

    def of(self, output: "torch.Tensor", matrix: Matrix | None = None) -> "torch.Tensor":
        """The number per sample, shape (n,), from outputs of shape (n, labels[, …spatial]).

        `matrix` places a dense output on the source voxels; it is needed for a region only.
        """
        value = output[:, self.index]
        if self.minus_index is not None:
            value = value - output[:, self.minus_index]
        if self.region is None:
            return value.flatten(1).mean(1) if value.ndim > 1 else value
        if value.ndim == 1 or matrix is None:
            raise ExplainerError(
                "A class inside a region needs a network with an output per pixel; "
                "this one gives one number per label, so explain the label itself."
            )
        spatial = tuple(int(n) for n in value.shape[1:])
        shape: Shape3 = (1, *spatial) if len(spatial) == 2 else spatial  # type: ignore[assignment]
        mask = value.new_tensor(self.region.on(matrix, shape).reshape(spatial))
        if not bool(mask.any()):
            raise ExplainerError(f"The region {self.region.name} lies outside what the model was shown.")
        return (value * mask).flatten(1).sum(1) / mask.sum()
