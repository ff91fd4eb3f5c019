"""ZIP archives of studies: their files are unpacked where only this program can read them.

Nothing in an archive decides where a file goes: each gets a numbered folder of its own, and of its name
only the last part, without what a path could be made of. What is written is counted, not what the
archive says that it will be.
"""

import functools
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
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
_CHUNK = 1024**2
_ENCRYPTED = 0x1
_FAULTS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, ValueError,
)  # fmt: skip
"""What reading a damaged or foreign archive raises."""


@functools.cache
def _room() -> Path:
    """A folder for unpacked files, gone when the program ends."""
    folder = tempfile.TemporaryDirectory(prefix="whyscope-")
    _rooms.append(folder)
    return Path(folder.name)


_rooms: list[tempfile.TemporaryDirectory[str]] = []


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
        left = limits.bytes
        for member in members:
            shown = path / _plain(member.filename)
            try:
                place = _extracted(archive, member, left, look)
            except (SeriesError, NotAnImage) as error:
                yield shown, error
                continue
            left -= place.stat().st_size
            yield shown, place


def _plain(name: str) -> PurePosixPath:
    """A member's name for messages, without steps upwards or a root."""
    parts = [p for p in PurePosixPath(name.replace("\\", "/")).parts if p not in ("/", "..", ".")]
    return PurePosixPath(*parts) if parts else PurePosixPath("unnamed")


def _extracted(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int, look: Look) -> Path:
    """A member's bytes in a file of their own; at most `most`."""
    if member.flag_bits & _ENCRYPTED:
        raise SeriesError("The file is locked with a password inside its archive.")
    plain = _plain(member.filename).name
    try:
        with archive.open(member) as source:
            head = source.read(HEAD)
            look(head, member.file_size, PurePosixPath(plain).suffix.lower())
            return _written(head, source, plain, most)
    except (*_FAULTS, OSError) as error:
        raise SeriesError("The file is damaged inside its archive.") from error


def _written(head: bytes, source: IO[bytes], plain: str, most: int) -> Path:
    folder = Path(tempfile.mkdtemp(dir=_room()))
    place = folder / (re.sub(r"[^\w.-]", "_", plain)[-80:].lstrip(".") or "file")
    try:
        with place.open("xb") as target:
            size, block = 0, head
            while block:
                size += len(block)
                if size > most:
                    raise SeriesError("The archive unpacks to more than the limit allows.")
                target.write(block)
                block = source.read(_CHUNK)
    except BaseException:
        _away(place)
        raise
    return place


def _away(place: Path) -> None:
    place.unlink(missing_ok=True)
    os.rmdir(place.parent)  # noqa: PTH106 - just made, and empty
