# SPDX-License-Identifier: Apache-2.0
"""How many changed images go through a network at once: measured while they do, so that it costs nothing.

What is best depends on the network, the size of its input and the device; on two cores small chunks are
often faster than large ones. A long sweep doubles its chunk as long as that makes an image cheaper.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from viewer.models import Model, starved

_Key = tuple[tuple[int, ...], torch.device, torch.dtype, bool]
"""The shape of an input, the device, the precision, and whether gradients are taken."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    first: int
    """What is taken where nothing has been measured."""
    images: int
    """No chunk holds more."""
    values: int
    """A chunk that holds more pixels than this is never tried."""


_CPU = _Bounds(8, 256, 1 << 24)
_DEVICE = _Bounds(64, 512, 1 << 27)
_LONG = 8
"""A sweep of more chunks than this is worth measuring; it begins with half of what is taken else."""
_GAIN = 0.95
"""A larger chunk must take less than this share of the time of the smaller one, image by image."""
_PATIENCE = 0.5
"""Seconds a chunk may take, as nobody can cancel within one; a chunk that takes more is not doubled."""


class Chunks:
    """The size of the chunks of one sweep of `count` images like those of `x`.

    `wished` is the size that a setting asks for, which is kept; 0 measures.
    """

    def __init__(self, model: Model, x: Tensor, gradients: bool, count: int, wished: int = 0) -> None:
        self._bounds = _CPU if x.device.type == "cpu" else _DEVICE
        self._device = x.device
        self._key = (tuple(x.shape[1:]), x.device, x.dtype, gradients)
        self._found: dict[_Key, int] = model.memo.get("chunks", dict)
        """The best chunk for each key."""
        self._most = max(1, min(self._bounds.images, self._bounds.values // x[0].numel()))
        remembered = self._found.get(self._key)
        size = wished or remembered or min(self._bounds.first, self._most)
        self.size = max(1, min(size, count))
        self._measuring = not wished and remembered is None and count > _LONG * size
        if self._measuring:
            self.size = -(-self.size // 2)
        self._best = (float("inf"), self.size)
        self._times: list[float] = []

    @contextmanager
    def timed(self, images: int) -> Iterator[None]:
        """Around the work on some images: what it took decides about the chunks to come."""
        if not self._measuring or images != self.size:
            yield
            return
        start = time.perf_counter()
        yield
        _finish(self._device)
        self._took(time.perf_counter() - start)

    def _took(self, seconds: float) -> None:
        """The first chunk of a size also prepares the network for it, so the quickest of three counts."""
        self._times.append(seconds)
        if len(self._times) < 3:
            return
        best, each = min(self._times), min(self._times) / self.size
        self._times.clear()
        if each < _GAIN * self._best[0]:
            self._best = (each, self.size)
            if 2 * best <= _PATIENCE and 2 * self.size <= self._most:
                self.size *= 2
                return
        self._settle(self._best[1])

    def _settle(self, size: int) -> None:
        self._measuring = False
        self.size = self._found[self._key] = size

    def halve(self, error: RuntimeError) -> bool:
        """Whether memory ran out and a smaller chunk may do."""
        if self.size == 1 or not starved(error):
            return False
        half = -(-self.size // 2)
        self._settle(min(half, self._found.get(self._key, half)))
        self.size = half
        return True

    def calls(self, images: int) -> int:
        """How many forwards so many images take, as far as it is known now."""
        return -(-images // self.size)


def _finish(device: torch.device) -> None:
    """Wait for a device that is told what to do and asked later."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
