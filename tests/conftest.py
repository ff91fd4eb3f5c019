# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from installed import Environment
from program import Whyscope, caller, write_model, write_stack
from real_data import pytest_collection_modifyitems, pytest_terminal_summary, shared

__all__ = ["pytest_collection_modifyitems", "pytest_terminal_summary", "shared"]  # found here by pytest

# Nothing of the preferences of whoever runs the tests is read or written.
_config = tempfile.TemporaryDirectory(prefix="whyscope-config-")
os.environ["WHYSCOPE_CONFIG"] = _config.name

# Wherever the tests run, no window comes up: the demo would open one, and wait.
for name in ("DISPLAY", "WAYLAND_DISPLAY"):
    os.environ.pop(name, None)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """For miniatures more threads cost time, on a busy machine several times as much."""
    torch.set_num_threads(1)


@pytest.fixture
def whyscope(capsys: pytest.CaptureFixture[str]) -> Whyscope:
    """`whyscope("series", path)` runs the command line in this process."""
    return caller(capsys)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up CT series of four slices; not to be written to."""
    return write_stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small untrained 2D network with three labels; not to be written to."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The program installed from its wheel."""
    return Environment.make(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `whyscope demo` leaves behind."""
    from viewer import demo

    folder = tmp_path_factory.mktemp("whyscope-demo")
    demo.run(folder)
    return folder


WEIGHTS = {
    "cxr-tinyvgg": "weights/cxr-tinyvgg/models/pneumonia_model.pth",
    "mnist-vit": "weights/mnist-vit/mnist_vit.pth",
    "mnist-net": "weights/dianna/tests/test_data/mnistnet_training_checkpoint.pt",
    "cifar-resnet20": "weights/cifar-resnet20/pretrained_models/resnet20-12fca82f.th",
    "brainchop-gwm": "weights/brainchop/model5_gw_ae/model.pth",
}
"""Where the weights of the cards in `tests/cards` lie in the shared data."""


@pytest.fixture
def model_folder(shared: Path, tmp_path: Path) -> Callable[[str], Path]:
    """`model_folder(name)` is a copy of a card of `tests/cards` with its real weights beside it."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(Path(__file__).parent / "cards" / name, folder)
        shutil.copy(shared / WEIGHTS[name], folder)
        return folder

    return copy
