# SPDX-License-Identifier: Apache-2.0
"""Localisation and faithfulness in numbers that are known without the code."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.trust import area, changed, first_cells, mass_in, peak_hit


def truth(shape: tuple[int, ...] = (10, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[..., 2:4, 5:8] = True
    return mask


@pytest.mark.parametrize(
    ("peak", "reach", "hit"),
    [
        ((2, 5), 0, True),
        ((3, 7), 0, True),
        ((4, 5), 0, False),
        ((4, 5), 1, True),
        ((1, 8), 1, True),
        ((1, 9), 1, False),
        ((1, 9), (1, 2), True),
        ((1, 9), (2, 1), False),
    ],
)
def test_a_peak_hits_the_truth_or_what_lies_beside_it(peak: tuple[int, int], reach: Any, hit: bool) -> None:
    values = np.full((10, 12), -3.0)
    values[peak] = 0.1
    assert peak_hit(values, truth(), reach) is hit


def test_a_map_without_a_positive_value_points_at_nothing() -> None:
    assert not peak_hit(-np.ones((10, 12)), truth())
    assert not peak_hit(np.zeros((10, 12)), truth(), 99)
    assert np.isnan(mass_in(-np.ones((10, 12)), truth()))


def test_a_plateau_is_one_peak_and_a_plain_is_none() -> None:
    values = np.zeros((10, 12))
    values[3:6, 7:10] = 2
    assert peak_hit(values, truth())
    assert not peak_hit(np.roll(values, 1, 1), truth())
    values[3:9, 3:10] = 2
    assert not peak_hit(values, truth(), 5)


def test_what_no_map_covers_does_not_count() -> None:
    values = np.full((10, 12), np.nan)
    values[2, 5], values[9, 9] = 1, 3
    assert mass_in(values, truth()) == 0.25
    assert not peak_hit(values, truth())
    assert peak_hit(-values + 4, truth())


def test_the_mass_is_that_of_the_positive_values() -> None:
    values = np.ones((10, 12))
    assert mass_in(values, truth()) == pytest.approx(6 / 120)
    values[~truth()] = -5
    assert mass_in(values, truth()) == 1
    volume = np.ones((4, 10, 12), np.float32)
    assert mass_in(volume, truth((4, 10, 12))) == pytest.approx(24 / 480)


def test_grids_that_differ_and_no_truth_are_refused() -> None:
    for check in (peak_hit, mass_in):
        with pytest.raises(ValueError, match="not on one grid"):
            check(np.ones((10, 11)), truth())
        with pytest.raises(ValueError, match="no truth"):
            check(np.ones((10, 12)), np.zeros((10, 12), bool))


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_cells_come_in_the_order_of_their_values_in_equal_shares(steps: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 9, (5, 7)).astype(float)
    cells = first_cells(values, steps)
    assert cells.shape == (steps + 1, 5, 7)
    assert not cells[0].any()
    assert cells[-1].all()
    for k, some in enumerate(cells):
        assert abs(some.sum() - 35 * k / steps) <= 0.5
        if 0 < some.sum() < 35:
            assert values[some].min() >= values[~some].max()
        if k:
            assert (cells[k - 1] <= some).all()


def test_deletion_and_insertion_of_a_sum_are_closed_forms() -> None:
    """Of a score that adds up the pixels, one by one in the order of their values."""
    image = np.arange(10, 0, -1.0).reshape(1, 2, 5)
    cells = first_cells(image[0], 10)
    empty = np.zeros_like(image)
    deleted = changed(image, empty, cells, insertion=False).sum((1, 2, 3))
    inserted = changed(image, empty, cells, insertion=True).sum((1, 2, 3))
    assert deleted.tolist() == [55, 45, 36, 28, 21, 15, 10, 6, 3, 1, 0]
    assert (inserted + deleted == 55).all()
    assert area(deleted) == pytest.approx((sum(deleted) - 27.5) / 10)
    assert area(inserted) == pytest.approx(55 - area(deleted))
    worst = changed(image, empty, first_cells(-image[0], 10), insertion=False).sum((1, 2, 3))
    assert area(worst) == pytest.approx(area(inserted))


def test_the_area_is_that_of_trapezoids() -> None:
    assert area(np.array([1.0, 1, 1])) == 1
    assert area(np.linspace(0, 1, 7)) == pytest.approx(0.5)
    assert area(np.array([1.0, 0, 0])) == 0.25
    with pytest.raises(ValueError, match="two points"):
        area(np.ones(1))
    with pytest.raises(ValueError, match="one step"):
        first_cells(np.ones(3), 0)


def test_nan_comes_last() -> None:
    assert first_cells(np.array([np.nan, -5.0, 2.0]), 3)[1:].tolist() == [
        [False, False, True],
        [False, True, True],
        [True, True, True],
    ]
