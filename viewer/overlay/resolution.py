# SPDX-License-Identifier: Apache-2.0
"""What a map resolves, in words: its grid, and how large on the patient is what one value stands for."""

import math
from collections.abc import Sequence

import numpy as np

from viewer.affine import Matrix
from viewer.types import Attribution, DerivedMap, Map


def native_facts(map: Map) -> str:
    """Native size and what a value stands for, e.g. "map 7 × 7 · 1 cell ≈ 12 mm", or after the size
    "1 window ≈ 16 mm, every 8 mm" or "1 value per segment"; of many sizes the smallest and the largest.

    Of a map made of others both are those of the coarsest of these, whatever grid it lies on.
    """
    map = _coarsest(map)
    return f"map {' × '.join(str(n) for n in _shape(map))} · {_resolved(map)}"


def _shape(map: Map) -> tuple[int, ...]:
    return map.values.shape[1:] if map.values.shape[0] == 1 else map.values.shape


def _coarsest(map: Map) -> Map:
    """The map itself, or of those that it was made of the one whose values stand for the largest part."""
    if not isinstance(map, DerivedMap):
        return map
    # Without a known distance of slices their side is 0.
    return max(
        (_coarsest(parent) for parent in map.parents),
        key=lambda one: math.prod(side for side in _sides(one) if side > 0),
    )


def _sides(map: Map) -> Sequence[float]:
    """The sides, in the unit of the source, of the smallest part of which a value is told; infinite where
    parts have no one size, as these may be as large as the image."""
    found = map.resolution if isinstance(map, Attribution) else None
    if found is None or not isinstance(map, Attribution):
        return _cell_sides(map, map.matrix)[-len(_shape(map)) :]
    if not found.sizes:
        return (math.inf,)
    sides: list[float] = np.multiply(found.sizes[-1], _pixel(map, len(found.sizes[0]))).tolist()
    return sides


def _pixel(map: Attribution, axes: int) -> Sequence[float]:
    """The sides of a pixel of the input."""
    return _cell_sides(map, map.predictions[0].input.matrix)[-axes:]


def _resolved(map: Map) -> str:
    unit = "px" if map.series.geometry.spacing is None else "mm"
    found = map.resolution if isinstance(map, Attribution) else None
    if found is None or not isinstance(map, Attribution):
        return f"1 cell ≈ {_extent(_sides(map))} {unit}"
    if not found.sizes:
        return f"1 value per {found.part}"
    pixel = _pixel(map, len(found.sizes[0]))
    sizes, steps = (
        [_extent(np.multiply(sides, pixel).tolist()) for sides in some] for some in (found.sizes, found.steps)
    )
    # Coarse to fine the last are the smallest.
    extent = sizes[-1] if len(sizes) == 1 else f"{sizes[-1]} … {sizes[0]}"
    apart = "" if found.sizes == found.steps else f", every {steps[-1]} {unit}"
    return f"1 {found.part} ≈ {extent} {unit}{apart}"


def _cell_sides(map: Map, matrix: Matrix) -> Sequence[float]:
    """The lengths of a cell along the axes of a grid, which need not be the source's, in its unit."""
    spacing = map.series.geometry.spacing
    scale = np.array([1.0, 1.0, 1.0] if spacing is None else [spacing[0] or 0.0, *spacing[1:]])
    sides: list[float] = np.linalg.norm(scale[:, None] * matrix[:3, :3], axis=0).tolist()
    return sides


def _extent(sides: Sequence[float]) -> str:
    numbers = [_length(side) for side in sides]
    return numbers[0] if len(set(numbers)) == 1 else " × ".join(numbers)


def _length(size: float) -> str:
    """A length with two figures that mean something."""
    if size >= 9.95 or not math.isfinite(size) or size <= 0:
        return f"{size:.0f}"
    return f"{size:.1f}".removesuffix(".0") if size >= 0.95 else f"{size:.2g}"
