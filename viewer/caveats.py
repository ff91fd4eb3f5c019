# SPDX-License-Identifier: Apache-2.0
"""What must be said beside a score as long as it is shown: sentences of window and exported files."""

from viewer.types import Prediction
from viewer.wording import clean, outside_text

UNKNOWN_USE = "Intended use unknown"


def unknown_text(reason: str) -> str:
    """That nobody knows whether the model was made for an image, and why."""
    return f"{UNKNOWN_USE}: {clean(reason)}"


def use_text(prediction: Prediction) -> str:
    """That the model was not made for what it was shown, or that nobody knows; "" where it was."""
    if prediction.override is not None:
        return outside_text(prediction.override)
    return "" if prediction.unknown is None else unknown_text(prediction.unknown)
