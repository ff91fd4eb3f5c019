# SPDX-License-Identifier: Apache-2.0
"""A clone without the real data says how many tests that cost, and none can slip past the marker."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import real_data

TESTS = """
import pytest

@pytest.mark.shared
@pytest.mark.parametrize("n", range(3))
def test_real(shared, n):
    assert shared.name == "data"

def test_made_up():
    pass

@pytest.mark.skip(reason="not today")
def test_other():
    pass
"""
TOLD = "tests need the real data set, which is not beside the repository, and were skipped."


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with these tests and the hooks alone, where nothing heavy is imported."""
    tests = tmp_path / "repository" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(real_data.__file__, tests)
    (tests / "conftest.py").write_text("from real_data import *\n", "utf-8")
    (tests / "test_them.py").write_text(TESTS, "utf-8")
    return tests.parent


def outcome(repository: Path) -> tuple[int, str]:
    """The exit status of a run of its tests, and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "markers=shared", "tests"],
        cwd=repository, capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_clone_without_the_data_says_how_many_tests_it_skipped(repository: Path) -> None:
    status, said = outcome(repository)
    assert (status, said.count(TOLD)) == (0, 1)
    assert f"3 {TOLD}" in said
    assert "1 passed, 4 skipped" in said


def test_beside_the_data_they_run_and_nothing_is_said(repository: Path) -> None:
    (repository.parent / "shared" / "data").mkdir(parents=True)
    status, said = outcome(repository)
    assert (status, said.count("real data set")) == (0, 0)
    assert "4 passed, 1 skipped" in said


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("@pytest.mark.shared\n", "", "is for the `shared` data but is not marked so."),
        ("def test_made_up", "@pytest.mark.shared\ndef test_made_up", "and does not take the folder."),
    ],
)
def test_the_marker_stands_where_the_data_is_taken(
    repository: Path, before: str, after: str, fault: str
) -> None:
    path = repository / "tests" / "test_them.py"
    path.write_text(TESTS.replace(before, after), "utf-8")
    status, said = outcome(repository)
    assert status != 0
    assert fault in said
