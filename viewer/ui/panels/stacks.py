# SPDX-License-Identifier: Apache-2.0
"""The series list in rows: a series each, or a heading and a row for each point of a fourth dimension."""

from dataclasses import dataclass, replace
from typing import Literal

from viewer.ui.state import SeriesItem
from viewer.ui.views.captions import several_points

_MOST_POINTS = 8
"""More points than this have no rows of their own: the bar below the views leads through them."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A row; `numbers` are the series that it stands for, `item` is what is drawn of them."""

    kind: Literal["series", "stack", "point"]
    numbers: range
    item: SeriesItem


def entries(items: tuple[SeriesItem, ...], narrow: bool = False) -> tuple[Entry, ...]:
    """The rows of a list; in a strip of thumbnails a fourth dimension is one of them."""
    found: list[Entry] = []
    place = 0
    while place < len(items):
        part = items[place].part
        points = range(place, place + (1 if part is None else part.count))
        if part is None or part.index or points.stop > len(items):
            found.append(Entry("series", range(place, place + 1), items[place]))
            place += 1
            continue
        found.append(Entry("stack", points, _heading_of([items[i] for i in points])))
        if not narrow and len(points) <= _MOST_POINTS:
            found += (Entry("point", range(i, i + 1), items[i]) for i in points)
        place = points.stop
    return tuple(found)


def _heading_of(points: list[SeriesItem]) -> SeriesItem:
    """What the points of a fourth dimension have in common, and all their warnings."""
    first = points[0]
    assert first.part is not None
    title = first.title.removesuffix(first.part.words).removesuffix(" · ")
    thumbnail = next((one.thumbnail for one in points if one.thumbnail is not None), None)
    return replace(
        first,
        title=title or first.facts[0].split(" · ")[0],
        facts=(*first.facts, several_points(first.part)),
        overlaid=tuple(dict.fromkeys(words for one in points for words in one.overlaid)),
        warnings=tuple(dict.fromkeys(text for one in points for text in one.warnings)),
        thumbnail=thumbnail,
    )


def row_of(rows: tuple[Entry, ...], number: int | None) -> int:
    """The row of a series: its own, else that of the heading above it; -1 if there is none."""
    mine = [i for i, row in enumerate(rows) if number is not None and number in row.numbers]
    return mine[-1] if mine else -1
