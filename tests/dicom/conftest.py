# SPDX-License-Identifier: Apache-2.0
"""A maker of small DICOM files in the test's folder."""

from pathlib import Path

import pytest
from dicom_files import Make, write


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make("name", tag=value…)` writes a CT slice into the test's folder."""
    return lambda name, **tags: write(tmp_path / name, **tags)
