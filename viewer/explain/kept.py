# SPDX-License-Identifier: Apache-2.0
"""What a network said of an input and felt at a layer: kept, another label or method costs no forward."""

import hashlib
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor

from viewer.models import Model

BYTES = 256 * 1024**2
Key = tuple["weakref.ref[Model]", bytes, str]


@dataclass(frozen=True, slots=True, eq=False)
class Felt:
    """One input at one layer: logits (1, labels[, …]), activations (1, channels, …grid) and the gradient of
    every label's number there, (labels, 1, channels, …grid); of no layer the logits alone."""

    output: Tensor
    activations: Tensor | None = None
    gradients: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in (self.output, self.activations, self.gradients) if t is not None)


class Kept:
    """The latest of these within a bound of bytes, for any number of models; any thread may ask.

    An input is known by its pixels, so what is found was computed from the very same numbers.
    """

    def __init__(self, room: int = BYTES) -> None:
        self.room = room
        self._felt: OrderedDict[Key, Felt] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, model: Model, pixels: bytes, layer: str = "") -> Felt | None:
        """What is kept of an input, by its `digest`, at a layer."""
        key = (weakref.ref(model), pixels, layer)
        with self._lock:
            felt = self._felt.get(key)
            if felt is not None:
                self._felt.move_to_end(key)
            return felt

    def keep(self, model: Model, pixels: bytes, layer: str, felt: Felt) -> None:
        """Keep this, and let go of the oldest where there is no room."""
        with self._lock:
            self._felt[(weakref.ref(model), pixels, layer)] = felt
            held = sum(f.nbytes for f in self._felt.values())
            while self._felt and held > self.room:
                held -= self._felt.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._felt.clear()


def digest(x: Tensor) -> bytes:
    """What tells one input's pixels from another's."""
    return hashlib.blake2b(x.detach().cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
