# SPDX-License-Identifier: Apache-2.0
"""What a view paints, pixel by pixel, and what its mouse says."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from made import explained, image, series
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QTransform, QWheelEvent
from PySide6.QtWidgets import QApplication, QGraphicsView
from pytestqt.qtbot import QtBot

from viewer import dicom
from viewer.overlay import colour_table, style
from viewer.types import Display, Series, Window
from viewer.ui.presenter.display import levels_of, table_levels
from viewer.ui.state import Busy, Cell, Tile, ViewState
from viewer.ui.views import captions, pixels
from viewer.ui.views.contact_sheet_grid import ContactSheetGrid
from viewer.ui.views.layers import ImageLayer, RenderCache
from viewer.ui.views.picture import Picture, picture
from viewer.ui.views.slice_bar import SliceBar
from viewer.ui.views.slice_grid import SliceGrid
from viewer.ui.views.slice_view import SliceView
from viewer.ui.widgets.theme import DARK
from viewer.wording import NOTHING_REACHES

SIDE = 400
LOOK = (SIDE * 3 // 8, SIDE * 3 // 8)
"""A place of the view, x and y, that no text covers."""


def pictured(state: ViewState, plain: bool = True) -> Picture:
    """What the left or the right one of two views shows of a state."""
    return picture(state, 0 if plain else 1)


def view(
    qtbot: QtBot, state: ViewState, plain: bool = True, width: int = SIDE, height: int = SIDE
) -> SliceView:
    result = SliceView()
    qtbot.addWidget(result)
    result.resize(width, height)
    result.show(pictured(state, plain))
    result.show()
    qtbot.waitExposed(result)
    return result


def seen(widget: SliceView | SliceBar, x: float, y: float) -> tuple[int, int, int]:
    shot = widget.grab().toImage()
    colour = shot.pixelColor(round(x * shot.devicePixelRatio()), round(y * shot.devicePixelRatio()))
    return colour.red(), colour.green(), colour.blue()


def flat(value: float, rows: int = 40, columns: int = 40) -> np.ndarray:
    return np.full((rows, columns), value, dtype=np.float32)


@pytest.mark.parametrize(("value", "grey"), [(-20, 0), (0, 0), (20, 51), (60, 153), (100, 255), (900, 255)])
def test_levels(qtbot: QtBot, value: float, grey: int) -> None:
    assert seen(view(qtbot, image(flat(value))), *LOOK) == (grey,) * 3
    assert seen(view(qtbot, image(flat(value), inverted=True)), *LOOK) == (255 - grey,) * 3


def greys_of(series: Series, window: Window | None = None) -> np.ndarray:
    """What the canvas draws of the first slice, where the reader has chosen a window or none."""
    own = dicom.default_window(series, 0)
    shown = image(dicom.modality_values(series, 0), series=series)
    inverted = series.display.inverted
    shown = shown.changed(
        window=window, own=own, inverted=inverted, levels=levels_of(series, window, own) or (0.0, 1.0)
    )
    assert shown.view.values is not None
    return pixels.greys(shown.view.values, shown.view.levels, shown.view.inverted, shown.view.curve).astype(
        int
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", ["vlut_04.dcm", "mlut_18.dcm"])
def test_the_canvas_draws_what_the_picture_has(shared: Path, name: str) -> None:
    (found,) = dicom.scan([shared / "dicom/pydicom-data" / name]).series
    middle = dicom.default_window(found, 0)
    for window in (None, Window(middle.center, middle.width, function="SIGMOID")):
        expected = dicom.displayed(found, 0, window).astype(int)
        assert np.abs(greys_of(found, window) - expected).max() <= 1


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    "window",
    [None, Window(500, 700, "S", "SIGMOID"), Window(10, 0.5, "", "SIGMOID"), Window(0, 9000, "", "SIGMOID")],
)
def test_curves_are_drawn_exactly(inverted: bool, window: Window | None) -> None:
    voxels = np.arange(-2000, 2000, dtype=np.int16).reshape(1, 40, 100)
    table = np.sqrt(np.linspace(0, 1, 1200)).astype(np.float32)
    display = Display(rescale=((1.0, 0.0),), inverted=inverted, voi_lut=(-300, table))
    found = replace(series(rows=40, columns=100), voxels=voxels, display=display)
    drawn = greys_of(found, window)
    assert np.abs(drawn - dicom.displayed(found, 0, window)).max() <= 1
    assert {0, 255} <= set(drawn.flat) or window == Window(0, 9000, "", "SIGMOID")


def test_a_curve_leaves_black_what_is_not_a_number() -> None:
    display = Display(rescale=((1.0, 0.0),), voi_lut=(5, np.array([0.5, 1], np.float32)))
    values = np.array([[np.nan, -1e30, 1e30, 6]], np.float32)
    assert pixels.greys(values, (0, 1), False, display).tolist() == [[0, 128, 255, 255]]
    assert pixels.greys(values, (0, 1), False, Window(5, 2, "", "SIGMOID"))[0, :3].tolist() == [0, 0, 255]


def test_a_view_follows_the_curve(qtbot: QtBot) -> None:
    window = Window(50, 100, "lungs", "SIGMOID")
    state = image(flat(75)).changed(window=window)
    shown = view(qtbot, state)
    assert seen(shown, *LOOK) == (round(255 / (1 + np.exp(-1))),) * 3
    assert captions.window_words(state) == "C 50  W 100  SIGMOID  lungs"
    shown.show(pictured(state.changed(window=Window(50, 100, "", "LINEAR_EXACT")), plain=False))
    assert seen(shown, *LOOK) == (191,) * 3


def test_a_table_is_named_and_a_pull_begins_at_a_line_close_to_it() -> None:
    ramp = np.linspace(0, 1, 101).astype(np.float32)
    flanks = np.concatenate((np.zeros(50, np.float32), ramp, np.ones(50, np.float32)))
    display = Display(rescale=((1.0, 0.0),), voi_lut=(-50, flanks), voi_lut_name="NORMAL")
    state = image(flat(0), series=replace(series(), display=display))
    assert table_levels(display.voi_lut or (0, ramp)) == pytest.approx((0, 100), abs=1.5)
    assert table_levels((-50, flanks[::-1])) == pytest.approx((0, 100), abs=1.5)
    assert captions.window_words(state.changed(window=None)) == "VOI LUT  NORMAL"
    assert captions.window_words(state) == "C 50  W 100  test"


def test_nan_is_black_and_the_levels_may_be_equal(qtbot: QtBot) -> None:
    assert seen(view(qtbot, image(flat(np.nan))), *LOOK) == (0, 0, 0)
    assert seen(view(qtbot, image(flat(5)).changed(levels=(3.0, 3.0))), *LOOK) == (0, 0, 0)


def test_colour_as_it_is(qtbot: QtBot) -> None:
    values = np.zeros((40, 40, 3), dtype=np.uint8)
    values[:] = (200, 30, 90)
    state = image(values, series=series())
    assert seen(view(qtbot, state), *LOOK) == (200, 30, 90)


def test_pixels_lie_where_they_belong(qtbot: QtBot) -> None:
    values = flat(0)
    values[30:, 10:20] = 100
    shown = view(qtbot, image(values))
    assert seen(shown, 150, 320) == (255, 255, 255)
    for x, y in ((150, 280), (80, 320), (220, 320)):
        assert seen(shown, x, y) == (0, 0, 0)


def test_pixels_keep_their_shape(qtbot: QtBot) -> None:
    """Pixels twice as high as wide: a square array is a tall picture, black beside it."""
    shown = view(qtbot, image(flat(100), series=series(aspect=2.0)))
    frame = shown.frame()
    assert frame is not None
    assert frame == QRectF(100, 0, 200, 400)
    assert seen(shown, 110, 260) == (255, 255, 255)
    assert seen(shown, 90, 260) == (0, 0, 0)


def test_a_large_image_is_averaged_not_picked(qtbot: QtBot) -> None:
    values = np.zeros((1600, 1600), dtype=np.float32)
    values[::2] = 100
    red, _, _ = seen(view(qtbot, image(values)), *LOOK)
    assert abs(red - 127) <= 1


def half(value: float) -> np.ndarray:
    """A map with this value on the left half of 40 × 40, nothing on the right."""
    values = np.zeros((40, 40), dtype=np.float32)
    values[:, :20] = value
    return values


def test_the_map_is_laid_over_with_one_opacity(qtbot: QtBot) -> None:
    shown = view(qtbot, explained(flat(40), half(0.8)), plain=False)
    over = colour_table("inferno")[round(0.8 * 255)].astype(float)
    expected = np.round(0.5 * 102 + 0.5 * over)
    assert np.abs(np.array(seen(shown, *LOOK)) - expected).max() <= 2
    assert seen(shown, SIDE - LOOK[0], LOOK[1] + 120) == (102, 102, 102)


def test_below_the_threshold_is_blank(qtbot: QtBot) -> None:
    state = explained(flat(40), half(0.8))
    state = state.changed(style=replace(state.views.style, threshold=0.9))
    shown = view(qtbot, state, plain=False)
    assert seen(shown, *LOOK) == (102, 102, 102)
    assert (NOTHING_REACHES, "warning") in captions.explained(state, False).bottom_left


def test_what_the_model_did_not_see_is_blank(qtbot: QtBot) -> None:
    state = explained(flat(40), half(0.8))
    assert state.view.map is not None
    holes = state.view.map.copy()
    holes[10:20] = np.nan
    shown = view(qtbot, state.changed(map=holes), plain=False)
    assert seen(shown, *LOOK) == (102, 102, 102)
    assert seen(shown, LOOK[0], 250) != (102, 102, 102)


@pytest.mark.parametrize(("sign", "drawn"), [("positive", False), ("signed", True), ("magnitude", True)])
def test_negative_values(qtbot: QtBot, sign: Any, drawn: bool) -> None:
    state = explained(flat(40), half(-0.8))
    state = state.changed(style=replace(state.views.style, sign=sign))
    assert (seen(view(qtbot, state, plain=False), *LOOK) != (102, 102, 102)) is drawn


def test_the_plain_view_shows_no_map(qtbot: QtBot) -> None:
    assert seen(view(qtbot, explained(flat(40), half(0.8))), *LOOK) == (102, 102, 102)


def test_the_gate_hides_then_hatches(qtbot: QtBot) -> None:
    state = explained(flat(40), half(0.8), score=0.3, gate="negative")
    shown = view(qtbot, state, plain=False)
    assert seen(shown, *LOOK) == (102, 102, 102)
    assert "hidden until asked" in captions.explained(state, False).bottom_left[0][0]
    state = state.changed(asked=True)
    shown.show(pictured(state, plain=False))
    row = {seen(shown, x, LOOK[1]) for x in range(LOOK[0], LOOK[0] + 2 * pixels.HATCH)}
    assert len(row) == 2
    assert (102, 102, 102) in row
    assert captions.explained(state, True).bottom_left[0][0].startswith("Explains a negative")


def test_outside_the_intended_use(qtbot: QtBot) -> None:
    state = explained(flat(40), half(0.8), gate="outside", outside="made for CR")
    assert seen(view(qtbot, state, plain=False), *LOOK) == (102, 102, 102)
    assert captions.explained(state, False).bottom_left[0] == ("No map: made for CR", "stop")


def test_views_and_the_contact_sheet_look_through_a_map_once(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = explained(flat(40), half(0.8))
    shown = state.answer.attribution
    assert shown is not None
    asked = create_autospec(style.no_positive_evidence, side_effect=style.no_positive_evidence)
    monkeypatch.setattr(style, "no_positive_evidence", asked)
    cell = Cell("a", "A", None, Tile(shown, shown.values[0], state.views.style, False), True)
    state = state.changed(layout="sheet", contact_sheet=(cell,))
    cache = RenderCache()
    sheet, grid = ContactSheetGrid(cache), SliceGrid(cache)
    for widget in (sheet, grid):
        qtbot.addWidget(widget)
    for level in (50.0, 60.0, 70.0):
        for widget in (sheet, grid):
            widget.show(state.changed(levels=(0.0, level)))
            widget.grab()
    asked.assert_called_once_with(shown)


def test_views_beside_each_other_compute_a_slice_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).integers(0, 256, (37, 41)).astype(np.uint8)
    made = create_autospec(pixels.greys, side_effect=pixels.greys)
    monkeypatch.setattr(pixels, "greys", made)
    shared, whole = RenderCache(), QRectF(0, 0, 80, 60)
    canvas = QImage(80, 60, QImage.Format.Format_RGB32)
    for cache, count in ((shared, 1), (shared, 1), (RenderCache(), 2)):
        layer = ImageLayer(cache)
        layer.set(values, (0.0, 255.0), False)
        painter = QPainter(canvas)
        layer.draw(painter, whole, whole, 1.0)
        painter.end()
        assert made.call_count == count


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("frame", [(0, 0, 80, 60), (10.5, 3.25, 70.3, 77.7), (-30, -20.5, 250, 301)])
def test_a_kept_picture_is_what_would_be_drawn(frame: tuple[float, ...], ratio: float) -> None:
    """Image pixels that begin within a screen's pixel, parts and enlargements: first and again the same."""
    values = np.random.default_rng(1).integers(0, 256, (37, 41)).astype(np.uint8)
    place, room = QRectF(*frame), QRectF(0, 0, 100, 90)
    layer = ImageLayer(RenderCache())
    layer.set(values, (0.0, 255.0), False)

    def blank() -> QImage:
        made = QImage(round(100 * ratio), round(90 * ratio), QImage.Format.Format_RGB32)
        made.setDevicePixelRatio(ratio)
        made.fill(QColor("teal"))
        return made

    drawn = [blank(), blank()]
    for one in drawn:
        painter = QPainter(one)
        layer.draw(painter, place, room, ratio)
        painter.end()
    direct = blank()
    painter = QPainter(direct)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    part = place.intersected(room)
    to = QTransform.fromTranslate(-place.x(), -place.y())
    to *= QTransform.fromScale(41 / place.width(), 37 / place.height())
    painter.drawImage(part, pixels.qimage(values), to.mapRect(part))
    painter.end()
    assert drawn[0] == drawn[1]
    shown, expected = (
        np.frombuffer(one.constBits(), np.uint8).astype(int).reshape(one.height(), -1)
        for one in (drawn[0], direct)
    )
    assert np.abs(shown - expected).max() <= 1


def test_only_what_changed_is_computed(qtbot: QtBot) -> None:
    state = explained(flat(40), half(0.8))
    shown = view(qtbot, state, plain=False)
    before = seen(shown, *LOOK)
    image_before, map_before = shown._image.uploads, shown._map.uploads
    shown.show(pictured(state.changed(style=replace(state.views.style, opacity=0.1)), plain=False))
    assert seen(shown, *LOOK) != before
    assert (shown._image.uploads, shown._map.uploads) == (image_before, map_before)
    shown.show(pictured(state.changed(style=replace(state.views.style, threshold=0.3)), plain=False))
    shown.grab()
    assert (shown._image.uploads, shown._map.uploads) == (image_before, map_before + 1)
    shown.show(pictured(state.changed(levels=(0.0, 50.0)), plain=False))
    shown.grab()
    assert shown._image.uploads == image_before + 1


def test_texts() -> None:
    state = explained(flat(40), half(0.8))
    plain, mapped = captions.plain(state), captions.explained(state, True)
    assert [t for t, _ in plain.top_left] == ["CT  HEAD", "Im 1 / 1"]
    assert [t for t, _ in plain.bottom_left] == ["C 50  W 100  test", "1 mm"]
    assert mapped.top_left == (
        ("Grad-CAM · conv_2", "text"),
        ("pneumonia · score 0.82 (called from 0.50)", "accent"),
    )
    assert mapped.bottom_right == (
        ("map 40 × 40 · 1 cell ≈ 1 mm · bilinear", "text"),
        ("Shows influence on the score. Not a segmentation.", "text"),
    )
    assert mapped.top_right == (("image + map", "text"),)
    hidden = captions.explained(state.changed(overlay=False), False)
    assert hidden.top_right == (("image, map hidden", "text"),)


def test_no_evidence_is_said_not_stretched() -> None:
    state = explained(flat(40), np.zeros((40, 40)))
    remark = captions.explained(state, False).bottom_left[0][0]
    assert "shows no positive evidence for pneumonia in this" in remark


def test_sides(qtbot: QtBot) -> None:
    """Letters stand at the four sides; without a geometry the view says so."""
    shown = view(qtbot, image(flat(0)))
    near = {
        place: sum(sum(seen(shown, x + i, y + j)) > 300 for i in range(-3, 16, 1) for j in range(-6, 7, 3))
        for place, (x, y) in {"left": (14, 200), "right": (376, 200), "nowhere": (60, 200)}.items()
    }
    assert near["left"] > 0
    assert near["right"] > 0
    assert near["nowhere"] == 0
    unknown = image(flat(0), series=series(orientation_known=False))
    assert captions.plain(unknown).bottom_right == (("side unknown", "quiet"),)


def test_the_colour_bar_is_blank_below_the_threshold(qtbot: QtBot) -> None:
    state = explained(flat(0), half(0.8))
    shown = view(
        qtbot, state.changed(style=replace(state.views.style, threshold=0.5)), plain=False, height=800
    )
    assert seen(shown, 1, 1) == (0, 0, 0)
    assert shown.bar is not None
    box = shown.bar.box
    x = box.center().x()
    assert np.abs(np.array(seen(shown, x, box.top() + 1)) - colour_table("inferno")[253]).max() < 12
    assert seen(shown, x, box.top() + 0.65 * box.height()) == (0, 0, 0)
    arrow = QColor(DARK.text)
    assert seen(shown, box.left() - 5, box.center().y()) == (arrow.red(), arrow.green(), arrow.blue())


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (ViewState(), captions.EMPTY),
        (image(flat(0)).changed(values=None), "Reading the slice …"),
        (ViewState().changed(busy=Busy("reading the folder")), "reading the folder …"),
        (image(flat(0)).changed(values=None, series=None), "Choose a series on the left"),
    ],
)
def test_a_view_without_an_image_says_why(qtbot: QtBot, state: ViewState, said: str) -> None:
    sentence = captions.sentence(state)
    assert sentence is not None
    assert sentence[0] == said
    shot = view(qtbot, state).grab().toImage()
    middle = [shot.pixelColor(x, y).lightness() for x in range(100, 300) for y in range(185, 215)]
    assert max(middle) > 80


# --- what the file lays over its image ------------------------------------------------------------


def overlaid() -> dicom.Graphics:
    """A vertical line in column 15, and a shutter that hides the last ten columns."""
    overlay, shutter = np.zeros((2, 40, 40), dtype=bool)
    overlay[:, 15], shutter[:, 30:] = True, True
    return dicom.Graphics(overlay, shutter)


@pytest.mark.parametrize("plain", [True, False])
def test_overlays_and_shutters_are_drawn(qtbot: QtBot, plain: bool) -> None:
    state = explained(flat(40), flat(0)).changed(graphics=overlaid())
    shown = view(qtbot, state, plain=plain)
    across = {x: seen(shown, x, 150) for x in (155, 145, 165, 135, 299, 305, 340)}
    assert across[155] == (255, 255, 255)
    assert max(across[145]) < 40
    assert max(across[165]) < 40
    assert across[135] == across[299] == (102, 102, 102)
    assert across[305] == across[340] == (0, 0, 0)
    shown.show(pictured(state.changed(annotated=False), plain=False))
    assert {seen(shown, x, 150) for x in (155, 305)} == {(102, 102, 102)}
    told = [captions.plain(state.changed(annotated=on)).bottom_left[0] for on in (True, False)]
    assert told == [("overlay and shutter", "quiet"), ("overlay and shutter hidden", "quiet")]
    unread = captions.plain(state.changed(values=None)).bottom_left
    assert not any("shutter" in line for line, _ in unread)


def test_a_shutter_hides_no_evidence(qtbot: QtBot) -> None:
    state = explained(flat(40), flat(0.8)).changed(graphics=overlaid())
    over = colour_table("inferno")[round(0.8 * 255)].astype(float)
    drawn = seen(view(qtbot, state, plain=False), 305, 150)
    assert np.abs(np.array(drawn) - np.round(0.5 * over)).max() <= 2


def test_a_thin_line_stays_on_a_large_image(qtbot: QtBot) -> None:
    overlay = np.zeros((1500, 1500), dtype=bool)
    overlay[:, 701] = True
    state = image(flat(100, 1500, 1500)).changed(graphics=dicom.Graphics(overlay, None))
    shown = view(qtbot, state)
    row = [seen(shown, x, 150)[0] for x in range(184, 192)]
    assert row.count(255) < 8
    assert min(row) < 80


def test_the_shutter_has_the_grey_level_that_the_file_asks_for(qtbot: QtBot) -> None:
    state = image(flat(100)).changed(graphics=replace(overlaid(), shade=128))
    assert seen(view(qtbot, state), 340, 150) == (128, 128, 128)


# --- hands ----------------------------------------------------------------------------------------


def test_left_drag_is_the_window(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0)))
    qtbot.mousePress(shown, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    with qtbot.waitSignal(shown.window_dragged) as heard:
        qtbot.mouseMove(shown, QPoint(110, 95))
    assert heard.args == [10.0, -5.0]
    qtbot.mouseRelease(shown, Qt.MouseButton.LeftButton, pos=QPoint(110, 95))
    with qtbot.assertNotEmitted(shown.window_dragged):
        qtbot.mouseMove(shown, QPoint(150, 95))


def test_middle_drag_pans_and_the_other_view_follows(qtbot: QtBot) -> None:
    one, other = (view(qtbot, image(flat(0))) for _ in range(2))
    one.view_changed.connect(lambda seen: other.show(replace(other._picture, seen=seen)))
    qtbot.mousePress(one, Qt.MouseButton.MiddleButton, pos=QPoint(100, 100))
    with qtbot.assertNotEmitted(other.view_changed):
        qtbot.mouseMove(one, QPoint(130, 80))
    assert one.frame() == QRectF(30, -20, 400, 400)
    assert other.frame() == one.frame()
    with qtbot.waitSignal(one.view_changed) as heard:
        one.fit()
    assert heard.args == [None]
    assert other.frame() == QRectF(0, 0, 400, 400)


def test_right_drag_zooms_about_where_it_began(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0)))
    before = shown.position(QPointF(100, 300))
    qtbot.mousePress(shown, Qt.MouseButton.RightButton, pos=QPoint(100, 300))
    qtbot.mouseMove(shown, QPoint(100, 200))
    frame = shown.frame()
    assert frame is not None
    assert frame.width() > 600
    assert shown.position(QPointF(100, 300)) == pytest.approx(before)


def wheel(widget: SliceView, turned: int) -> None:
    at = QPointF(200, 200)
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, turned),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


def test_the_wheel_goes_through_slices(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0)))
    heard: list[int] = []
    shown.slice_wheel.connect(heard.append)
    for turned in (-120, 120, -240, -60, -60, -60, 60, 60):
        wheel(shown, turned)
    assert heard == [1, -1, 2, 1, -1]


def test_double_click_asks_for_room(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0)))
    with qtbot.waitSignal(shown.enlarge_requested):
        qtbot.mouseDClick(shown, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))


def test_the_pointer_says_row_and_column(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0), series=series(aspect=2.0)))
    heard: list[tuple[float | None, float | None]] = []
    shown.pointer_moved.connect(lambda row, column: heard.append((row, column)))
    said = []
    for x, y in ((102, 5), (298, 395), (50, 200)):
        heard.clear()
        qtbot.mouseMove(shown, QPoint(x, y))
        said.append(heard[-1])  # Qt may say the first place twice, as the pointer enters
    assert said[0] == pytest.approx((0, -0.1))
    assert said[1] == pytest.approx((39, 39.1))
    assert said[2] == (None, None)


def test_a_new_series_is_fitted(qtbot: QtBot) -> None:
    shown = view(qtbot, image(flat(0)))
    shown.zoom(3)
    shown.show(pictured(image(flat(0)), plain=False))
    assert shown.frame() == QRectF(0, 0, 400, 400)


# --- slice bar ------------------------------------------------------------------------------------


def bar(qtbot: QtBot, state: ViewState) -> SliceBar:
    result = SliceBar()
    qtbot.addWidget(result)
    result.resize(result.width(), 428)
    result.show(state)
    if any(value is not None for value in state.answer.profile):  # whose plot comes a moment later
        qtbot.waitUntil(lambda: result.findChild(QGraphicsView) is not None)
    return result


def stack(slices: int, profile: tuple[float | None, ...] = ()) -> ViewState:
    return explained(flat(0), half(0.8)).changed(series=series(slices), profile=profile)


def test_a_click_on_the_bar_asks_for_a_slice(qtbot: QtBot) -> None:
    shown = bar(qtbot, stack(100))
    assert not shown.isHidden()
    with qtbot.waitSignal(shown.slice_requested) as heard:
        qtbot.mouseClick(shown, Qt.MouseButton.LeftButton, pos=QPoint(20, 14 + 4 * 25 + 1))
    assert heard.args == [25]
    assert (shown.slice_at(0), shown.slice_at(999)) == (0, 99)


def test_one_slice_needs_no_bar(qtbot: QtBot) -> None:
    assert bar(qtbot, stack(1)).isHidden()


def test_evidence_per_slice(qtbot: QtBot) -> None:
    """Called bright, not called blue, not run blank; a score of zero is not blank."""
    shown = bar(qtbot, stack(4, (0.9, 0.3, None, 0.0)).changed(slice=2))
    x = shown.width() - 8 - 6 - 4 - 1
    colours = [seen(shown, x, 14 + 100 * i + 30) for i in range(4)]
    rgb = [QColor(c) for c in (DARK.text, DARK.bar, "#000000", DARK.bar)]
    assert colours == [(c.red(), c.green(), c.blue()) for c in rgb]
    assert [shown.describe(i) for i in (0, 2)] == ["Im 1 / 4 · score 0.90", "Im 3 / 4 · not run"]
