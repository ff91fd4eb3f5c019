# SPDX-License-Identifier: Apache-2.0
"""The child process that decodes pixels; it stands alone and imports nothing of `viewer`.

A broken or hostile image may crash a decoder, hang it or make it ask for all memory. It does so
here, where it can be killed. Requests are lines of JSON on standard input; an answer is a four-byte
length and that much JSON. If all went well, the array's bytes lie in the shared memory whose file
descriptor the program was given, or follow in the pipe where it was given none. The program ends
when its input does. It imports what a request needs when it needs it: the whole of pydicom takes
three times as long as all else.
"""

import json
import os
import select
import signal
import struct
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Request = dict[str, Any]

EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))

GRACE_SECONDS = 5.0
"""The parent kills first; the alarm here is for the case that the parent is gone."""


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


def decode_dicom(request: Request, files: "_Files") -> Array:
    """One frame as (rows, columns[, 3]) of `request["dtype"]`, colour always as RGB."""
    if request["encapsulated"] is None:
        dataset = files.dataset(request["path"])
        if request["allocated"] == 1:
            return _single_bits(request, dataset)
        return _with_pydicom(request, dataset, request["frame"])
    if request["syntax"] == JPEG_EXTENDED and request["bits"] > 8:
        return _jpeg_extended(request)
    stream = files.stream(request)
    if request["syntax"] in JPEG_2000:
        return _jpeg_2000(request, stream)
    if request["syntax"] in JPEG_LS:
        return _jpeg_ls(request, stream)
    if request["syntax"] == DEFLATED_FRAMES:
        return _deflated(request, stream, files)
    return _packed(request, stream, files)


def _with_pydicom(request: Request, source: Any, frame: int, **facts: Any) -> Array:
    """A frame of a data set, or of encapsulated bytes with the facts that they need."""
    _quiet_pydicom()
    from pydicom.pixels import get_decoder

    values, found = get_decoder(request["syntax"]).as_array(source, index=frame, **facts)
    if request["photometric"] == "PALETTE COLOR":
        return np.asarray(values if facts else _coloured(values, source))
    if str(found["photometric_interpretation"]).startswith("YBR"):
        raise ValueError("the colours were not converted")
    return np.asarray(values).astype(request["dtype"], copy=False)


def _coloured(values: Array, dataset: Any) -> Array:
    """Indices of a palette as RGB of 8 bits; some files call entries of 8 bits 16, and mean 8."""
    from pydicom.pixels import apply_color_lut

    colours = apply_color_lut(values, dataset)[..., :3]
    if colours.dtype.itemsize == 2:
        count, first = (int(n) for n in dataset.RedPaletteColorLookupTableDescriptor[:2])
        every = first + np.arange(count or 65_536, dtype=np.int64)
        deep = int(apply_color_lut(every[None], dataset)[..., :3].max()) > 255
        colours = colours >> 8 if deep else colours
    return np.asarray(colours).astype(np.uint8, copy=False)


def _single_bits(request: Request, dataset: Any) -> Array:
    """A frame of packed bits, which may begin within a byte: pydicom 3.0 cuts some of those wrongly."""
    data, cells = dataset.PixelData, request["rows"] * request["columns"]
    if request["syntax"] == BIG_ENDIAN and dataset["PixelData"].VR == "OW":
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    start = request["frame"] * cells
    part = np.frombuffer(data[start // 8 : -(-(start + cells) // 8)], np.uint8)
    bits = np.unpackbits(part, bitorder="little")[start % 8 :][:cells]
    return bits.reshape(request["rows"], request["columns"])


def _deflated(request: Request, stream: bytes, files: "_Files") -> Array:
    """A frame that was deflated (PS3.5 8.2.16); fails where it is not as large as the header says."""
    samples = 2 if request["photometric"] == "YBR_FULL_422" else request["samples"]
    size = -(-request["rows"] * request["columns"] * samples * request["allocated"] // 8)
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflating.decompress(stream, size + 1)
    if len(data) != size or not inflating.eof:
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


def _packed(request: Request, stream: bytes, files: "_Files") -> Array:
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
        _quiet_pydicom()
        from pydicom.pixels import convert_color_space

        frame = convert_color_space(frame, "YBR_FULL", "RGB")
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


Span = tuple[int, int]
"""Where a fragment's bytes begin in the file, and how many they are."""


def fragments(file: BinaryIO, start: int) -> tuple[bytes, list[Span]]:
    """The basic offset table, and the fragments of compressed data behind it (PS3.5 A.4).

    The end mark may be missing: all frames may be there all the same.
    """
    size = file.seek(0, os.SEEK_END)
    found: list[Span] = []
    at = start
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        (length,) = struct.unpack("<L", head[4:])
        if head[:4] != b"\xfe\xff\x00\xe0" or at + 8 + length > size:
            break
        found.append((at + 8, length))
        at += 8 + length
    if not found:
        raise ValueError("no fragments")
    file.seek(found[0][0])
    return file.read(found[0][1]), found[1:]


def frames_in(file: BinaryIO, start: int, frames: int) -> list[list[Span]]:
    """The fragments of each frame: by the offset table where it is right, else by what they hold.

    An extended offset table is not asked: where there is one, each frame is one fragment
    (PS3.3 C.7.6.3.1.8).
    """
    table, found = fragments(file, start)
    if frames == 1:
        return [found]
    if len(found) == frames:
        return [[one] for one in found]
    number = {at - found[0][0]: n for n, (at, _) in enumerate(found)}
    offsets = struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])
    firsts = [number.get(offset, -1) for offset in offsets]
    if len(firsts) != frames or firsts[0] != 0 or any(a >= b for a, b in pairwise(firsts)):
        firsts = [0, *(n + 1 for n, one in enumerate(found[:-1]) if _ends(file, one))]
    if len(firsts) != frames:
        raise ValueError("which fragments make a frame is not known")
    return [found[a:b] for a, b in zip(firsts, [*firsts[1:], len(found)], strict=True)]


def _ends(file: BinaryIO, fragment: Span) -> bool:
    """Whether a codestream of the JPEG family ends with a fragment, padding behind it or not."""
    at, length = fragment
    file.seek(at + max(0, length - 10))
    return b"\xff\xd9" in file.read(min(length, 10))


class _Files:
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
        _quiet_pydicom()
        from pydicom import dcmread

        what = "header" if header else "whole"
        return self._once(what, path, lambda: dcmread(path, force=True, stop_before_pixels=header))

    def stream(self, request: Request) -> bytes:
        """The codestream of a frame."""
        with Path(request["path"]).open("rb") as file:
            index = self._once(
                "frames",
                request["path"],
                lambda: frames_in(file, request["encapsulated"], request["frames"]),
            )
            parts = []
            for at, length in index[request["frame"]]:
                file.seek(at)
                parts.append(file.read(length))
            return b"".join(parts)


def answer(request: Request, files: _Files, shared: int | None) -> tuple[dict[str, Any], Array | None]:
    """The JSON header and the array of the reply; every failure becomes a word, not a traceback."""
    try:
        array = decode_picture(request) if request["kind"] == "picture" else decode_dicom(request, files)
        array = np.ascontiguousarray(array)
        if shared is not None:
            _put(shared, array)
        return {"shape": array.shape, "dtype": array.dtype.name, "shared": shared is not None}, array
    except (MemoryError, ImportError):  # a decoder that is not installed was refused before
        return {"failed": "memory"}, None
    except Exception:  # noqa: BLE001 - the decoders raise anything at all on damaged data
        return {"failed": "decode"}, None


def _limit(memory: int) -> None:
    """Cap this process' address space, where the system knows how; no core files either.

    What is written to shared memory is no address space: it is capped as a file is.
    """
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        try:
            resource.setrlimit(kind, (memory, memory))
        except (ValueError, OSError):  # a lower limit is in force already
            continue


def _quiet_pydicom() -> None:
    """Import pydicom, which is not to say what is wrong with a file."""
    import pydicom.pixels

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def _pillow() -> None:
    import PIL.Image

    PIL.Image.init()


def _charls() -> None:
    import jpeg_ls  # noqa: F401


def _openjpeg() -> None:
    import openjpeg  # noqa: F401


def _gdcm() -> None:
    import gdcm  # noqa: F401


def _warm(requests: BinaryIO) -> None:
    """Import what may be needed, until the first request comes."""
    for load in (_charls, _openjpeg, _pillow, _quiet_pydicom, _gdcm):
        if select.select([requests], [], [], 0)[0]:
            return
        try:
            load()
        except (ImportError, MemoryError):  # it is told to the request that needs it
            return


def serve(
    requests: BinaryIO, replies: BinaryIO, alarm: Callable[[float], object], shared: int | None = None
) -> None:
    """Answer until the input ends."""
    files = _Files()
    while line := requests.readline():
        request = json.loads(line)
        alarm(request["seconds"] + GRACE_SECONDS)
        header, array = answer(request, files, shared)
        alarm(0)
        text = json.dumps(header).encode()
        replies.write(struct.pack("<I", len(text)) + text)
        if array is not None and shared is None:
            replies.write(array.reshape(-1).view(np.uint8).data)
        replies.flush()


def _put(shared: int, array: Array) -> None:
    """Write an array to the beginning of the shared memory."""
    left, at = array.reshape(-1).view(np.uint8).data, 0
    try:
        while left:
            done = os.pwrite(shared, left, at)
            left, at = left[done:], at + done
    except OSError as error:  # more than the limit, or than there is
        raise MemoryError from error


def main() -> None:
    """Take the pipes, keep the libraries' own output out of them, and serve."""
    import warnings

    memory, shared = int(sys.argv[1]), int(sys.argv[2])
    replies = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    warnings.simplefilter("ignore")  # they quote the file, and a file is patient data
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    alarm: Callable[[float], object] = lambda seconds: None  # noqa: E731
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        alarm = lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)  # noqa: E731
    _limit(memory)
    replies.write(b"ready\n")
    replies.flush()
    if "warm" in sys.argv[3:] and sys.platform != "win32":  # there, pipes cannot be looked at
        _warm(sys.stdin.buffer)
    serve(sys.stdin.buffer, replies, alarm, None if shared < 0 else shared)


if __name__ == "__main__":
    main()
