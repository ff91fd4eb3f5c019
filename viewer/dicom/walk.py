# SPDX-License-Identifier: Apache-2.0
"""The files under some paths, each once; links do not lead round and round."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from viewer.errors import SeriesError


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that is not part of a series, and why, in one sentence."""

    path: Path
    reason: str


class _Entry(NamedTuple):
    path: Path
    link: bool
    regular: bool
    """Whether it is a file that can be read; not known of a link."""


def files_under(paths: Sequence[Path], other: list[Listed], refused: list[Listed]) -> list[Path]:
    """All regular files under the paths, each once; what cannot be read as one is listed.

    Raises `SeriesError` if a path does not exist.
    """
    found: list[Path] = []
    given: set[Path] = set()
    known = _Known(found)
    for path in paths:
        if not _there(path):
            name = path.name if len(path.name) <= 80 else f"{path.name[:80]}…"
            raise SeriesError(f"There is no file or folder {name}.")
        for entry in _under(path, refused):
            if entry.path in given:
                continue
            given.add(entry.path)
            if entry.link:
                _follow(entry.path, known, other, refused)
            elif entry.regular:
                found.append(entry.path)
            else:
                other.append(Listed(entry.path, "This is not a file that can be read."))
    return found


class _Known:
    """Which files were found, whatever they are called; only links ask, so that only they cost a look."""

    def __init__(self, found: list[Path]) -> None:
        self.found = found
        self._looked = 0
        self._files: set[tuple[int, int]] = set()

    def has(self, file: os.stat_result) -> bool:
        """Whether a file is among those found so far."""
        for path in self.found[self._looked :]:
            try:
                state = path.stat()
            except OSError:  # gone since; reading it will say so
                continue
            self._files.add((state.st_dev, state.st_ino))
        self._looked = len(self.found)
        return (file.st_dev, file.st_ino) in self._files


def _follow(link: Path, known: _Known, other: list[Listed], refused: list[Listed]) -> None:
    """Count the file that a link leads to, once."""
    try:
        state = link.stat()
    except OSError:
        refused.append(Listed(link, "This is a link that leads nowhere."))
        return
    if not stat.S_ISREG(state.st_mode):
        other.append(Listed(link, "This is not a file that can be read."))
    elif known.has(state):
        other.append(Listed(link, "This is a link to a file that is listed already."))
    else:
        known.found.append(link)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def _under(path: Path, refused: list[Listed]) -> Iterator[_Entry]:
    """The files of a folder and its folders, links last and each folder once; or the file itself."""
    if path.is_file():
        if path.name.upper() != "DICOMDIR":
            yield _Entry(path, path.is_symlink(), True)
            return
        path = path.parent  # a directory of what lies beside it; the files themselves are the truth
    elif not path.is_dir():
        yield _Entry(path, path.is_symlink(), False)
        return
    seen: set[tuple[int, int]] = set()
    links: list[_Entry] = []
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            state = folder.stat()
            if (state.st_dev, state.st_ino) in seen:
                continue
            seen.add((state.st_dev, state.st_ino))
            files, inner = _content(folder)
        except OSError:
            refused.append(Listed(folder, "This folder cannot be opened."))
            continue
        for entry in files:
            if entry.link:
                links.append(entry)
            else:
                yield entry
        folders += reversed(inner)
    yield from links


def _content(folder: Path) -> tuple[list[_Entry], list[Path]]:
    """What lies in a folder, by name: what is no folder, and the folders."""
    files: list[_Entry] = []
    folders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            path = folder / entry.name
            if _is_folder(entry):
                folders.append(path)
            else:
                files.append(_Entry(path, entry.is_symlink(), entry.is_file(follow_symlinks=False)))
    return files, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False
