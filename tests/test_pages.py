# SPDX-License-Identifier: Apache-2.0
"""The pages name pictures and keys that there are."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from program import Whyscope

from viewer.cli.program import COMMANDS as WORDS
from viewer.ui.commands import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = ROOT / "docs" / "guide.md"


MEANT = {
    "STUDY": "resources/demo/studies/1-nodule",
    "MODEL": "resources/demo/models/cnn",
    "OUT": "whyscope-out",
}
"""What stands for a reader's own in the guide, and what the README sets it to."""


def commands() -> list[str]:
    """The command lines of README and guide that begin with the program's name, as they are written."""
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S)
    found = [line for block in blocks for line in block.splitlines() if line.startswith("whyscope ")]
    table = re.findall(r"^\|.*\| `(whyscope [^`]*)`", GUIDE.read_text("utf-8"), re.M)
    return [*found, *table]


def links(page: Path) -> set[Path]:
    """The files of this repository that a page shows or leads to."""
    found = re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))
    return {page.parent / name for name in found if "://" not in name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    assert {str(path) for path in links(page) if not path.exists()} == set()


def test_every_picture_is_shown_and_small() -> None:
    made = set((ROOT / "docs" / "guide").iterdir())
    assert made == {path for path in links(GUIDE) if path.suffix == ".png"}
    assert max(path.stat().st_size for path in made) <= 180_000


def test_the_guide_is_found_from_the_readme() -> None:
    assert GUIDE in links(ROOT / "README.md")


def test_the_newest_change_is_of_this_version() -> None:
    heads = re.findall(r"^## (\S+) – (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert heads[0][0] == project["version"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for _, day in heads[1:])


def test_the_table_of_keys_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", GUIDE.read_text("utf-8").partition("## Keys")[2], re.M)
    told = {title: tuple(re.findall(r"`([^`]+)`", keys)) for keys, title in rows}
    assert told == {command.title: command.keys for command in COMMANDS if command.keys}


def test_the_readme_says_what_stands_for_a_readers_own() -> None:
    line = "; ".join(f"{name}={value}" for name, value in MEANT.items())
    assert line in (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(commands()) >= 10


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_pages_does_as_written(
    line: str, tmp_path: Path, whyscope: Whyscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(re.sub(r"\$?\b(STUDY|MODEL|OUT)\b", lambda m: MEANT[m[1]], line), comments=True)
    if words[0] in WORDS:
        done = whyscope(*words)
        assert (done.status, done.out != "" or "--out" in words) == (0, True), done.err
        return
    # The window: its picture is made, for which there must be nothing to complain of.
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "QT_QPA_PLATFORM")}
    command = [sys.executable, "-W", "ignore", str(ROOT / "main.py"), *words, "--screenshot", "window.png"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "window.png").is_file()
