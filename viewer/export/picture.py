# SPDX-License-Identifier: Apache-2.0
"""One explained slice as a picture: composed from the data, never from a widget.

Left the plain image, right the same with its map, at one scale; beside them what the model said and
how the map was made. The sentences that keep a reader from concluding too much are burned in.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from viewer import affine
from viewer.dicom import default_window, displayed, graphics
from viewer.dicom.overlays import MARK, RIM, rimmed, strongest_mark
from viewer.export import drawing
from viewer.export.colourbar import BAR, colour_bar
from viewer.export.drawing import (
    ACCENT,
    BACK,
    IMAGE,
    LINE,
    QUIET,
    STOP,
    TEXT,
    WARNING,
    Draw,
    elide,
    font,
    width,
    write,
)
from viewer.export.panel import (
    MARGIN,
    WIDTH,
    column,
    explained_labels,
    masked,
)
from viewer.export.provenance import meaning
from viewer.overlay import (
    Bytes,
    as_drawn,
    blank,
    coloured,
    composite,
    hatched,
    native_facts,
    on_source,
    visible,
)
from viewer.overlay.outline import border
from viewer.types import Array, Attribution, Geometry, Snapshot
from viewer.wording import (
    NEARLY_ALL,
    NO_WINDOW,
    RESEARCH_USE,
    best_of_text,
    clean,
    method_text,
    outside_text,
    remark_text,
    score_text,
    spacing_text,
    target_text,
    window_text,
)

_SIDE = 700
"""Longer side of a view's image in pixels."""
_LEAST = 420
"""Least side of a view, so that texts have room beside a small or narrow image."""
GUTTER, STRIP, TOP, FOOT = 38, 66, 46, 44
_HATCH = 12


def compose(snapshot: Snapshot) -> Image.Image:
    """The picture of a snapshot, RGB. Raises `SeriesError` for a slice that cannot be decoded."""
    series = snapshot.overlay.map.series
    shown = snapshot.overlay.map
    values = as_drawn(shown, on_source(shown, snapshot.slice, snapshot.overlay.style.interpolation))
    drawn, remarks = _judged(snapshot, values)
    image = _cropped(displayed(series, snapshot.slice, snapshot.window), snapshot)
    if snapshot.inverted and not series.colour:
        image = 255 - image
    laid = graphics(series, snapshot.slice) if snapshot.overlays else None
    if laid is not None and laid.shutter is not None:
        image = np.where(_like(_cropped(laid.shutter, snapshot), image), np.uint8(laid.shade), image)
    letters = series.geometry.letters(snapshot.slice)
    plain = _scaled(image, _size(image.shape, series.geometry))
    mapped = _laid_over(plain, _cropped(values, snapshot), snapshot) if drawn else plain
    if laid is not None and laid.overlay is not None:
        plain, mapped = (_drawn_on(p, _cropped(laid.overlay, snapshot)) for p in (plain, mapped))
    plain, mapped = _bordered(plain, snapshot, image.shape), _bordered(mapped, snapshot, image.shape)
    text = column(snapshot, remarks, drawn)
    height = max(plain.height + 2 * STRIP, _LEAST, text.height)
    views = (
        _view(plain, _plain_texts(snapshot), letters, height),
        _view(mapped, _map_texts(snapshot, remarks, drawn), letters, height, BAR),
    )
    if drawn:
        colour_bar(views[1], snapshot.overlay, views[1].width - BAR, height)
    return _page(snapshot, views, text.picture(height))


def _judged(snapshot: Snapshot, values: Array) -> tuple[bool, tuple[str, ...]]:
    """Whether the map is to be drawn on this slice, and what must be said of it."""
    shown, style = snapshot.overlay.map, snapshot.overlay.style
    signed, seen = style.sign != "positive", bool(np.isfinite(values).any())
    nothing = isinstance(shown, Attribution) and blank(shown, signed)
    remark = remark_text(shown, signed, nothing, seen, bool(visible(values, style).any()))
    return seen and not nothing, (remark,) if remark else ()


def _label(snapshot: Snapshot) -> str:
    shown = snapshot.overlay.map
    return shown.target.words if isinstance(shown, Attribution) and shown.target is not None else ""


def _cropped(array: Array, snapshot: Snapshot) -> Array:
    if snapshot.crop is None:
        return array
    top, left, bottom, right = snapshot.crop
    return array[top : bottom + 1, left : right + 1]


def _like(mask: Array, image: Array) -> Array:
    """A mask (rows, columns) that goes with grey or colour."""
    return mask if image.ndim == 2 else mask[..., None]


def _drawn_on(picture: Image.Image, overlay: Array) -> Image.Image:
    """The file's overlay in white with a dark rim; a line as thin as a pixel stays when made small."""
    rows, columns = overlay.shape
    factor = max(1, math.ceil(max(columns / picture.width, rows / picture.height)))
    marks = strongest_mark(overlay, factor)
    whole = picture.width * marks.shape[1] * factor / columns, picture.height * marks.shape[0] * factor / rows
    places = Image.fromarray(rimmed(marks)).resize(
        (round(whole[0]), round(whole[1])), Image.Resampling.NEAREST
    )
    kinds = np.asarray(places)[: picture.height, : picture.width]
    result = np.array(picture)
    part = result[: kinds.shape[0], : kinds.shape[1]]
    part[kinds == MARK], part[kinds == RIM] = 255, 0
    return Image.fromarray(result)


def _bordered(picture: Image.Image, snapshot: Snapshot, shape: tuple[int, ...]) -> Image.Image:
    """The border of the block that the score is of, with a dark rim, where it lies on the slice; an input
    that reaches over all of the image has none."""
    shown = snapshot.overlay.map
    if not isinstance(shown, Attribution):
        return picture
    field = shown.prediction.input.field
    if field.share(shown.series.shape) > NEARLY_ALL:
        return picture
    top, left = (0, 0) if snapshot.crop is None else snapshot.crop[:2]
    lines = border(field, affine.scale_offset((1, 1, 1), (snapshot.slice, top, left)))
    scale = np.array([picture.height / shape[0], picture.width / shape[1]])
    result = picture.copy()
    draw = ImageDraw.Draw(result)
    for thickness, colour in ((4, IMAGE), (2, ACCENT)):
        for start, end in (lines + 0.5) * scale:
            draw.line((start[1], start[0], end[1], end[0]), fill=colour, width=thickness)
    return result


def _size(shape: tuple[int, ...], geometry: Geometry) -> tuple[int, int]:
    """Width and height in the picture, in the shape that the patient has."""
    aspect = geometry.pixel_aspect
    height, across = shape[0] * (aspect if np.isfinite(aspect) and aspect > 0 else 1.0), float(shape[1])
    scale = _SIDE / max(height, across)
    return max(1, round(across * scale)), max(1, round(height * scale))


def _scaled(image: Array, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(image)).convert("RGB")
    if picture.size == size:
        return picture
    method = Image.Resampling.LANCZOS if picture.width > size[0] else Image.Resampling.BICUBIC
    return picture.resize(size, method)


def _laid_over(plain: Image.Image, values: Array, snapshot: Snapshot) -> Image.Image:
    """The map over the scaled image; its opacity stays one number at its border too."""
    style = snapshot.overlay.style
    rows, columns = values.shape
    if style.interpolation == "nearest":
        colours = _resized(coloured(values, style), plain.size, Image.Resampling.NEAREST)
    elif plain.width >= columns and plain.height >= rows:
        colours = coloured(_enlarged(values, plain.size), style)
    else:
        # Colours, not values: a mean over several pixels could fall below the threshold and vanish.
        colours = _resized(coloured(values, style), plain.size, Image.Resampling.BILINEAR)
    shown = snapshot.overlay.map
    if isinstance(shown, Attribution) and shown.negative:
        colours = hatched(colours, _HATCH)
    return Image.fromarray(composite(np.asarray(plain), colours))


def _resized(colours: Bytes, size: tuple[int, int], method: Image.Resampling) -> Bytes:
    """RGBA scaled, its alpha again one number or 0."""
    alpha = int(colours[..., 3].max(initial=0))
    opaque = colours.copy()
    opaque[..., 3] = np.where(colours[..., 3] > 0, 255, 0)
    scaled = np.array(Image.fromarray(opaque).resize(size, method))
    scaled[..., 3] = np.where(scaled[..., 3] >= 128, alpha, 0)
    return scaled


def _enlarged(values: Array, size: tuple[int, int]) -> Array:
    """Values between those of the pixels, NaN where the nearest pixel is; NaN enters no mean."""

    def scaled(array: Array, method: Image.Resampling) -> Array:
        return np.asarray(Image.fromarray(array.astype(np.float32)).resize(size, method))

    seen = np.isfinite(values)
    known = scaled(seen, Image.Resampling.NEAREST) > 0.5
    share = scaled(seen, Image.Resampling.BILINEAR)
    total = scaled(np.where(seen, values, 0), Image.Resampling.BILINEAR)
    return np.divide(total, share, where=known, out=np.full(total.shape, np.nan, np.float32))


_Sides = tuple[str, str, str, str] | None
_Texts = dict[str, list[tuple[str, str]]]
"""Lines (text, colour) per corner: "top left", "top right", "bottom left", "bottom right"."""


def _plain_texts(snapshot: Snapshot) -> _Texts:
    series = snapshot.overlay.map.series
    description = masked(series.description, snapshot)
    sided = series.geometry.letters(snapshot.slice) is not None
    where = [series.laterality, series.view] if sided else ["side unknown"]
    facts = " · ".join(clean(text) for text in where if text)
    return {
        "top left": [
            (f"{series.modality}  {description}".strip(), TEXT),
            (f"Im {snapshot.slice + 1} / {series.shape[0]}", TEXT),
        ],
        "top right": [("image", TEXT)],
        "bottom left": [(_window_text(snapshot), TEXT), (spacing_text(series), TEXT)],
        "bottom right": [("", TEXT), (facts, QUIET)],
    }


def _map_texts(snapshot: Snapshot, remarks: tuple[str, ...], drawn: bool) -> _Texts:
    shown = snapshot.overlay.map
    title, what = shown.title, "came with the study, not computed here"
    if isinstance(shown, Attribution):
        title, what, score = method_text(shown), target_text(shown), shown.score
        if score is not None and len(explained_labels(shown)) == 1:
            what += f" · {score_text(score, len(shown.predictions))}"
            what += f", {best_of_text(shown.swept)}" if shown.swept else ""
    facts = f"{native_facts(shown)} · {snapshot.overlay.style.interpolation}"
    return {
        "top left": [(title, TEXT), (what, ACCENT if _label(snapshot) else TEXT)],
        "top right": [("image + map" if drawn else "image, no map drawn", TEXT)],
        "bottom left": [(remarks[0] if remarks else "", WARNING), (facts, TEXT)],
        "bottom right": [],
    }


def _window_text(snapshot: Snapshot) -> str:
    series = snapshot.overlay.map.series
    if series.colour:
        return NO_WINDOW
    if snapshot.window is None and series.display.voi_lut is not None:
        return window_text(series.display, snapshot.inverted)
    window = snapshot.window or default_window(series, snapshot.slice)
    return window_text(window, snapshot.inverted, series.display.unit)


def _view(image: Image.Image, texts: _Texts, letters: _Sides, height: int, gutter: int = 0) -> Image.Image:
    """An image in black with texts in the corners and the patient's sides around it; nothing covers it.

    `gutter` is extra room on the right.
    """
    across = max(image.width, _LEAST) + 2 * GUTTER
    frame = Image.new("RGB", (across + gutter, height), IMAGE)
    draw = ImageDraw.Draw(frame)
    left, top = (across - image.width) // 2, (height - image.height) // 2
    frame.paste(image, (left, top))
    _corners(draw, texts, frame.width, frame.height)
    _letters(draw, letters, (left, top, left + image.width, top + image.height))
    return frame


def _corners(draw: Draw, texts: _Texts, across: int, height: int) -> None:
    """Two lines in each corner; the right one takes the room it needs, the left one is elided."""
    for edge, lines in (("top", (20, 38)), ("bottom", (height - 30, height - 12))):
        for i, y in enumerate(lines):
            left, right = (
                texts[f"{edge} {side}"][i] if i < len(texts[f"{edge} {side}"]) else ("", TEXT)
                for side in ("left", "right")
            )
            end = elide(right[0], font(), across / 2)
            write(draw, (across - 14, y), end, right[1], font(), "rs")
            room = across - 28 - (width(end, font()) + 20 if end else 0)
            face = font(13, bold=left[1] in (WARNING, ACCENT))
            write(draw, (14, y), elide(left[0], face, room), left[1], face)


def _letters(draw: Draw, letters: _Sides, box: tuple[int, int, int, int]) -> None:
    if letters is None:
        return
    left, top, right, bottom = box
    middle, centre = (left + right) / 2, (top + bottom) / 2
    places = (
        (left - 8, centre, "rm"),
        (right + 8, centre, "lm"),
        (middle, top - 8, "ms"),
        (middle, bottom + 8, "mt"),
    )
    for letter, (x, y, anchor) in zip(letters, places, strict=True):
        write(draw, (x, y), elide(letter, font(), GUTTER - 10), QUIET, font(13, bold=True), anchor)


def _page(snapshot: Snapshot, views: tuple[Image.Image, Image.Image], text: Image.Image) -> Image.Image:
    """Head, a red bar where the intended use was overridden, views and text beside each other, foot."""
    shown = snapshot.overlay.map
    across = views[0].width + 1 + views[1].width + WIDTH
    override = shown.predictions[0].override if isinstance(shown, Attribution) else None
    stop = drawing.wrap(outside_text(override), font(13, True), across - 32) if override else []
    start = TOP + (len(stop) * drawing.LEADING + 14 if stop else 0)
    page = Image.new("RGB", (across, start + text.height + FOOT), BACK)
    draw = ImageDraw.Draw(page)
    _head(draw, snapshot, across)
    if stop:
        draw.rectangle((0, TOP, across, start - 1), fill=STOP)
        for i, line in enumerate(stop):
            write(draw, (16, TOP + 20 + i * drawing.LEADING), line, BACK, font(13, True))
    for view, x in ((views[0], 0), (views[1], views[0].width + 1)):
        page.paste(view, (x, start))
    draw.line((views[0].width, start, views[0].width, start + text.height), fill=LINE)
    page.paste(text, (across - WIDTH, start))
    y = page.height - FOOT / 2
    write(draw, (16, y), RESEARCH_USE, WARNING, font(13, True), "lm")
    write(draw, (across - MARGIN, y), meaning(shown), TEXT, font(), "rm")
    return page


def _head(draw: Draw, snapshot: Snapshot, across: int) -> None:
    """The program and whose image this is."""
    series = snapshot.overlay.map.series
    who = "Patient ●●●●●●"
    if snapshot.show_identity:
        identity = series.identity
        facts = (identity.patient.replace("^", " "), identity.patient_id, identity.birth_date)
        who = " · ".join(clean(f) for f in facts if f) or "Patient not named in the file"
    title = font(15, True)
    write(draw, (16, TOP / 2), "Whyscope", TEXT, title, "lm")
    x = 16 + width("Whyscope", title) + 24
    who = elide(who, font(), across / 2)
    write(draw, (x, TOP / 2), who, TEXT, font(), "lm")
    x += width(who, font()) + 6
    place = " · ".join(t for t in (masked(series.description, snapshot), series.modality) if t)
    write(draw, (x, TOP / 2), elide(f"· {place}", font(), across - x - 20), QUIET, font(), "lm")
