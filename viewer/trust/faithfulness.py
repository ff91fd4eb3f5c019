# SPDX-License-Identifier: Apache-2.0
"""Does what a map marks move the score? Deletion and insertion (Petsiuk et al., RISE, BMVC 2018).

Deletion takes the image away from the highest value on, insertion puts it back into an empty image in the
same order; the area under the score against the share of the image is low for the first, high for the second.
Both depend on what "empty" is and on the grid, so a number means something only beside those of a random map
and of the image's own intensity on the same image.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def first_cells(values: Floats, steps: int) -> NDArray[np.bool_]:
    """(steps + 1, *shape): the cells with the highest values, from none of them to all in equal shares.

    Equal values go in the order in which they stand in memory; NaN comes last.
    """
    if steps < 1:
        raise ValueError("there is at least one step")
    flat = np.where(np.isnan(values), -np.inf, values).ravel()
    rank = np.empty(flat.size, dtype=np.intp)
    rank[np.argsort(-flat, kind="stable")] = np.arange(flat.size)
    counts = np.rint(np.linspace(0, flat.size, steps + 1))
    return (rank[None] < counts[:, None]).reshape(steps + 1, *values.shape)


def changed(image: Floats, empty: Floats, cells: NDArray[np.bool_], insertion: bool) -> Floats:
    """(steps + 1, channels, *shape): `image` (channels, *shape) with the cells deleted from it, or with only
    the cells inserted into `empty`."""
    keep = cells if insertion else ~cells
    return np.where(keep[:, None], image[None], empty[None])


def area(scores: Floats) -> float:
    """The area under a curve of scores at equal steps from nothing to everything (trapezoids); its unit is
    that of the score."""
    if len(scores) < 2:
        raise ValueError("a curve has at least two points")
    return float((np.sum(scores) - (scores[0] + scores[-1]) / 2) / (len(scores) - 1))
