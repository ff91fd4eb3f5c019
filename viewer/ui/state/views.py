# SPDX-License-Identifier: Apache-2.0
"""The views, what each of them shows, and how all of them are drawn."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from viewer.dicom import Graphics
from viewer.overlay.outline import Outline
from viewer.types import Array, Display, Map, Series, Style, Window

Layout = Literal["1", "1|1", "3", "sheet", "compare"]
Draws = Literal["none", "chosen", "reference", "difference"]
"""Which map a view draws: that of the request, the one kept for comparison, or how the two differ."""
Seen = tuple[float, float, float, float]
"""Left, top, width and height of the part of an image that is seen, in its pixels."""
Flips = tuple[bool, bool]
"""Whether left and right, and top and bottom, of an image have changed places."""
UNFLIPPED: Flips = (False, False)
LAYOUTS: dict[Layout, tuple[Draws, ...]] = {
    "1": ("chosen",),
    "1|1": ("none", "chosen"),
    "3": ("none", "chosen"),  # where the series has no three planes
    "sheet": ("chosen",),
    "compare": ("reference", "chosen", "difference"),
}
"""What the views of each layout draw, from the left and from above."""


class Unread(NamedTuple):
    """A slice that could not be read, and why."""

    series: Series
    slice: int
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One image: a slice of a series, how it is seen, and what is drawn over it.

    Views of one `group` are linked: they show the same slice in the same way, and differ in their map.
    """

    draws: Draws = "chosen"
    group: int = 0
    number: int | None = None
    """The place of the series in the list; None while that is still being read."""
    series: Series | None = None
    slice: int = 0
    values: Array | None = field(default=None, repr=False)
    """Modality values of the slice, float32 (rows, columns) or uint8 (rows, columns, 3); None while it is
    being read."""
    unread: "Unread | None" = None
    """Why a slice could not be read; of this view's only where it is of its series and slice."""
    graphics: Graphics | None = None
    """What the file lays over the slice that `values` are of."""
    levels: tuple[float, float] = (0.0, 1.0)
    """Modality values shown as black and white; where a curve is shown, those of a line close to it."""
    window: Window | None = None
    """The reader's window; without one `own`, the file's for this slice or an automatic one, is shown."""
    own: Window | None = None
    inverted: bool = False
    """Whether low values are shown bright: MONOCHROME1, PET, or the reader's wish."""
    seen: Seen | None = None
    """The part of the image that is seen; None where the whole image is fitted."""
    flips: Flips = UNFLIPPED
    """How the image is turned over; its pixels, and what is told of them, keep their places."""
    map: Array | None = field(default=None, repr=False)
    """The slice of the chosen map on the source grid, float32 (rows, columns), NaN where not seen."""
    outlines: tuple[Outline, ...] = ()
    """What a segmentation that came with the study marks on the slice."""

    @property
    def rate(self) -> float | None:
        """Frames a second at which the file wants to be played, where it says so."""
        return None if self.series is None else self.series.rate

    @property
    def curve(self) -> Window | Display | None:
        """What greys follow where no straight line does: a SIGMOID window, or the file's VOI table."""
        if self.series is None or self.series.colour:
            return None
        if self.window is None and self.series.display.voi_lut is not None:
            return self.series.display
        window = self.window or self.own
        return window if window is not None and window.function == "SIGMOID" else None


@dataclass(frozen=True, slots=True, eq=False)
class ViewsState:
    """The views of a layout, of which one is active: what the reader does applies to it and its group."""

    layout: Layout = "1|1"
    views: tuple[View, ...] = tuple(View(draws) for draws in LAYOUTS["1|1"])
    active: int = 1
    alone: int | None = None
    """The place of the one view of the layout that is shown enlarged, in the room of all."""
    playing: bool = False
    """Whether the slices, or the points, are played."""
    along: Literal["slices", "points"] | None = None
    """What the reader wants played where there are both; None: what suits the fourth dimension."""
    overlay: bool = True
    """Whether maps are drawn."""
    style: Style = field(default_factory=Style)
    """How the chosen map is drawn."""
    styled: Map | None = None
    """The map that the style was found for."""
    locked: bool = True
    """Whether maps of one kind share a range."""
    outlined: bool = True
    """Whether regions are outlined."""
    annotated: bool = True
    """Whether what the file lays over its slices is drawn."""

    @property
    def view(self) -> View:
        """The active view."""
        return self.views[self.active]

    @property
    def shown(self) -> tuple[int, ...]:
        """The places of the views that are to be seen: all, or the enlarged one."""
        return tuple(range(len(self.views))) if self.alone is None else (self.alone,)

    def with_view(self, **changes: Any) -> tuple[View, ...]:
        """The views, with this changed in the active one and in those linked with it."""
        group = self.view.group
        return tuple(replace(v, **changes) if v.group == group else v for v in self.views)

    def laid_out(self, layout: Layout) -> "ViewsState":
        """The same in another layout: each view shows what the active one does, with a map of its own."""
        views = tuple(replace(self.view, draws=draws) for draws in LAYOUTS[layout])
        active = next((i for i, view in enumerate(views) if view.draws == "chosen"), 0)
        return replace(self, layout=layout, views=views, active=active, alone=None)
