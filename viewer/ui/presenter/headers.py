# SPDX-License-Identifier: Apache-2.0
"""The header of the shown slice's file, read while somebody looks at it."""

from collections.abc import Mapping
from typing import Any

from viewer import dicom
from viewer.settings import Limits
from viewer.ui.jobs import Jobs
from viewer.ui.presenter.store import Store
from viewer.ui.state import ShownHeader, ViewState


class Headers:
    """Reads a header when it is asked for; the latest request wins."""

    def __init__(self, store: Store, jobs: Jobs, limits: Limits) -> None:
        self._store = store
        self._jobs = jobs
        self._limits = limits

    def limit(self, limits: Limits) -> None:
        """What a header may be."""
        self._limits = limits

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """No header of a series that is not shown any more."""
        header = state.shell.header
        return {"header": None} if header is not None and header.series is not state.view.series else {}

    def ask(self, state: ViewState) -> None:
        """Nothing: the dialogue asks, while it is open."""

    def look(self) -> None:
        """Show the header of the shown slice's file."""
        state, limits = self._store.state, self._limits
        series, slice = state.view.series, state.view.slice
        if series is None:
            return
        title = f"Image {slice + 1} of {series.shape[0]}"
        path = series.paths[slice] if series.frame_numbers else None  # of a picture there is none

        def read(rows: tuple[dicom.Row, ...]) -> None:
            words = title if rows else f"{title}: a picture has no header."
            self._store.show(header=ShownHeader(words, rows, series.identity, series))

        def failed(sentence: str) -> None:
            self._store.show(header=ShownHeader(sentence, (), series.identity, series))

        self._jobs.run(
            "io", "header", lambda _task: () if path is None else dicom.header(path, limits), read, failed
        )

    def leave(self) -> None:
        """Nobody looks any more."""
        self._jobs.cancel("header")
        self._store.show(header=None)
