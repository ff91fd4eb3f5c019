# SPDX-License-Identifier: Apache-2.0
"""Lending a guarded network to a library: as a module that gives the wanted numbers, with a layer to hook.

Libraries hook modules, call `backward`, set modes and keep state; the guard puts everything back. They are
imported where they are used and never before: captum and grad-cam take seconds to import.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viewer.explain.probe import Probe

AT_ONCE = (16, 64)
"""How many images a library is given at once, on a CPU and on a GPU, where the reader names no number."""


class Lent(nn.Module):
    """The network of a probe as the module that a library wants: (m, channels, …spatial) → (m, numbers).

    Each forward is a guarded one: counted, cancellable, its faults told in words. The numbers are the scores
    of the probe's targets, of its first input, or what `numbers` makes of the logits. With `cut` no gradient
    reaches the images, and so below the layer that is hooked no graph is kept.
    """

    def __init__(
        self, probe: Probe, numbers: Callable[[Tensor], Tensor] | None = None, cut: bool = False
    ) -> None:
        super().__init__()
        self.network = probe.module
        self._probe = probe
        self._numbers = numbers or self._scores
        self._cut = cut

    def forward(self, x: Tensor) -> Tensor:
        return self._numbers(self._probe.forward(x.detach() if self._cut else x))

    def _scores(self, output: Tensor) -> Tensor:
        return torch.stack([self._probe.score(output, row[0]) for row in self._probe.targets], 1)


@contextmanager
def tapped(probe: Probe, layer: str, cut: bool = True) -> Iterator[nn.Module]:
    """While entered, a module through which passes what a layer gives, as a map (m, channels, …grid).

    A library hooks it in the layer's place. Whatever the network does in place behind the layer does not
    change what was seen, and tokens or channels that come last are a map like any other. With `cut` the graph
    begins here.
    """
    tap = nn.Identity()

    def hook(_module: nn.Module, _arguments: Any, output: Tensor) -> Tensor:
        own = output.detach() if cut else output
        seen = probe.as_map(own, layer).clone()
        return probe.layer(layer).laid_out(tap(seen.requires_grad_() if cut else seen), own)

    handle = probe.module.get_submodule(layer).register_forward_hook(hook)
    try:
        yield tap
    finally:
        handle.remove()


@contextmanager
def own_tensors(probe: Probe, kinds: Sequence[type[nn.Module]]) -> Iterator[None]:
    """While entered, every module of these kinds is given a copy of its input.

    captum hooks tensors: where one module's output is the next one's input, both hooks sit on one tensor, and
    the first reads the gradient before the second has put its rule there.
    """
    handles = [
        module.register_forward_pre_hook(lambda _module, arguments: (arguments[0].clone(), *arguments[1:]))
        for module in probe.module.modules()
        if type(module) in kinds
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def without_captums_word() -> None:
    """Silence what captum says of the hooks that it sets and removes.

    For good, as a filter that is taken back is one for the whole process, and races between threads.
    """
    warnings.filterwarnings("ignore", message="Setting forward, backward hooks")


_numpy = threading.Lock()


@contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """While entered, numpy's own generator draws from a seed; afterwards it goes on where it was."""
    with _numpy:
        before = np.random.get_state()  # it is what libraries draw from
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)
