# SPDX-License-Identifier: Apache-2.0
"""What is kept is what was computed from this very input, and no more of it than there is room for."""

import numpy as np

from viewer.cache import ArrayCache


def test_an_array_is_told_by_itself_and_not_by_its_place() -> None:
    """A new array often lies where an old one was, with the same number: it must not get its picture."""
    kept: ArrayCache[float] = ArrayCache(10**6)
    for value in range(50):
        source = np.full((30, 30), value)
        mean = lambda source=source: (float(source.mean()), 8)  # noqa: E731
        assert [kept.get(source, "mean", mean) for _ in range(2)] == [value, value]


def test_it_is_made_once_for_each_manner() -> None:
    kept: ArrayCache[int] = ArrayCache(10**6)
    made: list[str] = []

    def make() -> tuple[int, int]:
        made.append("made")
        return len(made), 8

    source = np.zeros(3)
    assert [kept.get(source, how, make) for how in ("one", "one", "other", "one")] == [1, 1, 2, 1]
