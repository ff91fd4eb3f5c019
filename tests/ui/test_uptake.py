# SPDX-License-Identifier: Apache-2.0
"""PET is first shown as it is read: uptake dark, and the ends of its window in the corner."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from dicom_files import write

from viewer.ui.views.captions import window_words


@pytest.mark.parametrize(
    ("tags", "dark"),
    [
        ({"Modality": "PT", "Units": "BQML"}, True),
        ({"Modality": "PT", "Units": "CNTS"}, True),
        ({"Modality": "PT", "PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"Modality": "CT"}, False),
        ({"Modality": "NM"}, False),
        ({"Modality": "CR", "PhotometricInterpretation": "MONOCHROME1"}, True),
    ],
)
def test_uptake_is_dark_and_a_key_turns_it(
    desk: Desk, tmp_path: Path, tags: dict[str, Any], dark: bool
) -> None:
    for k in range(2):
        write(tmp_path / f"{k}.dcm", np.full((8, 8), k, np.int16), ImagePositionPatient=[0, 0, k], **tags)
    desk.presenter.studies.open([tmp_path])
    desk.wait(lambda s: s.view.values is not None)
    state = desk.state
    assert state.view.inverted == dark
    as_stored = "PhotometricInterpretation" in tags
    assert ("inverted" in window_words(state)) == (dark and not as_stored)
    desk.presenter.display.invert()
    assert desk.state.view.inverted != dark
