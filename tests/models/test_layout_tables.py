# SPDX-License-Identifier: Apache-2.0
"""Every layer of miniature networks of every family, against tables of layouts written by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from layout_tables import CASES, MINIATURE
from measure_layouts import measure, rows_of


@pytest.mark.parametrize("name", MINIATURE)
def test_every_grid_is_right_and_what_has_none_is_refused(name: str) -> None:
    found = measure(MINIATURE[name])
    assert found.wrong == []
    assert found.refused == 0  # networks this small show all that they have
    assert found.right > 0


def test_there_are_tables_of_enough_architectures() -> None:
    assert len(CASES) >= 25
    assert all(
        row.kind in ("first", "last", "tokens", "across", "none")
        for c in CASES.values()
        for row in rows_of(c)
    )
