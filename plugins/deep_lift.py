# SPDX-License-Identifier: Apache-2.0
"""DeepLift with the rescale rule, written for functions, however a network calls them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from viewer.explain import (
    CLOSED,
    Baseline,
    Cost,
    ExplainerError,
    Gradient,
    Model,
    Peer,
    Probe,
    Scored,
    Values,
    baselines,
    completeness_error,
    of_captum,
    unseen,
)

_ELEMENTWISE = frozenset({
    "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid",
    "tanh", "hardtanh", "hardswish", "hardsigmoid", "logsigmoid", "softplus", "softsign", "tanhshrink",
    "hardshrink", "softshrink", "threshold", "clamp", "clip", "clamp_min", "clamp_max", "exp", "exp2",
    "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "abs", "absolute",
    "square", "pow", "erf", "sin", "cos",
})  # fmt: skip
_POOLS = frozenset(f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3))
_PRODUCTS = frozenset(("mul", "multiply", "imul", "rmul", "matmul", "bmm", "rmatmul"))
_QUOTIENTS = frozenset(("div", "divide", "true_divide", "truediv", "itruediv"))
_NORMS = frozenset(("layer_norm", "group_norm", "instance_norm"))
_NONE = frozenset(("scaled_dot_product_attention", "multi_head_attention_forward", "einsum", "log_softmax"))
"""What has no rule where both factors depend on the image, or where it would run out of sight."""
_NEAR = 3e-4
"""Where inputs differ by a smaller share of their size, a quotient would be of rounding errors; there the
mean of the gradients at both is as exact."""


class _Through(torch.autograd.Function):
    """A value whose gradient at `x` is a given multiplier, element by element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, multiplier: Tensor) -> Tensor:
        ctx.multiplier = multiplier
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.multiplier, None, None


class _Rescale(TorchFunctionMode):
    """Runs a network twice: on the baseline, when every non-linear step keeps its inputs, and on the image,
    when the step's gradient becomes Δ output ÷ Δ input.

    Of a product of two things that change, each change counts at the mean of the other (Shapley's
    value of two players), so that the multipliers still add up to the change of the score.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[str, tuple[Tensor, ...]]] = []
        self._next: int | None = None

    def compare(self) -> None:
        """From now on a forward is that of the image."""
        self._next = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        written = getattr(func, "__name__", "")
        name = written.strip("_")
        rule = self._rule(name, args, kwargs)
        if rule is None:
            return func(*args, **kwargs)
        inputs = tuple(a for a in (args[:2] if name in _PRODUCTS | _QUOTIENTS else args[:1]))
        result = rule(self._reference(name, inputs), func, name, args, kwargs)
        if (written.endswith("_") and not written.startswith("__")) or written.startswith("__i"):
            return args[0].copy_(result)
        if kwargs.get("inplace") is True:
            return args[0].copy_(result)
        return result

    def _rule(self, name: str, args: Any, kwargs: Any) -> Callable[..., Tensor] | None:
        """What replaces a function; None where it is linear in what depends on the image."""
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if first is None or not torch.is_grad_enabled():
            return None
        both = len(args) > 1 and isinstance(args[1], Tensor) and args[1].requires_grad
        if name in _QUOTIENTS and both:
            return _quotient
        if not first.requires_grad:
            return None
        if name in _NONE:
            raise ExplainerError(f"DeepLift has no rule for {name}, which this network uses.")
        if name in _PRODUCTS:
            return _product if both else None
        if name in _ELEMENTWISE:
            return _elementwise
        if name in _POOLS:
            return _pooled
        if name in _NORMS:
            return _normed
        return _softmax if name == "softmax" else None

    def _reference(self, name: str, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        now = tuple(i.detach().clone() for i in inputs)
        if self._next is None:
            self.kept.append((name, now))
            return now
        number, self._next = self._next, self._next + 1
        kept = self.kept[number] if number < len(self.kept) else ("", ())
        if kept[0] != name or [k.shape for k in kept[1]] != [i.shape for i in now]:
            raise ExplainerError("This network runs otherwise on the baseline, so DeepLift cannot compare.")
        return kept[1]


def _linearly(value: Tensor, way: Tensor) -> Tensor:
    """The value, with the gradient of `way`."""
    return value.detach() + (way - way.detach())


def _ratio(above: Tensor, below: Tensor, otherwise: Tensor, near: Tensor | None = None) -> Tensor:
    near = below == 0 if near is None else near
    return torch.where(near, otherwise, above / torch.where(near, torch.ones_like(below), below))


def _elementwise(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    x, x0 = args[0], kept[0]

    def run(some: Tensor) -> Tensor:
        result: Tensor = func(some.clone(), *args[1:], **kwargs)
        return result

    with torch.enable_grad():
        leaf = torch.stack([x.detach(), x0]).requires_grad_()
        both = torch.stack([run(leaf[0]), run(leaf[1])])
        (slopes,) = torch.autograd.grad(both.sum(), leaf)
    value, value0 = both.detach()
    change = x.detach() - x0
    near = change.abs() <= _NEAR * (x.detach().abs() + x0.abs())
    return _Through.apply(x, value, _ratio(value - value0, change, slopes.mean(0), near))  # type: ignore[no-any-return]


def _product(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    a, b = args[:2]
    if name in ("imul", "rmul"):
        name = "mul"
    run = torch.mul if name in ("mul", "multiply") else torch.matmul
    if name == "rmatmul":
        a, b, kept = b, a, kept[::-1]
    middle = [(now.detach() + then) / 2 for now, then in zip((a, b), kept, strict=True)]
    return _linearly(run(a.detach(), b.detach()), run(a, middle[1]) + run(middle[0], b))


def _quotient(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    a, b = args[:2]
    b0 = kept[1]
    now = 1 / b.detach()
    inverse = _Through.apply(b, now, -now / b0)
    middle = [(a.detach() + kept[0]) / 2, (now + 1 / b0) / 2]
    return _linearly(a.detach() * now, a * middle[1] + middle[0] * inverse)


def _softmax(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    x, x0 = args[0], kept[0]
    dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)
    highest = torch.maximum(x.detach(), x0).amax(dim, keepdim=True)
    e, e0 = (x.detach() - highest).exp(), (x0 - highest).exp()
    # What a mask has set to −∞ in both has no part in it.
    there = x.detach().isfinite() & x0.isfinite()
    change = torch.where(there, x.detach() - x0, torch.zeros_like(e))
    slope = torch.minimum(e, e0) * _ratio(change.abs().expm1(), change.abs(), torch.ones_like(e))
    slope = torch.where(there, slope, torch.zeros_like(e))
    power = _Through.apply(x, e, slope)
    s, s0 = e.sum(dim, keepdim=True), e0.sum(dim, keepdim=True)
    inverse = _Through.apply(power.sum(dim, keepdim=True), 1 / s, -1 / (s * s0))
    return _linearly(e / s, power * (1 / s + 1 / s0) / 2 + (e + e0) / 2 * inverse)


def _pooled(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    """The change of a maximum, given to where the image has it as it rises, and the baseline as it falls."""
    x, x0 = args[0], kept[0]
    axes = int(name[-2])
    kwargs = {**kwargs, "return_indices": True}
    pool = getattr(F, name)
    (y, at), (y0, at0) = pool(x.detach(), *args[1:], **kwargs), pool(x0, *args[1:], **kwargs)
    flat, place, place0 = x.flatten(-axes), at.flatten(-axes), at0.flatten(-axes)
    change = (x.detach() - x0).flatten(-axes)
    highest = torch.maximum(y, y0)
    one = torch.ones((), dtype=x.dtype, device=x.device)
    rise = _ratio((highest - y0).flatten(-axes), change.gather(-1, place), one)
    fall = _ratio((y - highest).flatten(-axes), change.gather(-1, place0), 0 * one)
    way = rise * flat.gather(-1, place) + fall * flat.gather(-1, place0)
    return _linearly(y, way.reshape(y.shape))


def _normed(kept: tuple[Tensor, ...], func: Any, name: str, args: Any, kwargs: Any) -> Tensor:
    """(x − mean) ÷ √(variance + ε), over channels, groups or single channels."""
    x, x0 = args[0], kept[0]
    names = {
        "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
        "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
        "instance_norm": (
            "input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps",
        ),
    }[name]  # fmt: skip
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    value: Tensor = func(*args, **kwargs).detach()
    if name == "instance_norm" and not given.get("use_input_stats", True):
        return func(*args, **kwargs)  # type: ignore[no-any-return]
    if name == "layer_norm":
        shape, axes = x.shape, tuple(range(x.ndim - len(given["normalized_shape"]), x.ndim))
    else:
        groups = given.get("num_groups", x.shape[1])
        shape, axes = (len(x), groups, -1), (2,)
    flat, flat0 = x.reshape(shape), x0.reshape(shape)
    centred, centred0 = (some - some.mean(axes, keepdim=True) for some in (flat, flat0))
    now = centred.detach()
    variance = (centred * (now + centred0)).mean(axes, keepdim=True)  # its gradient is that of the change
    v, v0 = ((some * some).mean(axes, keepdim=True) + given.get("eps", 1e-5) for some in (now, centred0))
    r, r0 = v.rsqrt(), v0.rsqrt()
    inverse = _Through.apply(variance, r, -((r * r0) ** 2) / (r + r0))
    way = (centred * (r + r0) / 2 + (now + centred0) / 2 * inverse).reshape(x.shape)
    weight = given.get("weight")
    if weight is not None:
        way = way * (weight if name == "layer_norm" else weight.reshape(-1, *[1] * (x.ndim - 2)))
    return _linearly(value, way)


@dataclass(frozen=True)
class DeepLift(Gradient):
    """(input − baseline) × multiplier, where each non-linear step hands on Δ output ÷ Δ input."""

    baseline: Baseline = "minimum"

    name = "deep-lift"
    title = "DeepLift"
    contribution = True
    family = "gradient"
    paper = (
        "Shrikumar et al., Learning important features through propagating activation differences, ICML 2017"
    )
    shows = "How much each pixel adds to the score over the baseline, found in one pass back."
    cost = Cost("2 per baseline, for all labels", "1 per baseline for all labels")
    caution = (
        "It depends on the baseline, and on how the network is written: the same function built otherwise "
        "may get another map (Sundararajan et al., ICML 2017). Products, attention and normalisation follow "
        "Shapley's rule of two factors, which the paper does not have."
    )
    display_sign: ClassVar[Literal["positive", "signed"]] = "signed"

    def unsuitable(self, model: Model) -> str | None:
        if model.closed:
            return CLOSED
        if "keys of its own" in model.structure.traits:
            return "This network's attention adds keys of its own, for which DeepLift has no rule."
        return None

    def per_channel(self, probe: Probe) -> Values:
        starts = baselines(probe, self.baseline)
        total = probe.x.new_zeros(len(probe.targets), *probe.x.shape)
        gaps = torch.zeros_like(probe.before)
        with probe.summed_up(2 * len(starts) * len(probe.inputs), "comparing with the baseline"):
            for start in starts:
                for n in range(len(probe.inputs)):
                    found, gap = self._compared(probe, start, n)
                    total[:, n] += found / len(starts)
                    gaps[:, n] += gap / len(starts)
        return Values(total, completeness_error(total.flatten(2).sum(2), gaps), starts)

    @staticmethod
    def _compared(probe: Probe, start: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Of input n the map of every target, (targets, channels, …), and the change of its score."""
        one = probe.part(n, range(len(probe.targets)))
        with _Rescale() as mode, probe.unfused():
            (before,) = one.sweep(1, lambda *_: start[n : n + 1], "", gradients=True)
            mode.compare()
            (after,) = one.sweep(1, lambda *_: one.x, "", gradients=True)
        assert after.gradients is not None
        gap = (after.scores - before.scores)[:, 0]
        if not math.isfinite(float(gap.sum())):
            raise ExplainerError("The score of the baseline is not a number.")
        return after.gradients[:, 0] * (one.x[0] - start[n]), gap

    def peers(self, probe: Probe, found: Mapping[str, int]) -> tuple[Peer, ...]:
        starts = baselines(probe, self.baseline)

        def fault(net: Scored, theirs: Tensor) -> str:
            from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR

            with _Rescale() as mode, probe.unfused():
                net(net.leaf())
            missed = unseen(net, len(mode.kept), SUPPORTED_NON_LINEAR, _FAULT)
            gap = probe.before[0] - torch.stack([net(start).detach() for start in starts]).mean(0)
            error = float(completeness_error(theirs.sum()[None], gap.to(theirs)))
            maximum = any(name in _POOLS for name, _ in mode.kept) and error > _UNLIKE
            return missed or (_MAXIMUM.format(error=error) if maximum else "")

        return (of_captum(probe, "DeepLift", starts, fault=fault),)


_UNLIKE = 0.1
"""A completeness error in per cent that rounding does not explain."""
_FAULT = (
    "captum's DeepLift has rules for modules of ten kinds only, and takes {missed} of the {steps} non-linear "
    "steps of this network (functions, a module used again, or another kind) for linear."
)
_MAXIMUM = (
    "captum's rule for a maximum, of which this network has some, does not keep the sum: its map misses the "
    "change of the score by {error:.2g} %."
)
