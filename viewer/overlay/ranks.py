# SPDX-License-Identifier: Apache-2.0
"""Maps as ranks: where methods and layers whose values do not compare agree, and where they differ."""

import numpy as np

from viewer import affine, overlay
from viewer.types import Array, DerivedMap, Map, Style

UNIT = "rank"
RANKS = Style("viridis", (0.0, 1.0), threshold=0.8)
"""The strongest fifth of a map is drawn."""
DIFFERENCE = Style(overlay.DIVERGING, (-1.0, 1.0), threshold=0.25, sign="signed")


def ranked(map: Map) -> DerivedMap:
    """Each cell's rank among all cells of its map: 0 the lowest, 1 the highest value, equal ones the mean.

    What is no number has no rank.
    """
    return DerivedMap(_ranks(map.values), map.matrix, UNIT, (map,), f"rank of {map.title}")


def difference(one: Map, other: Map) -> DerivedMap:
    """How much higher a place ranks in `other` than in `one`, −1 to 1, on the finer grid of the two.

    Both maps are of one series; NaN where either has no value.
    """
    finer, coarser = sorted((ranked(one), ranked(other)), key=lambda m: -m.values.size)
    there = _on(coarser, finer)
    values = finer.values - there if finer.parents[0] is other else there - finer.values
    how = f"rank of {other.title} − rank of {one.title}"
    return DerivedMap(values.astype(np.float32), finer.matrix, UNIT, (one, other), how)


def not_positive(ranks: DerivedMap) -> float:
    """The share of the cells that are drawn of a map's ranks whose values are not above zero, 0 to 1.

    Of a map that has less positive than a fifth the strongest fifth reaches into what speaks against.
    """
    return float(ranks.memo.get("not positive", lambda: _not_positive(ranks)))


def _not_positive(ranks: DerivedMap) -> float:
    drawn = overlay.visible(ranks.values, RANKS)
    return float((ranks.parents[0].values[drawn] <= 0).mean()) if drawn.any() else 0.0


def _ranks(values: Array) -> Array:
    result = np.full(values.shape, np.nan, dtype=np.float32)
    known = np.isfinite(values)
    found, place, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    if len(found) < 2:
        result[known] = 0.5
        return result
    below = np.cumsum(counts) - counts
    mean = below + (counts - 1) / 2  # the mean place of those that are equal, from 0
    result[known] = (mean / (counts.sum() - 1))[place]
    return result


def _on(map: Map, other: Map) -> Array:
    """A map's values at the cells of another grid on the same series."""
    planes = [
        overlay.on_grid(map, other.matrix @ affine.scale_offset((1, 1, 1), (k, 0, 0)), other.values.shape[1:])
        for k in range(other.values.shape[0])
    ]
    return np.stack(planes)
