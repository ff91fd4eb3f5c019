# SPDX-License-Identifier: Apache-2.0
"""Where a network that reads patches looks: at a place that the reader gives, in the middle, or all over."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from viewer import affine
from viewer.errors import ModelError, WhyscopeError
from viewer.overlay.outline import Box, box_field
from viewer.planes import Point, within
from viewer.types import Array, Field, Sweep
from viewer.ui.commands import Bindings
from viewer.ui.presenter import boxes
from viewer.ui.presenter.display import Displaying
from viewer.ui.presenter.maps import Maps
from viewer.ui.presenter.mpr import MPR
from viewer.ui.presenter.slices import Scrolling
from viewer.ui.presenter.store import Store
from viewer.ui.state import NOWHERE, Notice, SearchSize, ViewState, position_of, reply
from viewer.ui.views.captions import best_blocks, chosen_block, search_words

_WHOLE_INPUT = "This model reads the whole image, so there is no patch to place."


class Patches:
    """Turns a place on the screen into what the model is shown, and says where its border lies."""

    def __init__(self, store: Store, maps: Maps, display: Displaying, mpr: MPR, slices: Scrolling) -> None:
        self._store = store
        self._maps = maps
        self._display = display
        self._mpr = mpr
        self._slices = slices
        self._last: tuple[tuple[object, ...], Field | None] = ((), None)
        self._counted: tuple[tuple[object, ...], int | None] = ((), None)
        self._boxed: tuple[Box | None, Field | None] = (None, None)

    @property
    def _state(self) -> ViewState:
        return self._store.state

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        return {"explain": self.explain, "place-patch": self.place_here, "middle-patch": self.middle}

    # --- following --------------------------------------------------------------------------------

    def follows(self, state: ViewState) -> Mapping[str, Any]:
        """The field of a state that is about to be shown, and how large its sweep is: of its own place."""
        return {"patch": self._field(state), "search": self._size(state), "searched": self._searched(state)}

    def ask(self, state: ViewState) -> None:
        """Nothing: a field is known at once."""

    def _reads(self, state: ViewState) -> bool:
        """Whether the model reads a patch of the shown series."""
        model = state.answer.model
        patch = model is not None and model.patch is not None and state.answer.gate != "outside"
        return patch and state.view.series is not None and state.view.number is not None

    def _field(self, state: ViewState) -> Field | None:
        """Where the patch lies that the model reads; of a sweep, once it has been, the best one chosen."""
        model, series, at = self._maps.model, state.view.series, state.at
        if model is None or series is None or not self._reads(state):
            return None
        if isinstance(at, Sweep):
            block = chosen_block(state)
            return None if block is None else block.field
        place = position_of(state)
        if (model, series, place) != self._last[0]:
            found: Field | None = None
            try:
                found = model.field(series, place.slice, at)
            except ModelError:
                found = None  # the run says why
            self._last = (model, series, place), found
        return self._last[1]

    def _searched(self, state: ViewState) -> Field | None:
        """Where the box lies that is searched."""
        box = state.request.box if self._reads(state) else None
        if box != self._boxed[0]:
            self._boxed = box, None if box is None else box_field(box)
        return self._boxed[1]

    def _size(self, state: ViewState) -> SearchSize | None:
        """How many blocks the wished sweep has, and what one takes; None of one block, or of nowhere."""
        model, series, at = self._maps.model, state.view.series, state.at
        if model is None or series is None or not isinstance(at, Sweep) or at == NOWHERE:
            return None
        if not self._reads(state):
            return None
        key = (model, series, at)
        if key != self._counted[0]:
            try:
                self._counted = key, model.blocks(series, at)
            except WhyscopeError:
                self._counted = key, None  # the run says why
        count = self._counted[1]
        return None if count is None else SearchSize(count, self._maps.seconds.get(state.request.method))

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
            self._store.show(notice=reply(said))

    def middle(self) -> None:
        """Put it in the middle of the image again."""
        if self._ready():
            self._display.look(None)

    def sweep(self, over: str | Box | None) -> None:
        """Lay patches over all of a slice or volume (`WHOLE`), the region of a source or a box; None: one."""
        if self._ready():
            self._display.look(self._state.request.placed, over)

    def draw_box(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        """Search the box about a rectangle on the shown slice, from (row, column) to (row, column)."""
        self._draw(*boxes.from_slice(self._state.view.slice, np.array([first, last])))

    def draw_box_in(self, first: Point, last: Point, normal: Array) -> None:
        """The same of a rectangle in a plane with this normal, between two LPS positions."""
        series = self._state.view.series
        if series is not None:
            self._draw(*boxes.from_plane(series, first, last, normal))

    def choose_slices(self, first: int, last: int) -> None:
        """Let the box that is searched go from one slice to another."""
        series, box = self._state.view.series, self._state.request.box
        if series is not None and box is not None:
            self._display.look(self._state.request.placed, boxes.with_slices(series, box, first, last))

    def _draw(self, corners: Array, open_axis: int) -> None:
        series, model = self._state.view.series, self._maps.model
        if not self._ready() or series is None or model is None:
            return
        place = np.clip(corners.mean(axis=0), 0, np.array(series.shape) - 1)
        depth = series.shape[0]  # a network of slices searches the same rows and columns of every one
        if self._state.answer.model is not None and self._state.answer.model.volume:
            try:
                depth = round(model.field(series, None, tuple(place)).extent[open_axis])
            except ModelError:
                return  # the run of one block says why
        box = boxes.drawn(series, corners, open_axis, self._state.request.box, depth)
        self._display.look(self._state.request.placed, box)

    def show_block(self, number: int) -> None:
        """Go to one of the best blocks: its slice, the crosshair, and its border around it."""
        state, series = self._state, self._state.view.series
        blocks = best_blocks(state)
        if series is None or not 0 <= number < len(blocks):
            return
        place = blocks[number].place
        self._store.note(best=number)
        if state.three:
            slice, row, column = (round(i) for i in place)
            self._mpr.mark(_point(series.geometry.matrix, (slice, row, column)))
        slice = min(max(round(place[0]), 0), series.shape[0] - 1)
        if slice != self._state.view.slice:
            self._slices.go_to(slice)
        else:
            self._store.show()

    def explain(self) -> None:
        """Run the chosen method; of a long search it is said how long it takes, and a button starts it."""
        if self._state.long:
            self._store.show(
                notice=Notice(search_words(self._state), "info", "Start the search", "start", about="reply")
            )
        else:
            self._display.explain()

    def search_finer(self) -> None:
        """Search a grid that is fine enough for the network; what the coarse one found stays until then."""
        self._display.explain(finer=True)

    def _ready(self) -> bool:
        """Whether there is a patch to place; says why not."""
        state = self._state
        if state.answer.model is not None and state.answer.model.patch is None:
            self._store.show(notice=reply(_WHOLE_INPUT))
        elif state.answer.model is None:
            self._store.show(notice=reply("Open a model that reads a patch first."))
        elif state.view.series is None or state.view.number is None:
            self._store.show(notice=reply("Open an image first."))
        else:
            return True
        return False


def _point(matrix: affine.Matrix, voxel: tuple[int, int, int]) -> Point:
    x, y, z = (float(v) for v in affine.apply(matrix, np.asarray(voxel)))
    return (x, y, z)
