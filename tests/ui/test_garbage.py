# SPDX-License-Identifier: Apache-2.0
"""Python's search for garbage is put off while much comes, and goes on afterwards."""

import gc
import threading

import pytest

from viewer.ui import garbage


@pytest.fixture(autouse=True)
def _afterwards():
    yield
    gc.unfreeze()
    gc.enable()


def test_it_is_off_within_and_on_again_after_a_fault() -> None:
    seen = []

    def fail() -> None:
        with garbage.put_off():
            seen.append(gc.isenabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [False]
    assert gc.isenabled()


def test_the_last_of_several_lets_it_go_on() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with garbage.put_off():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with garbage.put_off():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


def test_only_many_objects_are_put_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.unfreeze()
    with garbage.put_off():
        few = [[] for _ in range(100)]
    assert gc.get_freeze_count() == 0
    monkeypatch.setattr(garbage, "MANY", 1000)
    with garbage.put_off():
        many = [[] for _ in range(5000)]
    assert gc.get_freeze_count() > 5000
    assert len(few) + len(many) == 5100
