# SPDX-License-Identifier: Apache-2.0
"""The region that a score is of stands in sentences, in `result.json`, and as an outline on the picture."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from made_maps import SCORES, block, explain, predict, series, snapshot, sweep

from viewer import affine
from viewer.export import compose
from viewer.export.document import entry, prediction_facts
from viewer.export.drawing import ACCENT
from viewer.export.provenance import provenance
from viewer.types import Attribution, Field, Geometry, ModelInput
from viewer.wording import looked_at_text, no_evidence_text, place_text, region_text, stride_text

VOLUME = (20, 60, 80)
ACCENTED = tuple(int(ACCENT[i : i + 2], 16) for i in (1, 3, 5))


def facts(map: Attribution) -> dict[str, Any]:
    return entry(map, snapshot(map, 3))


# --- how large ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "share", "extent"),
    [
        (Field(affine.scale_offset((1, 1, 1), (0, 0, 0)), VOLUME), 1, VOLUME),
        (Field(affine.scale_offset((1, 1, 1), (5, 20, 40)), (5, 20, 20)), 1 / 48, (5, 20, 20)),
        (Field(affine.scale_offset((2, 2, 2), (0.5, 0.5, 0.5)), (10, 15, 20)), 1 / 4, (20, 30, 40)),
        # Half of it lies beyond the border.
        (Field(affine.scale_offset((1, 1, 1), (5, -10, 0)), (5, 20, 80)), 1 / 24, (5, 20, 80)),
        # Turned: what the input calls rows are the columns of the series.
        (Field(np.eye(4)[:, [0, 2, 1, 3]], (20, 40, 60)), 1 / 2, (20, 60, 40)),
        (Field(affine.scale_offset((1, 1, 1), (9, 0, 0)), (1, 30, 80)), 1 / 2, (1, 30, 80)),
    ],
)
def test_a_field_knows_its_share_of_the_image(field: Field, share: float, extent: tuple[float, ...]) -> None:
    assert field.share(VOLUME) == pytest.approx(share)
    assert field.extent == pytest.approx(extent)


# --- result.json ----------------------------------------------------------------------------------


def test_one_block_is_named_in_the_document() -> None:
    map = explain(block(series(VOLUME), (8, 20, 24), (6, 18, 40)))
    found = facts(map)["looked_at"]
    assert found["words"] == region_text(map.prediction) == "one block of 24 × 14 × 16.8 mm, 4 % of the scan"
    assert (found["blocks"], found["of"]) == (1, "scan")
    assert found["mm"] == pytest.approx([24, 14, 16.8])
    assert found["voxels"] == [8, 20, 24]
    assert found["share"] == pytest.approx(0.04)
    assert facts(map)["swept"] is None
    assert provenance(map)["looked_at"] == found


def test_a_whole_slice_is_one_too() -> None:
    found = facts(explain(predict(series())))["looked_at"]
    assert (found["words"], found["share"], found["of"]) == ("slice 2 of 3", pytest.approx(1), "slice")


def test_without_millimetres_there_are_voxels_alone() -> None:
    source = series(VOLUME, geometry=Geometry(np.eye(4), between=True))
    found = facts(explain(block(source, (8, 20, 24), (6, 18, 40))))["looked_at"]
    assert found["mm"] is None
    assert found["words"].startswith("one block of 8 × 20 × 24 pixels")


def test_every_prediction_says_how_large_what_it_read_is() -> None:
    found = prediction_facts(block(series(VOLUME), (8, 20, 24), (6, 18, 40)))
    assert found["at"] == [9.5, 27.5, 51.5]
    assert found["looked_at"]["share"] == pytest.approx(0.04)


def test_a_sweep_lists_its_best_blocks_and_how_they_were_laid() -> None:
    map = sweep(series(VOLUME), (8, 20, 24), finer=2646)
    found = facts(map)
    swept = found["swept"]
    assert swept["score"] == "best of 100 blocks"
    assert found["looked_at"]["words"] == looked_at_text(map)
    assert looked_at_text(map).startswith("the best of 100 blocks, each 24 × 14 × 16.8 mm")
    assert swept["step"] == [0.5, 0.5, 0.5]
    assert (swept["blend"], swept["refined"], swept["finer"]) == ("score", True, 2646)
    assert swept["best"][0]["at"] == [3.5, 9.5, 11.5]
    assert swept["best"][0]["mm"] == pytest.approx([10.5, 6.65, 8.05])
    assert swept["best"][0]["score"] == SCORES[0].probability
    assert any("search a finer grid of 2646 blocks" in words for words in swept["words"])
    assert any("hold for one block" in words for words in swept["words"])


# --- sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "12 × 7 × 8.4 mm apart and were moved in smaller steps"),
        ({"refined": False, "half_width": (None, None, None)}, "and nothing between them. How much"),
        ({"finer": 99}, "search a finer grid of 99 blocks"),
        ({"stride": (0, 0, 0)}, "There is room for one block."),
    ],
)
def test_the_stride_says_what_it_may_miss(how: dict[str, Any], words: str) -> None:
    map = sweep(series(VOLUME), (8, 20, 24))
    assert words in stride_text(map.series, dataclasses.replace(map.swept, **how))


@pytest.mark.parametrize(
    ("stride", "words"), [((0, 10, 12), "Blocks lie 7 × 8.4 mm apart"), ((0, 0, 12), "Blocks lie beside")]
)
def test_blocks_of_a_slice_lie_apart_on_it(stride: tuple[int, int, int], words: str) -> None:
    map = sweep(series(VOLUME), (1, 20, 24))
    assert stride_text(map.series, dataclasses.replace(map.swept, stride=stride)).startswith(words)


def test_steps_of_one_slice_are_told_too() -> None:
    map = sweep(series(VOLUME), (8, 20, 24))
    said = stride_text(map.series, dataclasses.replace(map.swept, stride=(1, 10, 12)))
    assert said.startswith("Blocks lie 3 × 7 × 8.4 mm apart")


@pytest.mark.parametrize(
    ("map", "words"),
    [
        (
            explain(block(series(VOLUME), (8, 20, 24), (6, 18, 40))),
            "Grad-CAM at layer features.norm5 shows no positive evidence for pneumonia in this block; "
            "try another method or layer or search the whole scan.",
        ),
        (
            explain(block(series(VOLUME), (1, 20, 24), (3, 18, 40), 3), layer=None),
            "Grad-CAM shows no positive evidence for pneumonia in this block; "
            "try another method or search the whole slice.",
        ),
        (
            sweep(series(VOLUME), (8, 20, 24)),
            "Grad-CAM at layer features.norm5 shows no positive evidence for pneumonia in any of 100 blocks; "
            "try another method or layer.",
        ),
        (
            explain(predict(series((1, 60, 80)), 0), None),
            "Grad-CAM at layer features.norm5 shows no positive evidence in this image; "
            "try another method or layer.",
        ),
    ],
    ids=["block", "block of a slice", "sweep", "image"],
)
def test_no_evidence_names_method_layer_and_region(map: Attribution, words: str) -> None:
    assert no_evidence_text(map) == words


def test_a_place_is_told_in_voxels_and_in_millimetres_where_they_are_known() -> None:
    source = series(VOLUME)
    best = sweep(source, (8, 20, 24)).swept.best[0]
    assert place_text(source, best) == "3.5, 9.5, 11.5 · 10.5, 6.6, 8.0 mm"
    assert place_text(series(VOLUME, geometry=Geometry(np.eye(4))), best) == "3.5, 9.5, 11.5"


# --- the picture ----------------------------------------------------------------------------------


def outlined(map: Attribution, slice: int, **facts: Any) -> int:
    """Pixels of the accent in the two images, away from all text."""
    now = np.asarray(compose(snapshot(map, slice, **facts)))
    return int((now[130:560, :1600] == ACCENTED).all(-1).sum())


@pytest.mark.parametrize(
    ("map", "inside", "outside"),
    [
        (explain(block(series(VOLUME), (8, 20, 24), (6, 18, 40))), 9, 3),
        (explain(block(series(VOLUME), (1, 20, 24), (3, 18, 40), 3)), 3, 4),
        (sweep(series(VOLUME), (8, 20, 24)), 3, 12),
    ],
    ids=["block", "block of a slice", "best of a sweep"],
)
def test_the_block_is_outlined_where_it_lies(map: Attribution, inside: int, outside: int) -> None:
    assert outlined(map, inside) > 1000
    assert outlined(map, outside) == 0
    assert outlined(map, inside, crop=(5, 5, 50, 70)) > 500


def test_what_reads_the_whole_has_no_outline() -> None:
    assert outlined(explain(predict(series())), 1) == 0
    said = predict(series(VOLUME), None)
    padded = ModelInput(said.input.series, None, said.input.tensor, said.input.matrix)
    assert outlined(explain(dataclasses.replace(said, input=padded)), 3) == 0
