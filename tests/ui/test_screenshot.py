# SPDX-License-Identifier: Apache-2.0
"""A picture of the window is made or the program says why not, and it ends either way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from program import is_sentence, write_model, write_stack
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]


def photographed(*words: object) -> tuple[int, str, str]:
    """How the real program ended without a screen, what it wrote, and what it said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "QT_QPA_PLATFORM")}
    command = [sys.executable, "-W", "ignore", "main.py", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def numb(folder: Path) -> Path:
    """A network whose weights are all zero: it says the same of every image."""
    weights = write_model(folder) / "model.safetensors"
    save_file({name: torch.zeros_like(one) for name, one in load_file(weights).items()}, weights)
    return folder


@pytest.mark.parametrize("case", ["no folder", "below a file", "no model", "no image"])
def test_a_picture_that_cannot_be_made_is_one_sentence(case: str, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("- no *model\n- and no image")
    out = tmp_path / "z.png"
    words = {
        "no folder": ("--screenshot", tmp_path / "nowhere" / "z.png"),
        "below a file": ("--screenshot", text / "z.png"),
        "no model": (write_stack(tmp_path / "s", 3), "--model", text, "--screenshot", out),
        "no image": (text, "--screenshot", out),
    }[case]
    status, written, said = photographed(*words)
    assert (status, written) == (1, "")
    assert is_sentence(said), said
    assert not out.exists()


def test_a_network_that_sees_nothing_is_a_picture_of_its_own(tmp_path: Path) -> None:
    """Nothing failed: its scores are marked, and its map is blank."""
    out = tmp_path / "z.png"
    words = (write_stack(tmp_path / "s", 3), "--model", numb(tmp_path / "m"), "--screenshot", out)
    assert photographed(*words) == (0, "", "")
    assert out.exists()


def test_a_picture_under_the_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    status, _, said = photographed("--screenshot", tmp_path / "z.jpg")
    assert status == 2
    assert ".png" in said
    assert not list(tmp_path.iterdir())
