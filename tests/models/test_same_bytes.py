# SPDX-License-Identifier: Apache-2.0
"""What runs is what was hashed: programs and weights that change while a model is opened, and its digest."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from model_files import fields, folder_of, small
from safetensors.torch import save_file

from viewer.errors import ModelError
from viewer.models import Model, load
from viewer.models.weights import sha256
from viewer.settings import Trusted

loading = sys.modules["viewer.models.load"]
"""The module, whose name in its package is that of its function."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
]

CODE = """
from pathlib import Path
from torch import nn

Path({mark!r}).touch()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 2)

    def forward(self, x):
        return self.fc(x.flatten(1))
"""


class Deciding(set[Trusted]):
    """What the reader trusts: while the program asks, somebody changes a file."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change
        self.asked: list[Trusted] = []

    def __contains__(self, question: object) -> bool:
        assert isinstance(question, Trusted)
        self.asked.append(question)
        self._change()
        return True

    def __iter__(self) -> Iterator[Trusted]:
        return iter(self.asked)


def with_code(tmp_path: Path) -> Path:
    state = {"fc.weight": torch.ones(2, 64), "fc.bias": torch.ones(2)}
    folder = folder_of(tmp_path / "m", state, architecture="network.py:Net", arguments={})
    (folder / "network.py").write_text(CODE.format(mark=str(tmp_path / "shown")), "utf-8")
    return folder


def test_code_that_is_changed_after_it_was_hashed_does_not_run(tmp_path: Path) -> None:
    folder, other = with_code(tmp_path), CODE.format(mark=str(tmp_path / "hidden"))
    shown = sha256(folder / "network.py")
    trusted = Deciding(lambda: (folder / "network.py").write_text(other, "utf-8"))
    model = load(folder, trusted=trusted)
    assert [one.code for one in trusted.asked] == [shown]
    assert (tmp_path / "shown").exists()
    assert not (tmp_path / "hidden").exists()
    assert model.code == shown  # what it says it is made of is what it is made of
    assert sha256(folder / "network.py") != shown


def test_a_program_that_is_changed_after_it_was_hashed_is_refused(tmp_path: Path) -> None:
    written = fields(architecture="program", weights="model.pt")
    del written["arguments"]
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(written), "utf-8")
    path = tmp_path / "model.pt"
    for place in (path, tmp_path / "other.pt"):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).eval()
        torch.jit.save(torch.jit.script(net), place)
    trusted = Deciding(lambda: path.write_bytes((tmp_path / "other.pt").read_bytes()))
    with pytest.raises(ModelError, match=r"The program model\.pt changed while it was read; open it again\."):
        load(tmp_path, trusted=trusted)
    assert load(tmp_path, trust=True).sha256 == sha256(tmp_path / "other.pt")


def swapping(path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    """Have other weights of the same size written just before, or after, the weights are read."""
    read = loading.read_weights

    def swap() -> None:
        save_file(small(seed=seed).state_dict(), path)

    def reading(*arguments: Any) -> Any:
        if before:
            swap()
            return read(*arguments)
        found = read(*arguments)
        swap()
        return found

    monkeypatch.setattr(loading, "read_weights", reading)


@pytest.mark.parametrize("before", [True, False])
def test_weights_that_are_changed_after_they_were_hashed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    folder = folder_of(tmp_path / "m")
    with monkeypatch.context() as patched:
        swapping(folder / "model.safetensors", 7, patched, before)
        with pytest.raises(
            ModelError, match=r"The weights model\.safetensors changed while they were read; open the model"
        ):
            load(folder)
    assert load(folder).sha256 == sha256(folder / "model.safetensors")


def test_weights_that_another_file_takes_the_place_of_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = folder_of(tmp_path / "m"), tmp_path / "other.safetensors"
    other.write_bytes((folder / "model.safetensors").read_bytes())
    read = loading.read_weights

    def reading(path: Path, *arguments: Any) -> Any:
        other.replace(path)
        return read(path, *arguments)

    monkeypatch.setattr(loading, "read_weights", reading)
    with pytest.raises(ModelError, match="changed while they were read"):
        load(folder)


# --- the digest -----------------------------------------------------------------------------------


def digest_of(folder: Path, **changes: Any) -> str:
    (folder / "model.yaml").write_text(yaml.safe_dump(fields(**changes)), "utf-8")
    return load(folder).digest


def test_an_edited_card_is_another_model_though_the_weights_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    plain, weights = load(folder).digest, load(folder).sha256
    assert len(plain) == 32
    for changes in (
        {"output__thresholds": {"yes": 0.5}},
        {"output__labels": ["yes", "no"]},
        {"input__values": {"window": [40, 400]}},
        {"calibration": {"temperature": 1.5}},
        {"accepts": {"modality": ["CT"]}},
        {"explain": {"baseline": "mean.npy"}},
        {"name": "Other"},
    ):
        assert digest_of(folder, **changes) != plain, changes
        assert load(folder).sha256 == weights
    assert digest_of(folder) == plain


def test_a_card_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    plain = load(folder).digest
    path = folder / "model.yaml"
    written = yaml.safe_dump(fields(), sort_keys=False, default_flow_style=True)
    path.write_text(f"# a remark\n{written}", "utf-8")
    assert load(folder).digest == plain
    written_out = {"input__dimensions": 2, "input__fit": "squash", "output__thresholds": {}, "trained_on": ""}
    assert digest_of(folder, **written_out, calibration=None, accepts={"view": None}) == plain
    assert digest_of(folder, input__values={"window": [40, 400]}) == digest_of(
        folder, input__values={"window": [40.0, 4e2]}
    )


def test_a_model_is_the_same_wherever_it_lies_and_another_with_other_weights(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m")
    plain = load(folder).digest
    folder = folder.rename(tmp_path / "moved")
    assert load(folder).digest == plain
    save_file(small(seed=7).state_dict(), folder / "model.safetensors")
    assert load(folder).digest != plain


def test_another_program_beside_the_same_weights_is_another_model(tmp_path: Path) -> None:
    folder = with_code(tmp_path)

    def opened() -> Model:
        return load(folder, trust=True)

    plain = opened()
    with (folder / "network.py").open("a", encoding="utf-8") as file:
        file.write("# a remark: the program is its bytes\n")
    assert opened().digest != plain.digest
    assert opened().sha256 == plain.sha256
