# SPDX-License-Identifier: Apache-2.0
"""How the pixels of a file are stored: as its header says, or as its data do where the two differ."""

import importlib.util
from dataclasses import replace

from viewer.dicom import elements as get
from viewer.dicom.facts import COLOURS, GREYS, PACKED, Pixels
from viewer.dicom.fragments import Fragments, first_fragments, fragments, frames_of_size, only_fragment
from viewer.dicom.header import DEFLATED, NATIVE, Header, decodable, syntax_name
from viewer.dicom.pixel_codecs import JPEG_2000 as JPEG_2000_SYNTAXES
from viewer.dicom.pixel_codecs import JPEG_BASELINE, JPEG_EXTENDED, JPEG_PROGRESSIVE, JPEG_XL, UNCOMPRESSED
from viewer.dicom.pixel_codecs import JPEG_LS as JPEG_LS_SYNTAXES
from viewer.dicom.streams import JPEG, JPEG_2000, JPEG_LOSSLESS, JPEG_LS, Stream, stream_in, stream_of
from viewer.errors import SeriesError
from viewer.settings import Limits

_VIDEO = tuple(f"1.2.840.10008.1.2.4.10{n}" for n in range(9))
"""MPEG-2, MPEG-4 and HEVC, and their fragmentable kinds."""
_FLOATING = {0x7FE00008: 32, 0x7FE00009: 64}
"""Bits of a value of the pixel data that are decimal (PS3.3 C.7.6.24, C.7.6.25)."""
_CELLS = (8, 16, 32)
_LOSSY_JPEG = frozenset({JPEG_BASELINE, JPEG_EXTENDED, *JPEG_PROGRESSIVE})
_KINDS = {
    JPEG: (JPEG_BASELINE, JPEG_EXTENDED, *JPEG_PROGRESSIVE),
    JPEG_LOSSLESS: ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"),
    JPEG_LS: tuple(sorted(JPEG_LS_SYNTAXES)),
    JPEG_2000: ("1.2.840.10008.1.2.4.91", *JPEG_2000_SYNTAXES),
}
"""The transfer syntaxes of a kind of codestream; of the first it is taken to be where the header differs."""


def pixels_of(header: Header, limits: Limits, exact: bool = False) -> Pixels:
    """How the pixels are stored; raises `SeriesError` for what cannot be read or asks for too much.

    With `exact` also for fewer frames than the header says; what lies behind these is no frame then.
    """
    stated = _stated(header)
    _readable(stated)
    _within(stated, limits)
    size = header.status.st_size
    packed = stated.length is None
    pixels = _encapsulated(stated, limits, exact) if packed else _native(stated, size, exact)
    if not pixels.photometric:
        pixels = _with_photometric(pixels)
    _sensible(pixels)
    if pixels is not stated:
        _within(pixels, limits)
    return pixels


def _stated(header: Header) -> Pixels:
    """The pixels as the header has them."""
    dataset, pixel_data = header.dataset, header.pixel_data
    rows, columns = (get.integer(dataset, k) for k in ("Rows", "Columns"))
    if not rows or not columns or rows < 0 or columns < 0:
        raise SeriesError("The file says it is an image but gives no number of rows and columns.")
    if pixel_data is None:
        raise SeriesError("The file has the header of an image but no image data.")
    frames = get.integer(dataset, "NumberOfFrames")
    if frames is None and get.text(dataset, "NumberOfFrames"):
        raise SeriesError("The file's number of frames is not a number.")
    decimal = _FLOATING.get(pixel_data.tag)
    allocated = decimal or get.integer(dataset, "BitsAllocated") or 0
    stored = decimal or get.integer(dataset, "BitsStored") or allocated
    high_bit = None if decimal else get.integer(dataset, "HighBit")
    return Pixels(
        path=header.path,
        syntax=header.syntax,
        rows=rows,
        columns=columns,
        frames=1 if frames is None else frames,
        samples=get.integer(dataset, "SamplesPerPixel") or 1,
        photometric=get.text(dataset, "PhotometricInterpretation").upper(),
        allocated=allocated,
        stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=get.integer(dataset, "PixelRepresentation") == 1,
        planar=get.integer(dataset, "PlanarConfiguration") == 1,
        offset=None if header.syntax == DEFLATED else pixel_data.offset,
        length=pixel_data.length,
        floating=decimal is not None,
    )


def _readable(pixels: Pixels) -> None:
    """Refuse what no decoder here can read."""
    if pixels.syntax.startswith(_VIDEO):
        raise SeriesError(f"This is a video ({syntax_name(pixels.syntax)}), which is not played here.")
    if not decodable(pixels.syntax):
        why = "needs the package imagecodecs" if pixels.syntax in JPEG_XL else "cannot be decoded here"
        raise SeriesError(f"The image is stored as {syntax_name(pixels.syntax)}, which {why}.")
    if pixels.frames < 1:
        raise SeriesError("The file says that it holds no frames.")
    if (pixels.length is None) == (pixels.syntax in NATIVE):
        raise SeriesError("The way the image is stored is not the one that the file's header names.")


def _sensible(pixels: Pixels) -> None:
    """Refuse what contradicts itself."""
    if pixels.photometric not in COLOURS | GREYS:
        kind = f"“{pixels.photometric[:32]}”" if pixels.photometric else "not stated"
        raise SeriesError(f"The image's colour type is {kind}, which cannot be shown.")
    if pixels.samples != (1 if pixels.photometric in GREYS | {"PALETTE COLOR"} else 3):
        raise SeriesError("The image's colour type and its number of colour channels do not agree.")
    if pixels.allocated not in _widths(pixels) or not 1 <= pixels.stored <= pixels.allocated:
        raise SeriesError("The image's number of bits per pixel is not one that can be read.")
    if not pixels.stored - 1 <= pixels.high_bit < pixels.allocated:
        raise SeriesError("The image's number of bits and the place of its highest bit do not agree.")
    if pixels.syntax in _LOSSY_JPEG and pixels.stored > 8 and not _of_12_bits(pixels):
        raise SeriesError("The image is a JPEG of 12 bits of a kind that needs the package imagecodecs.")
    if pixels.floating and not pixels.direct:
        raise SeriesError(f"Decimal values stored as {syntax_name(pixels.syntax)} cannot be read here.")


def _of_12_bits(pixels: Pixels) -> bool:
    """Whether a JPEG of 12 bits can be decoded: GDCM knows one kind, and where the header is right."""
    known = pixels.syntax == JPEG_EXTENDED and not pixels.notes
    return known or importlib.util.find_spec("imagecodecs") is not None


def _widths(pixels: Pixels) -> tuple[int, ...]:
    """Bits of a cell that can be read."""
    return (32, 64) if pixels.floating else (1, *_CELLS, PACKED) if pixels.direct else (1, *_CELLS)


def _within(pixels: Pixels, limits: Limits) -> None:
    """Refuse what asks for more than the limits, before a byte is allocated for it."""
    if pixels.rows > limits.rows or pixels.columns > limits.columns:
        raise SeriesError(
            f"The image asks for {_size(pixels)}, more than the limit of {limits.columns} × {limits.rows}."
        )
    if pixels.frames > limits.frames:
        raise SeriesError(
            f"The file asks for {pixels.frames} frames, more than the limit of {limits.frames}."
        )
    needed = pixels.rows * pixels.columns * pixels.samples * pixels.frames * -(-pixels.allocated // 8)
    if needed > limits.bytes:
        raise SeriesError(
            f"The file asks for {_size(pixels)} in {pixels.frames} frames, {needed / 1024**3:.1f} GiB, "
            f"more than the limit of {limits.bytes / 1024**3:.1f} GiB."
        )


def _size(pixels: Pixels) -> str:
    return f"{pixels.columns} × {pixels.rows} pixels"


def _with_photometric(pixels: Pixels) -> Pixels:
    """The colour type that the number of values in a pixel leaves, where the header names none."""
    if pixels.samples not in (1, 3):
        return pixels
    taken = "MONOCHROME2" if pixels.samples == 1 else "RGB"
    said = f"The header does not say what the values mean as colours; {taken} is assumed."
    return _noted(replace(pixels, photometric=taken), said)


# --- not compressed -----------------------------------------------------------------------------------


def _native(pixels: Pixels, size: int, exact: bool) -> Pixels:
    """The pixels with the bits and the frames that their length in a file of this size tells."""
    stated = pixels.length or 0
    there = stated if pixels.offset is None else min(stated, size - pixels.offset)
    if not pixels.stored - 1 <= pixels.high_bit < pixels.allocated or pixels.allocated == PACKED:
        pixels = _with_bits(pixels, stated)
    needed = pixels.native_bytes
    if needed <= there <= needed + 1 or pixels.allocated not in _widths(pixels):
        return pixels
    each = pixels.frame_bits
    found = 8 * there // each
    if there < needed:
        if pixels.frames == 1 or not found or exact:
            raise SeriesError(
                f"The file ends before the image does: {max(there, 0)} of {needed} bytes are there."
            )
        return _with_frames(pixels, found)
    full = pixels.rows * pixels.columns * 3 * pixels.frames
    if exact or (pixels.photometric == "YBR_FULL_422" and there <= full + 1):
        return pixels  # the latter not sampled down, all the same
    if found > pixels.frames:
        pixels = _with_frames(pixels, found)
    left = there - pixels.native_bytes
    if left >= pixels.frame_bits // pixels.rows // 8 > 1:  # less than a row is padding
        pixels = _noted(pixels, f"Behind the last frame lie {left} bytes of image data that are not shown.")
    return pixels


def _with_bits(pixels: Pixels, length: int) -> Pixels:
    """Bits that agree with each other: those that are stored by the length, the highest one by these."""
    cells = pixels.rows * pixels.columns * pixels.samples * pixels.frames
    fitting = [bits for bits in _CELLS if 0 <= length - cells * bits // 8 <= 1]
    allocated, stored = pixels.allocated, pixels.stored
    if stored > allocated or (allocated == PACKED and fitting):
        if len(fitting) != 1:
            return pixels
        (found,) = fitting
        said = f"The header says {stored} bits a value in cells of {allocated}; by their length these have "
        said += f"{found} bits, and are read so."
        stored = min(stored, found)
        return _noted(replace(pixels, allocated=found, stored=stored, high_bit=stored - 1), said)
    return pixels if stored - 1 <= pixels.high_bit < allocated else _with_high_bit(pixels)


def _with_high_bit(pixels: Pixels) -> Pixels:
    """The highest bit where the number of bits leaves it no other place."""
    said = (
        f"The header says that bit {pixels.high_bit} is the highest of {pixels.stored} bits a value; "
        f"read with bit {pixels.stored - 1} as the highest."
    )
    return _noted(replace(pixels, high_bit=pixels.stored - 1), said)


# --- compressed ---------------------------------------------------------------------------------------


def _encapsulated(pixels: Pixels, limits: Limits, exact: bool) -> Pixels:
    """The pixels with the frames that there are, and with what their codestream says of them."""
    if pixels.offset is None:
        return pixels
    if pixels.syntax == UNCOMPRESSED:
        return _bare(pixels, exact)
    with pixels.path.open("rb", buffering=0) as file:
        begin = only_fragment(file, pixels.offset) if pixels.frames == 1 else None
        stream = None if begin is None else stream_of(begin)
        if stream is not None:
            return _as_streamed(pixels, stream)
    with pixels.path.open("rb") as file:
        try:
            held = fragments(file, pixels.offset, 64 * pixels.frames + limits.frames + 1024)
        except ValueError:
            held = Fragments(b"", [], [], None)
        whole = _whole_frames(len(first_fragments(file, held, pixels.frames)), held, pixels)
        stream = stream_in(file, held.spans[0])
    if exact and whole < pixels.frames:
        raise SeriesError(f"The file holds the compressed data of {whole} of its {pixels.frames} frames.")
    if whole != pixels.frames and not exact:
        pixels = _with_frames(pixels, whole)
    if stream is not None:
        pixels = _as_streamed(pixels, stream)
    return pixels


def _bare(pixels: Pixels, exact: bool) -> Pixels:
    """The pixels of frames that are encapsulated and not compressed: by their length as many as there are."""
    with pixels.path.open("rb") as file:
        try:
            spans = fragments(file, pixels.offset or 0).spans
        except ValueError:
            spans = []
    found = len(frames_of_size(spans, pixels.frame_bytes))
    if not found or (exact and found < pixels.frames):
        raise SeriesError(f"The file holds the data of {found} of its {pixels.frames} frames.")
    return pixels if exact or found == pixels.frames else _with_frames(pixels, found)


def _whole_frames(count: int, held: Fragments, pixels: Pixels) -> int:
    """How many of the frames found are whole; raises `SeriesError` where none is."""
    if held.cut is not None and (pixels.frames == 1 or not held.ends_whole):
        count = 0 if pixels.frames == 1 else count - 1
        if count < 1:
            raise SeriesError("The file ends before the image does: the compressed data are cut off.")
    if count < 1:
        raise SeriesError(f"The file holds the compressed data of 0 of its {pixels.frames} frames.")
    return count


def _as_streamed(pixels: Pixels, stream: Stream) -> Pixels:
    """The pixels as a codestream says that they are, told where the header says something else."""
    kinds = _KINDS[stream.kind]
    if pixels.syntax not in kinds and any(pixels.syntax in known for known in _KINDS.values()):
        said = f"The header says that the image is stored as {syntax_name(pixels.syntax)}; its data are "
        pixels = _noted(replace(pixels, syntax=kinds[0]), f"{said}{stream.kind}, and are read as that.")
    if (stream.rows, stream.columns) != (pixels.rows, pixels.columns):
        pixels = _with_size(pixels, stream)
    if stream.components != pixels.samples:
        pixels = _with_components(pixels, stream)
    if stream.bits != pixels.stored or stream.signed is not None:
        pixels = _with_stream_bits(pixels, stream)
    if pixels.stored > pixels.allocated:  # what is compressed lies in no cells
        pixels = replace(pixels, stored=max(pixels.allocated, stream.bits))
    return pixels if pixels.high_bit == pixels.stored - 1 else replace(pixels, high_bit=pixels.stored - 1)


def _with_size(pixels: Pixels, stream: Stream) -> Pixels:
    if not stream.rows:  # of a JPEG that tells it at its end
        return pixels
    said = (
        f"The header says {pixels.columns} × {pixels.rows} pixels, the image data are "
        f"{stream.columns} × {stream.rows}: shown as these are. Lengths are not known: the header's spacing "
        "may be that of the one or of the other."
    )
    return _noted(replace(pixels, rows=stream.rows, columns=stream.columns, resized=True), said)


def _with_components(pixels: Pixels, stream: Stream) -> Pixels:
    if stream.components not in (1, 3):
        return pixels
    if stream.components == 3:
        photometric = "YBR_FULL_422" if stream.luminance else "RGB"
    else:
        photometric = pixels.photometric if pixels.photometric in GREYS else "MONOCHROME2"
    shown = "in colour" if stream.components == 3 else "in grey"
    said = f"The header says {_values(pixels.samples)} a pixel, the image data hold {stream.components}: "
    changed = replace(pixels, samples=stream.components, photometric=photometric, planar=False)
    return _noted(changed, f"{said}shown {shown}.")


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _with_stream_bits(pixels: Pixels, stream: Stream) -> Pixels:
    """Bits and sign as a codestream says; its two's complement in numbers without a sign stays one."""
    if pixels.photometric == "PALETTE COLOR":
        return pixels
    grey = pixels.photometric in GREYS
    if grey and stream.signed is True and not pixels.signed:
        said = "The header says values without a sign, the image data have one: read as the data say."
        pixels = _noted(replace(pixels, signed=True), said)
    elif grey and stream.signed is False and pixels.signed:
        said = "The header says values with a sign, the image data have none: they are read as two's "
        return _noted(pixels, f"{said}complement of {pixels.stored} bits.")
    cells = next((n for n in _CELLS if n >= stream.bits), pixels.allocated)
    if stream.kind not in (JPEG, JPEG_LOSSLESS):  # others give values of fewer bits in larger cells
        cells = max(cells, pixels.allocated)
    fewer = grey and cells == pixels.allocated and stream.bits < pixels.stored
    if fewer or stream.bits == pixels.stored:
        return pixels  # fewer bits of the same values: encoders look for the largest of these
    said = (
        f"The header says {pixels.stored} bits a value, the image data {stream.bits}: read as the data say."
    )
    return _noted(replace(pixels, stored=stream.bits, allocated=cells), said)


# --- what is told -------------------------------------------------------------------------------------


def _with_frames(pixels: Pixels, found: int) -> Pixels:
    """The pixels with another number of frames than the header says, told."""
    stated = "is 1 frame" if pixels.frames == 1 else f"are {pixels.frames} frames"
    if found > pixels.frames:
        said = f"By the header there {stated}, the image data hold {found}: all {found} are shown."
    else:
        missing = pixels.frames - found
        whole = "1 whole one" if found == 1 else f"{found} whole ones"
        said = f"By the header there {stated}, the image data hold {whole}: {missing} "
        said += "is missing." if missing == 1 else "are missing."
    return _noted(replace(pixels, frames=found, stated_frames=pixels.frames), said)


def _noted(pixels: Pixels, said: str) -> Pixels:
    return replace(pixels, notes=(*pixels.notes, (said, said)))
