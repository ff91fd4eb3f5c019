# SPDX-License-Identifier: Apache-2.0
"""Overlay planes and display shutters (PS3.3 C.9.2, C.7.6.11): drawn for the reader, never for a model."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from viewer.dicom import elements as get
from viewer.dicom.elements import Dataset
from viewer.dicom.facts import Pixels
from viewer.dicom.header import BIG_ENDIAN, NATIVE, Header, NotAnImage, header_of
from viewer.dicom.pixel_data import pixels_of
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Series

Mask = NDArray[np.bool_]

_GROUPS = range(0x6000, 0x6020, 2)
_SHARED, _OF_FRAMES = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


@dataclass(frozen=True, slots=True, eq=False)
class Graphics:
    """What a file lays over a slice: masks (rows, columns), None where there is nothing of the kind."""

    overlay: Mask | None = field(repr=False)
    """Where any overlay plane has a mark."""
    shutter: Mask | None = field(repr=False)
    """What the display shutter hides."""
    shade: int = 0
    """The grey level in its place, 0…255."""


_MOST_CORNERS = 1000
"""Of a polygon that is drawn: the time goes with corners × rows, and a file can hold millions."""


@dataclass(frozen=True, slots=True, eq=False)
class _Bits:
    """Overlay Data with the first pixel in the lowest bit of the first byte (PS3.5 8.1.2)."""

    length: int
    held: bytes | None = field(repr=False)
    """None where they were too long to be read with the header."""
    path: Path = field(repr=False)
    offset: int
    words: bool
    """Whether they are words in big endian."""

    def part(self, first: int, last: int) -> bytes:
        """Bytes `first` to `last`, exclusive; fewer where there are fewer."""
        start, end = first & ~1, min(last + 1 & ~1, self.length & ~1)
        if self.held is not None:
            data = self.held[start:end]
        else:
            with self.path.open("rb") as file:
                file.seek(self.offset + start)
                data = file.read(max(end - start, 0))
        if self.words:
            data = np.frombuffer(data[: len(data) & ~1], ">u2").astype("<u2").tobytes()
        return data[first - start : last - start]


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """One group 60xx: packed bits, or one bit of every stored pixel where `data` is None."""

    size: tuple[int, int]
    origin: tuple[int, int]
    """Row and column, from 1, of its first pixel on the image."""
    frames: range | None
    """The frames of the image, from 1, that it belongs to; None for all."""
    data: _Bits | None
    bit: int


@dataclass(frozen=True, slots=True)
class _Shutter:
    """Shapes of which only what lies in all of them is shown; rows and columns from 1."""

    box: tuple[int, int, int, int] | None
    """Left, right, upper and lower edge, each the last that is shown."""
    circle: tuple[float, float, float] | None
    """Row and column of the centre, and the radius in pixels along a row."""
    polygon: tuple[tuple[float, float], ...]
    """(row, column) of each corner."""
    shade: int


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """All of that in one file."""

    planes: tuple[_Plane, ...]
    shutter: _Shutter | None
    shutters: tuple[_Shutter | None, ...]
    """Of each frame, where frames have their own."""
    pixels: Pixels | None


def graphics(series: Series, index: int, limits: Limits | None = None) -> Graphics | None:
    """What the file of slice `index` lays over it; None where there is nothing, or where it is damaged."""
    if not series.paths or not series.frame_numbers:
        return None
    path, number = series.paths[index], series.frame_numbers[index]
    try:
        stat = path.stat()
        file = _of_file(path, (stat.st_mtime_ns, stat.st_size), limits or Limits())
        if file is None:
            return None
        shape = series.shape[1:]
        overlay = _overlay(file, number, shape)
        own = file.shutters[number - 1] if number <= len(file.shutters) else None
        shutter = own or file.shutter
        hidden = None if shutter is None else _hidden(shutter, shape, series.geometry.pixel_aspect)
    except OSError:
        return None
    if overlay is None and hidden is None:
        return None
    return Graphics(overlay, hidden, shutter.shade if shutter is not None else 0)


@lru_cache(maxsize=2)
def _of_file(path: Path, _stamp: tuple[int, int], limits: Limits) -> _File | None:
    """Read once for all frames of a file; what cannot be read has nothing to lay over an image."""
    get.hush()
    try:
        header = header_of(path, limits)
        dataset = header.dataset
        planes = tuple(p for p in (_plane(header, group, limits) for group in _GROUPS) if p is not None)
        embedded = any(p.data is None for p in planes)
        frames = get.items(dataset, _OF_FRAMES)
        shared = _first(_first(dataset, _SHARED), "FrameDisplayShutterSequence")
        return _File(
            planes,
            _shutter(dataset) or _shutter(shared),
            tuple(_shutter(_first(frame, "FrameDisplayShutterSequence")) for frame in frames),
            pixels_of(header, limits) if embedded else None,
        )
    except (SeriesError, NotAnImage):
        return None
    except Exception:  # noqa: BLE001 - damaged headers raise nearly anything; the image is shown all the same
        return None


def _first(dataset: Dataset, sequence: str) -> Dataset:
    return next(iter(get.items(dataset, sequence)), Dataset())


# --- overlays -------------------------------------------------------------------------------------


def _numbers(dataset: Dataset, tag: int) -> tuple[int, ...]:
    """Whole numbers of an element of a repeating group, none where it is absent or damaged."""
    try:
        found = dataset[tag].value
        several = found if isinstance(found, list | tuple | get.pydicom.multival.MultiValue) else [found]
        return tuple(int(v) for v in several)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return ()


def _plane(header: Header, group: int, limits: Limits) -> _Plane | None:
    dataset, tag = header.dataset, group << 16
    rows, columns = (_numbers(dataset, tag | k) for k in (0x10, 0x11))
    if not rows or not columns or not (0 < rows[0] <= limits.rows and 0 < columns[0] <= limits.columns):
        return None
    origin = _numbers(dataset, tag | 0x50)
    count, first = (_numbers(dataset, tag | k) for k in (0x15, 0x51))
    start = first[0] if first else 1
    # Without either number the plane is for every frame of the image (PS3.3 C.9.2).
    frames = range(start, start + (count[0] if count else 1)) if count or first else None
    data = _packed(header, tag | 0x3000)
    bit = _numbers(dataset, tag | 0x102)
    if data is None and (_numbers(dataset, tag | 0x100)[:1] or (1,)) == (1,):
        return None
    place = (origin[0], origin[1]) if len(origin) == 2 else (1, 1)
    return _Plane((rows[0], columns[0]), place, frames, data, bit[0] if bit else 0)


def _packed(header: Header, tag: int) -> _Bits | None:
    """Where Overlay Data lie; None where there are none."""
    raw = get.unread(header.dataset, tag)
    if raw is None or not raw.length:
        return None
    held = raw.value if isinstance(raw.value, bytes) else None
    words = not raw.is_little_endian and raw.VR == "OW"
    return _Bits(raw.length if held is None else len(held), held, header.path, raw.value_tell, words)


def _overlay(file: _File, number: int, shape: tuple[int, ...]) -> Mask | None:
    """All planes of a frame together."""
    result = None
    for plane in file.planes:
        if plane.frames is not None and number not in plane.frames:
            continue
        if plane.data is None:
            bits = None if file.pixels is None else _embedded(file.pixels, number, plane.bit)
        else:
            # A single plane for all frames is its own first.
            bits = _unpacked(plane, 0 if plane.frames is None else number - plane.frames.start)
        if bits is not None:
            result = np.zeros(shape, dtype=np.bool_) if result is None else result
            _lay(bits, plane.origin, result)
    return result if result is not None and result.any() else None


def _unpacked(plane: _Plane, number: int) -> Mask | None:
    """One frame of a plane; frames follow each other without a gap, in the midst of a byte too."""
    rows, columns = plane.size
    start = number * rows * columns
    first, last = start // 8, -(-(start + rows * columns) // 8)
    part = b"" if plane.data is None else plane.data.part(first, last)
    if len(part) < last - first:
        return None
    bits = np.unpackbits(np.frombuffer(part, np.uint8), bitorder="little")
    return bits[start - 8 * first :][: rows * columns].reshape(rows, columns).astype(np.bool_)


def _embedded(pixels: Pixels, number: int, bit: int) -> Mask | None:
    """An overlay in a bit of the stored pixels that holds no grey, as files were written before 2004."""
    grey = range(pixels.high_bit - pixels.stored + 1, pixels.high_bit + 1)
    native = pixels.syntax in NATIVE and pixels.offset is not None and pixels.samples == 1
    if not native or pixels.allocated not in (8, 16, 32) or bit in grey or not 0 <= bit < pixels.allocated:
        return None
    with pixels.path.open("rb") as file:
        file.seek((pixels.offset or 0) + (number - 1) * pixels.frame_bytes)
        data = file.read(pixels.frame_bytes)
    if len(data) < pixels.frame_bytes:
        return None
    order = ">" if pixels.syntax == BIG_ENDIAN else "<"
    values = np.frombuffer(data, f"{order}u{pixels.allocated // 8}").reshape(pixels.rows, pixels.columns)
    return (values >> bit & 1).astype(np.bool_)


def _lay(bits: Mask, origin: tuple[int, int], result: Mask) -> None:
    """Add a plane where it lies; what hangs over the image is cut off."""
    top, left = origin[0] - 1, origin[1] - 1
    first, last = (max(top, 0), max(left, 0)), (top + bits.shape[0], left + bits.shape[1])
    part = bits[max(-top, 0) : max(result.shape[0] - top, 0), max(-left, 0) : max(result.shape[1] - left, 0)]
    result[first[0] : max(last[0], 0), first[1] : max(last[1], 0)] |= part


# --- shutters -------------------------------------------------------------------------------------


def _shutter(dataset: Dataset) -> _Shutter | None:
    """The display shutter of a data set, of its shapes those that are whole."""
    shapes = {shape.upper() for shape in get.texts(dataset, "ShutterShape")}
    names = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
    edges = [get.integer(dataset, f"Shutter{name}Edge") for name in names]
    left, right, upper, lower = edges
    box = None
    if "RECTANGULAR" in shapes and None not in (left, right, upper, lower):
        box = (left or 0, right or 0, upper or 0, lower or 0)
    centre, radius = get.numbers(dataset, "CenterOfCircularShutter"), get.number(dataset, _RADIUS)
    circle = None
    if "CIRCULAR" in shapes and len(centre) == 2 and radius is not None:
        circle = (centre[0], centre[1], radius)
    flat = get.numbers(dataset, "VerticesOfThePolygonalShutter") if "POLYGONAL" in shapes else ()
    corners = tuple(zip(flat[::2], flat[1::2], strict=False)) if 6 <= len(flat) <= 2 * _MOST_CORNERS else ()
    if box is None and circle is None and not corners:
        return None
    shade = get.integer(dataset, "ShutterPresentationValue") or 0
    return _Shutter(box, circle, corners, min(max(round(shade / 257), 0), 255))


_RADIUS = "RadiusOfCircularShutter"


def _hidden(shutter: _Shutter, shape: tuple[int, ...], aspect: float) -> Mask | None:
    """What lies outside of any of the shapes; None where that is nothing, or all: no shutter is meant so."""
    row, column = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    shown = np.ones(shape, dtype=np.bool_)
    if shutter.box is not None:
        left, right, upper, lower = shutter.box
        shown &= (row >= upper) & (row <= lower) & (column >= left) & (column <= right)
    if shutter.circle is not None:
        y, x, radius = shutter.circle
        high = aspect if np.isfinite(aspect) and aspect > 0 else 1.0
        shown &= ((row - y) * high) ** 2 + (column - x) ** 2 <= radius**2
    if shutter.polygon:
        area = Image.new("L", (shape[1], shape[0]))
        far = 1e5  # beyond any image, and within what the drawing can count
        corners = [(min(max(c - 1, -far), far), min(max(r - 1, -far), far)) for r, c in shutter.polygon]
        ImageDraw.Draw(area).polygon(corners, fill=1, outline=1)
        shown &= np.asarray(area) > 0
    return None if shown.all() or not shown.any() else ~shown


# --- drawing --------------------------------------------------------------------------------------

MARK, RIM = 1, 2
"""Places in what `rimmed` gives; 0 is blank."""


def strongest_mark(overlay: Mask, factor: int) -> Mask:
    """A mark where any of `factor` × `factor` pixels has one, so that no line vanishes."""
    if factor == 1:
        return overlay
    padded = np.pad(overlay, [(0, -n % factor) for n in overlay.shape])
    rows, columns = (n // factor for n in padded.shape)
    return np.asarray(padded.reshape(rows, factor, columns, factor).any(axis=(1, 3)))


def rimmed(marks: Mask) -> NDArray[np.uint8]:
    """Marks and the pixels around them, so that white is seen on white."""
    wide = np.pad(marks, 1)
    rows, columns = marks.shape
    around = np.zeros_like(marks)
    for down in range(3):
        for across in range(3):
            around |= wide[down : down + rows, across : across + columns]
    return np.where(marks, MARK, np.where(around, RIM, 0)).astype(np.uint8)
