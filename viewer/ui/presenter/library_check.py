# SPDX-License-Identifier: Apache-2.0
"""The drawn map beside the same method by captum or grad-cam, when the reader asks for it."""

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from viewer.cache import Cache
from viewer.task import Task
from viewer.types import Array, Attribution, PeerCheck
from viewer.ui import engine
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.store import Store
from viewer.ui.state import Busy, ViewState

if TYPE_CHECKING:
    from viewer.models import Model

_JOB = "library check"
_ROOM, _SIZE = 2**20, 2**10
"""Bytes for what has been found, and what is counted for one map."""


class LibraryCheck:
    """Completes the states with what was found of their very map; it is wanted while that map is drawn."""

    def __init__(self, store: Store, jobs: Jobs, maps: Maps) -> None:
        self._store = store
        self._jobs = jobs
        self._maps = maps
        self._found: Cache[int, tuple[weakref.ref[Array], tuple[PeerCheck, ...]]] = Cache(_ROOM)
        self._under_way: tuple[Attribution, Busy] | None = None
        """The map that is checked, and what is said of that while it goes on."""

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """What is known of the drawn map; where another is drawn than the one being checked, that ends."""
        drawn = state.finished
        changes: dict[str, Any] = {"checks": () if drawn is None else self._known(drawn), "checking": False}
        if self._under_way is not None and state.shell.busy is self._under_way[1]:
            changes |= {"checking": True} if drawn is self._under_way[0] else {"busy": None}
        return changes

    def ask(self, state: ViewState) -> None:
        """Give up a check that nobody wants any more: another map is drawn, or something else was asked."""
        if not state.answer.checking:
            self._end()

    def check(self) -> bool:
        """Ask the libraries for the drawn map, or say why not; whether there is one that can be checked."""
        state, model = self._store.state, self._maps.model
        drawn = state.finished
        if drawn is None or model is None:
            self._store.could_not(_why_not(state))
            return False
        if state.answer.checks or state.answer.checking:
            return True
        if state.shell.under_way:
            self._store.could_not("The map can be checked when what is under way has ended.")
            return False
        self._run(model, drawn)
        return True

    def _run(self, model: "Model", drawn: Attribution) -> None:
        def done(found: tuple[PeerCheck, ...]) -> None:
            self._found.put(id(drawn.values), (weakref.ref(drawn.values), found), _SIZE)
            self._store.show(busy=None)

        self._under_way = drawn, Busy("checking")
        self._jobs.run("model", _JOB, lambda task: _checked(model, drawn, task), done, self._store.failed)
        self._store.show(busy=self._under_way[1], **self._store.lasting())

    def _end(self) -> None:
        if self._under_way is not None:
            self._under_way = None
            self._jobs.cancel(_JOB)

    def _known(self, drawn: Attribution) -> tuple[PeerCheck, ...]:
        """A map is told by its values: their number may come again after their end, and is then another's."""
        found = self._found.get(id(drawn.values))
        return () if found is None or found[0]() is not drawn.values else found[1]


def _why_not(state: ViewState) -> str:
    if state.regions.loaded is not None:
        return "This map came with the study; only what was computed here can be checked with a library."
    if state.answer.preview:
        return "The map is still being computed; it can be checked when it is done."
    return "There is no map to check yet; run a method first."


def _checked(model: "Model", drawn: Attribution, task: Task) -> tuple[PeerCheck, ...]:
    """Ask the libraries, on the model's worker; each is imported the first time that it is needed."""
    engine.start()
    from viewer import session

    method = drawn.explainer
    if type(method).peers is not session.Explainer.peers:  # type: ignore[attr-defined]
        # The grad-cam package knows methods at a layer only, and takes ten times as long to import.
        engine.bring("captum.attr", *(["pytorch_grad_cam"] if drawn.layer is not None else []))
        task.check()
    return session.peer(model, session.Explained(drawn.predictions, (drawn,)), task=task)
