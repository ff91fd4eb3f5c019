# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as people have them: wrappers, prefixes, and what lies beside the weights."""

import argparse
import json
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_files import folder_of, inputs, small
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models as torchvision_models

from viewer.errors import ModelError
from viewer.models import draft, load
from viewer.models.weights import find_weights, read_weights


def loads(folder: Path, content: Any, **changes: Any) -> None:
    """The file opens as the small network whose weights it holds, to the bit."""
    torch.save(content, folder_of(folder, weights="m.ckpt", **changes) / "m.ckpt")
    own, state = load(folder)._module.state_dict(), small().state_dict()
    assert all(torch.equal(own[k], v) for k, v in state.items())


@pytest.mark.parametrize(
    "wrapper", ["net", "network", "params", "ema", "model_ema", "state_dict_ema", "module"]
)
@pytest.mark.parametrize(
    "prefix", ["", "model.", "net.", "_orig_mod.", "module._orig_mod.", "module.model.net."]
)
def test_wrappers_and_prefixes(tmp_path: Path, wrapper: str, prefix: str) -> None:
    loads(tmp_path / "m", {"epoch": 1, wrapper: {prefix + k: v for k, v in small().state_dict().items()}})


def test_the_trained_weights_come_before_their_average(tmp_path: Path) -> None:
    average = {k: v + 1 if v.is_floating_point() else v for k, v in small().state_dict().items()}
    content = {"ema": {"module": average}, "model": small().state_dict()}
    loads(tmp_path / "m", content)
    found = find_weights(tmp_path / "m/m.ckpt")
    assert (found.path, found.others) == (("model",), ("ema.module",))
    loads(tmp_path / "n", {"ema": {"module": small().state_dict()}, "model": average}, weights_key="ema")


def test_a_wrapper_that_holds_settings_is_passed_over(tmp_path: Path) -> None:
    loads(tmp_path / "m", {"model": {"name": "small", "depth": 3}, "net": small().state_dict()})


ASIDE: dict[str, dict[str, Tensor]] = {
    "weights of a loss": {"criterion.weight": torch.ones(2)},
    "weights of two losses": {"loss.bce.pos_weight": torch.ones(2), "focal.alpha": torch.tensor(0.25)},
    "the best figure so far": {"best_loss": torch.tensor(torch.inf)},
    "figures of a metric": {"val_auc.tp": torch.zeros(200), "val_auc.fp": torch.zeros(200)},
}


@pytest.mark.parametrize("aside", ASIDE.values(), ids=ASIDE)
def test_what_lies_beside_the_network_is_left_out_and_told(tmp_path: Path, aside: dict[str, Tensor]) -> None:
    inside = {f"model.{k}": v for k, v in small().state_dict().items()}
    loads(tmp_path / "m", {"state_dict": inside | aside})
    (remark,) = load(tmp_path / "m").remarks
    assert all(name in remark for name in aside)
    drafted = draft(tmp_path / "m/m.ckpt")
    assert drafted.card["architecture"] == "builtin:small-cnn"
    assert remark in drafted.remarks
    loads(tmp_path / "n", {"state_dict": inside})
    assert load(tmp_path / "n").remarks == ()


def test_what_may_be_part_of_the_network_is_not_left_out(tmp_path: Path) -> None:
    state = small().state_dict()
    inside = {f"model.{k}": v for k, v in state.items()}
    for more in (
        {"model.criterion.weight": torch.ones(2)},  # within what all names begin with
        {"second.weight": torch.ones(2, 2)},  # a layer of its own
        {f"teacher.{k}": v for k, v in state.items()},  # another network
    ):
        with pytest.raises(ModelError, match="do not fit the architecture"):
            loads(tmp_path / "m", {"state_dict": inside | more})
    with pytest.raises(ModelError, match=r"Unexpected: criterion\.weight"):
        loads(tmp_path / "m", {"state_dict": state | {"criterion.weight": torch.ones(2)}})


def test_the_counter_of_an_averaged_model(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(small())
    loads(tmp_path / "m", averaged.state_dict())


def lightning(**hyper_parameters: Any) -> dict[str, Any]:
    """What Lightning 2 writes."""
    net = small()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    net(torch.ones(1, 1, 8, 8)).sum().backward()
    optimizer.step()
    state = OrderedDict((f"model.{k}", v) for k, v in small().state_dict().items())
    return {
        "epoch": 7,
        "global_step": 800,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 8}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_auc', 'mode': 'max'}": {
                "best_model_score": torch.tensor(0.93),
                "best_model_path": "/runs/epoch=7.ckpt",
                "kth_value": torch.tensor(0.9),
            }
        },
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"last_epoch": 7, "_last_lr": [1e-4]}],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters,
    }


def test_lightning_with_hyper_parameters_and_callbacks(tmp_path: Path) -> None:
    loads(tmp_path / "m", lightning(lr=1e-3, labels=["a", "b"], nested={"x": (1, None)}))


def test_plain_values_of_other_libraries_beside_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = types.ModuleType("lightning_fabric.utilities.data")

    class AttributeDict(dict[str, Any]):
        pass

    AttributeDict.__module__, AttributeDict.__qualname__ = home.__name__, "AttributeDict"
    home.AttributeDict = AttributeDict  # type: ignore[attr-defined]
    for name in ("lightning_fabric", "lightning_fabric.utilities"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, home.__name__, home)
    content = lightning(
        data=Path("/data/cxr"),
        args=argparse.Namespace(lr=0.1, root=Path("x")),
        best=np.float64(0.93),
        count=np.int32(3),
        more=AttributeDict(width=3),
    )
    loads(tmp_path / "m", content)


def test_what_stands_for_values_beside_the_weights_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"state_dict": small().state_dict(), "a": tmp_path, "b": np.float64(1)}, path)
    with pytest.raises(Exception, match="PosixPath"):
        torch.load(path, weights_only=True)  # as torch has it, and has again afterwards
    read_weights(path)
    with pytest.raises(Exception, match="PosixPath"):
        torch.load(path, weights_only=True)


class Loss:
    """An object of somebody's own."""


def test_other_objects_are_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", weights="m.ckpt")
    torch.save(lightning(loss=Loss()), folder / "m.ckpt")
    for trust in (False, True):
        with pytest.raises(ModelError, match=r"Python objects beside tensors \(test_checkpoints\.Loss\)"):
            load(folder, trust=trust)


# --- networks of other libraries ------------------------------------------------------------------


class XrvDenseNet(nn.Module):
    """torchxrayvision's DenseNet-121 as it ends: sigmoid, then rescaled around each operating point."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        made = torchvision_models.densenet121(num_classes=labels)
        made.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.features, self.classifier = made.features, made.classifier
        thresholds = torch.linspace(0.1, 0.6, labels)
        thresholds[-1] = torch.nan  # a finding without training data
        self.register_buffer("op_threshs", thresholds)

    def logits(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).relu().mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        p, t = self.logits(x).sigmoid(), self.get_buffer("op_threshs")
        low, high = p / (t * 2), 1 - (1 - p) / ((1 - t) * 2)
        return torch.where(torch.isnan(t), 0.5, torch.where(p < t, low, high))


def test_a_net_of_torchxrayvision_gives_its_logits(tmp_path: Path) -> None:
    theirs = XrvDenseNet(3).eval()
    labels = ["Mass", "Edema", "Hernia"]
    folder = folder_of(
        tmp_path / "m",
        theirs.state_dict(),
        architecture="timm:densenet121",
        arguments={"in_chans": 1, "num_classes": 3},
        input__size=[64, 64],
        output={"labels": labels, "activation": "sigmoid", "thresholds": {"Mass": 0.1, "Edema": 0.35}},
    )
    model = load(folder)
    given = inputs(2, (64, 64))
    x = torch.cat([i.tensor for i in given])
    with torch.no_grad():
        logits, rescaled = theirs.logits(x), theirs(x)
    found = model.predict(given)
    ours = torch.tensor([[s.logit for s in p.scores] for p in found])
    torch.testing.assert_close(ours, logits, atol=1e-4, rtol=1e-4)
    # A score is above its threshold exactly where their rescaled number is above one half.
    for p, row in zip(found, rescaled, strict=True):
        for score, number in zip(p.scores[:2], row[:2], strict=True):
            assert (score.probability > (score.threshold or 0)) is bool(number > 0.5)


def test_the_folder_of_a_hub_with_torch_weights(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=2, in_chans=1)
    config = {
        "architecture": "resnet10t",
        "num_classes": 2,
        "pretrained_cfg": {"input_size": [1, 64, 64], "label_names": ["no", "yes"]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    model = load(tmp_path)
    assert model.labels == ("no", "yes")
    assert torch.equal(model._module.state_dict()["fc.weight"], net.state_dict()["fc.weight"])
    save_file({k: v + 1 for k, v in net.state_dict().items()}, tmp_path / "model.safetensors")
    own = load(tmp_path)._module.state_dict()["fc.weight"]
    assert torch.equal(own, net.state_dict()["fc.weight"] + 1)  # safetensors come first


TWO = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, kind="tuple"):
        super().__init__()
        self.kind, self.fc = kind, nn.Linear(64, 2)

    def forward(self, x{more}):
        y = self.fc(x.flatten(1))
        return {{"tuple": (y * 0, y), "dict": {{"aux": y * 0, "out": y}}}}[self.kind]
"""


def with_code(folder: Path, more: str = "", **changes: Any) -> Path:
    state = {"fc.weight": torch.ones(2, 64), "fc.bias": torch.tensor([1.0, 2.0])}
    folder_of(folder, state, architecture="network.py:Net", **changes)
    (folder / "network.py").write_text(TWO.format(more=more))
    return folder


@pytest.mark.parametrize(("kind", "select"), [("tuple", 1), ("tuple", -1), ("dict", "out")])
def test_one_of_several_outputs(tmp_path: Path, kind: str, select: str | int) -> None:
    model = load(with_code(tmp_path / "m", arguments={"kind": kind}, output__select=select), trust=True)
    (prediction,) = model.predict(inputs(1))
    logits = [s.logit for s in prediction.scores]
    assert logits[1] - logits[0] == pytest.approx(1, abs=1e-4)


def test_several_outputs_want_a_choice(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"several outputs; name the one with the logits in output\.select"):
        load(with_code(tmp_path / "m", arguments={}), trust=True)


def test_several_inputs_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"wants 2 inputs \(x, age\), and a study gives it one image"):
        load(with_code(tmp_path / "m", ", age", arguments={}), trust=True)
    load(with_code(tmp_path / "n", ", age=None", arguments={}, output__select=1), trust=True)


def test_weights_or_a_folder_without_a_card_lead_to_the_draft(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "m.safetensors")
    for path in (tmp_path / "m.safetensors", tmp_path):
        with pytest.raises(ModelError, match="`whyscope card` drafts"):
            load(path)
