# SPDX-License-Identifier: Apache-2.0
"""Progress and cancellation of long work, shared by every layer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

OPENING = (
    "starting the engine", "reading the file", "loading the weights", "building the network",
    "checking its outputs", "trying the model on made-up images", "finding its layers",
    "finding the methods that suit it",
)  # fmt: skip
"""The phases in which a model is opened, in order; a task that opens one is told each when it begins."""
ENGINE, READING, LOADING, BUILDING, CHECKING, TRYING, LAYERS, METHODS = OPENING


class Cancelled(BaseException):
    """The reader cancelled.

    A `BaseException`, so that a library's `except Exception` cannot swallow it.
    """


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is: `done` of `total` steps of the work named `doing`; `total` 0 means unknown."""

    done: int
    total: int
    doing: str


class Task:
    """One piece of long work: workers report and check, another thread may cancel.

    `report` and `announce` are called on the worker's thread. A task can be cancelled once and is not reused.
    """

    def __init__(
        self,
        report: Callable[[Progress], None] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._report = report
        self._announce = announce
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the work to stop; it raises `Cancelled` at its next check."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise `Cancelled` if the reader has cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def announce(self, sentence: str) -> None:
        """Say what comes that the reader did not ask for in so many words, and what it costs."""
        self.check()
        if self._announce is not None:
            self._announce(sentence)

    def progress(self, done: int, total: int, doing: str) -> None:
        """Report a step and check for cancellation."""
        self.check()
        if self._report is not None:
            self._report(Progress(done, total, doing))


class Subtask(Task):
    """A part of a task: what is said to it, and whether it is cancelled, is the whole's."""

    def __init__(self, whole: Task) -> None:
        super().__init__()
        self.whole = whole

    @property
    def cancelled(self) -> bool:
        return self.whole.cancelled

    def cancel(self) -> None:
        self.whole.cancel()

    def check(self) -> None:
        self.whole.check()

    def announce(self, sentence: str) -> None:
        self.whole.announce(sentence)

    def progress(self, done: int, total: int, doing: str) -> None:
        self.whole.progress(done, total, doing)
