# SPDX-License-Identifier: Apache-2.0
"""The file in which preferences are kept: read without trust, written whole."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs

from viewer.errors import ExportError, WhyscopeError
from viewer.export import whole
from viewer.settings import Preferences

_PLACE = "WHYSCOPE_CONFIG"
"""The environment variable that names another folder for the file."""
NAME = "preferences.json"
_LARGEST = 1024**2


def folder() -> Path:
    """Where the file lies: as the environment says, or where this system keeps such files."""
    named = os.environ.get(_PLACE)
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
    from pydantic_core import ValidationError  # a program that has no such file yet starts without

    from viewer.ui.presenter.preferences_schema import FIELDS, PREFERENCES

    try:
        return Preferences(**PREFERENCES.validate_python(document)), []
    except ValidationError as error:
        bad = {one["loc"][0] for one in error.errors(include_url=False, include_context=False)}
    rest = {name: value for name, value in document.items() if name not in bad}
    return Preferences(**PREFERENCES.validate_python(rest)), [name for name in FIELDS if name in bad]
