# SPDX-License-Identifier: Apache-2.0
"""Pixels on demand: native ones are read here, all others by a child process that can be killed.

`Slices` is the lazy `Voxels` of a series. Nothing is decoded before it is asked for; what all series
together keep is bounded, and any thread may ask.
"""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewer.dicom.decoder_pool import DecodingError, shared_decoder
from viewer.dicom.facts import LOSSY, PACKED, PERHAPS_LOSSY, Pixels
from viewer.dicom.memory import KEPT, SliceMemory
from viewer.dicom.pixel_codecs import fit
from viewer.errors import SeriesError
from viewer.settings import Limits

Array = NDArray[Any]

_WHY = {
    "memory": "it needs more memory than the limit allows",
    "decode": "its image data are damaged, or of a kind the decoder cannot read",
    "time": "decoding it took longer than the limit allows",
    "crash": "the decoder stopped on it",
    "gone": "the file can no longer be opened",
    "short": "the file ends before the image does",
}


def _native(pixels: Pixels, frame: int) -> Array:
    """One frame read straight from the file: (rows, columns[, 3])."""
    if pixels.allocated == PACKED:
        return _unpacked(pixels, frame)
    count = pixels.rows * pixels.columns * pixels.samples
    start = (pixels.offset or 0) + frame * pixels.frame_bytes
    kind = "f" if pixels.floating else "i" if pixels.signed and not pixels.colour else "u"
    try:
        values = np.fromfile(pixels.path, f"<{kind}{pixels.allocated // 8}", count, offset=start)
    except OSError as error:
        raise DecodingError("gone") from error
    if values.size != count:
        raise DecodingError("short")
    if not pixels.colour:
        cells = values.reshape(pixels.rows, pixels.columns)
        if pixels.floating:
            return cells
        return fit(cells, pixels.stored, pixels.high_bit, pixels.signed)
    if pixels.planar:
        return np.moveaxis(values.reshape(3, pixels.rows, pixels.columns), 0, -1)
    return values.reshape(pixels.rows, pixels.columns, 3)


def _unpacked(pixels: Pixels, frame: int) -> Array:
    """One frame of cells of 12 bits, two of which lie in three bytes, the lowest bits first."""
    nibbles = 3 * pixels.rows * pixels.columns
    first = frame * nibbles
    try:
        start = (pixels.offset or 0) + first // 2
        data = np.fromfile(pixels.path, np.uint8, -(-(first % 2 + nibbles) // 2), offset=start)
    except OSError as error:
        raise DecodingError("gone") from error
    parts = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[first % 2 :][:nibbles].astype(np.uint16)
    if parts.size != nibbles:
        raise DecodingError("short")
    cells = (parts[0::3] | parts[1::3] << 4 | parts[2::3] << 8).reshape(pixels.rows, pixels.columns)
    return fit(cells.astype(pixels.dtype), pixels.stored, pixels.high_bit, pixels.signed)


def _tile(pixels: Pixels, whole: Pixels, frame: int, limits: Limits) -> Array:
    """One tile of a mosaic."""
    try:
        stat = whole.path.stat()
    except OSError as error:
        raise DecodingError("gone") from error
    down, across = divmod(frame, whole.columns // pixels.columns)
    rows, columns = (slice(k * n, (k + 1) * n) for k, n in ((down, pixels.rows), (across, pixels.columns)))
    return _picture(whole, (stat.st_mtime_ns, stat.st_size), limits)[rows, columns].copy()


@lru_cache(maxsize=4)
def _picture(whole: Pixels, _stamp: tuple[int, int], limits: Limits) -> Array:
    """A mosaic, read once for the tiles that are asked for one after the other."""
    return read_frame(whole, 0, limits)


def read_frame(pixels: Pixels, frame: int, limits: Limits) -> Array:
    """One frame's stored values, (rows, columns[, 3]), colour as RGB; raises `DecodingError`."""
    if pixels.whole is not None:
        return _tile(pixels, pixels.whole, frame, limits)
    if pixels.direct:
        return _native(pixels, frame)
    request = {
        "kind": "dicom",
        "path": str(pixels.path),
        "frame": frame,
        "frames": pixels.frames,
        "syntax": pixels.syntax,
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples": pixels.samples,
        "photometric": pixels.photometric,
        "planar": pixels.planar,
        "allocated": pixels.allocated,
        "bits": pixels.stored,
        "signed": pixels.signed,
        "encapsulated": pixels.offset if pixels.length is None else None,
        "lossy": pixels.syntax in LOSSY | PERHAPS_LOSSY,
        "dtype": pixels.dtype.name,
        "contradicted": bool(pixels.notes),
    }
    most = int(np.prod(pixels.shape)) * pixels.dtype.itemsize
    return shared_decoder(limits.decode_seconds, limits.decode_memory).decode(request, most)


class Slices:
    """The slices of a series, decoded when asked for and kept in `memory`; satisfies `viewer.types.Voxels`.

    `read` gives slice i, `names` the file each slice is in (without its folder), for messages. Whoever
    goes through all slices gets them read by `ahead` threads.
    """

    def __init__(
        self,
        read: Callable[[int], Array],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        names: tuple[str, ...],
        memory: SliceMemory = KEPT,
        ahead: int = 1,
    ) -> None:
        self._ahead = ahead
        self._read = read
        self._shape = shape
        self._dtype = dtype
        self._names = names
        self._memory = memory
        self._own = object()
        weakref.finalize(self, memory.leave, self._own).atexit = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    def ahead(self) -> int:
        """How many slices are read at once by whoever goes through all; 1 where nothing is gained."""
        return self._ahead

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: int, /) -> Array:
        """Slice `index`, read-only; `SeriesError` if it cannot be decoded, `IndexError` past the end."""
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError("no such slice")
        kept: Array | None = self._memory.get(self._own, number)
        if kept is not None:
            return kept
        array = self._decoded(number)
        self._memory.put(self._own, number, array, (array,))
        return array

    def __iter__(self) -> Iterator[Array]:
        """All slices in order, the next ones decoded meanwhile; what one of them raises, in its place."""
        if self._ahead < 2:
            yield from (self[number] for number in range(len(self)))
            return
        pool, due = ThreadPoolExecutor(self._ahead, "whyscope slices"), deque[Future[Array]]()
        try:
            for number in range(len(self)):
                due.append(pool.submit(self.__getitem__, number))
                if len(due) > self._ahead:
                    yield due.popleft().result()
            while due:
                yield due.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _decoded(self, number: int) -> Array:
        place = f"Slice {number + 1} of {len(self)} ({self._names[number]}) cannot be shown"
        try:
            array = self._read(number)
        except DecodingError as error:
            raise SeriesError(f"{place}: {_WHY.get(str(error), _WHY['decode'])}.") from error
        if array.shape != self._shape[1:]:
            raise SeriesError(f"{place}: the image inside has another size than the file says.")
        # A copy only where needed: `astype` may hand on the decoder's own, already read-only memory.
        array = np.ascontiguousarray(array.astype(self._dtype, copy=False))
        array.setflags(write=False)
        return array
