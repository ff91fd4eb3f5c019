# SPDX-License-Identifier: Apache-2.0
"""What was changed in the drawing, step by step, so that it can be taken back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

ONE_MOVE = 0.6
"""Seconds within which changes of one kind are one step: a drag, the pull of a slider, a key held down."""
_MOST_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Values by name before and after; `where` is what they belong to."""

    kind: str
    where: object
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class History:
    """Steps that were made, and steps that were taken back."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._made: list[Step] = []
        self._back: list[Step] = []
        self._last = -ONE_MOVE

    def record(self, step: Step, joins: bool = False) -> None:
        """Note a step; one that `joins` continues the last one where it follows it at once."""
        now = self._clock()
        last = self._made[-1] if self._made and now - self._last < ONE_MOVE and not self._back else None
        if joins and last is not None and (last.kind, last.where) == (step.kind, step.where):
            self._made.pop()
            before, after = {**step.before, **last.before}, {**last.after, **step.after}
            step = Step(step.kind, step.where, before, after)
        self._last = now
        self._back.clear()
        if step.before != step.after:
            self._made.append(step)
            del self._made[:-_MOST_STEPS]

    def undo(self, applies: Callable[[Step], bool]) -> Step | None:
        """The last step, which is now taken back; steps that do not apply any more are passed over."""
        return self._move(self._made, self._back, applies)

    def redo(self, applies: Callable[[Step], bool]) -> Step | None:
        """The step that was taken back last, which is now made again."""
        return self._move(self._back, self._made, applies)

    def _move(self, origin: list[Step], goal: list[Step], applies: Callable[[Step], bool]) -> Step | None:
        self._last = -ONE_MOVE
        while origin:
            step = origin.pop()
            if applies(step):
                goal.append(step)
                return step
        return None

    def clear(self) -> None:
        """Forget all steps."""
        self._made.clear()
        self._back.clear()
