# SPDX-License-Identifier: Apache-2.0
"""Sweeps measured where the truth is known: lesions off the grid at random, networks of known half-width.

Volumes of noise hold vessels (tubes) and specks with the grey values of the lesions, and in half of them
one lesion, a ball. The networks tell a ball in one of two ways, and answer by how near the middle of the
block it lies: `half_width` is how far, as a share of a block, until half of the rise is gone. *Specific*
ones want grey that falls off along all three axes (the determinant of the Hessian), and so reject most
vessels. *Unspecific* ones take a difference of Gaussians, which a vessel or a crossing of two has as well.
Their threshold is that of a card: 95 % of single blocks with a lesion in the middle are above it. Whether
any block of a volume is above it is computed for every place of the block, to the voxel.

    python scripts/measure_sweep.py                      # as in docs/full-check.md
    python scripts/measure_sweep.py --cases 20 --empty 10 --narrow 5 --nets specific
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from viewer import session
from viewer.models import Card, Model
from viewer.types import Display, Geometry, Series, Sweep

BLOCK = (16, 24, 24)
"""The side of a block along (slice, row, column), in voxels."""
SHAPE = (64, 144, 144)
"""The volume: 7 × 11 × 11 blocks that overlap by half."""
VESSELS, SPECKS, NOISE = 20, 10, 0.2
"""Of every volume, with or without a lesion; the noise is in units of a lesion's contrast."""
_LOW, _HIGH = -1.0, 3.0
"""The grey values that 8 bits hold."""
_FLOOR, _GAIN = -4.0, 10.0
"""The logit of a block with nothing in it, and what a lesion in its middle adds on average."""
Floats = NDArray[np.float64]


# --- the volumes ----------------------------------------------------------------------------------


def volume(seed: int, lesion: bool, shape: tuple[int, int, int] = SHAPE) -> tuple[Series, Floats | None]:
    """A volume, and the middle of its lesion in voxels: anywhere that a block inside can have it where a
    network wants it, a tenth off the middle."""
    random = np.random.default_rng(seed)
    image = random.normal(0, NOISE, shape)
    for _ in range(VESSELS * math.prod(shape) // math.prod(SHAPE)):
        start, along = random.uniform(0, shape), random.normal(size=3)
        length, width = random.uniform(20, 60), random.uniform(0.8, 1.5)
        _add(image, start, random.uniform(0.7, 1.2), width, along / np.linalg.norm(along) * length)
    for _ in range(SPECKS * math.prod(shape) // math.prod(SHAPE)):
        _add(image, random.uniform(0, shape), random.uniform(0.7, 1.2), random.uniform(0.8, 1.5))
    middle = None
    if lesion:
        half = (np.array(BLOCK) - 1) * 0.6
        middle = random.uniform(half, np.array(shape) - 1 - half)
        _add(image, middle, random.uniform(0.9, 1.2), random.uniform(2.2, 3.0))
    return _series(image), middle


def _add(image: Floats, middle: Floats, contrast: float, width: float, along: Floats | None = None) -> None:
    """A Gaussian ball of this standard deviation, or a tube from there along a vector."""
    ends = np.array([middle, middle if along is None else middle + along])
    low = np.clip(np.floor(ends.min(0) - 4 * width), 0, image.shape).astype(int)
    high = np.clip(np.ceil(ends.max(0) + 4 * width) + 1, 0, image.shape).astype(int)
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    points = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    off = points - middle
    if along is not None:
        share = np.clip(off @ along / (along @ along), 0, 1)
        off = off - share[..., None] * along
    image[part] = np.maximum(image[part], contrast * np.exp(-0.5 * (off**2).sum(-1) / width**2))


def _series(image: Floats) -> Series:
    stored = np.rint(np.clip((image - _LOW) / (_HIGH - _LOW), 0, 1) * 255).astype(np.uint8)
    place = Geometry(np.diag([2.0, 0.8, 0.8, 1]), "patient", orientation_known=True, between=True)
    return Series("1.2.3", "CT", stored, place, Display(((1.0, 0.0),) * len(image)))


# --- the networks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a network's answer depends on where in its block a lesion lies.

    `half_width` is a share of a block along (slice, row, column); `middle` is off the block's own by so much;
    `flat` falls off as a Gaussian to this power, so that its top is flat.
    """

    name: str
    half_width: tuple[float, float, float]
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flat: float = 1.0


BROAD = (
    Kind("round, .3", (0.3, 0.3, 0.3)),
    Kind("round, .4", (0.4, 0.4, 0.4)),
    Kind("long, .5 × .3 × .35", (0.5, 0.3, 0.35)),
    Kind("off the middle by .1, .35", (0.35, 0.35, 0.35), (0.1, -0.1, 0.05)),
    Kind("flat top, .35", (0.35, 0.35, 0.35), flat=2.0),
)
NARROW = (
    Kind("round, .2", (0.2, 0.2, 0.2)),
    Kind("round, .15", (0.15, 0.15, 0.15)),
    Kind("narrow along slices, .12 × .4 × .4", (0.12, 0.4, 0.4)),
)


class Positional(nn.Module):
    """The highest of a difference of Gaussians, weighed by where in the block it lies: (n, 1) logits."""

    window: Tensor
    fine: Tensor
    coarse: Tensor
    ball: Tensor
    unit: Tensor

    def __init__(self, kind: Kind, specific: bool) -> None:
        super().__init__()
        self.kind, self.specific = kind, specific
        self.register_buffer("window", _window(kind))
        self.register_buffer("fine", _gaussian(1.5))
        self.register_buffer("coarse", _gaussian(4.0))
        self.register_buffer("ball", _gaussian(2.0))
        self.register_buffer("unit", torch.tensor(1.0))

    def found(self, x: Tensor) -> Tensor:
        """How much of a ball there is around each voxel, of (n, 1, depth, rows, columns)."""
        grey = x * (_HIGH - _LOW) + _LOW
        if self.specific:
            return _bent(_smooth(grey, self.ball))
        return (_smooth(grey, self.fine) - _smooth(grey, self.coarse)).clamp(min=0)

    def rise(self, x: Tensor) -> Tensor:
        """What a block shows of a ball, (n,)."""
        return (self.found(x) * self.window).flatten(1).amax(1)

    def highest(self, image: Tensor) -> float:
        """The highest logit of any block inside an image, wherever it is laid; borders of blocks left out."""
        want = [(n - 1) / 2 + middle * n for n, middle in zip(BLOCK, self.kind.middle, strict=True)]
        inside = [
            slice(math.floor(w), length - (n - 1 - math.ceil(w)))
            for w, n, length in zip(want, BLOCK, image.shape[2:], strict=True)
        ]
        depth, rows, columns = inside
        found = self.found(image)[0, 0, depth, rows, columns]
        return float(_FLOOR + _GAIN * found.max() / self.unit)

    def forward(self, x: Tensor) -> Tensor:
        return (_FLOOR + _GAIN * self.rise(x) / self.unit)[:, None]


def _window(kind: Kind) -> Tensor:
    """One half at the half-width along each axis, one at the middle."""
    sides = []
    for n, half, middle in zip(BLOCK, kind.half_width, kind.middle, strict=True):
        place = (torch.arange(n) - (n - 1) / 2) / n - middle
        sides.append((place / half) ** 2)
    far = sides[0][:, None, None] + sides[1][:, None] + sides[2]
    return 2.0 ** -(far**kind.flat)


def _bent(smooth: Tensor) -> Tensor:
    """The cube root of the negative determinant of the Hessian where all of its curvatures are negative."""
    first = [torch.gradient(smooth, dim=axis)[0] for axis in (2, 3, 4)]
    xx, xy, xz = (torch.gradient(first[0], dim=axis)[0] for axis in (2, 3, 4))
    yy, yz = (torch.gradient(first[1], dim=axis)[0] for axis in (3, 4))
    zz = torch.gradient(first[2], dim=4)[0]
    minors = xx * yy - xy * xy
    whole = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    negative = (xx < 0) & (minors > 0) & (whole < 0)  # Sylvester's criterion
    return torch.where(negative, -whole, 0.0) ** (1 / 3)


def _gaussian(width: float) -> Tensor:
    reach = math.ceil(3 * width)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    return weights / weights.sum()


def _smooth(x: Tensor, weights: Tensor) -> Tensor:
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(weights)
        padding = [0, 0, 0]
        padding[axis] = len(weights) // 2
        x = nn.functional.conv3d(x, weights.reshape(shape), padding=padding)
    return x


def model(kind: Kind, specific: bool, calls: int = 200) -> Model:
    """The network with its card: 95 % of `calls` blocks with a lesion where it wants one are called."""
    net = Positional(kind, specific).eval()
    bare = _carded(kind, net, 0.5)
    room = (3 * BLOCK[0], 3 * BLOCK[1], 3 * BLOCK[2])
    rises = []
    for seed in range(calls):
        series, middle = volume(10**6 + seed, True, room)
        assert middle is not None
        rises.append(float(net.rise(_centred(bare, kind, series, middle))))
    net.unit.fill_(float(np.mean(rises)))
    least = _FLOOR + _GAIN * float(np.quantile(rises, 0.05) / np.mean(rises))
    return _carded(kind, net, 1 / (1 + math.exp(-least)))


def _carded(kind: Kind, net: Positional, threshold: float) -> Model:
    card = Card.model_validate(
        {
            "name": kind.name,
            "architecture": "phantom:positional",
            "weights": "none",
            "input": {"dimensions": 3, "size": BLOCK, "fit": "patch", "values": {"range": [0, 1]}},
            "output": {"labels": ["ball"], "thresholds": {"ball": threshold}},
        }
    )
    return Model(card, net, "0" * 64, torch.device("cpu"))


def _centred(model: Model, kind: Kind, series: Series, middle: Floats) -> Tensor:
    """The block with a lesion where the network wants one, as near as whole voxels come."""
    at = middle - np.array(kind.middle) * BLOCK
    return model.prepare(series, None, np.clip(at, 0, np.array(series.shape) - 1).tolist()).tensor


# --- the measurements -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One volume swept: the best logit of the grid, of all blocks looked at, of any there is; its cost."""

    plain: float
    best: float
    highest: float
    true: float
    threshold: float
    grid: int
    blocks: int
    half_width: tuple[float | None, ...]
    finer: int


def sweep(made: Model, kind: Kind, seed: int, lesion: bool, finer: bool = False) -> Case:
    """A volume swept; `true` is the logit of the block with its lesion where the network wants one."""
    series, middle = volume(seed, lesion)
    grid = len(made.tiling(series, Sweep()))
    found = session.ask(series, made, (), at=Sweep(finer=finer))
    (swept,) = found.swept
    logits = [one.scores[0].logit for one in found.predictions]
    true = -math.inf
    net = made._module
    assert isinstance(net, Positional)
    with torch.no_grad():
        image = torch.tensor(np.array(series.voxels), dtype=torch.float32)[None, None] / 255
        highest = net.highest(image)
        if middle is not None:
            true = float(net(_centred(made, kind, series, middle)))
    chance = made.card.output.thresholds["ball"]
    least = math.log(chance / (1 - chance))
    best = swept.best[0].score.logit
    return Case(
        max(logits[:grid]), best, highest, true, least, grid, swept.count, swept.half_width, swept.finer
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, J. Am. Stat. Assoc. 1927)."""
    z, p = 1.959964, hits / count
    middle, spread = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count**2))
    return (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)


def share(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count} ({100 * hits / count:.1f} %, 95 % {100 * low:.1f} to {100 * high:.1f})"


def shared_out(kinds: tuple[Kind, ...], count: int) -> Iterator[tuple[Kind, range]]:
    """The kinds, each with its part of so many seeds."""
    edges = [round(i * count / len(kinds)) for i in range(len(kinds) + 1)]
    for kind, first, last in zip(kinds, edges, edges[1:], strict=False):
        yield kind, range(first, last)


def reached(case: Case) -> bool:
    return case.best >= 0.95 * case.true


def _report(name: str, cases: list[Case], empty: list[Case]) -> None:
    widths = np.array([[np.nan if w is None else w for w in c.half_width] for c in cases], float)
    _line(f"{name}: half-width measured {' × '.join(f'{w:.2f}' for w in np.nanmedian(widths, 0))}")
    _line(f"  best ≥ .95 of the logit at the true middle: {share(sum(map(reached, cases)), len(cases))}")
    _line(f"  the grid alone: {share(sum(c.plain >= 0.95 * c.true for c in cases), len(cases))}")
    for what, some in (("with a lesion", cases), ("without", empty)):
        if some:
            grid, blocks, any_block = (
                sum(value >= c.threshold for value, c in zip(values, some, strict=True))
                for values in zip(*((c.plain, c.best, c.highest) for c in some), strict=True)
            )
            _line(
                f"  {what}, above the threshold: by the grid {grid}, by all blocks that were looked at "
                f"{blocks}, by any block there is {any_block}; of {len(some)}"
            )
    if empty:
        _line(f"  with no more volumes without a lesion than by the grid: {_matched(cases, empty)}")
    every = cases + empty
    times = [c.blocks / c.grid for c in every]
    _line(f"  forwards ÷ those of the grid: mean {np.mean(times):.2f}, most {max(times):.2f}")


def _matched(cases: list[Case], empty: list[Case]) -> str:
    """The lesions found where the threshold of the best of many lets no more empty volumes pass than that of
    one block does on the grid."""
    allowed = sum(c.plain >= c.threshold for c in empty)
    over = sorted((c.best - c.threshold for c in empty), reverse=True)
    raised = max(0.0, over[allowed]) if allowed < len(over) else 0.0
    found = sum(c.best - c.threshold > raised for c in cases)
    before = sum(c.plain >= c.threshold for c in cases)
    return f"{found} of {len(cases)}, by the grid {before}; threshold raised by {raised:.2f}"


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print what docs/full-check.md holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--empty", type=int, default=100)
    parser.add_argument("--narrow", type=int, default=60)
    parser.add_argument("--nets", choices=["specific", "unspecific"])
    asked = parser.parse_args()
    nets = [asked.nets] if asked.nets else ["specific", "unspecific"]
    runs = [
        *(("Half-width ≥ .3 of a block", BROAD, asked.cases, asked.empty, False, one) for one in nets),
        ("Narrower, with the finer grid", NARROW, asked.narrow, asked.narrow, True, nets[0]),
    ]
    for title, kinds, count, empty, finer, net in runs:
        _line(f"\n{title}, {net} networks\n")
        start = time.monotonic()
        every: list[Case] = []
        without: list[Case] = []
        if not count:
            continue
        for (kind, some), (_, none) in zip(shared_out(kinds, count), shared_out(kinds, empty), strict=True):
            made = model(kind, net == "specific")
            cases = [sweep(made, kind, seed, True, finer) for seed in some]
            bare = [sweep(made, kind, 10**5 + seed, False, finer) for seed in none]
            _report(kind.name, cases, bare)
            every, without = every + cases, without + bare
        _report("all", every, without)
        _line(f"  {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
