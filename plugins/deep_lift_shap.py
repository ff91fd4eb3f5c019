# SPDX-License-Identifier: Apache-2.0
"""DeepLiftSHAP, by captum."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from viewer.explain import (
    CLOSED,
    Baseline,
    Call,
    Cost,
    Gradient,
    Interval,
    Lent,
    Model,
    Probe,
    Seed,
    Tip,
    Values,
    baselines,
    calls,
    completeness_error,
    own_tensors,
    without_captums_word,
)

_RULED: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
)  # fmt: skip
"""The modules for which captum has a rule that holds; the one for Softmax mixes all samples of a batch."""
_LINEAR = frozenset((
    "clone", "contiguous", "flatten", "reshape", "view", "permute", "transpose", "movedim", "squeeze",
    "unsqueeze", "get", "getitem", "cat", "concat", "concatenate", "stack", "split", "chunk", "unbind", "to",
    "float", "expand", "repeat", "pad", "dropout", "dropout2d", "dropout3d", "feature_dropout",
    "add", "iadd", "radd", "sub", "subtract", "isub", "rsub", "neg", "mean", "sum",
    "linear", "addmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "batch_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "interpolate", "upsample", "pixel_shuffle",
))  # fmt: skip
"""Functions whose change is that of their input times a constant, so that they need no rule."""
_SCALES = frozenset((
    "mul", "multiply", "imul", "rmul", "div", "divide", "true_divide", "truediv", "itruediv",
))  # fmt: skip
"""Functions that are linear as long as only one of what they are given depends on the image."""


@dataclass(frozen=True)
class DeepLiftSHAP(Gradient):
    """DeepLift averaged over many baselines: those of the setting in turn, each with noise of its own."""

    samples: Annotated[
        int, Interval(ge=2, le=1000), Tip("Baselines in all", "steadier, and takes longer")
    ] = 9
    baseline: Baseline = "several"
    noise: Annotated[
        float,
        Interval(ge=0, le=1),
        Tip(
            "Standard deviation of the noise on baselines, as a share of the image's range of values",
            "baselines further apart",
            "no noise",
        ),
    ] = 0.1
    seed: Seed = 0
    chunk: Annotated[
        int,
        Interval(ge=2, le=128),
        Tip("Baselines that run at once, the image with each", "needs more memory"),
    ] = 4

    name = "deep-lift-shap"
    title = "DeepLiftSHAP"
    contribution = True
    family = "gradient"
    paper = "Lundberg & Lee, A unified approach to interpreting model predictions, NeurIPS 2017"
    shows = "How much each pixel adds to the score over the average of many baselines."
    cost = Cost("2 × samples per label, and samples", "2 × samples per label")
    caution = (
        "It approximates Shapley values as if pixels were independent and the network linear between image "
        "and baseline. It depends on the baselines and on how the network is written: captum has rules for "
        "layers, not functions. Where image and baseline all but agree, quotients hold rounding errors; look "
        "at the completeness error and another seed."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"
    library: ClassVar[str] = "captum"

    def unsuitable(self, model: Model) -> str | None:
        if model.closed:
            return CLOSED
        found = calls(model)
        if found is None:
            return "The network could not be run on an empty image, so what it computes is not known."
        again = {c.name for c in found.every if c.kind in _RULED} & found.again
        if again:
            return f"The layer {min(again)!r} runs more than once, which captum's DeepLift cannot follow."
        return next(_without_rule(found.every), None)

    def per_channel(self, probe: Probe) -> Values:
        starts = self._draws(probe)
        count = len(starts)
        means = probe.scores(count, lambda n, a, b: starts[a:b, n], "looking at the baselines").mean(2)
        parts = torch.split(starts, _sizes(count, self.chunk))
        probe.expect(len(parts) * len(probe.inputs) * len(probe.targets), "comparing with baselines")
        total = torch.stack([self._compared(probe, n, parts) for n in range(len(probe.inputs))], 1)
        return Values(total, completeness_error(total.flatten(2).sum(2), probe.before - means), starts)

    def _draws(self, probe: Probe) -> Tensor:
        """The baselines, (samples, n, channels, …spatial); the same noise on every input of a batch."""
        generator = torch.Generator().manual_seed(self.seed)
        starts = baselines(probe, self.baseline)
        starts = starts[torch.arange(self.samples, device=starts.device) % len(starts)]
        x = probe.original
        size = (x.flatten(1).amax(1) - x.flatten(1).amin(1)).reshape(-1, *[1] * (x.ndim - 1))
        noise = torch.randn((self.samples, *x.shape[1:]), generator=generator).to(x)
        for n in range(len(probe.inputs)):
            within = probe.within(n)
            own = self.noise * size[n] * noise
            starts[:, n] += own if within is None else own * within
        return starts

    @staticmethod
    def _compared(probe: Probe, n: int, parts: tuple[Tensor, ...]) -> Tensor:
        """Of input n the mean over the baselines for every target, (targets, channels, …)."""
        from captum.attr import DeepLiftShap as Peer

        without_captums_word()
        one = probe.part(n, range(len(probe.targets)))
        result = probe.x.new_zeros(len(probe.targets), *probe.x.shape[1:])
        with own_tensors(probe, _RULED):
            for row in range(len(probe.targets)):
                for some in parts:
                    found = Peer(Lent(one)).attribute(one.x.clone(), some[:, n], target=row)
                    result[row] += found[0].detach() * len(some)
        return result / sum(map(len, parts))


def _sizes(count: int, most: int) -> list[int]:
    """How many baselines at a time: about `most`, and never one alone, which captum refuses."""
    parts = min(-(-count // most), count // 2)
    return [count // parts + (i < count % parts) for i in range(parts)]


def _overlaps(module: nn.Module | None) -> bool:
    """Whether a module pools over windows that share cells."""
    if not isinstance(module, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)):
        return False
    size, stride, dilation = map(_sides, (module.kernel_size, module.stride, module.dilation))
    return any(a > b for a, b in zip(size, stride, strict=False)) or max(dilation) > 1


def _sides(number: int | tuple[int, ...]) -> tuple[int, ...]:
    return (number,) * 3 if isinstance(number, int) else tuple(number)


def _without_rule(every: Iterable[Call]) -> Iterator[str]:
    for call in every:
        if call.kind in _RULED:
            if _overlaps(call.module):
                yield f"The windows of the layer {call.name!r} overlap, where captum's rule loses values."
        elif call.several and call.function in _SCALES:
            yield "This network multiplies what depends on the image; captum's DeepLift has no rule for it."
        elif call.function not in _LINEAR | _SCALES:
            where = f"in the layer {call.name!r}" if call.name else "outside of its layers"
            yield f"This network computes {call.function!r} {where}, for which captum's DeepLift has no rule."
