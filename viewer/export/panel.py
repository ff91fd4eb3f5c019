# SPDX-License-Identifier: Apache-2.0
"""The column of text beside the exported views: what the model said, and how the map was made."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from viewer.caveats import doubts, unknown_text
from viewer.export.drawing import (
    ACCENT,
    BAR_QUIET,
    CHOSEN,
    LEADING,
    LINE,
    PANEL,
    QUIET,
    TEXT,
    WARNING,
    Draw,
    elide,
    font,
    heading,
    packed,
    width,
    wrap,
    write,
)
from viewer.export.provenance import meaning, settings_facts, versions
from viewer.overlay import clipped, native_facts, shown_range
from viewer.types import Attribution, Map, Score, Snapshot
from viewer.wording import (
    ONE_BLOCK,
    clean,
    clipped_text,
    feature_words,
    figures,
    looked_at_text,
    number,
    stride_text,
    target_text,
    used_words,
    weighed_text,
    without_identity,
)

WIDTH = 372
MARGIN = 20
_INNER = WIDTH - 2 * MARGIN
_KEYS = 104
"""Width of the names left of the values."""
_SHOWN_SCORES = 10
"""Labels listed before "… and N more"."""


class Column:
    """Text and bars from top to bottom; drawn at the end, when the height is known."""

    def __init__(self) -> None:
        self.height = 12
        self._marks: list[Callable[[Draw], None]] = []

    def heading(self, text: str) -> None:
        self.height += 28
        y = self.height
        self._marks.append(lambda draw: heading(draw, (MARGIN, y), text))
        self.height += 6

    def line(self, text: str, x: float = MARGIN, colour: str = TEXT, bold: bool = False) -> None:
        """One line of text that is known to fit."""
        self.height += LEADING
        y, face = self.height, font(13, bold)
        self._marks.append(lambda draw: write(draw, (x, y), text, colour, face))

    def paragraph(self, text: str, colour: str = QUIET, bold: bool = False) -> None:
        for line in wrap(text, font(13, bold), _INNER):
            self.line(line, colour=colour, bold=bold)

    def fact(self, name: str, value: str | Sequence[str], colour: str = TEXT) -> None:
        """A name and its value, the value on as many lines as it needs; several are kept whole."""
        y = self.height + LEADING
        self._marks.append(lambda draw: write(draw, (MARGIN, y), name, QUIET))
        room = _INNER - _KEYS
        lines = wrap(value, font(), room) if isinstance(value, str) else packed(value, font(), room)
        for line in lines or [""]:
            self.line(line, MARGIN + _KEYS, colour)
        self.height += 2

    def score(self, score: Score, explained: bool, bars: bool) -> None:
        """A label, its bar with the mark from which it is called, its number on the right."""
        top, y = self.height + 3, self.height + 20
        figure = figures(score)
        room = 150 if bars else _INNER - 70
        name = elide(score.label, font(13, explained), room)
        left, right = MARGIN + 164, WIDTH - MARGIN - (48 if score.spread is None else 96)

        def mark(draw: Draw) -> None:
            if explained:
                draw.rounded_rectangle((MARGIN - 8, top, WIDTH - MARGIN + 8, top + 23), 4, fill=CHOSEN)
            colour = ACCENT if explained else TEXT
            write(draw, (MARGIN, y), name, colour, font(13, explained))
            write(draw, (WIDTH - MARGIN, y), figure, colour, font(13, explained), "rs", figures=True)
            if bars:
                _bar(draw, (left, y - 8, right, y - 1), score, ACCENT if explained else BAR_QUIET)

        self._marks.append(mark)
        self.height += 25

    def picture(self, height: int) -> Image.Image:
        """The column, `height` pixels high."""
        image = Image.new("RGB", (WIDTH, height), PANEL)
        draw = ImageDraw.Draw(image)
        draw.line((0, 0, 0, image.height), fill=LINE)
        for mark in self._marks:
            mark(draw)
        return image


def _bar(draw: Draw, box: tuple[float, float, float, float], score: Score, colour: str) -> None:
    left, top, right, bottom = box
    draw.rounded_rectangle(box, 3, fill=LINE)
    end = left + (right - left) * min(max(score.probability, 0.0), 1.0)
    if end - left >= 2:
        draw.rounded_rectangle((left, top, end, bottom), 3, fill=colour)
    if score.threshold is not None:
        x = left + (right - left) * min(max(score.threshold, 0.0), 1.0)
        draw.rectangle((x - 1, top - 3, x, bottom + 3), fill="#ffffff")


def column(snapshot: Snapshot, remarks: tuple[str, ...], drawn: bool) -> Column:
    """All the text of a snapshot; `remarks` are what a reader must know, `drawn` is whether a map is."""
    result = Column()
    shown = snapshot.overlay.map
    if isinstance(shown, Attribution):
        _scores(result, shown, explained_labels(shown))
        unknown = shown.prediction.unknown
        if unknown is not None:
            result.paragraph(unknown_text(unknown), TEXT)
        for doubt in doubts(shown.prediction):
            result.paragraph(doubt, WARNING)
    result.heading("Explanation" if isinstance(shown, Attribution) else "Map that came with the study")
    _explanation(result, shown, remarks)
    if drawn:
        result.heading("Display")
        _display(result, snapshot)
    if snapshot.annotations or snapshot.notes:
        result.heading("Notes")
        for text in (*snapshot.annotations, snapshot.notes):
            result.paragraph(masked(text, snapshot), TEXT)
    result.heading("Provenance")
    if isinstance(shown, Attribution):
        _provenance(result, shown)
    else:
        result.paragraph(meaning(shown), TEXT)
        result.fact("From", getattr(shown, "provenance", "") or "not stated")
        result.fact("Made with", f"whyscope {versions()['whyscope'] or ''}".strip())
    result.height += 20
    return result


def masked(text: str, snapshot: Snapshot) -> str:
    """A text of the file without the patient's names and numbers, unless identity is to be shown."""
    if snapshot.show_identity:
        return clean(text)
    return without_identity(text, snapshot.overlay.map.series.identity)


def explained_labels(attribution: Attribution) -> set[str]:
    target = attribution.target
    return set() if target is None else {target.label, target.minus or target.label}


def _scores(result: Column, shown: Attribution, labels: set[str]) -> None:
    prediction, swept = shown.prediction, shown.swept
    scores = sorted(prediction.scores, key=lambda s: -s.probability)
    bars = all(0 <= s.probability <= 1 for s in scores)
    calibrated = bool(scores) and all(s.calibrated for s in scores)
    result.heading("Probability (calibrated)" if calibrated else "Score" if bars else "Output")
    facts = f" · {prediction.weights[:8]} · {prediction.device}"
    room = _INNER - width(facts, font())
    result.line(elide(prediction.model, font(), room) + facts, colour=QUIET)
    result.height += 4
    listed = scores[:_SHOWN_SCORES] if len(scores) > _SHOWN_SCORES + 1 else scores
    listed = [*listed, *(s for s in scores[len(listed) :] if s.label in labels)]
    for score in listed:
        result.score(score, score.label in labels, bars)
    if len(scores) > len(listed):
        result.paragraph(f"… and {len(scores) - len(listed)} more")
    if any(s.threshold is not None for s in listed):
        what = "called" if swept is None else "one block is called"
        result.paragraph(f"white mark: {what} from here on")
    result.paragraph(f"of {looked_at_text(shown)}", TEXT)
    if swept is not None:
        result.paragraph(f"{ONE_BLOCK} {stride_text(shown.series, swept)} {weighed_text(swept)}")


def _explanation(result: Column, shown: Map, remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        result.paragraph(remark, WARNING, bold=True)
        result.height += 4
    result.fact("Method" if isinstance(shown, Attribution) else "Quantity", shown.title)
    if isinstance(shown, Attribution):
        result.fact("Target", target_text(shown), TEXT if shown.target is None else ACCENT)
        if shown.layer is not None:
            result.fact("Layer", shown.layer)
        settings = {k: v for k, v in settings_facts(shown).items() if k != "layer" and v is not None}
        if settings:
            result.fact("Settings", [f"{k} {_setting(v)}{_ran(shown, k, v)}" for k, v in settings.items()])
        if shown.within is not None:
            words = (shown.within.name, shown.within.remark)
            result.fact("Only within", [some for some in words if some])
        if shown.features:
            result.fact("Features", [f"{name} {value}".strip() for name, value in feature_words(shown)])
        if shown.found:
            result.fact("Used", used_words(shown))
    result.fact("Unit", shown.unit or "none")
    ends = [number(end, sign=True) for end in shown.extremes() if end is not None]
    if ends:
        result.fact("Values", " … ".join(ends))
    result.fact("Resolution", native_facts(shown))
    if isinstance(shown, Attribution):
        result.fact("Completeness", *_completeness(shown.completeness_error))


def _completeness(error: float | None) -> tuple[str, str]:
    if error is None:
        return "not defined for this method", QUIET
    if not np.isfinite(error):
        return "not defined: the score does not change", QUIET
    return f"error {number(error)} %", TEXT


def _setting(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _ran(shown: Attribution, name: str, value: object) -> str:
    """The side of the smallest window that was covered, where it is another than the one that is set."""
    found = shown.resolution
    if name != "window" or found is None or found.part != "window" or not found.sizes:
        return ""
    smallest = max(found.sizes[-1])
    return "" if value in (0, smallest) else f" ({number(smallest)} ran)"


def _display(result: Column, snapshot: Snapshot) -> None:
    style = snapshot.overlay.style
    low, high = shown_range(style)
    signs = {"positive": "positive values", "signed": "both signs", "magnitude": "size, without sign"}
    result.fact("Colours", f"{style.colours} · {signs[style.sign]}")
    result.fact("Range", f"{number(low, sign=True)} … {number(high, sign=True)}")
    beyond = clipped_text(*clipped(snapshot.overlay.map, style), style.sign)
    if beyond:
        result.fact("", beyond)
    size = "a size of " if style.sign != "positive" else ""
    result.fact("Blank below", f"{size}{number(style.threshold)}")
    result.fact("Opacity", f"{100 * style.opacity:.0f} % · {style.interpolation}")


def _provenance(result: Column, shown: Attribution) -> None:
    prediction = shown.prediction
    result.fact("Weights", f"SHA-256 {prediction.weights[:16]}…" if prediction.weights else "no file")
    result.fact("Paper", shown.explainer.paper)
    result.fact("Made with", [f"{name} {found}" for name, found in versions(shown).items() if found])
