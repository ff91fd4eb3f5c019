"""Where in a stack the evidence lies."""

from collections.abc import Sequence

import numpy as np

from viewer import affine
from viewer.types import Attribution


def volume_profile(attribution: Attribution) -> tuple[float, ...]:
    """The share of positive mass per source slice of a volume's map, adding up to 1 (or all 0)."""
    values = np.clip(attribution.values, 0, None)
    count = attribution.series.shape[0]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in values.shape), indexing="ij"), axis=-1)
    place = affine.apply(np.asarray(attribution.matrix), index)[..., 0]
    # A native cell spreads over the slices between its neighbours, as its picture does.
    reach = max(1.0, float(np.abs(attribution.matrix[0, :3]).max()))
    weight = np.clip(1 - np.abs(np.arange(count)[:, None] - place.ravel()[None, :]) / reach, 0, None)
    mass = weight @ values.ravel()
    total = float(mass.sum())
    return tuple(float(m) for m in (mass / total if total > 0 else mass))


def next_peak(profile: Sequence[float | None], visited: list[int]) -> int | None:
    """The highest local maximum not visited yet; after the last one it starts again.

    `visited` is changed. Slices that have not been run count as nothing.
    """
    height = [-np.inf if v is None else v for v in profile]
    padded = [-np.inf, *height, -np.inf]
    peaks = [
        i for i, h in enumerate(height) if np.isfinite(h) and h > 0 and h >= padded[i] and h > padded[i + 2]
    ]
    if not peaks:
        return None
    left = [i for i in peaks if i not in visited]
    if not left:
        visited.clear()
        left = peaks
    best = max(left, key=lambda i: height[i])
    visited.append(best)
    return best
