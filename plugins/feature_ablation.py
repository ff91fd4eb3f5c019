# SPDX-License-Identifier: Apache-2.0
"""Feature ablation."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from viewer.explain import (
    Baseline,
    Batch,
    Cost,
    OverFeatures,
    Peer,
    Probe,
    Values,
    any_channel,
    baselines,
    of_captum,
    over_baselines,
)


@dataclass(frozen=True)
class FeatureAblation(OverFeatures):
    """How far the score falls when one feature is removed; every pixel of a feature shows its fall."""

    baseline: Baseline = "minimum"
    batch: Batch = 0

    name = "feature-ablation"
    title = "Feature ablation"
    contribution = True
    total = "largest"
    paper = "Zeiler & Fergus, ECCV 2014, over the superpixels of Achanta et al., SLIC superpixels, TPAMI 2012"
    shows = "How much the score falls when a part of like intensity, or a segment, is removed, one at a time."
    cost = Cost("1 per feature, for all labels")
    caution = (
        "Where two parts say the same, removing either changes nothing and both look unimportant "
        "(Shrikumar et al., ICML 2017, call it saturation). The outline of a part is the image's, or the "
        "segmentation's, not the network's."
    )

    def compute(self, probe: Probe) -> Values:
        parts = self.parts(probe)
        covers = baselines(probe, self.baseline)

        def scores(cover: Tensor, which: str) -> Tensor:
            def removed(n: int, first: int, last: int) -> Tensor:
                numbers = parts[n].numbers
                feature = torch.arange(first, last, device=numbers.device).reshape(-1, *[1] * numbers.ndim)
                return torch.where((numbers == feature)[:, None], cover[n], probe.x[n])

            most = max(some.count for some in parts)
            return probe.scores(most, removed, "removing feature by feature" + which, self.batch)

        falls = probe.before[..., None] - over_baselines(covers, scores)
        return self.mapped(probe, parts, [falls[:, n, : some.count] for n, some in enumerate(parts)], covers)

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        mask, covers = self.parts(probe)[0].numbers[None, None], baselines(probe, self.baseline)
        return (of_captum(probe, "FeatureAblation", covers, any_channel, feature_mask=mask - mask.min()),)
