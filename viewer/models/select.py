# SPDX-License-Identifier: Apache-2.0
"""The logits among what a network returns, and what to do where there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from viewer.errors import ModelError

_SHOWN = 8


def logits(output: Any, select: str | int | None, labels: int) -> Tensor:
    """The tensor (n, labels[, …spatial]) in what a network gave; raises `ModelError` saying what is wanted.

    `select` is the entry of a tuple or dict that the card names.
    """
    found = output
    if select is not None:
        try:
            found = output[select]
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(
                f"The network's output has no entry {select!r} (output.select){_entries(output)}."
            ) from error
    if not isinstance(found, Tensor):
        if _detections(output) or _detections(found):
            raise ModelError(
                "The network is a detector: it gives boxes for each image, and detectors are not supported "
                "yet; wrap it in a network.py whose forward returns one number per image and label, such as "
                "the best score of each class."
            )
        if select is not None:
            raise ModelError(
                f"The entry {select!r} of the network's output (output.select) is a "
                f"{type(found).__name__} and no tensor{_entries(found)}; what is explained is one number per "
                "image and label, so wrap the network in a network.py whose forward returns these."
            )
        if isinstance(found, (tuple, list, Mapping)):
            raise ModelError(
                "The network gives several outputs; name the one with the logits in output.select"
                f"{_entries(found)}."
            )
        raise ModelError(
            "The network gives no tensor; its forward must return one number per image and label."
        )
    if found.ndim == 0:
        raise ModelError("The network gives one number for a whole batch; it must give one per input.")
    # A network with one output may leave out the axis of the labels.
    return found[:, None] if found.ndim == 1 and labels == 1 else found


def _detections(output: Any) -> bool:
    """Whether it is what detectors give: boxes beside scores or logits, in a dict or one for each image."""
    if isinstance(output, Mapping):
        return any("boxes" in str(key).lower() for key in output)
    return isinstance(output, (tuple, list)) and bool(output) and all(map(_detections, output))


def _entries(output: Any) -> str:
    """What there is to choose from, in brackets."""
    names: Sequence[Any] = ()
    if isinstance(output, Mapping):
        names = list(output)
    elif isinstance(output, (tuple, list)):
        names = range(len(output))
    more = ", …" if len(names) > _SHOWN else ""
    return f" (it has {', '.join(map(repr, names[:_SHOWN]))}{more})" if names else ""
