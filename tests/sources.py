# SPDX-License-Identifier: Apache-2.0
"""The Python files of this repository, and what is asked of all of them."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = ("build", "dist", "whyscope-demo")
"""Folders that tools and the program leave behind."""


def sources(*parts: str) -> list[Path]:
    """The Python files of some folders or files of the root, or of all that belong to the repository.

    Looked up on the disk and not in git's index, so that a file is found before it is committed.
    """
    given = [ROOT / part for part in parts] or [
        path for path in ROOT.iterdir() if not path.name.startswith(".") and path.name not in MADE
    ]
    return sorted(_within(given))


def _within(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from path.rglob("*.py")
        elif path.suffix == ".py":
            yield path


def named(path: Path) -> str:
    """A file as a reader writes it: from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()
