# SPDX-License-Identifier: Apache-2.0
"""Exports are whole or absent, carry their provenance and warnings, and nobody's name."""

import dataclasses
import errno
import itertools
import json
import os
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from made_maps import BORN, NAME, NUMBER, SCORES, Method, explain, predict, series, snapshot, sweep
from PIL import Image, ImageDraw, features

from viewer import affine
from viewer.dicom import Graphics, displayed
from viewer.errors import ExportError
from viewer.export import colourbar, compose, drawing, export, provenance, whole
from viewer.export import picture as layout
from viewer.export import write as writing
from viewer.export.document import prediction_facts
from viewer.export.drawing import elide, font, width, wrap
from viewer.export.provenance import as_json
from viewer.overlay import composite, on_source, rgba
from viewer.task import Cancelled, Task
from viewer.types import (
    Display,
    Geometry,
    LoadedMap,
    Overlay,
    Region,
    Score,
    Snapshot,
    Style,
    Target,
    Window,
)
from viewer.wording import (
    INFLUENCE,
    NOTHING_REACHES,
    RESEARCH_USE,
    clean,
    figures,
    no_evidence_text,
    number,
    spacing_text,
)


def words(shot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that is written on the picture."""
    said: list[str] = []
    real = ImageDraw.ImageDraw.text

    def text(self: Any, at: Any, text: str, *args: Any, **kwargs: Any) -> None:
        assert kwargs["font"].size >= 12
        box = self.textbbox(at, text, font=kwargs["font"], anchor=kwargs.get("anchor"))
        inside = min(box[:2]) >= 0 and box[2] <= self.im.size[0] and box[3] <= self.im.size[1]
        assert inside, f"{text!r} leaves the picture"
        said.append(text)
        real(self, at, text, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", text)
        compose(shot)
    return "\n".join(said)


def test_the_map_on_the_picture_is_the_overlay() -> None:
    """At one pixel per pixel the right view is exactly the composite; the left one the plain image."""
    source = series((1, 700, 650))
    shot = snapshot(explain(predict(source, 0)), 0)
    picture = np.asarray(compose(shot))
    plain = displayed(source, 0)
    expected = composite(plain, rgba(shot.overlay, 0))
    assert (expected != plain[..., None]).any()
    top, left = layout.TOP + layout.STRIP, layout.GUTTER
    right = left + 650 + layout.GUTTER + 1 + layout.GUTTER
    np.testing.assert_array_equal(picture[top : top + 700, left : left + 650, 0], plain)
    np.testing.assert_array_equal(picture[top : top + 700, right : right + 650], expected)


def test_a_crop_and_nearest_cells_stay_in_place() -> None:
    source = dataclasses.replace(series((1, 1400, 1400)), voxels=np.zeros((1, 1400, 1400), np.int16))
    values = np.zeros((1, 4, 4))
    values[0, 1, 2] = 1
    map = explain(predict(source, 0), values=values)
    style = Style("grey", (0, 1), 1.0, 0.5, interpolation="nearest")
    shot = snapshot(map, 0, style, crop=(0, 700, 699, 1399))
    picture = np.asarray(compose(shot))
    top, left = layout.TOP + layout.STRIP, 3 * layout.GUTTER + 700 + 1
    view = picture[top : top + 700, left : left + 700]
    lit = (view == 255).all(axis=-1)
    assert lit[350:, :350].all()
    assert not lit[:349].any()
    assert not lit[:, 351:].any()


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(1, 20, 24), (1, 2000, 90), (1, 90, 2000), (1, 1, 1)])
def test_opacity_is_one_number_at_any_scale(size: tuple[int, int, int], interpolation: Any) -> None:
    source = dataclasses.replace(series(size), voxels=np.zeros(size, np.int16))
    style = Style("inferno", (0, 0.4), 0.5, 0.1, interpolation=interpolation)
    map = explain(predict(source, 0), values=np.full((1, 4, 4), 0.4))
    picture = compose(snapshot(map, 0, style))
    counted: Any = picture.getcolors(10**7)
    colours = {c for _, c in counted if c[0] > 100 and c[2] < 100 and c[0] - c[2] > 30}
    assert (126, 128, 82) in colours or (126, 127, 82) in colours


def test_unequal_pixels_have_the_patients_shape() -> None:
    geometry = Geometry(np.diag([1.0, 2.0, 0.5, 1.0]), "patient", True)
    assert layout._size((100, 400), geometry) == (700, 700)
    assert layout._size((1955, 1841), Geometry(np.eye(4))) == (659, 700)


def test_no_distance_is_given_between_uneven_slices() -> None:
    even = Geometry(np.diag([3.0, 0.7, 0.7, 1.0]), "patient", orientation_known=True, between=True)
    uneven = dataclasses.replace(even, origins=np.array([[0, 0, 0], [0, 0, 3], [0, 0, 9]]))
    source = series()
    for geometry, text in ((even, "0.7 mm · 3 mm between slices"), (uneven, "0.7 mm · slices uneven")):
        assert spacing_text(dataclasses.replace(source, geometry=geometry)) == text


def test_a_search_burns_in_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    map = sweep(series((20, 60, 80)), (8, 20, 24))
    said = words(snapshot(map, 3), monkeypatch)
    assert "pneumonia · score 0.82, best of 100 blocks" in said
    assert "(called from" not in said
    assert "white mark: one block is called from here on" in said


def test_the_sentences_are_burned_in(monkeypatch: pytest.MonkeyPatch) -> None:
    said = words(snapshot(explain(predict(series())), window=Window(40, 400)), monkeypatch)
    for text in (RESEARCH_USE, INFLUENCE, "Im 2 / 3", "C 40 W 400", "0.7 mm · 3 mm between slices"):
        assert text in said
    assert "map 4 × 4 · 1 cell ≈ 10 × 14 mm · bilinear" in said
    assert "not defined for this method" in said
    assert "pneumonia · score 0.82 (called from 0.50)" in said
    assert "\nS\nC\nO\nR\nE\n" in said
    for letter in "LRAP":
        assert f"\n{letter}\n" in said
    assert "Zoidberg" not in said
    assert "ZOIDBERG" not in said
    assert "Patient ●●●●●●" in said


def test_settings_are_on_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = words(snapshot(explain(predict(series()))), monkeypatch)
    assert "steps 32" in said


def test_a_document_is_text_in_every_script() -> None:
    text = as_json({"name": "Übergröße 胸部", "half": "\ud83d"})
    assert "Übergröße 胸部" in text
    assert "\\ud83d" in text
    assert json.loads(text)["name"] == "Übergröße 胸部"


@pytest.mark.parametrize(("height", "length"), [(420, 240), (900, 320)])
def test_the_bar_leaves_room_above_and_below(height: int, length: int) -> None:
    frame = Image.new("RGB", (colourbar.BAR, height))
    colourbar.colour_bar(frame, snapshot(explain(predict(series()))).overlay, 0, height)
    column = np.asarray(frame)[:, 3 : 4 + colourbar._WIDTH].any(axis=(1, 2))
    rows = np.flatnonzero(column)
    top = (height - length) // 2
    assert (rows[-1] - (top - 1)) == pytest.approx(length + 1, abs=1)
    assert rows[-1] < height - 60


def test_identity_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    said = words(snapshot(explain(predict(series())), show_identity=True), monkeypatch)
    assert f"Zoidberg Wilhelmina · {NUMBER} · {BORN}" in said
    assert "Head ZOIDBERG" in said


def test_features_have_their_values_and_no_patients_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = series()
    names = ("liver of Wilhelmina", "liver of ZOIDBERG", "spleen")
    regions = tuple(
        Region(np.ones((1, 2, 2), bool), np.eye(4), source, name, "seg", f"1.2.3 {i}")
        for i, name in enumerate(names)
    )
    features = dict(zip((*names, "the rest"), (0.25, -1.5, 0.031, 2e-5), strict=True))
    map = explain(predict(source), features=features, regions=regions, within=regions[0])
    for shown in (False, True):
        document = export([map], map.predictions, tmp_path / str(shown), show_identity=shown)
        (entry,) = document["attributions"]
        hidden = ["liver of ●●●", "liver of ●●● 2", "spleen"]
        assert list(entry["features"]) == [*(names if shown else hidden), "the rest"]
        assert list(entry["features"].values()) == list(features.values())
        wanted = names if shown else ("liver of ●●●", "liver of ●●●", "spleen")
        assert tuple(region["name"] for region in entry["regions"]) == wanted
        assert entry["within"]["name"] == wanted[0]
        with np.load(tmp_path / str(shown) / entry["files"]["npz"]) as arrays:
            stored = json.loads(str(arrays["provenance"]))
        assert (stored["features"], stored["regions"]) == (entry["features"], entry["regions"])
        written = (tmp_path / str(shown) / entry["files"]["png"]).read_bytes() + json.dumps(document).encode()
        assert (b"zoidberg" in written.lower()) == shown
    said = " ".join(words(snapshot(map, show_identity=True), monkeypatch).split())
    assert "Features liver of ZOIDBERG −1.5" in said
    assert "spleen +0.031 · the rest +2e-5" in said


def test_a_negative_is_hatched_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = predict(series())
    shot = snapshot(explain(said, "nodule / mass"))
    assert "Explains a negative: nodule / mass is not called." in words(shot, monkeypatch)
    shares = []
    for picture in (np.asarray(compose(snapshot(explain(said)))), np.asarray(compose(shot))):
        height = picture.shape[0] - layout.TOP - layout.FOOT
        top, left = layout.TOP + (height - 525) // 2, layout.GUTTER
        right = left + 700 + 2 * layout.GUTTER + 1
        plain, mapped = (picture[top : top + 525, x : x + 700] for x in (left, right))
        shares.append((plain != mapped).any(axis=-1).mean())
    assert 0.4 < shares[1] / shares[0] < 0.6


def test_no_evidence_is_said_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    map = explain(predict(series()), values=-np.ones((1, 4, 4)))
    said = words(snapshot(map), monkeypatch)
    assert no_evidence_text(map) in said
    assert "no map drawn" in said
    assert "inferno" not in said


def test_a_file_says_of_both_signs_what_the_window_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence against that is drawn is nothing to be warned of; without it nothing reaches the threshold."""
    map = explain(predict(series()), values=-np.ones((1, 4, 4)))
    for threshold, remarks in ((0.1, []), (2.0, [NOTHING_REACHES])):
        style = Style("blue-white-red", (-1, 1), threshold=threshold, sign="signed")
        said = words(snapshot(map, style=style), monkeypatch)
        every = ("no positive evidence", "no evidence", NOTHING_REACHES)
        assert [one for one in every if one in said] == remarks
        assert "no map drawn" not in said


@pytest.mark.parametrize("sign", ["positive", "signed"])
def test_rounding_is_said_and_not_drawn(sign: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    map = explain(predict(series()), values=np.full((1, 4, 4), 1e-6))  # the largest logit is −2
    said = words(snapshot(map, style=Style(range=(0, 1e-6), sign=sign)), monkeypatch)
    what = (
        "positive evidence for pneumonia" if sign == "positive" else "evidence for pneumonia above rounding"
    )
    assert f"Grad-CAM at layer features.norm5 shows no {what} in this slice; try another" in said
    assert "no map drawn" in said


def test_a_slice_that_was_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "did not look at this slice" in words(snapshot(explain(predict(series())), 2), monkeypatch)
    blank = snapshot(explain(predict(series())), style=Style(range=(0, 9), threshold=5))
    assert NOTHING_REACHES in words(blank, monkeypatch)


def test_an_override_makes_a_red_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "the model accepts CR of the chest, and this is a CT of the head " * 5
    shot = snapshot(explain(predict(series(), override=reason)))
    assert "Outside the model's intended use: the model accepts CR" in words(shot, monkeypatch)
    assert compose(shot).getpixel((3, layout.TOP + 5)) == (255, 107, 107)
    assert provenance(shot.overlay.map)["override"] == reason


def test_calibration_decides_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = tuple(dataclasses.replace(s, calibrated=True) for s in SCORES)
    said = words(snapshot(explain(predict(series(), scores=scores))), monkeypatch)
    assert "\n".join("PROBABILITY (CALIBRATED)") in said


def test_many_labels_and_long_names(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = tuple(Score(f"finding {i} {'of a long vocabulary ' * 5}", 0, 0.9 / (i + 1)) for i in range(1000))
    said = predict(series(), scores=scores)
    target = Target(scores[700].label, 700)
    map = dataclasses.replace(explain(said, layer="encoder." * 40), target=target)
    text = words(snapshot(map, notes="Seen by the reader. " * 40, annotations=("arrow: here",)), monkeypatch)
    assert "… and 989 more" in text
    assert "finding 9 of" in text
    assert "finding 700" in text
    assert "finding 10 of" not in text
    assert "arrow: here" in text


def test_other_kinds_of_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour, without spacing or sides, the same for every label, and a map that came with the study."""
    source = series((1, 40, 50, 3), geometry=Geometry(np.eye(4)))
    said = words(snapshot(explain(predict(source, 0), None), 0), monkeypatch)
    for text in (
        "same for every label",
        "no millimetres: spacing unknown",
        "side unknown",
        "colour, no window",
    ):
        assert text in said
    loaded = LoadedMap(
        np.ones((1, 4, 4), np.float32), affine.cells((1, 4, 4), (1, 40, 50)), "1/s", source, "Ktrans"
    )
    assert "Ktrans" in words(snapshot(loaded, 0), monkeypatch)


def test_a_signed_map_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    style = Style("blue-white-red", (-0.4, 0.4), threshold=0.04, sign="signed")
    said = words(snapshot(explain(predict(series()), completeness_error=0.42), style=style), monkeypatch)
    for text in ("both signs", "+0.4", "−0.4", "+0.04", "−0.04", "error 0.42 %"):
        assert text in said


def test_texts_of_a_file_are_made_harmless() -> None:
    assert clean("a\x00b\n\u202ec  d") == "a b c d"
    face = font()
    long = "features.denseblock4.denselayer16.conv2"
    short = elide(long, face, 120)
    assert width(short, face) <= 120
    assert short.startswith("feat")
    assert short.endswith("onv2")
    assert elide("short", face, 120) == "short"
    lines = wrap(f"see {long * 4} now", face, 120)
    assert "".join(lines) == f"see{long * 4}now" or "".join(lines).replace(" ", "") == f"see{long * 4}now"
    assert all(width(line, face) <= 120 for line in lines)


def test_numbers() -> None:
    given = (0.0, 0.41, -0.0498, 1234.5, 1.2e-5, -3e7, 100.0, 4.0)
    assert [number(v) for v in given] == ["0", "0.41", "−0.0498", "1234", "1.2e-5", "−3e7", "100", "4"]
    assert number(0.5, sign=True) == "+0.5"
    assert figures(Score("a", 0, 0.499, False, 0.5)) == "0.499"
    assert figures(Score("a", 0, 0.001)) == "<0.01"


@pytest.mark.parametrize(
    ("style", "values"),
    [
        (Style(range=(0.0, 2.0), threshold=0.5), [2, 0.5, 0]),
        (Style(range=(-1.0, 1.0), threshold=0.25, sign="signed"), [1, 0.25, 0, -0.25, -1]),
        (Style(range=(0.0, 2.0), threshold=3.0), [2, 0]),
        (Style(range=(0.0, 2.0), threshold=1.99), [2, 1.99, 0]),
    ],
)
def test_the_numbers_of_the_bar_stand_at_their_values_and_apart(style: Style, values: list[float]) -> None:
    ticks = colourbar._ticks(style, top=100, length=201)
    assert [value for _, value, _ in ticks] == values
    low, high = style.range
    for y, value, at in ticks:
        assert at == pytest.approx(100 + 200 * (high - value) / (high - low))
        assert y >= at
    numbers = [y for y, _, _ in ticks]
    assert all(below - above >= colourbar._APART for above, below in itertools.pairwise(numbers))


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no text engine that chooses digits")
def test_digits_have_one_width_in_columns_only() -> None:
    def drawn(text: str, **how: Any) -> int:
        picture = Image.new("RGB", (200, 40))
        drawing.write(ImageDraw.Draw(picture), (5, 30), text, **how)
        box = picture.getbbox()
        assert box is not None
        return box[2] - box[0]

    assert drawn("8118", figures=True) == drawn("8888", figures=True)
    assert drawn("8118") < drawn("8888")


def test_the_middle_of_an_input_is_told_to_a_thousandth() -> None:
    """In voxels (slice, row, column): the middle of the cells, not their first corner."""
    said = predict(series())
    matrix = affine.scale_offset((1, 1.23456, 2), (4, -0.5, 0.25))
    shown = dataclasses.replace(said, input=dataclasses.replace(said.input, matrix=matrix))
    _, rows, columns = shown.input.shape
    expected = [4, round(1.23456 * (rows - 1) / 2 - 0.5, 3), columns - 1 + 0.25]
    assert prediction_facts(shown)["at"] == expected


def run(out: Path, **facts: Any) -> dict[str, Any]:
    source = series()
    said = [predict(source, i) for i in range(2)]
    maps = [explain(p, s.label, seconds=0.5) for p in said for s in SCORES]
    return export(maps, said, out, **facts)


def test_the_document(tmp_path: Path) -> None:
    document = run(tmp_path / "new" / "out", formats=("png", "npz", "json", "sr", "tiff"))
    assert json.loads((tmp_path / "new" / "out" / "result.json").read_text("utf-8")) == document
    assert document["model"] == {"name": "Chest CNN", "sha256": "3f9a12bc" * 8, "device": "CPU"}
    assert document["series"]["uid"] == "1.2.3"
    assert document["series"]["slices"] == 3
    assert [p["slice"] for p in document["predictions"]] == [0, 1]
    assert document["predictions"][0]["labels"][0] == {
        "label": "pneumonia",
        "logit": 1.5,
        "probability": 0.82,
        "calibrated": False,
        "threshold": 0.5,
        "kind": "score",
        "spread": None,
    }
    assert [s["format"] for s in document["skipped"]] == ["sr", "tiff"]
    assert document["skipped"][0]["reason"] == "not written by this version"
    first = document["attributions"][0]
    assert {
        "method", "settings", "layer", "label", "slice", "native_shape", "min", "max",
        "completeness_error", "seconds", "files",
    } <= set(first)  # fmt: skip
    assert first["settings"] == {"steps": 32, "weird": None}
    assert first["native_shape"] == [1, 4, 4]
    assert first["min"] == pytest.approx(-0.2)
    assert first["seconds"] == 0.5
    assert not first["display"]["inverted"]
    assert first["files"] == {
        "png": "grad-cam_pneumonia_s0.png",
        "npz": "grad-cam_pneumonia_s0.npz",
        "json": "result.json",
    }
    names = {name for a in document["attributions"] for name in a["files"].values()}
    assert names == {p.name for p in (tmp_path / "new" / "out").iterdir()}
    assert {"grad-cam_nodule-mass_s1.png", "grad-cam_ergu_s1.npz"} <= names
    assert set(document["versions"]) >= {
        "whyscope",
        "torch",
        "scikit-image",
        "timm",
        "numpy",
        "pydicom",
    }


def test_what_is_shown_inverted_is_written_so(tmp_path: Path) -> None:
    document = run(tmp_path, inverted=True)
    first = document["attributions"][0]
    assert first["display"]["inverted"]
    with Image.open(tmp_path / first["files"]["png"]) as picture:
        found = np.asarray(picture.convert("RGB"))
    map = explain(predict(series(), 0), "pneumonia", seconds=0.5)
    for inverted in (True, False):
        kept = compose(snapshot(map, 0, Style(**first["style"]), inverted=inverted))
        left = np.s_[100:400, layout.GUTTER : layout.GUTTER + 300]
        assert np.array_equal(found[left], np.asarray(kept)[left]) == inverted


def test_a_map_that_came_with_the_study_is_no_attribution(tmp_path: Path) -> None:
    source = series((1, 40, 50))
    cells = affine.cells((1, 4, 4), (1, 40, 50))
    loaded = LoadedMap(np.ones((1, 4, 4), np.float32), cells, "1/s", source, "Ktrans")
    map = explain(predict(source, 0))
    document = export([map, loaded], map.predictions, tmp_path)
    assert [entry["method"] for entry in document["attributions"]] == ["grad-cam"]
    assert [entry["title"] for entry in document["maps"]] == ["Ktrans"]


def test_one_range_for_slices_and_labels(tmp_path: Path) -> None:
    source = series()
    said = [predict(source, i) for i in range(3)]
    maps = [explain(p, values=np.full((1, 4, 4), 1.0 + i)) for i, p in enumerate(said)]
    other = explain(said[0], values=np.full((1, 4, 4), 50.0), layer="other")
    entries = export([*maps, other], said, tmp_path, ("json",))["attributions"]
    assert [e["style"]["range"][1] for e in entries] == [3, 3, 3, 50]


class Signed(Method):
    display_sign: ClassVar[str] = "signed"


def test_one_sign_of_a_signed_map_has_its_own_table_and_half_of_the_range(tmp_path: Path) -> None:
    """As the words of the command line have it; the document tells the range that is drawn."""
    source = series()
    made = explain(predict(source), values=np.full((1, 4, 4), 1.5))
    made = dataclasses.replace(made, explainer=Signed())
    (auto,) = export([made], [], tmp_path / "a", ("json",))["attributions"]
    (one,) = export([made], [], tmp_path / "b", ("json",), style={"sign": "positive"})["attributions"]
    words = {"sign": "positive", "range": (0.0, 2.0)}
    (own,) = export([made], [], tmp_path / "c", ("json",), style=words)["attributions"]
    styles = [[e["style"][name] for name in ("colours", "range")] for e in (auto, one, own)]
    assert styles == [["blue-white-red", [-1.5, 1.5]], ["inferno", [0, 1.5]], ["inferno", [0, 2]]]


def test_what_speaks_against_is_drawn_in_its_own_range_where_both_signs_are_wished(tmp_path: Path) -> None:
    made = explain(predict(series()), values=np.full((1, 4, 4), -0.01))
    (one,) = export([made], [], tmp_path, ("json",), style={"sign": "signed"})["attributions"]
    assert one["style"]["range"] == pytest.approx([-0.01, 0.01])
    assert one["style"]["threshold"] == pytest.approx(0.001)


def test_npz_round_trip(tmp_path: Path) -> None:
    source = series()
    flat, volume = explain(predict(source, 1)), explain(predict(source, None))
    entries = export([flat, volume], [], tmp_path, ("npz", "png"))["attributions"]
    assert entries[1]["files"]["npz"] == "grad-cam_pneumonia_volume.npz"
    assert entries[1]["files"]["png"] == "grad-cam_pneumonia_volume_s2.png"
    for map, entry in zip((flat, volume), entries, strict=True):
        with np.load(tmp_path / entry["files"]["npz"], allow_pickle=False) as data:
            assert data["map"].dtype == data["native"].dtype == np.float32
            np.testing.assert_array_equal(data["native"], map.values)
            np.testing.assert_array_equal(data["matrix"], map.matrix)
            facts = json.loads(str(data["provenance"]))
            stored = data["map"]
        assert facts["target"] == "pneumonia"
        assert facts["slice"] == map.slice
        if map is flat:
            np.testing.assert_array_equal(stored, on_source(map, 1))
            assert stored.min() < 0
        else:
            assert stored.shape == source.shape
            np.testing.assert_array_equal(stored[2], on_source(map, 2))


def test_the_picture_carries_its_provenance(tmp_path: Path) -> None:
    run(tmp_path)
    with Image.open(tmp_path / "grad-cam_pneumonia_s1.png") as picture:
        picture.load()
        text = dict(picture.text)  # type: ignore[attr-defined]
    assert text["Software"].startswith("Whyscope")
    assert RESEARCH_USE in text["Description"]
    facts = json.loads(text["whyscope:provenance"])
    assert facts["model"]["sha256"] == "3f9a12bc" * 8
    assert facts["series"] == "1.2.3"
    assert facts["sop"] == "1.2.3.1"
    assert facts["settings"] == {"steps": 32, "weird": None}
    assert facts["style"]["range"] == [0.0, pytest.approx(0.4)]
    assert facts["layer"] == "features.norm5"


def test_nobodys_name_in_any_byte(tmp_path: Path) -> None:
    run(tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes() + path.name.encode()
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                content += b"".join(archive.read(name) for name in archive.namelist()).replace(b"\0", b"")
        lower = content.lower()
        for secret in ("zoidberg", "wilhelmina", NUMBER.lower(), BORN):
            assert secret.encode() not in lower, (path.name, secret)
    shown = run(tmp_path / "shown", show_identity=True)
    assert shown["series"]["patient"] == NAME


def test_labels_never_become_paths(tmp_path: Path) -> None:
    names = ("../../etc/passwd", "日本", "CON", "x" * 300, "a b", "a/b", "A-B")
    scores = tuple(Score(name, 0.0, 0.5) for name in names)
    said = predict(series(), scores=scores)
    maps = [dataclasses.replace(explain(said), target=Target(n, i)) for i, n in enumerate(names)]
    document = export(maps, [said], tmp_path / "out", ("npz",))
    files = [a["files"]["npz"] for a in document["attributions"]]
    assert len(set(files)) == len(files)
    assert files[0] == "grad-cam_etc-passwd_s1.npz"
    assert files[1] == "grad-cam_label-1_s1.npz"
    assert files[4:] == ["grad-cam_a-b_s1.npz", "grad-cam_a-b_s1-2.npz", "grad-cam_a-b_s1-3.npz"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*files, "result.json"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no format 'bmp'"):
        run(tmp_path / "a", formats=("png", "bmp"))
    with pytest.raises(ExportError, match="not written by this version"):
        run(tmp_path / "a", formats=("tiff", "pdf"))
    with pytest.raises(ExportError, match="no explanation"):
        export([], [], tmp_path / "a")
    with pytest.raises(ExportError, match="different series"):
        export([explain(predict(series())), explain(predict(series()))], [], tmp_path / "a")
    source = series()
    other = dataclasses.replace(predict(source), weights="00")
    with pytest.raises(ExportError, match="different models"):
        export([explain(predict(source))], [other], tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "may not be written to"),
        (errno.EIO, "choose another folder"),
    ],
)
@pytest.mark.parametrize("step", ["replace", "fsync", "write_bytes", "mkdir"])
def test_a_disk_that_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str, step: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    place = os if step in ("replace", "fsync") else Path
    with monkeypatch.context() as patch:
        patch.setattr(place, step, refuse)
        with pytest.raises(ExportError, match=sentence) as error:
            run(tmp_path / "out")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_an_array_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own full disk, where there is one."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return real(Path("/dev/full") if mode == "wb" else self, mode, *args, **kwargs)

    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(ExportError, match=r"_s0\.npz was not written: the disk is full"):
            run(tmp_path, formats=("npz",))
    assert list(tmp_path.iterdir()) == [kept]


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ExportError, match="is a file"):
        run(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_whole_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole(path) as part:
        part.write_text("old")

    def fail() -> None:
        with whole(path) as part:
            part.write_text("half")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_cancelling_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(lambda progress: task.cancel() if progress.done == 2 else None)
    with pytest.raises(Cancelled):
        run(tmp_path / "out", task=task, formats=("npz",))
    assert list(tmp_path.iterdir()) == []


def test_the_strongest_slice() -> None:
    values = np.zeros((3, 4, 4), np.float32)
    values[0, 1, 1], values[2, 2, 2] = -9, 3
    map = explain(predict(series(), None), values=values)
    assert writing.strongest_slice(Overlay(map, Style(sign="positive"))) == 2
    assert writing.strongest_slice(Overlay(map, Style(sign="signed"))) == 0


def test_of_slices_that_hold_the_same_feature_the_one_with_the_next_is_strongest() -> None:
    """A map over segments is flat, and what no segment covers often has the largest value."""
    values = np.full((7, 4, 4), -9, np.float32)
    values[2:6, 1:3, 1:3] = 3
    values[4, 1, 1] = 0.5
    map = explain(predict(series((7, 60, 80)), None), values=values)
    assert writing.strongest_slice(Overlay(map, Style(sign="signed"))) == 4
    values[4, 1, 1] = 3
    map = explain(predict(series((7, 60, 80)), None), values=values)
    assert writing.strongest_slice(Overlay(map, Style(sign="signed"))) == 4  # the middle of 2, 3, 4, 5
    values[:] = np.nan
    map = explain(predict(series((7, 60, 80)), None), values=values)
    assert writing.strongest_slice(Overlay(map, Style(sign="signed"))) == 0


@pytest.mark.parametrize("size", [(700, 650), (1400, 1300), (350, 325)])
def test_overlays_and_shutter_are_on_both_views(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """A line of one pixel is white with a dark rim; beyond the shutter is black, but for the map."""
    source = dataclasses.replace(series((1, *size)), voxels=np.full((1, *size), 100, np.int16))
    overlay, shutter = np.zeros((2, *size), bool)
    line, edge = size[0] // 2 + 1, size[1] * 3 // 4
    overlay[line], shutter[:, edge:] = True, True
    monkeypatch.setattr(layout, "graphics", lambda _series, _slice: Graphics(overlay, shutter))
    values = np.zeros((1, 4, 4))
    values[0, 0, 0] = 1
    shot = snapshot(explain(predict(source, 0), values=values), 0)
    top, left = layout.TOP + layout.STRIP, layout.GUTTER
    right, at = left + 650 + 2 * layout.GUTTER + 1, int((line + 0.5) * 700 / size[0])
    drawn, bare = (
        np.asarray(compose(dataclasses.replace(shot, overlays=o))).astype(int) for o in (True, False)
    )
    for start in (left, right):
        column = drawn[top : top + 700, start + 400]
        assert (column[at] == 255).all()
        assert min(column[at - 4 : at, 0]) == min(column[at + 1 : at + 5, 0]) == 0
        assert (column[at + 60] == 128).all()
        assert (drawn[top + at + 60, start + 500 : start + 640] == 0).all()
        assert (bare[top + 380 : top + 500, start + 300 : start + 640] == 128).all()
    assert not (drawn[top + 50, right + 50] == drawn[top + 50, left + 50]).all()


@pytest.mark.parametrize(("shown", "told"), [(True, {}), (False, {"overlays": False})])
def test_the_document_says_where_overlays_were_switched_off(
    tmp_path: Path, shown: bool, told: dict[str, bool]
) -> None:
    map = explain(predict(series()))
    document = export([map], map.predictions, tmp_path / "out", ("json",), overlays=shown)
    facts = document["attributions"][0]["display"]
    assert facts == {"slice": 1, "window": None, "inverted": False} | told


def test_a_curve_of_the_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (0, np.linspace(0, 1, 256).astype(np.float32))
    display = Display(((1.0, 0.0),) * 3, voi_lut=table, voi_lut_name="NORMAL")
    map = explain(predict(dataclasses.replace(series(), display=display)))
    assert "VOI LUT NORMAL" in words(snapshot(map), monkeypatch)
    window = Window(100, 200, "mine", "SIGMOID")
    assert "C 100 W 200 SIGMOID mine" in words(snapshot(map, window=window), monkeypatch)
