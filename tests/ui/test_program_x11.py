# SPDX-License-Identifier: Apache-2.0
"""The program as a reader meets it: the real child process on an X screen, driven by mouse and keyboard."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import Whyscope, write_model, write_stack
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QWidget
from screen import Box, Program, Screen, ask_to_close, missing

from viewer import demo
from viewer.settings import Settings
from viewer.ui.panels import ExportDialog
from viewer.ui.widgets import theme
from viewer.ui.window import Window

absent = missing()
pytestmark = pytest.mark.skipif(bool(absent), reason=f"needs the Debian packages {' '.join(absent)}")
SIZE = (1600, 1000)
CHATTER = ("qt.qpa.", "QStandardPaths:")
"""How lines begin that Qt writes about the machine, not about the program."""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    made = Screen(tmp_path_factory.mktemp("screen"), *SIZE)
    yield made
    made.close()


@pytest.fixture
def program(screen: Screen, tmp_path: Path) -> Iterator[Any]:
    """`program(*words)` starts the program on the screen; it is ended with the test."""
    started: list[Program] = []

    def start(*words: object) -> Program:
        started.append(Program(screen, tmp_path / "home", *words))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def twin(qtbot: Any) -> Iterator[Window]:
    """The same window without a screen: it says where things are, and how they should look."""
    theme.apply(QApplication.instance(), theme.DARK)  # type: ignore[arg-type]
    made = Window(Settings(device="cpu"))
    qtbot.addWidget(made)
    made.resize(*SIZE)
    with qtbot.waitExposed(made):
        made.show()
    yield made
    made.close()


class Hands:
    """Does the same on the screen and to the twin, and waits until both look alike."""

    def __init__(self, screen: Screen, twin: Window, qtbot: Any) -> None:
        self.screen, self.twin, self.qtbot = screen, twin, qtbot

    def box(self, widget: QWidget) -> Box:
        """Where a widget of the twin, and so of the program, lies on the screen."""
        corner = widget.mapTo(widget.window(), widget.rect().topLeft())
        return (corner.x(), corner.y(), widget.width(), widget.height())

    def middle(self, widget: QWidget) -> tuple[int, int]:
        left, top, width, height = self.box(widget)
        return left + width // 2, top + height // 2

    def keys_until(self, true: Callable[[], bool], key: Qt.Key, within: QWidget) -> list[str]:
        """How often a key is to be pressed; it is pressed in the twin."""
        keys: list[str] = []
        while not true():
            assert len(keys) < 60, "the keyboard does not get there"
            self.qtbot.keyClick(within.window().focusWidget(), key)
            keys.append(key.name.removeprefix("Key_"))
        return keys

    def tabs_to(self, widget: QWidget) -> list[str]:
        """The keys that bring the keyboard to a widget."""
        return self.keys_until(widget.hasFocus, Qt.Key.Key_Tab, widget)

    def alike(self, what: str) -> None:
        """Wait until image and map on the screen are those of the twin, pixel by pixel."""

        def same() -> bool:
            self.qtbot.wait(20)  # the twin works on; only at rest it is what the program shall come to
            view, settled = self.twin.mapped, not self.twin.presenter.working
            return settled and np.array_equal(self.screen.seen(self.box(view)), image_of(view))

        self.qtbot.waitUntil(lambda: not self.twin.presenter.working, timeout=30_000)
        self.screen.wait(what, same)


def image_of(widget: QWidget) -> np.ndarray:
    picture = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows, line = picture.height(), picture.bytesPerLine()
    pixels = np.frombuffer(picture.constBits(), np.uint8).reshape(rows, line)
    return pixels[:, : 3 * picture.width()].reshape(rows, picture.width(), 3).copy()


def coloured(pixels: np.ndarray) -> int:
    """How many pixels are clearly not grey."""
    spread = pixels.max(axis=-1).astype(int) - pixels.min(axis=-1)
    return int((spread > 40).sum())


def same_options(entry: dict[str, Any]) -> list[str]:
    """What `explain` must be told to draw the picture of an entry of `result.json`."""
    window = entry["display"]["window"]
    style = {**entry["style"], "range": ",".join(map(repr, entry["style"]["range"]))}
    words = ["--window", f"{window['center']!r},{window['width']!r},{window['name']}"]
    words += ["--invert"] if entry["display"]["inverted"] else []
    return words + [word for key, value in style.items() for word in ("--style", f"{key}={value}")]


def test_a_study_from_opening_to_the_exported_picture(
    screen: Screen, program: Any, twin: Window, qtbot: Any, tmp_path: Path, whyscope: Whyscope
) -> None:
    study, model, out = write_stack(tmp_path / "study", 5), write_model(tmp_path / "model"), tmp_path / "out"
    child = program()
    hands, wish = Hands(screen, twin, qtbot), twin.presenter
    with screen.kept(tmp_path / "screen.png"):
        # Open a study and a model: dialogues by keyboard alone.
        window = screen.window("Whyscope")
        screen.key("ctrl+o")
        screen.window("Open a folder of DICOM files")
        screen.write(study)
        screen.key("Return")
        wish.studies.open([study])
        hands.alike("the study's middle slice")
        screen.window("Whyscope")
        screen.key("ctrl+m")
        screen.window("Open a model folder")
        screen.write(model)
        screen.key("Return")
        wish.explaining.load_model(model)
        hands.alike("the map of the top label")
        assert coloured(screen.seen(hands.box(twin.mapped))) > 1000

        # Slices by wheel and keys.
        screen.window("Whyscope")
        x, y = hands.middle(twin.mapped)
        screen.click(x, y, 5)
        wish.step(1)
        hands.alike("the next slice by the wheel")
        screen.key("Home")
        wish.go_to(0)
        hands.alike("the first slice by a key")
        screen.key("Down")
        wish.step(1)
        hands.alike("the second slice by a key")

        # Another label, another method, a higher threshold.
        rows = twin.prediction.list
        mass = rows.visualRect(rows.scores.index(1)).center()
        left, top, _, _ = hands.box(rows)
        screen.click(left + mass.x(), top + mass.y())
        wish.explaining.choose_target("mass")
        hands.alike("the map of another label by a click")
        method = twin.explaining.method
        screen.key(*hands.tabs_to(method))
        occlusion = lambda: method.currentData() == "occlusion"  # noqa: E731
        screen.key(*hands.keys_until(occlusion, Qt.Key.Key_Down, method), "ctrl+Return")
        wish.explaining.explain()
        hands.alike("the map of another method by keys")
        screen.key(*hands.tabs_to(twin.display.threshold), "Right", "Right", "Right")
        twin.display.threshold.setValue(twin.display.threshold.value() + 3)
        hands.alike("a higher threshold by keys")

        # The map off and on.
        screen.key("w")
        wish.display.toggle_overlay(False)
        hands.alike("no map after W")
        screen.key("w")
        wish.display.toggle_overlay(True)
        hands.alike("the map after W again")
        screen.do("keydown", "h")
        wish.display.toggle_overlay(False)
        hands.alike("no map while H is held")
        screen.do("keyup", "h")
        wish.display.toggle_overlay(True)
        hands.alike("the map after H is let go")

        # The grey values the other way round; another window by dragging, as far as the moves come through.
        screen.key("i")
        wish.display.invert()
        hands.alike("the image inverted")
        before = screen.seen(hands.box(twin.plain)).copy()
        screen.drag(*hands.middle(twin.plain), 60, 25)
        screen.wait("another window", lambda: (screen.seen(hands.box(twin.plain)) != before).any())

        # Export by keyboard into a folder typed into its field.
        screen.window("Whyscope")
        screen.key("ctrl+s")
        screen.window("Export")
        dialog = ExportDialog(twin)
        dialog.open()
        qtbot.waitUntil(dialog.isActiveWindow)
        screen.key(*hands.tabs_to(dialog.folder))
        dialog.close()
        screen.write(out)
        screen.key("Return")
        screen.wait("result.json", (out / "result.json").exists)
        ask_to_close(screen, window)
        assert child.child.wait(10) == 0, child.said()

    (entry,) = json.loads((out / "result.json").read_text("utf-8"))["attributions"]
    assert (entry["label"], entry["slice"], entry["method"]) == ("mass", 1, "occlusion")
    assert entry["style"]["threshold"] == pytest.approx(0.13 * entry["style"]["range"][1])
    assert entry["display"]["window"]["width"] > 2000  # wider than the file's
    assert entry["display"]["inverted"]
    again = whyscope(
        "explain", study, "--model", model, "--method", "occlusion", "--target", "mass", "--slice", 1,
        "--out", tmp_path / "again", "--format", "png", *same_options(entry),
    )  # fmt: skip
    assert again.status == 0, again.err
    one, other = (
        np.asarray(Image.open(folder / entry["files"]["png"])) for folder in (out, tmp_path / "again")
    )
    assert np.array_equal(one, other)


def test_the_first_command_of_the_readme_opens_the_demo(
    screen: Screen, program: Any, twin: Window, qtbot: Any, tmp_path: Path
) -> None:
    """`main.py demo` shows the first study of the demo explained, and ends in peace when it is closed."""
    child = program("demo")
    hands = Hands(screen, twin, qtbot)
    twin.presenter.explaining.load_model(demo.models()["cnn"])
    twin.presenter.studies.open(list(demo.studies()))
    with screen.kept(tmp_path / "screen.png"):
        window = screen.window("Whyscope")
        hands.alike("the demo explained")
        assert coloured(screen.seen(hands.box(twin.mapped))) > 1000
        ask_to_close(screen, window)
        assert child.child.wait(20) == 0, child.said()
    said = [line for line in child.said().splitlines() if not line.startswith(CHATTER)]
    assert said == []
