# SPDX-License-Identifier: Apache-2.0
"""Weights in several files with an index: joined and hashed as one, and nothing beside them is read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from viewer.errors import ModelError
from viewer.models import draft, load
from viewer.models.weights import read_weights, sha256

SAVED = Path(__file__).parent / "transformers" / "vit"
INDEX = "model.safetensors.index.json"
NAMES = tuple(f"model-{i:05}-of-00003.safetensors" for i in (1, 2, 3))


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """A folder of transformers whose weights lie in three files, as `max_shard_size` makes it."""
    folder = Path(shutil.copytree(SAVED, tmp_path / "vit"))
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "modules.safetensors").unlink()
    where = {key: NAMES[i % 3] for i, key in enumerate(state)}
    for name in NAMES:
        save_file({key: state[key] for key in state if where[key] == name}, folder / name)
    write(folder, where)
    return folder


def write(folder: Path, where: Any) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


def where(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
    return found


def test_parts_are_joined(parted: Path) -> None:
    whole, found = load_file(SAVED / "model.safetensors"), read_weights(parted / INDEX)
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[key], whole[key]) for key in whole)
    model, other = load(parted), load(SAVED)
    own, same = model._module.state_dict(), other._module.state_dict()
    assert all(torch.equal(own[key], same[key]) for key in same)
    assert draft(parted).card["sha256"] == model.sha256 == sha256(parted / INDEX)


def test_the_hash_is_of_every_part(parted: Path) -> None:
    seen = {sha256(parted / INDEX)}
    for name in NAMES:
        state = load_file(parted / name)
        first = next(iter(state))
        save_file(state | {first: state[first] + 1}, parted / name)
        seen.add(sha256(parted / INDEX))
    assert len(seen) == 4


def test_parts_of_torch_files_are_joined(parted: Path) -> None:
    names = {name: name.replace("model", "pytorch_model").replace("safetensors", "bin") for name in NAMES}
    for name, other in names.items():
        torch.save(load_file(parted / name), parted / other)
        (parted / name).unlink()
    moved = {key: names[name] for key, name in where(parted).items()}
    (parted / INDEX).unlink()
    (parted / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": moved}))
    assert load(parted).labels == load(SAVED).labels


@pytest.mark.parametrize(
    "name",
    ["../secret.safetensors", "/etc/passwd", "sub/part.safetensors", "..\\part.safetensors", "", ".", ".."],
)
def test_what_does_not_lie_beside_the_index_is_not_read(parted: Path, name: str) -> None:
    save_file({"vit.layernorm.weight": torch.zeros(16)}, parted.parent / "secret.safetensors")
    (parted / "sub").mkdir()
    save_file({"vit.layernorm.weight": torch.zeros(16)}, parted / "sub" / "part.safetensors")
    write(parted, where(parted) | {"vit.layernorm.weight": name})
    with pytest.raises(ModelError, match="no file beside it"):
        load(parted)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSON"), ("[]", "weight_map"), ('{"weight_map": {}}', "weight_map"),
        ('{"weight_map": {"a": 3}}', "weight_map"), ("[" * 100000, "JSON"),
        (json.dumps({"weight_map": {str(i): f"{i}.safetensors" for i in range(2000)}}), "2000 files"),
    ],
)  # fmt: skip
def test_a_broken_index_is_told(parted: Path, text: str, told: str) -> None:
    (parted / INDEX).write_text(text)
    with pytest.raises(ModelError, match=told):
        load(parted)


def test_a_part_that_is_absent_or_short_is_told(parted: Path) -> None:
    listed = where(parted)
    write(parted, listed | {"vit.more": NAMES[0]})
    with pytest.raises(ModelError, match=r"vit\.more"):
        load(parted)
    write(parted, listed)
    content = (parted / NAMES[1]).read_bytes()
    (parted / NAMES[1]).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=NAMES[1]):
        load(parted)
    (parted / NAMES[1]).unlink()
    with pytest.raises(ModelError, match=f"{NAMES[1]}, not there"):
        load(parted)


def test_a_tensor_in_two_parts_is_told(parted: Path) -> None:
    state = load_file(parted / NAMES[0])
    save_file(load_file(parted / NAMES[1]) | state, parted / NAMES[1])
    with pytest.raises(ModelError, match="two parts"):
        load(parted)
