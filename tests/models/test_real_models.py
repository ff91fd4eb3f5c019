# SPDX-License-Identifier: Apache-2.0
"""Real published weights behind their cards: they load, and they say what their authors measured."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from model_files import picture, series, spaced
from numpy.typing import NDArray

from viewer import dicom
from viewer.errors import ModelError
from viewer.models import Model, load
from viewer.models.card import read_card

pytestmark = pytest.mark.shared

CARDS = Path(__file__).parents[1] / "cards"
NAMES = sorted(p.name for p in CARDS.iterdir())
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def digits(shared: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """400 of the MNIST test digits 0 and 1, chosen by lot."""
    with np.load(shared / "weights/dianna/dianna/data/binary-mnist.npz") as data:
        chosen = np.random.default_rng(0).permutation(len(data["X_test"]))[:400]
        return data["X_test"][chosen].reshape(-1, 28, 28), data["y_test"][chosen].astype(np.int64)


def accuracy(model: Model, digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> float:
    pixels, truth = digits
    inputs = [model.prepare(picture(image)) for image in pixels]
    predictions = model.predict(inputs, batch=100)
    said = [model.labels.index(p.top.label) for p in predictions]
    return float(np.mean(np.array(said) == truth))


def changed(folder: Path, **changes: Any) -> Path:
    """A folder whose card has changes; those of its `input` are written as `input__size`."""
    path = folder / "model.yaml"
    card = read_card(path).model_dump(mode="json")
    for name, value in changes.items():
        part, _, field = name.rpartition("__")
        (card[part] if part else card)[field] = value
    path.write_text(yaml.safe_dump(card), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_real_weights_load(name: str, model_folder: Folder) -> None:
    model = load(model_folder(name), trust=True)
    assert model.structure.output is not None
    assert model.structure.output[0] == len(model.labels)
    layers = {layer.name for layer in model.structure.layers}
    assert set(model.card.explain.layers) <= layers


@pytest.mark.parametrize("name", ["cxr-tinyvgg", "mnist-net", "mnist-vit"])
def test_their_code_wants_trust(name: str, model_folder: Folder) -> None:
    with pytest.raises(ModelError, match="brings a program of its own"):
        load(model_folder(name))


def test_the_mnist_net_and_that_its_card_matters(
    model_folder: Folder, digits: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    folder = model_folder("mnist-net")
    assert accuracy(load(folder, trust=True), digits) >= 0.99
    wrong = load(changed(folder, input__values={"range": [0, 1]}), trust=True)
    assert accuracy(wrong, digits) == pytest.approx(0.537, abs=0.06)


def test_the_mnist_transformer(
    model_folder: Folder, digits: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    folder = model_folder("mnist-vit")
    right = load(folder, trust=True)
    assert accuracy(right, digits) == pytest.approx(0.918, abs=0.03)
    assert right.structure.tokens is not None
    assert (right.structure.tokens.prefix, right.structure.tokens.grid) == (0, (4, 4))
    assert right.structure.attention == ("encoder.0.attn",)


def test_the_quantised_sibling_is_refused_with_the_list(model_folder: Folder, shared: Path) -> None:
    folder = model_folder("mnist-vit")
    shutil.copy(shared / "weights/mnist-vit/mnist_vit_qat.pth", folder / "mnist_vit.pth")
    with pytest.raises(ModelError) as caught:
        load(changed(folder, sha256=None), trust=True)
    message = str(caught.value)
    missing, _, unexpected = message.partition("unexpected")
    assert message.startswith("The weights mnist_vit.pth do not fit the architecture. Missing: ")
    assert "encoder.0.attn.in_proj_weight" in missing
    assert "norm.bias" in missing
    assert "encoder.0.attn.q.weight" in unexpected
    assert "encoder.0.ffn.gelu.lut" in unexpected


@pytest.mark.parametrize("trust", [False, True])
def test_a_pickled_module_is_refused(model_folder: Folder, shared: Path, trust: bool) -> None:
    folder = model_folder("cifar-resnet20")
    file = shared / "weights/dianna/tests/test_data/leafsnap_model.pytorch"
    shutil.copy(file, folder / "leafsnap_model.pytorch")
    changed(folder, weights=file.name, sha256=None, weights_key=None)
    with pytest.raises(ModelError, match="hold Python objects beside tensors") as caught:
        load(folder, trust=trust)
    assert "never opened, trusted or not" in str(caught.value)


def test_weights_that_are_not_those_of_the_card(model_folder: Folder, shared: Path) -> None:
    folder = model_folder("brainchop-gwm")
    shutil.copy(shared / "weights/brainchop/model18cls/model.pth", folder / "model.pth")
    with pytest.raises(ModelError, match="are not those of the card: SHA-256 is 0798b61d5862"):
        load(folder)


def test_resnet20_runs_as_its_authors_net_does(model_folder: Folder, shared: Path) -> None:
    model = load(model_folder("cifar-resnet20"))
    file = torch.load(
        shared / "weights/cifar-resnet20/pretrained_models/resnet20-12fca82f.th",
        map_location="cpu",
        weights_only=True,
    )
    state = {k.removeprefix("module."): v for k, v in file["state_dict"].items()}
    own = model._module.state_dict()
    assert all(torch.equal(own[k], v) for k, v in state.items())
    pixels = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8)
    (prediction,) = model.predict([model.prepare(series(pixels, modality="picture"))])
    assert prediction.top.label in model.labels
    assert sum(s.probability for s in prediction.scores) == pytest.approx(1)
    assert [layer.grid for layer in model.structure.stages] == [(32, 32), (16, 16), (8, 8)]


def test_chest_x_rays(model_folder: Folder, shared: Path) -> None:
    model = load(model_folder("cxr-tinyvgg"), trust=True)
    found = dicom.scan([shared / "cxr-png/00000129_000.png"]).series[0]
    assert model.accepts(found) is None
    (prediction,) = model.predict([model.prepare(found)])
    assert sum(s.probability for s in prediction.scores) == pytest.approx(1)


# --- a net for volumes ----------------------------------------------------------------------------


def ball(radius: float) -> NDArray[np.int16]:
    """A bright ball of 40³ voxels."""
    index = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), -1) - 19.5
    return (1000 * (np.linalg.norm(index, axis=-1) < radius)).astype(np.int16)


def test_meshnet_on_a_made_volume(model_folder: Folder) -> None:
    model = load(changed(model_folder("brainchop-gwm"), input__size=[32] * 3, input__orientation=None))
    assert model.structure.output == (3, 32, 32, 32)
    source = series(ball(12), spaced((1, 1, 1)), spacing_kind="patient", modality="MR")
    (prediction,) = model.predict([model.prepare(source)])
    assert [s.label for s in prediction.scores] == ["background", "white matter", "grey matter"]
    assert sum(s.probability for s in prediction.scores) == pytest.approx(1, abs=1e-5)
    (darkness,) = model.predict(
        [model.prepare(series(0 * ball(1), spaced((1, 1, 1)), spacing_kind="patient"))]
    )
    assert darkness.score("background").probability > prediction.score("background").probability


def test_meshnet_on_a_real_brain(model_folder: Folder, shared: Path) -> None:
    model = load(changed(model_folder("brainchop-gwm"), input__size=[48, 32, 48]))
    source = dicom.scan([shared / "dicom/mr-t1-oblique"]).series[0]
    assert model.accepts(source) is None
    made = model.prepare(source)
    assert made.shape == (48, 32, 48)
    # Slices run to the left, rows to the feet, columns to the front, each 1 mm.
    steps = (source.geometry.matrix @ made.matrix)[:3, :3]
    assert np.linalg.norm(steps, axis=0) == pytest.approx([1, 1, 1])
    assert steps[0, 0] > 0.9
    assert steps[2, 1] < -0.9
    assert steps[1, 2] < -0.9
    (prediction,) = model.predict([made])
    assert np.isfinite([s.logit for s in prediction.scores]).all()
    assert min(s.probability for s in prediction.scores) > 0
