# SPDX-License-Identifier: Apache-2.0
"""What a gradient method says of an image under noise: its mean, and how much it varies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Interval
from torch import Tensor

from viewer.errors import PluginError
from viewer.explain.discover import explainer
from viewer.explain.explainer import Cost, Family, Seed
from viewer.explain.gradient import Gradient
from viewer.explain.peers import Peer
from viewer.explain.probe import Probe
from viewer.explain.values import Values
from viewer.models import Model
from viewer.types import Tip


@dataclass(frozen=True)
class Noisy(Gradient):
    """A gradient method over copies of the image with Gaussian noise; `over` is all that differs."""

    of: Annotated[
        Literal["saliency", "input-x-gradient", "integrated-gradients", "deep-lift"],
        Tip("The method that explains each noisy copy of the image"),
    ] = "saliency"
    samples: Annotated[
        int, Interval(ge=2, le=1000), Tip("Noisy copies of the image", "steadier, and takes longer")
    ] = 25
    noise: Annotated[
        float,
        Interval(gt=0, le=1),
        Tip(
            "Standard deviation of the noise, as a share of the image's range of values",
            "smoother, and further from the image itself",
        ),
    ] = 0.15
    seed: Seed = 0

    family: ClassVar[Family] = "gradient"
    cost: ClassVar[Cost] = Cost("samples × those of the method", "samples × those of the method")
    power: ClassVar[str] = ""
    """What stands behind the unit of the method."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = self._method.unit
        if type(self).signed:  # a mean has the signs of what it averages, and is drawn like that
            object.__setattr__(self, "signed", self._method.signed)
            object.__setattr__(self, "display_sign", self._method.display_sign)
        object.__setattr__(self, "unit", f"({unit}){self.power}" if self.power else unit)

    def unsuitable(self, model: Model) -> str | None:
        return self._method.unsuitable(model)

    @property
    def _method(self) -> Gradient:
        found = explainer(self.of)()
        if not isinstance(found, Gradient):
            raise PluginError(f"{self.title} works over methods with a value for every channel.")
        return found

    def condense(self, values: Tensor) -> Tensor:
        return self._method.condense(values)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        return (
            Peer("captum", reason="Its NoiseTunnel draws at random, so that no two of its maps are alike."),
        )

    def noisy(self, probe: Probe) -> Iterator[Values]:
        """The method's values of every channel, sample by sample."""
        method = self._method
        x = probe.x
        size = (x.flatten(1).amax(1) - x.flatten(1).amin(1)).reshape(-1, *[1] * (x.ndim - 1))
        generator = torch.Generator().manual_seed(self.seed)
        layers = method.layers(probe.model)
        with probe.summed_up(self.samples, f"{method.title.lower()} under noise"):
            for _ in range(self.samples):
                # The same noise on every input, so that a batch changes nothing; from the CPU's generator,
                # so that a device changes nothing.
                noise = self.noise * size * torch.randn(x.shape[1:], generator=generator).to(x)
                if "baseline" in method.settings():  # what can be kept to a region
                    noise = probe.limited(noise.movedim(1, 0)).movedim(0, 1)
                yield method.per_channel(probe.moved(x + noise, layers))


def variance(some: Iterator[Values]) -> tuple[Tensor, Tensor, Values]:
    """Mean and variance over samples by Welford's way, which keeps nothing but these; the last sample."""
    mean = total = torch.zeros(())
    last = None
    for count, last in enumerate(some, start=1):
        change = last.values - mean.to(last.values)
        mean = mean.to(change) + change / count
        total = total.to(change) + change * (last.values - mean)
    assert last is not None  # there are at least two samples
    return mean, total / count, last
