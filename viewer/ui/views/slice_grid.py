# SPDX-License-Identifier: Apache-2.0
"""The views of a layout side by side: what the reader's hands do on any of them is told once."""

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from viewer.ui.state import Draws, ViewState
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.picture import picture
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.theme import DARK

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_NAMES: dict[Draws, str] = {"none": "Image", "chosen": "Image with map"}


class ViewGrid(QWidget):
    """A place for views of slices, with a line between them; their signals are those of `SliceView`."""

    window_dragged = Signal(float, float)
    slice_wheel = Signal(int)
    point_wheel = Signal(int)
    pointer_moved = Signal(object, object)
    patch_placed = Signal(float, float)
    box_drawn = Signal(object, object)
    view_changed = Signal(object)
    enlarge_requested = Signal(int)
    """The place of a view, among those of its layout, that was clicked twice."""
    view_touched = Signal(int)
    """The place of a view, among those of its layout, that the reader works with."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setSpacing(1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        # Between images, in light colours too.
        self.setStyleSheet(f"{type(self).__name__} {{ background: {DARK.line}; }}")
        self.setVisible(False)

    @property
    def zoomed(self) -> tuple[SliceView, ...]:
        """The views that are enlarged each by itself; those that are linked follow one of them."""
        raise NotImplementedError

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        display = presenter.display
        self.window_dragged.connect(display.drag_window)
        self.view_changed.connect(display.see)
        self.view_touched.connect(display.activate)
        self.enlarge_requested.connect(display.enlarge)
        self.slice_wheel.connect(presenter.step)
        self.point_wheel.connect(presenter.step_point)
        self.pointer_moved.connect(presenter.point)
        self.patch_placed.connect(presenter.patches.place)
        self.box_drawn.connect(presenter.patches.draw_box)

    def link(self, view: SliceView) -> None:
        """Tell on what a view tells."""
        view.window_dragged.connect(self.window_dragged)
        view.slice_wheel.connect(self.slice_wheel)
        view.point_wheel.connect(self.point_wheel)
        view.pointer_moved.connect(self.pointer_moved)
        view.patch_placed.connect(self.patch_placed)
        view.box_drawn.connect(self.box_drawn)
        view.view_changed.connect(self.view_changed)


class SliceGrid(ViewGrid):
    """As many views as a layout of slices has; one that draws the same in two layouts is the same widget."""

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self._cache = cache
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)  # else the lines between have no colour
        self._views: dict[tuple[Draws, int], SliceView] = {}
        self._placed: tuple[tuple[Draws, int], ...] = ()
        self._seen: tuple[int, ...] = ()

    def view(self, draws: Draws, number: int = 0) -> SliceView:
        """The view that draws this, the first of them or a further one; made when it is first asked for."""
        key = (draws, number)
        if key not in self._views:
            made = SliceView(self, self._cache)
            made.setAccessibleName(_NAMES.get(draws, "Image"))
            self.link(made)
            made.touched.connect(lambda: self.view_touched.emit(self._placed.index(key)))
            made.enlarge_requested.connect(lambda: self.enlarge_requested.emit(self._placed.index(key)))
            self._views[key] = made
        return self._views[key]

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state; without one, what Qt means by it: become visible."""
        if state is None:
            super().show()
            return
        drawn = [view.draws for view in state.views.views]
        keys = tuple((draws, drawn[:place].count(draws)) for place, draws in enumerate(drawn))
        shown = state.views.shown
        if keys != self._placed or shown != self._seen:
            self._place(keys, shown)
        for place in shown:
            self.view(*keys[place]).show(picture(state, place, self._cache.blank))

    @property
    def zoomed(self) -> tuple[SliceView, ...]:
        return tuple(self.view(*self._placed[place]) for place in self._seen[-1:])

    def _place(self, keys: tuple[tuple[Draws, int], ...], shown: tuple[int, ...]) -> None:
        """Lay the views out in a square, the first at the top left; up to three stand in one row."""
        for view in self._views.values():
            self.grid.removeWidget(view)
        across = len(shown) if len(shown) < 4 else math.ceil(math.sqrt(len(shown)))
        for place in range(max(self.grid.columnCount(), self.grid.rowCount())):  # what is empty takes no room
            self.grid.setColumnStretch(place, 0)
            self.grid.setRowStretch(place, 0)
        for place, of in enumerate(shown):
            view = self.view(*keys[of])
            self.grid.addWidget(view, place // across, place % across)
            self.grid.setColumnStretch(place % across, 1)
            self.grid.setRowStretch(place // across, 1)
        self._placed, self._seen = keys, shown
        seen = [keys[of] for of in shown]
        for key, view in self._views.items():
            view.setVisible(key in seen)
