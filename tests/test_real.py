# SPDX-License-Identifier: Apache-2.0
"""The whole program on real files and real weights."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import LABELS, Done, Whyscope, card_of, change_card, is_sentence, write_model

pytestmark = pytest.mark.shared

Folder = Callable[[str], Path]
RADIOGRAPH = "dicom/pydicom-data/RG1_J2KI.dcm"
DIGITS = "weights/dianna/dianna/data/binary-mnist.npz"


def explained(done: Done, out: Path) -> list[dict[str, Any]]:
    """The maps of a run, each with its exported arrays."""
    assert done.status == 0, done.err
    assert done.err == ""
    entries = done.document["attributions"]
    for entry in entries:
        with np.load(out / entry["files"]["npz"]) as arrays:
            entry |= {"map": arrays["map"], "native": arrays["native"]}
    return list(entries)


@pytest.fixture
def digit(shared: Path, tmp_path: Path) -> Callable[[int], Path]:
    """`digit(n)` writes the n-th 0 of the MNIST test set as a PNG."""

    def write(n: int) -> Path:
        with np.load(shared / DIGITS) as data:
            pixels = data["X_test"][data["y_test"] == 0][n].reshape(28, 28)
        path = tmp_path / f"zero-{n}.png"
        Image.fromarray(pixels).save(path)
        return path

    return write


def test_a_real_radiograph_is_explained(
    shared: Path, model_folder: Folder, tmp_path: Path, whyscope: Whyscope
) -> None:
    model, out = model_folder("cxr-tinyvgg"), tmp_path / "out"
    words = (
        "explain", shared / RADIOGRAPH, "--model", model, "--out", out, "--json",
        "--method", "grad-cam,hires-cam,integrated-gradients,occlusion",
    )  # fmt: skip
    refused = whyscope(*words)
    assert (refused.status, is_sentence(refused.err), out.exists()) == (1, True, False)
    assert "network.py" in refused.err

    entries = explained(whyscope(*words, "--trust"), out)
    document = json.loads((out / "result.json").read_text("utf-8"))
    assert (document["series"]["modality"], document["series"]["spacing"]) == ("CR", None)
    scores = {item["label"]: item["probability"] for item in document["predictions"][0]["labels"]}
    assert scores["normal"] == pytest.approx(0.9565, abs=0.01)
    assert [e["method"] for e in entries] == ["grad-cam", "hires-cam", "integrated-gradients", "occlusion"]
    for entry in entries:
        assert entry["map"].shape == (1955, 1841)
        assert np.isfinite(entry["map"]).all()
        assert entry["native"].shape == ((1, 32, 32) if "cam" in entry["method"] else (1, 64, 64))
        assert entry["map"].min() < 0 < entry["map"].max()
        with Image.open(out / entry["files"]["png"]) as picture:
            assert picture.width > 1800
            assert picture.height > 850
            assert "J2K" not in str(picture.info)
            grey = np.asarray(picture.convert("L"))[120:800, 40:690]
        # MONOCHROME1: as a reader sees it, the middle of the chest is brighter than the lungs.
        assert grey[300:400, 320:340].mean() > grey[150:250, 160:200].mean() + 40
        assert not list(out.glob(".*"))
    # This weak network looks above the shoulders; a map that is upside down would not.
    cam = entries[0]["map"].clip(0)
    assert cam.argmax() // 1841 < 200
    assert cam[:400].sum() > 0.75 * cam.sum()
    assert entries[2]["completeness_error"] < 2


def test_a_transformer_shows_its_attention_on_a_digit(
    digit: Callable[[int], Path], model_folder: Folder, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = model_folder("mnist-vit")
    for n in range(3):
        out = tmp_path / f"out{n}"
        done = whyscope(
            "explain", digit(n), "--model", model, "--trust", "--out", out, "--json",
            "--method", "attention,attention-rollout,attention-relevance,legrad,grad-cam",
        )  # fmt: skip
        entries = explained(done, out)
        assert [e["method"] for e in entries] == [
            "attention", "attention-rollout", "attention-relevance", "legrad", "grad-cam",
        ]  # fmt: skip
        assert [e["label"] for e in entries] == [None, None, "0", "0", "0"]
        for entry in entries[:4]:
            assert entry["native"].shape == (1, 4, 4)
            assert entry["native"].min() >= 0
            assert entry["native"].std() > 0
            assert entry["map"].shape == (28, 28)
        # A row of the attention sums to 1, and so do their mean and their product.
        assert entries[0]["native"].sum() == pytest.approx(1, abs=1e-4)
        assert entries[1]["native"].sum() == pytest.approx(1, abs=1e-4)


def test_other_weights_are_refused_with_the_list_of_names(
    digit: Callable[[int], Path], shared: Path, model_folder: Folder, whyscope: Whyscope
) -> None:
    model = change_card(model_folder("mnist-vit"), weights="mnist_vit_qat.pth", sha256=None)
    shutil.copy(shared / "weights/mnist-vit/mnist_vit_qat.pth", model)
    done = whyscope("predict", digit(0), "--model", model, "--trust")
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert re.search(r"Missing: .*in_proj_weight.*; unexpected: .*q.*", done.err)


@pytest.mark.parametrize("trust", [(), ("--trust",)])
def test_a_pickled_module_is_refused_trusted_or_not(
    trust: tuple[str, ...], digit: Callable[[int], Path], shared: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(tmp_path / "model", weights="leafsnap_model.pytorch")
    shutil.copy(shared / "weights/dianna/tests/test_data/leafsnap_model.pytorch", model)
    done = whyscope("predict", digit(0), "--model", model, *trust)
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert "never opened, trusted or not" in done.err


def test_the_mnist_net_knows_its_digits(
    digit: Callable[[int], Path], model_folder: Folder, whyscope: Whyscope
) -> None:
    model = model_folder("mnist-net")
    for n in range(3):
        done = whyscope("predict", digit(n), "--model", model, "--trust", "--json")
        labels = done.document["results"][0]["labels"]
        assert max(labels, key=lambda item: item["logit"])["label"] == "digit 0"


def test_a_residual_network_explains_a_picture(
    model_folder: Folder, tmp_path: Path, whyscope: Whyscope
) -> None:
    rows, columns = np.mgrid[:48, :64]
    ship = np.stack([np.full((48, 64), 200), 150 + rows, np.full((48, 64), 230)], -1).astype(np.uint8)
    ship[30:40, 12:52] = (60, 60, 70)
    ship[(rows > 14) & (rows < 30) & (abs(columns - 30) < 4)] = 20
    Image.fromarray(ship).save(tmp_path / "ship.png")
    out = tmp_path / "out"
    done = whyscope(
        "explain", tmp_path / "ship.png", "--model", model_folder("cifar-resnet20"), "--out", out, "--json",
        "--method", "cam,grad-cam,grad-cam-plus-plus,xgrad-cam,hires-cam",
        "--method", "layer-cam,ablation-cam,score-cam,eigen-cam",
        "--target", "ship",
    )  # fmt: skip
    entries = explained(done, out)
    assert [e["map"].shape for e in entries] == [(48, 64)] * 9
    assert {e["layer"] for e in entries} == {"layer3"}
    # Only a mean and a linear layer follow, so that three ways to the weights lead to one map.
    cam, grad, _, _, hires = (e["map"] for e in entries[:5])
    assert np.allclose(cam, grad * 64, atol=1e-4 * np.abs(cam).max())
    assert np.allclose(grad, hires, atol=1e-4 * np.abs(grad).max())
    labels = done.document["predictions"][0]["labels"]
    assert sum(item["probability"] for item in labels) == pytest.approx(1, abs=1e-4)


def test_a_network_of_volumes_reads_the_oblique_head(
    shared: Path, model_folder: Folder, whyscope: Whyscope
) -> None:
    model = model_folder("brainchop-gwm")
    change_card(model, input=card_of(model)["input"] | {"size": [64, 64, 64], "spacing": [3, 3, 3]})
    done = whyscope("predict", shared / "dicom/mr-t1-oblique/dicoms", "--model", model, "--json")
    assert done.status == 0, done.err
    (result,) = done.document["results"]
    assert result["slice"] is None
    shares = [item["probability"] for item in result["labels"]]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares[0] > 0.5  # most of what is shown is background
    assert all(share > 0.001 for share in shares)


def test_every_slice_of_a_head_is_explained(shared: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(
        tmp_path / "model",
        input={"size": [32, 32], "values": {"percentiles": [2, 98]}},
        accepts={"modality": ["MR"]},
    )
    words = (
        "explain", shared / "dicom/slicer/CTHeadAxialDicom", "--model", model, "--method", "grad-cam",
        "--slice", "all", "--target", "mass", "--format", "npz", "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert whyscope(*words).status == 1
    done = whyscope(*words, "--outside-intended-use")
    entries = explained(done, tmp_path / "out")
    assert [e["slice"] for e in entries] == list(range(93))
    assert [p["slice"] for p in done.document["predictions"]] == list(range(93))
    assert [len(p["labels"]) for p in done.document["predictions"]] == [len(LABELS)] * 93
    assert {e["map"].shape for e in entries} == {(64, 64)}
    assert len({e["style"]["range"][1] for e in entries}) == 1
    maps = np.stack([e["native"] for e in entries])
    assert len(np.unique(maps.reshape(93, -1), axis=0)) > 80  # slices differ
