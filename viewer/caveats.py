# SPDX-License-Identifier: Apache-2.0
"""What must be said beside a score as long as it is shown: sentences of window and exported files."""

from viewer.types import Prediction
from viewer.wording import clean, outside_text

UNKNOWN_USE = "Intended use unknown"
IMPLAUSIBLE = "Implausible outputs"
VARIES = "Answers vary from run to run"


def unknown_text(reason: str) -> str:
    """That nobody knows whether the model was made for an image, and why."""
    return f"{UNKNOWN_USE}: {clean(reason)}"


def use_text(prediction: Prediction) -> str:
    """That the model was not made for what it was shown, or that nobody knows; "" where it was."""
    if prediction.override is not None:
        return outside_text(prediction.override)
    return "" if prediction.unknown is None else unknown_text(prediction.unknown)


def marks(prediction: Prediction | None) -> tuple[str, ...]:
    """In a few words, what makes scores and maps less than they seem, beside the intended use."""
    if prediction is None:
        return ()
    implausible = (IMPLAUSIBLE,) if prediction.implausible is not None else ()
    return (*implausible, VARIES) if prediction.runs > 1 else implausible


def doubts(prediction: Prediction | None) -> tuple[str, ...]:
    """The same in sentences."""
    if prediction is None:
        return ()
    implausible = () if prediction.implausible is None else (prediction.implausible,)
    return (*implausible, varies_text(prediction.runs)) if prediction.runs > 1 else implausible


def varies_text(runs: int) -> str:
    """That a network answers at random, and of how many runs its scores are."""
    return (
        "The network gives another answer to the same image each time: scores are mean ± standard deviation "
        f"of {runs} runs, and a map is of a single one."
    )
