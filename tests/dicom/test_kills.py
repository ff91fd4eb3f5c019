# SPDX-License-Identifier: Apache-2.0
"""A decoder that is killed costs a sentence at most. `tests/dicom/kills.py` kills hundreds."""

import sys
from pathlib import Path

import kills
import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="kills by SIGKILL and looks into /proc")
def test_slices_survive_the_killing_of_their_decoders(tmp_path: Path) -> None:
    with kills.nothing_left():
        counts = kills.killed(*kills.series_in(tmp_path), kills=3)
    assert counts["killed"] == 3
    assert counts["right"] >= kills.SLICES
