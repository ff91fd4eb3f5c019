# SPDX-License-Identifier: Apache-2.0
"""What a view shows: values, how they are seen, what lies over them and what is said, without the state."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from viewer import affine
from viewer.affine import Matrix
from viewer.dicom import Graphics
from viewer.overlay import blank
from viewer.overlay.outline import Outline
from viewer.types import Array, Display, Field, Series, Style, Window
from viewer.ui.state import UNFLIPPED, Flips, Seen, ViewState
from viewer.ui.views import captions

_Letters = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture for a view. Without `values` there is none, and `sentence` says why."""

    series: Series | None = None
    values: Array | None = field(default=None, repr=False)
    """Modality values, float32 (rows, columns), or uint8 (rows, columns, 3)."""
    levels: tuple[float, float] = (0.0, 1.0)
    """The values shown as black and white."""
    inverted: bool = False
    curve: Window | Display | None = None
    """What greys follow where no straight line does."""
    aspect: float = 1.0
    """Height of a pixel ÷ its width."""
    matrix: Matrix | None = None
    """Maps (depth, row, column) of the picture to the voxels of the series."""
    lies: tuple[object, ...] = ()
    """What tells the matrix from others."""
    seen: Seen | None = None
    """The part of the picture that is seen; None where the whole is fitted."""
    flips: Flips = UNFLIPPED
    """Whether left and right, top and bottom, change places as it is drawn; `letters` have."""
    map: Array | None = field(default=None, repr=False)
    """What is laid over it, float32 (rows, columns), NaN where not seen; None where no map is drawn."""
    style: Style = field(default_factory=Style)
    hatched: bool = False
    """Whether the map explains a label that the model does not call."""
    bar: bool = False
    """Whether the view carries the colour bar of the map, whose values are in the `unit`."""
    unit: str = ""
    graphics: Graphics | None = None
    """What the file lays over its image."""
    outlines: tuple[Outline, ...] = ()
    patch: Field | None = None
    """What the model is shown, whose border is drawn."""
    searched: Field | None = None
    """What the model is to be shown block by block, whose border is drawn too."""
    places: bool = False
    """Whether a click with Ctrl held places a block, and a drag draws what is searched."""
    sentence: captions.Line | None = ("", "quiet")
    """What is said where there is no picture."""
    says: Callable[[bool], captions.Corners] = field(default=captions.silent, repr=False)
    """What is said in the corners, where something of the map is seen and where nothing is."""
    letters: _Letters | None = None
    """The patient's sides: left, right, top, bottom."""
    clear: tuple[float, float] = (2, 3)
    """Lines of text above and below that the letters keep clear of."""

    def evidence_in(self, part: tuple[float, float, float, float]) -> float:
        """The sum of what the map draws, in absolute value, from left, top to right, bottom in its pixels."""
        if self.map is None:
            return 0.0
        left, top, right, bottom = (max(round(edge), 0) for edge in part)
        values = np.abs(self.map[top:bottom, left:right])
        return float(values[values >= self.style.threshold].sum())


def _aspect_of(series: Series | None) -> float:
    """Height of a pixel ÷ its width, 1 where the geometry makes no sense."""
    aspect = series.geometry.pixel_aspect if series is not None else 1.0
    return aspect if math.isfinite(aspect) and aspect > 0 else 1.0


def flipped(letters: _Letters | None, flips: Flips) -> _Letters | None:
    """The patient's sides where an image that is turned over has them."""
    if letters is None:
        return None
    left, right, top, bottom = letters
    left, right = (right, left) if flips[0] else (left, right)
    return (left, right, *((bottom, top) if flips[1] else (top, bottom)))


def picture(state: ViewState, place: int, blank: captions.Blank = blank) -> Picture:
    """What one of the views of slices shows: its slice, with the chosen map or without any."""
    state = state.seen_by(place)
    view, model = state.view, state.answer.model
    plain, sentence = view.draws == "none", captions.sentence(state)
    lone = not plain and len(state.views.shown) == 1
    says = (lambda _seen: captions.plain(state)) if plain else partial(_says, state, lone, blank)
    reads = model is not None and model.patch is not None and not plain
    return Picture(
        view.series, view.values, view.levels, view.inverted, view.curve, _aspect_of(view.series),
        affine.scale_offset((1, 1, 1), (view.slice, 0, 0)), (view.series, view.slice), view.seen,
        view.flips,
        map=None if plain or not state.map_shown else view.map,
        style=state.views.style,
        hatched=state.negative,
        bar=not plain and state.map_shown,
        unit="" if state.shown is None else state.shown.unit,
        graphics=view.graphics if state.views.annotated and view.values is not None else None,
        outlines=state.outlines_in(view),
        patch=state.request.patch if state.views.outlined else None,
        searched=state.request.searched if state.views.outlined else None,
        places=model is not None and model.patch is not None,
        sentence=sentence if sentence is None or place == state.views.shown[0] else ("", "quiet"),
        says=says,
        letters=flipped(view.series.geometry.letters(view.slice) if view.series else None, view.flips),
        clear=(2 + 2 * lone + reads + (not plain and state.answer.overridden is not None), 3 + 2 * lone),
    )  # fmt: skip


def _says(state: ViewState, lone: bool, blank: captions.Blank, seen: bool) -> captions.Corners:
    """What is said of a map, and where no other view does of the image; `seen` is whether any of it is."""
    said = captions.explained(state, seen, blank=blank)
    return captions.with_image(said, state, state.view) if lone else said
