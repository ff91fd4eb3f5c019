# SPDX-License-Identifier: Apache-2.0
"""Of a map with little positive, the strongest fifth reaches into what is not; how far is counted."""

import numpy as np
import pytest
from made_maps import explain, predict, series

from viewer.overlay import ranks


@pytest.mark.parametrize(
    ("values", "share"),
    [
        (np.arange(-10, 10), 0.0),  # the upper half is positive
        (np.arange(-19, 1), 1.0),  # nothing is
        (np.arange(-18, 2), 0.75),  # one of the four that are drawn is
        (np.full(20, -1.0), 0.0),  # equal cells rank in the middle: none is drawn
        (np.array([*range(-17, 0), 0, 1, 2]), 0.5),  # zero speaks for nothing
    ],
)
def test_what_is_not_positive_is_counted(values: np.ndarray, share: float) -> None:
    map = explain(predict(series()), values=values.reshape(1, 4, 5))
    assert ranks.not_positive(ranks.ranked(map)) == pytest.approx(share)
