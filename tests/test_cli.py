# SPDX-License-Identifier: Apache-2.0
"""The command line keeps its contract: shapes, formats, gates, exit statuses, and nothing half-written."""

import errno
import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from program import (
    COLUMNS,
    LABELS,
    ROWS,
    Whyscope,
    arrays_of,
    change_card,
    is_sentence,
    write_model,
    write_stack,
)
from safetensors.torch import load_file, save_file

from viewer import demo
from viewer.cli import output
from viewer.cli.program import COMMANDS, app, run
from viewer.export.drawing import STOP
from viewer.models import Model
from viewer.task import Task

PROMISED: dict[str, Any] = {
    "uid": str,
    "modality": str,
    "description": str,
    "rows": int,
    "columns": int,
    "slices": int,
    "frames_in_time": int,
    "spacing": (list, type(None)),
    "orientation": (list, type(None)),
    "patient_orientation": (list, type(None)),
    "syntax": str,
    "photometric": str,
    "files": int,
    "warnings": list,
}


def names(folder: Path) -> set[str]:
    """Every file in a folder, the hidden ones too."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


# --- series ---------------------------------------------------------------------------------------


def test_series_is_one_document_of_the_promised_shape(
    stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    study = copy(stack, tmp_path / "study")
    (study / "notes.txt").write_text("hello")
    (study / "broken.dcm").write_text("this is no DICOM")
    Image.new("L", (9, 7), 5).save(study / "picture.png")
    done = whyscope("series", study, "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert set(document) == {"series", "other", "refused"}
    for series in document["series"]:
        for key, kind in PROMISED.items():
            assert isinstance(series[key], kind), key
        assert all(isinstance(w, str) and w.endswith(".") for w in series["warnings"])
    ct, picture = document["series"]
    assert (ct["modality"], ct["rows"], ct["columns"], ct["slices"], ct["files"]) == (
        "CT",
        ROWS,
        COLUMNS,
        4,
        4,
    )
    assert ct["spacing"] == [3.0, 0.75, 0.5]
    assert ct["orientation"] == [1, 0, 0, 0, 1, 0]
    assert (picture["modality"], picture["rows"], picture["spacing"]) == ("picture", 7, None)
    assert [set(item) for item in (*document["other"], *document["refused"])] == [{"path", "reason"}] * 2
    assert [Path(item["path"]).name for item in document["other"]] == ["notes.txt"]
    assert [Path(item["path"]).name for item in document["refused"]] == ["broken.dcm"]
    counted = sum(s["files"] for s in document["series"]) + len(document["other"]) + len(document["refused"])
    assert counted == len(names(study))


def test_series_for_a_reader_names_everything(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    study = copy(stack, tmp_path / "study")
    (study / "notes [bold] x.txt").write_text("hello")
    done = whyscope("series", study)
    assert done.status == 0
    assert "4 × 20 × 28" in done.out
    assert "notes [bold] x.txt" in done.out
    assert "Zoidberg" not in done.out


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "slices", "spacing"),
    [
        ("dicom/slicer/CTHeadAxialDicom", 93, [1.5, 3.2, 3.2]),
        ("dicom/mr-t1-oblique/dicoms", 40, [0.666667, 0.666667, 0.699988]),
    ],
)
def test_names_of_files_mean_nothing(
    folder: str, slices: int, spacing: list[float], shared: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    files = sorted((shared / folder).rglob("*.dcm"))
    assert len(files) == slices
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for number, i in enumerate(np.random.default_rng(3).permutation(slices)):
        shutil.copy(files[i], shuffled / f"x{number:04d}.bin")
    plain, moved = (whyscope("series", path, "--json").document for path in (shared / folder, shuffled))
    assert plain["series"] == moved["series"]
    (series,) = plain["series"]
    assert series["slices"] == slices
    assert series["spacing"] == pytest.approx(spacing, abs=1e-4)
    assert series["letters"]


def test_a_name_that_is_no_text_is_still_listed(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    study = copy(stack, tmp_path / "study")
    odd = os.fsencode(study) + b"/\xff\xfe.txt"
    Path(os.fsdecode(odd)).write_text("x")
    listed = whyscope("series", study, "--json").document["other"]
    assert [os.fsencode(item["path"]) for item in listed] == [odd]
    assert whyscope("series", study).status == 0


def test_standard_output_that_is_not_unicode(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    output.print_json({"name": "Müller × \udcff"})
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"name": "Müller × \udcff"}
    with pytest.raises(SystemExit) as end:
        run(["series", str(stack)])
    assert not end.value.code


# --- methods --------------------------------------------------------------------------------------


def test_methods_without_a_model(whyscope: Whyscope) -> None:
    done = whyscope("methods", "--json")
    assert (done.status, done.err) == (0, "")
    listed = {item["name"]: item for item in done.document["methods"]}
    assert {"grad-cam", "integrated-gradients", "attention-rollout", "occlusion"} <= set(listed)
    for item in listed.values():
        assert {"name", "title", "family", "settings", "unsuitable"} <= set(item)
        assert item["unsuitable"] is None
    assert listed["integrated-gradients"]["settings"]["steps"] == 0  # as many as the bound needs


def test_methods_for_a_model_say_which_do_not_suit(small_model: Path, whyscope: Whyscope) -> None:
    document = whyscope("methods", "--model", small_model, "--json").document
    unsuitable = {item["name"]: item["unsuitable"] for item in document["methods"]}
    assert unsuitable["grad-cam"] is None
    assert is_sentence(unsuitable["attention"] + "\n")
    assert document["layers"][0] == "blocks"
    told = whyscope("methods", "--model", small_model)
    assert "unsuitable" in told.out
    assert "grad-cam" in told.out


# --- predict --------------------------------------------------------------------------------------


def test_predict_is_one_document_of_the_promised_shape(
    stack: Path, small_model: Path, whyscope: Whyscope
) -> None:
    done = whyscope("predict", stack, "--model", small_model, "--slice", "1", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert set(document["model"]) == {"name", "sha256", "device"}
    assert re.fullmatch("[0-9a-f]{64}", document["model"]["sha256"])
    (result,) = document["results"]
    assert (result["series"], result["slice"]) == ("1.2.826.77", 1)
    assert [label["label"] for label in result["labels"]] == list(LABELS)
    for label in result["labels"]:
        assert set(label) == {
            "label", "logit", "probability", "kind", "calibrated", "threshold", "spread",
        }  # fmt: skip
        assert label["probability"] == pytest.approx(1 / (1 + np.exp(-label["logit"])))
        assert label["calibrated"] is False
    assert [label["threshold"] for label in result["labels"]] == [None, 0.25, None]


def test_predict_of_all_slices_is_that_of_each(stack: Path, small_model: Path, whyscope: Whyscope) -> None:
    words = ("predict", stack, "--model", small_model, "--json", "--slice")
    every = whyscope(*words, "all").document["results"]
    assert [r["slice"] for r in every] == [0, 1, 2, 3]
    one = whyscope(*words, "3").document["results"][0]
    logits = [[label["logit"] for label in r["labels"]] for r in (every[3], every[0], one)]
    assert logits[0] == pytest.approx(logits[2], abs=1e-5)
    assert logits[1] != pytest.approx(logits[2], abs=1e-5)


def test_predict_for_a_reader_says_score(stack: Path, small_model: Path, whyscope: Whyscope) -> None:
    done = whyscope("predict", stack, "--model", small_model)
    assert done.status == 0
    assert "score" in done.out
    assert "probability" not in done.out
    assert "Block CNN on CPU." in done.err or "CUDA" in done.err


def test_a_patch_is_placed(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(
        tmp_path / "model", input={"size": [8, 8], "fit": "patch", "values": {"window": [0, 2000]}}
    )
    words = ("predict", stack, "--model", model, "--json", "--at")
    lit, dark, slice_too = (whyscope(*words, at).document["results"][0] for at in ("6,9", "15,22", "3,15,22"))
    assert lit["labels"] != dark["labels"]
    assert (lit["slice"], slice_too["slice"]) == (2, 3)
    out = tmp_path / "out"
    done = whyscope("explain", stack, "--model", model, "--method", "saliency", "--at", "6,9", "--out", out)
    assert done.status == 0
    seen = np.isfinite(arrays_of(next(out.glob("*.npz")))["map"])
    assert (seen.any(1).nonzero()[0][[0, -1]].tolist(), seen.any(0).nonzero()[0][[0, -1]].tolist()) == (
        [2, 9],
        [5, 12],
    )
    for at in ("99,2", "2,-3", "9,2,2"):
        done = whyscope(*words, at)
        assert done.status == 1
        assert is_sentence(done.err)


def test_a_volume_needs_no_slice(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(tmp_path / "model", dimensions=3)
    (result,) = whyscope("predict", stack, "--model", model, "--json").document["results"]
    assert result["slice"] is None
    out = tmp_path / "out"
    done = whyscope("explain", stack, "--model", model, "--method", "grad-cam", "--out", out, "--json")
    entry = done.document["attributions"][0]
    assert (entry["slice"], entry["native_shape"]) == (None, [2, 8, 8])
    assert arrays_of(out / entry["files"]["npz"])["map"].shape == (4, ROWS, COLUMNS)
    done = whyscope("predict", stack, "--model", model, "--slice", "1")
    assert (done.status, is_sentence(done.err)) == (1, True)


# --- explain --------------------------------------------------------------------------------------


def test_explain_writes_what_its_document_names(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    out = tmp_path / "a" / "b"
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "grad-cam,saliency", "--method", "occlusion",
        "--target", "mass", "--slice", "2", "--out", out, "--format", "png,npz", "--format", "json", "--json",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document == json.loads((out / "result.json").read_text("utf-8"))
    assert {"model", "series", "predictions", "attributions", "skipped", "versions"} <= set(document)
    assert [e["method"] for e in document["attributions"]] == ["grad-cam", "saliency", "occlusion"]
    for entry in document["attributions"]:
        assert {
            "method", "settings", "layer", "label", "slice", "native_shape", "min", "max",
            "completeness_error", "seconds", "files",
        } <= set(entry)  # fmt: skip
        assert (entry["label"], entry["slice"], set(entry["files"])) == ("mass", 2, {"png", "npz", "json"})
        assert all((out / name).is_file() for name in entry["files"].values())
        arrays = arrays_of(out / entry["files"]["npz"])
        assert (arrays["map"].shape, arrays["map"].dtype) == ((ROWS, COLUMNS), np.float32)
        assert list(arrays["native"].shape) == entry["native_shape"]
        assert [arrays["native"].min(), arrays["native"].max()] == pytest.approx([entry["min"], entry["max"]])
        with Image.open(out / entry["files"]["png"]) as picture:
            facts = json.loads(picture.text["whyscope:provenance"])  # type: ignore[attr-defined]
        assert (facts["method"], facts["target"], facts["slice"]) == (entry["method"], "mass", 2)
    assert document["attributions"][0]["layer"] == "blocks"
    written = {name for e in document["attributions"] for name in e["files"].values()}
    assert names(out) == written
    everything = b"".join(path.read_bytes() for path in out.iterdir()) + done.out.encode()
    assert b"Zoidberg" not in everything
    assert b"778899" not in everything


def test_explain_for_a_reader_prints_paths_and_nothing_else(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv("TERM", "xterm")
    terminal = sys.stderr
    monkeypatch.setattr(type(terminal), "isatty", lambda self: self is terminal)
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "occlusion,attention",
        "--out", tmp_path / "out", "--format", "png,pdf",
    )  # fmt: skip
    assert done.status == 0
    paths = [Path(line) for line in done.out.splitlines()]
    assert [path.suffix for path in paths] == [".png", ".json"]
    assert all(path.is_file() for path in paths)
    assert "covering window by window" in done.err
    assert "attention: " in done.err
    assert "pdf: not written by this version" in done.err


def test_progress_keeps_quiet_under_json(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True)
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "occlusion", "--out", tmp_path / "out", "--json"
    )
    assert (done.status, done.err) == (0, "")
    assert done.document


def test_all_slices_and_all_labels(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    out = tmp_path / "out"
    document = whyscope(
        "explain", stack, "--model", small_model, "--method", "grad-cam,eigen-cam", "--slice", "all",
        "--target", "all", "--format", "npz", "--out", out, "--json",
    ).document  # fmt: skip
    entries = document["attributions"]
    cam = [e for e in entries if e["method"] == "grad-cam"]
    assert [(e["label"], e["slice"]) for e in cam] == [(name, i) for name in LABELS for i in range(4)]
    assert [e["label"] for e in entries if e["method"] == "eigen-cam"] == [None] * 4
    assert [p["slice"] for p in document["predictions"]] == [0, 1, 2, 3]
    assert len(names(out)) == 16 + 1  # result.json beside them
    assert len({e["style"]["range"][1] for e in cam}) == 1


def test_the_default_is_the_middle_slice_and_the_top_label(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    document = whyscope(
        "explain", stack, "--model", small_model, "--method", "saliency", "--out", tmp_path, "--json"
    ).document
    (entry,) = document["attributions"]
    labels = document["predictions"][0]["labels"]
    assert entry["label"] == max(labels, key=lambda item: item["probability"])["label"]
    assert entry["slice"] == 2


def test_targets_layers_and_settings_reach_the_method(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--out", tmp_path, "--json", "--format", "npz")
    methods = ("--method", "integrated-gradients,occlusion,grad-cam")
    document = whyscope(
        *words, *methods, "--target", "mass-nodule", "--layer", "blocks.0.2",
        "--set", "steps=7,occlusion.window=5", "--set", "occlusion.baseline=mean",
    ).document  # fmt: skip
    ig, occlusion, cam = document["attributions"]
    assert {e["label"] for e in document["attributions"]} == {"mass − nodule"}
    assert (ig["settings"]["steps"], ig["settings"]["baseline"]) == (7, "minimum")
    assert (occlusion["settings"]["window"], occlusion["settings"]["baseline"]) == (5, "mean")
    assert (cam["layer"], cam["native_shape"]) == ("blocks.0.2", [1, 16, 16])
    assert ig["completeness_error"] < 5
    region = whyscope(*words, "--method", "saliency", "--target", "mass@2,2,9,9")
    assert region.status == 1  # one number per label: there is no place to ask about
    assert is_sentence(region.err)


@pytest.mark.parametrize("layer", ["blocks.0,blocks.1", "stages"])
def test_several_layers_are_several_maps(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, layer: str
) -> None:
    words = ("explain", stack, "--model", small_model, "--out", tmp_path, "--json", "--format", "npz")
    done = whyscope(*words, "--method", "grad-cam,saliency", "--target", "mass", "--layer", layer)
    assert (done.status, done.err) == (0, "")
    entries = done.document["attributions"]
    assert [e["method"] for e in entries] == ["grad-cam", "grad-cam", "saliency"]
    assert len({e["layer"] for e in entries}) == 3
    named = [e["files"]["npz"] for e in entries]
    assert all(e["layer"].replace(".", "-") in e["files"]["npz"] for e in entries[:2])
    assert named[2] == "saliency_mass_s2.npz"


def picture_of(folder: Path) -> np.ndarray:
    (path,) = folder.glob("*.png")
    return np.asarray(Image.open(path))


def test_the_picture_is_drawn_as_asked(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "grad-cam", "--target", "mass", "--json")
    plain = whyscope(*words, "--out", tmp_path / "plain").document["attributions"][0]
    assert plain["display"] == {"slice": 2, "window": None, "inverted": False}
    done = whyscope(
        *words, "--out", tmp_path / "asked", "--window", "40.5,400,soft tissue", "--style", "opacity=0.25",
        "--style", "range=-0.5,2", "--style", "colours=viridis", "--invert",
    )  # fmt: skip
    (asked,) = done.document["attributions"]
    assert asked["display"]["window"] == {
        "center": 40.5, "width": 400.0, "name": "soft tissue", "function": "LINEAR_EXACT",
    }  # fmt: skip
    assert asked["display"]["inverted"]
    # The method speaks for a label only: what lies below zero of the range is not drawn.
    chosen = {"opacity": 0.25, "range": [0.0, 2.0], "range_asked": [-0.5, 2.0], "colours": "viridis"}
    assert asked["style"] == plain["style"] | chosen
    with Image.open(tmp_path / "asked" / asked["files"]["png"]) as picture:
        facts = json.loads(picture.info["whyscope:provenance"])
    assert (facts["style"], facts["display"]) == (asked["style"], asked["display"])
    assert (picture_of(tmp_path / "plain") != picture_of(tmp_path / "asked")).any()


def test_the_picture_of_a_volume_shows_the_slice_that_is_asked_for(
    stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(tmp_path / "model", dimensions=3)
    words = ("explain", stack, "--model", model, "--method", "saliency", "--json")
    (entry,) = whyscope(*words, "--out", tmp_path / "out", "--show-slice", 3).document["attributions"]
    assert entry["display"]["slice"] == 3
    assert entry["files"]["png"].endswith("_s3.png")
    done = whyscope(*words, "--out", tmp_path / "none", "--show-slice", 4)
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert "0 to 3" in done.err
    assert not (tmp_path / "none").exists()


def test_what_result_json_says_makes_the_same_picture(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "grad-cam", "--target", "mass", "--json")
    style = whyscope(*words, "--out", tmp_path / "plain").document["attributions"][0]["style"]
    said = {**style, "range": ",".join(map(repr, style["range"]))}
    again = [word for key, value in said.items() for word in ("--style", f"{key}={value}")]
    whyscope(*words, *again, "--out", tmp_path / "again")
    assert (picture_of(tmp_path / "plain") == picture_of(tmp_path / "again")).all()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--style", "glow=1"), "colours, range, opacity, threshold, sign, interpolation"),
        (("--style", "colours=jet"), "inferno, viridis, grey, blue-white-red"),
        (("--style", "sign=both"), "positive, signed, magnitude"),
        (("--style", "interpolation=cubic"), "bilinear, nearest"),
        (("--style", "range=2,1"), "LOW,HIGH"),
        (("--style", "range=1"), "LOW,HIGH"),
        (("--style", "opacity=1.5"), "from 0 to 1"),
        (("--style", "opacity=nan"), "from 0 to 1"),
        (("--style", "threshold=-1"), "from 0"),
    ],
)
def test_a_style_that_is_none(
    words: tuple[str, ...], named: str, stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    # Said before the model is loaded: this one does not exist.
    done = whyscope(
        "explain",
        stack,
        "--model",
        tmp_path / "none",
        "--method",
        "saliency",
        "--out",
        tmp_path / "out",
        *words,
    )
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert named in done.err
    assert names(tmp_path) == set()


def test_limits_are_those_asked_for(stack: Path, whyscope: Whyscope) -> None:
    words = ("--json", "--limit", "rows=64", "--limit", "bytes=1M")
    assert len(json.loads(whyscope("series", stack, *words).out)["series"]) == 1
    refused = json.loads(whyscope("series", demo.studies()[0], *words).out)
    assert refused["series"] == []
    assert any("more than the limit of 32768 × 64" in one["reason"] for one in refused["refused"])


@pytest.mark.parametrize(
    ("wrong", "said"), [("rows", "KEY=VALUE"), ("miles=3", "columns"), ("rows=0", "64"), ("bytes=1T", "1T")]
)
def test_a_limit_that_is_none_is_wrong_usage(
    wrong: str, said: str, stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    for command in (
        ("series", stack),
        ("predict", stack, "--model", tmp_path),
        ("explain", stack, "--model", tmp_path, "--method", "saliency", "--out", tmp_path / "out"),
    ):
        done = whyscope(*command, "--limit", wrong)
        assert (done.status, done.out) == (2, "")
        assert said in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("--style", "opacity"), ("--style", "=1"), ("--window", "40"), ("--window", "40,0"),
        ("--window", "a,b"), ("--window", "inf,40"),
    ],
)  # fmt: skip
def test_a_display_that_is_no_wish_is_wrong_usage(
    words: tuple[str, ...], stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    done = whyscope(
        "explain",
        stack,
        "--model",
        tmp_path / "none",
        "--method",
        "saliency",
        "--out",
        tmp_path / "out",
        *words,
    )
    assert (done.status, done.out) == (2, "")
    assert words[0] in done.err


def test_what_a_version_does_not_write_is_named(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "saliency,attention", "--json", "--format")
    done = whyscope(*words, "png,tiff,sr", "--out", tmp_path / "some")
    assert done.status == 0
    skipped = done.document["skipped"]
    assert [s["format"] for s in skipped if "format" in s] == ["tiff", "sr"]
    assert [s["method"] for s in skipped if "method" in s] == ["attention"]
    assert all(s["reason"] for s in skipped)
    assert {Path(name).suffix for name in names(tmp_path / "some")} == {".png", ".json"}
    done = whyscope(*words, "tiff,sr", "--out", tmp_path / "none")
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert names(tmp_path) == {"some"}


def test_no_method_that_suits_is_a_failure(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "attention", "--out", tmp_path / "out", "--json"
    )
    assert (done.status, done.out) == (1, "")
    assert is_sentence(done.err)
    assert not (tmp_path / "out").exists()


def test_a_label_that_is_no_text_is_carried_through(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(tmp_path / "model", output={"labels": ["effusion", "m\ud800ss", "../nodule"]})
    done = whyscope(
        "explain", stack, "--model", model, "--method", "saliency", "--target", "all",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.document == json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert [e["label"] for e in done.document["attributions"]] == ["effusion", "m\ud800ss", "../nodule"]
    assert len(names(tmp_path / "out")) == 7
    assert names(tmp_path) == {"model", "out"}


def test_identity_only_when_asked(stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "saliency", "--format", "json", "--json")
    masked = whyscope(*words, "--out", tmp_path / "masked")
    shown = whyscope(*words, "--out", tmp_path / "shown", "--show-identity")
    assert "Zoidberg" not in masked.out + (tmp_path / "masked" / "result.json").read_text("utf-8")
    assert shown.document["series"]["patient"] == "Zoidberg^Wilhelmina"


def test_writing_again_replaces_and_keeps_the_rest(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    words = (
        "explain",
        stack,
        "--model",
        small_model,
        "--method",
        "saliency",
        "--format",
        "npz",
        "--out",
        tmp_path,
    )
    assert whyscope(*words).status == 0
    before = names(tmp_path)
    assert whyscope(*words).status == 0
    assert names(tmp_path) == before
    assert "mine.txt" in before


# --- gates ----------------------------------------------------------------------------------------


def test_a_study_outside_the_intended_use(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(tmp_path / "model", accepts={"modality": ["MR"]})
    words = ("explain", stack, "--model", model, "--method", "saliency", "--out", tmp_path / "out", "--json")
    for refused in (whyscope(*words), whyscope("predict", stack, "--model", model)):
        assert (refused.status, refused.out) == (1, "")
        assert "made for modality MR" in refused.err
        assert "--outside-intended-use" in refused.err
        assert "Traceback" not in refused.err
    assert not (tmp_path / "out").exists()

    done = whyscope(*words, "--outside-intended-use")
    assert done.status == 0
    reason = done.document["override"]
    assert done.document["intended_use"] == {"verdict": "outside", "reason": reason}
    assert "made for modality MR" in reason
    files = done.document["attributions"][0]["files"]
    with Image.open(tmp_path / "out" / files["png"]) as picture:
        chunk = json.loads(picture.text["whyscope:provenance"])  # type: ignore[attr-defined]
        red = (np.asarray(picture) == [int(STOP[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)
    assert chunk["override"] == reason
    assert red.any(1).sum() > 20
    assert red[red.any(1)].mean() > 0.5  # a bar across the picture
    kept = json.loads(str(arrays_of(tmp_path / "out" / files["npz"])["provenance"]))
    assert kept["override"] == reason
    assert reason in whyscope("predict", stack, "--model", model, "--outside-intended-use").err


DOUBTFUL = {
    "squashed twice": ("self.fc(x.flatten(1)).softmax(1)", 1, "activation: none in the card"),
    "the same for all": ("self.fc(x.flatten(1)) * 0 + 2", 1, "are the same for 4 different made-up images"),
    "random": (
        "torch.nn.functional.dropout(self.fc(x.flatten(1)), 0.4)",
        10,
        "of 10 runs, and a map is of a",
    ),
}


@pytest.mark.parametrize(("says", "runs", "words"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_doubtful_scores_are_marked_in_words_and_in_every_file(
    stack: Path, tmp_path: Path, whyscope: Whyscope, says: str, runs: int, words: str
) -> None:
    code = (
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.fc = torch.nn.Linear(256, 3)\n\n    def forward(self, x):\n        return {says}\n"
    )
    output = {"labels": ["effusion", "mass", "nodule"], "activation": "softmax"}
    model = write_model(tmp_path / "m", architecture="network.py:Net", arguments={}, output=output)
    (model / "network.py").write_text(code, "utf-8")
    torch.manual_seed(2)
    save_file({"fc.weight": torch.randn(3, 256), "fc.bias": torch.zeros(3)}, model / "model.safetensors")
    ask = ("--model", model, "--trust")
    done = whyscope("predict", stack, *ask)
    assert done.status == 0
    assert words in done.err
    assert ("±" in done.out) is (runs > 1)
    (result,) = whyscope("predict", stack, *ask, "--json").document["results"]
    assert result["runs"] == runs
    assert (result["implausible"] is None) is (runs > 1)
    assert all((label["spread"] is None) is (runs == 1) for label in result["labels"])
    out = tmp_path / "out"
    done = whyscope(
        "explain", stack, *ask, "--method", "occlusion", "--set", "window=8", "--out", out, "--json"
    )
    facts = done.document["predictions"][0]
    assert (facts["runs"], facts["implausible"]) == (runs, result["implausible"])
    files = done.document["attributions"][0]["files"]
    kept = json.loads(str(arrays_of(out / files["npz"])["provenance"]))
    assert (kept["runs"], kept["implausible"]) == (runs, result["implausible"])


UNKNOWN = {
    "a card that says nothing": ({}, {}, "the card of Block CNN does not say which studies it accepts"),
    "no body part": (
        {"body_part": ["HEAD"]},
        {},
        "made for body part HEAD, and the file states no body part",
    ),
    "no view": ({"modality": ["CT"], "view": ["PA"]}, {"BodyPartExamined": "HEAD"}, "states no view"),
}


@pytest.mark.parametrize(("accepts", "tags", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_intended_use_is_said_in_words_and_in_every_file(
    tmp_path: Path, whyscope: Whyscope, accepts: dict[str, Any], tags: dict[str, Any], why: str
) -> None:
    stack, model = write_stack(tmp_path / "s", **tags), write_model(tmp_path / "m", accepts=accepts)
    done = whyscope("predict", stack, "--model", model)
    assert done.status == 0
    assert "Intended use unknown: " in done.err
    assert why in done.err
    (result,) = whyscope("predict", stack, "--model", model, "--json").document["results"]
    assert result["intended_use"]["verdict"] == "unknown"
    assert why in result["intended_use"]["reason"]
    done = whyscope(
        "explain", stack, "--model", model, "--method", "saliency", "--out", tmp_path / "out", "--json"
    )
    assert done.document["intended_use"] == result["intended_use"]
    assert done.document["override"] is None
    files = done.document["attributions"][0]["files"]
    with Image.open(tmp_path / "out" / files["png"]) as picture:
        chunk = json.loads(picture.text["whyscope:provenance"])  # type: ignore[attr-defined]
        red = (np.asarray(picture) == [int(STOP[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)
    assert chunk["intended_use"] == result["intended_use"]
    assert not red.any(1).sum() > 20
    kept = json.loads(str(arrays_of(tmp_path / "out" / files["npz"])["provenance"]))
    assert kept["intended_use"] == result["intended_use"]


def test_inside_the_intended_use_nothing_is_overridden(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = ("explain", stack, "--model", small_model, "--method", "saliency", "--out", tmp_path, "--json")
    done = whyscope(*words, "--outside-intended-use")
    assert done.document["override"] is None
    assert done.document["intended_use"] == {"verdict": "fits", "reason": None}
    with Image.open(next(tmp_path.glob("*.png"))) as picture:
        assert not (np.asarray(picture) == [int(STOP[i : i + 2], 16) for i in (1, 3, 5)]).all(-1).any()


NETWORK = """
import pathlib
from torch import nn
pathlib.Path(__file__).with_name("ran").touch()

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.mark.parametrize("command", ["methods", "predict", "explain"])
def test_code_beside_the_weights_wants_trust(
    command: str, stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    import hashlib

    folder = write_model(tmp_path / "model", architecture="network.py:Net", arguments={})
    (folder / "network.py").write_text(NETWORK)
    save_file({"0.weight": torch.ones(3, 1, 3, 3), "0.bias": torch.zeros(3)}, folder / "model.safetensors")
    words: tuple[object, ...] = (command, "--model", folder)
    words += () if command == "methods" else (stack,)
    words += ("--method", "saliency", "--out", tmp_path / "out") if command == "explain" else ()
    refused = whyscope(*words)
    assert (refused.status, is_sentence(refused.err)) == (1, True)
    assert str(folder / "network.py") in refused.err
    assert hashlib.sha256(NETWORK.encode()).hexdigest() in refused.err
    assert not (folder / "ran").exists()
    assert whyscope(*words, "--trust").status == 0
    assert (folder / "ran").exists()


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["series"],
        ["series", "STACK", "--unknown"],
        ["predict", "STACK"],
        ["predict", "STACK", "--model", "MODEL", "--slice", "x"],
        ["predict", "nowhere", "--model", "nowhere", "--slice", "1.5"],
        ["predict", "STACK", "--model", "MODEL", "--at", "1"],
        ["predict", "STACK", "--model", "MODEL", "--at", "1,b"],
        ["predict", "STACK", "--model", "MODEL", "--at", "nan,1,1"],
        ["predict", "STACK", "--model", "MODEL", "--at", "1,1e999"],
        ["predict", "STACK", "--model", "MODEL", "--device", "toaster"],
        ["explain", "STACK", "--model", "MODEL", "--method", "saliency"],
        ["explain", "STACK", "--model", "MODEL", "--out", "OUT"],
        ["explain", "STACK", "--model", "MODEL", "--out", "OUT", "--method", ","],
        ["explain", "STACK", "--model", "MODEL", "--out", "OUT", "--method", "saliency", "--set", "novalue"],
        ["explain", "STACK", "--model", "MODEL", "--out", "OUT", "--method", "saliency", "--set", "=3"],
        ["nonsense-that-is-no-path"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(
    words: list[str], stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    places = {"STACK": stack, "MODEL": small_model, "OUT": tmp_path / "out"}
    done = whyscope(*(places.get(word, word) for word in words))
    assert (done.status, done.out) == (2, "")
    assert done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS)])
def test_help_is_status_0(command: list[str], whyscope: Whyscope) -> None:
    done = whyscope(*command, "--help")
    assert (done.status, done.err) == (0, "")
    assert "Usage" in done.out


def test_every_command_is_named() -> None:
    named = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert named == {*COMMANDS, "window"}  # the window opens without a word of its own


def test_a_first_word_that_is_a_command_wins(
    stack: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(stack, tmp_path / "series")
    monkeypatch.chdir(tmp_path)
    assert whyscope("series", "series", "--json").document["series"][0]["slices"] == 4
    assert whyscope("series").status == 2
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    as_path = whyscope("./series")  # opens the window, for which there is no display here
    assert (as_path.status, as_path.out) == (1, "")
    assert is_sentence(as_path.err)
    assert "display" in as_path.err
    assert whyscope("s" * 5000).status == 2


# --- bad input ------------------------------------------------------------------------------------

Words = list[object]


def _series(path: Path) -> Words:
    return ["series", path]


def _missing(folder: Path, stack: Path, model: Path) -> Words:
    return _series(folder / "nowhere")


def _too_long(folder: Path, stack: Path, model: Path) -> Words:
    return _series(folder / ("n" * 3000))


def _empty_folder(folder: Path, stack: Path, model: Path) -> Words:
    (folder / "empty").mkdir()
    return _series(folder / "empty")


def _text(folder: Path, stack: Path, model: Path) -> Words:
    (folder / "text.dcm").write_text("This is no DICOM.\n" * 40)
    return ["predict", folder / "text.dcm", "--model", model]


def _truncated(folder: Path, stack: Path, model: Path) -> Words:
    whole = next(stack.iterdir()).read_bytes()
    (folder / "short.dcm").write_bytes(whole[:-200])
    return ["predict", folder / "short.dcm", "--model", model]


def _truncated_header(folder: Path, stack: Path, model: Path) -> Words:
    whole = next(stack.iterdir()).read_bytes()
    (folder / "short.dcm").write_bytes(whole[:400])
    return ["predict", folder / "short.dcm", "--model", model]


def _truncated_picture(folder: Path, stack: Path, model: Path) -> Words:
    path = folder / "short.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:600])
    return ["predict", path, "--model", change_card(copy(model, folder / "m"), accepts={})]


def _no_model(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", folder / "nowhere"]


def _no_card(folder: Path, stack: Path, model: Path) -> Words:
    (folder / "empty").mkdir()
    return ["predict", stack, "--model", folder / "empty"]


def _unknown_field(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", change_card(copy(model, folder / "m"), treshold=0.5)]


def _label_count(folder: Path, stack: Path, model: Path) -> Words:
    changed = change_card(copy(model, folder / "m"), output={"labels": ["one", "two"]})
    return ["predict", stack, "--model", changed]


def _no_yaml(folder: Path, stack: Path, model: Path) -> Words:
    (copy(model, folder / "m") / "model.yaml").write_text("name: [")
    return ["predict", stack, "--model", folder / "m"]


def _nan_weights(folder: Path, stack: Path, model: Path) -> Words:
    path = copy(model, folder / "m") / "model.safetensors"
    state = load_file(path)
    state["head.bias"][1] = torch.nan
    save_file(state, path)
    return ["predict", stack, "--model", folder / "m"]


def _empty_weights(folder: Path, stack: Path, model: Path) -> Words:
    (copy(model, folder / "m") / "model.safetensors").write_bytes(b"")
    return ["predict", stack, "--model", folder / "m"]


def _short_weights(folder: Path, stack: Path, model: Path) -> Words:
    path = copy(model, folder / "m") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return ["predict", stack, "--model", folder / "m"]


def _other_weights(folder: Path, stack: Path, model: Path) -> Words:
    path = copy(model, folder / "m") / "model.safetensors"
    save_file({"other.weight": torch.zeros(3)}, path)
    return ["predict", stack, "--model", folder / "m"]


def _wrong_hash(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", change_card(copy(model, folder / "m"), sha256="0" * 64)]


def _unknown_architecture(folder: Path, stack: Path, model: Path) -> Words:
    changed = change_card(copy(model, folder / "m"), architecture="torchvision:resnet99")
    return ["predict", stack, "--model", changed]


def _wrong_arguments(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", change_card(copy(model, folder / "m"), arguments={"width": 3})]


def _several_series(folder: Path, stack: Path, model: Path) -> Words:
    write_stack(copy(stack, folder / "two"), uid="1.2.826.78")
    return ["predict", folder / "two", "--model", model]


def _unknown_series(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", model, "--series", "7"]


def _unknown_slice(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", model, "--slice", "4"]


def _negative_slice(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", model, "--slice", "-1"]


def _place_without_a_patch(folder: Path, stack: Path, model: Path) -> Words:
    return ["predict", stack, "--model", model, "--at", "3,3"]


def _explain(*words: object) -> Callable[[Path, Path, Path], Words]:
    def case(folder: Path, stack: Path, model: Path) -> Words:
        return ["explain", stack, "--model", model, "--out", folder / "out", *words]

    return case


CASES = {
    "a missing path": _missing,
    "a path too long": _too_long,
    "an empty folder": _empty_folder,
    "text named .dcm": _text,
    "truncated pixels": _truncated,
    "a truncated header": _truncated_header,
    "a truncated picture": _truncated_picture,
    "a missing model": _no_model,
    "a folder without a card": _no_card,
    "an unknown field": _unknown_field,
    "a wrong number of labels": _label_count,
    "no YAML": _no_yaml,
    "NaN weights": _nan_weights,
    "0-byte weights": _empty_weights,
    "truncated weights": _short_weights,
    "weights of another network": _other_weights,
    "another hash": _wrong_hash,
    "an unknown architecture": _unknown_architecture,
    "wrong arguments": _wrong_arguments,
    "several series": _several_series,
    "an unknown series": _unknown_series,
    "an unknown slice": _unknown_slice,
    "a negative slice": _negative_slice,
    "a place without a patch": _place_without_a_patch,
    "an unknown method": _explain("--method", "grad-camera"),
    "an unknown target": _explain("--method", "saliency", "--target", "goitre"),
    "an unknown layer": _explain("--method", "grad-cam", "--layer", "blocks.9"),
    "a layer for no method": _explain("--method", "saliency", "--layer", "blocks.0"),
    "an unknown setting": _explain("--method", "saliency", "--set", "steps=3"),
    "a wrong setting": _explain("--method", "integrated-gradients", "--set", "steps=many"),
    "an unknown format": _explain("--method", "saliency", "--format", "docx"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_one_sentence(
    case: Callable[[Path, Path, Path], Words],
    stack: Path,
    small_model: Path,
    tmp_path: Path,
    whyscope: Whyscope,
) -> None:
    words = case(tmp_path, stack, small_model)
    if words[0] == "predict":  # `explain` comes by the same way and must leave nothing behind
        done = whyscope("explain", *words[1:], "--method", "saliency", "--out", tmp_path / "out", "--json")
        assert (done.status, done.out) == (1, "")
    done = whyscope(*words)
    assert (done.status, done.out) == (1, "")
    assert is_sentence(done.err), done.err
    assert not (tmp_path / "out").exists()


def test_the_sentence_names_what_to_choose_from(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    def told(case: str) -> str:
        folder = tmp_path / case
        folder.mkdir()
        return whyscope(*CASES[case](folder, stack, small_model)).err

    assert "thresholds" in told("an unknown field")
    assert "2 labels" in told("a wrong number of labels")
    assert "head.bias" in told("NaN weights")
    assert "0 bytes" in told("0-byte weights")
    assert "--series: 0 (CT, 4 slices), 1 (CT, 4 slices)" in told("several series")
    assert "slices 0 to 3" in told("an unknown slice")
    assert "grad-cam, grad-cam-plus-plus" in told("an unknown method")
    assert "effusion, mass, nodule" in told("an unknown target")
    assert "blocks" in told("an unknown layer")
    assert "png, npz, json" in told("an unknown format")


def test_a_series_by_number_or_uid(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    two = write_stack(copy(stack, tmp_path / "two"), slices=3, uid="1.2.826.78")
    words = ("predict", two, "--model", small_model, "--json", "--series")
    listed = [s["uid"] for s in whyscope("series", two, "--json").document["series"]]
    for number, uid in enumerate(listed):
        for which in (number, uid):
            assert whyscope(*words, which).document["results"][0]["series"] == uid


# --- what the disk refuses ------------------------------------------------------------------------


def saliency(stack: Path, model: Path, out: Path) -> tuple[object, ...]:
    return ("explain", stack, "--model", model, "--method", "saliency,grad-cam", "--out", out, "--json")


@pytest.mark.parametrize("place", ["file", "file/under", "nul"])
def test_a_folder_that_cannot_be(
    place: str, stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    (tmp_path / "file").write_text("mine")
    out = Path("/dev/null/out") if place == "nul" else tmp_path / place
    done = whyscope(*saliency(stack, small_model, out))
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_may_not_be_written(
    number: int,
    stack: Path,
    small_model: Path,
    tmp_path: Path,
    whyscope: Whyscope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mkdir(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    words = saliency(stack, small_model, tmp_path / "a" / "out")
    monkeypatch.setattr(Path, "mkdir", mkdir)
    done = whyscope(*words)
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert "may not be written to" in done.err
    assert names(tmp_path) == set()


@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_disk_that_is_full_in_the_middle(
    call: int,
    stack: Path,
    small_model: Path,
    tmp_path: Path,
    whyscope: Whyscope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def fsync(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    done = whyscope(*saliency(stack, small_model, tmp_path / "a" / "out"))
    assert calls == call
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert "disk is full" in done.err
    assert names(tmp_path) == set()


def test_a_write_that_the_system_cuts_short(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        done = whyscope(*saliency(stack, small_model, tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert names(tmp_path) == set()


def test_nothing_changes_where_a_name_is_taken_by_a_folder(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    (tmp_path / "result.json").mkdir()
    done = whyscope(*saliency(stack, small_model, tmp_path))
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert names(tmp_path) == {"result.json"}


# --- cancelling -----------------------------------------------------------------------------------


def test_ctrl_c_leaves_nothing_behind(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    forward = Model.run

    def run(self: Model, *words: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, *words)

    monkeypatch.setattr(Model, "run", run)
    # A shell starts what runs in its background deaf to Ctrl-C; these tests may run there too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = whyscope(
            "explain", stack, "--model", small_model, "--method", "occlusion", "--out",
            tmp_path / "a" / "out", "--set", "batch=1", "--json",
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls == 4
    assert (done.status, done.out, done.err) == (1, "", "Cancelled.\n")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("doing", ["reading files", "covering window by window", "writing"])
def test_a_cancelled_task_leaves_nothing_behind(
    doing: str,
    stack: Path,
    small_model: Path,
    tmp_path: Path,
    whyscope: Whyscope,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Impatient(Task):
        def progress(self, done: int, total: int, what: str) -> None:
            super().progress(done, total, what)
            if what == doing and done == 1:
                self.cancel()

    monkeypatch.setattr(output, "Task", Impatient)
    done = whyscope(
        "explain", stack, "--model", small_model, "--method", "occlusion,saliency", "--out", tmp_path / "out",
        "--set", "batch=4", "--json",
    )  # fmt: skip
    assert (done.status, done.out, done.err) == (1, "", "Cancelled.\n")
    assert names(tmp_path) == set()


# --- sweeps ---------------------------------------------------------------------------------------


def test_a_patch_is_swept_over_a_slice_all_slices_and_a_box(
    stack: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    model = write_model(
        tmp_path / "model", input={"size": [8, 8], "fit": "patch", "values": {"window": [0, 2000]}}
    )
    words = ("predict", stack, "--model", model, "--json")
    every = whyscope(*words, "--at", "sweep", "--no-refine").document["results"]
    assert len(every) == 4 * 6  # rows 0, 4, 8, 12 and six columns up to 20
    assert {tuple(r["at"]) for r in every} >= {(2, 3.5, 3.5), (2, 15.5, 23.5)}
    assert (
        len(whyscope(*words, "--at", "sweep", "--overlap", "0", "--no-refine").document["results"]) == 3 * 4
    )
    boxed = whyscope(*words, "--at", "2,3..9,10").document["results"]
    assert [r["at"] for r in boxed] == [[2, 5.5, 6.5]]
    out = tmp_path / "out"
    done = whyscope(
        "explain", stack, "--model", model, "--method", "grad-cam,saliency", "--slice", "all",
        "--at", "sweep", "--no-refine", "--target", "mass", "--out", out, "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert len(done.document["predictions"]) == 4 * 24
    assert [e["slice"] for e in done.document["attributions"]] == [0, 1, 2, 3] * 2
    for entry in done.document["attributions"]:
        found = arrays_of(out / entry["files"]["npz"])
        assert np.isfinite(found["map"]).all()
        assert found["map"].shape == (ROWS, COLUMNS)
    for at, overlap, status in (
        ("sweep", "1", 2),
        ("1,2..3", "0", 2),
        ("1..2", "0", 2),
        ("2,3..99,4", "0", 1),
    ):
        done = whyscope(*words, "--at", at, "--overlap", overlap)
        assert (done.status, "Traceback" in done.err) == (status, False)
    done = whyscope("predict", stack, "--model", write_model(tmp_path / "whole"), "--at", "sweep")
    assert (done.status, is_sentence(done.err)) == (1, True)


def test_a_volume_is_swept(stack: Path, tmp_path: Path, whyscope: Whyscope) -> None:
    model = write_model(
        tmp_path / "model",
        dimensions=3,
        input={"dimensions": 3, "size": [2, 8, 8], "fit": "patch", "values": {"window": [0, 2000]}},
    )
    out = tmp_path / "out"
    done = whyscope(
        "explain", stack, "--model", model, "--method", "grad-cam", "--at", "sweep", "--no-finer",
        "--out", out, "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    (entry,) = done.document["attributions"]
    assert entry["swept"]["grid"] == 3 * 4 * 6
    assert len(done.document["predictions"]) == entry["swept"]["blocks"] > 3 * 4 * 6
    found = arrays_of(out / entry["files"]["npz"])["map"]
    assert np.isfinite(found).all()
    assert found.shape == (4, ROWS, COLUMNS)
