# SPDX-License-Identifier: Apache-2.0
"""Numbers, names and sentences that the window and the exported files share."""

import math
import re
import unicodedata
from collections.abc import Sequence
from itertools import product

import numpy as np

from viewer import affine
from viewer.score_words import called_text as called_text
from viewer.score_words import figures as figures
from viewer.score_words import kind_of as kind_of
from viewer.score_words import score_text as score_text
from viewer.score_words import share_text as share_text
from viewer.score_words import threshold_text as threshold_text
from viewer.settings import GIB, MIB
from viewer.types import (
    Attribution,
    BestBlock,
    Display,
    Field,
    Identity,
    Map,
    Prediction,
    Series,
    Swept,
    Window,
)

RESEARCH_USE = "For research use only. Not for diagnostic use."
INFLUENCE_ONLY = "Shows influence on the score. Not a segmentation."
INFLUENCE = f"{INFLUENCE_ONLY} Absence of colour does not exclude disease."
ORDER_ONLY = "Shows where the order of cells differs. Not how much they say."
CAME_ALONG = "The map came with the study and was not computed here."
OUTSIDE_USE = "Outside the model's intended use"
SAME_FOR_ALL = "same for every label"
NOT_LOOKED_AT = "The model did not look at this slice."
NO_VALUE = "The map has no value on this slice."
NOTHING_REACHES = "All of the map on this slice is smaller than “Blank below”."
NO_WINDOW = "colour, no window"
BELOW = "not called"

# --- texts of a file ------------------------------------------------------------------------------


def clean(text: str) -> str:
    """One line without control, bidirectional and other invisible characters: text of a file is hostile."""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(shown.split())


def without_identity(text: str, who: Identity) -> str:
    """A text of the file with the words of the patient's name, number and birth date blotted out."""
    parts = re.split(r"[\s^,=]+", f"{who.patient} {who.patient_id} {who.birth_date}")
    for part in sorted((p for p in parts if len(p) > 2), key=len, reverse=True):
        text = re.sub(re.escape(part), "●●●", text, flags=re.IGNORECASE)
    return clean(text)


# --- numbers --------------------------------------------------------------------------------------


def patients(series: Sequence[Series]) -> tuple[str, ...]:
    """Of each series whose it is, by numbers and not by names: "1", "2"; "" all over where there is but one.

    The Patient ID (0010,0020) tells, for names are spelt in several ways and birth dates left out; without
    one, name and birth date. Of a series that does not say whose it is, such as a picture, "" too.
    """
    who = [s.identity for s in series]
    known = [(w.patient_id,) if w.patient_id else ("", w.patient, w.birth_date) for w in who]
    numbers = {one: str(i) for i, one in enumerate(dict.fromkeys(filter(any, known)), 1)}
    return tuple(numbers.get(one, "") if len(numbers) > 1 else "" for one in known)


def number(value: float, sign: bool = False) -> str:
    """Three figures with a true minus, e.g. "+0.41", "−1.2e-5"."""
    if value == 0:
        return "0"
    size = abs(value)
    text = f"{size:.2e}" if size < 1e-3 or size >= 1e5 else f"{size:.3g}" if size < 100 else f"{size:.0f}"
    mantissa, e, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    text = f"{mantissa}e{int(exponent)}" if e else mantissa
    return f"−{text}" if value < 0 else f"+{text}" if sign else text


def time_text(seconds: float) -> str:
    """A length of time as one plans by it: "40 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes, -1), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def bytes_text(count: int) -> str:
    """A number of bytes, e.g. "412 MiB", "1.25 GiB"."""
    return f"{count / GIB:.3g} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"


def true_minus(text: str) -> str:
    """A text with the minus of its numbers as a sign of its own, "−1024 HU"; a unit such as "s-1" stays."""
    return re.sub(r"(?<!\w)-(?=[\d.])|(?<=\de)-(?=\d)", "−", text)


def counted(name: str, count: int) -> str:
    """How many of what a method used, e.g. "64 steps", "1 feature"; a player of KernelSHAP is a feature."""
    things = "features" if name == "players" else name
    return f"{count} {things.removesuffix('s') if count == 1 else things}"


def used_words(attribution: Attribution) -> list[str]:
    """How many of each a method used as it ran, in words: "64 steps"."""
    return [counted(name, count) for name, count in attribution.found.items()]


# --- what was looked at ---------------------------------------------------------------------------


def region_text(prediction: Prediction, of: int = 1) -> str:
    """What a model looked at: "slice 12 of 60", "the whole volume", or one block, its size and its share.

    `of` is how many blocks were looked at where the prediction is that of the best.
    """
    source, series = prediction.input, prediction.input.series
    volume = source.slice is None
    whole = np.array(series.shape[:3] if volume else (1, *series.shape[1:3]), float)
    ends = affine.apply(source.matrix, list(product(*((-0.5, side - 0.5) for side in source.shape))))
    if source.slice is not None:
        ends = ends - (source.slice, 0, 0)
    size = np.clip(ends.max(0), -0.5, whole - 0.5) - np.clip(ends.min(0), -0.5, whole - 0.5)
    place = "the scan" if volume else _slice_text(source.slice or 0, series.shape[0])
    if of == 1 and bool(np.all(size > whole - 1)):
        return "the whole volume" if volume else place
    share = f"{100 * float(np.prod(size / whole)):.2g} % of {place}"
    measured = _size_text(size if volume else size[1:], series)
    which = "one block of" if of == 1 else f"the best of {of} blocks, each"
    return f"{which} {measured}, {share}"


def _slice_text(slice: int, count: int) -> str:
    """A slice as readers count, or the image where there is but one."""
    return "the whole image" if count == 1 else f"slice {slice + 1} of {count}"


def _size_text(sides: np.ndarray, series: Series) -> str:
    """Sides along (slices,) rows and columns in millimetres, or in pixels where those are not known."""
    spacing = series.geometry.spacing
    steps = None if spacing is None else spacing[-len(sides) :]
    if steps is None or None in steps:
        return f"{' × '.join(number(float(side)) for side in sides)} pixels"
    lengths = (side * float(step or 0) for side, step in zip(sides, steps, strict=True))
    return f"{' × '.join(map(number, lengths))} mm"


def part_text(share: float) -> str:
    """A part of a whole in per cent: "0.3 %"."""
    return "<0.1 %" if 0 < share < 0.001 else f"{number(round(100 * share, 1))} %"


def size_text(series: Series, field: Field) -> str:
    """How large a part of a series is along (slices,) rows and columns; see `region_text`."""
    return _size_text(np.array(field.extent[field.shape[0] == 1 :]), series)


def whole_text(series: Series, field: Field) -> str:
    """What a part of a series is a part of."""
    if field.shape[0] > 1:
        return "scan"
    return "image" if series.shape[0] == 1 else "slice"


NEARLY_ALL = 0.995
"""A part that a reader would call the whole: a border of rounding is no block."""


def looked_at_text(attribution: Attribution) -> str:
    """The region that a map and its score are of; of a sweep the score is the best of its blocks."""
    swept, series = attribution.swept, attribution.series
    if swept is None:
        return region_text(attribution.prediction)
    whole = attribution.looked_at
    share = whole.share(series.shape)
    within = (
        "" if share > NEARLY_ALL else f", searched in {part_text(share)} of the {whole_text(series, whole)}"
    )
    return f"{region_text(attribution.prediction, swept.count)}{within}"


def best_of_text(swept: Swept) -> str:
    """That a score is the highest of many, which no score of one block is."""
    return f"best of {swept.count} {'block' if swept.count == 1 else 'blocks'}"


ONE_BLOCK = "Threshold and calibration of the card hold for one block, not for the best of many."


def place_text(series: Series, block: BestBlock) -> str:
    """Where the middle of a block lies: slice, row and column from 0, and in millimetres where known."""
    slice, row, column = block.place
    voxel = f"{number(slice)}, {number(row)}, {number(column)}"
    position = block.position(series.geometry)
    if position is None:
        return voxel
    return f"{voxel} · {', '.join(f'{mm:.1f}'.replace('-', '−') for mm in position)} mm"


def stride_text(series: Series, swept: Swept) -> str:
    """How blocks were laid, what may have been missed, and what to do then."""
    field = swept.best[0].field
    flat = field.shape[0] == 1  # blocks of a slice lie side by side on it
    steps = np.array(Field(field.matrix, swept.stride).extent[flat:])
    moved = [n > 0 for n in swept.stride]
    if not any(moved):
        return "There is room for one block."
    apart = f"Blocks lie {_size_text(steps, series)} apart" if all(moved[flat:]) else ""
    apart = apart or "Blocks lie beside each other where there is room"
    how = "and were moved in smaller steps around the best" if swept.refined else "and nothing between them"
    return f"{apart} {how}. {_missed_text(swept)}"


def _missed_text(swept: Swept) -> str:
    if swept.least is None:
        return "How much of a finding between them the network would still see is not known."
    seen = f"Midway between them a finding shows about {part_text(swept.least)} of what it does in the middle"
    if swept.finer:
        return f"{seen}, so that small ones may be missed: search a finer grid of {swept.finer} blocks."
    return f"{seen}, measured around the best block; fainter findings may be missed."


def weighed_text(swept: Swept) -> str:
    """How the maps of blocks were put together."""
    by = "their score, so that rejected blocks count little" if swept.weighted else "their middle alone"
    return f"Where blocks overlap, their maps are weighed by {by}."


# --- the image ------------------------------------------------------------------------------------

_MEASURED = {
    "detector": " at the detector",
    "magnified": ", corrected for magnification",
    "region": " in the ultrasound region",
}


def spacing_text(series: Series) -> str:
    """How large a pixel is, and where that length is measured."""
    spacing, kind = series.geometry.spacing, series.geometry.spacing_kind
    if spacing is None:
        sizes = dict.fromkeys(r.words for r in series.geometry.regions if r.measures)
        return f"{', '.join(sizes)} by ultrasound region" if sizes else "no millimetres: spacing unknown"
    between, rows, columns = spacing
    size = number(rows)
    if number(columns) != size:
        size += f" × {number(columns)}"
    place = _MEASURED.get(kind, "")
    if between is None:
        return f"{size} mm{place}"
    apart = f"{number(between)} mm between slices" if series.geometry.volume else "slices uneven"
    shift = series.geometry.shift
    shifted = "" if shift is None else f", each shifted by {number(math.hypot(*shift))} mm"
    return f"{size} mm{place} · {apart}{shifted}"


def window_text(shown: Window | Display, inverted: bool, unit: str = "") -> str:
    """Centre and width of a window, or that a display's VOI table is shown; with what the file calls it.

    Of standardised uptake values the two ends, as they are read.
    """
    mark = "inverted" if inverted else ""
    if isinstance(shown, Display):
        parts: tuple[str, ...] = ("VOI LUT", clean(shown.voi_lut_name), mark)
    else:
        kind = "SIGMOID" if shown.function == "SIGMOID" else ""
        numbers: tuple[str, ...] = (f"C {number(shown.center)}", f"W {number(shown.width)}")
        if unit.startswith("SUV"):
            ends = (shown.center - shown.width / 2, shown.center + shown.width / 2)
            numbers = (f"{unit} {number(ends[0])} to {number(ends[1])}",)
        parts = (*numbers, kind, clean(shown.name), mark)
    return "  ".join(part for part in parts if part)


# --- the map --------------------------------------------------------------------------------------


def method_text(attribution: Attribution) -> str:
    """The method of a map, and its layer where it has one."""
    return f"{attribution.title} · {attribution.layer}" if attribution.layer else attribution.title


def target_text(attribution: Attribution) -> str:
    """What a map explains, or that it is the same for every label."""
    return SAME_FOR_ALL if attribution.target is None else attribution.target.words


def feature_words(attribution: Attribution, most: int = 12) -> list[tuple[str, str]]:
    """Name and value of the features that have a name, the strongest first; the last says how many more."""
    found = sorted(attribution.features.items(), key=lambda item: -abs(item[1]))
    listed = found[:most] if len(found) > most + 1 else found
    words = [(clean(name), number(value, sign=True)) for name, value in listed]
    return words + ([(f"and {len(found) - len(listed)} more", "")] if len(found) > len(listed) else [])


def refitted_text(asked: Sequence[float], drawn: Sequence[float], sign: str) -> str:
    """That a range which does not fit the sign that is drawn was made to fit it, and why."""
    whys = {"positive": "only positive values are drawn", "signed": "zero is the middle of both signs"}
    ends = [f"{number(low)} … {number(high)}" for low, high in (asked, drawn)]
    return f"The range {ends[0]} is drawn as {ends[1]}: {whys.get(sign, 'sizes begin at zero')}."


def clipped_text(below: int, above: int, count: int, sign: str) -> str:
    """How many cells lie beyond the ends of a range, of those that could be drawn; "" where none does."""
    ends = [f"{some} {where}" for some, where in ((above, "above"), (below, "below")) if some]
    of = "above zero" if sign == "positive" else "that are not zero"
    return f"clipped: {' and '.join(ends)} it, of {count} cells {of}" if ends else ""


def no_evidence_text(attribution: Attribution, of_any_sign: bool = False) -> str:
    """That a method shows nothing that speaks for what a map explains, where, and what to try; `of_any_sign`:
    nor against it. It is the method that shows none: what the model used is another question."""
    label = "" if attribution.target is None else f" for {attribution.target.words}"
    method = attribution.title + (f" at layer {attribution.layer}" if attribution.layer else "")
    what = f"evidence{label} above rounding" if of_any_sign else f"positive evidence{label}"
    field = attribution.looked_at
    if attribution.swept is not None:
        where, further = f"any of {attribution.swept.grid} blocks", ""
    elif field.share(attribution.series.shape) > NEARLY_ALL:
        where, further = f"this {whole_text(attribution.series, field)}", ""
    else:
        where = "this block"
        further = f" or search the whole {whole_text(attribution.series, field)}"
    other = "method or layer" if attribution.layer else "method"
    return f"{method} shows no {what} in {where}; try another {other}{further}."


def nothing_text(attribution: Attribution) -> str:
    """That a method shows nothing, and by what it was measured; never that the model used nothing."""
    label = "" if attribution.target is None else f" for {attribution.target.words}"
    said, found = f"{method_text(attribution)} shows nothing{label} here", attribution.evidence
    if found is None:
        return f"{said}."
    plain = attribution.target is not None and attribution.target.plain
    moved = f"{number(found.change)} {'of the output' if plain else 'logits'}"
    least = f"up to {number(found.limit * found.size)} counts as nothing"
    summed = found.measure in ("difference", "sum")
    how = "its values come to" if summed else "without its strongest cells the answer moves by"
    return f"{said}: {how} {moved}, and {least}. Another method or layer may show more."


def outside_text(reason: str) -> str:
    """That the model was asked about an image that it was not made for, and why it was not."""
    return f"{OUTSIDE_USE}: {clean(reason)}"


def below_text(attribution: Attribution) -> str:
    """That the label is not called which a map explains; see `Attribution.negative`.

    The label has the threshold, not the region of the target.
    """
    return f"{'' if attribution.target is None else attribution.target.label} is {BELOW}"


def hidden_text(attribution: Attribution) -> str:
    """What is said of a map that is hidden because the model does not call its label."""
    return f"{below_text(attribution)}; the map would explain a negative."


def negative_text(attribution: Attribution) -> str:
    """What is said of a map that is shown though the model does not call its label."""
    return f"Explains a negative: {below_text(attribution)}."


def remark_text(map: Map, signed: bool, blank: bool, seen: bool, drawn: bool) -> str:
    """What a reader must know of a map on a slice, in one sentence; "" where there is nothing.

    `signed` is whether negative values are drawn too, `blank` whether nothing of the whole map is above
    rounding (see `viewer.overlay.blank`), `seen` whether it has a value on the slice, `drawn` whether one
    reaches the threshold.
    """
    made = map if isinstance(map, Attribution) else None
    if made is not None and made.shows_nothing:
        return nothing_text(made)
    if made is not None and blank:
        return no_evidence_text(made, of_any_sign=signed)
    if not seen:
        return NO_VALUE if made is None else NOT_LOOKED_AT
    if not drawn:
        return NOTHING_REACHES
    return negative_text(made) if made is not None and made.negative else ""
