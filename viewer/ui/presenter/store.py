# SPDX-License-Identifier: Apache-2.0
"""The one frozen state of the window, what follows from it, and the view that shows it."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from viewer.task import Progress
from viewer.ui.state import Busy, Notice, ViewState, messages

_Work = Literal["reading", "loading", "busy", "writing"]
"""What may go on at once, each by its field of the state."""


class WindowView(Protocol):
    """The window, as far as those who decide know it."""

    def show_state(self, state: ViewState) -> None: ...


class _Part(Protocol):
    """One of those who decide."""

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """What follows from a state that is about to be shown: changes shown with it. Asks for no work."""

    def ask(self, state: ViewState) -> None:
        """Ask for the work that a state wants, now that it is shown; cancel what nobody wants any more."""


class Store:
    """What the parts of the presenter share: they change the state, the view shows it."""

    def __init__(self, view: WindowView) -> None:
        self.state = ViewState()
        self.parts: tuple[_Part, ...] = ()
        """In the order in which one follows from the other."""
        self.problem: str | None = None
        """The first sentence on something that was asked for and could not be done."""
        self._view = view
        self._shown: ViewState | None = None

    def note(self, **changes: Any) -> None:
        """Change the state without showing it: more follows before anything may be seen.

        A `notice` is one more message, and None the next after the one that is shown; see `state.messages`.
        """
        if "notice" in changes and "waiting" not in changes:
            notice, shell = changes.pop("notice"), self.state.shell
            changes |= messages.dismissed(shell) if notice is None else messages.said(shell, notice)
        self.state = self.state.changed(**changes)

    def settle(self) -> ViewState:
        """Add what follows from the state; it is still not shown."""
        for part in self.parts:
            self.note(**part.follows(self.state))
        return self.state

    def show(self, **changes: Any) -> None:
        """Change the state and show it with what follows from it; then work is asked for."""
        self.note(**changes)
        self.settle()
        self.show_settled()

    def show_settled(self) -> None:
        """Show a state to which nothing was added since it settled, unless it is shown; then ask for work."""
        state = self.state
        if state is not self._shown:
            self._shown = state
            self._view.show_state(state)
        for part in self.parts:
            part.ask(state)

    def lasting(self, but: str = "", then: Notice | None = None) -> dict[str, Any]:
        """Changes to the messages that stay, without those about a matter that is over; `then` one more."""
        changes = messages.lasting(self.state.shell, but)
        return changes if then is None else changes | messages.said(self.state.changed(**changes).shell, then)

    def failed(self, sentence: str, work: _Work = "busy") -> None:
        """A job ended with a sentence for the reader."""
        self.could_not(sentence, **{work: None})

    def could_not(self, sentence: str, **changes: Any) -> None:
        """Warn that something that was asked for could not be done: a picture of the window is then an error.

        The one place that does.
        """
        self.problem = self.problem or sentence
        self.show(**{"notice": Notice(sentence, "warning"), **changes})

    def progress(self, step: Progress, work: _Work = "busy") -> None:
        """A job came so far."""
        self.show(**{work: Busy(step.doing, step.done, step.total)})
