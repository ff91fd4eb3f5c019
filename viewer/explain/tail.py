# SPDX-License-Identifier: Apache-2.0
"""What lies behind a layer, run on changed copies of what the layer gave.

The part below the layer sees one sample, and a hook hands on many: a network works sample by sample, so that
most take it. Where something from below the layer meets what comes from it (a skip connection by
concatenation), the numbers of samples disagree, and the input is repeated instead.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models import Model

Change = Callable[[Tensor], Tensor]
"""What a layer gave for one sample, (1, …) as the network lays it out → (m, …)."""


class Replaced(AbstractContextManager["Replaced"]):
    """While entered, `change` is applied to what a module gives for its first sample."""

    def __init__(self, module: nn.Module, change: Change) -> None:
        self.change = change
        self._module = module

    def __enter__(self) -> "Replaced":
        self._handle = self._module.register_forward_hook(lambda _m, _a, output: self.change(output[:1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()


def splits(
    model: Model, layer: str, module: nn.Module, x: Tensor, forward: Callable[[Tensor], Tensor]
) -> bool:
    """Whether one sample below a layer may become many at it: tried once, on one input (1, channels, …)."""

    def tried() -> bool:
        with torch.no_grad(), Replaced(module, lambda own: torch.cat([own, own / 2])):
            wanted = forward(x.expand(2, *x.shape[1:]))
            try:
                found = forward(x)
            except ModelError:
                return False
        same = found.shape == wanted.shape
        return same and bool((found - wanted).abs().max() <= 1e-4 * wanted.abs().max())

    return model.memo.get(("splits", layer), tried)
