# SPDX-License-Identifier: Apache-2.0
"""`explain --peer`: a sentence and an entry for every map, and never a reason to fail."""

import json
import re
from pathlib import Path

import captum.attr
import pytest
from program import Whyscope, is_sentence, write_model

KEYS = {
    "method", "label", "slice", "layer", "library", "version", "call", "difference", "largest", "double",
    "rounding", "remark", "fault", "reason",
}  # fmt: skip


def test_every_map_is_compared_and_told(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = (
        "explain",
        stack,
        "--model",
        small_model,
        "--method",
        "grad-cam,saliency,rise",
        "--set",
        "masks=4",
    )
    done = whyscope(*words, "--target", "all", "--slice", 1, "--out", tmp_path / "out", "--peer")
    assert (done.status, done.err) == (0, "")
    lines = [line for line in done.out.splitlines() if " of " in line or "Neither" in line]
    told = re.compile(
        r"(Grad-CAM|Saliency) of (captum|grad-cam) \d[\d.]* on the same tensor "
        r"\((effusion|mass|nodule), slice 1(, blocks)?\): "
        r"differs by at most (0|\d\.\de-\d\d) of the largest value\."
    )
    found = [told.fullmatch(line) for line in lines[:-1]]
    assert all(found), lines
    assert lines[-1] == "Neither captum nor grad-cam has RISE."  # once for all labels
    assert len(found) == 3 * 3  # Grad-CAM is in both
    assert all(is_sentence(line + "\n") for line in lines)
    document = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert len(document["peer"]) == 3 * 4
    for entry in document["peer"]:
        assert set(entry) == KEYS
        assert (entry["difference"] is None) == (entry["method"] == "rise")
        if entry["difference"] is not None:
            assert 0 <= entry["difference"] < 1e-4
            assert entry["largest"] > 0
            assert entry["double"] is entry["rounding"] is entry["remark"] is None  # nothing asks for it
            assert entry["call"].endswith(")") or "summed" in entry["call"]
    files = [line for line in done.out.splitlines() if line.endswith((".png", ".npz", ".json"))]
    assert len(files) == 2 * 9 + 1


def test_the_document_on_standard_output_is_the_one_on_the_disk(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "hires-cam", "--out", tmp_path / "out")
    done = whyscope(*words, "--peer", "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads((tmp_path / "out" / "result.json").read_text("utf-8")) == done.document
    (entry,) = done.document["peer"]
    assert (entry["method"], entry["library"], entry["layer"]) == ("hires-cam", "grad-cam", "blocks")
    assert entry["call"] == "HiResCAM(net, [layer]).get_cam_image(…)"
    assert entry["fault"] is entry["reason"] is None
    assert "peer" not in whyscope(*words, "--json").document


def test_a_library_that_fails_takes_nothing_with_it(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(*_: object, **__: object) -> None:
        raise RuntimeError("the machine\nstumbled")

    monkeypatch.setattr(captum.attr.Saliency, "attribute", stumbles)
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "saliency", "--out", tmp_path / "out", "--peer"
    )
    assert (done.status, done.err) == (0, "")
    said, *files = done.out.splitlines()
    assert said.endswith("not compared. captum failed with RuntimeError: the machine stumbled.")
    assert len(files) == 3
    (entry,) = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))["peer"]
    assert entry["reason"] == "captum failed with RuntimeError: the machine stumbled."
    assert entry["difference"] is None


def test_of_a_method_that_refused_it_is_told_what_the_library_says(
    stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    """Behind the last block of a vision transformer only the class token is read."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(2)
    facts = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 24, "num_heads": 3, "in_chans": 1}
    net = timm.create_model("vit_tiny_patch16_224", num_classes=3, **facts)
    folder = write_model(
        tmp_path / "vit",
        architecture="timm:vit_tiny_patch16_224",
        arguments={**facts, "num_classes": 3},
        input={"dimensions": 2, "size": [32, 32], "values": {"window": [0, 2000]}},
    )
    save_file(net.state_dict(), folder / "model.safetensors")
    words = ("explain", stack, "--model", folder, "--layer", "norm", "--out", tmp_path / "out", "--peer")
    done = whyscope(*words, "--method", "hires-cam,eigen-cam")
    assert done.status == 0
    eigen, hires = done.out.splitlines()[:2]
    assert re.match(r"Eigen-CAM of grad-cam [\d.]+ on the same tensor \(slice 2, norm\): differs by", eigen)
    assert re.match(
        r"HiResCAM of grad-cam [\d.]+ on the same tensor \(\w+, slice 2, norm\): not compared\.", hires
    )
    assert "so the map would be blank" in hires
    assert hires.endswith("grad-cam gives a map that is zero everywhere, without a word.")
    # Told also where nothing is left to be written.
    alone = whyscope(*words, "--method", "hires-cam")
    assert alone.status == 1
    assert alone.out.splitlines() == [hires]
    assert "so the map would be blank" in alone.err
