# SPDX-License-Identifier: Apache-2.0
"""A presenter without a window: a spec'd mock view, real workers."""

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from viewer.settings import Settings
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.presenter import Presenter
from viewer.ui.presenter.store import WindowView
from viewer.ui.state import ViewState

QUIET = 2.0
"""Seconds without a job and without a new state after which nothing more will come."""
LONGEST = 60.0
"""Seconds that work may take, on a machine that others use."""


class Desk:
    """A presenter, and every state that it showed."""

    def __init__(self, qtbot) -> None:
        self.view = create_autospec(WindowView, instance=True)
        self.shown: list[ViewState] = []
        self.view.show_state.side_effect = self.shown.append
        self.jobs: Any = Jobs()  # a test may put a mock in the place of its methods
        self.presenter = Presenter(self.view, self.jobs, Settings(device="cpu"))
        self.qtbot = qtbot

    @property
    def state(self) -> ViewState:
        return self.presenter.state

    def wait(self, until: Callable[[ViewState], object]) -> ViewState:
        """The first state of which a condition holds; fails once nothing is left that could bring it."""
        begun = quiet = time.monotonic()
        seen = 0
        while not until(self.state):
            now = time.monotonic()
            if self.jobs.busy or len(self.shown) != seen:
                quiet, seen = now, len(self.shown)
            if now > min(quiet + QUIET, begun + LONGEST):
                under_way = ", ".join(self.jobs._current) or "nothing"
                pytest.fail(
                    f"never true: {inspect.getsource(until).strip()}\n{under_way} under way, "
                    f"busy: {self.state.shell.busy}, notice: {self.state.shell.notice}"
                )
            self.qtbot.wait(5)
        return self.state

    def explained(self, study: Path, model: Path) -> ViewState:
        self.presenter.studies.open([study])
        self.wait(lambda s: s.view.values is not None)
        self.presenter.explaining.load_model(model)
        return self.wait(lambda s: s.answer.attribution is not None and s.shell.busy is None)

    def at_rest(self) -> None:
        self.wait(lambda _s: not self.jobs.busy)
