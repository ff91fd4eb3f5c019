# SPDX-License-Identifier: Apache-2.0
"""What a method hands over: the values of its maps, and the scores of some changed images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from viewer.models import Model
from viewer.types import Attribution, Resolution


@dataclass(frozen=True, slots=True)
class Values:
    """What `compute` gives: signed values (targets, n, …grid), and where it is defined the
    completeness error in per cent, (targets, n), NaN where the score does not change."""

    values: Tensor
    completeness_error: Tensor | None = None
    baselines: Tensor | None = None
    """What the image was compared with, (baselines, n, channels, …spatial)."""
    found: Mapping[str, Tensor] = field(default_factory=dict)
    """How many of what the method used as it ran, (targets, n), by a name in the plural: e.g. the steps."""
    features: Sequence[Mapping[str, Tensor]] = ()
    """For every input the values, (targets,), of what in it has a name."""
    resolution: Resolution | None = None
    """What a value stands for where that is larger than a cell, e.g. the window that was covered."""


class Kind(Protocol):
    """An explainer, as far as its maps are measured; see `Explainer`."""

    contribution: ClassVar[bool | None]
    total: ClassVar[Literal["sum", "mean", "largest"]]
    target_dependent: ClassVar[bool]

    def layers(self, model: Model) -> tuple[str, ...]: ...


class Placing(Protocol):
    """An explainer, as far as a preview needs one; `probe` is the one that its values came of."""

    def placed(self, probe: Any, values: Values) -> list[Attribution]: ...


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """Some changed images of input `n`, from number `first` on: every target's scores, (targets, m),
    and where asked for the gradients at the images, (targets, m, channels, …spatial)."""

    n: int
    first: int
    scores: Tensor
    gradients: Tensor | None
