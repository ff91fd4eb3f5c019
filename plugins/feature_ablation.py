"""Feature ablation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from viewer.explain import (
    Baseline,
    Cost,
    Explainer,
    Features,
    Interval,
    Probe,
    Values,
    baselines,
    features,
    over_baselines,
)


@dataclass(frozen=True)
class FeatureAblation(Explainer):
    """How far the score falls when one feature is removed; every pixel of a feature shows its fall."""

    features: Annotated[int, Interval(ge=2, le=5000)] = 60
    """About how many features the image, or the region, is cut into."""
    over: Features = "superpixels"
    baseline: Baseline = "minimum"
    batch: Annotated[int, Interval(ge=0, le=512)] = 0
    """Changed images at once; 0 is what turns out to be fastest."""

    name = "feature-ablation"
    title = "Feature ablation"
    family = "perturbation"
    paper = "Zeiler & Fergus, ECCV 2014, over the superpixels of Achanta et al., SLIC superpixels, TPAMI 2012"
    shows = "How much the score falls when a part of like intensity is removed, one part at a time."
    cost = Cost("1 per feature, for all labels")
    caution = (
        "Where two parts say the same, removing either changes nothing and both look unimportant "
        "(Shrikumar et al., ICML 2017, call it saturation). The outline of a part is the image's, "
        "not the network's."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def compute(self, probe: Probe) -> Values:
        numbers = torch.stack(
            [features(x, self.over, self.features, probe.within(n)) for n, x in enumerate(probe.x)]
        )
        covers = baselines(probe, self.baseline)

        def scores(cover: Tensor, which: str) -> Tensor:
            def removed(n: int, first: int, last: int) -> Tensor:
                feature = torch.arange(first, last, device=probe.x.device).reshape(-1, *[1] * numbers[n].ndim)
                return torch.where((numbers[n] == feature)[:, None], cover[n], probe.x[n])

            count = int(numbers.max()) + 1
            return probe.scores(count, removed, "removing feature by feature" + which, self.batch)

        falls = probe.before[..., None] - over_baselines(covers, scores)
        values = torch.stack([falls[:, n][:, some.clamp(min=0)] for n, some in enumerate(numbers)], 1)
        counts = numbers.flatten(1).amax(1) + 1
        return Values(
            probe.limited(values), baselines=covers, found={"features": counts.expand(len(values), -1)}
        )
