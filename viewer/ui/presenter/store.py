"""The one frozen state of the window, and the view that shows it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from viewer.task import Progress
from viewer.ui.state import Busy, Notice, ViewState


class View(Protocol):
    """The window, as far as those who decide know it."""

    def show_state(self, state: ViewState) -> None: ...


class Store:
    """What the parts of the presenter share: they change it, the view shows it."""

    def __init__(self, view: View) -> None:
        self.state = ViewState()
        self._view = view
        self.completions: list[Callable[[ViewState], Mapping[str, Any]]] = []
        """What follows from a state that is about to be shown, in this order: changes shown with it."""

    def note(self, **changes: Any) -> None:
        """Change the state without showing it: more follows before anything may be seen."""
        self.state = self.state.changed(**changes)

    def show(self, **changes: Any) -> None:
        """Change the state and show it."""
        self.note(**changes)
        for completed in self.completions:
            self.note(**completed(self.state))
        self._view.show_state(self.state)

    @property
    def lasting(self) -> Notice | None:
        """The notice, where it is one that nothing that happens meanwhile may hide."""
        notice = self.state.shell.notice
        return notice if notice is not None and notice.stays else None

    def failed(self, sentence: str) -> None:
        """A job ended with a sentence for the reader."""
        self.show(busy=None, notice=Notice(sentence, "warning"))

    def progress(self, step: Progress) -> None:
        """A job came so far."""
        self.show(busy=Busy(step.doing, step.done, step.total))
