# SPDX-License-Identifier: Apache-2.0
"""Which formats there are, and which of those that are asked for can be written."""

from collections.abc import Sequence

from viewer.errors import ExportError
from viewer.export.formats.format import Format
from viewer.export.formats.npz import Arrays
from viewer.export.formats.png import PictureFormat
from viewer.export.formats.result import Result
from viewer.types import Series

BY_NAME: dict[str, Format] = {one.name: one for one in (PictureFormat(), Arrays(), Result())}
"""Every format by its name, in the order in which the files of a map are listed."""
FORMATS = tuple(BY_NAME)
PLANNED = ("tiff", "csv", "pdf", "sc", "pm", "sr", "gsps", "blend", "seg")
_LATER = "not written by this version"


def check_formats(
    formats: Sequence[str], series: Series | None = None
) -> tuple[list[Format], list[dict[str, str]]]:
    """The formats to write, and as `result.json` lists them those to be skipped, with the reason.

    With a `series` those that are impossible for it are skipped too. Raises `ExportError` for a format
    that does not exist, and where none is left to be written.
    """
    words = list(dict.fromkeys(word.strip().lower() for word in formats))
    unknown = [word for word in words if word not in (*BY_NAME, *PLANNED)]
    if unknown:
        known = ", ".join(FORMATS)
        raise ExportError(f"There is no format {unknown[0]!r}; choose from: {known}.")
    reasons = {word: _unsuitable(word, series) for word in words}
    asked = [one for name, one in BY_NAME.items() if name in reasons and reasons[name] is None]
    skipped = {word: reason for word, reason in reasons.items() if reason is not None}
    if not asked:
        suited = ", ".join(name for name in BY_NAME if _unsuitable(name, series) is None)
        raise ExportError(f"Nothing was written: {_nothing(skipped)}; choose from: {suited}.")
    return asked, [{"format": word, "reason": reason} for word, reason in skipped.items()]


def _unsuitable(name: str, series: Series | None) -> str | None:
    if name not in BY_NAME:
        return _LATER
    return None if series is None else BY_NAME[name].unsuitable(series)


def _nothing(skipped: dict[str, str]) -> str:
    """Why none of the formats that were asked for can be written, as part of a sentence."""
    later = ", ".join(name for name, reason in skipped.items() if reason == _LATER)
    reasons = [f"{name}: {reason.rstrip('.')}" for name, reason in skipped.items() if reason != _LATER]
    return "; ".join([*([f"{later} is {_LATER}"] if later else []), *reasons]) or "no format was named"
