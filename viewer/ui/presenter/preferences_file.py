"""The file in which preferences are kept: read without trust, written whole."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import platformdirs

from viewer.errors import ExportError, WhyscopeError
from viewer.export import whole
from viewer.settings import BATCHES, RANGES, RATES, SLICE_MEMORY, Limits, Preferences, Recent, Trusted
from viewer.ui.commands import BY_NAME

PLACE = "WHYSCOPE_CONFIG"
"""The environment variable that names another folder for the file."""
NAME = "preferences.json"
MOST_RECENT = 10
"""The bounds of slices per second and of samples per forward."""
_LARGEST = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


def folder() -> Path:
    """Where the file lies: as the environment says, or where this system keeps such files."""
    named = os.environ.get(PLACE)
    return Path(named) if named else platformdirs.user_config_path("whyscope", appauthor=False)


class PreferencesFile:
    """The preferences on the disk."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or folder() / NAME

    def load(self) -> tuple[Preferences, str | None]:
        """What is kept; what cannot be read is as by default, and the sentence says so."""
        try:
            if self.path.stat().st_size > _LARGEST:
                return Preferences(), self._damaged("it is far too large")
            document = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return Preferences(), None
        except OSError as error:
            return Preferences(), self._damaged(error.strerror or type(error).__name__)
        except (ValueError, RecursionError):
            return Preferences(), self._damaged("it is not a file of preferences")
        if not isinstance(document, dict):
            return Preferences(), self._damaged("it is not a file of preferences")
        preferences, wrong = read(document)
        return preferences, self._damaged(f"not understood: {', '.join(wrong)}") if wrong else None

    def _damaged(self, reason: str) -> str:
        return (
            f"The preferences in {self.path} could not all be read ({reason}); the defaults stand for them."
        )

    def save(self, preferences: Preferences) -> None:
        """Write them; raises `WhyscopeError` with a sentence where that is not possible."""
        text = json.dumps(asdict(preferences), indent=1) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole(self.path) as part:
                part.touch(mode=0o600)  # what was opened may name patients
                part.write_text(text, "utf-8")
        except (OSError, ExportError) as error:
            reason = str(error) if isinstance(error, ExportError) else error.strerror
            raise WhyscopeError(f"The preferences could not be saved: {reason}") from error


def read(document: Mapping[str, Any]) -> tuple[Preferences, list[str]]:
    """Preferences from JSON, and the names of what is not as it should be. Unknown keys are left out."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for name in (f.name for f in fields(Preferences) if f.name in document):
        try:
            found[name] = _READ[name](document[name])
        except (ValueError, TypeError, KeyError, AttributeError):
            wrong.append(name)
    return Preferences(**found), wrong


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _among(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError
        return str(value)

    return check


def _between(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _keys(value: Any) -> dict[str, tuple[str, ...]]:
    return {name: tuple(_text(key) for key in keys) for name, keys in value.items() if name in BY_NAME}


def _limits(value: Any) -> Limits:
    whole = {name: _between(*RANGES[name])(number) for name, number in value.items() if name in RANGES}
    return Limits(**whole)


def _recent(value: Any) -> tuple[Recent, ...]:
    found = (Recent(tuple(_text(path) for path in one["paths"]), _text(one["opened"])) for one in value)
    return tuple(one for one in found if one.paths)[:MOST_RECENT]


def _trusted(value: Any) -> tuple[Trusted, ...]:
    found = tuple(Trusted(_text(one["code"]), _text(one["weights"])) for one in value)
    if not all(_SHA256.fullmatch(digest) for one in found for digest in (one.code, one.weights)):
        raise ValueError
    return found


_READ: dict[str, Callable[[Any], Any]] = {
    "colours": _among("dark", "light"),
    "masked": _flag,
    "remember": _flag,
    "rate": _between(*RATES),
    "device": _among("auto", "cpu", "cuda", "mps"),
    "batch": _between(*BATCHES),
    "slice_memory": _between(*SLICE_MEMORY),
    "limits": _limits,
    "keys": _keys,
    "studies": _recent,
    "models": _recent,
    "trusted": _trusted,
}
