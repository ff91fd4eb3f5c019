# SPDX-License-Identifier: Apache-2.0
"""Code beside the weights: a program that runs only where it is trusted."""

import importlib.util
import py_compile
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from model_files import folder_of

from viewer.errors import ModelError, UntrustedError
from viewer.models import load
from viewer.models.weights import sha256
from viewer.settings import Trusted

CODE = """
from pathlib import Path
from torch import nn

Path({mark!r}).touch()


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.fc = nn.Linear(64, 2)
        self.width = width

    def forward(self, x):
        return self.fc(x.flatten(1))
"""


def network(tmp_path: Path, code: str | None = None, **changes: Any) -> Path:
    changes = {"architecture": "network.py:Net", "arguments": {}} | changes
    state = {"fc.weight": torch.ones(2, 64), "fc.bias": torch.ones(2)}
    folder = folder_of(tmp_path / "m", state, **changes)
    (folder / "network.py").write_text(code or CODE.format(mark=str(tmp_path / "ran")), encoding="utf-8")
    return folder


def refusal(folder: Path, trust: bool = True) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder, trust=trust)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_code_does_not_run_without_trust(tmp_path: Path) -> None:
    folder = network(tmp_path)
    message = refusal(folder, trust=False)
    assert str(folder / "network.py") in message
    assert sha256(folder / "network.py") in message
    assert "--trust" in message
    assert not (tmp_path / "ran").exists()


def test_code_runs_where_its_bytes_and_those_of_the_weights_are_trusted(tmp_path: Path) -> None:
    folder = network(tmp_path)
    with pytest.raises(UntrustedError) as caught:
        load(folder)
    question = caught.value
    known = [Trusted(question.code, question.weights)]
    assert question.path == folder / "network.py"
    assert load(folder, trusted=known).code == question.code
    with pytest.raises(UntrustedError):
        load(folder, trusted=[Trusted(question.code, "0" * 64)])
    with (folder / "network.py").open("a", encoding="utf-8") as file:
        file.write("# more\n")
    with pytest.raises(UntrustedError):
        load(folder, trusted=known)


def test_code_runs_with_trust(tmp_path: Path) -> None:
    model = load(network(tmp_path, arguments={"width": 7}), trust=True)
    assert (tmp_path / "ran").exists()
    assert model._module.width == 7
    assert model.structure.output == (2,)


def test_trust_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = network(tmp_path)
    load(folder, trust=True)
    assert sorted(p.name for p in folder.iterdir()) == ["model.safetensors", "model.yaml", "network.py"]


def test_a_cached_program_is_not_the_one_that_was_shown(tmp_path: Path) -> None:
    folder, mark = network(tmp_path), tmp_path / "hidden"
    hidden = tmp_path / "hidden.py"
    hidden.write_text(CODE.format(mark=str(mark)), encoding="utf-8")
    cached = importlib.util.cache_from_source(str(folder / "network.py"))
    py_compile.compile(str(hidden), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    load(folder, trust=True)
    assert (tmp_path / "ran").exists()
    assert not mark.exists()
    # Python's own import would have run it: the mark can appear.
    spec = importlib.util.spec_from_file_location("shown", folder / "network.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert mark.exists()


def test_weights_are_refused_before_the_code_runs(tmp_path: Path) -> None:
    folder = network(tmp_path)
    (folder / "model.safetensors").write_bytes(b"nonsense")
    refusal(folder)
    assert not (tmp_path / "ran").exists()


def test_code_may_use_dataclasses(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass, KW_ONLY\n"
    code += CODE.format(mark=str(tmp_path / "ran")) + "\n@dataclass\nclass Facts:\n    width: int = 3\n"
    load(network(tmp_path, code), trust=True)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "division by zero"),
        ("raise ValueError()", "ValueError"),
        ("raise SystemExit(3)", "3"),
        ("import sys; sys.exit()", "SystemExit"),
        ("class Net(:", "invalid syntax"),
        ("import not_a_module_of_anybody", "not_a_module_of_anybody"),
        ("x = 1", "Net"),
        ("Net = 3", "not callable"),
        ("Net = dict", "is no torch network"),
        ("def Net(): raise RuntimeError('first line\\nsecond line')", "first line"),
        ("\0", "null bytes"),
        ("# coding: nonsense", "nonsense"),
    ],
)
def test_code_that_fails_is_told_in_a_sentence(tmp_path: Path, code: str, words: str) -> None:
    message = refusal(network(tmp_path, code))
    assert words in message
    assert "network.py:Net" in message
    assert "second line" not in message


def test_wrong_arguments_for_the_code(tmp_path: Path) -> None:
    assert "unexpected keyword argument 'depth'" in refusal(network(tmp_path, arguments={"depth": 3}))


@pytest.mark.parametrize(
    "name", ["other.py:Net", "../m/network.py:Net", "/network.py:Net", "network.py", "network:Net"]
)
def test_code_lies_beside_the_card_only(tmp_path: Path, name: str) -> None:
    refusal(network(tmp_path, architecture=name))
    assert not (tmp_path / "ran").exists()


def test_nothing_reaches_for_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any, **__: Any) -> None:
        raise AssertionError("somebody reached for the network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    for architecture in ("torchvision:fasterrcnn_resnet50_fpn", "timm:hf-hub:timm/resnet10t.c3_in1k"):
        message = refusal(folder_of(tmp_path / "m", architecture=architecture, arguments={}))
        assert "reached for the network" not in message
