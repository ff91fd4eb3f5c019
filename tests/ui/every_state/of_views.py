# SPDX-License-Identifier: Apache-2.0
"""Checks of the list of series and of the views."""

from dataclasses import fields
from typing import Any

import numpy as np

from every_state.seen import Seen, every, of
from viewer import dicom, overlay
from viewer.overlay.outline import outlines
from viewer.overlay.style import POSITIVE_THRESHOLD, SIGNED_THRESHOLD
from viewer.types import Attribution, LoadedMap, Series
from viewer.ui.presenter.display import PRESETS, levels_of
from viewer.ui.presenter.rows import not_opened, overlaid, rows, thumbnail
from viewer.ui.state import LAYOUTS, SeriesItem, StudiesState, View, ViewsState


@of(StudiesState, "items")
def _items(seen: Seen, studies: StudiesState) -> None:
    if seen.series is None:
        return
    study, number = seen.known.place(seen.series)
    assert number == seen.state.view.number
    assert len(studies.items) == len(study.series)
    for item in studies.items:
        every(seen, item)


def _row(seen: Seen, item: SeriesItem) -> tuple[Series, SeriesItem]:
    """The series that an item stands for, and its row as it should be."""
    study, _ = seen.known.place(seen.series)
    place = next(i for i, one in enumerate(seen.state.studies.items) if one is item)
    return study.series[place], rows(study.series, seen.state.shell.masked)[place]


@of(SeriesItem, "title", "facts", "warnings", "part")
def _item(seen: Seen, item: SeriesItem) -> None:
    _, wanted = _row(seen, item)
    assert (item.title, item.facts, item.warnings, item.part) == (
        wanted.title, wanted.facts, wanted.warnings, wanted.part,
    )  # fmt: skip
    assert not seen.state.shell.masked or "Zoidberg" not in item.title


@of(SeriesItem, "thumbnail")
def _thumbnail(seen: Seen, item: SeriesItem) -> None:
    series, _ = _row(seen, item)
    if item.thumbnail is not None:
        wanted = seen.known.once(("thumbnail", series.paths), lambda: thumbnail(series))
        np.testing.assert_array_equal(item.thumbnail, wanted)


@of(SeriesItem, "overlaid")
def _laid(seen: Seen, item: SeriesItem) -> None:
    study, _ = seen.known.place(seen.series)
    place = next(i for i, one in enumerate(seen.state.studies.items) if one is item)
    assert item.overlaid == seen.known.once(("overlaid", id(study)), lambda: overlaid(study))[place]


@of(StudiesState, "not_opened")
def _not_opened(seen: Seen, studies: StudiesState) -> None:
    if seen.series is not None:
        assert studies.not_opened == not_opened(seen.known.place(seen.series)[0])


@of(StudiesState, "previewed")
def _previewed(seen: Seen, studies: StudiesState) -> None:
    assert studies.previewed is None or (
        seen.state.view.number is None and seen.state.view.series is not None
    )


@of(ViewsState, "views")
def _views(seen: Seen, views: ViewsState) -> None:
    for view in views.views:
        every(seen, view)
    for linked in views.views:  # they differ in what they draw alone
        if linked.group == views.view.group:
            for one in fields(View):
                assert one.name == "draws" or getattr(linked, one.name) is getattr(views.view, one.name)


@of(ViewsState, "layout", "active", "alone")
def _layout(seen: Seen, views: ViewsState) -> None:
    assert len(views.views) == len(LAYOUTS[views.layout])
    assert views.view.draws == "chosen"
    assert views.alone is None or views.alone in range(len(views.views))
    assert views.shown == (tuple(range(len(views.views))) if views.alone is None else (views.alone,))


@of(ViewsState, "playing")
def _playing(seen: Seen, views: ViewsState) -> None:
    assert not views.playing or seen.series is not None


@of(ViewsState, "along", "overlay", "locked", "outlined", "annotated")
def _wishes(seen: Seen, views: ViewsState) -> None:
    assert views.along in (None, "slices", "points")
    assert {type(v) for v in (views.overlay, views.locked, views.outlined, views.annotated)} == {bool}


@of(ViewsState, "style")
def _style(seen: Seen, views: ViewsState) -> None:
    """Opacity and smoothness are the reader's; colours, range and threshold follow from maps of the kind."""
    shown, style = seen.state.shown, views.style
    found = (style.colours, style.range, style.threshold, style.sign)
    if isinstance(shown, LoadedMap):
        wanted = overlay.quantity_style(shown)
        assert found == (wanted.colours, wanted.range, wanted.threshold, wanted.sign)
    elif shown is not None:
        signed, top = style.sign == "signed", style.range[1]
        share = SIGNED_THRESHOLD if signed else POSITIVE_THRESHOLD
        colours = overlay.DIVERGING if signed else overlay.NAMES[0]
        assert found == (colours, (-top if signed else 0.0, top), share * top, style.sign)
        assert isinstance(shown, Attribution)
        if seen.state.answer.model.patch is None and not seen.state.answer.preview:
            seen.wanted(seen.asked())
            tops = seen.known.tops(seen.state.answer.model.name, shown.explainer.name, shown.layer)
            assert any(np.isclose(top, one, 2e-3) for one in tops) or top == 1


@of(ViewsState, "styled")
def _styled(seen: Seen, views: ViewsState) -> None:
    assert views.styled is seen.state.shown


@of(View, "draws", "group")
def _draws(seen: Seen, view: View) -> None:
    place = next(i for i, one in enumerate(seen.state.views.views) if one is view)
    assert view.draws == LAYOUTS[seen.state.views.layout][place]
    assert view.group == 0


@of(View, "number", "series")
def _chosen(seen: Seen, view: View) -> None:
    assert view.number is None or view.series is not None
    if view.number is not None:
        assert 0 <= view.number < len(seen.state.studies.items)
        assert seen.known.place(view.series)[1] == view.number


@of(View, "slice")
def _slice(seen: Seen, view: View) -> None:
    assert view.series is None or 0 <= view.slice < view.series.shape[0]


@of(View, "values")
def _values(seen: Seen, view: View) -> None:
    if view.values is not None and view.number is not None:
        np.testing.assert_array_equal(view.values, seen.known.values(view.series, view.slice))


@of(View, "unread")
def _unread(seen: Seen, view: View) -> None:
    assert view.unread is None or view.unread.why


@of(View, "graphics")
def _graphics(seen: Seen, view: View) -> None:
    if view.values is None or view.number is None:
        return  # those of the image before, which is not drawn either
    series, slice = seen.known.series(view.series), view.slice
    wanted = seen.known.once(
        ("graphics", series.paths, slice), lambda: dicom.graphics(series, slice, seen.known.limits)
    )
    assert (view.graphics is None) == (wanted is None)
    if wanted is not None:
        np.testing.assert_array_equal(view.graphics.shutter, wanted.shutter)
        assert view.graphics.overlay is wanted.overlay is None


@of(View, "own")
def _own(seen: Seen, view: View) -> None:
    if view.values is not None and view.number is not None:
        assert view.own == dicom.default_window(seen.known.series(view.series), view.slice)


@of(View, "levels")
def _levels(seen: Seen, view: View) -> None:
    if view.values is not None:
        assert view.levels == levels_of(view.series, view.window, view.own)


@of(View, "window")
def _window(seen: Seen, view: View) -> None:
    if view.window is None or view.series is None:
        return
    named = {*PRESETS.values(), *(w for i in range(view.series.shape[0]) for w in _of_file(seen, view, i))}
    assert view.window in named or view.window.name in ("", "auto")


def _of_file(seen: Seen, view: View, slice: int) -> tuple[Any, ...]:
    series = seen.known.series(view.series)
    return (*series.display.windows_of(slice), dicom.default_window(series, slice))


@of(View, "inverted", "seen", "flips")
def _looks(seen: Seen, view: View) -> None:
    assert isinstance(view.inverted, bool)
    assert view.flips == seen.state.view.flips or view.group != seen.state.view.group
    assert view.series is not None or view.flips == (False, False)
    if view.seen is not None:
        assert view.seen[2] > 0
        assert view.seen[3] > 0


@of(View, "map")
def _map(seen: Seen, view: View) -> None:
    shown = seen.state.shown
    assert (view.map is None) == (shown is None)
    if shown is not None:
        assert shown.series is view.series
        drawn = seen.known.on_slice(shown, view.slice, seen.state.views.style.interpolation)
        np.testing.assert_array_equal(view.map, overlay.as_drawn(shown, drawn))


@of(View, "outlines")
def _outlines(seen: Seen, view: View) -> None:
    regions = seen.state.regions.regions
    wanted = () if not regions else outlines(regions, view.slice)
    assert [o.region for o in view.outlines] == [o.region for o in wanted]
    for one, other in zip(view.outlines, wanted, strict=True):
        np.testing.assert_array_equal(one.lines, other.lines)
