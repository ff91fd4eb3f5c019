# SPDX-License-Identifier: Apache-2.0
"""`whyscope card`: the architecture told from names and shapes, and a card that opens once completed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from model_files import inputs, small
from program import Whyscope
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from viewer import dicom
from viewer.errors import ModelError
from viewer.models import draft, load
from viewer.models.architectures import build
from viewer.models.card import read_card
from viewer.models.card_values import TO_FILL
from viewer.models.recognise import recognise

NAMES = [
    ("torchvision:resnet18", {"num_classes": 2}),
    ("torchvision:resnet50", {"num_classes": 14, "channels": 1}),
    ("torchvision:wide_resnet50_2", {"num_classes": 3}),
    ("torchvision:densenet169", {"num_classes": 14, "channels": 1}),
    ("torchvision:vgg11_bn", {"num_classes": 4}),
    ("torchvision:alexnet", {"num_classes": 4}),
    ("torchvision:squeezenet1_1", {"num_classes": 4}),
    ("torchvision:mobilenet_v2", {"num_classes": 4}),
    ("torchvision:mobilenet_v3_small", {"num_classes": 4, "channels": 1}),
    ("torchvision:efficientnet_b1", {"num_classes": 4}),
    ("torchvision:shufflenet_v2_x0_5", {"num_classes": 4}),
    ("torchvision:convnext_small", {"num_classes": 4}),
    ("torchvision:swin_v2_t", {"num_classes": 4}),
    ("torchvision:vit_b_32", {"image_size": 160, "num_classes": 4}),
    ("torchvision:r3d_18", {"num_classes": 4, "channels": 1}),
    ("torchvision:fcn_resnet50", {"aux_loss": True, "num_classes": 4}),
    ("torchvision:googlenet", {"aux_logits": False, "init_weights": False, "num_classes": 4}),
    ("timm:resnet26d", {"num_classes": 2, "in_chans": 1}),
    ("timm:vit_tiny_patch16_224", {"img_size": 160, "num_classes": 5, "in_chans": 1}),
    ("timm:vit_base_patch32_224", {"img_size": 160, "num_classes": 5}),
    ("timm:vit_large_patch16_224", {"img_size": 160, "num_classes": 5}),
    ("timm:vit_small_patch14_reg4_dinov2", {"img_size": 224, "num_classes": 5}),
    ("timm:deit_tiny_distilled_patch16_224", {"img_size": 224, "num_classes": 5}),
    ("timm:swin_tiny_patch4_window7_224", {"num_classes": 5}),
    ("timm:efficientnet_b0", {"num_classes": 5, "in_chans": 1}),
    ("timm:convnext_nano", {"num_classes": 5}),
    ("timm:regnety_004", {"num_classes": 5}),
    ("builtin:small-cnn", {"channels": 2, "num_classes": 3, "widths": [4, 5], "dimensions": 3}),
    ("builtin:resnet-cifar", {"depth": 32, "num_classes": 10}),
    ("builtin:meshnet", {
        "channels": 7, "num_classes": 4, "dilations": [1, 2, 4, 8, 16, 8, 4, 2, 1], "activation": "relu",
    }),
]  # fmt: skip


def outline(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):
        return build(architecture, arguments)


@pytest.mark.parametrize(("architecture", "arguments"), NAMES, ids=[name for name, _ in NAMES])
def test_an_architecture_is_told_by_names_and_shapes(architecture: str, arguments: dict[str, Any]) -> None:
    state = outline(architecture, dict(arguments)).state_dict()
    wrapped = {f"backbone.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    for some in (state, wrapped):
        guess = recognise(some)
        assert guess is not None
        assert (guess.architecture, guess.arguments, guess.fits) == (architecture, arguments, True)
        assert guess.known["count"] == arguments["num_classes"]
        channels = arguments.get("channels", arguments.get("in_chans", 3))
        assert guess.known["channels"] == (1 if "meshnet" in architecture else channels)
        side = arguments.get("img_size", arguments.get("image_size"))
        assert guess.known["size"] == (None if side is None else [side, side])
    assert guess.known["select"] == ("out" if "fcn" in architecture else None)


def test_one_tensor_more_or_of_another_shape_does_not_fit() -> None:
    state = outline("torchvision:resnet18", {"num_classes": 2}).state_dict()
    more = recognise(state | {"fc2.weight": torch.empty(2, 2)})
    assert more is not None
    assert (more.architecture, more.fits) == ("torchvision:resnet18", False)
    other = recognise(state | {"layer1.0.conv1.weight": torch.empty(64, 64, 5, 5)})
    assert other is not None
    assert not other.fits
    assert recognise({"a.weight": torch.empty(2, 2)}) is None


def test_one_patch_tells_no_side() -> None:
    """An image that is one patch, or features without an image, has no grid from which to tell its side."""
    state = outline("timm:vit_tiny_patch16_224", {"img_size": 32, "num_classes": 5}).state_dict()
    sides = []
    for tokens in (5, 2, 1):
        guess = recognise(state | {"pos_embed": torch.empty(1, tokens, 192)})
        sides.append(None if guess is None else guess.known["size"])
    assert sides == [[32, 32], None, None]


def test_what_a_file_cannot_tell_is_said() -> None:
    guess = recognise(outline("timm:efficientnet_b0", {}).state_dict())
    assert guess is not None
    assert "timm:tf_efficientnet_b0, which pads in another way" in guess.remarks[0]


def completed(path: Path, **values: Any) -> Path:
    """A drafted card with its marked fields filled in by hand, e.g. `input__size`; nothing else changes."""
    card = yaml.safe_load(path.read_text())
    for name, value in values.items():
        *parts, last = name.split("__")
        part = card
        for key in parts:
            part = part[key]
        assert part[last] == TO_FILL, name
        part[last] = value
    path.write_text(yaml.safe_dump(card, sort_keys=False))
    return path


def test_a_draft_opens_once_it_is_completed(tmp_path: Path, whyscope: Whyscope) -> None:
    save_file(small().state_dict(), tmp_path / "m.safetensors")
    card = tmp_path / "model.yaml"
    assert whyscope("card", tmp_path / "m.safetensors", "--out", card).status == 0
    with pytest.raises(ModelError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        "model.yaml is a draft; complete its fields input.size, input.values, input.mean, input.std, "
        "output.labels, output.activation."
    )
    completed(card, input__size=[8, 8], input__values="hu", input__mean=None, input__std=None)
    with pytest.raises(ModelError, match=r"complete its fields output\.labels, output\.activation\.$"):
        load(tmp_path)
    completed(card, output__labels=["no", "yes"], output__activation="softmax")
    (prediction,) = load(tmp_path).predict(inputs(1))
    with torch.no_grad():
        expected = small().eval()(inputs(1)[0].tensor)[0]
    assert [s.logit for s in prediction.scores] == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_draft_as_json_and_as_text_say_the_same(tmp_path: Path, whyscope: Whyscope) -> None:
    save_file(small().state_dict(), tmp_path / "m.safetensors")
    text = whyscope("card", tmp_path / "m.safetensors")
    document = whyscope("card", tmp_path, "--json").document
    assert yaml.safe_load(text.out) == document["card"]
    assert document["card"]["architecture"] == "builtin:small-cnn"
    assert document["to_fill"][0] == "input.size"
    assert document["remarks"] == ["All 14 tensors fit builtin:small-cnn, names and shapes."]


def test_a_card_that_is_there_is_left_alone(tmp_path: Path, whyscope: Whyscope) -> None:
    save_file(small().state_dict(), tmp_path / "m.safetensors")
    (tmp_path / "model.yaml").write_text("mine")
    said = whyscope("card", tmp_path, "--out", tmp_path / "model.yaml")
    assert said.status == 1
    assert "is there already" in said.err
    assert (tmp_path / "model.yaml").read_text() == "mine"


def test_a_card_in_another_folder_finds_the_weights(tmp_path: Path, whyscope: Whyscope) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    save_file(small().state_dict(), tmp_path / "a/m.safetensors")
    card = tmp_path / "b/model.yaml"
    assert whyscope("card", tmp_path / "a", "--out", card).status == 0
    assert read_yaml(card)["weights"] == "../a/m.safetensors"
    completed(card, input__size=[8, 8], input__values="hu", input__mean=None, input__std=None)
    assert load(completed(card, output__labels=["a", "b"], output__activation="none")).labels == ("a", "b")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_a_folder_with_two_files_wants_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is: none"):
        draft(tmp_path)
    for name in ("a.pt", "b.pt"):
        torch.save(small().state_dict(), tmp_path / name)
    with pytest.raises(ModelError, match=r"there is: a\.pt, b\.pt"):
        draft(tmp_path)


def test_names_in_a_file_write_no_lines_of_their_own(tmp_path: Path) -> None:
    odd = tmp_path / "x\narchitecture: network.py:Evil\n#.pt"
    torch.save({"ema": small().state_dict(), "model": {"a\nb: c": torch.ones(2)}}, odd)
    text = draft(odd).text()
    assert yaml.safe_load(text)["architecture"] == TO_FILL
    assert sum(line.startswith("architecture") for line in text.splitlines()) == 1


def test_a_net_of_torchxrayvision(tmp_path: Path) -> None:
    net = torchvision_models.densenet121(num_classes=3)
    net.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    points = torch.tensor([0.25, 0.5, torch.nan])
    save_file(net.state_dict() | {"op_threshs": points}, tmp_path / "xrv.safetensors")
    made = draft(tmp_path)
    assert made.card["architecture"] == "torchvision:densenet121"
    assert made.card["arguments"] == {"num_classes": 3, "channels": 1}
    assert made.card["output"]["activation"] == "sigmoid"
    assert "{0: 0.25, 1: 0.5}" in made.remarks[-1]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_program_is_drafted_without_running_it(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), tmp_path / "m.pt")
    made = draft(tmp_path)
    assert made.card["architecture"] == "program"
    assert "only where it is trusted" in made.remarks[0]


# --- real weights ---------------------------------------------------------------------------------

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.mark.shared
def test_the_card_of_the_real_resnet20(tmp_path: Path, shared: Path, whyscope: Whyscope) -> None:
    shutil.copy(shared / "weights/cifar-resnet20/pretrained_models/resnet20-12fca82f.th", tmp_path)
    card = tmp_path / "model.yaml"
    assert whyscope("card", tmp_path, "--out", card).status == 0
    completed(
        card,
        input__size=[32, 32],
        input__values={"range": [0, 1]},
        input__mean=[0.485, 0.456, 0.406],
        input__std=[0.229, 0.224, 0.225],
        output__labels=CIFAR,
        output__activation="softmax",
    )
    drafted, written = (
        read_card(card),
        read_card(Path(__file__).parents[1] / "cards/cifar-resnet20/model.yaml"),
    )
    for field in ("architecture", "arguments", "weights", "sha256", "weights_key", "input", "output"):
        assert getattr(drafted, field) == getattr(written, field), field
    study = shared / "cxr-png/00000129_000.png"
    said = whyscope(
        "explain", study, "--model", tmp_path, "--method", "grad-cam", "--out", tmp_path / "o", "--json"
    )
    assert said.status == 0
    assert said.document["attributions"][0]["layer"] == "layer3"


@pytest.mark.shared
def test_the_card_of_the_real_meshnet_explains_a_volume(
    tmp_path: Path, shared: Path, whyscope: Whyscope
) -> None:
    shutil.copy(shared / "weights/brainchop/model5_gw_ae/model.pth", tmp_path)
    card = tmp_path / "model.yaml"
    assert whyscope("card", tmp_path, "--out", card).status == 0
    completed(
        card,
        input__size=[40, 48, 32],
        input__values={"percentiles": [2, 98]},
        input__mean=None,
        input__std=None,
        input__spacing=[1, 1, 1],
        input__orientation="AFL",
        output__labels=["background", "white matter", "grey matter"],
        output__activation="softmax",
    )
    model = load(tmp_path)
    assert model.structure.output == (3, 40, 48, 32)
    study = shared / "dicom/mr-t1-oblique"
    source = dicom.scan([study]).series[0]
    made = model.prepare(source)
    said = whyscope(
        "explain", study, "--model", tmp_path, "--method", "saliency", "--target", "grey matter",
        "--out", tmp_path / "o", "--json",
    )  # fmt: skip
    assert said.status == 0, said.err
    (entry,) = said.document["attributions"]
    with np.load(tmp_path / "o" / entry["files"]["npz"]) as arrays:
        native, laid = arrays["native"], arrays["map"]
    assert native.shape == (40, 48, 32)
    assert native.max() > 0
    # On the slices of the series the map covers the voxels that were read, and no others.
    assert laid.shape == source.shape
    index = np.stack([*np.indices(source.shape), np.ones(source.shape)], -1)
    place = (index @ np.linalg.inv(made.matrix).T)[..., :3]
    inside = ((place >= -0.5) & (place <= np.array(made.shape) - 0.5)).all(-1)
    assert inside.sum() > 1000
    assert np.array_equal(np.isfinite(laid), inside)
    assert made.shape == (40, 48, 32)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "facts"),
    [
        ("brainchop/model18cls/model.pth", {"architecture": "builtin:meshnet", "count": 18}),
        (
            "brainchop/mindgrab/model.pth",
            {"architecture": TO_FILL, "dimensions": 3, "channels": 1, "count": 2},
        ),
        ("cxr-tinyvgg/models/pneumonia_model.pth", {"architecture": TO_FILL, "channels": 3, "count": 2}),
        ("mnist-vit/mnist_vit.pth", {"architecture": TO_FILL, "channels": 1, "size": [28, 28], "count": 10}),
        (
            "dianna/tests/test_data/mnistnet_training_checkpoint.pt",
            {"architecture": TO_FILL, "channels": 1, "count": 2, "weights_key": "model_state_dict"},
        ),
    ],
)
def test_drafts_of_other_real_weights(shared: Path, file: str, facts: dict[str, Any]) -> None:
    made = draft(shared / "weights" / file)
    found = {**made.card, **made.card["input"], "count": int(made.notes["labels"].split()[0])}
    assert {key: found[key] for key in facts} == facts
