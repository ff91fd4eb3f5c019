"""Occlusion."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, ClassVar, Literal, Self

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
    cost = Cost("1 per window, for all labels")
    caution = (
        "The size and the filling of the window decide what is found, and a filled window is an image that "
        "the network never saw (Hooker et al., NeurIPS 2019)."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def fitted(self, model: Model) -> Self:
        automatic = {max(1, side // 8) for side in model.card.input.size}
        window = self.window or (automatic.pop() if len(automatic) == 1 else 0)
        return replace(self, window=window, stride=self.stride or window // 2 or min(window, 1))

    def compute(self, probe: Probe) -> Tensor:
        sides = probe.x.shape[2:]
        window = tuple(min(self.window or max(1, side // 8), side) for side in sides)
        stride = tuple(min(self.stride or max(1, w // 2), w) for w in window)
        starts = [
            [i * s for i in range(-(-(side - w) // s) + 1)]  # the last may reach over the edge
            for side, w, s in zip(sides, window, stride, strict=True)
        ]
        places = [
            tuple(slice(a, a + w) for a, w in zip(corner, window, strict=True)) for corner in product(*starts)
        ]
        chosen = [self._within(probe, n, places) for n in range(len(probe.inputs))]
        count = max(map(len, chosen))
        covers = baseline(probe.x, self.baseline)

        def covered(n: int, first: int, last: int) -> Tensor:
            x = probe.x[n : n + 1].repeat(last - first, *[1] * (probe.x.ndim - 1))
            for one, place in zip(x, chosen[n][first:last], strict=False):
                one[:, *place] = covers[n][:, *place]
            return x

        scores = probe.scores(count, covered, "covering window by window", self.batch)
        falls = probe.before[..., None] - scores
        total = probe.x.new_zeros(*scores.shape[:2], *sides)
        often = probe.x.new_zeros(len(probe.inputs), *sides)
        for n, some in enumerate(chosen):
            for number, place in enumerate(some):
                total[:, n][:, *place] += falls[:, n, number].reshape(-1, *[1] * len(sides))
                often[n][place] += 1
        return total / often.clamp(min=1)

    @staticmethod
    def _within(probe: Probe, n: int, places: list[tuple[slice, ...]]) -> list[tuple[slice, ...]]:
        """The windows that touch the region in which the image may be changed."""
        mask = probe.within(n)
        return places if mask is None else [place for place in places if bool(mask[place].any())]
