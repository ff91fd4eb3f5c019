# SPDX-License-Identifier: Apache-2.0
"""One frame or picture by the codec that its file asks for, of pydicom or of a library of its own.

The child process that decodes loads this module (see `decoder.py`): of `viewer` it imports `fragments`
alone, and a library only when a request needs it, as the whole of pydicom takes three times as long as all
else.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from viewer.dicom.fragments import Span, fragments, frames_in, frames_of_size

Array = NDArray[Any]
Request = dict[str, Any]

EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
"""Encapsulated Uncompressed Explicit VR Little Endian."""
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_PROGRESSIVE = frozenset({"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"})
JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JPEG_XL = frozenset({JPEG_XL_LOSSLESS, "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))


_LOSSY_JPEG = frozenset({JPEG_BASELINE, JPEG_EXTENDED, *JPEG_PROGRESSIVE})


class LastFile:
    """What is known of the file read last: the frames of one file are asked for one after the other."""

    def __init__(self) -> None:
        self._file: tuple[str, int, int] | None = None
        self._known: dict[str, Any] = {}

    def _once(self, what: str, path: str, read: Callable[[], Any]) -> Any:
        state = Path(path).stat()
        file = (path, state.st_size, state.st_mtime_ns)
        if file != self._file:
            self._file, self._known = file, {}
        if what not in self._known:
            self._known[what] = read()
        return self._known[what]

    def dataset(self, path: str, header: bool = False) -> Any:
        """The data set of a file, or its header alone."""
        quiet_pydicom()
        from pydicom import dcmread

        what = "header" if header else "whole"
        return self._once(what, path, lambda: dcmread(path, force=True, stop_before_pixels=header))

    def stream(self, request: Request) -> bytes:
        """The codestream of a frame."""
        with Path(request["path"]).open("rb") as file:
            index = self._once("frames", request["path"], lambda: _index(file, request))
            parts = []
            for at, length in index[request["frame"]]:
                file.seek(at)
                parts.append(file.read(length))
            return b"".join(parts)


def _index(file: BinaryIO, request: Request) -> list[list[Span]]:
    """The fragments of each frame of a file."""
    if request["syntax"] == UNCOMPRESSED:
        return frames_of_size(fragments(file, request["encapsulated"]).spans, _frame_bytes(request))
    return frames_in(file, request["encapsulated"], request["frames"])


def _frame_bytes(request: Request) -> int:
    """Bytes of a frame that is not compressed."""
    samples = 2 if request["photometric"] == "YBR_FULL_422" else request["samples"]
    return int(-(-request["rows"] * request["columns"] * samples * request["allocated"] // 8))


def fit(values: Array, bits: int, high_bit: int, signed: bool, clip: bool = False) -> Array:
    """Stored values of `bits` bits, from cells that may carry something else above or below them.

    PS3.5 8.1.1: nothing is promised about the unused bits of a cell (old files keep overlays there).
    After a lossy decoder (`clip`) a value out of range is an overshoot and is clipped instead.
    """
    container = 8 * values.dtype.itemsize
    low = high_bit + 1 - bits
    if clip:
        lowest, highest = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        limits = np.iinfo(values.dtype)
        return np.asarray(np.clip(values, max(lowest, limits.min), min(highest, limits.max)))
    if bits >= container or low < 0 or low + bits > container:
        return values
    wide = values.astype(values.dtype.newbyteorder("="), copy=False)
    up = container - bits - low
    return np.asarray(np.right_shift(np.left_shift(wide, up), up + low))


def decode_dicom(request: Request, files: LastFile) -> Array:
    """One frame as (rows, columns[, 3]) of `request["dtype"]`, colour always as RGB."""
    if request["encapsulated"] is None:
        dataset = files.dataset(request["path"])
        if request["allocated"] == 1:
            return _single_bits(request, dataset)
        return _with_pydicom(request, _as_found(request, dataset), request["frame"])
    if request["syntax"] == JPEG_EXTENDED and request["bits"] > 8 and not request["contradicted"]:
        return _jpeg_extended(request)
    stream = files.stream(request)
    if request["syntax"] in JPEG_XL:
        return _jpeg_xl(request, stream)
    if request["syntax"] in _LOSSY_JPEG and request["bits"] > 8:
        return _jpeg_of_12_bits(request, stream)
    if request["syntax"] in JPEG_2000:
        return _jpeg_2000(request, stream)
    if request["syntax"] in JPEG_LS:
        return _jpeg_ls(request, stream)
    if request["syntax"] == UNCOMPRESSED:
        return _bare(request, stream[: _frame_bytes(request)], files)
    if request["syntax"] == DEFLATED_FRAMES:
        return _bare(request, _inflated(request, stream), files)
    if request["syntax"] in JPEG_PROGRESSIVE:  # to a decoder of JPEG these are streams like others
        return _packed({**request, "syntax": JPEG_BASELINE}, stream, files)
    return _packed(request, stream, files)


def _with_pydicom(request: Request, source: Any, frame: int, **facts: Any) -> Array:
    """A frame of a data set, or of encapsulated bytes with the facts that they need."""
    quiet_pydicom()
    from pydicom.pixels import get_decoder

    values, found = get_decoder(request["syntax"]).as_array(source, index=frame, **facts)
    if request["photometric"] == "PALETTE COLOR":
        return np.asarray(values if facts else _coloured(values, source))
    if str(found["photometric_interpretation"]).startswith("YBR"):
        raise ValueError("the colours were not converted")
    return np.asarray(values).astype(request["dtype"], copy=False)


def _as_found(request: Request, dataset: Any) -> Any:
    """A data set whose header says of its pixels what they were found to be."""
    dataset.NumberOfFrames = request["frames"]
    dataset.BitsAllocated, dataset.BitsStored = request["allocated"], request["bits"]
    return dataset


def _coloured(values: Array, dataset: Any) -> Array:
    """Indices of a palette as RGB of 8 bits; some files call entries of 8 or 12 bits 16, and mean 8 or 12."""
    from pydicom.pixels import apply_color_lut

    colours = apply_color_lut(values, dataset)[..., :3]
    if colours.dtype.itemsize == 2:
        count, first = (int(n) for n in dataset.RedPaletteColorLookupTableDescriptor[:2])
        every = first + np.arange(count or 65_536, dtype=np.int64)
        largest = int(apply_color_lut(every[None], dataset)[..., :3].max())
        bits = 8 if largest < 256 else filled_bits(largest, 16) or 16
        colours = colours >> bits - 8
    return np.asarray(colours).astype(np.uint8, copy=False)


_USUAL_BITS = (8, 10, 12, 14)


def filled_bits(largest: int, claimed: int, usual: int = 8) -> int | None:
    """The bits that the entries of a table of grey levels fill, of which one is the largest.

    That is what is claimed, unless the largest does not fit in, or is below a quarter of what fits: such a
    table shows nearly nothing. None where it is not clear what is meant then.
    """
    if largest >> claimed:
        return largest.bit_length()
    if largest >> max(claimed - 2, 0):
        return claimed
    bits = largest.bit_length()
    return bits if bits in (*_USUAL_BITS, usual) or largest == (1 << bits) - 1 else None


def _single_bits(request: Request, dataset: Any) -> Array:
    """A frame of packed bits, which may begin within a byte: pydicom 3.0 cuts some of those wrongly."""
    data, cells = dataset.PixelData, request["rows"] * request["columns"]
    if request["syntax"] == BIG_ENDIAN and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    start = request["frame"] * cells
    part = np.frombuffer(data[start // 8 : -(-(start + cells) // 8)], np.uint8)
    bits = np.unpackbits(part, bitorder="little")[start % 8 :][:cells]
    return bits.reshape(request["rows"], request["columns"])


def _inflated(request: Request, stream: bytes) -> bytes:
    """A frame that was deflated (PS3.5 8.2.16); fails where it is not as large as the header says."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflating.decompress(stream, _frame_bytes(request) + 1)
    if not inflating.eof:
        raise ValueError("not one frame")
    return data


def _bare(request: Request, data: bytes, files: LastFile) -> Array:
    """A frame whose bytes are not compressed."""
    size = len(data)
    if size != _frame_bytes(request):
        raise ValueError("not one frame")
    if request["allocated"] == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[: request["rows"] * request["columns"]].reshape(request["rows"], request["columns"])
    words = "OB" if request["allocated"] == 8 else "OW"
    native = {**request, "syntax": EXPLICIT}
    frame = _with_pydicom(native, data + b"\0" * (size % 2), 0, pixel_vr=words, **_facts(request))
    if request["photometric"] == "PALETTE COLOR":
        return _coloured(frame, files.dataset(request["path"], header=True))
    return frame


def _facts(request: Request) -> dict[str, Any]:
    """What pydicom needs to know of the bytes of a single frame."""
    return {
        "number_of_frames": 1,
        "rows": request["rows"],
        "columns": request["columns"],
        "samples_per_pixel": request["samples"],
        "photometric_interpretation": request["photometric"],
        "bits_allocated": request["allocated"],
        "bits_stored": request["bits"],
        "pixel_representation": int(request["signed"]),
        "planar_configuration": int(request["planar"]),
        "pixel_keyword": "PixelData",
    }


def _packed(request: Request, stream: bytes, files: LastFile) -> Array:
    """A frame of RLE or JPEG by pydicom, which is shown that frame alone."""
    from pydicom.encaps import encapsulate

    frame = _with_pydicom(request, encapsulate([stream]), 0, **_facts(request))
    if request["photometric"] == "PALETTE COLOR":
        return _coloured(frame, files.dataset(request["path"], header=True))
    if frame.ndim == 2:
        return fit(frame, request["bits"], request["bits"] - 1, request["signed"], request["lossy"])
    return frame


def _jpeg_2000(request: Request, stream: bytes) -> Array:
    """A frame of JPEG 2000 or HTJ2K, decoded by OpenJPEG itself, which knows all depths and colour."""
    import openjpeg

    frame = openjpeg.decode(stream)
    if frame.ndim == 3:
        return _rgb(request, frame)
    # Some encoders write two's complement as unsigned numbers: those are re-read, not clipped.
    overshoot = request["lossy"] and (frame.dtype.kind == "i") == request["signed"]
    if not overshoot:
        frame = frame.astype(request["dtype"], copy=False)
    frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], overshoot)
    return np.asarray(frame.astype(request["dtype"], copy=False))


def _jpeg_ls(request: Request, stream: bytes) -> Array:
    """A frame of JPEG-LS, decoded by CharLS itself, which knows no sign."""
    import jpeg_ls

    content, facts = jpeg_ls.decode_buffer(stream)
    rows, columns, samples, bits = (
        facts[name] for name in ("height", "width", "components", "bits_per_sample")
    )
    values = np.frombuffer(content, np.uint8 if bits <= 8 else "<u2")
    if samples > 1:  # interleaved by planes, or else by pixels
        planes = facts["interleave_mode"] == 0
        shape = (samples, rows, columns) if planes else (rows, columns, samples)
        return _rgb(request, np.moveaxis(values.reshape(shape), 0, -1) if planes else values.reshape(shape))
    frame = values.reshape(rows, columns).astype(request["dtype"], copy=False)
    if request["signed"]:
        frame = fit(frame, bits, bits - 1, True)
    if bits == request["bits"]:
        return frame
    return fit(frame, request["bits"], request["bits"] - 1, request["signed"], request["lossy"])


def _rgb(request: Request, frame: Array) -> Array:
    """Colour as the decoder gave it, converted where the codestream itself says nothing of it."""
    if request["photometric"] in ("YBR_FULL", "YBR_FULL_422"):
        quiet_pydicom()
        from pydicom.pixels import convert_color_space

        frame = convert_color_space(frame, "YBR_FULL", "RGB")
    return np.asarray(frame.astype(request["dtype"], copy=False))


def _jpeg_xl(request: Request, stream: bytes) -> Array:
    """A frame of JPEG XL, by libjxl, which gives colour as RGB and knows no sign."""
    import imagecodecs

    frame = imagecodecs.jpegxl_decode(stream, numthreads=1)
    if frame.ndim == 3:
        if request["syntax"] == JPEG_XL_LOSSLESS:
            return _rgb(request, frame[..., :3])
        return np.asarray(frame[..., :3].astype(request["dtype"], copy=False))
    if request["signed"]:
        frame = frame.astype(request["dtype"], copy=False)
    frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], request["lossy"])
    return np.asarray(frame.astype(request["dtype"], copy=False))


def _jpeg_of_12_bits(request: Request, stream: bytes) -> Array:
    """A frame of lossy JPEG of 12 bits that is progressive, or whose header says another thing."""
    import imagecodecs

    frame = imagecodecs.jpeg8_decode(stream)
    frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], clip=True)
    return np.asarray(frame.astype(request["dtype"], copy=False))


def _jpeg_extended(request: Request) -> Array:
    """A frame of lossy JPEG with 12 bits, by GDCM itself: pydicom offers it 8 bits only."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(request["path"])
    if not reader.Read():
        raise ValueError("not read")
    image = reader.GetImage()
    columns, rows = image.GetDimensions()[:2]
    # Its bytes come as text in which every byte that is no UTF-8 stands for itself.
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<u2")
    frame = values.reshape(-1, rows, columns)[request["frame"]]
    frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], clip=True)
    return np.asarray(frame.astype(request["dtype"], copy=False))


def decode_picture(request: Request) -> Array:
    """A PNG or JPEG as (rows, columns[, 3]), turned as its EXIF orientation says."""
    from PIL import Image

    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation → Image.Transpose
    Image.MAX_IMAGE_PIXELS = None  # the parent has checked the size against its own limit
    with Image.open(request["path"]) as picture:
        turn = turns.get(request["turn"])
        turned = picture if turn is None else picture.transpose(Image.Transpose(turn))
        if request["dtype"] == "uint16":
            return np.asarray(turned).astype(np.uint16)
        transparent = turned.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        if transparent:
            black = Image.new("RGBA", turned.size, (0, 0, 0, 255))
            turned = Image.alpha_composite(black, turned.convert("RGBA"))
        return np.asarray(turned.convert("RGB" if request["colour"] else "L"))


def quiet_pydicom() -> None:
    """Import pydicom, which is not to say what is wrong with a file."""
    import pydicom.pixels

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
