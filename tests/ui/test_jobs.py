# SPDX-License-Identifier: Apache-2.0
"""Latest request wins; what comes late is dropped; nothing outlives `close`."""

import threading
import time
from collections.abc import Iterator

import pytest

from viewer.errors import SeriesError
from viewer.task import Progress, Task
from viewer.ui.jobs import Jobs


@pytest.fixture
def jobs(qtbot) -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("whyscope ")]


def never(_answer: object) -> None:
    raise AssertionError("this answer must not arrive")


def test_a_result_arrives_on_the_gui_thread(jobs: Jobs, qtbot) -> None:
    seen: list[object] = []
    here = threading.get_ident()
    jobs.run(
        "io",
        "read",
        lambda _t: threading.get_ident(),
        lambda v: seen.extend((v, threading.get_ident())),
        never,
    )
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen[0] != here
    assert seen[1] == here
    assert not jobs.active("read")


def test_the_latest_request_wins(jobs: Jobs, qtbot) -> None:
    started, go, seen = threading.Event(), threading.Event(), []

    def slow(_task: Task) -> str:
        started.set()
        go.wait(5)
        return "old"  # a job that does not notice that it was cancelled

    jobs.run("model", "explain", slow, never, never)
    started.wait(5)
    jobs.run("model", "explain", lambda _t: "new", seen.append, never)
    go.set()
    qtbot.waitUntil(lambda: seen == ["new"])
    qtbot.wait(50)
    assert seen == ["new"]


def test_a_cancelled_job_stops_at_its_next_check_and_says_nothing(jobs: Jobs, qtbot) -> None:
    steps: list[int] = []

    def work(task: Task) -> None:
        for i in range(1000):
            steps.append(i)
            task.check()
            time.sleep(0.005)

    jobs.run("model", "explain", work, never, never)
    qtbot.waitUntil(lambda: len(steps) > 2)
    assert jobs.cancel("explain")
    count = len(steps)
    qtbot.wait(60)
    assert len(steps) <= count + 2


def test_what_hangs_aside_keeps_nobody_waiting(qapp, qtbot) -> None:
    made, go, seen = Jobs(), threading.Event(), []
    made.run("aside", "look", lambda _t: go.wait(20), never, never)
    made.run("io", "slice", lambda _t: None, lambda _v: seen.append("io"), never)
    qtbot.waitUntil(lambda: seen == ["io"])
    made.close()
    (left,) = [t for t in threading.enumerate() if t.name.startswith("whyscope ")]
    go.set()
    left.join(5)
    assert not left.is_alive()


def test_kinds_and_lanes_do_not_disturb_each_other(jobs: Jobs, qtbot) -> None:
    go, seen = threading.Event(), []
    jobs.run("model", "explain", lambda _t: go.wait(5), lambda _v: seen.append("model"), never)
    jobs.run("io", "slice", lambda _t: None, lambda _v: seen.append("io"), never)
    qtbot.waitUntil(lambda: seen == ["io"])
    go.set()
    qtbot.waitUntil(lambda: seen == ["io", "model"])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SeriesError("No slice."), "No slice."),
        (KeyError("x"), "This went wrong inside the program: KeyError: 'x'"),
    ],
)
def test_a_fault_is_a_sentence_and_the_worker_goes_on(jobs: Jobs, qtbot, error: Exception, told: str) -> None:
    seen: list[str] = []

    def work(_task: Task) -> None:
        raise error

    jobs.run("io", "read", work, never, seen.append)
    qtbot.waitUntil(lambda: seen == [told])
    jobs.run("io", "read", lambda _t: "fine", seen.append, never)
    qtbot.waitUntil(lambda: seen[1:] == ["fine"])


def test_progress_is_told_not_too_often_and_never_after_the_end(jobs: Jobs, qtbot) -> None:
    told: list[Progress] = []
    seen: list[object] = []

    def work(task: Task) -> None:
        for i in range(2000):
            task.progress(i, 2000, "counting")
        time.sleep(0.06)
        task.progress(1999, 2000, "counting")

    jobs.run("model", "explain", work, seen.append, never, told.append)
    qtbot.waitUntil(lambda: seen == [None])
    count = len(told)
    assert 1 <= count <= 20
    qtbot.wait(30)
    assert len(told) == count


def test_closing_does_not_wait_for_what_nobody_wants(qtbot) -> None:
    made = Jobs()
    stopped = threading.Event()

    def work(task: Task) -> None:
        try:
            while True:
                task.check()
                time.sleep(0.005)
        finally:
            stopped.set()

    made.run("model", "explain", work, never, never)
    made.run("model", "profile", lambda _t: None, never, never)
    qtbot.wait(20)
    made.close()
    assert stopped.is_set()


def test_a_job_tells_something_before_its_end_and_not_after_it_was_cancelled(jobs: Jobs, qtbot) -> None:
    seen: list[object] = []
    go = threading.Event()

    def work(task: Task) -> str:
        jobs.report(task, seen.append, "first")
        go.wait(5)
        jobs.report(task, never, "late")
        return "end"

    jobs.run("io", "scan", work, never, never)
    qtbot.waitUntil(lambda: seen == ["first"])
    jobs.cancel("scan")
    go.set()
    qtbot.wait(50)
    assert seen == ["first"]
