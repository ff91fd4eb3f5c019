# SPDX-License-Identifier: Apache-2.0
"""What is kept is what was computed from this very input, and no more of it than there is room for."""

import numpy as np

from viewer.ui.kept import Kept, OfArrays


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    kept: Kept[str] = Kept(30)
    for key in "abc":
        kept.put(key, key.upper(), 10)
    assert kept.get("a") == "A"
    kept.put("d", "D", 10)
    assert [kept.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    kept.put("d", "D again", 100)
    assert [kept.get(key) for key in "acd"] == [None, None, "D again"]
    kept.clear()
    assert kept.get("d") is None


def test_an_array_is_told_by_itself_and_not_by_its_place() -> None:
    """A new array often lies where an old one was, with the same number: it must not get its picture."""
    kept: OfArrays[float] = OfArrays(10**6)
    for value in range(50):
        source = np.full((30, 30), value)
        mean = lambda source=source: (float(source.mean()), 8)  # noqa: E731
        assert [kept.get(source, "mean", mean) for _ in range(2)] == [value, value]


def test_it_is_made_once_for_each_manner() -> None:
    kept: OfArrays[int] = OfArrays(10**6)
    made: list[str] = []

    def make() -> tuple[int, int]:
        made.append("made")
        return len(made), 8

    source = np.zeros(3)
    assert [kept.get(source, how, make) for how in ("one", "one", "other", "one")] == [1, 1, 2, 1]
