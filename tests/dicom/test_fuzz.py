# SPDX-License-Identifier: Apache-2.0
"""Damaged files: an image or one sentence, in time. `tests/dicom/fuzz.py` runs thousands more."""

from pathlib import Path

import fuzz
import pytest


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("tens", range(20))
def test_damage_costs_a_sentence_at_most(tens: int, tmp_path: Path) -> None:
    files = fuzz.sources()
    for number in range(10 * tens, 10 * tens + 10):
        assert fuzz.outcome(fuzz.case(number, 1, files), tmp_path)


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("tens", range(5))
def test_damage_inside_a_codestream_costs_a_sentence_at_most(tens: int, tmp_path: Path) -> None:
    files = fuzz.coded(fuzz.sources())
    found = [
        fuzz.outcome(fuzz.case(number, 1, files, inside=True), tmp_path)
        for number in range(10 * tens, 10 * tens + 10)
    ]
    assert {"image", "not decoded"} & set(found)


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
def test_a_damaged_uid_shows_nothing_of_what_follows_it(tmp_path: Path) -> None:
    """In this case the SOP class has swallowed the patient's name."""
    case = fuzz.case(3795, 1, fuzz.sources())
    assert b"Jane_Doe" in case
    assert fuzz.outcome(case, tmp_path) == "listed"
