# SPDX-License-Identifier: Apache-2.0
"""Layer-wise relevance propagation, by captum."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from viewer.explain import (
    CLOSED,
    Call,
    Cost,
    ExplainerError,
    Gradient,
    Interval,
    Lent,
    Model,
    Probe,
    Tip,
    Values,
    calls,
    completeness_error,
)

_PASSED: tuple[type[nn.Module], ...] = (nn.ReLU, nn.Tanh, nn.Dropout)
"""What hands relevance on as it is."""
_WEIGHTED: tuple[type[nn.Module], ...] = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
_RULED: tuple[type[nn.Module], ...] = (
    *_WEIGHTED,
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.MaxPool1d, nn.MaxPool2d,
    nn.MaxPool3d, nn.Flatten, nn.Identity, nn.Dropout2d, nn.Dropout3d,
)  # fmt: skip
"""What is linear where the image is, for which the epsilon rule is written: by captum itself, or by us."""
_MOVES = frozenset((
    "clone", "contiguous", "flatten", "reshape", "view", "permute", "transpose", "movedim", "squeeze",
    "unsqueeze", "get", "getitem", "cat", "concat", "concatenate", "split", "chunk", "unbind", "to", "float",
    "relu", "dropout",
))  # fmt: skip
"""Functions that put numbers elsewhere, or leave out those without relevance, and so need no rule."""
_MOST_ERROR = 10.0
"""Per cent by which the sum of the relevances may miss the logit."""


@dataclass(frozen=True)
class LRP(Gradient):
    """The logit handed back layer by layer, to each input of a sum by its share in it."""

    rule: Annotated[
        Literal["epsilon", "gamma"],
        Tip("The rule of convolutions and linear layers; all others have the epsilon rule"),
    ] = "epsilon"
    epsilon: Annotated[
        float,
        Interval(ge=1e-9, le=1),
        Tip("What is added to every sum, in its own unit", "steadier, and more relevance is lost"),
    ] = 1e-9
    gamma: Annotated[
        float,
        Interval(gt=0, le=100),
        Tip(
            "How much larger the gamma rule makes positive weights, as a factor less 1",
            "more for the label, less against it",
        ),
    ] = 0.25

    name = "lrp"
    title = "LRP"
    contribution = True
    family = "gradient"
    paper = "Bach et al., On pixel-wise explanations by layer-wise relevance propagation, PLoS ONE 2015"
    shows = "How the logit divides among the pixels when each sum is shared out by its parts."
    cost = Cost("2 per label", "1 per label")
    caution = (
        "In a network of ReLU the epsilon rule gives input × gradient (Ancona et al., ICLR 2018), and is as "
        "noisy. Biases and normalisation take relevance that no pixel gets: the completeness error says how "
        "much, and above 10 % no map is given. Which rule is right for which layer is a matter of taste."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"
    library: ClassVar[str] = "captum"

    def unsuitable(self, model: Model) -> str | None:
        if model.closed:
            return CLOSED
        if len(model.structure.output or ()) != 1:
            return "This network gives a logit for every pixel, and captum's LRP starts at one a label."
        found = calls(model)
        if found is None:
            return "The network could not be run on an empty image, so what it computes is not known."
        if found.addition is not None:
            return (
                "This network adds what its layers give (residual connections): there captum's LRP hands the "
                "whole relevance to each part, without a word."
            )
        if found.again:
            return f"The layer {min(found.again)!r} runs more than once, which captum's LRP cannot follow."
        return next(_without_rule(found.every), None)

    def per_channel(self, probe: Probe) -> Values:
        every = [(n, target) for row in probe.targets for n, target in enumerate(row)]
        wanted = {(n, i) for n, target in every for i in (target.index, target.minus_index) if i is not None}
        probe.expect(2 * len(wanted), "handing relevance back")
        found = {(n, i): self._relevance(probe, n, i) for n, i in sorted(wanted)}

        def handed(n: int, target: Any) -> Tensor:
            less = None if target.minus_index is None else found[n, target.minus_index]
            return found[n, target.index] if less is None else found[n, target.index] - less

        rows = [torch.stack([handed(n, target) for n, target in enumerate(row)]) for row in probe.targets]
        values = torch.stack(rows)
        return Values(values, completeness_error(values.flatten(2).sum(2), probe.before))

    def _relevance(self, probe: Probe, n: int, label: int) -> Tensor:
        """What every number of input n has of a label's logit, (channels, …spatial)."""
        from captum.attr import LRP as Peer  # noqa: N811
        from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule

        for module in probe.module.modules():
            if type(module) in _RULED:
                weighted = self.rule == "gamma" and type(module) in _WEIGHTED
                vars(module)["rule"] = GammaRule(self.gamma) if weighted else EpsilonRule(self.epsilon)
        peer, logit = Peer(Lent(probe, lambda output: output)), float(probe.output[n, label])
        x = probe.x[n : n + 1].clone().requires_grad_()
        result: Tensor = peer.attribute(x, target=label).detach()[0]
        total = float(result.sum())
        if not abs(total - logit) <= _MOST_ERROR / 100 * abs(logit):
            raise ExplainerError(
                f"Of the logit {logit:.3g} of {probe.model.labels[label]!r} captum's LRP hands {total:.3g} "
                f"to the image, {100 * abs(total - logit) / max(abs(logit), 1e-12):.3g} % off: biases and "
                "normalisation have the rest, so that the map would explain another number."
            )
        return result


def _without_rule(every: Iterable[Call]) -> Iterator[str]:
    for call in every:
        if call.kind is None:
            if call.function not in _MOVES:
                yield (
                    f"This network computes {call.function!r} outside of its layers, where captum's LRP has "
                    "no rule and hands relevance on as if it were a gradient."
                )
        elif call.kind not in _PASSED + _RULED:
            kind = call.kind.__name__
            yield f"The layer {call.name!r} is of the kind {kind}, for which captum's LRP has no rule."
