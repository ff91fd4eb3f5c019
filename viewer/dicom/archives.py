# SPDX-License-Identifier: Apache-2.0
"""ZIP archives of studies: their files are unpacked where only this program can read them.

Nothing in an archive decides where a file goes: each gets a numbered folder of its own, and of its name
only the last part, without what a path could be made of. What is written is counted, not what the
archive says that it will be.
"""

import functools
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO

from viewer.dicom.header import NotAnImage
from viewer.errors import SeriesError
from viewer.settings import Limits

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins, and one without files."""
HEAD = 132
"""Bytes by which a file is told: a preamble and its mark."""
Look = Callable[[bytes, int, str], None]
"""Raises `SeriesError` or `NotAnImage` for a file that need not be unpacked: its head, size and suffix."""
_CHUNK = 64 * 1024
"""Bytes at a time; of a damaged member the last ones are lost, and not counted."""
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The ways of packing that give no more at a time than is asked for, and all that DICOM allows (PS3.12 V)."""
_FAULTS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
"""What reading a damaged or foreign archive raises."""


@functools.cache
def _folder() -> Path:
    """A folder for unpacked files, gone when the program ends."""
    folder = tempfile.TemporaryDirectory(prefix="whyscope-")
    _folders.append(folder)
    return Path(folder.name)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def unpacked(
    path: Path, limits: Limits, look: Look
) -> Iterator[tuple[Path, Path | SeriesError | NotAnImage]]:
    """Every file of an archive: its name under the archive's, and where it lies now or why it does not.

    Raises `SeriesError` where the archive itself cannot be read or holds too much.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (*_FAULTS, OSError) as error:
        raise SeriesError("This is a damaged ZIP archive.") from error
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > limits.members:
            raise SeriesError(
                f"The archive holds {len(members)} files, more than the limit of {limits.members}."
            )
        room = _Room(limits.bytes)
        for member in members:
            shown = path / _plain(member.filename)
            try:
                place = _extracted(archive, member, room, look)
            except (SeriesError, NotAnImage) as error:
                yield shown, error
            else:
                yield shown, place


class _Room:
    """What an archive may still unpack; bytes that are thrown away again have been unpacked, too."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise SeriesError("The archive unpacks to more than the limit allows.")


def _plain(name: str) -> PurePosixPath:
    """A member's name for messages, without steps upwards or a root."""
    parts = [p for p in PurePosixPath(name.replace("\\", "/")).parts if p not in ("/", "//", "..", ".")]
    return PurePosixPath(*parts) if parts else PurePosixPath("unnamed")


def _extracted(archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: _Room, look: Look) -> Path:
    """A member's bytes in a file of their own."""
    if member.compress_type not in _METHODS:
        raise SeriesError("The file is packed in its archive in a way that is not opened.")
    if member.flag_bits & _ENCRYPTED:
        raise SeriesError("The file is locked with a password inside its archive.")
    plain = _plain(member.filename).name
    try:
        with archive.open(member) as source:
            head = source.read(HEAD)
            look(head, member.file_size, PurePosixPath(plain).suffix.lower())
            place = _written(head, source, plain, room)
    except (*_FAULTS, OSError) as error:
        raise SeriesError("The file is damaged inside its archive.") from error
    _dated(place, member)
    return place


def _dated(place: Path, member: zipfile.ZipInfo) -> None:
    """Give a file the time that the archive states: unpacked again, it is still the same file."""
    try:
        moment = datetime(*member.date_time, tzinfo=UTC).timestamp()
    except ValueError:  # some archives state a month or a day 0
        moment = 0.0
    os.utime(place, (moment, moment))


def _written(head: bytes, source: IO[bytes], plain: str, room: _Room) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_folder()))
    place = folder / (re.sub(r"[^\w.-]", "_", plain)[-60:].lstrip(".") or "file")  # up to 240 bytes
    try:
        with place.open("xb") as target:
            block = head
            while block:
                room.take(len(block))
                target.write(block)
                block = source.read(_CHUNK)
    except BaseException:
        _away(place)
        raise
    return place


def _away(place: Path) -> None:
    place.unlink(missing_ok=True)
    os.rmdir(place.parent)  # noqa: PTH106 - just made, and empty
