"""Files are written whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from viewer.errors import ExportError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A new path beside `path` to write to; on success it takes the place of `path`, else it is removed.

    Raises `ExportError` where the folder or the disk does not take the file.
    """
    part = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        yield part
        _flush(part)
        part.replace(path)
    except OSError as error:
        raise ExportError(f"{path.name} was not written: {_reason(path.parent, error)}") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_set(folder: Path) -> Iterator[Path]:
    """An empty folder to write a set of files to, all of which reach `folder`, or none.

    `folder` is made where it does not exist. Each file is to be written through `whole`, so that a
    full disk shows itself before the first name changes. Raises `ExportError` as `whole` does.
    """
    existed = folder.is_dir()
    part = folder / f".{secrets.token_hex(6)}.part"
    done = False
    try:
        part.mkdir(parents=True)
        yield part
        for file in sorted(part.iterdir()):
            file.replace(folder / file.name)
        done = True
    except OSError as error:
        raise ExportError(f"Nothing was written to {folder}: {_reason(folder, error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if not (done or existed) and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _flush(path: Path) -> None:
    """Wait until the file is on the disk: a full one may say so only now."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _reason(folder: Path, error: OSError) -> str:
    """What went wrong and what to do, the second half of a sentence."""
    if error.errno in _FULL:
        return "the disk is full; free some space or choose another folder."
    if error.errno in _FORBIDDEN:
        return f"{folder} may not be written to; choose another folder."
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return f"a part of {folder} is a file, not a folder; choose another folder."
    return f"{error.strerror or error or type(error).__name__}; choose another folder."
