# SPDX-License-Identifier: Apache-2.0
"""Files are written whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        with suppress(OSError):  # it was never made, such as below a file
            part.unlink()


@contextmanager
def whole_set(folder: Path) -> Iterator[Path]:
    """An empty folder to write a set of files to, all of which reach `folder`, or none.

    `folder` is made where it does not exist. Each file is to be written through `whole`, so that a
    full disk shows itself before the first name changes. Raises `ExportError` as `whole` does.
    """
    part = folder / f".{secrets.token_hex(6)}.part"
    made = _missing(folder)
    try:
        part.mkdir(parents=True)
        yield part
        files = sorted(part.iterdir())
        for file in files:
            # Told before the first name changes.
            if (folder / file.name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{file.name} is a folder there")
        for file in files:
            file.replace(folder / file.name)
        made.clear()
    except OSError as error:
        raise ExportError(f"Nothing was written to {folder}: {_reason(folder, error)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _remove(made)


def check_folder(folder: Path) -> None:
    """Raise `ExportError` where files could not be written to `folder`; nothing stays behind."""
    made = _missing(folder)
    with whole_set(folder):
        pass
    _remove(made)


def _missing(folder: Path) -> list[Path]:
    """The folders that will have to be made, the innermost first."""
    return [path for path in (folder, *folder.parents) if not os.path.lexists(path)]


def _remove(folders: list[Path]) -> None:
    for path in folders:
        with suppress(OSError):  # not made at all, or someone else has put a file there meanwhile
            path.rmdir()


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
