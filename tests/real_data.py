# SPDX-License-Identifier: Apache-2.0
"""Tests on the real files beside the repository carry one marker, `shared`, and a summary counts them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ABSENT = "the real data set is not beside the repository"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files beside the repository; whoever takes it is marked `shared`."""
    assert SHARED.is_dir(), ABSENT
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked where there is no data, and let nobody be marked for nothing or read unmarked."""
    for item in items:
        marked = item.get_closest_marker("shared") is not None
        if marked != ("shared" in getattr(item, "fixturenames", ())):
            fault = "and does not take the folder" if marked else "but is not marked so"
            raise pytest.UsageError(f"{item.nodeid} is for the `shared` data {fault}.")
        if marked and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=ABSENT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests a clone without the data has not run."""
    skipped = [one for one in terminalreporter.stats.get("skipped", ()) if ABSENT in str(one.longrepr)]
    if skipped:
        told = "tests need the real data set, which is not beside the repository, and were skipped."
        terminalreporter.write_line(f"{len(skipped)} {told}", yellow=True)
