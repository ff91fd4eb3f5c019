# SPDX-License-Identifier: Apache-2.0
"""Every DICOM file of the shared data: opened, listed or refused, and whether its pixels are right.

The pixels of each opened file are decoded a second time by another library than the one that the program
uses, its grey levels through modality and VOI a second time by highdicom. Writes docs/dicom-conformance.md.

    pip install imagecodecs av
    python benchmarks/dicom_conformance.py [--json] [FOLDER]
"""

import argparse
import functools
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import av
import highdicom as hd
import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space

from viewer import dicom
from viewer.dicom.decode import read_frame
from viewer.dicom.decoder_pool import DecodingError
from viewer.dicom.facts import LOSSY, PERHAPS_LOSSY, Image
from viewer.dicom.header import NATIVE, decodable, header_of, syntax_name
from viewer.dicom.image import object_of
from viewer.dicom.pixel_codecs import DEFLATED_FRAMES, JPEG_XL
from viewer.errors import SeriesError
from viewer.settings import Limits
from viewer.types import Series

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "dicom"
PAGE = ROOT / "docs" / "dicom-conformance.md"
BOUND = 3
"""Grey levels by which two decoders of a lossy 8-bit codec may differ: the standards leave rounding free."""
Array = np.ndarray[Any, Any]


def _jpegls(coded: bytes) -> Array:
    """By FFmpeg, which has a decoder of its own."""
    return _ffmpeg("jpegls", coded, coded[coded.index(b"\xff\xf7") + 4])


def _by_pixels(coded: bytes) -> bool:
    """Whether the values of a JPEG-LS are interleaved by pixels, which FFmpeg does not know."""
    scan = coded.index(b"\xff\xda")
    return coded[scan + 4] > 1 and coded[scan + 6 + 2 * coded[scan + 4]] == 2


def _jpeg2000(coded: bytes) -> Array:
    """By FFmpeg, which has a decoder of its own."""
    size = coded[coded.index(b"\xff\x51") + 40]
    values = _ffmpeg("jpeg2000", coded, (size & 127) + 1)
    return values ^ (1 << (size & 127)) if size & 128 else values


def _ffmpeg(codec: str, coded: bytes, bits: int) -> Array:
    """One picture; its grey levels of more than 8 bits lie in the upper bits of 16."""
    context = av.CodecContext.create(codec, "r")
    frames = [*context.decode(av.Packet(coded)), *context.decode(None)]
    values: Array = frames[0].to_ndarray()
    return values >> (16 - bits) if values.dtype == np.uint16 else values


_RLE, _BASELINE = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
_DECODERS: dict[str, tuple[str, Callable[..., Array]]] = {
    "1.2.840.10008.1.2.4.50": ("imagecodecs, libjpeg-turbo", imagecodecs.jpeg8_decode),
    "1.2.840.10008.1.2.4.51": ("imagecodecs, libjpeg 12 bits", imagecodecs.jpeg_decode),
    "1.2.840.10008.1.2.4.57": ("imagecodecs, liblj92", imagecodecs.ljpeg_decode),
    "1.2.840.10008.1.2.4.70": ("imagecodecs, liblj92", imagecodecs.ljpeg_decode),
    "1.2.840.10008.1.2.4.80": ("FFmpeg", _jpegls),
    "1.2.840.10008.1.2.4.81": ("FFmpeg", _jpegls),
    "1.2.840.10008.1.2.4.90": ("FFmpeg", _jpeg2000),
    "1.2.840.10008.1.2.4.91": ("FFmpeg", _jpeg2000),
    "1.2.840.10008.1.2.4.201": ("imagecodecs, OpenJPH", imagecodecs.htj2k_decode),
    "1.2.840.10008.1.2.4.202": ("imagecodecs, OpenJPH", imagecodecs.htj2k_decode),
    # OpenJPH lets values beyond 255 wrap around where a lossy image overshoots.
    "1.2.840.10008.1.2.4.203": ("imagecodecs, OpenJPEG", imagecodecs.jpeg2k_decode),
}


@dataclass
class Line:
    """One file of the table."""

    file: str
    outcome: str
    syntax: str = ""
    frames: int = 0
    by: str = ""
    difference: float | None = None
    pixels: str = ""
    shown: str = ""
    sentence: str = ""


# --- a second decoding ----------------------------------------------------------------------------


def second(path: Path, frame: int) -> tuple[str, Array]:
    """(who decoded, stored values of a frame: (rows, columns[, 3]), colour as RGB)."""
    data = pydicom.dcmread(path, force=True)
    syntax = str(getattr(data.file_meta, "TransferSyntaxUID", "1.2.840.10008.1.2"))
    if syntax in NATIVE:
        by, values = "numpy", _native(data, frame, syntax)
    else:
        coded = _codestream(data, frame)
        if syntax == _RLE:
            by, values = "imagecodecs, RLE", _rle(data, coded)
        else:
            by, decode = _DECODERS[syntax]
            if decode is _jpegls and _by_pixels(coded):
                by, decode = "imagecodecs, CharLS", imagecodecs.jpegls_decode
            plain = syntax == _BASELINE and data.PhotometricInterpretation == "RGB"
            values = decode(coded, colorspace="RGB", outcolorspace="RGB") if plain else decode(coded)
    return by, _settled(data, values, syntax)


def _codestream(data: pydicom.Dataset, frame: int) -> bytes:
    count = int(data.get("NumberOfFrames") or 1)
    for number, coded in enumerate(generate_frames(data.PixelData, number_of_frames=count)):
        if number == frame:
            return bytes(coded)
    raise ValueError("no such frame")


def _shape(data: pydicom.Dataset) -> tuple[int, int, int]:
    return int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel") or 1)


def _native(data: pydicom.Dataset, frame: int, syntax: str) -> Array:
    rows, columns, samples = _shape(data)
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    if data.PhotometricInterpretation == "YBR_FULL_422":
        raw = np.frombuffer(data.PixelData, "u1")[frame * rows * columns * 2 :][: rows * columns * 2]
        quads = raw.reshape(-1, 4)  # Y1 Y2 Cb Cr
        full = np.stack([quads[:, [0, 2, 3]], quads[:, [1, 2, 3]]], axis=1)
        return full.reshape(rows, columns, 3)
    if data.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(data.PixelData, "u1"), bitorder="little")
        return bits[frame * rows * columns :][: rows * columns].reshape(rows, columns)
    kind = f"{order}u{data.BitsAllocated // 8}"
    content = data.PixelData
    if data.BitsAllocated == 8 and order == ">" and data["PixelData"].VR == "OW":
        content = np.frombuffer(content, "u1").reshape(-1, 2)[:, ::-1].tobytes()
    count = rows * columns * samples
    values = np.frombuffer(content, kind)[frame * count :][:count]
    if samples == 1:
        return values.reshape(rows, columns)
    if data.get("PlanarConfiguration") == 1:
        return np.moveaxis(values.reshape(samples, rows, columns), 0, -1)
    return values.reshape(rows, columns, samples)


def _rle(data: pydicom.Dataset, coded: bytes) -> Array:
    rows, columns, samples = _shape(data)
    flat = imagecodecs.dicomrle_decode(coded, np.dtype(f"<u{data.BitsAllocated // 8}"))
    planes = np.frombuffer(flat, f"<u{data.BitsAllocated // 8}").reshape(samples, rows, columns)
    return planes[0] if samples == 1 else np.moveaxis(planes, 0, -1)


def _settled(data: pydicom.Dataset, values: Array, syntax: str) -> Array:
    """As stored in the file's own bits: sign, unused bits, palettes and colour space undone."""
    photometric = str(data.PhotometricInterpretation)
    if values.ndim == 3:
        raw = syntax in NATIVE or syntax == _RLE  # the other codecs hand out RGB themselves
        if photometric.startswith("YBR_FULL") and raw:
            values = convert_color_space(values, "YBR_FULL", "RGB")
        return values
    if photometric == "PALETTE COLOR":
        looked_up: Array = apply_color_lut(values, data)
        return (looked_up >> 8).astype(np.uint8) if looked_up.dtype == np.uint16 else looked_up
    stored, allocated = int(data.get("BitsStored") or data.BitsAllocated), int(data.BitsAllocated)
    if allocated == 1:
        return values
    high = int(data.get("HighBit", stored - 1))
    values = values.astype(np.int64) >> (high + 1 - stored)
    values = values & ((1 << stored) - 1)
    if data.get("PixelRepresentation") == 1:
        values = np.where(values >= 1 << (stored - 1), values - (1 << stored), values)
    return values


# --- one file -------------------------------------------------------------------------------------


def examine(path: Path, name: str, series: list[Series]) -> Line:
    """Compare all frames of an opened file."""
    limits = Limits()
    image = object_of(header_of(path, limits), limits)
    assert isinstance(image, Image)
    pixels = image.pixels
    line = Line(name, "opened", syntax_name(pixels.syntax), pixels.frames)
    worst = 0.0
    for frame in range(pixels.frames):
        try:
            ours = read_frame(pixels, frame, limits)
        except DecodingError:
            line.pixels, line.sentence = "not decoded", _sentence(path, series)
            return line
        try:
            line.by, theirs = second(path, frame)
        except Exception as error:  # noqa: BLE001 - a decoder that cannot is a line of the table
            line.pixels = f"nothing to compare with ({type(error).__name__})"
            return line
        if ours.shape != theirs.shape:
            line.pixels = f"shapes differ: {ours.shape}, {theirs.shape}"
            return line
        worst = max(worst, float(np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max()))
    line.difference = worst
    lossy = pixels.syntax in LOSSY | PERHAPS_LOSSY or pixels.photometric.startswith("YBR")
    line.pixels = "equal" if worst == 0 else "within the bound" if lossy and worst <= BOUND else "DIFFERENT"
    line.shown = shown(path, series)
    return line


def _sentence(path: Path, series: list[Series]) -> str:
    """What a reader is told of a slice that cannot be decoded."""
    for one in series:
        for index, place in enumerate(one.paths):
            if place == path.absolute():
                try:
                    one.voxels[index]
                except SeriesError as error:
                    return str(error)
    return ""


def shown(path: Path, series: list[Series]) -> str:
    """Whether the grey levels of all frames equal highdicom's, or pydicom's where that cannot or differs."""
    found = [(one, i) for one in series for i, place in enumerate(one.paths) if place == path.absolute()]
    if not found or found[0][0].colour:
        return "–"
    verdicts = [_verdict(path, one, index) for one, index in found]
    return next((said for said in verdicts if said != "equal"), "equal")


def _verdict(path: Path, series: Series, index: int) -> str:
    frame = series.frame_numbers[index] if series.frame_numbers else 1
    verdict = _against(series, index, lambda: _highdicom(path, frame))
    if verdict == "equal":
        return verdict
    other = _against(series, index, lambda: _pydicom(path, series, index))
    return f"{other} (pydicom; highdicom: {verdict})"


Levels = tuple[Array, Array | None]
"""Modality values, and 0…1 through VOI and presentation where the file has a VOI."""


def _against(series: Series, index: int, make: Callable[[], Levels]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            modality, grey = make()
    except Exception as error:  # noqa: BLE001 - a library that cannot is a word in the table
        return f"cannot, {type(error).__name__}"
    ours = dicom.modality_values(series, index)
    if not np.allclose(ours, modality, rtol=1e-5, atol=1e-3):
        return f"modality DIFFERENT by {np.abs(ours - modality).max():g}"
    if (grey is not None) != bool(series.display.windows_of(index) or series.display.voi_lut):
        return "VOI DIFFERENT: one has none"
    off = 0.0 if grey is None else float(np.abs(dicom.presented(series, index) - grey).max())
    return "equal" if off < 2e-3 else f"VOI DIFFERENT by {off:.3f}"


@functools.lru_cache(1)
def _image(path: Path) -> hd.Image:
    return hd.imread(path)


def _highdicom(path: Path, frame: int) -> Levels:
    image = _image(path)
    settings: dict[str, Any] = {"apply_real_world_transform": False, "dtype": np.float64}
    modality = image.get_frame(frame, apply_voi_transform=False, apply_presentation_lut=False, **settings)
    groups = [
        *image.get("SharedFunctionalGroupsSequence", ()),
        *image.get("PerFrameFunctionalGroupsSequence", ()),
    ]
    of_frames = any(
        "WindowCenter" in item for group in groups for item in group.get("FrameVOILUTSequence", ())
    )
    if "WindowCenter" not in image and "VOILUTSequence" not in image and not of_frames:
        return modality, None
    return modality, image.get_frame(frame, apply_voi_transform=True, voi_output_range=(0, 1), **settings)


def _pydicom(path: Path, series: Series, index: int) -> Levels:
    data = pydicom.dcmread(path, force=True)
    values = apply_modality_lut(series.voxels[index], data)
    if "WindowCenter" not in data and not data.get("VOILUTSequence"):
        return values, None
    through = apply_voi_lut(values, data)
    if data.get("VOILUTSequence"):
        low, high = 0.0, float(2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    else:  # pydicom's windows end where the stored bits do
        slope, intercept = series.display.rescale[index]
        low, high = (v * slope + intercept for v in series.display.stored_range)
    grey = (through - low) / (high - low)
    return values, 1 - grey if series.display.inverted else grey


# --- the table ------------------------------------------------------------------------------------


def lines(folder: Path) -> list[Line]:
    """One line per file, sorted by name."""
    study = dicom.scan([folder])
    listed = {i.path: ("listed", i.reason) for i in study.other}
    listed |= {i.path: ("refused", i.reason) for i in study.refused}
    result = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path in listed:
            outcome, reason = listed[path]
            result.append(Line(name, outcome, sentence=reason))
        else:
            result.append(examine(path, name, list(study.series)))
    return result


def totals(every: list[Line]) -> dict[str, dict[str, int]]:
    """Counts of outcomes and of what the comparisons found."""
    opened = [one for one in every if one.outcome == "opened"]
    return {
        "files": dict(Counter(one.outcome for one in every)),
        "pixels": dict(Counter(one.pixels for one in opened)),
        "grey levels": dict(Counter(one.shown for one in opened if one.shown)),
    }


def page(every: list[Line]) -> str:
    """The table as a page."""
    text = [
        "# What opens, and whether it is right",
        "",
        "Made by `python benchmarks/dicom_conformance.py` over the shared DICOM files. *Pixels*: all frames,",
        "decoded a second time by the library named; “within the bound” is a difference of at most "
        f"{BOUND} grey",
        "levels for lossy codecs and colour conversions. *Grey levels*: all frames through modality and VOI,",
        "against highdicom (within 1e-5 and 2e-3 of the range), or pydicom where that cannot or differs; a",
        "dash is a colour picture, which has no grey levels. Where highdicom differs: it takes a window into",
        "stored values before the half step of LINEAR, and reads a signed table's first input as unsigned.",
        "",
        "| | |",
        "|---|---|",
    ]
    for name, counts in totals(every).items():
        text += [f"| {name}: {what} | {count} |" for what, count in sorted(counts.items())]
    text += ["", "## Opened", "", "| file | syntax | frames | second decoder | pixels | grey levels |"]
    text += ["|---|---|---|---|---|---|"]
    for one in every:
        if one.outcome == "opened":
            said = one.pixels + ("" if not one.difference else f" ({one.difference:g})")
            said += f": {one.sentence}" if one.sentence else ""
            text.append(f"| {one.file} | {one.syntax} | {one.frames} | {one.by} | {said} | {one.shown} |")
    for title, outcome in (("Listed: healthy, but no image", "listed"), ("Refused", "refused")):
        text += ["", f"## {title}", "", "| file | sentence |", "|---|---|"]
        text += [f"| {one.file} | {one.sentence} |" for one in every if one.outcome == outcome]
    text += ["", "## Transfer syntaxes, retired ones too", "", "| syntax | decoded |", "|---|---|"]
    known = [uid for uid, entry in pydicom.uid.UID_dictionary.items() if entry[1] == "Transfer Syntax"]
    for uid in (*known, DEFLATED_FRAMES, *sorted(JPEG_XL)):
        text.append(f"| {syntax_name(uid)} ({uid}) | {'yes' if decodable(uid) else 'no'} |")
    return "\n".join(text) + "\n"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("folder", nargs="?", type=Path, default=SHARED)
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    every = lines(asked.folder)
    if asked.json:
        print(json.dumps({"totals": totals(every), "files": [asdict(one) for one in every]}, indent=1))
        return
    PAGE.write_text(page(every), encoding="utf-8")
    for name, counts in totals(every).items():
        print(f"{name}: " + ", ".join(f"{what} {count}" for what, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
