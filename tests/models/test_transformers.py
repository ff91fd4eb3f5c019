# SPDX-License-Identifier: Apache-2.0
"""Folders that Hugging Face's transformers saved: logits as their origin gives them, or one sentence."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from viewer.errors import ModelError
from viewer.models import draft, load
from viewer.models.model import Model
from viewer.task import Task

SAVED = Path(__file__).parent / "transformers"
NETS = sorted(path.name for path in SAVED.iterdir())
LABELS = ("normal", "pneumonia", "effusion")
PREFIX = {"vit": 1, "deit": 2, "deit-teacher": 2, "beit": 1, "dinov2": 1, "dinov2-registers": 4, "siglip": 0}
"""Tokens before those of the patches."""


def logits(model: Model, image: torch.Tensor) -> torch.Tensor:
    with model.guarded(Task()) as forward, torch.no_grad():
        found: torch.Tensor = forward(image)
    return found


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(SAVED / name, folder / name))


Change = Callable[[dict[str, Any]], None]


def changed(name: str, folder: Path, change: Change, file: str = "config.json") -> Path:
    """A folder with other settings."""
    copy = copied(name, folder)
    content = json.loads((copy / file).read_text())
    change(content)
    (copy / file).write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize("name", NETS)
def test_a_folder_opens_without_a_card_and_gives_its_origins_logits(name: str) -> None:
    model, truth = load(SAVED / name), load_file(SAVED / name / "truth.safetensors")
    torch.testing.assert_close(logits(model, truth["image"]), truth["logits"], rtol=1e-5, atol=1e-5)
    card = model.card
    assert card.output.labels == LABELS
    assert card.output.activation == "softmax"
    assert card.input.size == tuple(truth["image"].shape[2:])
    assert (card.input.mean, card.input.std) == ((0.5, 0.4, 0.3), (0.25, 0.25, 0.2))
    assert (card.input.values, card.input.fit) == ("voi", "squash")
    assert model.remarks == ()


@pytest.mark.parametrize("name", [n for n in NETS if (SAVED / n / "modules.safetensors").exists()])
def test_the_names_of_the_modules_are_read_too(name: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    shutil.move(folder / "modules.safetensors", folder / "model.safetensors")
    truth = load_file(folder / "truth.safetensors")
    torch.testing.assert_close(logits(load(folder), truth["image"]), truth["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PREFIX)
def test_its_tokens_are_where_they_are(name: str) -> None:
    model = load(SAVED / name)
    tokens = model.structure.tokens
    assert tokens is not None
    side = model.card.input.size[0] // 8
    assert (tokens.prefix, tokens.grid) == (PREFIX[name], (side, side))


@pytest.mark.parametrize("name", NETS)
def test_every_weight_of_the_file_counts(name: str, tmp_path: Path) -> None:
    """A tensor that is left out by its name is one that the classifier does not read."""
    folder = copied(name, tmp_path)
    state = load_file(folder / "model.safetensors")
    image = load_file(folder / "truth.safetensors")["image"]
    before = logits(load(folder), image)
    unread = ("mask_token", "vision_model.head.", "num_batches_tracked", "key.bias", "k_proj.bias")
    rng = np.random.default_rng(0)
    keys = [key for key in state if not any(part in key for part in unread)]
    for key in rng.choice(keys, 4, replace=False):
        other = state | {key: state[key] + torch.rand_like(state[key])}
        save_file(other, folder / "model.safetensors")
        assert not torch.equal(logits(load(folder), image), before), key


def test_the_pixels_of_other_preprocessors(tmp_path: Path) -> None:
    def of(**changes: Any) -> Any:
        def change(seen: dict[str, Any]) -> None:
            seen.update(changes)

        folder = changed("resnet-basic", tmp_path, change, "preprocessor_config.json")
        card = load(folder).card.input
        shutil.rmtree(folder)
        return card

    assert of(do_normalize=False).mean is None
    unscaled = of(do_rescale=False, image_mean=[127.5] * 3, image_std=[51] * 3)  # of grey values to 255
    np.testing.assert_allclose(unscaled.mean, 0.5)
    np.testing.assert_allclose(unscaled.std, 0.2)
    assert of(do_normalize=False, do_rescale=False).std == pytest.approx([1 / 255])
    cut = of(do_center_crop=True, crop_size={"height": 24, "width": 24}, size={"shortest_edge": 32})
    assert (cut.size, cut.fit) == ((24, 24), "crop")
    assert of(size={"shortest_edge": 40}).fit == "crop"
    assert of(size=48).size == (48, 48)


def _with_problem(problem: str, config: dict[str, Any]) -> None:
    config["problem_type"] = problem


def test_the_activation_is_that_of_the_problem(tmp_path: Path) -> None:
    for problem, wanted in (
        ("multi_label_classification", "sigmoid"), ("single_label_classification", "softmax"),
        ("regression", "none"),
    ):  # fmt: skip
        folder = changed("vit", tmp_path / problem, partial(_with_problem, problem))
        assert load(folder).card.output.activation == wanted


REFUSED: dict[str, tuple[str, Change, str]] = {
    "a type that is not read": ("vit", lambda c: c.update(model_type="levit"), "levit"),
    "no classifier": ("vit", lambda c: c.update(architectures=["ViTModel"]), "ViTModel"),
    "no classes at all": ("vit", lambda c: c.update(architectures=[]), "classifier"),
    "layers without end": ("vit", lambda c: c.update(num_hidden_layers=10**9), "num_hidden_layers"),
    "many layers": ("vit", lambda c: c.update(num_hidden_layers=60000), "num_hidden_layers"),
    "a width without end": ("vit", lambda c: c.update(hidden_size=2**40), "hidden_size"),
    "a width that is none": ("dinov2", lambda c: c.update(hidden_size="16"), "hidden_size"),
    "stages without end": ("swin", lambda c: c.update(depths=[2] * 1000), "depths"),
    "deep stages": ("convnext", lambda c: c.update(depths=[60000, 1, 2, 1]), "depths"),
    "an image without end": ("beit", lambda c: c.update(image_size=60000), "60000"),
    "a negative patch": ("vit", lambda c: c.update(patch_size=-8), "patch_size"),
    "a true width": ("vit", lambda c: c.update(hidden_size=True), "hidden_size"),
    "an unknown activation": ("vit", lambda c: c.update(hidden_act="open('/etc')"), "transformers:vit"),
    "labels with a hole": ("vit", lambda c: c.update(id2label={"0": "a", "2": "b"}), "id2label"),
    "labels that are none": ("vit", lambda c: c.update(id2label=["a"]), "id2label"),
    "other labels than weights": ("vit", lambda c: c.update(id2label={"0": "a", "1": "b"}), "do not fit"),
    "another network than the weights": ("vit", lambda c: c.update(num_hidden_layers=3), "Missing"),
    "another size than its preprocessor": ("vit", lambda c: c.update(image_size=64), "32 × 32"),
    "an odd kind of block": ("resnet-basic", lambda c: c.update(layer_type="plain"), "layer_type"),
    "a wide odd block": ("resnet-bottleneck", lambda c: c.update(hidden_sizes=[8, 12, 16, 25]), "25"),
    "absolute positions": ("swin", lambda c: c.update(use_absolute_embeddings=True), "absolute"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_fit_nothing_are_told_in_one_sentence(what: str, tmp_path: Path) -> None:
    name, change, told = REFUSED[what]
    with pytest.raises(ModelError) as caught:
        load(changed(name, tmp_path, change))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_without_a_preprocessor_the_pixels_are_not_guessed(tmp_path: Path) -> None:
    folder = copied("vit", tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"input\.mean.*preprocessor_config\.json"):
        load(folder)


def test_a_card_is_drafted_from_the_folder(tmp_path: Path) -> None:
    whole, folder = draft(SAVED / "swin"), copied("swin", tmp_path)
    assert whole.to_fill == ()
    (folder / "preprocessor_config.json").unlink()
    assert draft(folder).to_fill == ("input.values", "input.fit", "input.mean", "input.std")
    (folder / "model.yaml").write_text(whole.text())
    image = load_file(folder / "truth.safetensors")["image"]
    assert torch.equal(logits(load(folder), image), logits(load(SAVED / "swin"), image))


@pytest.mark.parametrize("text", ["[]", "{", '{"image_processor": 3}', "[" * 100000])
def test_a_broken_preprocessor_is_told(text: str, tmp_path: Path) -> None:
    folder = copied("vit", tmp_path)
    (folder / "preprocessor_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        load(folder)


def test_tensors_that_cannot_be_joined_are_told(tmp_path: Path) -> None:
    folder = copied("vit", tmp_path)
    state = load_file(folder / "model.safetensors")
    key = "vit.encoder.layer.0.attention.attention.key.weight"
    save_file(state | {key: torch.zeros(16, 3)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="do not fit"):
        load(folder)
    save_file({k: v for k, v in state.items() if k != key}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="do not fit"):
        load(folder)
