# SPDX-License-Identifier: Apache-2.0
"""The pages name pictures and keys that there are."""

import re
import tomllib
from pathlib import Path

import pytest

from viewer.ui.commands import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = ROOT / "docs" / "guide.md"


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
