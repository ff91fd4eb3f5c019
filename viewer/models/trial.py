# SPDX-License-Identifier: Apache-2.0
"""A trial of a network on made-up images: whether its outputs can be what the card says of them.

Nothing is learnt of how good it is. What ends in softmax or sigmoid and is carded so is squashed twice, and
what is drawn at random in each forward gives another score each time: both show on any image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from viewer.errors import ModelError
from viewer.models.card import Card, Input
from viewer.models.guard import starved
from viewer.models.interval import interval

_LARGE = 2**18
"""Numbers of an input beyond which a smaller one is tried: of 512 × 512 pixels, or 64³ voxels."""
_HUGE = 2**21
_EXTREME = 300.0
"""Times the pixels of a bright middle: a logit leaves 0 to 1 there, a probability does not."""
_ENDS = frozenset({"sigmoid", "sigmoid_", "hardsigmoid", "expit", "softmax", "special_expit"})


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial has shown; the default is that of a network that was not tried."""

    implausible: str | None = None
    """What about the outputs cannot be as the card has it, and what to write there, in a sentence."""
    varies: bool = False
    """Whether the network answers the same image differently from run to run."""


Run = Callable[[Tensor], Tensor]


def tried(run: Run, card: Card, device: torch.device) -> Trial:
    """Try a network, which `run` calls and which gives (n, labels[, …spatial]), in two forwards of the same
    made-up images; nothing is found of one that does not take them.

    Of a large input a smaller one is tried where the network takes it.
    """
    for images in _images(card.input):
        x = torch.as_tensor(images, device=device)
        try:
            with _Ends() as ends:
                output = run(x).detach().float()
            varies = _differ(output, run(x))
        except (ModelError, RuntimeError) as error:
            if starved(error):
                return Trial()
            continue  # the first prediction tells what is wrong, in words
        return Trial(_implausible(output, card, ends.squashed), varies)
    return Trial()


# --- what is tried --------------------------------------------------------------------------------


def _images(card: Input) -> list[np.ndarray]:
    """Batches to be tried until one is taken: (images, channels, …), the ordinary ones first."""
    found = []
    if math.prod(card.size) > _LARGE:
        share = (_LARGE / math.prod(card.size)) ** (1 / len(card.size))
        found.append(tuple(max(16, int(side * share) // 16 * 16) for side in card.size))
    if math.prod(card.size) <= _HUGE:
        found.append(card.size)
    return [_made(card, size) for size in found]


def _made(card: Input, size: tuple[int, ...]) -> np.ndarray:
    """Ramps along two axes, noise and a bright middle, between the card's lowest and highest pixel; then two
    images that lie far beyond both."""
    sides = np.meshgrid(*(np.linspace(0, 1, n) for n in size), indexing="ij")
    noise = np.random.default_rng(0).random(size)
    middle = np.exp(-8 * sum((side - 0.5) ** 2 for side in sides))
    patterns = np.stack([sides[-1], 1 - sides[-2], noise, middle])
    low, high = (ends.reshape(1, -1, *(1 for _ in size)) for ends in interval(card))
    ordinary = low + (high - low) * patterns[:, None]
    far = _EXTREME * (high - low) * middle
    return np.concatenate([ordinary, far, -far]).astype(np.float32)


_ORDINARY = 4
"""So many images come first that a network might be shown."""


# --- what is found --------------------------------------------------------------------------------


class _Ends(TorchFunctionMode):
    """Notes what a sigmoid or a softmax gave last."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and getattr(func, "__name__", "") in _ENDS:
            self._last = result
        return result

    def squashed(self, output: Tensor) -> bool:
        """Whether an output has the very numbers that one gave."""
        last = self._last
        return (
            last is not None
            and last.numel() == output.numel()
            and bool(torch.equal(last.detach().float().flatten(), output.flatten()))
        )


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether two answers to the same images differ, in any of them, by more than rounding does."""
    one, other = (some.detach().double().flatten(1).nan_to_num(0, 0, 0) for some in (one, other))
    return bool(((one - other).abs().amax(1) > 1e-5 * one.abs().amax(1) + 1e-9).any())


def _implausible(output: Tensor, card: Card, squashed: Callable[[Tensor], bool]) -> str | None:
    """What about outputs (images, labels[, …spatial]) cannot be as the card has it, the worst first."""
    labels, activation = len(card.output.labels), card.output.activation
    if output.ndim < 2 or output.shape[1] != labels:
        return None  # told as an error when the model is opened or asked
    ordinary = output[:_ORDINARY]
    if not bool(torch.isfinite(ordinary).all()):
        bad = sum(not bool(torch.isfinite(one).all()) for one in ordinary)
        return (
            f"For {bad} of {_ORDINARY} made-up images the outputs are NaN or infinite; look whether weights, "
            "values, mean and std of the card are this network's."
        )
    whole = output
    output = whole[whole.flatten(1).isfinite().all(1)]  # what lies far off may be too much for a network
    count = len(output)
    inside = bool((output >= -1e-6).all()) and bool((output <= 1 + 1e-6).all())
    if activation != "none" and inside and labels > 1 and bool(((output.sum(1) - 1).abs() < 1e-3).all()):
        return _again("lie between 0 and 1 and add up to 1", count, activation)
    if float((ordinary.amax(0) - ordinary.amin(0)).max()) <= 1e-6 * float(ordinary.abs().max()):
        return (
            f"The outputs are the same for {_ORDINARY} different made-up images; look whether weights, "
            "values, mean and std of the card are this network's."
        )
    if activation != "none" and inside:
        saturated = bool(((output < 1e-4) | (output > 1 - 1e-4)).any())  # no logit lies there but by chance
        if saturated or squashed(whole):
            return _again("lie between 0 and 1", count, activation)
    if activation == "sigmoid" and labels > 1 and bool(((output.exp().sum(1) - 1).abs() < 1e-3).all()):
        return (
            f"The outputs are logarithms of probabilities that add up to 1, on all of {count} made-up "
            "images: activation: sigmoid makes others of them; write activation: softmax in the card."
        )
    return None


def _again(what: str, count: int, activation: str) -> str:
    return (
        f"The outputs are probabilities already: on all of {count} made-up images they {what}, so "
        f"activation: {activation} squashes them a second time; write activation: none in the card."
    )
