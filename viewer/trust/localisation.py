# SPDX-License-Identifier: Apache-2.0
"""Does a map lie on a known truth? Values and truth on one grid, axes in any number and order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


_PEAK = 0.1


def peak_hit(values: Floats, truth: Mask, reach: Sequence[float] | float = 0) -> bool:
    """Whether the highest value lies in the truth, or at most `reach` cells beside it along each axis.

    The hit rate of CheXlocalize (Saporta et al., Nature Machine Intelligence 2022) is the mean of this with a
    reach of 0, the pointing game (Zhang et al., IJCV 2018) with one of 15 pixels. Cells that are NaN do not
    count. Cells that share the highest value, such as those of a superpixel, are one peak, and any of them
    may hit; but a map points at nothing where its peak takes over a tenth of it, or no value is positive.
    """
    _same_grid(values, truth)
    known = np.where(np.isfinite(values), values, -np.inf)
    peaks = np.argwhere(known == known.max())
    if not known.max() > 0 or len(peaks) > max(1, _PEAK * values.size):
        return False
    away = np.abs(np.argwhere(truth)[:, None] - peaks)
    return bool((away <= np.broadcast_to(reach, values.ndim)).all(axis=-1).any())


def mass_in(values: Floats, truth: Mask) -> float:
    """The share of the positive values that lies in the truth, 0 … 1; NaN where no value is positive.

    The energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020). The share of the truth in
    the image is what a map without any meaning has on average.
    """
    _same_grid(values, truth)
    positive = np.where(np.isfinite(values), np.maximum(values, 0), 0).astype(np.float64)
    total = float(positive.sum())
    return float(positive[truth].sum()) / total if total > 0 else float("nan")


def _same_grid(values: Floats, truth: Mask) -> None:
    if values.shape != truth.shape:
        raise ValueError(f"a map of {values.shape} and a truth of {truth.shape} are not on one grid")
    if not truth.any():
        raise ValueError("there is no truth to be found")
