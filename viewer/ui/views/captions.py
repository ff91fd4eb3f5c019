# SPDX-License-Identifier: Apache-2.0
"""The texts in a view's corners, and the sentences of its states."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from viewer.caveats import UNKNOWN_USE, marks
from viewer.overlay import blank, native_facts
from viewer.overlay.outline import Box, box_field
from viewer.types import Attribution, BestBlock, Display, LoadedMap, Map, Region, SeriesPoint, Window
from viewer.ui.state import NOWHERE, WHOLE, Flips, View, ViewState
from viewer.wording import (
    INFLUENCE_ONLY,
    NO_WINDOW,
    OUTSIDE_USE,
    below_text,
    best_of_text,
    clean,
    feature_words,
    method_text,
    number,
    remark_text,
    score_text,
    size_text,
    spacing_text,
    target_text,
    time_text,
    window_text,
    without_identity,
)

NOT_COMPUTED = "Came with the study, not computed here."
EMPTY = "Drop a folder of DICOM files here"
READING = "Reading the slice …"
_AGAIN = "Once the file can be read again, go to another slice and back, or open the study anew."

Line = tuple[str, str]
"""A text and the name of its colour in the palette."""
Blank = Callable[[Map, bool], bool]
"""Whether nothing of a map is to be drawn, as `viewer.overlay.blank` finds it in all its cells."""


@dataclass(frozen=True, slots=True)
class Corners:
    """Lines from top to bottom in each corner."""

    top_left: tuple[Line, ...] = ()
    top_right: tuple[Line, ...] = ()
    bottom_left: tuple[Line, ...] = ()
    bottom_right: tuple[Line, ...] = ()


def silent(_seen: bool) -> Corners:
    """Nothing is said."""
    return Corners()


def sentence(state: ViewState) -> Line | None:
    """What stands in the middle of a view that has no image to show; None if it has one."""
    if state.view.values is not None and state.view.series is not None:
        return None
    unread = state.view.unread
    if unread is not None and (unread.series, unread.slice) == (state.view.series, state.view.slice):
        return f"{unread.why}\n{_AGAIN}", "text"
    if state.shell.under_way:
        return f"{' · '.join(one.words.rstrip('.… ') for one in state.shell.under_way)} …", "quiet"
    if state.view.series is not None:
        return READING, "quiet"
    if state.studies.items:
        return "Choose a series on the left", "quiet"
    return EMPTY, "text"


def _place(state: ViewState) -> Line:
    """Which image of its series is shown."""
    if state.studies.previewed is not None or state.view.series is None:
        return "Im ? · still being read", "warning"
    return f"Im {state.view.slice + 1} / {state.view.series.shape[0]}", "text"


def nothing_opened(not_opened: Sequence[tuple[str, str]]) -> str:
    """That nothing is an image, with the reason where there is but one: the list may be folded away."""
    reasons = {reason for _, reason in not_opened}
    said = "Nothing here could be opened as an image"
    if len(reasons) > 1:
        return f"{said}: the list on the left says why of each of the {len(not_opened)} files."
    return f"{said}. {clean(reasons.pop())}" if reasons else f"{said}."


def plain(state: ViewState, view: View | None = None) -> Corners:
    """The corners of the image without a map; of the active view, unless another is given."""
    view = view or state.view
    series = view.series
    if series is None:
        return Corners()
    title = (
        state.studies.items[state.current].title if state.current is not None and state.studies.items else ""
    )
    name = series.modality if title == series.modality else f"{series.modality}  {clean(title)}"
    if series.geometry.letters(view.slice) is None:
        where = ["side unknown"]
    else:
        side = "" if series.laterality == "U" else series.laterality  # unpaired: there is no side to name
        where = [clean(text) for text in (side, series.view) if text]
    return Corners(
        top_left=((name.strip(), "text"), _place(state)),
        top_right=(("image", "text"),),
        bottom_left=(
            *outlined(state, view),
            *patched(state),
            *overlaid(state, view),
            (window_words(state, view), "text"),
            (spacing_text(series), "text"),
        ),
        bottom_right=((" · ".join(where), "quiet"),) if where else (),
    )


def outlined(state: ViewState, view: View | None = None) -> tuple[Line, ...]:
    """What the outlines on the image are; they come with the study, the model never sees them."""
    drawn = state.outlines_in(view or state.view)
    if not drawn:
        return ()
    names = list(dict.fromkeys(clean(one.name) for one in drawn))
    tone = "good" if all(one.region.colour is None for one in drawn) else "text"
    text = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return ((f"outlined: {text}", tone),)


def patched(state: ViewState) -> tuple[Line, ...]:
    """Which part of the image the model is shown, where that is not the whole."""
    if state.answer.model is None or state.answer.model.patch is None or state.answer.gate == "outside":
        return ()
    if state.request.swept is None:
        return ((f"patch {patch_place(state)}", "accent"),)
    name = swept_name(state, state.request.swept)
    if state.at == NOWHERE:
        return ((f"{name} does not lie on this slice: nothing to search", "warning"),)
    # How many blocks that were stands beside the score, which is the best of them.
    done = "not searched yet" if state.answer.attribution is None else "searched"
    return ((f"{done}: {name}", "accent"),)


def best_blocks(state: ViewState) -> tuple[BestBlock, ...]:
    """The best blocks of the sweep that is shown; none where the shown map is of one block."""
    shown = state.answer.attribution
    return () if shown is None or shown.swept is None else shown.swept.best


def chosen_block(state: ViewState) -> BestBlock | None:
    """The one of them that is outlined."""
    blocks = best_blocks(state)
    return blocks[min(state.request.best, len(blocks) - 1)] if blocks else None


def block_words(block: BestBlock) -> str:
    """Where a block has its middle, as patches are placed: "Im 45, row 120, column 88"."""
    slice, row, column = (round(i) for i in block.place)
    return f"Im {slice + 1}, row {row}, column {column}"


def search_words(state: ViewState) -> str:
    """How long a sweep takes, as far as that is known."""
    size, item = state.request.search, state.chosen_method
    if size is None or item is None:
        return ""
    what = f"{item.title} on {size.blocks} {'block' if size.blocks == 1 else 'blocks'}"
    if size.seconds is None:
        return f"{what}: how long that takes is known once it has run on one block."
    return f"{what} takes about {time_text(size.seconds * size.blocks)}, {number(size.seconds)} s for each."


def patch_place(state: ViewState) -> str:
    """Where the middle of the patch lies: rows and columns from 0, as everywhere; slices as readers count."""
    if state.request.placed is None:
        return "in the middle"
    *slices, row, column = state.request.placed
    return f"at {''.join(f'Im {round(i) + 1}, ' for i in slices)}row {row:g}, column {column:g}"


def swept_name(state: ViewState, swept: str | Box) -> str:
    """What patches are laid over."""
    model, series = state.answer.model, state.view.series
    volume = model is not None and model.volume
    if not isinstance(swept, str):
        first, last = swept if volume else ((0.0, *swept[0][1:]), (0.0, *swept[1][1:]))
        size = "" if series is None else f" of {size_text(series, box_field((first, last)))}"
        return f"your box{size}"
    if swept == WHOLE:
        return "the whole scan" if volume else "the whole slice"
    region = next((one for one in state.regions.regions if one.source == swept), None)
    return "a region of another series" if region is None else region_name(state, region)


def overlaid(state: ViewState, view: View | None = None) -> tuple[Line, ...]:
    """What the file lays over the slice, and whether that is drawn."""
    view = view or state.view
    if view.graphics is None or view.values is None:  # those are of the slice before
        return ()
    parts = (("overlay", view.graphics.overlay), ("shutter", view.graphics.shutter))
    names = " and ".join(name for name, mask in parts if mask is not None)
    return ((names if state.views.annotated else f"{names} hidden", "quiet"),)


def window_words(state: ViewState, view: View | None = None) -> str:
    """Centre and width of the shown window, with its name."""
    view = view or state.view
    series, window = view.series, view.window or view.own
    if series is not None and series.colour:
        return NO_WINDOW
    inverted = series is not None and view.inverted != series.display.inverted
    if series is not None and isinstance(view.curve, Display):
        return window_text(series.display, inverted)
    low, high = view.levels
    unit = "" if series is None else series.display.unit
    return window_text(window or Window((low + high) / 2, high - low), inverted, unit)


def flipped(said: Corners, flips: Flips) -> Corners:
    """The corners of an image that is turned over: letters alone are easily overlooked, or there are none."""
    ways = [way for way, turned in zip(("left–right", "top–bottom"), flips, strict=True) if turned]
    line = (f"flipped {' and '.join(ways)}", "warning")
    return replace(said, top_right=(*said.top_right, line)) if ways else said


def explained(state: ViewState, drawn: bool, view: View | None = None, blank: Blank = blank) -> Corners:
    """The corners of the image with the map; `drawn` is whether any of it reached the threshold."""
    view = view or state.view
    if view.series is None:
        return Corners()
    if state.regions.loaded is not None:
        return _came_along(state, view, state.regions.loaded, drawn)
    shown = state.answer.attribution
    if state.answer.gate == "outside":
        outside = f"No map: {state.answer.outside or 'outside what the model accepts'}"
        return Corners(top_right=(("image, no map", "text"),), bottom_left=((outside, "stop"),))
    if shown is None:
        above = (*caveats(state), *patched(state))
        return Corners(top_left=above, top_right=(("image, no map yet", "text"),))
    title = method_text(shown)
    if shown.within is not None:
        title += f" · only inside {region_name(state, shown.within)}"
    remark = _remark(state, view, shown, drawn, blank)
    return Corners(
        top_left=((title, "text"), _target(state, shown), *caveats(state), *patched(state)),
        top_right=((_what(state, view), "text"),),
        # Above the two lines on the right: a remark may need the whole width.
        bottom_left=(*remark, ("", "text"), ("", "text")) if remark else (),
        bottom_right=(
            (f"{native_facts(shown)} · {state.views.style.interpolation}", "text"),
            (INFLUENCE_ONLY, "text"),
        ),
    )


def with_image(said: Corners, state: ViewState, view: View) -> Corners:
    """The corners of a map in a view that stands alone: with those of the image, which no other view says."""
    image = plain(state, view)
    remark = tuple(line for line in said.bottom_left if line[0])
    laid = tuple(line for line in image.bottom_left if line not in patched(state))
    return replace(said, top_left=(*image.top_left, *said.top_left), bottom_left=(*remark, *laid))


def caveats(state: ViewState) -> tuple[Line, ...]:
    """That the model was not made for this image, or that nobody knows, that its outputs are implausible or
    vary: for as long as what it says of the image is shown."""
    doubts = tuple((mark, "warning") for mark in marks(state.answer.prediction))
    if state.answer.overridden is not None:
        return ((OUTSIDE_USE, "stop"), *doubts)
    return doubts if state.answer.unknown is None else ((UNKNOWN_USE, "text"), *doubts)


def _came_along(state: ViewState, view: View, shown: LoadedMap, drawn: bool) -> Corners:
    """The corners of the image with a map that came with the study."""
    remark: tuple[Line, ...] = ()
    if state.draws_map(view) and not drawn and view.map is not None:
        words = remark_text(shown, False, False, bool(np.isfinite(view.map).any()), drawn)
        remark = ((words, "warning"), ("", "text"), ("", "text"))
    return Corners(
        top_left=((title_of(shown, state.shell.masked), "text"), (span_of(state, shown), "text")),
        top_right=((_what(state, view), "text"),),
        bottom_left=remark,
        bottom_right=(
            (f"{native_facts(shown)} · {state.views.style.interpolation}", "text"),
            (NOT_COMPUTED, "text"),
        ),
    )


def region_name(state: ViewState, region: Region) -> str:
    """What a region is called, without the patient's names where those are masked."""
    identity = region.series.identity
    return without_identity(region.name, identity) if state.shell.masked else clean(region.name)


def feature_values(state: ViewState, most: int) -> list[tuple[str, str]]:
    """Name and value of the features of the map, without the patient's names where those are masked."""
    if state.answer.attribution is None:
        return []
    who = state.answer.attribution.series.identity
    words = feature_words(state.answer.attribution, most)
    return [(without_identity(name, who) if state.shell.masked else name, value) for name, value in words]


def title_of(map: LoadedMap, masked: bool) -> str:
    """What the file calls a map, without the patient's names where those are masked."""
    return without_identity(map.name, map.series.identity) if masked else clean(map.name)


def span_of(state: ViewState, map: LoadedMap) -> str:
    """The smallest and the largest value of a map that came along."""
    return next(
        (words for one, words in zip(state.regions.came, state.regions.spans, strict=True) if one is map), ""
    )


def span_words(map: Map) -> str:
    """The smallest and the largest value of a map with its unit, of all its cells: not for every frame."""
    low, high = map.extremes()
    if low is None or high is None:
        return "no value"
    return f"{number(low)} … {number(high)} {map.unit}".strip()


def _what(state: ViewState, view: View) -> str:
    if state.draws_map(view):
        return "image + map"
    return "image, map hidden" if view.map is not None else "image, no map on this slice"


def _target(state: ViewState, shown: Attribution) -> Line:
    if shown.target is None:
        return target_text(shown), "text"
    if len(shown.predictions) > 1 and state.answer.prediction is not None:
        # The best of a sweep has been found: not among all its patches again with every frame.
        score = next((s for s in state.answer.prediction.scores if s.label == shown.target.label), None)
    else:
        score = shown.score
    if score is None or shown.target.minus is not None:
        return target_text(shown), "accent"
    best = "" if shown.swept is None else f", {best_of_text(shown.swept)}"
    return f"{target_text(shown)} · {score_text(score, len(shown.predictions))}{best}", "accent"


def _remark(state: ViewState, view: View, shown: Attribution, drawn: bool, blank: Blank) -> tuple[Line, ...]:
    """What a reader must know of the map on this slice, in one sentence."""
    if state.answer.gate == "negative" and not state.answer.asked:
        return ((f"{below_text(shown)}: its map stays hidden until asked", "warning"),)
    if not state.draws_map(view) or view.map is None:
        return ()
    if state.answer.preview:
        return (("Preview: the method is still computing.", "warning"),)
    signed = state.views.style.sign != "positive"
    seen = drawn or bool(np.isfinite(view.map).any())
    words = remark_text(shown, signed, blank(shown, signed), seen, drawn)
    return ((words, "warning"),) if words else ()


_SEVERAL = {
    "echo": "echoes", "acquisition time": "points in time",
    "gradient direction": "directions", "contrast agent": "states of contrast agent",
    "quantity": "quantities",
}  # fmt: skip


def point_words(part: SeriesPoint) -> str:
    """Which point of the fourth dimension one is at: "time 3 / 20 · 240 ms", "b 1000 s/mm² · 2 / 3"."""
    words = point_name(part)
    counted = f"{part.index + 1} / {part.count}"
    return words if counted in words else f"{words} · {counted}"


def point_name(part: SeriesPoint) -> str:
    """What a point of the fourth dimension is called, among others of it."""
    if part.by == "b-value" and part.value[0] is not None:
        return f"{part.words} s/mm²"
    return part.words.replace(f" {part.index + 1} of {part.count}", f" {part.index + 1} / {part.count}")


def several_points(part: SeriesPoint) -> str:
    """What there is of a fourth dimension: "3 b-values", "20 phases"."""
    if "," in part.by:
        return f"{part.count} points: {part.by.replace(',', ' and', 1)}"
    if part.by in ("temporal position", "trigger time"):
        return f"{part.count} {'phases' if part.words.startswith('phase') else 'points in time'}"
    return f"{part.count} {_SEVERAL.get(part.by, f'{part.by}s')}"
