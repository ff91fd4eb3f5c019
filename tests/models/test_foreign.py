# SPDX-License-Identifier: Apache-2.0
"""Models of other programs are told as what they are, wherever they are given, and never read further."""

from pathlib import Path

import pytest

from viewer.errors import ModelError
from viewer.models import draft, load
from viewer.models.foreign import foreign

FILES = {
    "net.h5": (b"\x89HDF\r\n\x1a\n" + bytes(500), "HDF5"),
    "weights.pth": (b"\x89HDF\r\n\x1a\n" + bytes(500), "HDF5"),
    "net.tflite": (b"\x1c\0\0\0TFL3" + bytes(500), "TensorFlow Lite"),
    "net.keras": (b"PK\x03\x04" + bytes(500), "Keras"),
    "net.onnx": (b"\x08\x08\x12\x07pytorch" + bytes(500), "ONNX"),
    "saved_model.pb": (b"\x08\x01" + bytes(500), "SavedModel"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told(name: str, tmp_path: Path) -> None:
    content, told = FILES[name]
    (tmp_path / name).write_bytes(content)
    for ask in (load, draft):
        with pytest.raises(ModelError, match=told) as caught:
            ask(tmp_path / name)
        assert "PyTorch" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(ModelError, match="SavedModel"):
        load(tmp_path)


def test_what_is_not_of_them_is_not_called_so(tmp_path: Path) -> None:
    for name, content in {
        "net.pth": b"PK\x03\x04" + bytes(50), "model.yaml": b"name: x", "net.onnx": b"\x80\x02}",
        "net.safetensors": bytes(8) + b"{}",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert foreign(tmp_path / name) is None
    assert foreign(tmp_path) is None
    assert foreign(tmp_path / "nowhere") is None
