# SPDX-License-Identifier: Apache-2.0
"""The bounded store and the memo of an object: what goes, what stays, and what two threads see."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewer.cache import Cache, Memo


def kept(cache: Cache[str, str]) -> str:
    """The keys that are there, without asking for them: that would make them the latest."""
    return " ".join(sorted(cache._found))


def test_the_one_not_asked_for_the_longest_goes() -> None:
    cache: Cache[str, str] = Cache(30)
    for key in "abc":
        cache.put(key, key.upper(), 10)
    assert cache.get("a") == "A"
    cache.put("d", "D", 10)
    assert kept(cache) == "a c d"
    assert (cache.used, len(cache)) == (30, 3)


def test_a_value_in_the_place_of_another_counts_once() -> None:
    cache: Cache[str, str] = Cache(30)
    cache.put("a", "small", 10)
    cache.put("b", "other", 20)
    cache.put("b", "larger", 15)
    assert (cache.used, cache.get("b")) == (25, "larger")
    cache.put("a", "whole", 30)
    assert kept(cache) == "a"
    assert (cache.used, cache.room) == (30, 30)


def test_what_fits_exactly_is_kept_and_a_byte_more_is_not() -> None:
    cache: Cache[str, str] = Cache(30)
    cache.put("a", "A", 10)
    cache.put("exact", "E", 30)
    assert kept(cache) == "exact"
    cache.put("huge", "H", 31)
    assert cache.get("huge") is None
    assert cache.get("exact") == "E"


def test_what_is_too_large_takes_the_place_of_what_it_was_to_replace() -> None:
    cache: Cache[str, str] = Cache(30)
    cache.put("a", "before", 10)
    cache.put("a", "after", 31)
    assert cache.get("a") is None  # never the value before
    assert cache.used == 0


def test_the_latest_may_be_kept_whatever_its_size_and_alone() -> None:
    cache: Cache[str, str] = Cache(30, latest=True)
    cache.put("a", "A", 10)
    cache.put("huge", "H", 1000)
    assert kept(cache) == "huge"
    assert cache.used == 30
    cache.put("b", "B", 10)
    assert kept(cache) == "b"


def test_clearing_forgets_all_and_leaves_the_bound() -> None:
    cache: Cache[str, str] = Cache(30)
    cache.put("a", "A", 30)
    cache.clear()
    assert (cache.get("a"), cache.used, cache.room, len(cache)) == (None, 0, 30, 0)
    cache.put("b", "B", 30)
    assert cache.get("b") == "B"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40), st.booleans()), max_size=60))
def test_it_does_what_an_ordered_dictionary_would(steps: list[tuple[str, int, bool]]) -> None:
    """The bound holds after every step, and the order is that of use."""
    cache: Cache[str, int] = Cache(100)
    plain: OrderedDict[str, int] = OrderedDict()
    for number, (key, size, asks) in enumerate(steps):
        if asks:
            assert (cache.get(key) is None) == (key not in plain)
            if key in plain:
                plain.move_to_end(key)
            continue
        cache.put(key, number, size)
        plain.pop(key, None)
        plain[key] = size
        while sum(plain.values()) > 100:
            plain.popitem(last=False)
        assert cache.used == sum(plain.values()) <= 100
    assert sorted(key for key in "abcdef" if key in cache._found) == sorted(plain)


def test_many_threads_leave_the_bound_whole() -> None:
    cache: Cache[int, bytes] = Cache(1000)

    def work(own: int) -> None:
        for number in range(400):
            cache.put((own * 400 + number) % 90, b"", 25 + own)
            cache.get(number % 90)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [None] * 6
    assert cache.used == sum(cache._found.getsizeof(pair) for pair in dict(cache._found).values()) <= 1000


def test_what_is_known_is_found_out_once_and_a_failure_is_not_kept() -> None:
    memo, asked = Memo(), []

    def find() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("not yet")
        return len(asked)

    with pytest.raises(ValueError, match="not yet"):
        memo.get("count", find)
    assert [memo.get("count", find) for _ in range(3)] == [2, 2, 2]
    assert memo.get("another", lambda: None) is None
    assert memo.get("another", lambda: 1) is None  # None is an answer, too


def test_two_who_ask_at_once_are_given_the_same() -> None:
    memo, both = Memo(), threading.Barrier(2)

    def find() -> object:
        both.wait(10)
        return object()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: memo.get("it", find), range(2))
    assert first is second
