# SPDX-License-Identifier: Apache-2.0
"""The child process that decodes pixels; of `viewer` it loads `pixel_codecs` and `fragments` alone.

A broken or hostile image may crash a decoder, hang it or make it ask for all memory. It does so
here, where it can be killed. Requests are lines of JSON on standard input; an answer is a four-byte
length and that much JSON. If all went well, the array's bytes lie in the shared memory whose file
descriptor the program was given, or follow in the pipe where it was given none. The program ends
when its input does.
"""

import json
import os
import select
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

if __name__ == "__main__":
    # The packages it lies in stand here without what their own code would import: nothing but the modules
    # named below is loaded, and nothing is added to where Python searches.
    for _name, _folder in (("viewer", Path(__file__).parents[1]), ("viewer.dicom", Path(__file__).parent)):
        _package = ModuleType(_name)
        _package.__path__ = [str(_folder)]
        sys.modules[_name] = _package

from viewer.dicom.pixel_codecs import Array, LastFile, Request, decode_dicom, decode_picture, quiet_pydicom

GRACE_SECONDS = 5.0
"""The parent kills first; the alarm here is for the case that the parent is gone."""


def reply(request: Request, files: LastFile, shared: int | None) -> tuple[dict[str, Any], Array | None]:
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
    for load in (_charls, _openjpeg, _pillow, quiet_pydicom, _gdcm):
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
    files = LastFile()
    while line := requests.readline():
        request = json.loads(line)
        alarm(request["seconds"] + GRACE_SECONDS)
        header, array = reply(request, files, shared)
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
