# SPDX-License-Identifier: Apache-2.0
"""The child processes that decode: started, asked, watched, and killed or replaced where they fail."""

import _thread
import functools
import json
import os
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

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


class DecodingError(Exception):
    """Why one frame could not be decoded: "memory", "decode", "time", "crash", "gone" or "short"."""


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
                gone = str(error) == "decode" and not os.access(request["path"], os.R_OK)
                failure = DecodingError("gone") if gone else error
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
