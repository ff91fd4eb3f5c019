# SPDX-License-Identifier: Apache-2.0
"""What a network does not take is the refusal of the method that asked; the score and the others stay."""

import math
import warnings
from typing import Any

import pytest
import torch
from explain_nets import LABELS, inputs_of, make, model_of, near
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from viewer.errors import ModelError
from viewer.explain import discover, explain, suggest
from viewer.models import Model


class Net(nn.Module):
    """A stem, a body and a head; what lies between body and head is a subclass's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(8, len(LABELS))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.stem(x).relu()).mean((2, 3)))

    def middle(self, x: Tensor) -> Tensor:
        return self.body(x)


class Reentrant(Net):
    def middle(self, x: Tensor) -> Tensor:
        return checkpoint(self.body, x, use_reentrant=True)


class ThroughNumpy(Net):
    def middle(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.body(x).numpy())


class Inference(Net):
    def middle(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = self.body(x)
        return torch.nn.functional.conv2d(x, torch.ones(8, 8, 1, 1, requires_grad=True))


class Rule(torch.autograd.Function):
    """A function without a rule for gradients."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x.clone()


class WithoutRule(Net):
    def middle(self, x: Tensor) -> Tensor:
        return Rule.apply(self.body(x))


class Counting(torch.autograd.Function):
    """A function with a rule for gradients, and none for many at once (vmap)."""

    @staticmethod
    def forward(_context: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return gradient * 2 if math.isfinite(float(gradient.sum())) else gradient


class WithoutVmap(Net):
    def middle(self, x: Tensor) -> Tensor:
        return Counting.apply(self.body(x))


class Raises(Net):
    """Raises what no list of faults has, where gradients are recorded."""

    def middle(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise StopIteration
        return self.body(x)


BROKEN = (Reentrant, ThroughNumpy, Inference, WithoutRule, Raises)


def modelled(kind: type[nn.Module]) -> Model:
    torch.manual_seed(0)
    return model_of(kind())


def found(*names: str) -> list[Any]:
    return [f.load()() for name in names for f in discover() if f.name == name]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_method_that_a_network_does_not_take_is_refused_and_takes_nothing_along(kind: type[Net]) -> None:
    model = modelled(kind)
    (source,) = inputs_of(model)
    alone = explain(model, [source], found("occlusion"))
    together = explain(model, [source], found("integrated-gradients", "grad-cam", "occlusion"))
    assert [name for name, _ in together.refused] == ["integrated-gradients", "grad-cam"]
    for (_, reason), title in zip(together.refused, ("Integrated gradients", "Grad-CAM"), strict=True):
        assert reason.startswith(title), reason
        assert title != "Grad-CAM" or "'body'" in reason
        assert reason.endswith("Methods that change the image need no gradient.")
        assert "\n" not in reason
    (wanted,), (got,) = alone.attributions, together.attributions
    assert near(got.values, wanted.values)
    assert [s.logit for s in together.predictions[0].scores] == [s.logit for s in alone.predictions[0].scores]


@pytest.mark.parametrize("kind", BROKEN)
def test_every_method_works_or_says_why_not(kind: type[Net]) -> None:
    model = modelled(kind)
    methods = [f.load()() for f in discover() if not f.load().library and f.name != "shapley-value-sampling"]
    explained = explain(model, inputs_of(model), methods)
    refused = dict(explained.refused)
    assert {m.name for m in methods} == {a.explainer.name for a in explained.attributions} | refused.keys()
    assert {"occlusion", "rise"}.isdisjoint(refused)
    for reason in refused.values():
        assert reason.endswith("."), reason
        assert "\n" not in reason


def test_a_layer_is_not_said_to_be_without_influence_before_that_was_tried() -> None:
    class Aside(Net):
        def middle(self, x: Tensor) -> Tensor:
            self.body(x)
            return x

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, len(LABELS))

    class Detached(Net):
        def middle(self, x: Tensor) -> Tensor:
            return self.body(x).detach()

    class Unrecorded(Net):
        def middle(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.body(x)

    (cam,) = found("grad-cam")

    def told(kind: type[Net]) -> str:
        model = modelled(kind)
        ((_, reason),) = explain(model, inputs_of(model), [type(cam)(layer="body")]).refused
        return reason

    assert told(Aside) == "The layer 'body' does not influence the output; choose another."
    for kind in (Detached, Unrecorded, Reentrant):
        assert "although what it gives changes the output" in told(kind)


def test_a_function_without_a_rule_for_many_gradients_at_once_is_asked_for_each() -> None:
    model = modelled(WithoutVmap)
    explained = explain(model, inputs_of(model), found("grad-cam", "saliency"), ["top", "top"])
    assert not explained.refused


def test_an_error_in_the_bare_forward_is_the_models() -> None:
    class Never(Net):
        def middle(self, x: Tensor) -> Tensor:
            raise StopIteration

    for names in (("grad-cam",), ("occlusion",), ("integrated-gradients", "rise")):
        model = modelled(Never)
        with pytest.raises(ModelError, match="does not take inputs of 3 × 32 × 32: StopIteration"):
            explain(model, inputs_of(model), found(*names))


def test_too_little_memory_for_gradients_leaves_the_score() -> None:
    class Poor(Net):
        def middle(self, x: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")
            return self.body(x)

    model = modelled(Poor)
    explained = explain(model, inputs_of(model), found("saliency", "occlusion"))
    assert [a.explainer.name for a in explained.attributions] == ["occlusion"]
    assert explained.refused[0][1].startswith("Saliency needs more memory than there is")


def test_the_layers_of_a_checkpointed_transformer_are_suggested_all_the_same() -> None:
    model = make("timm ViT")
    model._module.set_grad_checkpointing(True)  # type: ignore[operator]
    assert suggest(model)


def test_nothing_of_torch_is_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    class Warns(Reentrant):
        def middle(self, x: Tensor) -> Tensor:
            warnings.warn("for programmers", UserWarning, stacklevel=1)
            return super().middle(x)

    model = modelled(Warns)
    before = list(warnings.filters)
    explain(model, inputs_of(model), found("grad-cam", "saliency", "occlusion"))
    assert capfd.readouterr().err == ""
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)
