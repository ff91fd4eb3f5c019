# SPDX-License-Identifier: Apache-2.0
"""Work off the GUI thread: one worker for files, one for the model, one for what nobody waits for.

A new job of a kind cancels the one before it, and a result is delivered only while its request is
still the current one of its kind: what comes late is dropped, and can never land on another image.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

from PySide6.QtCore import QObject, Qt, Signal, Slot

from viewer.errors import WhyscopeError
from viewer.task import Cancelled, Progress, Task

Lane = Literal["io", "model", "aside"]
"""`aside` is for what may hang, such as a look at a drive that is not there: no image waits behind it."""
_PATIENCE = 0.5
"""Seconds that the end of the program waits for what is done aside."""
_REPORT_EVERY = 0.05
"""Seconds between two progress reports: more often nobody can see, and the GUI thread pays."""
_FIRST = "predict"
"""The kind that is done before whatever else waits: what the model says is wanted before why."""


@dataclass(eq=False)
class _Job:
    """One piece of work. `done`, `failed` and `progress` are called on the GUI thread."""

    lane: Lane
    kind: str
    work: Callable[[Task], Any]
    done: Callable[[Any], None]
    failed: Callable[[str], None]
    progress: Callable[[Progress], None] | None = None
    task: Task = field(default_factory=Task)


class Jobs(QObject):
    """All workers. Made, asked and closed on the GUI thread."""

    _arrived = Signal(object, object, object)
    _reported = Signal(object, object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._current: dict[str, _Job] = {}
        self._lanes = {name: _Worker(name, self._send) for name in ("io", "model", "aside")}
        self._arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._reported.connect(self._on_report, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        lane: Lane,
        kind: str,
        work: Callable[[Task], Any],
        done: Callable[[Any], None],
        failed: Callable[[str], None],
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """Do `work` on a lane; what is under way or waiting of the same kind is cancelled."""
        self.cancel(kind)
        job = _Job(lane, kind, work, done, failed, progress)
        job.task = Task(self._reporter(job))
        self._current[kind] = job
        self._lanes[lane].add(job)

    def report(self, task: Task, answer: Callable[[Any], None], value: Any) -> None:
        """Give something to the GUI thread from within a job, before its end; dropped as a result is."""
        task.check()
        self._reported.emit(task, answer, value)

    @Slot(object, object, object)
    def _on_report(self, task: Task, answer: Callable[[Any], None], value: Any) -> None:
        if any(job.task is task for job in self._current.values()):
            answer(value)

    def cancel(self, kind: str) -> bool:
        """Cancel the current job of a kind; whether there was one."""
        job = self._current.pop(kind, None)
        if job is not None:
            job.task.cancel()
        return job is not None

    def cancel_all(self, lane: Lane, but: str = "") -> None:
        """Cancel whatever waits or runs on a lane, `but` one kind."""
        for kind in [kind for kind, job in self._current.items() if job.lane == lane and kind != but]:
            self.cancel(kind)

    def active(self, kind: str) -> bool:
        """Whether a job of a kind waits or runs."""
        return kind in self._current

    @property
    def busy(self) -> bool:
        """Whether any job waits or runs."""
        return bool(self._current)

    def close(self) -> None:
        """Cancel everything and wait for the workers to end; not long for what may hang."""
        for kind in list(self._current):
            self.cancel(kind)
        for name, worker in self._lanes.items():
            worker.end(_PATIENCE if name == "aside" else None)

    def _reporter(self, job: _Job) -> Callable[[Progress], None] | None:
        if job.progress is None:
            return None
        last, doing = 0.0, ""

        def report(step: Progress) -> None:
            nonlocal last, doing
            if step.doing != doing or monotonic() - last >= _REPORT_EVERY:  # a long phase may say no more
                last, doing = monotonic(), step.doing
                self._arrived.emit(job, job.progress, step)

        return report

    def _send(self, job: _Job, answer: Callable[[Any], None] | None, value: Any) -> None:
        self._arrived.emit(job, answer, value)

    @Slot(object, object, object)
    def _deliver(self, job: _Job, answer: Callable[[Any], None] | None, value: Any) -> None:
        if self._current.get(job.kind) is not job:
            return
        if answer is not job.progress or answer is None:
            del self._current[job.kind]
        if answer is not None:
            answer(value)


class _Worker:
    """One thread that does jobs in the order in which they came, but scores first."""

    def __init__(self, name: str, send: Callable[[_Job, Callable[[Any], None] | None, Any], None]) -> None:
        self._deliver = send
        self._waiting: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=f"whyscope {name}", daemon=True)
        self._thread.start()

    def add(self, job: _Job) -> None:
        with self._ready:
            self._waiting.append(job)
            self._ready.notify()

    def end(self, patience: float | None = None) -> None:
        with self._ready:
            self._ending = True
            self._ready.notify()
        self._thread.join(patience)

    def _send(self, job: _Job, answer: Callable[[Any], None] | None, value: Any) -> None:
        if not self._ending:  # the window may be gone
            self._deliver(job, answer, value)

    def _work(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._ending)
                if self._ending:
                    return
                job = next((one for one in self._waiting if one.kind == _FIRST), self._waiting[0])
                self._waiting.remove(job)
            self._do(job)

    def _do(self, job: _Job) -> None:
        try:
            job.task.check()
            value = job.work(job.task)
        except Cancelled:
            self._send(job, None, None)
        except WhyscopeError as error:
            self._send(job, job.failed, str(error))
        except Exception as error:  # noqa: BLE001 - the job runner: a fault must not end the worker
            self._send(
                job, job.failed, f"This went wrong inside the program: {type(error).__name__}: {error}"
            )
        else:
            self._send(job, job.done, value)
