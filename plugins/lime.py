# SPDX-License-Identifier: Apache-2.0
"""LIME, by captum."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from viewer.explain import (
    AT_ONCE,
    Baseline,
    Batch,
    Cost,
    ExplainerError,
    Interval,
    Lent,
    OverFeatures,
    Parts,
    Probe,
    Seed,
    Tip,
    Values,
    baselines,
)


class _Line:
    """A linear model with a penalty on the sum of its weights, in the form in which captum wants one.

    captum's own draws from torch's generator on the way, which would change what others draw.
    """

    def __init__(self, penalty: float) -> None:
        self._penalty = penalty
        self._weights = torch.zeros(0)

    def fit(self, train_data: Any, **_: Any) -> dict[str, float]:
        """Fit the samples (m, features) and scores (m,) with their weights (m,) that captum has drawn."""
        from sklearn.linear_model import Lasso

        samples, scores, weights = (t.cpu().numpy() for t in train_data.dataset.tensors)
        self._weights = torch.zeros(samples.shape[1])
        if scores.std() > 0:
            # It descends coordinate by coordinate in turn, and is seeded lest it draw from numpy's generator.
            line = Lasso(alpha=self._penalty * float(scores.std()), max_iter=10_000, random_state=0)
            self._weights = torch.as_tensor(line.fit(samples, scores, sample_weight=weights).coef_).float()
        return {}

    def representation(self) -> Tensor:
        """The weight of every feature, (features,)."""
        return self._weights


@dataclass(frozen=True)
class LIME(OverFeatures):
    """The weights of a line through the scores of images of which random features are left."""

    samples: Annotated[
        int,
        Interval(ge=2, le=100_000),
        Tip("Images, each with about half of the parts", "steadier, and takes longer"),
    ] = 1000
    width: Annotated[
        float,
        Interval(gt=0, le=100),
        Tip(
            "How far from the image a sample still counts: the kernel's width in cosine distance",
            "images with few parts left count for more",
        ),
    ] = 1.0
    penalty: Annotated[
        float,
        Interval(gt=0, le=1),
        Tip("Penalty on weights, as a share of the scores' standard deviation", "more parts get no value"),
    ] = 0.01
    baseline: Baseline = "minimum"
    seed: Seed = 0
    batch: Batch = 0

    name = "lime"
    title = "LIME"
    contribution = True
    total = "largest"
    paper = "Ribeiro et al., “Why should I trust you?”, KDD 2016"
    shows = "How much each part adds to the score in a linear stand-in for the network near this image."
    cost = Cost("samples, for all labels")
    caution = (
        "The line is fitted to images that lack half of their parts, which the network never saw, and it can "
        "be made to answer them with whatever one likes (Slack et al., AIES 2020). Another seed, kernel or "
        "penalty may give another map (Alvarez-Melis & Jaakkola, arXiv:1806.08049, 2018). Weights below the "
        "penalty's reach are 0."
    )
    library: ClassVar[str] = "captum"

    def compute(self, probe: Probe) -> Values:
        parts = self.parts(probe)
        covers = baselines(probe, self.baseline)
        size = self.batch or AT_ONCE[probe.x.device.type == "cuda"]
        probe.expect(-(-self.samples // size) * len(covers) * len(parts), "scoring LIME's samples")
        every = range(len(probe.targets))
        values = []
        for n, own in enumerate(parts):
            each = [self._fitted(probe.part(n, every), own, cover[n], size) for cover in covers]
            values.append(torch.stack(each).mean(0))
        if not any(bool(own.any()) for own in values):
            raise ExplainerError("No feature has a weight in LIME's line; choose a smaller penalty.")
        return self.mapped(probe, parts, values, covers)

    def _fitted(self, one: Probe, part: Parts, cover: Tensor, size: int) -> Tensor:
        """For the one input the weights, (targets, features)."""
        from captum.attr import Lime
        from captum.attr._core.lime import get_exp_kernel_similarity_function

        lent, kept = Lent(one), list[Tensor]()

        def fitted(row: int) -> Tensor:
            generator, number = torch.Generator().manual_seed(self.seed), iter(range(self.samples))

            def drawn(_input: Tensor, **facts: Any) -> Tensor:
                chances = torch.full((1, facts["num_interp_features"]), 0.5)
                return torch.bernoulli(chances, generator=generator).long().to(one.x.device)

            def scored(x: Tensor) -> Tensor:
                # The samples are those of the first target, for which all targets were scored.
                i = next(number)
                if i == len(kept):
                    kept.append(lent(x))
                return kept[i][:, row]

            similar = get_exp_kernel_similarity_function("cosine", self.width)
            found: Tensor = Lime(scored, _Line(self.penalty), similar, drawn).attribute(
                one.x,
                cover[None],
                feature_mask=part.numbers.clamp(min=0)[None, None],
                n_samples=self.samples,
                perturbations_per_eval=size,
                return_input_shape=False,
            )
            return found.flatten().to(one.x.device)

        return torch.stack([fitted(row) for row in range(len(one.targets))])
