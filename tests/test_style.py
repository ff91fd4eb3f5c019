# SPDX-License-Identifier: Apache-2.0
"""How a map is drawn, told in words: what is allowed, and what is refused."""

from typing import Any

import pytest

from viewer.errors import ExportError
from viewer.export import read_style


@pytest.mark.parametrize(
    ("key", "allowed", "refused"),
    [
        ("opacity", {"0": 0.0, "1": 1.0, "0.25": 0.25}, ("-0.01", "1.01", "nan", "half")),
        ("threshold", {"0": 0.0, "7.5": 7.5}, ("-0.01", "inf", "")),
        ("range", {"-1,0": (-1.0, 0.0)}, ("1,1", "2,1", "0,nan", "1")),
    ],
)
def test_a_style_in_words_has_bounds(key: str, allowed: dict[str, Any], refused: tuple[str, ...]) -> None:
    for text, value in allowed.items():
        assert read_style({key: text}) == {key: value}
    for text in refused:
        with pytest.raises(ExportError, match=key):
            read_style({key: text})
