# SPDX-License-Identifier: Apache-2.0
"""The window as a person uses it: mouse, keyboard, drops, and a picture of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hands import drop, settled
from program import LABELS, write_stack
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from viewer.dicom import Row
from viewer.types import Identity
from viewer.ui.state import ShownHeader
from viewer.ui.views import captions
from viewer.ui.widgets import theme
from viewer.ui.window import Window


def test_an_empty_window_says_what_to_do(window: Window) -> None:
    assert window.presenter.state.view.series is None
    said = [part.text() for part in window.start.findChildren(QLabel) if part.isVisible()]
    assert "Open images to begin, or drop files or a folder here" in said
    offered = [part.text() for part in window.start.findChildren(QPushButton) if part.isVisible()]
    assert offered == ["Folder…", "Files…", "Demo"]


def test_a_file_that_is_no_image_leaves_the_window_as_it_began_and_says_why(
    window: Window, qtbot, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    drop(window, tmp_path / "notes.txt")
    settled(window, qtbot)
    said = window.message.sentence.text()
    assert said == (
        "Nothing here could be opened as an image. This is neither DICOM nor a PNG or JPEG picture."
    )
    assert window.start.isVisible()
    assert window.start.hasFocus()  # not what comes next by Tab


def test_dropping_a_model_folder_and_a_study_explains(explained: Window) -> None:
    state = explained.presenter.state
    assert state.map_shown
    assert [s.label for s in state.answer.prediction.scores] == list(LABELS)


@pytest.mark.parametrize(
    ("key", "modifier", "slice"),
    [
        (Qt.Key.Key_Up, Qt.KeyboardModifier.NoModifier, 1),
        (Qt.Key.Key_Down, Qt.KeyboardModifier.NoModifier, 3),
        (Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier, 4),
        (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier, 0),
        (Qt.Key.Key_End, Qt.KeyboardModifier.NoModifier, 4),
    ],
)
def test_keys_move_through_the_slices(explained: Window, qtbot, key, modifier, slice: int) -> None:
    qtbot.keyClick(explained, key, modifier)
    settled(explained, qtbot)
    state = explained.presenter.state
    assert state.view.slice == slice
    assert state.answer.attribution.slice == slice


def test_keys_change_the_drawing(explained: Window, qtbot) -> None:
    state = lambda: explained.presenter.state  # noqa: E731
    opacity = state().views.style.opacity
    qtbot.keyClick(explained, Qt.Key.Key_E)
    assert state().views.style.opacity == pytest.approx(opacity + 0.1)
    qtbot.keyClick(explained, Qt.Key.Key_W)
    assert not state().map_shown
    qtbot.keyClick(explained, Qt.Key.Key_W)
    qtbot.keyClick(explained, Qt.Key.Key_I)
    assert state().view.inverted
    qtbot.keyClick(explained, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    assert not state().shell.masked
    qtbot.keyClick(explained, Qt.Key.Key_2)
    assert state().view.window.name == "soft tissue"
    qtbot.keyClick(explained, Qt.Key.Key_1)
    assert state().view.window is None


def test_the_window_is_called_as_the_file_calls_it(explained: Window, qtbot) -> None:
    shown = lambda: [text for text, _ in captions.plain(explained.presenter.state).bottom_left]  # noqa: E731
    assert "C 0  W 2000" in shown()  # not the ends of its grey values, which lie half a unit inside
    qtbot.keyClick(explained, Qt.Key.Key_3)
    assert "C −600  W 1500  lung" in shown()


def test_holding_h_hides_the_map(explained: Window, qtbot) -> None:
    explained.activateWindow()
    qtbot.waitUntil(explained.isActiveWindow)
    qtbot.keyPress(explained, Qt.Key.Key_H)
    assert not explained.presenter.state.map_shown
    qtbot.keyRelease(explained, Qt.Key.Key_H)
    assert explained.presenter.state.map_shown


def test_the_mouse_windows_and_the_probe_follows(explained: Window, qtbot) -> None:
    view = explained.mapped
    before = explained.presenter.state.view.levels
    start = view.rect().center()
    qtbot.mouseMove(view, start)
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 5):
        qtbot.mouseMove(view, start + start.__class__(10 * step, 4 * step))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start)
    low, high = explained.presenter.state.view.levels
    assert high - low > before[1] - before[0]
    assert explained.presenter.state.shell.probed is not None


def test_both_layouts_show_the_map(explained: Window) -> None:
    explained.presenter.display.choose_layout("1")
    assert not explained.plain.isVisible()
    assert explained.mapped.isVisible()
    explained.presenter.display.choose_layout("1|1")
    assert explained.plain.isVisible()


def test_images_keep_most_of_a_small_window(explained: Window) -> None:
    explained.resize(1280, 720)
    QApplication.processEvents()
    seen = sum(v.width() * v.height() for v in (explained.plain, explained.mapped))
    assert seen >= 0.6 * 1280 * 720
    assert explained.series.width() == 56
    assert explained.right.width() <= 300


def test_the_header_follows_the_slice_and_hides_the_patient(explained: Window, qtbot) -> None:
    qtbot.keyClick(explained, Qt.Key.Key_D)
    settled(explained, qtbot)
    dialog = explained.header
    assert dialog.isVisible()
    qtbot.keyClicks(dialog.search, "instance number")
    assert values(dialog) == ["3"]
    explained.presenter.step(1)
    settled(explained, qtbot)
    assert values(dialog) == ["4"]
    dialog.search.setText("patient's name")
    assert values(dialog) == ["●●●"]
    explained.presenter.studies.mask(False)
    assert values(dialog) == ["Zoidberg^Wilhelmina"]
    assert not dialog.none.isVisible()
    dialog.search.setText("no such tag")
    assert values(dialog) == []
    assert dialog.none.isVisible()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert explained.presenter.state.shell.header is None


def test_a_search_in_the_header_keeps_what_its_rows_lie_in(explained: Window) -> None:
    """Two items of a sequence, each with a name that the patient's mask hides and a code."""
    rows = (
        Row(0, "(0008,0060)", "CS", "Modality", "CT"),
        Row(0, "(0040,A730)", "SQ", "Content Sequence", "2 items"),
        Row(1, "", "", "item 1", ""),
        Row(2, "(0008,0100)", "SH", "Code Value", "121311"),
        Row(2, "(0040,A123)", "PN", "Person Name", "Zoidberg", personal=True),
        Row(1, "", "", "item 2", ""),
        Row(2, "(0008,0100)", "SH", "Code Value", "121312"),
        Row(0, "(0088,0140)", "UI", "Last", "1.2"),
    )
    dialog = explained.header
    dialog.rows.put(ShownHeader("made", rows, Identity()), masked=True)
    names = lambda: [dialog.found.index(n, 2).data().strip() for n in range(dialog.found.rowCount())]  # noqa: E731
    for wanted, expected in (
        ("121312", ["Content Sequence", "item 2", "Code Value"]),
        ("a123", ["Content Sequence", "item 1", "Person Name"]),
        ("LAST", ["Last"]),
        ("zoidberg", []),
        ("", [row.name for row in rows]),
    ):
        dialog.search.setText(wanted)
        assert names() == expected, wanted


def values(dialog) -> list[str]:
    return [dialog.found.index(row, 3).data() for row in range(dialog.found.rowCount())]


@pytest.mark.parametrize("words", [[], ["--light"]])
def test_a_picture_of_the_window(words: list[str], tmp_path: Path) -> None:
    """The real program, from the command line, without a screen; torch is not there at the first paint."""
    out = tmp_path / "window.png"
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "QT_QPA_PLATFORM")}
    command = [sys.executable, "-W", "ignore", "main.py", str(write_stack(tmp_path / "s", 3)), *words]
    command += ["--size", "1280x720", "--screenshot", str(out)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    picture = QImage(str(out))
    assert (picture.width(), picture.height()) == (1280, 720)
    panel = picture.pixelColor(1270, 400).name()
    assert panel == (theme.LIGHT if words else theme.DARK).panel


def test_full_screen_and_back(window: Window) -> None:
    window.run("full-screen")
    assert window.isFullScreen()
    window.run("full-screen")
    assert not window.isFullScreen()
