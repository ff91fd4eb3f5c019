"""The child process that decodes pixels; it stands alone and imports nothing of `viewer`.

A broken or hostile image may crash a decoder, hang it or make it ask for all memory. It does so
here, where it can be killed. Requests are lines of JSON on standard input; an answer is a four-byte
length, that much JSON and, if all went well, the array's bytes. The program ends when its input does.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Request = dict[str, Any]

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
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


def decode_dicom(request: Request, dataset: Any) -> Array:
    """One frame as (rows, columns[, 3]) of `request["dtype"]`, colour always as RGB."""
    from pydicom.pixels import apply_color_lut, get_decoder

    if request["syntax"] in JPEG_2000:
        return _jpeg_2000(request, dataset)
    if request["syntax"] == JPEG_EXTENDED and request["bits"] > 8:
        return _jpeg_extended(request)
    frame, facts = get_decoder(request["syntax"]).as_array(dataset, index=request["frame"])
    if request["photometric"] == "PALETTE COLOR":
        frame = apply_color_lut(frame, dataset)[..., :3]
        if frame.dtype.itemsize == 2:
            frame = frame >> 8
    elif str(facts["photometric_interpretation"]).startswith("YBR"):
        raise ValueError("the colours were not converted")
    elif frame.ndim == 2 and request["encapsulated"] is not None:  # pydicom has placed native values already
        frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], request["lossy"])
    return np.asarray(np.asarray(frame).astype(request["dtype"], copy=False))


def _jpeg_2000(request: Request, dataset: Any) -> Array:
    """A frame of JPEG 2000 or HTJ2K, decoded by OpenJPEG itself, which knows all depths and colour."""
    import openjpeg
    from pydicom.encaps import get_frame
    from pydicom.pixels import convert_color_space

    table = None
    if "ExtendedOffsetTable" in dataset:
        table = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    stream = get_frame(
        dataset.PixelData, request["frame"], number_of_frames=request["frames"], extended_offsets=table
    )
    frame = openjpeg.decode(stream)
    if frame.ndim == 3:
        if request["photometric"] in ("YBR_FULL", "YBR_FULL_422"):
            frame = convert_color_space(frame, "YBR_FULL", "RGB")
        return np.asarray(frame.astype(request["dtype"], copy=False))
    # Some encoders write two's complement as unsigned numbers: those are re-read, not clipped.
    overshoot = request["lossy"] and (frame.dtype.kind == "i") == request["signed"]
    if not overshoot:
        frame = frame.astype(request["dtype"], copy=False)
    frame = fit(frame, request["bits"], request["bits"] - 1, request["signed"], overshoot)
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


class _Files:
    """The dataset read last: the frames of one file are asked for one after the other."""

    def __init__(self) -> None:
        self._key: tuple[str, int, int] | None = None
        self._dataset: Any = None

    def dataset(self, path: str, encapsulated: int | None) -> Any:
        """The data set of a file, whose compressed frames begin at byte `encapsulated`, if any do."""
        from pydicom import dcmread

        state = Path(path).stat()
        key = (path, state.st_size, state.st_mtime_ns)
        if key != self._key:
            self._key, self._dataset = None, None
            dataset = dcmread(path, force=True)
            if encapsulated is not None and "PixelData" not in dataset:
                # All frames may be there and only the end mark be cut off: pydicom gives up on that.
                with Path(path).open("rb") as file:
                    file.seek(encapsulated)
                    dataset.add_new("PixelData", "OB", file.read() + b"\xfe\xff\xdd\xe0\0\0\0\0")
                dataset["PixelData"].is_undefined_length = True
            self._dataset, self._key = dataset, key
        return self._dataset


def answer(request: Request, files: _Files) -> tuple[dict[str, Any], bytes]:
    """The JSON header and the bytes of the reply; every failure becomes a word, not a traceback."""
    try:
        if request["kind"] == "picture":
            array = decode_picture(request)
        else:
            array = decode_dicom(request, files.dataset(request["path"], request["encapsulated"]))
        array = np.ascontiguousarray(array)
        return {"shape": array.shape, "dtype": array.dtype.name}, array.tobytes()
    except MemoryError:
        return {"failed": "memory"}, b""
    except Exception:  # noqa: BLE001 - the decoders raise anything at all on damaged data
        return {"failed": "decode"}, b""


def _limit(memory: int) -> None:
    """Cap this process' address space, where the system knows how; no core files either."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (ValueError, OSError):  # a lower limit is in force already
        return


def _prepare() -> None:
    """Import what decodes, silently: warnings quote the file, and a file is patient data."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    import PIL.Image
    import pydicom.pixels

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    PIL.Image.init()


def serve(requests: BinaryIO, replies: BinaryIO, alarm: Callable[[float], object]) -> None:
    """Answer until the input ends."""
    files = _Files()
    while line := requests.readline():
        request = json.loads(line)
        alarm(request["seconds"] + GRACE_SECONDS)
        header, body = answer(request, files)
        alarm(0)
        text = json.dumps(header).encode()
        replies.write(struct.pack("<I", len(text)) + text)
        replies.write(body)
        replies.flush()


def main() -> None:
    """Take the pipes, keep the libraries' own output out of them, and serve."""
    memory = int(sys.argv[1])
    replies = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    alarm: Callable[[float], object] = lambda seconds: None  # noqa: E731
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        alarm = lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)  # noqa: E731
    _prepare()
    _limit(memory)
    replies.write(b"ready\n")
    replies.flush()
    serve(sys.stdin.buffer, replies, alarm)


if __name__ == "__main__":
    main()
