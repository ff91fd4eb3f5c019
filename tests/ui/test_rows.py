# SPDX-License-Identifier: Apache-2.0
"""The rows of the series list: what a series is called, what is said of it, and its small picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewer.types import Display, Geometry, Identity, Series
from viewer.ui.presenter.rows import row, rows, thumbnail, title


def made(slices: int = 1, shape: tuple[int, int] = (8, 8), aspect: float = 1.0, **more: Any) -> Series:
    known = more.pop("known", True)
    geometry = Geometry(
        np.diag([2.0, aspect, 1.0, 1.0]),
        spacing_kind="patient",
        orientation_known=known,
        between=slices > 1 and known,
    )
    pixels = np.arange(slices * shape[0] * shape[1], dtype=np.uint16).reshape(slices, *shape)
    return Series("1", more.pop("modality", "OT"), pixels, geometry, Display(((1.0, 0.0),) * slices), **more)


DOE = Identity("DOE^JANE", "4711")


@pytest.mark.parametrize(
    ("facts", "masked", "shown"),
    [
        ({"description": "T1 Doe", "body_part": "HEAD"}, "T1 ●●●", "T1 Doe"),
        ({"body_part": "CHEST", "view": "PA"}, "CHEST PA", "CHEST PA"),
        ({"paths": (Path("a/roe.dcm"),)}, "OT", "roe.dcm"),
        ({"paths": (Path("a/1.dcm"), Path("a/2.dcm"))}, "OT", "OT"),
        ({}, "OT", "OT"),
    ],
)
def test_a_series_is_called_by_what_tells_it_apart(facts: dict[str, Any], masked: str, shown: str) -> None:
    """The name of a file may name somebody whom its header does not, so masked it never stands in."""
    series = made(identity=DOE, **facts)
    assert (title(series, True), title(series, False)) == (masked, shown)


@pytest.mark.parametrize(
    ("series", "facts"),
    [
        (made(40, modality="MR", description="T1", number=4), ("MR · 40 slices", "2 mm · Se 4")),
        (made(1, modality="MR", description="T1"), ("MR · 8 × 8",)),
        (made(3, known=False), ("3 images",)),
        (made(30, known=False, frames_in_time=30, modality="US", body_part="HEART"), ("US · 30 frames",)),
    ],
)
def test_a_row_says_what_is_there(series: Series, facts: tuple[str, ...]) -> None:
    assert row(series, True).facts == facts


@pytest.mark.parametrize(
    ("shape", "aspect", "small"),
    [
        ((8, 8), 1.0, (8, 8)),
        ((400, 200), 1.0, (112, 56)),
        ((400, 400), 0.5, (56, 112)),
        ((8, 16), 2.0, (16, 16)),
    ],
)
def test_a_thumbnail_is_as_the_image_is_seen(
    shape: tuple[int, int], aspect: float, small: tuple[int, int]
) -> None:
    assert thumbnail(made(3, shape, aspect)).shape == small


def test_rows_that_look_alike_are_told_apart() -> None:
    """Of which patient by a number, as the name is masked; of pictures by the file's name."""
    one, other = (
        made(description="Chest", identity=DOE),
        made(description="Chest", identity=Identity("ROE", "12")),
    )
    pictures = [made(modality="picture", paths=(Path(f"a/wrist-{i}.png"),)) for i in (1, 2)]
    masked = rows([one, other, one, *pictures], True)
    assert [item.facts[-1] for item in masked] == [
        "patient 1", "patient 2", "patient 1", "wrist-1.png", "wrist-2.png",
    ]  # fmt: skip
    assert [item.title for item in masked[3:]] == ["picture", "picture"]
    assert rows(pictures[:1], True)[0].facts[-1] == "wrist-1.png"  # of a single one too
    assert [item.title for item in rows(pictures, False)] == ["wrist-1.png", "wrist-2.png"]
    assert rows([one, one], True)[0].facts == row(one, True).facts
