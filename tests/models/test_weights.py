# SPDX-License-Identifier: Apache-2.0
"""Reading weights: told by content, checked, and nothing in them ever runs."""

import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from model_files import folder_of, small
from safetensors.torch import save, save_file
from torch import Tensor, nn

from viewer.errors import ModelError
from viewer.models import load
from viewer.models.weights import fit, read_weights, sha256


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def refusal(path: Path, key: str | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        read_weights(path, key)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert path.name in message
    return message


def saved(path: Path, content: Any, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


# --- containers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth", "model", "model.txt", "model.zip"])
def test_safetensors_whatever_the_name(tmp_path: Path, name: str) -> None:
    state = small().state_dict()
    save_file(state, tmp_path / name)
    assert equal(dict(sorted(state.items())), dict(sorted(read_weights(tmp_path / name).items())))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_torch_files_of_both_kinds(tmp_path: Path, zipped: bool, name: str) -> None:
    state = small().state_dict()
    path = saved(tmp_path / name, state, _use_new_zipfile_serialization=zipped)
    assert (path.read_bytes()[:2] == b"PK") is zipped
    assert equal(read_weights(path), state)


def test_parameters_and_half_precision(tmp_path: Path) -> None:
    state = {"a": nn.Parameter(torch.ones(2)), "b": torch.ones(2, dtype=torch.bfloat16)}
    state["c"] = torch.ones(2, dtype=torch.float8_e4m3fn)
    read = read_weights(saved(tmp_path / "m.pt", state))
    assert [t.dtype for t in read.values()] == [torch.float32, torch.bfloat16, torch.float8_e4m3fn]


def test_newer_pickles_of_tensors(tmp_path: Path) -> None:
    state = small().state_dict()
    assert equal(read_weights(saved(tmp_path / "m.pt", state, pickle_protocol=3)), state)


def test_a_symlink_is_followed(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "blob")
    folder = folder_of(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    assert load(folder).sha256 == sha256(tmp_path / "blob")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "model_state", "weights"])
def test_usual_wrappers_are_found(tmp_path: Path, wrapper: str, prefix: str, zipped: bool) -> None:
    state = small().state_dict()
    content = {
        "epoch": 3,
        wrapper: OrderedDict((prefix + k, v) for k, v in state.items()),
        "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]},
    }
    path = saved(tmp_path / "m.pt", content, _use_new_zipfile_serialization=zipped)
    assert equal(read_weights(path), state)
    assert equal(read_weights(path, wrapper), state)


def test_wrappers_in_wrappers(tmp_path: Path) -> None:
    state = small().state_dict()
    path = saved(tmp_path / "m.pt", {"mine": {"model": {"state_dict": state, "epoch": 1}}})
    assert "name the entry that does in weights_key" in refusal(path)
    assert equal(read_weights(path, "mine"), state)
    assert equal(read_weights(saved(path, {"model": {"state_dict": state}})), state)


def test_a_wrapper_in_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {"epoch": 1}
    content["model"] = content
    assert "hold no state dict" in refusal(saved(tmp_path / "m.pt", content))


def test_module_is_dropped_only_from_all_names(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(read_weights(saved(tmp_path / "m.pt", state))) == ["module.a", "b"]


def test_a_wrong_key_lists_what_is_there(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", {"epoch": 3, "net": {"a": torch.ones(1)}})
    assert refusal(path, "model") == "The weights m.pt have no entry 'model'; there is: epoch, net."
    assert refusal(path, "epoch") == "The weights m.pt have no entry 'epoch'; there is: epoch, net."
    assert list(read_weights(path, "net")) == ["a"]


@pytest.mark.parametrize(
    "content",
    [{}, {"epoch": 3}, [torch.ones(1)], torch.ones(3), 3, {"a": torch.ones(1), "b": "text"}, {"model": 3}],
)
def test_no_state_dict(tmp_path: Path, content: Any) -> None:
    assert "hold no state dict" in refusal(saved(tmp_path / "m.pt", content))


# --- damage ---------------------------------------------------------------------------------------


def test_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"")
    assert refusal(tmp_path / "m.pt") == "The weights m.pt are empty (0 bytes); copy the file again."


def test_not_there(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "m.pt")
    (tmp_path / "folder").mkdir()
    assert "cannot be read: Is a directory" in refusal(tmp_path / "folder")


def _zip(state: dict[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def _legacy(state: dict[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.mark.parametrize("kind", [save, _zip, _legacy])
@pytest.mark.parametrize("part", [0.001, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_cut_short(tmp_path: Path, kind: Callable[[dict[str, Tensor]], bytes], part: float) -> None:
    whole = kind(small().state_dict())
    path = tmp_path / "m.bin"
    path.write_bytes(whole)
    read_weights(path)
    path.write_bytes(whole[: max(1, int(len(whole) * part))])
    assert "copy the file again" in refusal(path)


def test_zip_bytes_changed(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", small().state_dict())
    content = bytearray(path.read_bytes())
    at = content.index(b"data.pkl") + 200
    content[at : at + 40] = b"\xff" * 40
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize(
    "content", [b"x", b"hello world, this is text", b"PK", b"PK\x03\x04" * 20, b"\x80\x02}q."]
)
def test_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(content)
    refusal(tmp_path / "m.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_are_named(tmp_path: Path, bad: float) -> None:
    state = small().state_dict()
    state["head.weight"][0, 1] = bad
    save_file(state, tmp_path / "m.safetensors")
    assert refusal(tmp_path / "m.safetensors") == (
        "The weights m.safetensors hold NaN or infinity, first in 'head.weight'."
    )


def test_what_overflows_in_the_network_is_infinite(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", {"a": torch.tensor([1e300], dtype=torch.float64)})
    assert "NaN or infinity" in refusal(path)


def test_tensors_that_are_not_plain_numbers(tmp_path: Path) -> None:
    odd = {
        "sparse": torch.eye(3).to_sparse(),
        "complex": torch.ones(2, dtype=torch.complex64),
        "meta": torch.ones(2, device="meta"),
    }
    for name, tensor in odd.items():
        path = saved(tmp_path / f"{name}.pt", {"a": torch.ones(1), "b": tensor})
        assert refusal(path) == f"The weights {name}.pt hold a tensor that is not plain numbers, 'b'."


def test_a_tensor_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", {"a": torch.zeros(1).expand(2**40)})
    assert path.stat().st_size < 10_000
    assert "not plain numbers, 'a'" in refusal(path)


# --- programs and bombs ---------------------------------------------------------------------------


class Payload:
    """Pickles as a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


class Network(nn.Module):
    """A whole module, as `torch.save(model)` pickles it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["alone", "in a state dict", "in a wrapper", "as a key"])
def test_nothing_in_a_pickle_runs(tmp_path: Path, where: str, zipped: bool) -> None:
    mark = tmp_path / "ran"
    payload, state = Payload(mark), small().state_dict()
    content: Any = {
        "alone": payload,
        "in a state dict": state | {"bias": payload},
        "in a wrapper": {"state_dict": state, "args": payload},
        "as a key": {payload: state, "state_dict": state},
    }[where]
    folder = folder_of(tmp_path / "m", weights="m.pt")
    path = saved(folder / "m.pt", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="never opened, trusted or not"):
        load(folder, trust=True)
    with pytest.raises(ModelError, match="never opened, trusted or not"):
        load(folder)
    assert not mark.exists()
    # The same file does run its payload where it is opened unsafely: the mark can appear.
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_a_bare_pickle_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for protocol in range(6):
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(Payload(mark), protocol))
        refusal(tmp_path / "m.pkl")
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / "m.pt", Network(), _use_new_zipfile_serialization=zipped)
    assert "never opened, trusted or not" in refusal(path)
    assert "state dict" in refusal(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_torchscript_is_a_program(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)
    assert "it is a program" in refusal(path)


def test_an_exported_program_is_a_program(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), path)
    assert "it is a program" in refusal(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.pt", small().state_dict())
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(whole) as good, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in good.infolist():
            data = good.read(entry)
            bomb.writestr(entry.filename, data + bytes(2**26) if entry.filename.endswith("/data/0") else data)
    assert path.stat().st_size < 10**6
    assert "would unpack to far more" in refusal(path)


def _headed(length: int, header: bytes) -> bytes:
    return struct.pack("<Q", length) + header


def _tensor(shape: list[int], first: int, last: int) -> bytes:
    """A header that says where a tensor lies, and four bytes of data."""
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [first, last]}}).encode()
    return _headed(len(header), header) + bytes(4)


@pytest.mark.parametrize(
    "content",
    [
        _headed(2**63, b"{" + b" " * 100),
        _headed(10**9, b"{}" + b" " * 100),
        _headed(20_000, b'{"a":' * 4_000),
        _headed(100, b"{" + b"x" * 99),
        _tensor([2**40], 0, 4),
        _tensor([2], 0, 2**50),
        _tensor([1], 2, 6),
        _tensor([1], -4, 0),
    ],
)
def test_safetensors_headers_that_lie(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    refusal(path)


def test_a_huge_header_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write(_headed(200 * 2**20, b'{"a":0}'))
        file.truncate(300 * 2**20)  # a hole: no bytes on the disk
    assert "header that is too large to be true" in refusal(path)


# --- fitting to the architecture ------------------------------------------------------------------


def test_a_mismatch_is_listed(tmp_path: Path) -> None:
    state = small().state_dict()
    state["head.weight"] = torch.ones(5, 3)
    state["extra"] = torch.ones(1)
    del state["head.bias"]
    with pytest.raises(ModelError) as caught:
        load(folder_of(tmp_path / "m", state))
    assert str(caught.value) == (
        "The weights model.safetensors do not fit the architecture. Missing: head.bias; unexpected: extra; "
        "of another shape: head.weight is (5, 3) in the file and (2, 3) in the network."
    )


def test_another_shape_alone_is_a_mismatch() -> None:
    with pytest.raises(ModelError, match=r"Of another shape: weight is \(1, 1\) in the file and \(2, 1\)"):
        fit(nn.Linear(1, 2), {"weight": torch.ones(1, 1), "bias": torch.ones(2)}, "m.pt")


def test_a_long_mismatch_is_cut() -> None:
    state = {f"layer{i}": torch.ones(1) for i in range(40)}
    with pytest.raises(ModelError, match=r"layer0, layer1, .* layer11 and 28 more"):
        fit(nn.Linear(1, 1), state, "m.pt")


def test_a_network_that_does_not_fit_is_left_alone() -> None:
    net = small(seed=1)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ModelError):
        fit(net, {k: v for k, v in small(seed=2).state_dict().items() if k != "head.bias"}, "m.pt")
    assert equal(net.state_dict(), before)


def test_weights_arrive(tmp_path: Path) -> None:
    state = small(seed=5).state_dict()
    model = load(folder_of(tmp_path / "m", state))
    assert equal(model._module.state_dict(), state)
    assert not model._module.training


def test_counters_of_old_files_may_be_missing(tmp_path: Path) -> None:
    state = {k: v for k, v in small().state_dict().items() if not k.endswith("num_batches_tracked")}
    load(folder_of(tmp_path / "m", state))
    del state["blocks.0.1.running_mean"]
    with pytest.raises(ModelError, match=r"Missing: blocks\.0\.1\.running_mean\."):
        load(folder_of(tmp_path / "m", state))


def test_the_hash_of_the_card_is_checked(tmp_path: Path) -> None:
    digest = sha256(folder_of(tmp_path / "m") / "model.safetensors")
    assert load(folder_of(tmp_path / "m", sha256=digest.upper())).sha256 == digest
    with pytest.raises(ModelError) as caught:
        load(folder_of(tmp_path / "m", sha256="ab" * 32))
    assert digest[:12] in str(caught.value)
    assert "abababababab" in str(caught.value)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    for name in ("other.pt", ".", "../m"):
        with pytest.raises(ModelError, match=r"that model\.yaml names are not there"):
            load(folder_of(tmp_path / "m", weights=name))
