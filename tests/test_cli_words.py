# SPDX-License-Identifier: Apache-2.0
"""What the command line says to a reader: the help, the lists, and what is not there."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import Whyscope, is_sentence, write_stack

from viewer.cli.program import COMMANDS


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24)).astype(np.uint8)).save(path)
    return path


def test_the_help_names_the_window_and_cuts_no_sentence(
    whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = whyscope("--help").out
    for word in ("[PATH]...", "--model", "--screenshot", "--size", "--light", *COMMANDS):
        assert word in told
    assert "..." not in told.replace("[PATH]...", "").replace("[ARGS]...", "")


@pytest.mark.parametrize("width", [None, "80"])
def test_no_word_of_a_method_is_cut(
    width: str | None, small_model: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    told = whyscope("methods", "--model", small_model).out
    assert "…" not in told
    listed = whyscope("methods", "--model", small_model, "--json").document
    if width is None:  # a file has no width: each method has one line
        lines = {line.split()[0]: line for line in told.splitlines() if line.strip()}
        for item in listed["methods"]:
            assert (item["unsuitable"] or item["shows"]) in lines[item["name"]]
            assert f" {item['library']} " in lines[item["name"]]
        assert lines["Layers:"].removeprefix("Layers: ").split(", ") == listed["layers"]
    assert {item["library"] for item in listed["methods"]} == {"", "captum", "grad-cam"}


def test_a_study_without_an_image_is_a_problem(tmp_path: Path, whyscope: Whyscope) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    done = whyscope("series", tmp_path)
    assert (done.status, is_sentence(done.err)) == (1, True)
    assert "notes.txt" in done.out
    told = whyscope("series", tmp_path, "--json")
    assert (told.status, is_sentence(told.err)) == (1, True)
    assert [item["path"] for item in told.document["other"]] == [str(tmp_path / "notes.txt")]


def test_series_that_look_alike_are_told_apart(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # a heading that is broken has no words to look for
    folder = write_stack(tmp_path / "study", 1)
    assert "patient" not in whyscope("series", folder).out.splitlines()[0]
    write_stack(folder / "other", 1, "1.2.826.78", PatientName="Farnsworth", PatientID="PID-2")
    for i in range(2):
        picture(folder / f"wrist-{i}.png", i)
    told = whyscope("series", folder).out
    heading, *rows = told.splitlines()[:5]
    assert "patient" in heading
    assert sorted(row.split()[1] for row in rows if "CT" in row) == ["1", "2"]
    assert "Farnsworth" not in told
    assert ["wrist-0.png" in told, "wrist-1.png" in told] == [True, True]
    asked = whyscope("predict", folder, "--model", small_model).err
    assert "(CT, 1 slice)" in asked
    assert "(picture wrist-1.png)" in asked


@pytest.mark.parametrize("word", ["/nowhere-at-all", "./nowhere", "nowhere/study"])
def test_a_path_that_is_not_there_is_no_command(word: str, whyscope: Whyscope) -> None:
    done = whyscope(word)
    assert (done.status, done.out, is_sentence(done.err)) == (1, "", True)
    assert "no file or folder" in done.err


def test_a_word_that_is_neither_command_nor_file_is_told_as_such(whyscope: Whyscope) -> None:
    done = whyscope("nonsense")
    assert done.status == 2
    assert "nor a file or folder" in done.err


def explained(stack: Path, model: Path, *words: object) -> tuple[object, ...]:
    return ("explain", stack, "--model", model, *words)


def test_what_is_refused_is_said_of_whom(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = explained(stack, small_model, "--method", "attention,attention-rollout")
    done = whyscope(*words, "--out", tmp_path / "out")
    assert done.status == 1
    assert done.err.startswith("attention: ")
    assert " attention-rollout: " in done.err


@pytest.mark.parametrize("kind", ["png", "npz"])
def test_every_file_that_is_written_is_listed(
    kind: str, stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = explained(stack, small_model, "--method", "saliency", "--format", kind)
    done = whyscope(*words, "--out", tmp_path / "out")
    assert done.status == 0
    listed = done.out.split()
    assert sorted(listed) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert Path(listed[-1]).name == "result.json"


def test_only_what_can_be_written_is_offered(
    stack: Path, small_model: Path, tmp_path: Path, whyscope: Whyscope
) -> None:
    words = explained(stack, small_model, "--method", "saliency", "--format", "jpg")
    done = whyscope(*words, "--out", tmp_path / "out")
    assert (done.status, is_sentence(done.err)) == (1, True)
    assert done.err.rstrip().endswith("choose from: png, npz, json.")


def test_the_version_is_said(whyscope: Whyscope) -> None:
    done = whyscope("--version")
    assert (done.status, done.out) == (0, f"whyscope {metadata.version('whyscope')}\n")
    assert "--version" in whyscope("--help").out


def test_no_head_of_a_table_stands_without_a_row(tmp_path: Path, whyscope: Whyscope) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    told = whyscope("series", tmp_path / "notes.txt").out
    assert told.startswith("Not an image: notes.txt: ")
