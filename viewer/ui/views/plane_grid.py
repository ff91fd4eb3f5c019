# SPDX-License-Identifier: Apache-2.0
"""The three planes and what is said of them, two by two; or one plane alone."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from viewer.planes import ANATOMICAL
from viewer.ui.state import ViewState
from viewer.ui.views.layers import RenderCache
from viewer.ui.views.plane_view import PlaneView
from viewer.ui.views.planes_panel import PlanesPanel
from viewer.ui.widgets.theme import DARK

if TYPE_CHECKING:
    from viewer.ui.presenter.presenter import Presenter

_FIRST = next(iter(ANATOMICAL))
"""The plane that is read first; they stand in the order of reading."""


class PlaneGrid(QWidget):
    """Axial and sagittal above, coronal and the facts below."""

    window_dragged = Signal(float, float)
    marked = Signal(object)
    placed = Signal(object)
    box_drawn_in = Signal(object, object, object)
    stepped = Signal(str, int)
    pointed = Signal(str, object, object)
    enlarge_requested = Signal(str)
    slab_changed = Signal(object)
    turned = Signal(str, float)
    alignment_chosen = Signal(str)

    def __init__(self, cache: RenderCache) -> None:
        super().__init__()
        self.views = {name: PlaneView(name, cache=cache) for name in ANATOMICAL}
        self.facts = PlanesPanel()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(1)
        for place, widget in enumerate((*self.views.values(), self.facts)):
            grid.addWidget(widget, place // 2, place % 2)
        self._grid = grid
        for name, view in self.views.items():
            view.window_dragged.connect(self.window_dragged)
            view.marked.connect(self.marked)
            view.placed.connect(self.placed)
            view.box_drawn_in.connect(self.box_drawn_in)
            view.slice_wheel.connect(partial(self.stepped.emit, name))
            view.pointer_moved.connect(partial(self.pointed.emit, name))
            view.enlarge_requested.connect(partial(self.enlarge_requested.emit, name))
            view.turned.connect(partial(self.turned.emit, name))
        self.facts.slab_changed.connect(self.slab_changed)
        self.facts.alignment_chosen.connect(self.alignment_chosen)
        self.setSizePolicy(self.views[_FIRST].sizePolicy())
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(
            f"PlaneGrid {{ background: {DARK.line}; }}"
        )  # between images, in light colours too
        self.setVisible(False)
        self._hidden: object = self
        """The series that the hidden planes were told of; until another comes there is nothing to do."""

    @property
    def zoomed(self) -> tuple[PlaneView, ...]:
        """The planes that are seen: each is enlarged by itself."""
        return tuple(view for view in self.views.values() if not view.isHidden())

    def wire(self, presenter: "Presenter") -> None:
        """Ask the presenter for what is asked of this part."""
        mpr = presenter.mpr
        self.window_dragged.connect(presenter.display.drag_window)
        self.marked.connect(mpr.mark)
        self.placed.connect(presenter.patches.place_at)
        self.box_drawn_in.connect(presenter.patches.draw_box_in)
        self.stepped.connect(mpr.step)
        self.pointed.connect(mpr.point)
        self.enlarge_requested.connect(mpr.enlarge)
        self.slab_changed.connect(mpr.set_slab)
        self.turned.connect(mpr.turn)
        self.alignment_chosen.connect(mpr.align)

    def show(self, state: ViewState | None = None) -> None:
        """Draw a state. Without one: Qt's `show`."""
        if state is None:
            super().show()
            return
        if not state.three and self._hidden is state.view.series:
            return
        self.setVisible(state.three)
        self._hidden = self if state.three else state.view.series
        alone = state.planes.enlarged
        # What is said once, the colour bar among it, stands where a map is.
        first = alone or next((cut.plane.name for cut in state.planes.cuts if cut.map is not None), _FIRST)
        for name, view in self.views.items():
            view.setVisible(alone in (None, name))
            view.show_plane(state, name == first)
        self.facts.setVisible(alone is None)
        self.facts.show(state)
        place = None if alone is None else list(ANATOMICAL).index(alone)
        for i in (0, 1):  # what is hidden must leave no room behind
            self._grid.setRowStretch(i, int(place is None or place // 2 == i))
            self._grid.setColumnStretch(i, int(place is None or place % 2 == i))
