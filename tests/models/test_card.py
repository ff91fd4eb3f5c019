# SPDX-License-Identifier: Apache-2.0
"""The model card: every field, and messages that name the field at fault."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from model_files import fields, series
from numpy import zeros
from safetensors.torch import save_file

from viewer.errors import ModelError
from viewer.models import load
from viewer.models.card import AttentionFacts, find_card, read_card
from viewer.models.card_values import WindowValues

CARDS = Path(__file__).parents[1] / "cards"
FULL = """
name: Chest CNN
architecture: torchvision:densenet121
arguments: {num_classes: 2}
weights: model.safetensors
sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
weights_key: model_state
input:
  dimensions: 2
  channels: 3
  size: [224, 192]
  fit: pad
  values: {window: [40, 400]}
  clip: [-1000, 1000]
  mean: [0.4, 0.5, 0.6]
  std: [0.2]
  spacing: [0.5, 0.6]
  orientation: LP
  neighbours: 1
output: {labels: [mass, nodule], activation: sigmoid, thresholds: {mass: 0.4}, select: logits}
explain: {layers: [features.norm5], attention: {prefix: 1, grid: [14, 12], pool: mean}}
accepts: {modality: [CR, DX], body_part: [CHEST], view: [PA, AP]}
trained_on: Some X-rays.
measured: {auc: 0.97, on: a test set}
calibration: {temperature: 1.5}
intended_use: Research.
"""


def written(tmp_path: Path, text: str | bytes, name: str = "model.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def fault(tmp_path: Path, **changes: Any) -> str:
    """What is said of the small card with changes."""
    with pytest.raises(ModelError) as caught:
        read_card(written(tmp_path, yaml.safe_dump(fields(**changes))))
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message


def test_every_field(tmp_path: Path) -> None:
    card = read_card(written(tmp_path, FULL))
    assert card.name == "Chest CNN"
    assert card.architecture == "torchvision:densenet121"
    assert card.arguments == {"num_classes": 2}
    assert card.weights == "model.safetensors"
    assert card.sha256 == "0123456789abcdef" * 4
    assert card.weights_key == "model_state"
    assert (card.input.dimensions, card.input.channels, card.input.size) == (2, 3, (224, 192))
    assert card.input.fit == "pad"
    assert card.input.values == WindowValues(window=(40, 400))
    assert card.input.clip == (-1000, 1000)
    assert (card.input.mean, card.input.std) == ((0.4, 0.5, 0.6), (0.2,))
    assert card.input.spacing == (0.5, 0.6)
    assert (card.input.orientation, card.input.neighbours) == ("LP", 1)
    assert card.output.labels == ("mass", "nodule")
    assert (card.output.activation, card.output.select) == ("sigmoid", "logits")
    assert card.output.thresholds == {"mass": 0.4}
    assert card.explain.layers == ("features.norm5",)
    assert card.explain.attention == AttentionFacts(prefix=1, grid=(14, 12), pool="mean")
    assert card.accepts.modality == ("CR", "DX")
    assert (card.accepts.body_part, card.accepts.view) == (("CHEST",), ("PA", "AP"))
    assert (card.trained_on, card.intended_use) == ("Some X-rays.", "Research.")
    assert card.measured == {"auc": 0.97, "on": "a test set"}
    assert card.calibration is not None
    assert card.calibration.temperature == 1.5


def test_what_may_be_left_out(tmp_path: Path) -> None:
    card = read_card(written(tmp_path, yaml.safe_dump(fields())))
    assert card.sha256 is card.weights_key is card.calibration is card.measured is None
    assert card.input.clip is card.input.mean is card.input.std is card.input.spacing is None
    assert (card.input.fit, card.input.dimensions, card.input.neighbours) == ("squash", 2, 0)
    assert card.output.thresholds == {}
    assert card.explain.layers == ()
    assert card.accepts.modality is None


@pytest.mark.parametrize("values", ["voi", "hu", {"range": [0, 1]}, {"percentiles": [2, 98]}])
def test_the_ways_to_values(tmp_path: Path, values: Any) -> None:
    card = read_card(written(tmp_path, yaml.safe_dump(fields(input__values=values))))
    told = card.input.values if isinstance(card.input.values, str) else card.input.values.model_dump()
    assert told == (values if isinstance(values, str) else {k: tuple(v) for k, v in values.items()})


def test_plain_words_are_text(tmp_path: Path) -> None:
    text = yaml.safe_dump(fields()).replace("'no'", "no").replace("'yes'", "Off")
    assert "- no\n  - Off" in text
    card = read_card(written(tmp_path, text + "trained_on: 2024-05-06\n"))
    assert card.output.labels == ("no", "Off")
    assert card.trained_on == "2024-05-06"


def test_booleans_are_true_and_false(tmp_path: Path) -> None:
    text = yaml.safe_dump(fields(arguments={"a": True, "b": False}))
    assert read_card(written(tmp_path, text)).arguments == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("changes", "field", "meant"),
    [
        ({"architectur": "x"}, "architectur", "architecture"),
        ({"input__sizes": [8, 8]}, "input.sizes", "input.size"),
        ({"labels": ["a"]}, "labels", "output.labels"),
        ({"output__treshold": {}}, "output.treshold", "output.thresholds"),
        ({"calibration": {"temprature": 2}}, "calibration.temprature", "calibration.temperature"),
        ({"input__values": {"windw": [40, 400]}}, "input.values.windw", "input.values.window"),
        ({"explain__attention": {"prefx": 1}}, "explain.attention.prefx", "explain.attention.prefix"),
    ],
)
def test_an_unknown_field_is_named_with_what_was_meant(
    tmp_path: Path, changes: dict[str, Any], field: str, meant: str
) -> None:
    assert fault(tmp_path, **changes) == (
        f"model.yaml: the field {field!r} is unknown; did you mean {meant!r}?"
    )


def test_an_unknown_field_like_nothing_is_named(tmp_path: Path) -> None:
    assert fault(tmp_path, qqqq=1) == "model.yaml: the field 'qqqq' is unknown."


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    card = fields()
    del card["output"]["labels"]
    with pytest.raises(ModelError, match=r"the field 'output\.labels' is missing"):
        read_card(written(tmp_path, yaml.safe_dump(card)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": 3}, "name"),
        ({"name": ""}, "name"),
        ({"arguments": [1]}, "arguments"),
        ({"sha256": "abc"}, "sha256"),
        ({"weights": None}, "weights"),
        ({"input__dimensions": 4}, "input.dimensions"),
        ({"input__channels": 0}, "input.channels"),
        ({"input__channels": 1.5}, "input.channels"),
        ({"input__size": "big"}, "input.size"),
        ({"input__size": [8, "x"]}, "input.size.1"),
        ({"input__fit": "stretch"}, "input.fit"),
        ({"input__values": "vio"}, "input.values"),
        ({"input__values": {"window": [40, 0]}}, "input.values.window.1"),
        ({"input__values": {"percentiles": [98, 2]}}, "input.values"),
        ({"input__values": {"percentiles": [-1, 98]}}, "input.values"),
        ({"input__values": {"range": [1, 1]}}, "input.values"),
        ({"input__values": {"range": [0, float("inf")]}}, "input.values.range.1"),
        ({"input__std": [0]}, "input.std.0"),
        ({"input__mean": [float("nan")]}, "input.mean.0"),
        ({"input__spacing": [1, -1]}, "input.spacing.1"),
        ({"input__neighbours": -1}, "input.neighbours"),
        ({"output__labels": []}, "output.labels"),
        ({"output__labels": "mass"}, "output.labels"),
        ({"output__labels": [1, 2]}, "output.labels.0"),
        ({"output__activation": "relu"}, "output.activation"),
        ({"output__thresholds": {"yes": "high"}}, "output.thresholds.yes"),
        ({"explain__layers": "all"}, "explain.layers"),
        ({"accepts__modality": "CT"}, "accepts.modality"),
        ({"calibration": {"temperature": 0}}, "calibration.temperature"),
        ({"calibration": 2}, "calibration"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    assert f"the field {field!r}: " in fault(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input__size": [8]}, "size wants 2 numbers"),
        ({"input__size": [8, 0]}, "size wants 2 numbers"),
        ({"input__dimensions": 3}, "size wants 3 numbers"),
        ({"input__size": [100_000, 100_000]}, "more numbers than memory can hold"),
        ({"input__spacing": [1, 1, 1], "input__fit": "pad"}, "spacing wants 2 numbers"),
        ({"input__spacing": [1, 1]}, "contradict each other"),
        ({"input__channels": 3, "input__mean": [0.1, 0.2]}, "mean wants 1 or 3 numbers"),
        ({"input__channels": 3, "input__std": [0.1, 0.2]}, "std wants 1 or 3 numbers"),
        ({"input__clip": [1, 0]}, "clip wants two rising numbers"),
        ({"input__neighbours": 1}, "neighbours wants"),
        ({"input__orientation": "LL"}, "orientation wants 2 letters"),
        ({"input__orientation": "LR"}, "orientation wants 2 letters"),
        ({"input__orientation": "LPH"}, "orientation wants 2 letters"),
        ({"input__orientation": "XY"}, "orientation wants 2 letters"),
        ({"output__labels": ["a", "a"]}, "labels wants every name once"),
        ({"output__thresholds": {"maybe": 0.5}}, "thresholds names 'maybe', which is not a label"),
        ({"output__labels": ["yes"]}, "softmax of a single label is always 1"),
    ],
)
def test_fields_that_do_not_go_together(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in fault(tmp_path, **changes)


def test_superior_and_inferior_are_head_and_feet(tmp_path: Path) -> None:
    card = fields(input__dimensions=3, input__size=[8, 8, 8], input__orientation="lpS")
    assert read_card(written(tmp_path, yaml.safe_dump(card))).input.orientation == "LPH"


# --- hostile files --------------------------------------------------------------------------------


def test_a_yaml_bomb_is_refused_at_once(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    text = yaml.safe_dump(fields()) + "measured:\n" + "".join(f"  {row}\n" for row in rows)
    with pytest.raises(ModelError, match=r"not valid YAML at line [0-9]+: aliases are not allowed"):
        read_card(written(tmp_path, text))


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a field is given twice"):
        read_card(written(tmp_path, yaml.safe_dump(fields()) + "name: Other\n"))


def test_yaml_builds_no_objects(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{mark}']]"
    with pytest.raises(ModelError, match="not valid YAML"):
        read_card(written(tmp_path, text))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * (1024**2 + 1), "too large for a model card"),
        (b"- a\n- b\n", "it holds no fields"),
        (b"", "it holds no fields"),
        (b"just words", "it holds no fields"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "cannot be read as text"),
        (b"a: [1, 2", "not valid YAML at line 1"),
        (b"a: b: c", "not valid YAML at line 1: mapping values are not allowed here"),
        (b"[" * 100_000, "not valid YAML"),
        (b"? {a: 1}\n: 2\n", "not valid YAML"),
        (b"a: \x07", "not valid YAML"),
    ],
)
def test_what_is_no_card(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_card(written(tmp_path, content))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelError, match=r"config\.json (is not valid JSON|cannot be read as text)"):
        read_card(written(tmp_path, content, "config.json"))


def test_finding_the_card(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model at"):
        find_card(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"holds no model\.yaml"):
        find_card(tmp_path)
    config = written(tmp_path, "{}", "config.json")
    assert find_card(tmp_path) == config
    card = written(tmp_path, FULL)
    assert find_card(tmp_path) == card
    assert find_card(config) == config


# --- a folder as timm and Hugging Face write it ---------------------------------------------------

CONFIG: dict[str, Any] = {
    "architecture": "resnet10t",
    "num_classes": 3,
    "label_names": ["cat", "dog", "eel"],
    "pretrained_cfg": {
        "input_size": [3, 64, 48],
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
        "num_classes": 3,
    },
}


def hub_folder(tmp_path: Path, config: dict[str, Any], **arguments: Any) -> Path:
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=3, **arguments)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    written(tmp_path, json.dumps(config), "config.json")
    return tmp_path


def test_a_timm_folder_opens_without_a_card(tmp_path: Path) -> None:
    model = load(hub_folder(tmp_path, CONFIG))
    assert model.name == tmp_path.name
    assert model.labels == ("cat", "dog", "eel")
    assert model.input_shape == (3, 64, 48)
    assert (model.card.input.mean, model.card.input.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    source = series(zeros((1, 80, 80), "uint8"), windows=())
    (prediction,) = model.predict([model.prepare(source)])
    assert sum(s.probability for s in prediction.scores) == pytest.approx(1)


def test_a_timm_folder_with_one_channel(tmp_path: Path) -> None:
    config = CONFIG | {"pretrained_cfg": {"input_size": [1, 32, 32], "mean": [0.5], "std": [0.2]}}
    model = load(hub_folder(tmp_path, config, in_chans=1))
    assert model.input_shape == (1, 32, 32)


def test_a_timm_folder_with_arguments_and_no_names(tmp_path: Path) -> None:
    config = {k: v for k, v in CONFIG.items() if k != "label_names"} | {"model_args": {"stem_type": ""}}
    model = load(hub_folder(tmp_path, config, stem_type=""))
    assert model.labels == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "vit"},
        {"architecture": 3},
        CONFIG | {"pretrained_cfg": 3},
        CONFIG | {"pretrained_cfg": {"input_size": "big"}},
        CONFIG | {"pretrained_cfg": {"input_size": [3, "x", 4]}},
        CONFIG | {"num_classes": "many"},
        CONFIG | {"num_classes": 10**12},
        CONFIG | {"model_args": [1]},
        CONFIG | {"label_names": 3},
        CONFIG | {"label_names": ["one"]},
        CONFIG | {"model_args": {"checkpoint_path": "/somewhere"}},
        CONFIG | {"architecture": "hf-hub:someone/something"},
    ],
)
def test_a_bad_hub_config_is_told_in_a_sentence(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        load(hub_folder(tmp_path, config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", sorted(CARDS.glob("*/model.yaml")), ids=lambda path: path.parent.name)
def test_every_card_of_real_weights_says_what_it_must(path: Path) -> None:
    card = read_card(path)
    assert card.sha256 is not None
    assert card.trained_on
    assert card.intended_use
    assert card.measured
    assert card.accepts.modality
    assert "/" not in card.weights
