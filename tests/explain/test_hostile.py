# SPDX-License-Identifier: Apache-2.0
"""A stranger's explainer that breaks everything it can reach leaves nothing behind."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from explain_nets import inputs_of, make, model_of, near
from fingerprint import changed, fingerprint, marked
from torch import Tensor, nn

from viewer.explain import Cost, Explainer, Probe, describe, discover, explain
from viewer.models import Model
from viewer.task import Cancelled

Deed = Callable[[Probe, nn.Module], None]


def leaves_hooks(_probe: Probe, net: nn.Module) -> None:
    for m in net.modules():
        m.register_forward_hook(lambda _m, _a, out: out * 0)
        m.register_forward_pre_hook(lambda _m, args: args)
        m.register_full_backward_hook(lambda _m, _i, _o: None)


def calls_backward(probe: Probe, net: nn.Module) -> None:
    for p in net.parameters():
        p.requires_grad_(True)
    probe.forward(probe.x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def sets_gradients_to_zero(_probe: Probe, net: nn.Module) -> None:
    net.zero_grad()


def trains(probe: Probe, net: nn.Module) -> None:
    net.train()
    for p in net.parameters():
        p.requires_grad_(True)


def replaces_modules(_probe: Probe, net: nn.Module) -> None:
    for m in list(net.modules()):
        for name, child in list(m.named_children()):
            setattr(m, name, nn.Identity() if isinstance(child, nn.ReLU) else child)
            m.add_module("stranger", nn.Linear(2, 2))
            m._modules.move_to_end(name) if hasattr(m._modules, "move_to_end") else None


def removes_modules(_probe: Probe, net: nn.Module) -> None:
    for name, _ in list(net.named_children()):
        delattr(net, name)


def replaces_the_forward(_probe: Probe, net: nn.Module) -> None:
    for m in net.modules():
        m.forward = lambda x, *_: x * 0
        m.anything = "left here"  # type: ignore[assignment]


def replaces_parameters(_probe: Probe, net: nn.Module) -> None:
    for m in net.modules():
        for name, p in list(m.named_parameters(recurse=False)):
            setattr(m, name, nn.Parameter(torch.zeros_like(p)))


def writes_in_place(_probe: Probe, net: nn.Module) -> None:
    with torch.no_grad():
        for p in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]:
            p.mul_(2).add_(1)


def swaps_the_data(_probe: Probe, net: nn.Module) -> None:
    for p in net.parameters():
        p.data = torch.zeros(1, dtype=torch.float64)


def writes_through_data(_probe: Probe, net: nn.Module) -> None:
    for p in net.parameters():
        p.data.mul_(2)


def moves_running_means(probe: Probe, net: nn.Module) -> None:
    net.train()
    probe.forward(probe.x + 3)


def turns_gradients_off(_probe: Probe, _net: nn.Module) -> None:
    torch.set_grad_enabled(False)


DEEDS = [
    leaves_hooks, calls_backward, sets_gradients_to_zero, trains, replaces_modules, removes_modules,
    replaces_the_forward, replaces_parameters, writes_in_place, swaps_the_data, turns_gradients_off,
    writes_through_data, moves_running_means,
]  # fmt: skip


@dataclass(frozen=True)
class Hostile(Explainer):
    """Does its deed, and then succeeds, fails or is cancelled."""

    name = "hostile"
    title = "Hostile"
    family = "gradient"
    paper = "none"
    shows = "Nothing."
    cost = Cost("1")

    def compute(self, probe: Probe) -> Tensor:
        deed, end = PLAN
        deed(probe, probe._forward.module)
        if end is not None:
            raise end
        return torch.ones(len(probe.targets), len(probe.inputs), *probe.x.shape[2:])


PLAN: tuple[Deed, BaseException | None] = (trains, None)


@pytest.mark.parametrize(
    "end", [None, RuntimeError("a fault"), Cancelled()], ids=["success", "error", "cancel"]
)
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("kind", ["residual", "timm ViT"])
def test_what_a_stranger_does_is_undone(
    kind: str, deed: Deed, end: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(kind)
    net = marked(model)
    said = model.predict(inputs_of(model))[0].scores
    before = fingerprint(net)
    monkeypatch.setitem(globals(), "PLAN", (deed, end))
    if isinstance(end, Cancelled):
        with pytest.raises(Cancelled):
            explain(model, inputs_of(model), [Hostile()])
    else:
        refused = explain(model, inputs_of(model), [Hostile()]).refused
        assert [name for name, _ in refused] == ([] if end is None else ["hostile"])
    assert changed(before, fingerprint(net)) == []
    assert model.predict(inputs_of(model))[0].scores == said


def test_the_method_after_a_stranger_sees_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("residual")
    saliency = next(f for f in discover() if f.name == "saliency").load()()
    wanted = explain(model, inputs_of(model), [saliency]).attributions[0].values
    for deed in (leaves_hooks, writes_in_place, replaces_modules):
        monkeypatch.setitem(globals(), "PLAN", (deed, None))
        explain(model, inputs_of(model), [Hostile()])
        found = explain(model, inputs_of(model), [saliency]).attributions[0].values
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_a_batch_after_a_stranger_is_predicted_by_the_network_as_it_was(
    deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("residual")
    wanted = model.predict(inputs_of(model, 3), batch=1)
    monkeypatch.setitem(globals(), "PLAN", (deed, None))
    found = explain(model, inputs_of(model, 3), [Hostile()], batch=1).predictions
    assert [p.scores for p in found] == [p.scores for p in wanted]


def test_a_fault_of_a_plugin_is_refused_and_the_others_go_on() -> None:
    @dataclass(frozen=True)
    class Shapeless(Hostile):
        name = "shapeless"

        def compute(self, probe: Probe) -> Tensor:
            return torch.ones(3)

    model = make("plain CNN")
    saliency = next(f for f in discover() if f.name == "saliency").load()()
    explained = explain(model, inputs_of(model), [Shapeless(), saliency])
    assert [a.explainer.name for a in explained.attributions] == ["saliency"]
    ((name, reason),) = explained.refused
    assert name == "shapeless"
    assert "shape (3,) instead of (1, 1, …)" in reason


@pytest.mark.parametrize("when", ["layers", "unsuitable", "fitted", "compute"])
@pytest.mark.parametrize("error", [KeyError("lesion"), ValueError("no"), RuntimeError("shapes differ")])
def test_an_error_in_a_plugin_is_told_with_its_place_and_the_others_go_on(
    when: str, error: Exception
) -> None:
    @dataclass(frozen=True)
    class Broken(Hostile):
        name = "broken"

        def compute(self, probe: Probe) -> Tensor:
            return probe.activations("nothing")

    def fail(*_: object) -> None:
        raise error

    setattr(Broken, when, fail)
    model = make("plain CNN")
    saliency = next(f for f in discover() if f.name == "saliency").load()()
    explained = explain(model, inputs_of(model), [Broken(), saliency])
    assert [a.explainer.name for a in explained.attributions] == ["saliency"]
    ((name, reason),) = explained.refused
    assert name == "broken"
    assert reason.startswith(f"Hostile failed with {type(error).__name__}: ")
    assert "(test_hostile.py, line " in reason


def test_a_plugin_that_cannot_say_whether_it_suits_is_listed_with_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Unsure(Hostile):
        name = "unsure"

        def unsuitable(self, model: Model) -> str | None:
            raise KeyError("arch")

    class Entry:
        name = "unsure"

        def load(self) -> type[Explainer]:
            return Unsure

    monkeypatch.setitem(describe.__globals__, "discover", lambda: (Entry(),))
    (listed,) = describe(make("plain CNN"))
    assert listed["unsuitable"].startswith("Hostile failed with KeyError: 'arch' (test_hostile.py, line ")


def test_an_error_of_our_own_is_told_with_its_place_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saliency, occlusion = (
        next(f for f in discover() if f.name == n).load() for n in ("saliency", "occlusion")
    )
    monkeypatch.setattr(saliency, "per_channel", lambda *_: dict[str, Tensor]()["nothing"])
    model = make("plain CNN")
    explained = explain(model, inputs_of(model), [saliency(), occlusion.configured({"window": 8})])
    ((name, reason),) = explained.refused
    assert name == "saliency"
    assert reason.startswith("Saliency failed with KeyError: 'nothing' (test_hostile.py, line ")
    assert [a.explainer.name for a in explained.attributions] == ["occlusion"]


def test_nan_is_refused() -> None:
    @dataclass(frozen=True)
    class Nan(Hostile):
        name = "nan"

        def compute(self, probe: Probe) -> Tensor:
            return torch.full((1, 1, 2, 2), torch.nan)

    explained = explain(make("plain CNN"), inputs_of(make("plain CNN")), [Nan()])
    assert explained.refused == (("nan", "Hostile gave NaN or infinity; there is no map to show."),)


def test_a_network_that_writes_on_its_input_gives_the_same_maps() -> None:
    class Writes(nn.Module):
        def __init__(self, inplace: bool) -> None:
            super().__init__()
            self.first = nn.ReLU(inplace=inplace)
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(self.first(x)).relu().mean((2, 3)))

    def modelled(inplace: bool) -> Model:
        torch.manual_seed(3)
        return model_of(Writes(inplace))

    for found in discover():
        method = found.load()()
        careful, careless = modelled(False), modelled(True)
        if method.unsuitable(careful) is not None:
            continue
        (wanted,) = explain(careful, inputs_of(careful), [method]).attributions
        (got,) = explain(careless, inputs_of(careless), [method]).attributions
        assert got.layer == wanted.layer
        # Not to the bit: a long sweep measures how many images go at once, which moves the last ones.
        assert near(got.values, wanted.values, 1e-3), found.name
