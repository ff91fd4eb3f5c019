# SPDX-License-Identifier: Apache-2.0
"""Checks of what came with the study, and of what stands around the views."""

from functools import partial
from typing import Any

import numpy as np

from every_state.seen import Seen, every, of
from viewer import overlay
from viewer.overlay.outline import box, outlines
from viewer.settings import Preferences
from viewer.types import Region
from viewer.ui.state import Busy, Memory, Notice, Probed, RegionsState, ShellState, ShownHeader
from viewer.ui.views.captions import span_words


@of(RegionsState, "regions")
def _regions(seen: Seen, regions: RegionsState) -> None:
    if not regions.regions:
        return
    wanted = seen.known.regions(seen.series)
    assert [r.source for r in regions.regions] == [r.source for r in wanted]
    for one, other in zip(regions.regions, wanted, strict=True):
        assert one.series is seen.state.view.series
        assert one.digest == other.digest


def _outlined(found: tuple[Region, ...], slice: int) -> tuple[Any, ...]:
    """The outlines of a slice, and what they are of, which must live as long as they are known by it."""
    return outlines(found, slice), found


@of(RegionsState, "boxes")
def _boxes(seen: Seen, regions: RegionsState) -> None:
    wanted: dict[Any, Any] = {(one.source, None): box(one) for one in regions.regions}
    count = 0 if seen.state.view.series is None else seen.state.view.series.shape[0]
    for i in range(count if regions.regions else 0):
        drawn = seen.known.once(("outlines", id(regions.regions), i), partial(_outlined, regions.regions, i))[
            0
        ]
        wanted |= {(one.region.source, i): box(one.region, one) for one in drawn}
    assert dict(regions.boxes) == wanted


@of(RegionsState, "hidden")
def _hidden(seen: Seen, regions: RegionsState) -> None:
    study = None if seen.series is None else seen.known.place(seen.series)[0]
    known = {r.source for s in (study.series if study else ()) for r in seen.known.regions(s)}
    assert study is None or regions.hidden <= known


@of(RegionsState, "came", "spans")
def _came(seen: Seen, regions: RegionsState) -> None:
    assert len(regions.came) == len(regions.spans)
    if not regions.came:
        return
    wanted = seen.known.maps(seen.series)
    for one, other, span in zip(regions.came, wanted, regions.spans, strict=True):
        assert one.series is seen.state.view.series
        assert (one.name, one.unit, one.provenance) == (other.name, other.unit, other.provenance)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_allclose(one.matrix, other.matrix)
        assert span == span_words(one)


@of(RegionsState, "loaded")
def _loaded(seen: Seen, regions: RegionsState) -> None:
    assert regions.loaded is None or any(regions.loaded is one for one in regions.came)


@of(ShellState, "masked", "missing")
def _masked(seen: Seen, shell: ShellState) -> None:
    assert isinstance(shell.masked, bool)
    assert shell.missing == frozenset()


@of(ShellState, "preferences")
def _preferences(seen: Seen, shell: ShellState) -> None:
    assert isinstance(shell.preferences, Preferences)


@of(ShellState, "reading", "loading", "busy", "writing")
def _under_way(seen: Seen, shell: ShellState) -> None:
    for one in shell.under_way:
        every(seen, one)


@of(Busy, "doing", "done", "total", "part", "step", "detail")
def _so_far(seen: Seen, busy: Busy) -> None:
    assert busy.doing
    assert 0 <= busy.done <= max(busy.total, busy.done)
    assert 0.0 <= busy.part <= 1.0
    if busy.step:  # the last of them is not done while it is said
        assert busy.done < busy.total
    else:
        assert (busy.part, busy.detail) == (0.0, "")


@of(ShellState, "notice", "waiting")
def _notice(seen: Seen, shell: ShellState) -> None:
    messages = () if shell.notice is None else (shell.notice, *shell.waiting)
    assert messages or not shell.waiting
    assert len(set(messages)) == len(messages)
    kinds = [("stop", "warning", "info").index(one.kind) for one in messages]
    assert kinds == sorted(kinds)
    matters = [one.about for one in messages if one.about]
    assert len(set(matters)) == len(matters)
    for one in messages:
        every(seen, one)


@of(Notice, "text", "wish", "about")
def _notice_text(seen: Seen, notice: Notice) -> None:
    state = seen.state
    if notice.wish == "show" or "would explain a negative" in notice.text:
        assert notice.wish == "show"
        assert state.answer.gate == "negative"
        assert state.regions.loaded is None
        assert notice.text.startswith(f"{state.request.target} is not called")
    matter = {"show": "map", "override": "gate", "trust": "question"}.get(notice.wish or "")
    assert matter is None or notice.about == matter
    if notice.wish == "override":
        assert notice.text == state.answer.outside
        assert state.answer.gate == "outside"
    if "no slice at this place" in notice.text:
        part = state.view.series.part
        assert part is not None
        assert notice.text.lower().startswith(part.words.lower())
    assert "went wrong inside" not in notice.text


@of(ShellState, "code")
def _code(seen: Seen, shell: ShellState) -> None:
    assert shell.code is None  # no model of these brings a program


@of(Notice, "other", "other_wish")
def _notice_otherwise(seen: Seen, notice: Notice) -> None:
    assert notice.other is None  # neither a program nor the demo is open
    assert notice.other_wish is None


@of(Notice, "kind", "action", "stays")
def _notice_kind(seen: Seen, notice: Notice) -> None:
    assert notice.kind in ("info", "warning", "stop")
    assert (notice.action is None) == (notice.wish is None)
    assert isinstance(notice.stays, bool)


@of(ShellState, "probed")
def _probed(seen: Seen, shell: ShellState) -> None:
    if shell.probed is not None:
        every(seen, shell.probed)


@of(Probed, "row", "column", "slice")
def _probed_place(seen: Seen, probed: Probed) -> None:
    count, rows, columns = seen.state.view.series.shape[:3]
    assert 0 <= probed.row < rows
    assert 0 <= probed.column < columns
    assert probed.slice is None or 0 <= probed.slice < count


@of(Probed, "raw", "value")
def _probed_value(seen: Seen, probed: Probed) -> None:
    series = seen.series
    slice = seen.state.view.slice if probed.slice is None else probed.slice
    raw = str(seen.known.stored(series, slice)[probed.row, probed.column])
    assert probed.raw in ("", raw)
    wanted = float(seen.known.values(series, slice)[probed.row, probed.column])
    assert probed.value in ("", f"{wanted:g} {series.display.unit}".strip())


@of(Probed, "map")
def _probed_map(seen: Seen, probed: Probed) -> None:
    state = seen.state
    slice = state.view.slice if probed.slice is None else probed.slice
    found = None
    if state.map_shown:
        found = overlay.native_value(state.shown, (slice, probed.row, probed.column))
    assert probed.map.split(" ")[0] == ("" if found is None or not np.isfinite(found) else f"{found:+.3g}")


@of(ShellState, "header")
def _header(seen: Seen, shell: ShellState) -> None:
    if shell.header is not None:
        every(seen, shell.header)


@of(ShownHeader, "title", "rows", "identity")
def _header_rows(seen: Seen, header: ShownHeader) -> None:
    """It is of the image that its title names: that of the shown one takes its place once it is read."""
    assert header.title in [
        f"Image {i + 1} of {series.shape[0]}"
        for study in seen.known.studies
        for series in study.series
        for i in range(series.shape[0])
        if seen.known.header(series, i) == header.rows and series.identity == header.identity
    ]


@of(ShellState, "memory")
def _memory(seen: Seen, shell: ShellState) -> None:
    if shell.memory is not None:
        every(seen, shell.memory)


@of(Memory, "used", "room")
def _bytes(seen: Seen, memory: Memory) -> None:
    assert memory.room == seen.state.shell.preferences.slice_memory
    assert 0 <= memory.used <= memory.room


@of(ShownHeader, "series")
def _header_series(seen: Seen, header: ShownHeader) -> None:
    assert header.series is seen.state.view.series
