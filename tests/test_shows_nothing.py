# SPDX-License-Identifier: Apache-2.0
"""A map that shows nothing is blank wherever maps are drawn, and every place says so; its values are kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_maps import explain, predict, series, snapshot
from PIL import Image

from viewer import overlay
from viewer.export import export, picture
from viewer.overlay import ranks
from viewer.planes import planes
from viewer.types import Attribution, Evidence, Overlay, Style
from viewer.ui.panels.layer_strip import _size_words
from viewer.ui.presenter.drawn_maps import DrawnMaps
from viewer.ui.presenter.evidence import volume_profile
from viewer.ui.state import Cell, Tile
from viewer.ui.views.contact_sheet_grid import cell_words
from viewer.wording import nothing_text, remark_text

NOISE = Evidence("sum", 2.8e-5, 3.8, 1e-3, 2.8e-5)
FOUND = Evidence("sum", 1.9, 3.8, 1e-3, 1.5)
STYLES = [
    Style("inferno", (0.0, 1e-9)),
    Style("inferno", (0.0, 1e-9), sign="magnitude"),
    Style("blue-white-red", (-1e-9, 1e-9), sign="signed"),
]
"""Ranges that a reader chose, in which noise would fill the colours."""


def made(evidence: Evidence | None, slice: int | None = 1) -> Attribution:
    return explain(predict(series(), slice), evidence=evidence)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("slice", [1, None])
def test_nothing_is_drawn_on_a_slice(style: Style, slice: int | None) -> None:
    for evidence, some in ((NOISE, False), (FOUND, True), (None, True)):
        map = made(evidence, slice)
        assert overlay.shows_nothing(map) is not some
        assert overlay.rgba(Overlay(map, style), 1)[..., 3].any() == some
        drawn = DrawnMaps()
        assert overlay.visible(drawn.on_slice(map, 1, style), style).any() == some
        assert overlay.visible(drawn.small(map, 1, style, 16), style).any() == some
        assert overlay.blank(map, signed=True) is not some
        assert overlay.blank(map, signed=False) is not some


def test_automatic_ranges_are_not_made_of_noise() -> None:
    noise = replace(made(NOISE), values=np.full((1, 4, 4), 7.0, np.float32))
    found = replace(made(FOUND), values=np.full((1, 4, 4), 0.5, np.float32))
    assert overlay.automatic_style([noise, found]).range == (0.0, 0.5)


def test_nothing_is_drawn_on_planes_and_in_the_profile() -> None:
    map = made(NOISE, None)
    for name, way in planes.acquired(map.series).items():
        plane = planes.lying(map.series, name, way, planes.middle(map.series))
        values = overlay.as_drawn(map, overlay.on_plane(map, plane))
        assert not np.isfinite(values).any()
    assert set(volume_profile(map)) == {0.0}
    assert max(volume_profile(made(FOUND, None))) > 0


def test_ranks_of_noise_are_blank() -> None:
    one, other = made(NOISE), made(FOUND)
    other = replace(other, predictions=one.predictions)
    assert not overlay.visible(DrawnMaps().on_slice(ranks.ranked(one), 1, ranks.RANKS), ranks.RANKS).any()
    apart = ranks.difference(one, other)
    assert overlay.shows_nothing(apart)
    assert not overlay.shows_nothing(ranks.ranked(other))


def test_the_sentence_names_method_layer_label_and_measure() -> None:
    said = nothing_text(made(NOISE))
    assert said.startswith("Grad-CAM · features.norm5 shows nothing for pneumonia here: ")
    assert "its values come to 2.8e-5 logits, and up to" in said
    erased = nothing_text(made(Evidence("erasing", 1e-8, 3.8, 1e-5)))
    assert "without its strongest cells the answer moves by 1e-8 logits" in erased
    for text in (said, erased):
        assert "used nothing" not in text
        assert remark_text(made(NOISE), False, True, False, False) == said


def test_small_maps_say_so() -> None:
    map = made(NOISE)
    style = overlay.automatic_style([map])
    tile = Tile(map, overlay.as_drawn(map, overlay.on_source(map, 1)), style, False)
    assert cell_words(Cell("a", "a", None, tile, False)) == "this method shows nothing here"
    assert _size_words(tile) == "shows nothing"


def test_only_evidence_against_is_no_positive_evidence() -> None:
    map = made(Evidence("sum", 2.0, 3.8, 1e-3, positive=1e-6))
    assert overlay.blank(map, signed=False)
    assert not overlay.blank(map, signed=True)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("slice", [1, None])
def test_the_picture_is_blank(style: Style, slice: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[object] = []

    def over(plain: Image.Image, *_rest: object) -> Image.Image:
        laid.append("map")
        return plain

    monkeypatch.setattr(picture, "_laid_over", over)
    monkeypatch.setattr(picture, "colour_bar", lambda *_all: laid.append("bar"))
    for evidence, count in ((NOISE, 0), (FOUND, 2)):
        picture.compose(snapshot(made(evidence, slice), style=style))
        assert len(laid) == count


def test_files_keep_the_values_and_say_what_was_measured(tmp_path: Path) -> None:
    map = made(NOISE)
    export([map], map.predictions, tmp_path, ("png", "npz", "json"))
    (entry,) = json.loads((tmp_path / "result.json").read_text("utf-8"))["attributions"]
    assert entry["evidence"] == {
        "measure": "sum", "change": 2.8e-5, "positive": 2.8e-5, "size": 3.8,
        "share": pytest.approx(2.8e-5 / 3.8), "limit": 1e-3, "negligible": True,
    }  # fmt: skip
    with np.load(tmp_path / entry["files"]["npz"]) as kept:
        assert np.array_equal(kept["native"], map.values)
        assert np.isfinite(kept["map"]).any()


def test_where_it_was_not_measured_the_file_says_so(tmp_path: Path) -> None:
    map = made(None)
    assert export([map], map.predictions, tmp_path, ("json",))["attributions"][0]["evidence"] is None
