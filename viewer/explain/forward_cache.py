# SPDX-License-Identifier: Apache-2.0
"""What forwards found, kept: another label or another method of the family then costs no forward."""

import hashlib
import weakref
from dataclasses import dataclass

from torch import Tensor

from viewer.cache import Cache
from viewer.models import Model

BYTES = 256 * 1024**2
Key = tuple["weakref.ref[Model]", bytes, str]


@dataclass(frozen=True, slots=True, eq=False)
class Forwarded:
    """One input at one layer: logits (1, labels[, …]), activations (1, channels, …grid) and the gradient of
    every label's number there, (labels, 1, channels, …grid); of no layer the logits alone."""

    output: Tensor
    activations: Tensor | None = None
    gradients: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (self.output, self.activations, self.gradients) if t is not None)


class ForwardCache:
    """The latest of these within a bound of bytes, for any number of models; any thread may ask.

    An input is known by its pixels, so what is found was computed from the very same numbers, and a model
    by itself, so that it was computed by the very same weights on the same device.
    """

    def __init__(self, room: int = BYTES) -> None:
        self._found: Cache[Key, Forwarded] = Cache(room)

    @property
    def room(self) -> int:
        """The bound in bytes."""
        return self._found.room

    def find(self, model: Model, pixels: bytes, layer: str = "") -> Forwarded | None:
        """What is kept of an input, by its `digest`, at a layer."""
        return self._found.get((weakref.ref(model), pixels, layer))

    def keep(self, model: Model, pixels: bytes, layer: str, found: Forwarded) -> None:
        """Keep this, and let go of what was not asked for the longest where there is no room."""
        self._found.put((weakref.ref(model), pixels, layer), found, found.nbytes)

    def clear(self) -> None:
        """Let go of everything."""
        self._found.clear()


def digest(x: Tensor) -> bytes:
    """What tells one input's pixels from another's."""
    return hashlib.blake2b(x.detach().cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
