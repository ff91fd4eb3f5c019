# SPDX-License-Identifier: Apache-2.0
"""How the image and its map are drawn: window, layout, style, where a patch lies, and taking that back."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from viewer.overlay import restyled
from viewer.overlay.outline import Box
from viewer.types import Array, Series, Window
from viewer.ui.commands import Bindings
from viewer.ui.presenter.companions import Companions, quantity
from viewer.ui.presenter.explaining import Explaining
from viewer.ui.presenter.history import History, Step
from viewer.ui.presenter.store import Store
from viewer.ui.state import UNFLIPPED, Seen, ViewState, reply
from viewer.wording import number

# Exact, so that the command line draws the same with their two numbers.
PRESETS = {
    2: Window(40, 400, "soft tissue", "LINEAR_EXACT"),
    3: Window(-600, 1500, "lung", "LINEAR_EXACT"),
    4: Window(400, 1800, "bone", "LINEAR_EXACT"),
    5: Window(40, 80, "brain", "LINEAR_EXACT"),
    6: Window(50, 350, "mediastinum", "LINEAR_EXACT"),
    7: Window(300, 600, "angiography", "LINEAR_EXACT"),
    8: Window(60, 160, "liver", "LINEAR_EXACT"),
}
_STYLE, _LOOK = "style", "look"
_OF_VALUES = ("range", "threshold")
"""What of a style depends on how large the values are."""


class Displaying:
    """Changes the drawing, and nothing else."""

    def __init__(
        self, store: Store, explaining: Explaining, companions: Companions, history: History | None = None
    ) -> None:
        self._store = store
        self._explaining = explaining
        self._companions = companions
        self._history = history or History()
        self._before_peek: bool | None = None

    @property
    def _state(self) -> ViewState:
        return self._store.state

    def commands(self) -> Bindings:
        """What keys and lists may ask of this part."""
        windows: Bindings = {f"window-{number}": partial(self.preset, number) for number in range(9)}
        layouts = {
            "one-view": "1", "two-views": "1|1", "three-planes": "3", "sheet": "sheet", "compare": "compare",
        }  # fmt: skip
        return {
            **windows,
            **{name: partial(self.choose_layout, layout) for name, layout in layouts.items()},
            "reset-image": self.reset,
            "invert": self.invert,
            "flip-sides": partial(self.flip, 0),
            "flip-ends": partial(self.flip, 1),
            "overlay": self.toggle_overlay,
            "hide-while-held": self.peek,
            "outlines": self.toggle_outlines,
            "annotations": self.toggle_annotations,
            "less-opacity": partial(self.change_opacity, -0.1),
            "more-opacity": partial(self.change_opacity, 0.1),
            "lock-range": lambda: self.lock_range(not self._state.views.locked),
            "undo": self.undo,
            "redo": self.redo,
        }

    # --- image ------------------------------------------------------------------------------------

    def drag_window(self, across: float, down: float) -> None:
        """Left drag: width by the way across, centre by the way down, in proportion to the width."""
        low, high = self._state.view.levels
        width, centre = high - low, (low + high) / 2
        width = max(width * (1 + 0.005 * across), 1e-3 * max(abs(centre), 1.0))
        window = Window(centre + 0.003 * width * down, width, "", "LINEAR_EXACT")
        self._change("drag", joins=True, window=window)

    def preset(self, number: int) -> None:
        """0 automatic, 1 the file's windows in turn, 2 to 8 presets in Hounsfield units."""
        values, series = self._state.view.values, self._state.view.series
        if values is None or series is None:
            return
        if series.colour:
            self._store.show(notice=reply("A colour image has no window."))
        elif number == 0:
            low, high = (float(v) for v in np.percentile(values[np.isfinite(values)], (1, 99)))
            window = Window((low + high) / 2, max(high - low, 1e-6), "auto", "LINEAR_EXACT")
            self._change("window", window=window)
        elif number == 1:
            self._change("window", window=self._next_of_file())
        elif number in PRESETS and series.modality != "CT" and series.display.unit != "HU":
            said = f"The window “{PRESETS[number].name}” is in Hounsfield units, and this image is not."
            self._store.show(notice=reply(said))
        elif number in PRESETS:
            self._change("window", window=PRESETS[number])

    def _next_of_file(self) -> Window | None:
        """The file's first window, as None; where one of them is shown already, the next."""
        state = self._state
        if state.view.series is None:
            return None
        display = state.view.series.display
        # A VOI table goes before the windows, as it does without a reader's wish (PS3.3 C.11.2).
        further = display.windows_of(state.view.slice)[0 if display.voi_lut is not None else 1 :]
        ring = (None, *further)
        return ring[(ring.index(state.view.window) + 1) % len(ring)] if state.view.window in ring else None

    def invert(self) -> None:
        self._change("invert", inverted=not self._state.view.inverted)

    def flip(self, axis: int) -> None:
        """Turn the slice over: 0 changes left and right, 1 top and bottom."""
        if self._state.three or self._state.views.layout == "sheet":
            said = "Only views of slices are flipped: planes and the contact sheet keep the patient's sides."
            self._store.show(notice=reply(said))
            return
        across, down = self._state.flips
        self._change("flip", flips=(not across, down) if axis == 0 else (across, not down))

    def choose_layout(self, layout: str) -> None:
        """Show one view, two, or the three planes of a volume."""
        if layout == "3" and self._state.planes.flat is not None:
            self._store.show(notice=reply(self._state.planes.flat))
        else:
            self._change("layout", layout=layout)

    def enlarge(self, place: int) -> None:
        """Show one view of the layout in the room of all, or all of them again; of one view make two."""
        views = self._state.views
        if len(views.views) == 1:
            self.choose_layout("1|1")
        else:
            self._change("layout", alone=None if views.alone is not None else place)

    def reset(self) -> None:
        """Show the image as it was opened: whole, unflipped, in the file's window."""
        series = self._state.view.series
        if series is not None:
            self._change("reset", seen=None, flips=UNFLIPPED, window=None, inverted=series.dark_first)

    def see(self, seen: Seen | None) -> None:
        """Show this part of the image in all views that are linked; None: the whole."""
        self._store.show(seen=seen)

    def activate(self, place: int) -> None:
        """Work with another of the views, where it is not linked with the active one."""
        views = self._state.views
        if views.views[place].group != views.view.group:
            self._store.show(active=place)

    # --- map --------------------------------------------------------------------------------------

    def toggle_overlay(self, shown: bool | None = None) -> None:
        self._change("overlay", overlay=not self._state.views.overlay if shown is None else shown)

    def peek(self, down: bool) -> None:
        """Hide the map for as long as a key is down; nothing that could be taken back."""
        if down:
            self._before_peek = self._state.views.overlay
            self._store.show(overlay=False)
        elif self._before_peek is not None:
            self._store.show(overlay=self._before_peek)
            self._before_peek = None

    def toggle_outlines(self) -> None:
        """Show or hide what the segmentations mark."""
        self._change("outlines", outlined=not self._state.views.outlined)

    def toggle_annotations(self) -> None:
        """Show or hide what the file lays over its image: overlays and shutter."""
        self._change("annotations", annotated=not self._state.views.annotated)

    def lock_range(self, locked: bool) -> None:
        self._change("lock", locked=locked)

    def set_style(self, name: str, value: Any) -> None:
        """Change how the map is drawn; the model is never asked."""
        old = self._state.views.style
        self._restyle({name: value})
        new = self._state.views.style
        changed = [f for f in type(new).__dataclass_fields__ if getattr(old, f) != getattr(new, f)]
        before, after = ({f: getattr(style, f) for f in changed} for style in (old, new))
        self._history.record(Step(f"{_STYLE} {name}", self._belongs(before), before, after), joins=True)
        if name == "sign" and old.range != new.range and self._state.shown is not None:
            low, high = (number(end) for end in new.range)
            text = f"Colours now run from {low} to {high}: another sign has a range of its own."
            self._store.show(notice=reply(text))

    def change_opacity(self, by: float) -> None:
        """More or less opacity, within 0 and 1."""
        self.set_style("opacity", round(min(max(self._state.views.style.opacity + by, 0.0), 1.0), 2))

    def look(self, placed: tuple[float, ...] | None, swept: str | Box | None = None) -> None:
        """Show the model another patch, or patches all over; `Explaining.look` says which."""
        before = {"placed": self._state.request.placed, "swept": self._state.request.swept}
        after = {"placed": placed, "swept": swept}
        self._history.record(Step(_LOOK, (_LOOK, self._state.answer.model), before, after))
        self._explaining.look(placed, swept)

    def explain(self, finer: bool = False) -> None:
        """Run the chosen method; see `Explaining.explain`."""
        self._explaining.explain(finer)

    # --- taking back ------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last change of the drawing."""
        step = self._history.undo(self._applies)
        if step is not None:
            self._apply(step, step.before)

    def redo(self) -> None:
        """Make again what was taken back last."""
        step = self._history.redo(self._applies)
        if step is not None:
            self._apply(step, step.after)

    def forget(self) -> None:
        """Another series: what was changed on the old one is past."""
        self._history.clear()

    def _belongs(self, changes: Mapping[str, Any]) -> object:
        """Which maps such changes of the style belong to: thresholds of others are in other units.

        Range and threshold of a preview end with it; where ranges are free, each map has its own.
        """
        state = self._state
        if state.regions.loaded is not None:
            return quantity(state.regions.loaded)
        of_values = any(name in changes for name in _OF_VALUES)
        alone = of_values and (state.answer.preview or not state.views.locked)
        one = state.answer.attribution if alone else None
        return (state.answer.model, state.request.method, state.request.layer, one)

    def _restyle(self, changes: Mapping[str, Any]) -> None:
        """Change the style of the drawn map."""
        of = self._explaining if self._state.regions.loaded is None else self._companions
        of.restyle(restyled(self._state.views.style, changes))

    def _applies(self, step: Step) -> bool:
        if step.kind.startswith(_STYLE):
            return step.where == self._belongs(step.before)
        return step.where in (None, (_LOOK, self._state.answer.model))

    def _apply(self, step: Step, values: Mapping[str, Any]) -> None:
        if step.kind.startswith(_STYLE):
            self._restyle(values)
        elif step.kind == _LOOK:
            self._explaining.look(values["placed"], values["swept"])
        else:
            self._put(values)

    def _change(self, kind: str, joins: bool = False, **changes: Any) -> None:
        before = {name: self._state.value(name) for name in changes}
        self._history.record(Step(kind, None, before, changes), joins)
        self._put(changes)

    def _put(self, changes: Mapping[str, Any]) -> None:
        """Change the state; the levels follow the window."""
        if "window" not in changes:
            self._store.show(**changes)
            return
        shown = levels_of(self._state.view.series, changes["window"], self._state.view.own)
        self._store.show(**changes, levels=shown or self._state.view.levels)


def levels_of(series: Series | None, window: Window | None, own: Window | None) -> tuple[float, float] | None:
    """The levels of what is shown: the reader's window, else the file's VOI table, else `own`."""
    if window is None and series is not None and series.display.voi_lut is not None:
        return table_levels(series.display.voi_lut)
    window = window or own
    return None if window is None else levels(window)


def table_levels(table: tuple[int, Array]) -> tuple[float, float]:
    """The levels of the line that a VOI table is closest to in its middle.

    Through the places where it has climbed a quarter and three quarters of its height.
    """
    first, entries = table
    low, high = float(entries.min()), float(entries.max())
    quarter, most = (int(np.argmax(entries >= low + k * (high - low))) for k in (0.25, 0.75))
    if entries[0] > entries[-1]:  # it falls: a line between levels cannot, but it can have the width
        most, quarter = (int(np.argmax(entries <= low + k * (high - low))) for k in (0.25, 0.75))
    reach = max(float(most - quarter), 0.5)
    centre = first + (quarter + most) / 2
    return (centre - reach, centre + reach)


def levels(window: Window) -> tuple[float, float]:
    """The modality values shown as black and white (PS3.3 C.11.2.1.2); of a SIGMOID, its steepest line."""
    if window.function == "LINEAR" and window.width > 1:
        return (window.center - window.width / 2, window.center + window.width / 2 - 1)
    return (window.center - window.width / 2, window.center + window.width / 2)
