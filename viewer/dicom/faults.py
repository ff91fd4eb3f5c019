# SPDX-License-Identifier: Apache-2.0
"""Faults of a file, noted while it is read: whoever reads an element has no other way to tell of it."""

import threading

from viewer.dicom.facts import Note

_MOST, _SHOWN = 32, 40
"""Faults of a file that are kept, and letters of a value that are shown."""


class _Noted(threading.local):
    """What a thread has noted of the file that it reads."""

    def __init__(self) -> None:
        self.notes: list[Note] = []


_noted = _Noted()


def note(about: str, said: str) -> None:
    """Note a fault of the file that is being read: what it is about, and a sentence."""
    if len(_noted.notes) < _MOST:
        _noted.notes.append((about, said))


def forget() -> None:
    """Begin to note for another file."""
    _noted.notes.clear()


def noted() -> tuple[Note, ...]:
    """What was noted since."""
    return tuple(_noted.notes)


def printable(text: str) -> str:
    """The beginning of a text of the file, fit for a sentence."""
    kept = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN])
    return kept + ("…" if len(text) > _SHOWN else "")
