"""Occlusion, by captum."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import torch
from torch import Tensor

from viewer.explain import Baseline, Cost, Explainer, Interval, Model, Probe, baseline


@dataclass(frozen=True)
class Occlusion(Explainer):
    """How far the score falls when a window is covered, averaged over the windows at each pixel."""

    window: Annotated[int, Interval(ge=0)] = 0
    """Pixels of the input along each side; 0 is an eighth of that side."""
    stride: Annotated[int, Interval(ge=0)] = 0
    """Pixels between windows; 0 is half a window."""
    baseline: Baseline = "minimum"
    batch: Annotated[int, Interval(ge=1, le=512)] = 16

    name = "occlusion"
    title = "Occlusion"
    family = "perturbation"
    paper = "Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014"
    shows = (
        "How much the score falls when a square is covered; what it shows depends on the size and the cover."
    )
    cost = Cost("1 per window and label")
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def fitted(self, model: Model) -> Self:
        automatic = {max(1, side // 8) for side in model.card.input.size}
        window = self.window or (automatic.pop() if len(automatic) == 1 else 0)
        return replace(self, window=window, stride=self.stride or window // 2 or min(window, 1))

    def compute(self, probe: Probe) -> Tensor:
        from captum.attr import Occlusion as Peer

        sides = probe.x.shape[2:]
        window = tuple(min(self.window or max(1, side // 8), side) for side in sides)
        stride = tuple(min(self.stride or max(1, w // 2), w) for w in window)
        windows = 1
        for side, w, s in zip(sides, window, stride, strict=True):
            windows *= -(-max(side - w, 0) // s) + 1
        calls = -(-windows // self.batch) + 1
        probe.expect(calls * len(probe.targets) * len(probe.inputs), "covering window by window")
        maps = []
        channels = probe.x.shape[1]
        for row in probe.targets:
            for n, target in enumerate(row):
                x = probe.x[n : n + 1]

                def score(some: Tensor, target=target, n=n) -> Tensor:  # type: ignore[no-untyped-def]
                    return probe.score(probe.forward(some), target, n)

                with torch.no_grad():
                    values = Peer(score).attribute(
                        x,
                        sliding_window_shapes=(channels, *window),
                        strides=(channels, *stride),
                        baselines=baseline(x, self.baseline),
                        perturbations_per_eval=self.batch,
                    )
                # The window covers all channels at once, so every channel holds the same number.
                maps.append(values[0, 0])
        return torch.stack(maps).reshape(len(probe.targets), len(probe.inputs), *sides)
