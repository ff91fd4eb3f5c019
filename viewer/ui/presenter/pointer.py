# SPDX-License-Identifier: Apache-2.0
"""What lies under the pointer: native values of the image, and of the map for as long as that is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from viewer.overlay import native_value
from viewer.types import LoadedMap
from viewer.ui.presenter.slices import Scrolling
from viewer.ui.presenter.store import Store
from viewer.ui.state import Probed, ViewState


class Pointer:
    """Reads the pixel under the pointer, which may rest there while another map comes."""

    def __init__(self, store: Store, slices: Scrolling) -> None:
        self._store = store
        self._slices = slices

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The map's value under the pointer, of the map that a state draws, or none."""
        probed = state.shell.probed
        if probed is None:
            return {}
        value = _map_value(state, probed)
        return {} if value == probed.map else {"probed": replace(probed, map=value)}

    def ask(self, state: ViewState) -> None:
        """Nothing: what is shown is in memory."""

    def point(self, row: float | None, column: float | None) -> None:
        """Say what lies at a place of the shown slice; beside the image and without a place, nothing."""
        view, kept = self._store.state.view, self._slices.shown
        if row is None or column is None or view.values is None or view.series is None:
            self._store.show(probed=None)
            return
        r, c = round(row), round(column)
        if not (0 <= r < view.values.shape[0] and 0 <= c < view.values.shape[1]):
            self._store.show(probed=None)
            return
        raw = "" if kept is None else str(kept.stored[r, c])
        value = f"{view.values[r, c]:g} {view.series.display.unit}".strip() if not view.series.colour else ""
        region = view.series.geometry.region_at(r, c)
        if region is not None:
            value = " · ".join(text for text in (value, f"1 px is {region.words}") if text)
        self._store.show(probed=Probed(r, c, raw, value, ""))


def _map_value(state: ViewState, probed: Probed) -> str:
    """The value of the drawn map at a voxel, in words."""
    shown = state.shown if state.map_shown else None
    slice = state.view.slice if probed.slice is None else probed.slice
    native = None if shown is None else native_value(shown, (slice, probed.row, probed.column))
    # The unit of an attribution stands at its colour bar, in words.
    unit = shown.unit if isinstance(shown, LoadedMap) else ""
    return "" if native is None or not isfinite(native) else f"{native:+.3g} {unit}".strip()
