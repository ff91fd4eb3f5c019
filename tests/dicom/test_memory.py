# SPDX-License-Identifier: Apache-2.0
"""Slices kept within one bound: what goes, what stays, and what counts once."""

import gc
import threading
import weakref
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viewer.dicom.decode import Slices
from viewer.dicom.memory import SliceMemory


def array(size: int, value: int = 0) -> np.ndarray:
    return np.full(size, value, np.uint8)


def held(memory: SliceMemory, owner: str, keys: str) -> str:
    return "".join(key for key in keys if memory.get(owner, key) is not None)


def test_one_bound_for_all_owners_and_the_oldest_go() -> None:
    memory = SliceMemory(30)
    for owner in "xyz":
        memory.put(owner, "a", owner, [array(10)])
    assert memory.get("x", "a") == "x"
    memory.put("x", "b", "X", [array(10)])
    assert [memory.get(owner, "a") for owner in "xyz"] == ["x", None, "z"]
    assert (memory.used, memory.room) == (30, 30)


def test_what_is_pinned_and_what_came_last_stay() -> None:
    memory = SliceMemory(30)
    memory.pin("x", "a")
    for key in "abcdef":
        memory.put("x", key, key, [array(10)])
    assert held(memory, "x", "abcdef") == "aef"
    memory.put("y", "large", 1, [array(100)])
    assert memory.get("y", "large") == 1
    assert held(memory, "x", "abcdef") == "a"
    assert memory.get("y", "large") == 1
    memory.pin("x", "b")
    memory.resize(0)
    assert memory.get("x", "a") is None
    assert memory.get("y", "large") == 1  # the last


def test_an_array_in_two_values_counts_once() -> None:
    memory, shared = SliceMemory(100), array(40)
    memory.put("x", "a", 1, [shared])
    memory.put("y", "a", 2, [shared, shared[::2], array(10)])
    assert memory.used == 50
    memory.forget("x")
    assert memory.used == 50
    memory.put("y", "a", 3, [array(5)])
    assert memory.used == 5
    memory.forget("y")
    assert memory.used == 0


def test_a_series_that_nobody_has_any_more_is_let_go() -> None:
    memory = SliceMemory(1000)
    slices = Slices(lambda i: array(10, i).reshape(2, 5), (4, 2, 5), np.dtype(np.uint8), ("f",) * 4, memory)
    list(slices)
    assert memory.used == 40
    gone = weakref.ref(slices)
    del slices
    gc.collect()
    assert gone() is None
    memory.put("other", 1, 1, [array(3)])
    assert memory.used == 3


def test_two_series_share_a_bound_smaller_than_either() -> None:
    memory = SliceMemory(35)
    made = [
        Slices(
            partial(lambda k, i: array(10, 10 * k + i).reshape(2, 5), k),
            (9, 2, 5),
            np.dtype(np.uint8),
            ("f",) * 9,
            memory,
        )
        for k in range(2)
    ]
    for i in range(9):
        for k, slices in enumerate(made):
            assert int(slices[i][0, 0]) == 10 * k + i
            assert memory.used <= 35


DOINGS = st.sampled_from(["put", "get", "pin", "forget", "leave", "resize"])
STEPS = st.lists(st.tuples(DOINGS, st.sampled_from("xy"), st.integers(0, 5), st.integers(0, 40)), max_size=60)


@given(steps=STEPS)
def test_the_bound_holds_whatever_is_done(steps: list[tuple[str, str, int, int]]) -> None:
    memory, pinned = SliceMemory(60), dict[str, int]()
    sizes: dict[tuple[str, int], int] = {}
    for what, owner, key, size in steps:
        if what == "put":
            memory.put(owner, key, size, [array(size)])
            sizes[owner, key] = size
            least = size + sum(sizes.get((o, k), 0) for o, k in pinned.items() if (o, k) != (owner, key))
            assert memory.get(owner, key) == size
            assert memory.used <= max(memory.room, least)
        elif what == "get":
            assert memory.get(owner, key) in (None, sizes.get((owner, key)))
        elif what == "pin":
            pinned[owner] = key
            memory.pin(owner, key)
        elif what == "resize":
            memory.resize(3 * size)
        else:
            getattr(memory, what)(owner)
            pinned.pop(owner, None)
    memory.forget("x")
    memory.forget("y")
    assert memory.used == 0


def test_many_threads_do_not_lose_count() -> None:
    memory = SliceMemory(500)

    def work(owner: int) -> None:
        for i in range(400):
            memory.put(owner, i % 37, i, [array(10)])
            memory.get(owner, (i * 7) % 37)
            if i % 50 == 0:
                memory.forget(owner)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < memory.used <= 500
    for k in range(4):
        memory.forget(k)
    assert memory.used == 0
