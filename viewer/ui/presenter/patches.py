# SPDX-License-Identifier: Apache-2.0
"""Where a network that reads patches looks: at a place that the reader gives, in the middle, or all over."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from viewer import affine
from viewer.errors import ModelError
from viewer.planes import Point, within
from viewer.types import Field, Sweep
from viewer.ui.commands import Bindings
from viewer.ui.presenter.display import Displaying
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.mpr import MPR
from viewer.ui.presenter.store import Store
from viewer.ui.state import WHOLE, Notice, ViewState, position_of

_WHOLE_INPUT = "This model reads the whole image, so there is no patch to place."


class Patches:
    """Turns a place on the screen into what the model is shown, and says where its border lies."""

    def __init__(self, store: Store, maps: Maps, display: Displaying, mpr: MPR) -> None:
        self._store = store
        self._maps = maps
        self._display = display
        self._mpr = mpr
        self._last: tuple[tuple[object, ...], Field | None] = ((), None)

    @property
    def _state(self) -> ViewState:
        return self._store.state

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {"place-patch": self.place_here, "middle-patch": self.middle}

    # --- following --------------------------------------------------------------------------------

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The field of a state that is about to be shown: of its own place, or none."""
        return {"patch": self._field(state)}

    def ask(self, state: ViewState) -> None:
        """Nothing: a field is known at once."""

    def _field(self, state: ViewState) -> Field | None:
        """Where the patch lies that the model reads; of a region that is swept, once it has been."""
        model, series, at, shown = self._maps.model, state.view.series, state.at, state.answer.attribution
        reads = (
            state.answer.model is not None
            and state.answer.model.patch is not None
            and state.answer.gate != "outside"
        )
        # All of an image has no border but its own.
        if (
            model is None
            or series is None
            or state.view.number is None
            or not reads
            or state.request.swept == WHOLE
        ):
            return None
        place = position_of(state)
        key = (model, series, place, shown if isinstance(at, Sweep) else None)
        if key != self._last[0]:
            found: Field | None = None
            if not isinstance(at, Sweep):
                try:
                    found = model.field(series, place.slice, at)
                except ModelError:
                    found = None  # the run says why
            elif shown is not None:
                found = Field(shown.matrix, shown.values.shape)
            self._last = key, found
        return self._last[1]

    # --- wishes -----------------------------------------------------------------------------------

    def place(self, row: float, column: float) -> None:
        """Put the middle of the patch on a pixel of the shown slice, the nearest there is."""
        state = self._state
        if not self._ready() or state.view.series is None or state.answer.model is None:
            return
        most = state.view.series.shape[1:]
        r, c = (min(max(round(i), 0), n - 1) for i, n in zip((row, column), most, strict=True))
        self._display.look((state.view.slice, r, c) if state.answer.model.volume else (r, c))

    def place_at(self, point: Point) -> None:
        """Put it on the voxel at an LPS position, the nearest there is, and the crosshair with it."""
        series = self._state.view.series
        if not self._ready() or series is None:
            return
        point = within(series, point)
        _, row, column = affine.apply(affine.inverse(series.geometry.matrix), point)
        self._mpr.mark(point)  # which shows its slice
        self.place(float(row), float(column))

    def place_here(self) -> None:
        """Put it where the pointer is, else at the crosshair of the three planes."""
        state = self._state
        if not self._ready():
            return
        at, series = state.shell.probed, state.view.series
        if at is not None and series is not None:
            slice = state.view.slice if at.slice is None else at.slice
            if state.three:
                self.place_at(_point(series.geometry.matrix, (slice, at.row, at.column)))
            else:
                self.place(at.row, at.column)
        elif state.three and state.planes.crosshair is not None:
            self.place_at(state.planes.crosshair)
        else:
            said = "Point at the image and press the key, or hold Ctrl and click on it."
            self._store.show(notice=Notice(said))

    def middle(self) -> None:
        """Put it in the middle of the image again."""
        if self._ready():
            self._display.look(None)

    def sweep(self, over: str | None) -> None:
        """Lay patches over all of the slice or volume (`WHOLE`) or the region of this source; None: one."""
        if self._ready():
            self._display.look(self._state.request.placed, over)

    def _ready(self) -> bool:
        """Whether there is a patch to place; says why not."""
        state = self._state
        if state.answer.model is not None and state.answer.model.patch is None:
            self._store.show(notice=Notice(_WHOLE_INPUT))
        elif state.answer.model is None:
            self._store.show(notice=Notice("Open a model that reads a patch first."))
        elif state.view.series is None or state.view.number is None:
            self._store.show(notice=Notice("Open an image first."))
        else:
            return True
        return False


def _point(matrix: affine.Matrix, voxel: tuple[int, int, int]) -> Point:
    x, y, z = (float(v) for v in affine.apply(matrix, np.asarray(voxel)))
    return (x, y, z)
