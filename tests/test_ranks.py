# SPDX-License-Identifier: Apache-2.0
"""Ranks of maps, and their difference, against scipy and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from viewer import affine, overlay
from viewer.overlay import ranks
from viewer.types import Display, Geometry, LoadedMap, Series


def _series(slices: int = 1) -> Series:
    return Series(
        "1", "CT", np.zeros((slices, 16, 16), np.int16), Geometry(np.eye(4)), Display(((1.0, 0.0),) * slices)
    )


def _map(values: np.ndarray, series: Series) -> LoadedMap:
    matrix = affine.cells(values.shape, series.shape)
    return LoadedMap(values.astype(np.float32), matrix, "logit", series, "map")


@given(arrays(np.float32, (1, 3, 5), elements=st.integers(-3, 3).map(float)))
def test_ranks_are_those_of_scipy_and_equal_values_share_theirs(values: np.ndarray) -> None:
    found = ranks.ranked(_map(values, _series())).values
    wanted = (rankdata(values).reshape(values.shape) - 1) / (values.size - 1)
    np.testing.assert_allclose(found, wanted if np.ptp(values) else 0.5, atol=1e-6)


def test_only_the_order_counts() -> None:
    values = np.random.default_rng(0).normal(size=(1, 4, 4)).astype(np.float32)
    one, other = (ranks.ranked(_map(v, _series())).values for v in (values, np.exp(3 * values)))
    np.testing.assert_array_equal(one, other)
    assert one.min() == 0
    assert one.max() == 1


def test_what_is_no_number_has_no_rank() -> None:
    values = np.array([[[1.0, np.nan, 3.0, 2.0]]])
    np.testing.assert_array_equal(ranks.ranked(_map(values, _series())).values, [[[0, np.nan, 1, 0.5]]])


def test_the_difference_of_two_is_right_less_left_whichever_is_finer() -> None:
    series = _series()
    up = np.arange(16.0).reshape(1, 4, 4)
    one, other = _map(up, series), _map(up[..., ::-1, ::-1], series)
    np.testing.assert_allclose(ranks.difference(one, other).values, (15 - 2 * up) / 15, atol=1e-6)
    fine = _map(np.arange(64.0).reshape(1, 8, 8), series)
    found, back = ranks.difference(one, fine), ranks.difference(fine, one)
    assert found.values.shape == back.values.shape == (1, 8, 8)
    np.testing.assert_allclose(found.values, -back.values, atol=1e-6)
    assert found.parents == (one, fine)
    assert found.unit == "rank"
    # Against the same in another way: the coarser ranks drawn at the finer cells' centres.
    there = overlay.on_source(ranks.ranked(one), 0)[::2, ::2]
    here = overlay.on_source(ranks.ranked(one), 0)[1::2, 1::2]
    expected = ranks.ranked(fine).values[0] - (there + here) / 2
    np.testing.assert_allclose(found.values[0], expected, atol=0.04)


def test_a_volume_is_ranked_as_a_whole() -> None:
    series = _series(4)
    values = np.arange(4 * 2 * 2.0).reshape(4, 2, 2)
    found = ranks.ranked(_map(values, series)).values
    np.testing.assert_allclose(found, values / 15, atol=1e-6)
    coarse = _map(np.arange(2 * 2 * 2.0).reshape(2, 2, 2), series)
    assert ranks.difference(coarse, _map(values, series)).values.shape == (4, 2, 2)


def test_maps_of_two_series_have_no_difference() -> None:
    values = np.zeros((1, 2, 2))
    with pytest.raises(ValueError, match="one series"):
        ranks.difference(_map(values, _series()), _map(values, _series()))
