# SPDX-License-Identifier: Apache-2.0
"""Programs, TorchScript and `.pt2`: what they say and show is that of the network they were made from."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from model_files import fields, inputs, model_of
from torch import Tensor, nn

from viewer import explain
from viewer.errors import ModelError, UntrustedError
from viewer.explain import explainer
from viewer.models import Model, load
from viewer.models.weights import sha256
from viewer.settings import Trusted
from viewer.types import Target

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
]

KINDS = ["script", "trace", "export", "export of any batch"]


def small(seed: int = 0) -> nn.Module:
    """A network that TorchScript can compile."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 2),
    )


def write(folder: Path, net: nn.Module, kind: str, example: Any = None, **changes: Any) -> Path:
    """A model folder whose weights are a program."""
    folder.mkdir(exist_ok=True)
    name = "m.pt2" if "export" in kind else "m.pt"
    example = (torch.zeros(2 if "any" in kind else 1, 1, 8, 8),) if example is None else example
    if kind == "script":
        torch.jit.save(torch.jit.script(net), folder / name)
    elif kind == "trace":
        torch.jit.save(torch.jit.trace(net, example), folder / name)
    else:
        free = ({0: torch.export.Dim("batch")},) if "any" in kind else None
        torch.export.save(torch.export.export(net, example, dynamic_shapes=free), folder / name)
    card = fields(architecture="program", arguments={}, weights=name, **changes)
    (folder / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return folder


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    return load(write(tmp_path / "m", small(seed=3).eval(), request.param), trust=True)


def scores(model: Model, count: int = 5) -> Tensor:
    found = model.predict(inputs(count), batch=3)
    return torch.tensor([[s.logit for s in p.scores] for p in found])


def logits(net: nn.Module, count: int = 5) -> Tensor:
    with torch.no_grad():
        return net.eval()(torch.cat([i.tensor for i in inputs(count)]))


def test_predictions_are_those_of_the_network(model: Model) -> None:
    torch.testing.assert_close(scores(model), logits(small(seed=3)))
    assert model.closed
    assert model.structure.output == (2,)


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "occlusion"])
def test_maps_are_those_of_the_network(model: Model, method: str) -> None:
    wishes = [Target("no", 0), Target("yes", 1), Target("yes", 1, "no", 0)]
    methods = [explainer(method)()]
    ours = explain.explain(model, inputs(3), methods, wishes)
    theirs = explain.explain(model_of(small(seed=3).eval()), inputs(3), methods, wishes)
    assert not ours.refused
    for a, b in zip(ours.attributions, theirs.attributions, strict=True):
        torch.testing.assert_close(torch.tensor(a.values), torch.tensor(b.values), atol=1e-5, rtol=1e-4)
    assert any(abs(a.values).max() > 0 for a in ours.attributions)


def test_methods_that_listen_to_layers_say_why_not(model: Model) -> None:
    reasons = {d["name"]: d["unsuitable"] for d in explain.describe(model)}
    for name in ("grad-cam", "hires-cam", "layer-cam", "attention-rollout"):
        assert "is a program" in reasons[name], name
    for name in ("saliency", "integrated-gradients", "occlusion"):
        assert reasons[name] is None, name
    assert explain.suggest(model) == ()


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_program_runs_only_where_its_bytes_are_trusted(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "m", small().eval(), kind)
    with pytest.raises(UntrustedError) as caught:
        load(folder)
    question = caught.value
    file = next(folder.glob("m.pt*"))
    assert (question.path, question.code, question.weights) == (file, sha256(file), sha256(file))
    assert str(file) in str(question)
    assert question.code in str(question)
    assert "read it" not in str(question)
    known = [Trusted(question.code, question.weights)]
    assert load(folder, trusted=known).code == question.code
    write(folder, small(seed=1).eval(), kind)
    with pytest.raises(UntrustedError):
        load(folder, trusted=known)


class Branching(nn.Module):
    """What only a script keeps: control flow that hangs on values; and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.fc(x.flatten(1))
        if bool(x.sum() > 0):
            y = -y
        return y * 0, y


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"aux": x.flatten(1), "out": self.fc(x.flatten(1))}


def test_one_of_several_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Branching()
    model = load(write(tmp_path / "m", net, "script", output__select=1), trust=True)
    torch.testing.assert_close(scores(model)[:3], net(torch.cat([i.tensor for i in inputs(3)]))[1].detach())
    other = TwoOutputs()
    model = load(write(tmp_path / "n", other, "export", output__select="out"), trust=True)
    expected = other(torch.cat([i.tensor for i in inputs(5)]))["out"].detach()
    torch.testing.assert_close(scores(model), expected)


class TwoInputs(nn.Module):
    def forward(self, image: Tensor, age: Tensor) -> Tensor:
        return image.flatten(1)[:, :2] + age


@pytest.mark.parametrize("kind", ["script", "export"])
def test_several_inputs_are_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "m", TwoInputs(), kind, (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1)))
    with pytest.raises(ModelError, match=r"wants 2 inputs \(image, age\)"):
        load(folder, trust=True)


class Closed(nn.Module):
    """A network that lets no gradient through."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.net(x)


def test_a_program_without_gradients_is_told_so(tmp_path: Path) -> None:
    model = load(write(tmp_path / "m", Closed().eval(), "script"), trust=True)
    methods = [explainer(m)() for m in ("saliency", "integrated-gradients", "occlusion")]
    found = explain.explain(model, inputs(1), methods)
    assert [name for name, _ in found.refused] == ["saliency", "integrated-gradients"]
    assert all("No gradient reaches the image" in reason for _, reason in found.refused)
    assert len(found.attributions) == 1


def test_a_program_exported_in_training_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="in training mode"):
        load(write(tmp_path / "m", small().train(), "export of any batch"), trust=True)


def test_a_script_saved_in_training_mode_is_set_right(tmp_path: Path) -> None:
    torch.testing.assert_close(
        scores(load(write(tmp_path / "m", small(seed=3).train(), "script"), trust=True)),
        logits(small(seed=3)),
    )


def test_a_card_of_a_program_has_no_arguments(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", small(), "script", weights_key="x")
    with pytest.raises(ModelError, match="takes no arguments and no weights_key"):
        load(folder, trust=True)


def test_a_program_under_another_architecture(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", small(), "script")
    card = yaml.safe_load((folder / "model.yaml").read_text()) | {"architecture": "builtin:small-cnn"}
    (folder / "model.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ModelError, match="write architecture: program in the card to run it"):
        load(folder, trust=True)


def test_weights_are_no_program(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", small(), "script")
    torch.save(small().state_dict(), folder / "m.pt")
    with pytest.raises(ModelError, match="is no program"):
        load(folder, trust=True)
    (folder / "m.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="damaged or cut short"):
        load(folder, trust=True)


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_damaged_program_is_told_in_a_sentence(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import zipfile

    folder = write(tmp_path / "m", small(), kind)
    file = next(folder.glob("m.pt*"))
    with zipfile.ZipFile(file) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    for name, data in entries.items():
        spoiled = entries | {name: data[: len(data) // 2]}
        with zipfile.ZipFile(file, "w") as archive:
            for key, value in spoiled.items():
                archive.writestr(key, value)
        told = ""
        try:
            load(folder, trust=True)
        except ModelError as error:
            told = str(error)
        assert "\n" not in told, name
    assert "Traceback" not in "".join(capfd.readouterr())


QUICK: dict[str, dict[str, Any]] = {
    "smooth-grad": {"samples": 3},
    "var-grad": {"samples": 3},
    "expected-gradients": {"samples": 3},
    "rise": {"masks": 10, "cells": 4},
    "feature-ablation": {"features": 4},
    "kernel-shap": {"features": 4, "samples": 20},
}


def test_every_method_either_shows_what_it_shows_of_the_network_or_says_why_not(tmp_path: Path) -> None:
    model = load(write(tmp_path / "m", small(seed=3).eval(), "script"), trust=True)
    network = model_of(small(seed=3).eval())
    shown, close = [], partial(torch.testing.assert_close, atol=1e-5, rtol=1e-3)
    for facts in explain.describe(model):
        if facts["unsuitable"] is not None:
            continue
        method = explainer(facts["name"])(**QUICK.get(facts["name"], {}))
        ours = explain.explain(model, inputs(2), [method])
        theirs = explain.explain(network, inputs(2), [method])
        assert ours.refused == theirs.refused == (), facts["name"]
        for a, b in zip(ours.attributions, theirs.attributions, strict=True):
            close(torch.tensor(a.values), torch.tensor(b.values))
        shown.append(facts["name"])
    assert {"saliency", "integrated-gradients", "occlusion"} <= set(shown)
    assert "deep-lift" not in shown  # its rules are for operations, and a program shows none
