# SPDX-License-Identifier: Apache-2.0
"""What the reader prefers and has opened: changed here, shown with the state, saved behind the window."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from viewer import demo
from viewer.errors import WhyscopeError
from viewer.settings import MOST_RECENT, Preferences, Recent, Trusted
from viewer.task import Task
from viewer.ui.commands import BY_NAME, assigned, owner
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.preferences_file import PreferencesFile
from viewer.ui.presenter.store import Store
from viewer.ui.state import Notice

_RESERVED = {
    "Tab": "moves the keyboard from control to control",
    "Shift+Backtab": "moves the keyboard from control to control",
    "Backtab": "moves the keyboard from control to control",
    "Return": "presses the button that has the keyboard",
    "Enter": "presses the button that has the keyboard",
    "Space": "presses the button that has the keyboard",
}
"""What a window without a mouse needs."""
MOST_PATHS = 50
"""More files than this, opened at once, are not remembered."""


class ReaderPreferences:
    """The preferences of a window. Without a file they last as long as the window."""

    def __init__(self, store: Store, jobs: Jobs, preferences: Preferences, file: PreferencesFile | None):
        self._store = store
        self._jobs = jobs
        self._file = file
        self._unsaved = False
        store.note(preferences=preferences, masked=preferences.masked)

    @property
    def now(self) -> Preferences:
        """The preferences as they stand."""
        return self._store.state.shell.preferences

    def prefer(self, **changes: Any) -> None:
        """Change preferences; at once, and in the file as soon as the disk has time."""
        if changes.get("remember") is False:
            changes |= {"studies": (), "models": ()}
        preferences = replace(self.now, **changes)
        if preferences == self.now:
            return
        self._store.show(preferences=preferences)
        self._save()

    # --- keys -------------------------------------------------------------------------------------

    def set_key(self, command: str, key: str | None) -> str | None:
        """Give a command this key, or none; the sentence says why it cannot have it."""
        if key in _RESERVED:
            return f"{key} {_RESERVED[key]}; choose another key."
        keys = assigned(self.now.keys)
        other = None if key is None else owner(keys, key)
        if other is not None and other.name != command:
            return f"{key} already means “{other.title}”."
        self.prefer(keys={**self.now.keys, command: () if key is None else (key,)})
        return None

    def default_key(self, command: str) -> str | None:
        """Give a command its own keys again; the sentence says why it cannot have them."""
        rest = {name: keys for name, keys in self.now.keys.items() if name != command}
        keys = assigned(rest)
        for key in BY_NAME[command].keys:
            other = owner(keys, key)
            if other is not None and other.name != command:
                return f"{key} already means “{other.title}”."
        self.prefer(keys=rest)
        return None

    def default_keys(self) -> None:
        """All keys as they were."""
        self.prefer(keys={})

    # --- what was opened --------------------------------------------------------------------------

    def opened_study(self, paths: Sequence[Path]) -> None:
        """Remember a study, the newest first."""
        self._remember("studies", paths)

    def opened_model(self, path: Path) -> None:
        """Remember a model, the newest first."""
        self._remember("models", [path])

    def _remember(self, kind: str, paths: Sequence[Path]) -> None:
        brought = demo.folder()
        if not self.now.remember or not 0 < len(paths) <= MOST_PATHS:
            return
        if any(path.is_relative_to(brought) for path in paths):
            return  # the demo has an entry of its own
        names = tuple(str(path.absolute()) for path in paths)
        entry = Recent(names, datetime.now().isoformat(" ", "minutes"))
        before = (one for one in getattr(self.now, kind) if one.paths != names)
        self.prefer(**{kind: (entry, *before)[:MOST_RECENT]})
        self.look()

    def forget_recent(self) -> None:
        """Remember nothing of what was opened."""
        self.prefer(studies=(), models=())

    def look(self) -> None:
        """Find out, away from the window, which of what was opened is no longer there."""
        paths = {path for one in (*self.now.studies, *self.now.models) for path in one.paths}

        def work(task: Task) -> frozenset[str]:
            missing = set()
            for path in paths:
                task.check()
                if not _there(path):
                    missing.add(path)
            return frozenset(missing)

        def done(missing: frozenset[str]) -> None:
            if missing != self._store.state.shell.missing:
                self._store.show(missing=missing)

        if paths:
            self._jobs.run("aside", "look", work, done, lambda _sentence: None)

    # --- trust ------------------------------------------------------------------------------------

    def trust(self, decision: Trusted) -> None:
        """Remember that this code, beside these weights, may run."""
        rest = (one for one in self.now.trusted if one != decision)
        self.prefer(trusted=(decision, *rest))

    def forget_trusted(self) -> None:
        """Ask again before any code runs."""
        self.prefer(trusted=())

    # --- file -------------------------------------------------------------------------------------

    def _save(self) -> None:
        file, preferences = self._file, self.now
        if file is None:
            return
        self._unsaved = True

        def saved(_nothing: None) -> None:
            self._unsaved = False

        def failed(sentence: str) -> None:
            self._unsaved = False  # said once; the next change tries again
            self._store.show(notice=Notice(sentence, "warning"))

        self._jobs.run("aside", "preferences", lambda _task: file.save(preferences), saved, failed)

    def close(self) -> None:
        """Save what no worker has come to; when the workers have ended."""
        if self._unsaved and self._file is not None:
            try:
                self._file.save(self.now)
            except WhyscopeError:
                return  # there is no window any more that could say so


def _there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
