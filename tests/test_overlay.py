# SPDX-License-Identifier: Apache-2.0
"""A map lies where it belongs, is blank where nothing is known, and one range holds for all."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viewer import affine, overlay
from viewer.types import (
    Attribution,
    Display,
    Geometry,
    LoadedMap,
    Map,
    ModelInput,
    Overlay,
    Prediction,
    Score,
    Series,
    Style,
    Target,
)


@dataclass(frozen=True)
class Method:
    name: ClassVar[str] = "test-method"
    title: ClassVar[str] = "Test method"
    paper: ClassVar[str] = "A paper"
    signed: ClassVar[bool] = True
    target_dependent: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class SignedMethod(Method):
    display_sign: ClassVar[str] = "signed"


class Tensor:
    def __init__(self, *shape: int) -> None:
        self.shape = shape


def series(shape: tuple[int, ...], geometry: Geometry | None = None) -> Series:
    return Series("1.2", "CT", np.zeros(shape, np.int16), geometry or Geometry(np.eye(4)), Display(((1, 0),)))


def laid(values: Any, matrix: Any, shape: tuple[int, ...], geometry: Geometry | None = None) -> Map:
    return LoadedMap(np.asarray(values, np.float32), matrix, "u", series(shape, geometry), "a map")


def attribution(values: Any, method: Any = None) -> Attribution:
    values = np.asarray(values, np.float32)
    source = series((1, 8, 8))
    given = ModelInput(source, 0, Tensor(1, 1, 8, 8), np.eye(4))  # type: ignore[arg-type]
    said = Prediction(given, "net", "ab" * 32, "CPU", (Score("a", 1.0, 0.7),))
    matrix = affine.cells(values.shape, (1, 8, 8))
    return Attribution(values, matrix, "logit", (said,), method or Method(), Target("a", 0))


def general(map: Map, slice: int, interpolation: Any = "bilinear") -> np.ndarray:
    to = np.linalg.inv(map.matrix) @ affine.scale_offset((1, 1, 1), (slice, 0, 0))
    return overlay.colour._general(map, to, map.series.shape[1:], interpolation)


def test_a_cell_covers_its_pixels() -> None:
    values = np.zeros((1, 4, 4))
    values[0, 1, 2] = 1
    map = laid(values, affine.cells((1, 4, 4), (1, 16, 16)), (1, 16, 16))
    nearest = overlay.on_source(map, 0, "nearest")
    assert nearest.dtype == np.float32
    expected = np.zeros((16, 16))
    expected[4:8, 8:12] = 1
    np.testing.assert_array_equal(nearest, expected)
    smooth = overlay.on_source(map, 0)
    top = np.argwhere(smooth == smooth.max())
    np.testing.assert_allclose(top.mean(axis=0), (5.5, 9.5))


def test_blank_outside_the_field() -> None:
    """A net that saw rows 2 … 5 and columns 3 … 8 says nothing of the rest, and nothing is not zero."""
    map = laid(np.ones((1, 2, 3)), affine.scale_offset((1, 2, 2), (1, 2.5, 3.5)), (3, 10, 12))
    seen = np.zeros((10, 12), bool)
    seen[2:6, 3:9] = True
    for interpolation in ("bilinear", "nearest"):
        values = overlay.on_source(map, 1, interpolation)
        np.testing.assert_array_equal(np.isfinite(values), seen)
        np.testing.assert_array_equal(values[seen], 1)
    assert np.isnan(overlay.on_source(map, 0)).all()
    assert np.isnan(overlay.on_source(map, 2)).all()


axis_scale = st.floats(1.0, 6.0)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_lit_cell_is_found_where_it_lies(data: st.DataObject) -> None:
    """Through flips, crops, pads, unequal pixels and swapped axes; fast path and general path agree."""
    order = data.draw(st.permutations((0, 1, 2)))
    native = tuple(data.draw(st.integers(1, 5)) for _ in range(3))
    cell = tuple(data.draw(st.integers(0, n - 1)) for n in native)
    shape = tuple(data.draw(st.integers(4, 14)) for _ in range(3))
    place = [data.draw(st.integers(0, n - 1)) for n in shape]  # the voxel at the lit cell's centre
    linear = np.zeros((3, 3))
    for axis, to in enumerate(order):
        linear[to, axis] = data.draw(axis_scale) * data.draw(st.sampled_from((1, -1)))
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.asarray(place) - linear @ np.asarray(cell)
    values = np.zeros(native)
    values[cell] = 1
    map = laid(values, matrix, shape)
    for interpolation in ("bilinear", "nearest"):
        fast = overlay.on_source(map, place[0], interpolation)
        assert fast[place[1], place[2]] == pytest.approx(1, abs=1e-5)
        assert np.nanmax(fast) <= 1 + 1e-5
        if interpolation == "bilinear":
            np.testing.assert_allclose(fast, general(map, place[0]), atol=1e-5)


def test_an_oblique_map_follows_its_matrix() -> None:
    angle = np.deg2rad(30)
    matrix = np.eye(4)
    matrix[1:3, 1:3] = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix[:3, 3] = (0, 6, 12)
    rows, columns = np.mgrid[:8, :8]
    map = laid((3.0 * rows - 2.0 * columns)[None], matrix, (1, 32, 32))
    values = overlay.on_source(map, 0)
    index = np.stack(np.meshgrid([0], range(32), range(32), indexing="ij"), axis=-1)[0]
    place = affine.apply(affine.inverse(matrix), index)
    inner = ((place[..., 1:] >= 0) & (place[..., 1:] <= 7)).all(axis=-1)
    assert inner.sum() > 100
    np.testing.assert_allclose(values[inner], (3 * place[..., 1] - 2 * place[..., 2])[inner], atol=1e-4)
    assert np.isnan(values[0, 0])


def test_no_cell_is_skipped_where_cells_are_smaller_than_pixels() -> None:
    for place in range(12):
        values = np.zeros((1, 12, 12))
        values[0, place, 5] = 16
        map = laid(values, affine.cells((1, 12, 12), (1, 3, 3)), (1, 3, 3))
        shown = overlay.on_source(map, 0)
        assert shown[place // 4, 1] == pytest.approx(1)
        assert shown.sum() == pytest.approx(1)


def test_slices_of_a_volume_are_linear_between_cells() -> None:
    values = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    map = laid(values, affine.cells((3, 2, 2), (9, 4, 4)), (9, 4, 4))
    means = [float(overlay.on_source(map, i).mean()) for i in range(9)]
    np.testing.assert_allclose(means, [0, 0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2, 2], atol=1e-6)


@pytest.mark.parametrize("name", overlay.NAMES)
def test_tables(name: str) -> None:
    table = overlay.colour_table(name)
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    light = table.astype(float) @ (0.2126, 0.7152, 0.0722)
    if name == "blue-white-red":
        assert (np.diff(light[:128]) >= -0.5).all()
        assert (np.diff(light[128:]) <= 0.5).all()
        assert table[127].min() >= 253
        assert table[0, 2] > 2 * table[0, 0]
        assert table[255, 0] > 2 * table[255, 2]
    else:
        assert (np.diff(light) >= -0.5).all()


def test_there_is_no_rainbow() -> None:
    with pytest.raises(ValueError, match="inferno"):
        overlay.colour_table("jet")


@pytest.mark.parametrize("sign", ["positive", "signed", "magnitude"])
def test_alpha_is_one_number_or_nothing(sign: Any) -> None:
    values = np.array([[-0.9, -0.5, -0.1, 0, 0.1, 0.5, 0.9, 5, np.nan, np.inf]], np.float32)
    style = Style("viridis", (-1, 1), 0.4, 0.5, sign)
    alpha = overlay.coloured(values, style)[0, :, 3]
    assert set(alpha) == {0, round(255 * 0.4)}
    shown = [False] * 5 + [True] * 3 + [False] * 2
    if sign != "positive":
        shown[:2] = [True, True]
    assert (alpha > 0).tolist() == shown


def test_range_is_linear_and_clipped() -> None:
    table = overlay.colour_table("inferno")
    style = Style("inferno", (0.0, 2.0), 1.0, 0.0)
    colours = overlay.coloured(np.array([0, 1, 2, 7], np.float32), style)
    np.testing.assert_array_equal(colours[:, :3], table[[0, 128, 255, 255]])
    signed = Style("blue-white-red", (-1.0, 2.0), 1.0, 0.0, "signed")
    table = overlay.colour_table("blue-white-red")
    colours = overlay.coloured(np.array([-2, -9, 2], np.float32), signed)
    np.testing.assert_array_equal(colours[:, :3], table[[0, 0, 255]])
    size = Style("inferno", (0.0, 2.0), 1.0, 0.0, "magnitude")
    low, high = (overlay.coloured(np.array([v], np.float32), size) for v in (-1.5, 1.5))
    np.testing.assert_array_equal(low, high)


@pytest.mark.parametrize(
    ("sign", "range", "shown"),
    [
        ("positive", (-3.0, 3.0), (0.0, 3.0)),  # half of the bar would be dead
        ("positive", (0.0, 2.0), (0.0, 2.0)),
        ("positive", (1.0, 2.0), (1.0, 2.0)),
        ("positive", (-2.0, -1.0), (0.0, 2.0)),  # nothing in it could be drawn
        ("magnitude", (-3.0, 1.0), (0.0, 1.0)),
        ("signed", (0.0, 2.0), (-2.0, 2.0)),
        ("signed", (-3.0, 1.0), (-3.0, 3.0)),
    ],
)
def test_a_range_follows_the_signs_that_are_drawn(
    sign: Any, range: tuple[float, float], shown: tuple[float, float]
) -> None:
    assert overlay.shown_range(Style("inferno", range, sign=sign)) == shown


@pytest.mark.parametrize("sign", ["positive", "magnitude"])
def test_nothing_is_blue_where_one_sign_is_drawn(sign: Any) -> None:
    style = Style("blue-white-red", (0.0, 2.0), 1.0, 0.1, sign)
    red, _, blue, _ = np.moveaxis(overlay.coloured(np.linspace(0.1, 2, 50, dtype=np.float32), style), -1, 0)
    assert (red.astype(int) >= blue).all()
    assert red[-1] > 1.5 * blue[-1]


def test_another_sign_brings_its_table() -> None:
    signed, positive = Style("blue-white-red", sign="signed"), Style("viridis", sign="positive")
    assert overlay.restyled(signed, {"sign": "positive"}).colours == "inferno"
    assert overlay.restyled(positive, {"sign": "magnitude"}).colours == "viridis"
    assert overlay.restyled(positive, {"sign": "signed"}).colours == "blue-white-red"
    assert overlay.restyled(positive, {"sign": "signed", "colours": "grey"}).colours == "grey"
    assert overlay.restyled(signed, {"opacity": 0.1}).colours == "blue-white-red"


def test_composite_of_grey_and_colour() -> None:
    grey = np.array([[0, 100, 255]], np.uint8)
    colours = np.array([[[255, 0, 0, 128], [10, 20, 30, 0], [0, 0, 0, 255]]], np.uint8)
    result = overlay.composite(grey, colours)
    np.testing.assert_array_equal(result[0], [[128, 0, 0], [100, 100, 100], [0, 0, 0]])
    np.testing.assert_array_equal(overlay.composite(np.stack([grey] * 3, -1), colours), result)


def test_hatching_keeps_about_half_and_changes_no_colour() -> None:
    colours = np.full((64, 80, 4), 200, np.uint8)
    result = overlay.hatched(colours)
    kept = result[..., 3] > 0
    assert 0.4 < kept.mean() < 0.6
    np.testing.assert_array_equal(result[kept], colours[kept])


def test_one_range_for_all() -> None:
    weak, strong = attribution(np.full((1, 2, 2), 0.1)), attribution(np.full((1, 2, 2), 4.0))
    style = overlay.automatic_style([weak, strong])
    assert style.range == (0.0, 4.0)
    assert style.threshold == pytest.approx(0.8)
    assert (style.sign, style.colours) == ("positive", "inferno")
    assert not overlay.rgba(Overlay(weak, style), 0).any()
    assert overlay.rgba(Overlay(strong, style), 0)[..., 3].all()


def test_signed_methods_are_symmetric() -> None:
    style = overlay.automatic_style([attribution([[[-3.0, 1.0]]], SignedMethod())])
    assert (style.range, style.sign, style.colours) == ((-3.0, 3.0), "signed", "blue-white-red")
    assert style.threshold == pytest.approx(0.3)
    assert overlay.automatic_style([attribution([[[-3.0, 1.0]]])]).range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("sign", "range", "threshold"),
    [("positive", (0.0, 0.01), 0.002), ("signed", (-3.0, 3.0), 0.3), ("magnitude", (0.0, 3.0), 0.3)],
)
def test_the_range_is_that_of_the_sign_that_is_drawn(
    sign: Any, range: tuple[float, float], threshold: float
) -> None:
    """Whatever sign suits the method: little that speaks for a label is not lost beside much against it."""
    for method in (Method(), SignedMethod()):
        map = attribution([[[-3.0, 0.01]]], method)
        style = overlay.automatic_style([map], sign)
        assert (style.sign, style.range) == (sign, pytest.approx(range))
        assert style.threshold == pytest.approx(threshold)
        assert overlay.rgba(Overlay(map, style), 0)[..., 3].any()


def test_one_pixel_does_not_hide_the_rest() -> None:
    values = np.random.default_rng(0).random((1, 64, 64))
    values[0, 3, 3] = 1000
    peaked = attribution(values)
    style = overlay.automatic_style([peaked])
    assert style.range[1] <= 1
    below, above, count = overlay.clipped(peaked, style)
    assert (below, count) == (0, 64 * 64)
    assert 0 < above <= 0.006 * count
    sparse = np.zeros((1, 64, 64))
    sparse[0, 3, 3] = 5
    assert overlay.automatic_style([attribution(sparse)]).range[1] == 5


@pytest.mark.parametrize(
    ("sign", "range", "counted"),
    [
        ("positive", (0.0, 2.0), (0, 2, 3)),
        ("positive", (2.0, 3.5), (1, 1, 3)),  # one is drawn in the colour of the lower end
        ("signed", (-2.0, 2.0), (1, 2, 5)),
        ("magnitude", (0.0, 2.0), (0, 3, 5)),
        ("signed", (-9.0, 9.0), (0, 0, 5)),
    ],
)
def test_what_is_clipped_is_counted_at_both_ends_among_cells_that_are_drawn(
    sign: Any, range: tuple[float, float], counted: tuple[int, int, int]
) -> None:
    values = np.zeros((1, 60, 60))
    values[0, 0, :7] = -5, -1, 1, 3, 4, np.nan, np.inf
    assert overlay.clipped(attribution(values), Style("grey", range, threshold=0.5, sign=sign)) == counted


def test_no_positive_evidence() -> None:
    assert overlay.no_positive_evidence(attribution([[[-1.0, 0.0]]]))
    assert overlay.no_positive_evidence(attribution([[[0.0, 0.0]]]))
    assert overlay.no_positive_evidence(attribution([[[-1.0, 1e-9]]]))
    assert not overlay.no_positive_evidence(attribution([[[0.0, 1e-5]]]))
    assert overlay.automatic_style([attribution([[[-1.0, 0.0]]])]).range == (0.0, 1.0)


def test_values_within_the_rounding_of_the_largest_logit_are_no_evidence() -> None:
    """The logit of the helper is 1; float32 and a sum of many leave some 1e-6 of it."""
    for method in (Method(), SignedMethod()):
        noise, weak = (attribution([[[-size, size]]], method) for size in (5e-7, 5e-6))
        assert overlay.no_evidence(noise)
        assert not overlay.rgba(Overlay(noise, overlay.automatic_style([noise])), 0).any()
        assert not overlay.no_evidence(weak)
        assert overlay.rgba(Overlay(weak, overlay.automatic_style([weak])), 0).any()
        assert overlay.automatic_style([noise, weak]) == overlay.automatic_style([weak])
    # Of values in another unit it is not known what they are rounded from.
    other = dataclasses.replace(attribution([[[0.0, 5e-7]]]), unit="share of attention")
    assert not overlay.no_evidence(other)
    assert overlay.automatic_style([other]).range[1] == pytest.approx(5e-7)


def test_native_facts() -> None:
    mm = Geometry(np.diag([3.0, 0.5, 0.5, 1.0]), "patient", True, True)
    square = laid(np.ones((1, 7, 7)), affine.cells((1, 7, 7), (1, 168, 168)), (1, 168, 168), mm)
    assert overlay.native_facts(square) == "map 7 × 7 · 1 cell ≈ 12 mm"
    pixels = laid(np.ones((1, 7, 7)), affine.cells((1, 7, 7), (1, 224, 168)), (1, 224, 168))
    assert overlay.native_facts(pixels) == "map 7 × 7 · 1 cell ≈ 32 × 24 px"
    volume = laid(np.ones((3, 7, 7)), affine.cells((3, 7, 7), (9, 14, 14)), (9, 14, 14), mm)
    assert overlay.native_facts(volume) == "map 3 × 7 × 7 · 1 cell ≈ 9 × 1 × 1 mm"
    sagittal = np.zeros((4, 4))
    sagittal[0, 1] = sagittal[1, 2] = sagittal[2, 0] = sagittal[3, 3] = 1
    turned = laid(np.ones((1, 9, 14)), sagittal, (9, 14, 14), mm)
    assert overlay.native_facts(turned) == "map 9 × 14 · 1 cell ≈ 3 × 0.5 mm"
