# SPDX-License-Identifier: Apache-2.0
"""Plots show what they are given, come when first wanted, and leave the mouse to what they lie in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import explained, series
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication, QGraphicsView, QWidget
from pytestqt.qtbot import QtBot

from viewer.ui import plots
from viewer.ui.plots.plot import TEXT, Plot, axis
from viewer.ui.plots.profile import EDGE, Profile, rows
from viewer.ui.state import ViewState
from viewer.ui.views.slice_bar import END, SliceBar
from viewer.ui.widgets.theme import DARK, LIGHT, Palette

ROOT = Path(__file__).parents[2]
WIDE, HIGH = 20, 400
"""Pixels of a profile's values and slices."""


@pytest.fixture
def place(qtbot: QtBot) -> QWidget:
    """What a plot lies in; kept by pytest, for a child does not keep its parent."""
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(300, 500)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture
def profile(place: QWidget) -> Profile:
    made = Profile(DARK, place)
    made.setGeometry(5, 10, WIDE + EDGE, HIGH + EDGE)
    made.show()
    return made


def bars(item: object) -> list[tuple[float, float]]:
    """(first slice, value) of every bar."""
    opts = item.opts  # type: ignore[attr-defined]
    return [(round(y, 2), round(w, 4)) for y, w in zip(opts["y0"], opts["width"], strict=True)]


def looks(widget: QWidget) -> QImage:
    return widget.grab().toImage()


# --- what is shown --------------------------------------------------------------------------------


def test_every_slice_has_a_bar_as_long_as_its_value(profile: Profile) -> None:
    profile.set_profile((0.9, 0.25, None, 0.0, 0.5), top=1.0, threshold=0.5)
    assert bars(profile.over) == [(0, 0.9), (4, 0.5)]
    assert bars(profile.under) == [(1, 0.25), (3, 2 / WIDE)]  # what has run is never blank
    assert list(profile.limit.getData()[0]) == [0.5, 0.5]


def test_a_slice_without_a_value_is_blank_and_one_of_zero_is_not(profile: Profile) -> None:
    profile.set_profile((0.0, None, 0.0, None), top=1.0, threshold=None)
    shot = looks(profile)
    colours = [shot.pixelColor(WIDE - 1, 70 + 100 * index).name() for index in range(4)]
    assert colours == [DARK.bar, DARK.images, DARK.bar, DARK.images]


def test_a_value_that_comes_later_is_added(profile: Profile) -> None:
    profile.set_profile((None, 0.5), top=1.0, threshold=None)
    assert bars(profile.under) == [(1, 0.5)]
    profile.set_profile((0.25, 0.5), top=1.0, threshold=None)
    assert bars(profile.under) == [(0, 0.25), (1, 0.5)]


@pytest.mark.parametrize(
    ("top", "threshold", "drawn"), [(1.0, None, 0), (0.1, 0.5, 0), (1.0, 0.0, 2), (1.0, 1.0, 2)]
)
def test_a_threshold_beyond_the_values_is_not_drawn(
    profile: Profile, top: float, threshold: float | None, drawn: int
) -> None:
    profile.set_profile((0.05, 0.1), top, threshold)
    found = profile.limit.getData()[0]
    assert (0 if found is None else len(found)) == drawn


def test_the_top_fills_the_width_and_what_is_less_than_nothing_is_short(profile: Profile) -> None:
    profile.set_profile((-4.0, 2.0, 8.0, 9.0), top=8.0, threshold=None)
    assert [value for _, value in bars(profile.under)] == [2 * 8 / WIDE, 2.0, 8.0, 8.0]
    shot = looks(profile)
    lit = [sum(shot.pixelColor(x, 70 + 100 * i).name() == DARK.bar for x in range(WIDE)) for i in range(4)]
    assert lit == [2, 5, WIDE, WIDE]


def test_the_line_lies_in_the_middle_of_the_slice_that_is_shown(profile: Profile) -> None:
    profile.set_profile((0.5,) * 4, top=1.0, threshold=None)
    kept = profile.under.opts["width"]
    profile.set_slice(2)
    shot = looks(profile)
    assert [y for y in range(HIGH) if shot.pixelColor(1, y).name() == DARK.accent] == [250]
    assert profile.under.opts["width"] is kept  # another slice is no other profile


def test_another_height_draws_anew(profile: Profile) -> None:
    profile.set_profile((0.2,) * 300, top=1.0, threshold=None)
    assert len(profile.under.opts["y0"]) == 300
    profile.resize(profile.width(), 100 + EDGE)
    looks(profile)
    assert len(profile.under.opts["y0"]) == 101  # the last slice begins nearest to the pixel below


def one_by_one(values: list[float | None], height: int) -> dict[int, tuple[int, float]]:
    """The rows as they are meant: the first pixel of each, its height and its value."""
    found: dict[int, tuple[int, float]] = {}
    length = height / len(values)
    for index, value in enumerate(values):
        if value is None:
            continue
        place = round(index * length)
        tall = max(1, round((index + 1) * length) - place - (1 if length >= 4 else 0))
        before = found.get(place, (tall, value))
        found[place] = max(tall, before[0]), max(value, before[1])
    return found


@given(st.lists(st.none() | st.floats(-5, 5), min_size=1, max_size=200), st.integers(1, 300))
def test_a_row_of_pixels_has_the_largest_of_its_slices(values: list[float | None], height: int) -> None:
    place, tall, value = rows(values, height)
    assert dict(zip(place, zip(tall, value, strict=True), strict=True)) == one_by_one(values, height)


# --- how it looks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_an_axis_is_one_stroke_with_its_unit_and_no_grid(place: QWidget, palette: Palette) -> None:
    plot = Plot(palette, palette.panel, place, left="values / HU", below="depth / mm")
    plot.resize(300, 200)
    plot.box.setRange(xRange=(0, 5000), yRange=(0, 1), padding=0)
    found = {item.orientation: item for item in plot.items() if type(item).__name__ == "AxisItem"}
    assert {side: one.label.toPlainText().strip() for side, one in found.items()} == {
        "left": "values / HU", "bottom": "depth / mm",
    }  # fmt: skip
    for one in found.values():
        assert (one.pen().widthF(), one.pen().color().name()) == (1, palette.line)
        assert one.textPen().color().name() == palette.quiet
        assert (one.style["tickFont"].pixelSize(), one.style["tickFont"].families()[0]) == (TEXT, "Inter")
        assert one.label.document().defaultFont().pixelSize() == TEXT
        assert not one.grid
    plot.show()
    assert looks(plot).pixelColor(298, 2).name() == palette.panel
    assert found["bottom"].height() > 12
    assert found["bottom"].label.toPlainText().strip() == "depth / mm"  # no "depth / mm (x1e+03)"


def test_a_plot_without_words_is_all_data(profile: Profile) -> None:
    assert not [item for item in profile.items() if type(item).__name__ == "AxisItem"]
    looks(profile)
    assert profile.box.geometry() == QRectF(profile.rect())
    assert axis(DARK, "left", "score", profile.box).linkedView() is profile.box


# --- in the slice bar -----------------------------------------------------------------------------


def stack(slices: int, profile: tuple[float | None, ...], slice: int = 0) -> ViewState:
    drawn = explained(np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32))
    return drawn.changed(series=series(slices), profile=profile, slice=slice)


@pytest.fixture
def bar(qtbot: QtBot) -> SliceBar:
    made = SliceBar()
    qtbot.addWidget(made)
    made.resize(made.width(), 428)
    made.show(stack(4, (0.9, None, 0.1, 0.1)))
    qtbot.waitUntil(lambda: made.findChild(QGraphicsView) is not None)
    return made


def test_the_plot_leaves_clicks_and_keys_to_the_bar(qtbot: QtBot, bar: SliceBar) -> None:
    plot = bar.findChild(QGraphicsView)
    inside = plot.geometry().center()
    assert bar.childAt(inside) is None
    assert plot.focusPolicy() == Qt.FocusPolicy.NoFocus
    window = bar.window().windowHandle()
    with qtbot.waitSignal(bar.slice_requested) as heard:
        qtbot.mouseClick(window, Qt.MouseButton.LeftButton, pos=QPoint(inside.x(), END + 350))
    assert heard.args == [3]


def test_a_series_that_has_not_run_is_blank(bar: SliceBar) -> None:
    for profile in ((), (None,) * 4):
        bar.show(stack(4, profile))
        shot = looks(bar)
        seen = {shot.pixelColor(x, y).name() for x in range(26) for y in range(END + 80, 420)}
        assert seen == {DARK.images}
    bar.show(stack(4, (None, None, None, 0.2)))
    assert looks(bar).pixelColor(25, END + 350) == QColor(DARK.bar)


def test_the_profile_grows_with_the_bar(qtbot: QtBot, bar: SliceBar) -> None:
    bar.resize(bar.width(), 828)
    QApplication.processEvents()
    shot = looks(bar)
    assert [shot.pixelColor(25, END + 100 + 200 * i).name() for i in (0, 1, 2)][1] == DARK.images
    assert shot.pixelColor(25, END + 190).name() != DARK.images
    assert shot.pixelColor(25, END + 790).name() == DARK.bar


# --- when it comes --------------------------------------------------------------------------------

LAZY = """
import sys, time
sys.path.insert(0, "tests/ui")
import viewer.ui.app
from dataclasses import replace
from PySide6.QtWidgets import QApplication, QGraphicsView
from viewer.settings import Settings
from viewer.ui import plots
from viewer.ui.window import Window
from made import explained, series
import numpy as np

def there():
    return any(name.partition(".")[0] == "pyqtgraph" for name in sys.modules)

application = QApplication([])
window = Window(Settings())
window.resize(1280, 720)
window.show()
for _ in range(5):
    application.processEvents()
assert not there(), "with the first paint"
drawn = explained(np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32))
window.slices.show(drawn.changed(series=series(40), profile=(None,) * 40))
assert not there() and not plots.coming(), "for a profile without a value"
window.slices.show(drawn.changed(series=series(40), profile=(None,) * 39 + (0.4,)))
assert plots.coming()
if "{wait}":
    end = time.monotonic() + 60
    while window.slices.findChild(QGraphicsView) is None and time.monotonic() < end:
        application.processEvents()
        time.sleep(0.01)
    assert window.slices.grab().toImage().pixelColor(25, window.slices.height() - 16).name() == "#5b8fb9"
    assert not plots.coming()
    import pyqtgraph
    names = ("background", "foreground", "antialias", "imageAxisOrder", "useOpenGL", "exitCleanup")
    assert [pyqtgraph.getConfigOption(name) for name in names] == ["k", "d", False, "col-major", False, True]
window.close()
print("closed")
"""


@pytest.mark.parametrize("wait", ["shown", ""])
def test_what_draws_plots_comes_with_the_first_profile_and_leaves_in_peace(wait: str) -> None:
    """Also where the program is closed while it is still coming; no warning, and a clean end."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LAZY.replace("{wait}", wait)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")


def test_it_is_asked_for_once(qapp) -> None:
    assert plots._import() is plots._import()
