# SPDX-License-Identifier: Apache-2.0
"""Comparing pictures of two checkouts: what moved is found to the pixel, and nothing else."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("compare_pictures")


def picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def plain() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (30, 40, 3), dtype=np.uint8)


def test_equal_folders(script: ModuleType, tmp_path: Path, plain: np.ndarray) -> None:
    for tree in ("old", "new"):
        picture(tmp_path / tree / "ct dark x1" / "planes 1280x720.png", plain)
    assert script.compare(tmp_path / "old", tmp_path / "new") == (1, [])


def test_one_pixel_by_one_level_is_found(script: ModuleType, tmp_path: Path, plain: np.ndarray) -> None:
    moved = plain.copy()
    moved[7, 21, 2] += 1
    picture(tmp_path / "old" / "start" / "page.png", plain)
    picture(tmp_path / "new" / "start" / "page.png", moved)
    count, (found,) = script.compare(tmp_path / "old", tmp_path / "new", out=tmp_path / "seen")
    assert (count, found.name, found.pixels, found.most, found.box) == (1, "start/page", 1, 1, (21, 7, 22, 8))
    with Image.open(tmp_path / "seen" / "start page.png") as drawn:
        shown = np.asarray(drawn)
    assert shown.shape == (90, 40, 3)
    assert np.argwhere((shown[60:] == script.MARK).all(-1)).tolist() == [[7, 21]]


def test_darker_and_brighter_both_count(script: ModuleType, plain: np.ndarray) -> None:
    other = plain.copy()
    other[2, 3], other[20, 30] = 255, 0
    found = script.Difference.between("x", plain, other)
    assert found.pixels == 2
    assert found.box == (3, 2, 31, 21)


def test_another_size_and_what_only_one_has(script: ModuleType, tmp_path: Path, plain: np.ndarray) -> None:
    picture(tmp_path / "old" / "a.png", plain)
    picture(tmp_path / "new" / "a.png", plain[:20])
    picture(tmp_path / "old" / "b.png", plain)
    picture(tmp_path / "new" / "c.png", plain)
    count, found = script.compare(tmp_path / "old", tmp_path / "new")
    assert count == 3
    assert [one.said for one in found] == ["40 × 30 before, 40 × 20 now", "only before", "only now"]


def test_the_exit_status(tmp_path: Path, plain: np.ndarray) -> None:
    picture(tmp_path / "old" / "a.png", plain)
    picture(tmp_path / "new" / "a.png", plain)
    (tmp_path / "empty").mkdir()

    def status(*words: str) -> int:
        command = [sys.executable, str(SCRIPTS / "compare_pictures.py"), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert status("old", "new") == 0
    picture(tmp_path / "new" / "a.png", 255 - plain)
    assert status("old", "new") == 1
    assert status("empty", "empty") == 1  # nothing compared is not "equal"
    assert status("old", "nowhere") == 1
