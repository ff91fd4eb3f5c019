# SPDX-License-Identifier: Apache-2.0
"""Model files of other programs, told as what they are: none of them is weights of PyTorch."""

from pathlib import Path

_SAVED_MODEL = "saved_model.pb"
_INSTEAD = "whyscope reads PyTorch networks: open the weights of the same network from PyTorch"


def foreign(path: Path) -> str | None:
    """What a file or folder is, in one sentence with what to do instead; None where nothing says so.

    Told by its first bytes, and by its suffix where a format has no mark of its own (ONNX is a bare protobuf
    message). Nothing beyond 16 bytes is read.
    """
    what = _of_folder(path) if path.is_dir() else _of_file(path)
    return None if what is None else f"{path.name} is {what}; {_INSTEAD}."


def _of_folder(path: Path) -> str | None:
    if (path / _SAVED_MODEL).is_file():
        return "a SavedModel of TensorFlow"
    return None


def _of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "an HDF5 file, as Keras and TensorFlow save models"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if suffix == ".keras" and head.startswith(b"PK"):
        return "a Keras model"
    # Field 1 of an ONNX message, its version, is a small number.
    if suffix == ".onnx" and head[:1] == b"\x08":
        return "an ONNX model, of which only the operations are known and no layers"
    if path.name == _SAVED_MODEL:
        return "a SavedModel of TensorFlow"
    return None
