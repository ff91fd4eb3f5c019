# SPDX-License-Identifier: Apache-2.0
"""Model files built to run code, fill the memory or lead elsewhere: none does, and each costs one sentence.

Every file is tried where models come in: `load` with and without trust, the window's loading, and `card`.
"""

import io
import json
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from model_files import fields, folder_of, small
from safetensors.torch import save_file
from torch import Tensor, nn

from viewer.errors import ModelError, UntrustedError
from viewer.models import draft, load
from viewer.settings import Settings
from viewer.ui.presenter.loading import Question, loaded

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
]

Build = Callable[[Path, Path], Path]
"""Makes a hostile file in a folder; what it would touch is the second path."""


class Payload:
    """Pickles as a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


class Whole(nn.Module):
    """A network as `torch.save(model)` keeps it."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.extra = Payload(mark)


def saved(folder: Path, content: Any, **how: Any) -> Path:
    torch.save(content, folder / "m.pt", **how)
    return folder / "m.pt"


def whole_module(folder: Path, mark: Path) -> Path:
    return saved(folder, Whole(mark))


def in_a_state_dict(folder: Path, mark: Path) -> Path:
    return saved(folder, small().state_dict() | {"bias": Payload(mark)})


def in_hyper_parameters(folder: Path, mark: Path) -> Path:
    content = {"state_dict": small().state_dict(), "hyper_parameters": {"loss": Payload(mark)}}
    return saved(folder, content | {"pytorch-lightning_version": "2.5.1"})


def in_an_optimizer(folder: Path, mark: Path) -> Path:
    optimizer = torch.optim.SGD(small().parameters(), lr=0.1).state_dict()
    optimizer["state"] = {0: {"momentum_buffer": Payload(mark)}}
    return saved(folder, {"model": small().state_dict(), "optimizer": optimizer})


def in_the_old_format(folder: Path, mark: Path) -> Path:
    content = {"state_dict": small().state_dict(), "args": Payload(mark)}
    return saved(folder, content, _use_new_zipfile_serialization=False)


def in_a_tar(folder: Path, mark: Path) -> Path:
    """The format of torch before 0.1.10: a tar of pickles."""
    with tarfile.open(folder / "m.pt", "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Payload(mark))
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return folder / "m.pt"


def behind_a_link(folder: Path, mark: Path) -> Path:
    (folder / "elsewhere").mkdir()
    (folder / "m.pt").symlink_to(in_a_state_dict(folder / "elsewhere", mark))
    return folder / "m.pt"


PICKLES: list[Build] = [
    whole_module,
    in_a_state_dict,
    in_hyper_parameters,
    in_an_optimizer,
    in_the_old_format,
    in_a_tar,
    behind_a_link,
]


def header(folder: Path, length: int, content: bytes, size: int = 0) -> Path:
    with (folder / "m.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", length) + content)
        file.truncate(max(size, file.tell()))  # a hole: no bytes on the disk
    return folder / "m.safetensors"


def long_header(folder: Path, mark: Path) -> Path:
    return header(folder, 2**62, b'{"a":1}')


def large_header(folder: Path, mark: Path) -> Path:
    return header(folder, 90 * 2**20, b'{"a":1}', 100 * 2**20)


def nested_header(folder: Path, mark: Path) -> Path:
    text = b'{"a":' * 200_000
    return header(folder, len(text), text)


def zip_bomb(folder: Path, mark: Path) -> Path:
    good = saved(folder, small().state_dict()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as archive, zipfile.ZipFile(folder / "m.pt", "w", 8) as bomb:
        for name in archive.namelist():
            bomb.writestr(name, archive.read(name) + bytes(2**27 if name.endswith("data/0") else 0))
    assert (folder / "m.pt").stat().st_size < 10**6
    return folder / "m.pt"


def index_that_leads_out(folder: Path, mark: Path) -> Path:
    save_file({"a": torch.ones(1)}, folder.parent / "outside.safetensors")
    index = {"metadata": {"total_size": 4}, "weight_map": {"head.bias": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


BOMBS: list[Build] = [long_header, large_header, nested_header, zip_bomb, index_that_leads_out]


def refusals(file: Path, architecture: str = "builtin:small-cnn") -> list[str]:
    """What each way into the program says of a file."""
    card = fields(architecture=architecture, weights=file.name)
    if architecture == "program":
        card["arguments"] = {}
    (file.parent / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return [
        refusal(lambda: load(file.parent)),
        refusal(lambda: load(file.parent, trust=True)),
        refusal(lambda: loaded(file.parent, False, Settings(), ())),
        refusal(lambda: loaded(file.parent, True, Settings(), ())),
        refusal(lambda: draft(file)),
        refusal(lambda: load(file)),  # dropped on the window without a card
    ]


def refusal(attempt: Callable[[], Any]) -> str:
    with pytest.raises(ModelError) as caught:
        attempt()
    told = str(caught.value)
    assert told.endswith(".")
    assert "\n" not in told
    assert not isinstance(caught.value, UntrustedError)
    return told


@pytest.mark.parametrize("architecture", ["builtin:small-cnn", "program"])
@pytest.mark.parametrize("build", PICKLES)
def test_nothing_pickled_ever_runs(tmp_path: Path, build: Build, architecture: str) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "m"
    folder.mkdir()
    file = build(folder, mark)
    for told in refusals(file, architecture)[:-1]:
        assert "never opened, trusted or not" in told or "neither safetensors nor a whole torch file" in told
    assert not mark.exists()
    # Opened unsafely the same file does run: the mark can appear.
    if build is in_a_tar:
        with tarfile.open(file) as tar, tar.extractfile("pickle") as data:
            pickle.load(data)  # noqa: S301
    else:
        torch.load(file, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("build", BOMBS)
def test_nothing_swells_or_leads_out(tmp_path: Path, build: Build) -> None:
    (tmp_path / "m").mkdir()
    assert len(set(refusals(build(tmp_path / "m", tmp_path / "ran")))) <= 2


# --- programs -------------------------------------------------------------------------------------


class Script(nn.Module):
    """A script that writes a file as soon as it is loaded."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark
        self.training = False

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.mark, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.mark = state[0]
        self.training = state[1]
        torch.save(torch.ones(1), state[0])

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


def test_a_script_runs_only_once_it_is_trusted(tmp_path: Path) -> None:
    mark, folder = tmp_path / "ran", folder_of(tmp_path / "m", architecture="program", weights="m.pt")
    torch.jit.save(torch.jit.script(Script(str(mark))), folder / "m.pt")
    mark.unlink(missing_ok=True)
    card = fields(architecture="program", arguments={}, weights="m.pt")
    (folder / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    with pytest.raises(UntrustedError, match="would run with your rights"):
        load(folder)
    assert isinstance(loaded(folder, False, Settings(), ()), Question)
    assert draft(folder / "m.pt").card["architecture"] == "program"
    (folder / "model.yaml").write_text(yaml.safe_dump(fields(weights="m.pt")), encoding="utf-8")
    refusal(lambda: load(folder, trust=True))  # trusted, but not named as a program
    assert not mark.exists()
    torch.jit.load(folder / "m.pt")  # the mark can appear
    assert mark.exists()


@pytest.mark.parametrize("entry", ["data/sample_inputs/model.pt", "data/weights/weight_0"])
def test_a_pickle_in_an_exported_program_never_runs(tmp_path: Path, entry: str) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "m"
    folder.mkdir()
    file = folder / "m.pt2"
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    torch.export.save(torch.export.export(net, (torch.ones(1, 1, 8, 8),)), file)
    payload = io.BytesIO()
    torch.save((Payload(mark),), payload)
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(content)).partition("/")[0]
    content[f"{root}/{entry}"] = payload.getvalue()
    if "weights" in entry:
        name = f"{root}/data/weights/model_weights_config.json"
        content[name] = content[name].replace(b'"use_pickle": false', b'"use_pickle": true')
        content[name] = content[name].replace(b'"use_pickle":false', b'"use_pickle":true')
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    card = fields(architecture="program", arguments={}, weights=file.name)
    (folder / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    with pytest.raises(UntrustedError):
        load(folder)
    assert "never opened, trusted or not" in refusal(lambda: load(folder, trust=True))
    assert "never opened, trusted or not" in refusal(lambda: loaded(folder, True, Settings(), ()))
    draft(file)
    assert not mark.exists()
    with suppress(Exception):  # it is no program any more, but by then the payload has run
        torch.export.load(file)  # unsafely: the mark can appear
    assert mark.exists()


# --- cards ----------------------------------------------------------------------------------------

TAGS = [
    "!!python/object/apply:pathlib.Path.touch [{mark}]",
    "!!python/object/new:pathlib.Path [{mark}]",
    "!!python/name:os.system",
    "!!python/module:antigravity",
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("trust", [False, True])
def test_tags_of_a_card_make_nothing(tmp_path: Path, tag: str, trust: bool) -> None:
    mark, folder = tmp_path / "ran", folder_of(tmp_path / "m")
    with (folder / "model.yaml").open("a", encoding="utf-8") as file:
        file.write(f"trained_on: {tag.format(mark=mark)}\n")
    for attempt in (lambda: load(folder, trust=trust), lambda: loaded(folder, trust, Settings(), ())):
        assert "is not valid YAML" in refusal(attempt)
    assert not mark.exists()


DANGEROUS = [
    {"pretrained": True},
    {"checkpoint_path": "evil.pt"},
    {"pretrained_cfg": {"file": "evil.pt"}},
    {"cache_dir": "/tmp"},
    {"weights": "DEFAULT"},
    {"weights_backbone": "DEFAULT"},
]


@pytest.mark.parametrize("arguments", DANGEROUS)
@pytest.mark.parametrize("hub", [False, True])
def test_arguments_that_would_open_or_fetch(tmp_path: Path, arguments: dict[str, Any], hub: bool) -> None:
    mark = tmp_path / "ran"
    folder = folder_of(tmp_path / "m", architecture="timm:resnet10t", arguments=arguments)
    in_a_state_dict(folder, mark).rename(folder / "evil.pt")
    if hub:
        (folder / "model.yaml").unlink()
        config = {"architecture": "resnet10t", "num_classes": 2, "model_args": arguments}
        (folder / "config.json").write_text(json.dumps(config))
    for trust in (False, True):
        told = refusal(lambda trust=trust: load(folder, trust=trust))  # type: ignore[misc]
        assert f"arguments.{next(iter(arguments))} is not allowed" in told
        refusal(lambda trust=trust: loaded(folder, trust, Settings(), ()))  # type: ignore[misc]
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["hf-hub:evil/net", "local-dir:/tmp/evil", "../evil", "resnet10t;import os", "__import__"]
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path / "m")
    (folder / "model.yaml").unlink()
    (folder / "config.json").write_text(json.dumps({"architecture": name, "num_classes": 2}))
    for trust in (False, True):
        refusal(lambda trust=trust: load(folder, trust=trust))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("builtin:small-cnn", {"channels": 1, "num_classes": 2 * 10**9, "widths": [2, 3]}),
        ("torchvision:resnet18", {"num_classes": 2 * 10**9}),
        ("timm:vit_tiny_patch16_224", {"img_size": 2**21}),
    ],
)
def test_a_card_that_asks_for_more_than_its_weights_takes_no_memory(
    tmp_path: Path, architecture: str, arguments: dict[str, Any]
) -> None:
    folder = folder_of(tmp_path / "m", architecture=architecture, arguments=arguments)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "do not fit the architecture" in refusal(lambda: load(folder))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes


def test_a_pipe_or_a_device_is_no_file_of_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    for name in (tmp_path / "pipe.pt", Path("/dev/zero")):
        assert "no file" in refusal(lambda name=name: draft(name))  # type: ignore[misc]
        folder = folder_of(tmp_path / "m", weights=str(name))
        assert "are not there" in refusal(lambda folder=folder: load(folder))  # type: ignore[misc]
