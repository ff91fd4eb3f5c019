# SPDX-License-Identifier: Apache-2.0
"""Pixels on demand: native ones are read here, all others by a child process that can be killed.

`Slices` is the lazy `Voxels` of a series. Nothing is decoded before it is asked for; what all series
together keep is bounded, and any thread may ask.
"""

import _thread
import functools
import json
import os
import struct
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from viewer.dicom.decoder import fit
from viewer.dicom.facts import LOSSY, PERHAPS_LOSSY, Pixels
from viewer.dicom.memory import KEPT, SliceMemory
from viewer.errors import SeriesError
from viewer.settings import Limits

Array = NDArray[Any]

CHILDREN = max(1, min(2, os.cpu_count() or 1))
"""Decoders at work at once: each may ask for as much memory as the limit allows."""
START_SECONDS = 60.0
_TRIES = 3
"""How often a request is made whose child was killed by someone else."""
_KEPT_BYTES = 16 * 1024**2
"""What a child's shared memory may hold between two requests."""
_PROGRAM = Path(__file__).with_name("decoder.py")
_WHY = {
    "memory": "it needs more memory than the limit allows",
    "decode": "its image data are damaged, or of a kind the decoder cannot read",
    "time": "decoding it took longer than the limit allows",
    "crash": "the decoder stopped on it",
    "gone": "the file can no longer be opened",
    "short": "the file ends before the image does",
}


class DecodingError(Exception):
    """Why one frame could not be decoded: a key of `_WHY`."""


def _shared_memory() -> int | None:
    """Memory without a name, which ends with its last user; None where the system has none."""
    try:
        return os.memfd_create("pixels")
    except (AttributeError, OSError):  # then pixels come through the pipe
        return None


def _end(process: subprocess.Popen[bytes], shared: int | None) -> None:
    """Close the child's pipes, which ends it, and kill it if it will not listen."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was not sent to a child that is gone
                continue
    process.wait()
    if shared is not None:
        os.close(shared)


def _read(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError
    return data


def _taken(shared: int | None, count: int) -> Array:
    """The first bytes of the shared memory: copied out of it, as the child can still write to it."""
    if shared is None:
        raise EOFError
    data: Array = np.empty(count, np.uint8)
    at = 0
    while at < count:
        more = os.preadv(shared, [data.data[at:]], at)
        if not more:
            raise EOFError
        at += more
    if count > _KEPT_BYTES:
        os.ftruncate(shared, 0)
    return data


def _exchange(
    process: subprocess.Popen[bytes], shared: int | None, request: dict[str, Any], most: int
) -> Array:
    """Send one request and read its reply, of which at most `most` bytes are believed."""
    if process.stdin is None or process.stdout is None:
        raise EOFError
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    (length,) = struct.unpack("<I", _read(process.stdout, 4))
    reply = json.loads(_read(process.stdout, min(length, 65_536)))
    if "failed" in reply:
        raise DecodingError(reply["failed"])
    shape, dtype = tuple(int(n) for n in reply["shape"]), np.dtype(reply["dtype"])
    count = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if count > most or dtype.kind not in "iu":
        raise EOFError
    if reply.get("shared"):
        return np.asarray(_taken(shared, count).view(dtype).reshape(shape))
    return np.frombuffer(_read(process.stdout, count), dtype).reshape(shape)


class Decoder:
    """One child process, started when first needed and again after a crash or a time-out."""

    def __init__(self, seconds: float, memory: int, program: Path = _PROGRAM) -> None:
        self._seconds = seconds
        self._memory = memory
        self._program = program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._shared: int | None = None
        self._owner = 0
        self._ready = self._proven = False
        self._finish: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Start the child without waiting for it; it imports all that it may need."""
        with self._lock:
            if not self._running:
                self._start("warm")

    def decode(self, request: dict[str, Any], most: int) -> Array:
        """The array that answers a request, of at most `most` bytes; raises `DecodingError`.

        A child that had worked before, or had not even started, and is found dead may have been killed by
        someone else, so the request is made again; one that dies of its first request is not given another.
        """
        with self._lock:
            for _ in range(_TRIES - 1):
                try:
                    return self._ask(request, most)
                except DecodingError as error:
                    if str(error) != "crash" or (self._ready and not self._proven):
                        raise
            return self._ask(request, most)

    def _ask(self, request: dict[str, Any], most: int) -> Array:
        process = self._alive()
        with self._watched(process, self._seconds):
            try:
                found = _exchange(process, self._shared, {**request, "seconds": self._seconds}, most)
            except DecodingError as error:
                failure = error
            else:
                self._proven = True
                return found
        self._proven = True
        raise failure

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            self._stop()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def _running(self) -> bool:
        """Whether there is a child; that of a process which this one was forked off is not ours."""
        return self._owner == os.getpid() and self.pid is not None

    def _stop(self) -> None:
        self._finish()
        self._process = None

    def _alive(self) -> subprocess.Popen[bytes]:
        """The running child, ready for requests."""
        process = self._process
        if process is None or not self._running:
            process = self._start()
        if not self._ready:
            with self._watched(process, START_SECONDS):
                if process.stdout is None or process.stdout.readline() != b"ready\n":
                    raise EOFError
            self._ready = True
        return process

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        if self._owner == os.getpid():
            self._stop()
        # -I: neither the working directory nor PYTHONPATH is searched. A folder named `dl` there
        # would break the import of gdcm, and a file named like a module would be run.
        python = [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else [])]
        shared = _shared_memory()
        process = subprocess.Popen(
            [*python, str(self._program), str(self._memory), str(-1 if shared is None else shared), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=() if shared is None else (shared,),
            cwd=self._program.parent.anchor,
            # Each thread of a BLAS reserves address space, which is what the child's limit counts.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._process, self._shared, self._owner = process, shared, os.getpid()
        self._ready = self._proven = False
        self._finish = weakref.finalize(self, _end, process, shared)
        return process

    @contextmanager
    def _watched(self, process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
        """Kill the child when time is up or the exchange broke off: its pipes are then out of step."""
        done, late = threading.Event(), threading.Event()

        def watch() -> None:
            if not done.wait(seconds):
                late.set()
                process.kill()

        # Not a `Timer`: its start waits until the thread runs, which takes as long as a tenth of a slice
        # while the children keep all cores busy.
        _thread.start_new_thread(watch, ())
        try:
            yield
        except (OSError, EOFError, ValueError, KeyError, TypeError, struct.error) as error:
            self._stop()
            raise DecodingError("time" if late.is_set() else "crash") from error
        except BaseException:
            self._stop()
            raise
        finally:
            done.set()


class Decoders:
    """A few children: each thread that asks gets one that is free, the first whenever it is."""

    def __init__(self, seconds: float, memory: int, count: int, program: Path = _PROGRAM) -> None:
        self._all = [Decoder(seconds, memory, program) for _ in range(count)]
        self._free = set(range(count))
        self._back = threading.Condition()
        self._read: dict[int, Any] = {}

    def decode(self, request: dict[str, Any], most: int) -> Array:
        """As `Decoder.decode`; waits while all children are at work."""
        number = self._taken(request.get("path"))
        try:
            return self._all[number].decode(request, most)
        finally:
            with self._back:
                self._free.add(number)
                self._back.notify()

    def _taken(self, path: Any) -> int:
        """A free child, best the one that has this file already: a file of many frames is large."""
        with self._back:
            self._back.wait_for(lambda: self._free)
            number = min(self._free, key=lambda n: (self._read.get(n) != path, n))
            self._free.remove(number)
            self._read[number] = path
            return number

    def start(self) -> None:
        """Start all children ahead of need, without waiting for them."""
        for decoder in self._all:
            decoder.start()

    def close(self) -> None:
        """End the children; the next request starts another."""
        for decoder in self._all:
            decoder.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children that run."""
        return tuple(pid for decoder in self._all if (pid := decoder.pid) is not None)

    @property
    def pid(self) -> int | None:
        """The first child's process id while it runs."""
        return self._all[0].pid


@functools.lru_cache(maxsize=2)
def shared_decoder(seconds: float, memory: int) -> Decoders:
    """The program's children for these limits: starting them takes a while, so they are kept.

    Those for limits that are no longer in use end.
    """
    return Decoders(seconds, memory, CHILDREN)


def start_decoders(limits: Limits) -> None:
    """Start the children ahead of need: the first compressed image does not wait for them then."""
    shared_decoder(limits.decode_seconds, limits.decode_memory).start()


def _native(pixels: Pixels, frame: int) -> Array:
    """One frame read straight from the file: (rows, columns[, 3])."""
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


def read_frame(pixels: Pixels, frame: int, limits: Limits) -> Array:
    """One frame's stored values, (rows, columns[, 3]), colour as RGB; raises `DecodingError`."""
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
